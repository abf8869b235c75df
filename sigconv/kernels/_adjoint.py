"""The two halves of a convolution's derivative, as the lectures write them: the filter inverted, the tied sum."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def inverted(weight: Tensor, groups: int) -> Tensor:
    """The filter that carries an output's gradient back to the input: turned over in space, regrouped in channels.

    a b c … i becomes i h g … a (BP1), and 20 filters of 3 slices become 3 filters of 20 (BP2):
    (out_channels, in_channels / groups, *kernel_size) -> (in_channels, out_channels / groups, *kernel_size).

    >>> inverted(torch.arange(60.0).reshape(20, 3, 1), groups=1).shape
    torch.Size([3, 20, 1])
    """
    turned = weight.flip(tuple(range(2, weight.ndim)))
    return turned.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)


def tied_sum(
    x: Tensor, g: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], groups: int
) -> Tensor:
    """The gradient of a weight: a tap is shared by all positions, so theirs are summed (BP3), one tap at a time.

    x is the padded input, g the gradient of the outputs; memory stays that of one shifted copy of x.
    """
    ndim = len(kernel_size)
    positions = g.shape[2:]
    outputs = g.unflatten(1, (groups, -1)).flatten(3)
    taps = []
    for tap in torch.cartesian_prod(*[torch.arange(k) for k in kernel_size]).reshape(-1, ndim).tolist():
        seen = x
        for axis, (t, s, d, p) in enumerate(zip(tap, stride, dilation, positions, strict=True)):
            seen = seen.narrow(2 + axis, t * d, (p - 1) * s + 1)
            if s > 1:
                seen = seen[(slice(None),) * (2 + axis) + (slice(None, None, s),)]
        inputs = seen.unflatten(1, (groups, -1)).flatten(3)
        taps.append(torch.einsum("bgop,bgcp->goc", outputs, inputs).flatten(0, 1))
    return torch.stack(taps, -1).unflatten(-1, tuple(kernel_size))
