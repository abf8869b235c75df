"""The expectation of a draw from every window, Σ a² / Σ a of samples a above 0: an op on CUDA, its adjoint, a twin.

The derivative of a derivative goes through the twin: it is asked for seldom, and is torch's own there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv.kernels import _soft_triton as soft
from sigconv.kernels import _spread_triton as back
from sigconv.kernels import _triton as shared
from sigconv.kernels import extremes
from sigconv.kernels._op import custom_op
from sigconv.kernels._twins import Options, around, handed_out, room, second, taps


def expectations(x: Tensor, options: Options, before: Sequence[int], positions: Sequence[int]) -> Tensor:
    """Σ a² / Σ a of every window, a = max(x, 0); 0 where Σ a is; infinite where a sample is.

    x (batch, channels, *space) is not padded: what stands `before` it, or after, where positions reach so far, is
    never drawn. The answer to halves is of float32.
    """
    given = [list(each) for each in (*options, before, positions)]
    if shared.usable(x):
        return handed_out(_expected(x, *given)[0])
    return twin(x.to(shared.SUMS.get(x.dtype, x.dtype)), *given)


def twin(x: Tensor, kernel_size: Any, stride: Any, dilation: Any, before: Any, positions: Any) -> Tensor:
    """The same in torch, a tap at a time."""
    options = kernel_size, stride, dilation
    padded = around(x, room(x.shape[2:], options, before, positions), 0.0)
    largest = extremes.largest(padded.detach(), *options).clamp(min=0)
    unit = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)  # that no sum overflows
    total: Any = 0.0
    squares: Any = 0.0
    for tap in taps(padded, options, positions):
        weight = _weight(tap, largest, unit)
        total, squares = total + weight, squares + weight * weight
    top = torch.where(largest.isinf(), largest, unit)
    return torch.where(total != 0, top * (squares / torch.where(total != 0, total, 1.0)), 0.0)


def _weight(tap: Tensor, largest: Tensor, unit: Tensor) -> Tensor:
    """A sample's part in the sum, relative to the largest; where that is infinite only the infinite have one."""
    return torch.where(largest.isinf(), (tap == largest).to(tap.dtype), tap.clamp(min=0) / unit)


@custom_op("expectations", device="cuda")
def _expected(
    x: Tensor,
    kernel_size: list[int],
    stride: list[int],
    dilation: list[int],
    before: list[int],
    positions: list[int],
) -> tuple[Tensor, Tensor, Tensor]:
    return soft.expectations(x, before, positions, (kernel_size, stride, dilation))


@_expected.register_fake
def _expected_empty(x: Tensor, *options: Any) -> tuple[Tensor, Tensor, Tensor]:
    y = x.new_empty(*x.shape[:2], *options[-1], dtype=shared.SUMS[x.dtype])
    return y, torch.empty_like(y), torch.empty_like(y)


@custom_op("expectations_back", device="cuda")
def _expected_back(
    g: Tensor,
    x: Tensor,
    y: Tensor,
    top: Tensor,
    total: Tensor,
    kernel_size: list[int],
    stride: list[int],
    dilation: list[int],
    before: list[int],
) -> Tensor:
    return back.expected(g, x, (y, top, total), before, (kernel_size, stride, dilation))


@_expected_back.register_fake
def _expected_back_empty(g: Tensor, x: Tensor, *more: Any) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple, output: tuple) -> None:
    x, *ctx.options = inputs
    ctx.save_for_backward(x, *output)


def _backward(ctx: Any, g: Tensor, *_: Any) -> tuple:
    return _expected_back(g, *ctx.saved_tensors, *ctx.options[:4]), *[None] * 5


def _keep_back(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.options = [*inputs[5:9], list(inputs[2].shape[2:])]


def _second(ctx: Any, to_x: Tensor) -> tuple:
    g, x = ctx.saved_tensors
    return *second(lambda x: twin(x.to(g.dtype), *ctx.options), (x,), g, (to_x,)), *[None] * 7


_expected.register_autograd(_backward, setup_context=_keep)
_expected_back.register_autograd(_second, setup_context=_keep_back)
for _op in (_expected, _expected_back):
    shared.OPS.append((_op, _op.function))
