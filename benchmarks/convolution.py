"""convolution against torch, SciPy and, where installed, julius and fft-conv-pytorch"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

import sigconv as sc
from sigconv.benchmarks import _cupy
from sigconv.benchmarks._ceilings import Work, size
from sigconv.benchmarks._race import Case

LONG = 9_600_000  # samples: ten minutes at 16 kHz


def cases(device: str) -> list[Case]:
    """Long signals, layers, depthwise layers and four dimensions."""
    torch.manual_seed(0)
    found = [_long(taps, goal, device) for taps, goal in ((31, 4.0), (255, 2.0), (4095, 1.5))]
    found += [_dense("dense 1-D 64->64, 9 taps", (4, 64, 16_000), 64, 9, device)]
    found += [_dense("dense 2-D 64->64, 3x3", (4, 64, 96, 96), 64, 3, device)]
    found += [_dense("dense 3-D 64->64, 3x3x3", (4, 64, 32, 32, 32), 64, 3, device)]
    found += [_depthwise(taps, device) for taps in (3, 5, 7)]
    return [*found, _four(device), *_volumes(device), _tokens(device)]


def _long(taps: int, goal: float, device: str) -> Case:
    """One long signal and one filter, same size: what SciPy's overlap-add is for."""
    x, h = torch.randn(LONG, device=device), torch.randn(taps, device=device)
    runners: dict[str, Callable[[], Any]] = {"sigconv": lambda: sc.convolve(x, h, "same")}
    if device == "cpu":
        from scipy import ndimage, signal

        a, b = x.numpy(), h.numpy()
        runners["scipy oaconvolve"] = lambda: signal.oaconvolve(a, b, "same")
        if taps < 100:
            runners["ndimage convolve1d"] = lambda: ndimage.convolve1d(a, b, mode="constant")
    if device == "cuda" and _cupy.at_hand():
        there = _cupy.arrays(x, h)
        runners["cupyx oaconvolve"] = lambda: _cupy.signal().oaconvolve(*there(), "same")
        runners["cupyx convolve1d"] = lambda: _cupy.ndimage().convolve1d(*there(), mode="constant")
    left, right = (taps - 1) // 2, taps // 2
    padded = F.pad(x, (right, left))[None, None]
    turned = h.flip(0)[None, None]
    if importlib.util.find_spec("julius"):
        import julius

        runners["julius fft_conv1d"] = lambda: julius.fft_conv1d(padded, turned)
    if importlib.util.find_spec("fft_conv_pytorch"):
        from fft_conv_pytorch import fft_conv

        runners["fft-conv-pytorch"] = lambda: fft_conv(padded, turned)
    if device != "cpu" or taps < 100:
        runners["torch conv1d"] = lambda: F.conv1d(padded, turned)
    harder = {255: "1-D 9.6 M, 31 taps", 4095: "1-D 9.6 M, 255 taps"}.get(taps, "")
    work = Work(2 * size(x) + size(h), 2.0 * LONG * taps)
    return Case(f"1-D 9.6 M, {taps} taps", runners, goal, harder_than=harder, work=work)


