"""What poolings over windows share: options as numbers per axis, borders, and the taps every window is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigconv import nd

HALVES = (torch.float16, torch.bfloat16)


class Windows(NamedTuple):
    """A pooling's windows, a number per axis."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    margins: nd.Margins
    overhang: nd.Margins  # samples missing after the margins for the last window of ceil_mode
    positions: tuple[int, ...]

    @property
    def samples(self) -> int:
        """Samples of a window."""
        return math.prod(self.kernel_size)

    def padded(self, x: Tensor, padding_mode: Any, value: Any, outside: float) -> Tensor:
        """x with its borders. Where padding_mode is None, and over the end in ceil_mode, stands what does not count."""
        mode, fill = ("constant", outside) if padding_mode is None else (padding_mode, value)
        return nd.pad(nd.pad(x, self.margins, mode, fill), self.overhang, "constant", outside)


def resolve(x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Windows:
    """Options as numbers per axis; stride None means windows side by side."""
    if x.ndim < 3:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: expected (batch, channels, *space) with at least one axis of space"
        )
    ndim = x.ndim - 2
    kernel_size = nd.ntuple(kernel_size, ndim, "kernel_size")
    stride = kernel_size if stride is None else nd.ntuple(stride, ndim, "stride")
    dilation = nd.ntuple(dilation, ndim, "dilation")
    margins = nd.margins(padding, kernel_size, dilation)
    positions = nd.output_size(x.shape[2:], kernel_size, stride, dilation, margins, ceil_mode=ceil_mode)
    if not ceil_mode:
        return Windows(kernel_size, stride, dilation, margins, ((0, 0),) * ndim, positions)
    rows = zip(x.shape[2:], positions, stride, nd.spans(kernel_size, dilation), margins, strict=True)
    overhang = tuple((0, max((p - 1) * s + span - n - before - after, 0)) for n, p, s, span, (before, after) in rows)
    return Windows(kernel_size, stride, dilation, margins, overhang, positions)


def torch_does(x: Tensor, windows: Windows) -> list[int] | None:
    """The padding to hand to torch's own pooling where it has one for this case: floats, not empty, even margins."""
    padding = nd.symmetric(windows.margins)
    if padding is None or x.ndim - 2 > 3 or 0 in x.shape or not x.is_floating_point():
        return None
    fits = all(2 * p <= k for p, k in zip(padding, windows.kernel_size, strict=True))
    fits = fits and max(*windows.kernel_size, *windows.stride, *windows.dilation) < 2**31  # torch's are of 32 bits
    return padding if fits else None


def inside(windows: Windows, size: Sequence[int] | None = None) -> None:
    """Refuse windows wholly outside the input: where padded samples do not count, nothing would be left of them."""
    rows = zip(nd.spans(windows.kernel_size, windows.dilation), windows.margins, windows.dilation, strict=True)
    for axis, (span, margin, gap) in enumerate(rows):
        steps_over = size is not None and gap > size[axis] and max(margin) > 0
        if max(margin) >= span or steps_over:
            raise ValueError(
                f"padding {margin} on axis {axis} leaves windows of {span} samples wholly outside: "
                "pad less, or let a padding_mode say what stands there"
            )


def real(x: Tensor, name: str) -> Tensor:
    """x in a dtype fit for sums: halves in float32; TypeError for what is not real and floating."""
    if not x.is_floating_point():
        raise TypeError(f"x is {x.dtype}: {name} takes floating values; convert it, for example by x.float()")
    return x.float() if x.dtype in HALVES else x


def no_index(padding_mode: Any, ndim: int) -> None:
    """Refuse indices where a border puts in what stands nowhere in x."""
    if {"zeros", "constant"} & set(nd.border_modes(padding_mode or "replicate", ndim)):
        raise ValueError(f"padding_mode {padding_mode!r} has no index to return for a sample beyond the border")


def origin(x: Tensor, windows: Windows, padding_mode: Any, place: Tensor) -> Tensor:
    """The index in x's flattened space of a place in the padded one: a border repeats samples, and their indices.

    Where padded samples do not count, one that ties with all of its window stands for the window's first of x.
    """
    if not any(side for margin in (*windows.margins, *windows.overhang) for side in margin):
        return place
    if padding_mode is None:
        return _first_inside(x, windows, place)
    indices = torch.arange(math.prod(x.shape[2:]), device=x.device).reshape(1, 1, *x.shape[2:])
    indices = nd.pad(indices, windows.margins, padding_mode or "replicate")
    return nd.pad(indices, windows.overhang, "replicate").flatten()[place]


def _first_inside(x: Tensor, windows: Windows, place: Tensor) -> Tensor:
    """The index of a place in the padded space, or, where it lies outside of x, of its window's first tap within."""
    ndim, rest = len(windows.kernel_size), place
    index, first, outside = torch.zeros_like(place), torch.zeros_like(place), torch.zeros_like(place, dtype=torch.bool)
    step = 1
    for axis in reversed(range(ndim)):
        n, (before, after), (_, over) = x.shape[2 + axis], windows.margins[axis], windows.overhang[axis]
        at, rest = rest % (n + before + after + over) - before, rest // (n + before + after + over)
        gap, shape = windows.dilation[axis], [-1, *[1] * (ndim - 1 - axis)]
        start = (torch.arange(windows.positions[axis], device=x.device) * windows.stride[axis] - before).reshape(shape)
        inner = torch.where(start < 0, start % gap, start)  # the first tap that is not before x
        outside |= (at < 0) | (at >= n)
        index, first, step = index + at * step, first + inner * step, step * n
    return torch.where(outside, first, index)


def counts(x: Tensor, windows: Windows, include: bool) -> Tensor:
    """Samples in each window, (*positions): on each axis those inside its bounds, and their product over the axes.

    include counts a margin's samples too; what hangs over the end in ceil_mode never counts.
    """
    kind = torch.float64 if x.dtype in (torch.float64, torch.complex128) else torch.float32
    total = torch.ones((), device=x.device, dtype=kind)
    for axis, (n, margin) in enumerate(zip(x.shape[2:], windows.margins, strict=True)):
        inner = nd.pad(torch.ones(n, device=x.device, dtype=kind), (margin,), "constant", float(include))
        inner = nd.pad(inner, (windows.overhang[axis],))
        options = ((option[axis],) for option in windows[:3])
        total = total.unsqueeze(-1) * nd.windows(inner, *options).sum(-1)
    return total
