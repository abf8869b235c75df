"""filter banks against SciPy, OpenCV and torch: speech (W1), images (W5), volumes dense and strided (W4)"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from sigconv.benchmarks import _cupy
from sigconv.benchmarks._ceilings import Work, size
from sigconv.benchmarks._race import Case
from sigconv.filters import FilterBank, gabor


def cases(device: str) -> list[Case]:
    """Complex Gabor banks, every response kept."""
    torch.manual_seed(0)
    found = [_speech(1, device), _speech(160, device), _images(device)]
    return [*found, _volume(1, device), _volume(4, device), _thinned(device), _volume(1, device, 900_000_000)]


def _speech(stride: int, device: str) -> Case:
    """40 filters of 401 taps over ten seconds at 16 kHz."""
    centres = torch.logspace(math.log10(80), math.log10(7000), 40, dtype=torch.float64)
    bank = gabor.bank(centres, 400 / 16000 / 6, size=401, fs=16000).to(device)
    x = torch.randn(1, 1, 160_000, device=device)
    runners: dict[str, Callable[[], Any]] = {"sigconv": lambda: bank(x, stride=stride)[0]}
    taps = bank.kernels.to(torch.complex64)
    weight = torch.cat([taps.real, taps.imag]).flip(-1).unsqueeze(1)

    def torchs() -> Any:
        both = F.conv1d(x, weight, padding=200, stride=stride)[0]
        return torch.complex(both[:40], both[40:])

    runners["torch conv1d"] = torchs
    if device == "cpu" and stride == 1:
        from scipy import signal

        a, h = x[0].numpy(), taps.numpy()
        # mode "same" would crop to one row, that of a: one response instead of 40
        runners["scipy oaconvolve"] = lambda: signal.oaconvolve(a, h, axes=1)[:, 200:-200]
        runners["scipy fftconvolve"] = lambda: signal.fftconvolve(a, h, axes=1)[:, 200:-200]
    name = f"W1 40 x 401 complex, 10 s, stride {stride}"
    kept = 40 * (160_000 // stride)
    work = Work(size(x) + 8 * kept, 2.0 * 2 * 401 * kept)  # two real filters, direct
    return Case(name, runners, 1.7 if stride == 1 else None, work=work)


def _images(device: str) -> Case:
    """8 directions at 5 scales, sigma 2 to 10, windows of three sigmas, over 1024 x 1024."""
    sigmas = [2.0, 4.0, 6.0, 8.0, 10.0]
    bank = _round(sigmas, gabor.directions(8, 2), device)
    x = torch.randn(1, 1, 1024, 1024, device=device)
    runners: dict[str, Callable[[], Any]] = {"sigconv": lambda: bank(x)[0]}
    if device == "cpu":
        runners |= _scipys(x, bank, 1)
        if importlib.util.find_spec("cv2"):
            runners["OpenCV filter2D"] = _opencv(x, bank)
    if device == "cuda":
        runners |= _gpus(x, bank, 1)
    return Case("W5 40 complex, 1024^2", runners, 2.0, work=_spectra(x, 40, 1))


def _opencv(x: torch.Tensor, bank: FilterBank) -> Callable[[], Any]:
    import cv2

    image = x[0, 0].numpy()
    filters = [k.flip(0, 1).to(torch.complex64) for k in _trimmed(bank)]

    def run() -> Any:
        y = np.empty((len(filters), *image.shape), np.complex64)
        for n, k in enumerate(filters):
            for part, out in ((k.real, y.real), (k.imag, y.imag)):
                taps = part.contiguous().numpy()
                out[n] = cv2.filter2D(image, cv2.CV_32F, taps, borderType=cv2.BORDER_CONSTANT)
        return y

    return run


def _volume(stride: int, device: str, cap: int | None = None) -> Case:
    """13 directions at 3 scales, sigma 2, 4 and 6, windows of three sigmas, over 128 x 128 x 128."""
    bank = _round([2.0, 4.0, 6.0], gabor.directions(13, 3), device)
    x = torch.randn(1, 1, 128, 128, 128, device=device)
    runners: dict[str, Callable[[], Any]] = {"sigconv": lambda: bank(x, stride=stride, memory=cap)[0]}
    if device == "cpu" and cap is None:
        runners |= _scipys(x, bank, stride)
    if device == "cuda" and cap is None:
        runners |= _gpus(x, bank, stride)
    work, far = _spectra(x, 39, stride), device == "cuda"
    if cap is not None:
        return Case(f"W4 39 complex, 128^3, in {cap / 1e6:.0f} MB", runners, cap=cap, work=work)
    goal = 3.0 if stride == 1 else 15.0
    share = 1 / 6 if far and stride == 1 else None
    return Case(f"W4 39 complex, 128^3, stride {stride}", runners, goal, work=work, share=share)


def _thinned(device: str) -> Case:
    """What a stride saves: every fourth voxel alone against all of them, of which every fourth is taken."""
    bank = _round([2.0, 4.0, 6.0], gabor.directions(13, 3), device)
    x = torch.randn(1, 1, 128, 128, 128, device=device)
    dense = lambda: torch.as_tensor(bank(x))[0][:, ::4, ::4, ::4]
    runners: dict[str, Callable[[], Any]] = {"stride 4": lambda: bank(x, stride=4)[0], "dense, every 4th": dense}
    return Case(
        "W4 39 complex, 128^3, stride 4 or dense", runners, 4.0 if device == "cuda" else None, work=_spectra(x, 39, 4)
    )


def _spectra(x: torch.Tensor, filters: int, stride: int) -> Work:
    """Read once, complex answers written; operations of one transform there, and a product and one back for each."""
    n, kept = x.numel(), x.numel() // stride ** (x.ndim - 2)
    back = filters * (6.0 * n + 5.0 * kept * math.log2(kept))
    return Work(size(x) + filters * kept * 8, 5.0 * n * math.log2(n) + back)


def _round(sigmas: list[float], directions: torch.Tensor, device: str) -> FilterBank:
    """Gabors one octave wide."""
    waves = torch.cat([directions * (gabor.sigma_of(1.0) / s) for s in sigmas])
    widths = torch.tensor(sigmas, dtype=torch.float64).repeat_interleave(len(directions))
    return gabor.bank(waves, widths, truncate=3.0).to(device)


def _trimmed(bank: FilterBank) -> list[torch.Tensor]:
    """Each kernel without the zeros around it: peers are given no more work than there is."""
    found = []
    for k in bank.kernels:
        half = [int((axis - n // 2).abs().max()) for axis, n in zip(k.nonzero().T, k.shape, strict=True)]
        found.append(k[tuple(slice(n // 2 - h, n // 2 + h + 1) for n, h in zip(k.shape, half, strict=True))])
    return found


def _scipys(x: torch.Tensor, bank: FilterBank, stride: int) -> dict[str, Callable[[], Any]]:
    """A filter at a time; with one worker, as SciPy has by default, and with as many as torch has threads."""
    from scipy import fft, signal

    a, filters = x[0, 0].numpy(), [k.to(torch.complex64).numpy() for k in _trimmed(bank)]
    kept = (slice(None, None, stride),) * a.ndim

    def each(method: Callable[..., Any], workers: int) -> Callable[[], Any]:
        def run() -> Any:
            shape = [-(-n // stride) for n in a.shape]
            y = np.empty((len(filters), *shape), np.complex64)
            with fft.set_workers(workers):
                for n, k in enumerate(filters):
                    y[n] = method(a, k, "same")[kept]
            return y

        return run

    found = {f"scipy fftconvolve x{w}": each(signal.fftconvolve, w) for w in {1, torch.get_num_threads()}}
    return found | {"scipy oaconvolve": each(signal.oaconvolve, 1)}


def _gpus(x: torch.Tensor, bank: FilterBank, stride: int) -> dict[str, Callable[[], Any]]:
    """torch's own transforms, the signal's once and a filter's ready beforehand; CuPy's SciPy where it is installed."""
    filters, kept = [k.to(torch.complex64) for k in _trimmed(bank)], (..., *[slice(None, None, stride)] * (x.ndim - 2))
    shape = [n + max(k.shape[axis] for k in filters) - 1 for axis, n in enumerate(x.shape[2:])]
    spectra = [torch.fft.fftn(k, s=shape) for k in filters]
    middles = [tuple(slice(k // 2, k // 2 + n) for k, n in zip(f.shape, x.shape[2:], strict=True)) for f in filters]

    def spectral() -> torch.Tensor:
        there = torch.fft.fftn(x[0, 0], s=shape)
        pairs = zip(spectra, middles, strict=True)
        return torch.stack([torch.fft.ifftn(there * f)[middle][kept] for f, middle in pairs])

    found: dict[str, Callable[[], Any]] = {"torch.fft": spectral}
    if _cupy.at_hand():
        there = _cupy.arrays(x[0, 0], *filters)
        each = lambda: [_cupy.signal().fftconvolve(there()[0], k, "same")[kept] for k in there()[1:]]
        found["cupyx fftconvolve"] = lambda: _cupy.stack(each())
    return found
