"""scattering transforms of sound, and images against Kymatio, where that is installed"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math
from collections.abc import Callable
from typing import Any

import torch

from sigconv.benchmarks._ceilings import Work, size
from sigconv.benchmarks._race import Case
from sigconv.filters import scattering

ROWS: tuple[tuple[str, tuple[int, ...], dict[str, Any]], ...] = (
    ("1-D 65,536, J=8 Q=8", (65_536,), {"J": 8, "Q": 8}),
    ("2-D 128^2, J=3 L=8", (128, 128), {"J": 3, "L": 8}),
)
BATCH = {"cpu": 2, "cuda": 64}


def cases(device: str) -> list[Case]:
    """All paths of two orders, samples dropped as early as Kymatio does; other windows: answers are not compared."""
    torch.manual_seed(0)
    return [_case(*row, device) for row in ROWS]


def _case(name: str, shape: tuple[int, ...], options: dict[str, Any], device: str) -> Case:
    x = torch.randn(BATCH[device], *shape, device=device)
    ndim = len(shape)
    ours = scattering.Scattering(ndim=ndim, oversampling=0, **options).to(device)
    runners: dict[str, Callable[[], Any]] = {"sigconv": torch.no_grad()(lambda: ours(x[:, None]))}
    if importlib.util.find_spec("kymatio"):
        runners["kymatio"] = _kymatio(x, options, device)
    kept = len(ours.paths) * x.numel() // 2 ** (options["J"] * ndim)
    return Case(f"{BATCH[device]} x {name}", runners, tolerance=math.inf, work=Work(size(x) + 4 * kept))


def _kymatio(x: torch.Tensor, options: dict[str, Any], device: str) -> Callable[[], Any]:
    """Made when first called: where it does not load, the others race without it."""

    @functools.cache
    def made() -> Any:
        room = f"kymatio.scattering{x.ndim - 1}d.frontend.torch_frontend"  # kymatio.torch loads its 3-D part too
        kind = getattr(importlib.import_module(room), f"ScatteringTorch{x.ndim - 1}D")
        return kind(shape=x.shape[-1] if x.ndim == 2 else tuple(x.shape[1:]), **options).to(device)

    return torch.no_grad()(lambda: made()(x))
