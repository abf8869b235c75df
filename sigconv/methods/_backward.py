"""A convolution's derivative, which is convolution again: written out for teaching, tests and conv_transpose.

    ∂R/∂x = the outputs' gradient, spread by the stride, correlated with the inverted, regrouped filter (BP1, BP2, BP5)
    ∂R/∂w = the input correlated with the outputs' gradient: a tap is tied over all positions, so they sum (BP3)

An input's gradient is zero outside the windows that see it (BP4). For filters a b c … i the filter on the way back
is i h g … a; 20 filters of 3 slices become 3 filters of 20 slices. With stride s, s - 1 zeros stand between the
gradients; with dilation d the filter keeps its dilation. The padding's adjoint is nd.unpad.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels._adjoint import inverted

Correlate = Callable[..., Tensor]


def input_gradient(
    g: Tensor,
    weight: Tensor,
    *,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    margins: nd.Margins,
    dilation: tuple[int, ...],
    groups: int,
    correlate: Correlate,
) -> Tensor:
    """The gradient of an input of this size (without its margins of zeros): the transpose of the layer's matrix."""
    span = nd.spans(weight.shape[2:], dilation)
    rows = list(zip(size, margins, span, stride, g.shape[2:], strict=True))
    rest = [n + b + a - reach - (p - 1) * s for n, (b, a), reach, s, p in rows]
    g = nd.spread(g, stride, rest)
    for axis, (_, (before, after), reach, _, _) in enumerate(rows, start=2):  # beyond the kernel's reach: zeros only
        first, last = max(before - reach + 1, 0), max(after - reach + 1, 0)
        g = g.narrow(axis, first, g.shape[axis] - first - last)
    around = tuple((max(reach - 1 - b, 0), max(reach - 1 - a, 0)) for _, (b, a), reach, _, _ in rows)
    ones = (1,) * len(size)
    return correlate(g, inverted(weight, groups), None, stride=ones, margins=around, dilation=dilation, groups=groups)


def weight_gradient(
    x: Tensor,
    g: Tensor,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    margins: nd.Margins,
    dilation: tuple[int, ...],
    groups: int,
    correlate: Correlate,
) -> Tensor:
    """The gradient of a weight: batch and channels change places, stride and dilation too: one correlation."""
    images = x.unflatten(1, (groups, -1)).movedim((2, 1), (0, 1)).flatten(1, 2)  # in, groups x batch, *space
    filters = g.unflatten(1, (groups, -1)).movedim((1, 2), (0, 1)).flatten(0, 1)  # groups x out, batch, *positions
    tied = correlate(images, filters, None, stride=dilation, margins=margins, dilation=stride, groups=groups)
    kept: Any = (..., *(slice(0, k) for k in kernel_size))
    return tied[kept].transpose(0, 1)


class Guarded(torch.autograd.Function):
    """A forward pass that looks at values, with the derivative above: each half goes by auto, guarded in its turn."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, run: Callable[[Tensor, Tensor], Tensor], options: dict, auto: Correlate
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.options, ctx.auto = options, auto
        return run(x, weight)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        x, weight = ctx.saved_tensors
        options = ctx.options | {"correlate": ctx.auto}
        to_x = input_gradient(g, weight, size=tuple(x.shape[2:]), **options) if ctx.needs_input_grad[0] else None
        kernel = tuple(weight.shape[2:])
        to_weight = weight_gradient(x, g, kernel_size=kernel, **options) if ctx.needs_input_grad[1] else None
        return to_x, to_weight, None, None, None
