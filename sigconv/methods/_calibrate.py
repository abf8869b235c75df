"""Measuring a cost table: every method over a grid of problems, its operations priced by least squares.

A method's predicted time is a sum of operations times prices, none below zero; prices are fitted to relative errors, so
that small problems count as much as large ones. What cannot be measured here keeps the price it had: of this device,
or of any GPU.
"""

from __future__ import annotations

import contextlib
import copy
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from sigconv.methods import _prices
from sigconv.methods._call import _whole, describe
from sigconv.methods._factors import Factors
from sigconv.methods._plan import HALVES, METHODS

# batch, in, out, groups, size, kernel_size, stride
GRID: tuple[tuple[int, int, int, int, tuple[int, ...], tuple[int, ...], int], ...] = (
    (1, 1, 1, 1, (20_000,), (9,), 1),
    (1, 1, 1, 1, (1_000_000,), (31,), 1),
    (1, 1, 1, 1, (400_000,), (257,), 1),
    (1, 1, 1, 1, (2_000_000,), (1025,), 1),
    (1, 1, 1, 1, (4_000_000,), (4095,), 1),
    (1, 1, 16, 1, (100_000,), (401,), 1),
    (4, 1, 40, 1, (32_000,), (401,), 160),
    (8, 16, 16, 16, (20_000,), (63,), 1),
    (4, 256, 256, 256, (1_000,), (9,), 1),
    (4, 64, 64, 64, (4_000,), (3,), 1),
    (4, 32, 32, 1, (8_000,), (9,), 1),
    (2, 8, 8, 1, (4_000,), (65,), 1),
    (2, 4, 32, 1, (3_000,), (24,), 1),
    (1, 1, 1, 1, (512, 512), (7, 7), 1),
    (1, 1, 1, 1, (512, 512), (31, 31), 1),
    (1, 1, 8, 1, (256, 256), (41, 41), 1),
    (4, 16, 16, 1, (64, 64), (3, 3), 1),
    (2, 32, 32, 32, (96, 96), (5, 5), 1),
    (8, 64, 64, 64, (56, 56), (3, 3), 1),
    (1, 256, 256, 256, (28, 28), (3, 3), 1),
    (8, 64, 64, 64, (112, 112), (3, 3), 1),
    (1, 8, 8, 1, (64, 64), (9, 9), 2),
    (1, 1, 1, 1, (64, 64, 64), (5, 5, 5), 1),
    (1, 1, 4, 1, (64, 64, 64), (15, 15, 15), 1),
    (1, 8, 8, 1, (32, 32, 32), (3, 3, 3), 1),
    (1, 16, 16, 16, (40, 40, 40), (3, 3, 3), 1),
    (1, 2, 4, 1, (8, 16, 16, 16), (3, 3, 3, 3), 1),
    (2, 1, 4, 1, (60,), (5,), 1),
    (1, 2, 2, 1, (12, 12), (3, 3), 1),
)
LONGEST = 1.5  # seconds predicted: dearer problems are left out
REPEATS = 3
WHILE, MOST_REPEATS = 0.02, 200  # seconds; calls
LAUNCHES = 10  # repeats on a GPU, where most calls are over before their times are alike


def calibrate(device: str = "cpu", progress: Callable[[int, int], None] = lambda done, of: None) -> dict[str, Any]:
    """A cost table measured on this machine, for _prices.save; about two minutes. progress is told (done, of).

    Prices of a GPU stand under its name; those of other devices are as they are in the table in force.
    """
    where = torch.device(device)
    prices: dict[str, Any] = copy.deepcopy(dict(_prices.table()[0]))
    name = _prices.card(where) or where.type
    found: dict[str, dict[str, dict[str, float]]] = prices.setdefault(name, copy.deepcopy(prices[_prices.ANY]))
    jobs = [(dtype, method) for dtype in (torch.float32, torch.float64) for method in METHODS]
    if where.type == "cuda":
        jobs += [(dtype, "direct") for dtype in HALVES]  # the others have them in float32 first
    for done, (dtype, method) in enumerate(jobs):
        progress(done, len(jobs))
        rows = list(_measured(method, dtype, device))
        kept = found.setdefault(str(dtype).removeprefix("torch."), {}).get(method, {})
        found[str(dtype).removeprefix("torch.")][method] = kept | fit(rows)
    progress(len(jobs), len(jobs))
    return {"version": 1, "seconds": prices}


def _measured(method: str, dtype: torch.dtype, device: str) -> Iterator[tuple[dict[str, float], float]]:
    """A method's operations and seconds over the grid."""
    generator = torch.Generator().manual_seed(0)
    for batch, inside, outside, groups, size, kernel, stride in GRID:
        x = torch.randn(batch, inside, *size, generator=generator).to(device, dtype)
        weight: Any = torch.randn(outside, inside // groups, *kernel, generator=generator).to(device, dtype)
        if method == "separable":
            parts = [torch.randn(n, 2, generator=generator).to(device, dtype) for n in weight.shape]
            weight = Factors(parts[0], parts[1], tuple(parts[2:]))
        if method == "lookup":
            if groups > 1:
                continue
            x = torch.randint(0, inside, (batch, *size), generator=generator).to(device)
        options = {"stride": (stride,) * len(size), "margins": ((0, 0),) * len(size), "dilation": (1,) * len(size)}
        problem = describe(x, weight, options | {"groups": groups})
        chosen = METHODS[method]
        if (hasattr(chosen, "refused") and chosen.refused(problem)) or chosen.memory(problem) > 2 << 30:
            continue
        operations = chosen.cost(problem)
        if _prices.seconds(method, operations, dtype, problem.device, problem.card) > LONGEST:
            continue
        run = lambda x=x, weight=weight, o=options | {"groups": groups}: _whole(x, weight, None, o, method, True)
        with contextlib.suppress(torch.OutOfMemoryError):  # of a GPU that is small, or not alone
            taken = seconds(run, device, LAUNCHES if problem.device == "cuda" else REPEATS)
            yield operations, taken


def seconds(run: Callable[[], Any], device: str = "cpu", repeats: int = REPEATS) -> float:
    """The median time of a call, after one that does not count; on a GPU until the device is done with it.

    Calls that are quick are made until they have taken a while together: the first of them are the slow ones.
    """
    times: list[float] = []
    while len(times) <= repeats or (sum(times) < WHILE and len(times) <= MOST_REPEATS):
        begun = time.perf_counter()
        run()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def fit(rows: list[tuple[dict[str, float], float]]) -> dict[str, float]:
    """The prices, none below zero: a call's is that of the quickest, the others make the least relative errors.

    >>> fit([({"call": 1, "mac": 0}, 2.0), ({"call": 1, "mac": 10}, 32.0), ({"call": 1, "mac": 20}, 62.0)])
    {'call': 2.0, 'mac': 3.0}
    """
    import numpy as np
    from scipy.optimize import nnls

    called = [taken / operations["call"] for operations, taken in rows if operations.get("call")]
    least = min(called, default=0.0)  # of the smallest: among many other prices a fit would lose it
    names = sorted({name for operations, _ in rows for name in operations} - {"call"})
    found = {"call": least} if called else {}
    if names:
        amounts = np.array([[operations.get(name, 0.0) / taken for name in names] for operations, taken in rows])
        left = np.array([1 - least * operations.get("call", 0.0) / taken for operations, taken in rows])
        scale = np.where(amounts.max(0) > 0, amounts.max(0), 1.0)
        found |= dict(zip(names, nnls(amounts / scale, left)[0] / scale, strict=True))
    return {name: float(f"{price:.3g}") for name, price in found.items()}
