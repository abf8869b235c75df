"""The sum as torch computes it, on one to three axes; further axes have their taps folded into the channels.

A kernel of K taps along a leading axis is K times as many input channels of a kernel without that axis: one call of
torch's own convolution then does the work, whatever the number of axes.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from sigconv import nd
from sigconv.methods._problem import Problem

EXACT = True
MOST = 3  # axes torch has a convolution for


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
    """torch's convolution; zeros on both sides alike are left to it, for they cost nothing there."""
    padding = nd.symmetric(margins)
    if padding is None:
        x, padding = nd.pad(x, margins), [0] * len(margins)
    extra = weight.ndim - 2 - MOST
    if extra > 0:
        return _folded(x, weight, bias, extra, stride, padding, dilation, groups)
    convolution: Any = nd.primitive("conv", weight.ndim - 2)
    return convolution(x, weight, bias, stride, padding, dilation, groups)


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


def cost(problem: Problem) -> float:
    """At the matrix unit's speed with many channels; torch is slow on long kernels of few channels."""
    channels = problem.in_channels // max(problem.groups, 1)
    speed = 80e9 if channels >= 8 else 8e9 if math.prod(problem.kernel_size) <= 64 else 2e9
    return 10e-6 + problem.macs / speed + problem.bytes / 10e9
