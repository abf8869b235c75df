"""Norms of any power of windows, one pass forward and one back on CUDA: an op, its adjoint, and their twin.

The derivative of a derivative goes through the twin: it is asked for seldom, and is torch's own there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv.kernels import _soft_triton as soft
from sigconv.kernels import _spread_triton as back
from sigconv.kernels import _triton as shared
from sigconv.kernels import _windows_triton as windows
from sigconv.kernels import extremes, sums
from sigconv.kernels._op import custom_op
from sigconv.kernels._twins import handed_out, second, taps


def norms(
    x: Tensor,
    power: float,
    share: float | Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """(share · Σ |x|^power)^(1/power) of every window of x (batch, channels, *space), padded already.

    power is above 0; share a number, or a tensor of one for each position. The answer to halves is of float32.
    """
    options = list(kernel_size), list(stride), list(dilation)
    each = share if isinstance(share, Tensor) else None
    if shared.usable(x, each) and power < math.inf:
        part = 1.0 if isinstance(share, Tensor) else float(share)
        return handed_out(_norms(x, each, part, float(power), *options))
    return twin(x.to(shared.SUMS.get(x.dtype, x.dtype)), power, share, *options)


def twin(
    x: Tensor, power: float, share: Any, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """The same in torch, a tap at a time, relative to the largest of the window: the definition, safe for any power."""
    size = x.abs()
    options = kernel_size, stride, dilation
    largest = extremes.largest(size if power == math.inf else size.detach(), *options)
    if power == math.inf:
        return largest
    unit = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    total: Any = 0.0
    for tap in taps(size, options, largest.shape[2:]):
        ratio = tap / unit
        some = ratio != 0  # the power of a 0 has no slope, nor has the root of an empty sum
        total = total + torch.where(some, torch.where(some, ratio, 1.0) ** power, 0.0)
    some = total != 0
    return torch.where(some, unit * (torch.where(some, total, 1.0) * share) ** (1 / power), 0.0)


@custom_op("window_norms", device="cuda")
def _norms(
    x: Tensor,
    share: Tensor | None,
    part: float,
    power: float,
    kernel_size: list[int],
    stride: list[int],
    dilation: list[int],
) -> Tensor:
    options = kernel_size, stride, dilation
    plain = share is None and part == 1
    few = math.prod(kernel_size) <= windows.TOGETHER
    if x.dtype != torch.float32 or power not in range(1, sums.POWERS + 1) or (few and not plain):
        y = _norms_empty(x, share, part, power, kernel_size, stride, dilation)
        return soft.norms(x, power, y, options, share, part)
    if plain:
        return windows.box(x, *options, int(power))
    wide = windows.box(x.double(), *options, int(power))  # a sum may overflow where its share does not
    return (wide * (part if share is None else part * share.double()) ** (1 / power)).to(x.dtype)


@_norms.register_fake
def _norms_empty(
    x: Tensor,
    share: Tensor | None,
    part: float,
    power: float,
    kernel_size: list[int],
    stride: list[int],
    dilation: list[int],
) -> Tensor:
    return x.new_empty(windows.size_of(x, kernel_size, stride, dilation), dtype=shared.SUMS[x.dtype])


@custom_op("window_norms_back", device="cuda")
def _norms_back(
    g: Tensor,
    x: Tensor,
    y: Tensor,
    share: Tensor | None,
    part: float,
    power: float,
    kernel_size: list[int],
    stride: list[int],
    dilation: list[int],
) -> Tensor:
    g = g if part == 1 else g * part
    g = g if share is None else g * share
    return back.norms(g, x, y, power, (kernel_size, stride, dilation))


@_norms_back.register_fake
def _norms_back_empty(g: Tensor, x: Tensor, *more: Any) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _keep_norms(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, share, *ctx.options = inputs
    ctx.save_for_backward(x, output, share)


def _norms_backward(ctx: Any, g: Tensor) -> tuple:
    x, y, share = ctx.saved_tensors
    return _norms_back(g, x, y, share, *ctx.options), None, None, None, None, None, None


def _keep_norms_back(ctx: Any, inputs: tuple, output: Tensor) -> None:
    g, x, _, share, *ctx.options = inputs
    ctx.save_for_backward(g, x, share)


def _norms_second(ctx: Any, to_x: Tensor) -> tuple:
    g, x, share = ctx.saved_tensors
    part, power, *options = ctx.options
    run = lambda x: twin(x.to(g.dtype), power, part if share is None else share, *options)
    to_g, to_x = second(run, (x,), g, (to_x,))
    return to_g, to_x, None, None, None, None, None, None, None


_norms.register_autograd(_norms_backward, setup_context=_keep_norms)
_norms_back.register_autograd(_norms_second, setup_context=_keep_norms_back)
for _op in (_norms, _norms_back):
    shared.OPS.append((_op, _op.function))
