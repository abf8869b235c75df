"""The sum itself: by torch's convolution on one to three axes, or by our own kernels where channels are few.

Further axes have their taps folded into the channels: a kernel of K taps along a leading axis is K times as many input
channels of a kernel without that axis, so one call of torch does the work, whatever the number of axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import depthwise, precise, taps
from sigconv.kernels._layout import slab
from sigconv.kernels._numba import numba_at_hand
from sigconv.kernels._state import readable
from sigconv.methods import _prices
from sigconv.methods._problem import Problem

EXACT = True
LOCAL = True
MOST = 3  # axes torch has a convolution for
LANES = 32  # output channels a group from which torch's matrix products are at full speed
WORTH = 1 << 20  # multiply-accumulates below which torch's call is over before a kernel has begun
DEPTHWISE = (3, 4)  # axes on which torch's depthwise layers are slow on CUDA: pytorch#37406, and folded axes
MANY, FEW, NEAR = 8, 11, 1 << 22  # channels at least; taps along an axis, and values in and out, at most
ROOM = 8 << 20  # bytes of a thread's slab: more would fall out of its cache


def correlate(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: tuple[int, ...],
    margins: nd.Margins,
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """Shifted sums where they are cheaper, else torch; zeros on both sides alike are left to torch, free of cost."""
    if readable(x, weight, bias) and taps.usable(x) and not _channels_last(x):
        shape = _Shape.of(x, weight, stride, margins, dilation, groups)
        if shape.by_taps():
            return taps.shifted_sums(x, weight, bias, margins, dilation)
    alone = weight.shape[1] == 1 < groups and weight.ndim - 2 in DEPTHWISE
    if alone and depthwise.usable(x, weight, bias):
        return depthwise.depthwise(x, weight, bias, stride, margins, dilation)
    padding = nd.symmetric(margins)
    if padding is None:
        x, padding = nd.pad(x, margins), [0] * len(margins)
    extra = weight.ndim - 2 - MOST
    if extra > 0:
        return _folded(x, weight, bias, extra, stride, padding, dilation, groups)
    return precise.convolution(x, weight, bias, stride, padding, dilation, groups)


class _Shape(NamedTuple):
    """What decides between torch and our kernel."""

    macs: int
    outs: int  # output channels of a group
    moved: int  # values in and out
    slab: int  # bytes a thread lays out
    dense: bool  # stride 1
    dtype: torch.dtype
    layers: bool  # a filter to each channel, in the reach of torch's own kernel for that

    @classmethod
    def of(cls, x: Tensor, weight: Tensor, stride: tuple, margins: nd.Margins, dilation: tuple, groups: int) -> _Shape:
        span = nd.spans(weight.shape[2:], dilation)
        padded = [n + b + a for n, (b, a) in zip(x.shape[2:], margins, strict=True)]
        outputs = x.shape[0] * math.prod((n - s) // step + 1 for n, s, step in zip(padded, span, stride, strict=True))
        moved = x.numel() + outputs * weight.shape[0]
        laid = slab(padded, span, weight.shape[1], x.element_size())
        layers = _of_layers(weight.shape, groups, moved, x.dtype)
        return cls(outputs * weight.numel(), weight.shape[0] // groups, moved, laid, max(stride) == 1, x.dtype, layers)

    def by_taps(self) -> bool:
        """Whether the kernel is cheaper by the cost table."""
        if not self.dense or self.macs < WORTH or self.slab > ROOM:
            return False
        ours, torchs = self.shifted(), self.torchs()
        return _prices.seconds("direct", ours, self.dtype, "cpu") < _prices.seconds("direct", torchs, self.dtype, "cpu")

    def shifted(self) -> dict[str, float]:
        return {"shifted_call": 1, "shifted_mac": self.macs, "shifted_moved": self.moved}

    def torchs(self) -> dict[str, float]:
        if self.layers:
            return {"call": 1, "layer_mac": self.macs, "layer_moved": self.moved}
        return {"call": 1, "lane_mac": self.macs / max(min(self.outs, LANES), 1), "moved": self.moved}


def _of_layers(weight: Sequence[int], groups: int, moved: int, dtype: torch.dtype) -> bool:
    """Whether torch has a kernel at the limit of memory for it: many channels, few taps, what stays in the cache."""
    outs, inner, *kernel = weight
    alone = inner == 1 and outs == groups >= MANY
    return alone and dtype == torch.float32 and max(kernel) <= FEW and moved <= NEAR


def _channels_last(x: Tensor) -> bool:
    """Whether x lies with its channels innermost: there torch's own depthwise convolution is at its best."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.ndim in formats and x.is_contiguous(memory_format=formats[x.ndim]) and not x.is_contiguous()


def _folded(x, weight, bias, extra, stride, padding, dilation, groups) -> Tensor:
    """The first `extra` axes as channels: (b, c, *lead, *rest) -> (b·positions, c·taps, *rest)."""
    x = nd.pad(x, (*((p, p) for p in padding[:extra]), *[(0, 0)] * MOST))
    lead = x.movedim(tuple(range(-MOST, 0)), tuple(range(2, 2 + MOST)))  # b, c, *rest, *lead
    lead = nd.windows(lead, weight.shape[2 : 2 + extra], stride[:extra], dilation[:extra])
    positions = lead.shape[2 + MOST : 2 + MOST + extra]
    order = [0, *range(5, 5 + extra), 1, *range(5 + extra, 5 + 2 * extra), 2, 3, 4]  # b, *positions, c, *taps, *rest
    rows = lead.permute(order).flatten(1 + extra, 1 + 2 * extra).flatten(0, extra)
    options = (stride[extra:], padding[extra:], dilation[extra:], groups)
    y = precise.convolution(rows, weight.flatten(1, 1 + extra), bias, *options)
    return y.unflatten(0, (x.shape[0], *positions)).movedim(tuple(range(1, 1 + extra)), tuple(range(2, 2 + extra)))


def _shape(problem: Problem) -> _Shape:
    moved, outs = problem.inputs + problem.outputs, problem.out_channels // problem.groups
    laid = slab(problem.padded, problem.span, problem.per_group, problem.itemsize)
    weight = problem.out_channels, problem.per_group, *problem.kernel_size
    layers = _of_layers(weight, problem.groups, moved, problem.dtype)
    return _Shape(problem.macs, outs, moved, laid, max(problem.stride) == 1, problem.dtype, layers)


def _by_taps(problem: Problem) -> bool:
    return problem.device in ("cpu", "meta") and numba_at_hand() and _shape(problem).by_taps()


def cost(problem: Problem) -> dict[str, float]:
    """As torch's matrix products go, the slower the fewer output channels; or as our kernel does."""
    shape = _shape(problem)
    return shape.shifted() if _by_taps(problem) else shape.torchs()


def memory(problem: Problem) -> int:
    """The output; padded input; in float64, and on folded axes, the windows torch writes out; a slab per thread."""
    leading = math.prod(problem.kernel_size[: max(len(problem.kernel_size) - MOST, 0)])
    held = 2 * problem.outputs + 2 * problem.inputs * leading
    if _by_taps(problem):
        slabs = torch.get_num_threads() * 2 * _shape(problem).slab
        return problem.itemsize * (problem.outputs + 2 * problem.inputs) + slabs + (16 << 20)
    if problem.itemsize == 8 or leading > 1:
        held += problem.outputs // max(problem.out_channels, 1) * problem.terms * problem.groups
    return problem.itemsize * 2 * held + (16 << 20)
