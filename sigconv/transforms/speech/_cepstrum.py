"""How spectrograms change, and their cepstra: deltas and MFCC."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sigconv import nd
from sigconv.transforms.speech._spectrogram import MelSpectrogram, power_to_db


def _slope(width: int, order: int) -> Tensor:
    """Weights of `width` samples whose sum is the order-th derivative of the polynomial fitted to them: float64."""
    t = torch.arange(width, dtype=torch.float64) - width // 2
    fit = torch.linalg.pinv(t[:, None] ** torch.arange(order + 1))  # samples -> coefficients
    return math.factorial(order) * fit[order]


@nd.numpy_too
def deltas(x: Tensor, *, width: int = 9, order: int = 1, padding_mode: str = "interp") -> Tensor:
    """How features change along the frames, librosa's: (…, frames) -> the same shape.

    The order-th derivative, per frame, of the polynomial of that degree fitted to the width (odd, at least 3) frames
    around each (Savitzky-Golay); order 2 is the change of the change. At the ends padding_mode says what lies beyond:
    "interp" takes the fit to the first and last width frames, as librosa does and as few frames allow; the others are
    nd.PADDING_MODES, "replicate" being librosa's "nearest" and "reflect" its "mirror". Differentiable, any device.
    Raises ValueError for a width that is even, too narrow for the order, or with "interp" more than the frames.

    >>> deltas(torch.arange(10.0), width=3).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    _checked(width, order, padding_mode)
    if not x.is_floating_point() or x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(f"x is {x.dtype} {tuple(x.shape)}: expected floating (…, frames), one frame at least")
    n, half = x.shape[-1], width // 2
    work = x.to(torch.promote_types(x.dtype, torch.float32))
    weight = _slope(width, order).to(work)
    if padding_mode != "interp":
        return _sliding(nd.section(work, -half, n + half, padding_mode), weight).to(x.dtype)
    if n < width:
        raise ValueError(f"{n} frames are fewer than width={width}: give a shorter width, or padding_mode='replicate'")
    inside = _sliding(work, weight)
    # A polynomial of degree `order` has one order-th derivative everywhere: the ends are their neighbours'.
    return nd.section(inside, -half, n - half, "replicate").to(x.dtype)


def _checked(width: int, order: int, padding_mode: str) -> None:
    nd.count(order, "order")
    if nd.count(width, "width", 3) % 2 == 0 or width <= order:
        raise ValueError(f"width {width} must be odd and above order={order}")
    nd.one_of(padding_mode, ("interp", *nd.PADDING_MODES), "padding_mode")


def _sliding(x: Tensor, weight: Tensor) -> Tensor:
    """The weighted sum at every position of (…, samples)."""
    found = F.conv1d(x.reshape(-1, 1, x.shape[-1]), weight[None, None])
    return found.reshape(*x.shape[:-1], found.shape[-1])


class Deltas(nn.Module):
    """Features with how they change, as channels: (batch, bands, frames) -> (batch, 1 + order, bands, frames).

    Channel 0 is what comes in, 1 its deltas, 2 theirs; options are those of deltas.

    >>> Deltas()(torch.zeros(2, 40, 50)).shape
    torch.Size([2, 3, 40, 50])
    """

    def __init__(self, *, width: int = 9, order: int = 2, padding_mode: str = "interp") -> None:
        super().__init__()
        _checked(width, order, padding_mode)
        self.width, self.order, self.padding_mode = width, order, padding_mode

    def forward(self, x: Tensor) -> Tensor:
        """x and its deltas, stacked before the bands."""
        if x.ndim < 2:
            raise ValueError(f"x has shape {tuple(x.shape)}: expected (…, bands, frames)")
        options: dict[str, Any] = {"width": self.width, "padding_mode": self.padding_mode}
        return torch.stack([x, *(deltas(x, order=k, **options) for k in range(1, self.order + 1))], -3)

    @property
    def reach(self) -> Any:
        """What a frame sees of the others."""
        return nd.Reach(1, self.width // 2, self.width // 2)

    def extra_repr(self) -> str:
        """What print(layer) says."""
        return f"width={self.width}, order={self.order}, padding_mode={self.padding_mode!r}"


def dct(n: int, kept: int) -> Tensor:
    """The orthonormal cosine transform, type 2, of n values, its first rows: float64 (kept, n).

    >>> torch.allclose(dct(5, 5) @ dct(5, 5).T, torch.eye(5, dtype=torch.float64))
    True
    """
    k, i = torch.arange(kept, dtype=torch.float64)[:, None], torch.arange(n, dtype=torch.float64)
    found = torch.cos(math.pi * k * (2 * i + 1) / (2 * n)) * math.sqrt(2 / n)
    found[0] /= math.sqrt(2)
    return found


class MFCC(MelSpectrogram):
    """Mel-frequency cepstral coefficients as a layer: waves (…, samples) -> (…, n_mfcc, frames).

    The cosine transform (type 2, orthonormal) of the bands' decibels, its first n_mfcc (at most n_mels); top_db as
    power_to_db has it, over a whole recording (None: each frame depends on its own samples alone); lifter, in
    coefficients, weighs coefficient i by 1 + lifter/2·sin(pi·(i + 1)/lifter), 0 not at all. Other options are
    MelSpectrogram's; equal to librosa.feature.mfcc of the same. Raises ValueError for more coefficients than bands.

    >>> MFCC(8000, n_mfcc=13)(torch.zeros(2, 8000)).shape
    torch.Size([2, 13, 101])
    """

    basis: Tensor

    def __init__(
        self, fs: float, *, n_mfcc: int = 13, lifter: float = 0.0, top_db: float | None = 80.0, **options: Any
    ) -> None:
        super().__init__(fs, **options)
        bands = len(self.weights)
        if nd.count(n_mfcc, "n_mfcc") > bands:
            raise ValueError(f"n_mfcc {n_mfcc} is more than the {bands} bands: give n_mels={n_mfcc} or more")
        if not lifter >= 0:
            raise ValueError(f"lifter {lifter} must be at least 0")
        basis = dct(bands, n_mfcc)
        if lifter:
            place = torch.arange(1, n_mfcc + 1, dtype=torch.float64)
            basis = basis * (1 + lifter / 2 * torch.sin(math.pi * place / lifter))[:, None]
        self.top_db = top_db
        self.register_buffer("basis", basis.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The coefficients of a wave, or of a batch of waves."""
        work = x.to(torch.promote_types(x.dtype, torch.float32)) if x.is_floating_point() else x
        found = power_to_db(super().forward(work), top_db=self.top_db)
        return (self.basis.to(found) @ found).to(x.dtype)

    @property
    def reach(self) -> Any:
        """What a frame sees of the wave; an AttributeError where top_db makes it see all."""
        if self.top_db is not None:
            raise AttributeError("MFCC with top_db sees the whole recording: give top_db=None")
        return super().reach


@nd.numpy_too
def mfcc(x: Tensor, fs: float, **options: Any) -> Tensor:
    """The cepstral coefficients of waves (…, samples) at fs Hz; options as MFCC's.

    >>> mfcc(torch.zeros(8000), fs=8000).shape
    torch.Size([13, 101])
    """
    return torch.as_tensor(MFCC(fs, **options).to(x.device)(x))
