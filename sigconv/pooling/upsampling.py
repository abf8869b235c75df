"""Upsampling: by repeating samples, by linear interpolation, or by weights that are learned (PL8, PL10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import methods, nd
from sigconv.pooling._derive import Pool, layer
from sigconv.pooling._options import PER_AXIS
from sigconv.pooling._windows import HALVES

MODES = ("nearest", "linear", "transposed")


class Weighted(Pool):
    """mode="transposed" takes channels=n and ndim=N: a transposed convolution a channel, linear interpolation at first.

    scale_factor is whole there, and its weights (channels, 1, *kernel_size) are to be trained.
    """

    given = ("weight",)

    def hold(self, *, channels: int | None = None, ndim: int | None = None) -> None:
        """The weights of the transposed convolution."""
        self.weight = None
        mode = nd.one_of(self.options.get("mode", "nearest"), MODES, "mode")
        if (mode == "transposed") != (channels is not None):
            raise ValueError(
                f"channels {channels} with mode {mode!r}: 'transposed', and only it, has weights a channel"
            )
        if channels is not None:
            scale = self.options.get("scale_factor")
            if ndim is None and not isinstance(scale, Sequence):
                raise ValueError("mode 'transposed' needs ndim, the number of spatial axes, to make its weights")
            scale = nd.ntuple(scale, ndim or len(scale), "scale_factor")  # type: ignore[arg-type]
            self.weight = nn.Parameter(
                linear_weight(scale).repeat(nd.count(channels, "channels"), 1, *[1] * len(scale))
            )

    def held(self) -> dict[str, Any]:
        """The weights, where there are any."""
        return {} if self.weight is None else {"weight": self.weight}


@layer("Upsample", Weighted)
@nd.numpy_too
def upsample(
    x: Tensor,
    scale_factor: Any = None,
    *,
    size: Any = None,
    mode: str = "nearest",
    align_corners: bool = False,
    weight: Tensor | None = None,
) -> Tensor:
    """x with more (or fewer) samples on every axis, in any number of axes.

    x (batch, channels, *space) -> (batch, channels, *floor(space · scale_factor)), or *size; each one number or one per
    axis. mode "nearest" repeats samples; "linear" interpolates between neighbours along every axis (bilinear in 2-D,
    trilinear in 3-D), with align_corners so that first and last samples stay first and last: both equal torch's in 1-3
    axes. "transposed" is a transposed convolution, channels apart, with weight (channels, 1, *2·scale - scale % 2),
    the border repeated. Any dtype for nearest, floating for the others. Raises ValueError for sizes below 1.

    >>> import torch
    >>> upsample(torch.tensor([[[1.0, 2.0]]]), size=3, mode="linear")
    tensor([[[1.0000, 1.5000, 2.0000]]])
    """
    nd.one_of(mode, MODES, "mode")
    if x.ndim < 3 or 0 in x.shape[2:]:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, channels, *space), none of space empty")
    if mode != "nearest" and not x.is_floating_point():
        raise TypeError(f"x is {x.dtype}: mode {mode!r} takes floating values; convert it, for example by x.float()")
    if align_corners and mode != "linear":
        raise ValueError(f"align_corners=True has no meaning for mode {mode!r}: it is for 'linear'")
    if mode == "transposed":
        return _transposed(x, scale_factor, size, weight)
    ndim = x.ndim - 2
    scales, sizes = _sizes(x, scale_factor, size)
    nd.holdable((*x.shape[:2], *sizes), "output", "scale_factor and size")
    if ndim <= len(TORCH) and x.is_floating_point() and x.numel():
        chosen = {"scale_factor": scales} if size is None else {"size": sizes}
        corners = align_corners if mode == "linear" else None
        name = TORCH[ndim - 1] if mode == "linear" else mode
        return nn.functional.interpolate(x, mode=name, align_corners=corners, **chosen)
    y = x.float() if x.dtype in HALVES and mode == "linear" else x
    for dim, (m, scale) in enumerate(zip(sizes, scales, strict=True), start=2):
        y = _nearest(y, dim, m, scale) if mode == "nearest" else _linear(y, dim, m, scale, align_corners)
    return y.to(x.dtype)


TORCH = ("linear", "bilinear", "trilinear")  # torch's words for mode "linear" on one, two and three axes


def _sizes(x: Tensor, scale_factor: Any, size: Any) -> tuple[list[float], tuple[int, ...]]:
    """The scale and the new size of every axis."""
    ndim = x.ndim - 2
    if (scale_factor is None) == (size is None):
        raise ValueError(f"scale_factor {scale_factor} and size {size}: give one of them")
    if size is not None:
        sizes = nd.ntuple(size, ndim, "size")
        return [m / n for m, n in zip(sizes, x.shape[2:], strict=True)], sizes
    PER_AXIS["scale_factor"](scale_factor, "scale_factor")
    scales = list(scale_factor) if isinstance(scale_factor, Sequence) else [scale_factor] * ndim
    if len(scales) != ndim:
        raise ValueError(f"scale_factor {scale_factor} has {len(scales)} entries for {ndim} spatial axes")
    scales = [float(scale) for scale in scales]
    return scales, nd.ntuple([int(n * s) for n, s in zip(x.shape[2:], scales, strict=True)], ndim, "size")


def _nearest(x: Tensor, dim: int, m: int, scale: float) -> Tensor:
    """Sample floor(i / scale) at i."""
    steps = torch.tensor(1 / scale, dtype=torch.float32, device=x.device)  # as torch counts them
    places = (torch.arange(m, device=x.device, dtype=torch.float32) * steps).long()
    return x.index_select(dim, places.clamp(max=x.shape[dim] - 1))


def _linear(x: Tensor, dim: int, m: int, scale: float, align_corners: bool) -> Tensor:
    """Between the two samples on either side, by the distance to each."""
    n = x.shape[dim]
    if m == n:
        return x
    i = torch.arange(m, device=x.device, dtype=torch.float64)
    place = i * ((n - 1) / max(m - 1, 1)) if align_corners else ((i + 0.5) / scale - 0.5).clamp(min=0)
    low = place.long().clamp(max=n - 1)
    part = (place - low).to(x.dtype).reshape(-1, *[1] * (x.ndim - 1 - dim))
    first, second = x.index_select(dim, low), x.index_select(dim, (low + 1).clamp(max=n - 1))
    return first * (1 - part) + second * part


def linear_weight(scale: Sequence[int]) -> Tensor:
    """The weights (1, 1, *kernel_size) by which a transposed convolution interpolates linearly.

    >>> linear_weight((2,))
    tensor([[[0.2500, 0.7500, 0.7500, 0.2500]]])
    """
    weight = torch.ones(())
    for s in scale:
        taps = torch.arange(2 * s - s % 2)
        weight = weight.unsqueeze(-1) * (1 - (taps - (len(taps) - 1) / 2).abs() / s)
    return weight[None, None]


def _transposed(x: Tensor, scale_factor: Any, size: Any, weight: Tensor | None) -> Tensor:
    """The border is repeated by one sample, spread out, and what lies beyond is cut off."""
    ndim = x.ndim - 2
    if size is not None or weight is None:
        raise ValueError("mode 'transposed' takes a scale_factor, not a size, and a weight: Upsample(…) makes it")
    scale = nd.ntuple(scale_factor, ndim, "scale_factor")
    expected = (x.shape[1], 1, *(2 * s - s % 2 for s in scale))
    if tuple(weight.shape) != expected:
        raise ValueError(f"weight has shape {tuple(weight.shape)}: expected {expected} for x {tuple(x.shape)}")
    around = nd.pad(x, ((1, 1),) * ndim, "replicate")
    zeros = ((0, 0),) * ndim
    grown = tuple((p - 1) * s + k for p, s, k in zip(around.shape[2:], scale, weight.shape[2:], strict=True))
    y = methods.input_gradient(
        around, weight.to(x.dtype), size=grown, stride=scale, margins=zeros, dilation=(1,) * ndim, groups=x.shape[1],
        correlate=methods.correlate,
    )  # fmt: skip
    for dim, (n, s, k) in enumerate(zip(x.shape[2:], scale, weight.shape[2:], strict=True), start=2):
        y = y.narrow(dim, s + (k - s) // 2, n * s)
    return y
