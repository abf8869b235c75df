"""Haar transforms and rectangle features against PyWavelets and, where installed, ptwt and scikit-image"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sigconv.benchmarks._ceilings import Work, size
from sigconv.benchmarks._race import Case
from sigconv.filters import haar

SHAPES = {"3-D 256^3": (256, 256, 256), "2-D 4096^2": (4096, 4096), "1-D 10 M": (10_000_000,)}
SHARE = 0.7  # of a copy's bytes a second, on CUDA
STATIONARY = {"3-D 128^3": ((128, 128, 128), 2), "2-D 2048^2": ((2048, 2048), 3)}


def cases(device: str) -> list[Case]:
    """The wavelet at one level and at five, the way back, the stationary transform, a detector's features."""
    torch.manual_seed(0)
    found = []
    for name, shape in SHAPES.items():
        one, five = (_wavelet(name, shape, level, device) for level in (1, 5))
        found += [one, replace(five, harder_than=one.name), _back(name, shape, device)]
    found += [_stationary(name, *what, device) for name, what in STATIONARY.items()]
    return [*found, _features(device)]


def _wavelet(name: str, shape: tuple[int, ...], level: int, device: str) -> Case:
    """Every runner makes all subbands; they are compared by their approximations."""
    x = torch.randn(shape, device=device)
    runners: dict[str, Callable[[], Any]] = {"sigconv": lambda: haar.dwt(x, level)[0]}
    if device == "cpu":
        import pywt

        a = x.numpy()
        runners["PyWavelets"] = lambda: pywt.wavedecn(a, "haar", level=level)[0]
    if importlib.util.find_spec("ptwt"):
        import ptwt

        theirs = getattr(ptwt, f"wavedec{'' if len(shape) == 1 else len(shape)}")
        runners["ptwt"] = lambda: theirs(x, "haar", level=level)[0]
    goal = 2.0 if len(shape) > 1 else None
    return Case(f"Haar {name}, levels={level}", runners, goal, work=_butterflies(x, level), share=_share(device))


def _share(device: str) -> float | None:
    return SHARE if device == "cuda" else None


def _butterflies(x: torch.Tensor, level: int) -> Work:
    """Every number read once and as many written; a sum an axis and number, of what each level is left."""
    left = sum(0.5 ** (x.ndim * n) for n in range(level))
    return Work(2 * size(x), x.ndim * x.numel() * left)


def _back(name: str, shape: tuple[int, ...], device: str) -> Case:
    """From five levels of coefficients to the signal."""
    x = torch.randn(shape, device=device)
    ours = haar.dwt(x, 5)
    runners: dict[str, Callable[[], Any]] = {"sigconv": lambda: haar.idwt(ours)}
    if device == "cpu":
        import pywt

        theirs = pywt.wavedecn(x.numpy(), "haar", level=5)
        runners["PyWavelets"] = lambda: pywt.waverecn(theirs, "haar")
    if importlib.util.find_spec("ptwt"):
        import ptwt

        ndim = "" if len(shape) == 1 else len(shape)
        apart, join = (getattr(ptwt, f"{name}{ndim}") for name in ("wavedec", "waverec"))
        parts = apart(x, "haar", level=5)
        runners["ptwt"] = lambda: join(parts, "haar")
    return Case(f"Haar {name}, back from 5", runners, work=_butterflies(x, 5), share=_share(device))


def _stationary(name: str, shape: tuple[int, ...], level: int, device: str) -> Case:
    x = torch.randn(shape, device=device)
    runners: dict[str, Callable[[], Any]] = {"sigconv": lambda: haar.swt(x, level, trim_approx=True)[0]}
    if device == "cpu":
        import pywt

        a = x.numpy()
        runners["PyWavelets"] = lambda: pywt.swtn(a, "haar", level, trim_approx=True)[0]
    kept = level * (2**x.ndim - 1) + 1  # subbands as large as x
    work = Work((1 + kept) * size(x), float(level * x.numel() * (2 ** (x.ndim + 1) - 2)))
    return Case(f"stationary Haar {name}, levels={level}", runners, work=work)


def _features(device: str) -> Case:
    """All 43,200 horizontal edges of a window of 24 by 24: what a detector's training asks of every sample."""
    kinds = haar.viola_jones(24, ["edge"])[43_200:]
    x = torch.randint(0, 256, (24, 24), device=device)
    runners: dict[str, Callable[[], Any]] = {"sigconv": lambda: haar.boxes(x, kinds).sort(0)[0]}
    if device == "cpu" and importlib.util.find_spec("skimage"):
        from skimage.feature import haar_like_feature

        table = x.numpy().cumsum(0).cumsum(1)
        runners["skimage"] = lambda: np.sort(-haar_like_feature(table, 0, 0, 24, 24, "type-2-x"))
    return Case("43,200 edges of one window", runners)