def _dense(name: str, shape: tuple[int, ...], out: int, taps: int, device: str) -> Case:
    """A layer of many channels: torch is at the matrix unit's limit, so not to lose anything is the goal."""
    x = torch.randn(shape, device=device)
    ours = sc.Conv(shape[1], out, taps, padding=taps // 2, ndim=len(shape) - 2, device=device)
    theirs = getattr(torch.nn, f"Conv{len(shape) - 2}d")(shape[1], out, taps, padding=taps // 2, device=device)
    theirs.load_state_dict(ours.state_dict())
    runners = {"sigconv": _no_grad(ours, x), "torch": _no_grad(theirs, x)}
    if device == "cuda" and len(shape) > 3:
        last: Any = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
        runners["torch channels last"] = _no_grad(
            copy.deepcopy(theirs).to(memory_format=last), x.contiguous(memory_format=last)
        )
    positions = x.numel() // shape[1]
    work = Work(size(x, ours.weight) + positions * out * 4, 2.0 * positions * ours.weight.numel())
    return Case(name, runners, 0.95, work=work)


def _no_grad(layer: Callable[[Any], Any], x: torch.Tensor) -> Callable[[], Any]:
    def run() -> Any:
        with torch.no_grad():
            return layer(x)

    return run


def _depthwise(taps: int, device: str) -> Case:
    """A filter to each channel of a volume, channels last in memory, where torch is at its best."""
    x = torch.randn(2, 32, 64, 64, 64, device=device)
    weight = torch.randn(32, 1, taps, taps, taps, device=device)
    last = x.to(memory_format=torch.channels_last_3d)
    runners = {
        "sigconv": lambda: sc.conv(last, weight, padding=taps // 2, groups=32),
        "torch channels last": lambda: F.conv3d(last, weight, None, 1, taps // 2, 1, 32),
        "torch": lambda: F.conv3d(x, weight, None, 1, taps // 2, 1, 32),
    }
    goal = 0.95 if device == "cpu" else 3.0
    return Case(f"depthwise 3-D, {taps}^3, channels last", runners, goal, work=_filtered(x, weight))


def _filtered(x: torch.Tensor, weight: torch.Tensor) -> Work:
    """A filter to each channel: every sample read and one written."""
    return Work(2 * size(x) + size(weight), 2.0 * x.numel() * weight[0].numel())


def _four(device: str) -> Case:
    """Time and space convolved as one, against the double loop of conv3d that torch users write."""
    x, weight = torch.randn(1, 4, 16, 32, 32, 32, device=device), torch.randn(8, 4, 3, 3, 3, 3, device=device)

    def loop() -> torch.Tensor:
        each = lambda t: [F.conv3d(x[:, :, t + k], weight[:, :, k]) for k in range(3)]
        return torch.stack([a + b + c for a, b, c in map(each, range(14))], 2)

    runners = {"sigconv": lambda: sc.conv(x, weight), "double loop of conv3d": loop}
    kept = 14 * 30**3
    work = Work(size(x, weight) + 4 * 8 * kept, 2.0 * kept * weight.numel())
    return Case("4-D 4->8, 3^4", runners, 3.0, work=work)


def _volumes(device: str) -> list[Case]:
    """Depthwise and single-channel volumes as they usually lie in memory."""
    x = torch.randn(2, 32, 64, 64, 64, device=device)
    weight = torch.randn(32, 1, 5, 5, 5, device=device)
    last = lambda: x.to(memory_format=torch.channels_last_3d)
    depthwise = {
        "sigconv": lambda: sc.conv(x, weight, padding=2, groups=32),
        "torch": lambda: F.conv3d(x, weight, None, 1, 2, 1, 32),
        "torch, turned and back": lambda: F.conv3d(last(), weight, None, 1, 2, 1, 32).contiguous(),
    }
    found = [Case("depthwise 3-D, 5^3, contiguous", depthwise, work=_filtered(x, weight))]
    if device == "cpu":
        from scipy import ndimage, signal

        volume, kernel = torch.randn(128, 128, 128), torch.randn(21, 21, 21)
        a, b = volume.numpy(), kernel.numpy()
        wide = {
            "sigconv": lambda: sc.convolve(volume, kernel, "same"),
            "scipy oaconvolve": lambda: signal.oaconvolve(a, b, "same"),
        }
        wide["scipy fftconvolve"] = lambda: signal.fftconvolve(a, b, "same")
        moved = 2 * size(volume)
        found.append(Case("3-D 128^3, 21^3 taps", wide, work=Work(moved, 2.0 * volume.numel() * kernel.numel())))
        small = b[:5, :5, :5].copy()
        near = {
            "sigconv": lambda: sc.convolve(a, small, "same"),
            "ndimage": lambda: ndimage.convolve(a, small, mode="constant"),
        }
        found.append(Case("3-D 128^3, 5^3 taps", near, work=Work(moved, 2.0 * volume.numel() * 125)))
    return found


def _tokens(device: str) -> Case:
    """The first layer of a DNA model: integers looked up, against one-hot channels."""
    tokens = torch.randint(0, 4, (64, 1000), device=device)
    weight = torch.randn(256, 4, 24, device=device)
    hot = F.one_hot(tokens, 4).movedim(-1, 1).float().contiguous()
    runners = {"sigconv": lambda: sc.conv(tokens, weight), "torch, one-hot": lambda: F.conv1d(hot, weight)}
    kept = 64 * 977 * 256
    goal = 3.0 if device == "cuda" else None
    work = Work(size(tokens, weight) + 4 * kept, 24.0 * kept)  # a number looked up and added a tap
    return Case("tokens 64 x 1000, 256 filters of 24", runners, goal, work=work)
