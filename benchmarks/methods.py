"""method="auto" against every method by name, over a grid the cost table was not fitted to"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch

import sigconv as sc
from sigconv.benchmarks._race import Case

# in, out, groups, size, kernel_size, options
GRID: tuple[tuple[Any, ...], ...] = (
    (1, 1, 1, (50_000,), (15,), {}),
    (1, 1, 1, (3_000_000,), (63,), {"padding": "same"}),
    (1, 1, 1, (3_000_000,), (400,), {"padding": "full"}),
    (1, 1, 1, (2_000_000,), (3000,), {}),
    (1, 8, 1, (300_000,), (800,), {}),
    (1, 40, 1, (160_000,), (401,), {"stride": 160}),
    (32, 32, 32, (30_000,), (31,), {"padding": "same"}),
    (24, 24, 1, (6_000,), (5,), {}),
    (1, 1, 1, (700, 700), (11, 11), {"padding": "same"}),
    (1, 1, 1, (700, 700), (45, 45), {"padding": "same"}),
    (3, 16, 1, (128, 128), (5, 5), {"padding": "same"}),
    (32, 64, 1, (48, 48), (3, 3), {"stride": 2}),
    (1, 1, 1, (80, 80, 80), (7, 7, 7), {"padding": "same"}),
    (1, 2, 1, (80, 80, 80), (19, 19, 19), {"padding": "same"}),
    (8, 16, 1, (24, 24, 24), (3, 3, 3), {}),
    (16, 16, 16, (48, 48, 48), (5, 5, 5), {"padding": "same"}),
    (2, 4, 1, (10, 20, 20, 20), (3, 3, 3, 3), {}),
)
LONGEST = 1.0  # seconds: a method predicted to take longer does not run


def cases(device: str) -> list[Case]:
    """auto first; the goal is to be no more than 1.3 times slower than the best."""
    return [_case(row, dtype, device) for dtype in (torch.float32, torch.float64) for row in GRID]


def _case(row: tuple[Any, ...], dtype: torch.dtype, device: str) -> Case:
    inside, outside, groups, size, kernel, options = row
    generator = torch.Generator().manual_seed(math.prod(size))
    x = torch.randn(1, inside, *size, generator=generator).to(device, dtype)
    weight = torch.randn(outside, inside // groups, *kernel, generator=generator).to(device, dtype)
    options = options | {"groups": groups}
    plan = sc.plan(x, weight, **options)
    runners: dict[str, Callable[[], Any]] = {"auto": functools.partial(sc.conv, x, weight, **options)}
    for found in plan.candidates:
        if not found.refused and found.seconds < LONGEST and found.memory < 2 << 30:
            runners[found.method] = functools.partial(sc.conv, x, weight, **options, method=found.method)
    stride = f"/{options['stride']}" if "stride" in options else ""
    shape = "x".join(map(str, size))
    channels = f"{inside}->{outside}" if groups == 1 else f"{inside} depthwise"
    name = f"{str(dtype)[6:]} {channels} {shape} * {'x'.join(map(str, kernel))}{stride}"
    return Case(name, runners, 1 / 1.3)
