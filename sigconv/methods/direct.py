"""The sum itself: by torch's convolution on one to three axes, or by our own kernel where channels are few.

Further axes have their taps folded into the channels: a kernel of K taps along a leading axis is K times as many input
channels of a kernel without that axis, so one call of torch does the work, whatever the number of axes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import taps
from sigconv.kernels._state import readable
from sigconv.methods._problem import Problem

EXACT = True
LOCAL = True
MOST = 3  # axes torch has a convolution for
FEW = 4  # channels a group for which shifted sums beat torch's matrix products
WORTH = 1 << 20  # multiply-accumulates below which torch's call is over before a kernel has begun


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
    """Shifted sums for few channels, else torch; zeros on both sides alike are left to torch, where they are free."""
    if readable(x, weight, bias) and taps.usable(x) and _thin(x, weight, stride, margins, dilation):
        return taps.shifted_sums(x, weight, bias, margins, dilation)
    padding = nd.symmetric(margins)
    if padding is None:
        x, padding = nd.pad(x, margins), [0] * len(margins)
    extra = weight.ndim - 2 - MOST
    if extra > 0:
        return _folded(x, weight, bias, extra, stride, padding, dilation, groups)
    convolution: Any = nd.primitive("conv", weight.ndim - 2)
    return convolution(x, weight, bias, stride, padding, dilation, groups)


def _thin(x: Tensor, weight: Tensor, stride: tuple[int, ...], margins: nd.Margins, dilation: tuple[int, ...]) -> bool:
    """Whether the kernel is worth starting."""
    if weight.shape[1] > FEW or max(stride) > 1 or _channels_last(x):
        return False
    positions = [
        n + b + a - s + 1
        for n, (b, a), s in zip(x.shape[2:], margins, nd.spans(weight.shape[2:], dilation), strict=True)
    ]
    return x.shape[0] * weight.numel() * math.prod(positions) >= WORTH


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
    convolution: Any = nd.primitive("conv", MOST)
    y = convolution(rows, weight.flatten(1, 1 + extra), bias, stride[extra:], padding[extra:], dilation[extra:], groups)
    return y.unflatten(0, (x.shape[0], *positions)).movedim(tuple(range(1, 1 + extra)), tuple(range(2, 2 + extra)))


def _by_taps(problem: Problem) -> bool:
    few = problem.per_group <= FEW and max(problem.stride) == 1 and problem.device in ("cpu", "meta")
    return few and problem.macs >= WORTH and problem.itemsize in (4, 8)


def cost(problem: Problem) -> dict[str, float]:
    """At the matrix unit's speed with many channels; torch is slow on few channels, our kernel is made for them."""
    moved = problem.inputs + problem.outputs
    if _by_taps(problem):
        return {"shifted_call": 1, "shifted_mac": problem.macs, "shifted_moved": moved}
    outs = problem.out_channels // problem.groups
    kind = "dense" if min(problem.per_group, outs) >= 8 else "mixed" if max(problem.per_group, outs) >= 8 else "thin"
    return {"call": 1, f"{kind}_mac": problem.macs, "moved": moved}


def memory(problem: Problem) -> int:
    """The output; padded input; in float64, and on folded axes, the windows torch writes out; a slab per thread."""
    leading = math.prod(problem.kernel_size[: max(len(problem.kernel_size) - MOST, 0)])
    held = 2 * problem.outputs + 2 * problem.inputs * leading
    if _by_taps(problem):
        slabs = torch.get_num_threads() * (problem.per_group + 1) * (4 << 20)
        return problem.itemsize * (held + problem.inputs) + slabs
    if problem.itemsize == 8 or leading > 1:
        held += problem.outputs // max(problem.out_channels, 1) * problem.terms * problem.groups
    return problem.itemsize * 2 * held + (8 << 20)
