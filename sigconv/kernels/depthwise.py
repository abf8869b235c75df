"""A few filters to each channel, at any stride, on CUDA: an op and its two adjoints, each the derivative of the others.

y = sums of x and w, x' = adjoint of y' and w, w' = adjoint of x and y': all three are linear in each of two, so those
derivatives, too, are among the three, however often one derives. Elsewhere stands the twin.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sigconv import nd
from sigconv.kernels import _taps_triton as loops
from sigconv.kernels import _triton as shared
from sigconv.kernels import taps
from sigconv.kernels._op import custom_op


def usable(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the kernels take these: one channel a group, all of one dtype, on CUDA."""
    alike = all(t is None or (t.dtype == x.dtype and t.device == x.device) for t in (weight, bias))
    return alike and weight.ndim == x.ndim and weight.shape[1] == 1 and shared.usable(x, weight, bias)


def depthwise(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    margins: nd.Margins,
    dilation: tuple[int, ...],
) -> Tensor:
    """x (batch, channels, *space), weight (channels x multiplier, 1, *kernel_size), margins of zeros."""
    before, after = ([pair[side] for pair in margins] for side in (0, 1))
    if usable(x, weight, bias):
        return _sums(x, weight, bias, list(stride), before, after, list(dilation))
    return twin(x, weight, bias, list(stride), before, after, list(dilation))


def twin(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    before: list[int],
    after: list[int],
    dilation: list[int],
) -> Tensor:
    """The same sums in torch: by its own routine on one to three axes, a tap at a time beyond."""
    convolution: Any = nd.primitive("conv", x.ndim - 2)
    if convolution is None or 0 in x.shape:
        kept: Any = (..., *(slice(None, None, s) for s in stride))
        return taps.twin(x, weight, bias, before, after, dilation)[kept]
    padded = nd.pad(x, tuple(zip(before, after, strict=True)))
    return convolution(padded, weight, bias, stride, 0, dilation, x.shape[1])


@custom_op("depthwise", device="cuda")
def _sums(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    before: list[int],
    after: list[int],
    dilation: list[int],
) -> Tensor:
    y = _sums_empty(x, weight, bias, stride, before, after, dilation)
    return loops.sums(x.contiguous(), weight.contiguous(), bias, stride, before, dilation, y)


@_sums.register_fake
def _sums_empty(
    x: Tensor, weight: Tensor, bias: Any, stride: list[int], before: list[int], after: list[int], dilation: list[int]
) -> Tensor:
    rows = zip(x.shape[2:], before, after, nd.spans(weight.shape[2:], dilation), stride, strict=True)
    return x.new_empty(x.shape[0], weight.shape[0], *((n + b + a - span) // s + 1 for n, b, a, span, s in rows))


@custom_op("depthwise_input", device="cuda")
def _input(
    g: Tensor, weight: Tensor, channels: int, size: list[int], stride: list[int], before: list[int], dilation: list[int]
) -> Tensor:
    return loops.input_sums(g, weight, size, stride, before, dilation, channels)


@_input.register_fake
def _input_empty(
    g: Tensor, weight: Tensor, channels: int, size: list[int], stride: list[int], before: list[int], dilation: list[int]
) -> Tensor:
    return g.new_empty(g.shape[0], channels, *size)


@custom_op("depthwise_weight", device="cuda")
def _weight(x: Tensor, g: Tensor, size: list[int], stride: list[int], before: list[int], dilation: list[int]) -> Tensor:
    return loops.tied_sums(x, g, size, stride, before, dilation)


@_weight.register_fake
def _weight_empty(
    x: Tensor, g: Tensor, size: list[int], stride: list[int], before: list[int], dilation: list[int]
) -> Tensor:
    return x.new_empty(size)


def _sums_backward(ctx: Any, g: Tensor) -> tuple:
    x, weight = ctx.saved_tensors
    stride, before, _, dilation = ctx.options
    to_x = to_weight = to_bias = None
    if ctx.needs_input_grad[0]:
        to_x = _input(g, weight, x.shape[1], list(x.shape[2:]), stride, before, dilation)
    if ctx.needs_input_grad[1]:
        to_weight = _weight(x, g, list(weight.shape), stride, before, dilation)
    if ctx.biased and ctx.needs_input_grad[2]:
        to_bias = g.sum([0, *range(2, g.ndim)])
    return to_x, to_weight, to_bias, None, None, None, None


def _keep_sums(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, bias, *ctx.options = inputs
    ctx.biased = bias is not None
    ctx.save_for_backward(x, weight)


def _input_backward(ctx: Any, to_x: Tensor) -> tuple:
    g, weight = ctx.saved_tensors
    stride, before, dilation = ctx.options
    rows = zip(to_x.shape[2:], g.shape[2:], nd.spans(weight.shape[2:], dilation), stride, before, strict=True)
    after = [(p - 1) * s + span - n - b for n, p, span, s, b in rows]  # below zero: what no window saw
    to_g = to_weight = None
    if ctx.needs_input_grad[0]:
        to_g = _sums(to_x, weight, None, stride, before, after, dilation)
    if ctx.needs_input_grad[1]:
        to_weight = _weight(to_x, g, list(weight.shape), stride, before, dilation)
    return to_g, to_weight, None, None, None, None, None


def _keep_input(ctx: Any, inputs: tuple, output: Tensor) -> None:
    g, weight, _, _, *ctx.options = inputs
    ctx.save_for_backward(g, weight)


def _weight_backward(ctx: Any, to_weight: Tensor) -> tuple:
    x, g = ctx.saved_tensors
    stride, before, dilation = ctx.options
    rows = zip(x.shape[2:], g.shape[2:], nd.spans(to_weight.shape[2:], dilation), stride, before, strict=True)
    after = [(p - 1) * s + span - n - b for n, p, span, s, b in rows]
    to_x = to_g = None
    if ctx.needs_input_grad[0]:
        to_x = _input(g, to_weight, x.shape[1], list(x.shape[2:]), stride, before, dilation)
    if ctx.needs_input_grad[1]:
        to_g = _sums(x, to_weight, None, stride, before, after, dilation)
    return to_x, to_g, None, None, None, None


def _keep_weight(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, g, _, *ctx.options = inputs
    ctx.save_for_backward(x, g)


_sums.register_autograd(_sums_backward, setup_context=_keep_sums)
_input.register_autograd(_input_backward, setup_context=_keep_input)
_weight.register_autograd(_weight_backward, setup_context=_keep_weight)
shared.OPS.extend(((_sums, _sums.function), (_input, _input.function), (_weight, _weight.function)))
