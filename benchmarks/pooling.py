"""Poolings against torch and SciPy: wide windows by doubling, small ones in rows, one number drawn a window"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

import sigconv as sc
from sigconv.benchmarks import _cupy
from sigconv.benchmarks._ceilings import Work, size
from sigconv.benchmarks._race import Case

Runners = dict[str, Callable[[], Any]]
SHARE = 0.7  # of a copy's bytes a second, on CUDA


def cases(device: str) -> list[Case]:
    """Maxima of wide and of small windows, with and without gradient, stochastic and L_p pooling."""
    torch.manual_seed(0)
    volume = torch.randn(1, 1, 128, 128, 128, device=device)
    sound = torch.randn(8, 64, 16000, device=device)
    cells = torch.randn(8, 32, 32, 32, 32, device=device)
    found = [
        _wide_volume(volume),
        _wide_sound(sound),
        _gradient(sound),
        _small("max 3-D k=2 s=2", cells),
        _small("max 3-D k=2 s=2, channels last", cells.to(memory_format=torch.channels_last_3d)),
        _stochastic(cells.relu()),
        Case("L_3 1-D k=31 s=1", _norm(sound), 3.0, work=_windows(sound, 31 * 2, 1)),
    ]
    return found + (_large() if device == "cuda" else [])


def _large() -> list[Case]:
    """2 GB a call: what a GPU takes long enough over for its memory to be all that counts."""
    x = torch.randn(8, 32, 128, 128, 128, device="cuda")
    rows: list[tuple[str, Any, Any, int, int, dict[str, Any]]] = [
        ("max", sc.max_pool, F.max_pool3d, 2, 2, {}),
        ("mean", sc.avg_pool, F.avg_pool3d, 2, 2, {}),
        ("max", sc.max_pool, F.max_pool3d, 3, 1, {"padding": 1}),
        ("mean", sc.avg_pool, F.avg_pool3d, 3, 1, {"padding": 1}),
    ]
    found = []
    for name, ours, theirs, k, s, options in rows:
        runners: Runners = {"sigconv": partial(ours, x, k, s, **options), "torch": partial(theirs, x, k, s, **options)}
        found.append(Case(f"{name} 3-D k={k} s={s}, 2 GB", runners, 0.95, work=_windows(x, k**3, s), share=SHARE))
    return found


def _windows(x: torch.Tensor, taps: int, stride: int) -> Work:
    """Every sample read, a number written a window, which looks at so many; the few at the borders are left aside."""
    kept = x.numel() // stride ** (x.ndim - 2)
    return Work(size(x) + kept * x.element_size(), float(kept * taps))


def _wide_volume(x: torch.Tensor) -> Case:
    runners: Runners = {"sigconv": lambda: sc.max_pool(x, 7, 1), "torch": lambda: F.max_pool3d(x, 7, 1)}
    if x.device.type == "cpu":
        from scipy import ndimage

        a = x[0, 0].numpy()
        runners["scipy"] = lambda: ndimage.maximum_filter(a, 7)[3:-3, 3:-3, 3:-3]
    if x.is_cuda and _cupy.at_hand():
        there = _cupy.arrays(x[0, 0])
        runners["cupyx"] = lambda: _cupy.ndimage().maximum_filter(*there(), 7)[3:-3, 3:-3, 3:-3]
    return Case("max 3-D k=7 s=1", runners, 5.0, work=_windows(x, 7**3, 1))


def _wide_sound(x: torch.Tensor) -> Case:
    runners: Runners = {"sigconv": lambda: sc.max_pool(x, 31, 1), "torch": lambda: F.max_pool1d(x, 31, 1)}
    if x.device.type == "cpu":
        from scipy import ndimage

        a = x.numpy()
        runners["scipy"] = lambda: ndimage.maximum_filter1d(a, 31)[..., 15:-15]
    if x.is_cuda and _cupy.at_hand():
        there = _cupy.arrays(x)
        runners["cupyx"] = lambda: _cupy.ndimage().maximum_filter1d(*there(), 31)[..., 15:-15]
    return Case("max 1-D k=31 s=1", runners, 3.0, work=_windows(x, 31, 1))


def _gradient(x: torch.Tensor) -> Case:
    """There and back: the gradient goes to the first of equal values in both."""

    def through(pool: Callable[..., torch.Tensor]) -> Any:
        leaf = x.detach().requires_grad_()
        pool(leaf, 31, 1).sum().backward()
        return leaf.grad

    runners: Runners = {"sigconv": lambda: through(sc.max_pool), "torch": lambda: through(F.max_pool1d)}
    forward = _windows(x, 31, 1)
    work = Work(2 * forward.traffic, forward.flops)  # the gradient of windows read, that of samples written
    return Case("max 1-D k=31 s=1, with gradient", runners, 0.95, work=work)


def _small(name: str, x: torch.Tensor) -> Case:
    runners: Runners = {"sigconv": lambda: sc.max_pool(x, 2), "torch": lambda: F.max_pool3d(x, 2)}
    return Case(name, runners, 0.95, work=_windows(x, 2 ** (x.ndim - 2), 2))


def _stochastic(x: torch.Tensor) -> Case:
    """Draws differ from runner to runner, so their means are compared, loosely."""
    positions = [n // 2 for n in x.shape[2:]]

    def unfolded() -> torch.Tensor:
        seen = x.unfold(2, 2, 2).unfold(3, 2, 2).unfold(4, 2, 2).reshape(-1, 8)
        drawn = torch.multinomial(seen + 1e-12, 1)
        return seen.gather(1, drawn).view(*x.shape[:2], *positions).mean()

    runners: Runners = {"sigconv": lambda: sc.stochastic_pool(x, 2).mean(), "unfold+multinomial": unfolded}
    return Case("stochastic 3-D k=2 s=2", runners, 2.0, tolerance=1e-2, work=_windows(x, 8, 2))


def _norm(x: torch.Tensor) -> Runners:
    """torch takes no abs: it is given the sizes."""
    sizes = x.abs()
    return {"sigconv": lambda: sc.lp_pool(sizes, 3, 31, 1), "torch": lambda: F.lp_pool1d(sizes, 3, 31, 1)}
