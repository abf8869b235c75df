"""Samples found in a pooling's windows and sums of windows, on CUDA: the ops that lead back from them.

Both ways gather and both are linear: each is the other's derivative, however often one derives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv.kernels import _spread_triton as back
from sigconv.kernels import _triton as shared
from sigconv.kernels._op import custom_op


def taken(
    x: Tensor, where: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """The samples of x (batch, channels, *space) at these places of its windows; the gradient goes back there."""
    if shared.usable(x):
        return _take(x, where, list(kernel_size), list(stride), list(dilation))
    return x.flatten(2).gather(2, where.flatten(2)).reshape(where.shape)


@custom_op("take_windows", device="cuda")
def _take(x: Tensor, where: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return x.flatten(2).gather(2, where.flatten(2)).reshape(where.shape)


@_take.register_fake
def _take_empty(x: Tensor, where: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return x.new_empty(where.shape)


@custom_op("put_windows", device="cuda")
def put(
    g: Tensor, where: Tensor, size: list[int], kernel_size: list[int], stride: list[int], dilation: list[int]
) -> Tensor:
    """The adjoint of taken, for a space of this size: a sample gets what its windows send to its place."""
    return back.places(g, where, size, (kernel_size, stride, dilation))


@put.register_fake
def _put_empty(
    g: Tensor, where: Tensor, size: list[int], kernel_size: list[int], stride: list[int], dilation: list[int]
) -> Tensor:
    return g.new_empty(*g.shape[:2], *size)


def _keep_take(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, where, *ctx.options = inputs
    ctx.size = list(x.shape[2:])
    ctx.save_for_backward(where)


def _keep_put(ctx: Any, inputs: tuple, output: Tensor) -> None:
    _, where, _, *ctx.options = inputs
    ctx.save_for_backward(where)


_take.register_autograd(
    lambda ctx, g: (put(g, ctx.saved_tensors[0], ctx.size, *ctx.options), None, None, None, None),
    setup_context=_keep_take,
)
put.register_autograd(
    lambda ctx, g: (_take(g, ctx.saved_tensors[0], *ctx.options), None, None, None, None, None),
    setup_context=_keep_put,
)


@custom_op("box_spread", device="cuda")
def spread(g: Tensor, size: list[int], kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    """The adjoint of the sums of windows, for a space of this size."""
    return back.sums(g, size, (kernel_size, stride, dilation))


@spread.register_fake
def _spread_empty(g: Tensor, size: list[int], kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return g.new_empty(*g.shape[:2], *size)


def _spread_backward(ctx: Any, g: Tensor) -> tuple:
    return torch.ops.sigconv.box_sums(g, *ctx.options), None, None, None, None


def _keep_spread(ctx: Any, inputs: tuple, output: Tensor) -> None:
    _, _, *ctx.options = inputs


spread.register_autograd(_spread_backward, setup_context=_keep_spread)
for _op in (_take, put, spread):
    shared.OPS.append((_op, _op.function))
