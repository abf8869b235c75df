"""Norms of any power and soft means of windows on CUDA, one pass forward and one back: their ops and their twins.

The derivative of a derivative goes through the twin: it is asked for seldom, and is torch's own there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv import nd
from sigconv.kernels import _soft_triton as soft
from sigconv.kernels import _spread_triton as back
from sigconv.kernels import _triton as shared
from sigconv.kernels import _windows_triton as windows

# ---- norms


def norms(
    x: Tensor, power: float, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """(Σ |x|^power)^(1/power) of every window of x, padded already; power above 0 and finite."""
    options = list(kernel_size), list(stride), list(dilation)
    return _norms(x, float(power), *options) if shared.usable(x) else norms_twin(x, power, *options)


def norms_twin(x: Tensor, power: float, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    """The same in torch, a tap at a time."""
    size = x.abs()
    positions = windows.size_of(x, kernel_size, stride, dilation)[2:]
    taps = list(_taps(size, kernel_size, stride, dilation, positions))
    top = torch.stack([tap.detach() for tap in taps]).amax(0)
    unit = torch.where((top > 0) & top.isfinite(), top, 1.0)
    total: Any = 0.0
    for tap in taps:
        ratio = tap / unit
        some = ratio != 0  # the power of a 0 has no slope, nor has the root of an empty sum
        total = total + torch.where(some, torch.where(some, ratio, 1.0) ** power, 0.0)
    some = total != 0
    return torch.where(some, unit * torch.where(some, total, 1.0) ** (1 / power), 0.0)


def _taps(x: Tensor, kernel_size: Any, stride: Any, dilation: Any, positions: Any) -> Iterator[Tensor]:
    """x as each tap of a window sees it."""
    rows = list(zip(positions, stride, dilation, strict=True))
    for tap in itertools.product(*map(range, kernel_size)):
        inner = (slice(t * d, t * d + (p - 1) * s + 1, s) for t, (p, s, d) in zip(tap, rows, strict=True))
        at: Any = (..., *inner)
        yield x[at]


@torch.library.custom_op("sigconv::window_norms", mutates_args=(), device_types="cuda")
def _norms(x: Tensor, power: float, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    if x.dtype == torch.float32 and power in range(1, 7):  # as float64 holds such powers, axes may go one by one
        return windows.box(x, kernel_size, stride, dilation, int(power))
    y = _norms_empty(x, power, kernel_size, stride, dilation)
    return soft.norms(x, power, y, (kernel_size, stride, dilation))


@_norms.register_fake
def _norms_empty(x: Tensor, power: float, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return x.new_empty(windows.size_of(x, kernel_size, stride, dilation))


@torch.library.custom_op("sigconv::window_norms_back", mutates_args=(), device_types="cuda")
def _norms_back(
    g: Tensor, x: Tensor, y: Tensor, power: float, kernel_size: list[int], stride: list[int], dilation: list[int]
) -> Tensor:
    return back.norms(g, x, y, power, (kernel_size, stride, dilation))


@_norms_back.register_fake
def _norms_back_empty(
    g: Tensor, x: Tensor, y: Tensor, power: float, kernel_size: list[int], stride: list[int], dilation: list[int]
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _keep_norms(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], output)
    ctx.options = inputs[1:]


def _keep_norms_back(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.options = inputs[3:]


def _norms_second(ctx: Any, to_x: Tensor) -> tuple:
    g, x = ctx.saved_tensors
    to_g, to_x = second(lambda x: norms_twin(x, *ctx.options), (x,), g, (to_x,))
    return to_g, to_x, None, None, None, None, None


_norms.register_autograd(
    lambda ctx, g: (_norms_back(g, *ctx.saved_tensors, *ctx.options), None, None, None, None),
    setup_context=_keep_norms,
)
_norms_back.register_autograd(_norms_second, setup_context=_keep_norms_back)


def second(twin: Callable[..., Tensor], inputs: Sequence[Tensor], g: Tensor, to: Sequence[Tensor | None]) -> tuple:
    """The derivative of (g, inputs) -> the gradients of twin, by torch: what these have as gradients is `to`."""
    deeper = torch.is_grad_enabled()
    with torch.enable_grad():
        apart = lambda t: t.view_as(t) if deeper and t.requires_grad else t.detach().requires_grad_()
        leaves = [apart(t) for t in (g, *inputs)]  # g hangs on the inputs too: each has its own part here
        slopes = torch.autograd.grad(twin(*leaves[1:]), leaves[1:], leaves[0], create_graph=True)
        pairs = [(slope, t) for slope, t in zip(slopes, to, strict=True) if t is not None]
        met = [slope for slope, _ in pairs], leaves, [t for _, t in pairs]
        return torch.autograd.grad(*met, create_graph=deeper, allow_unused=True)


# ---- soft means


def soft_means(
    x: Tensor,
    beta: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    before: Sequence[int],
    positions: Sequence[int],
) -> Tensor:
    """Σ x e^(b·x) / Σ e^(b·x) of every window, a b for each channel: beta (channels,).

    x is not padded: what stands `before` it, or after, where positions reach so far, has no weight.
    """
    options = [list(each) for each in (kernel_size, stride, dilation, before, positions)]
    if shared.usable(x, beta) and beta.device == x.device:
        return _soft(x, beta, *options)[0]
    return soft_twin(x, beta, *options)


def soft_twin(x: Tensor, beta: Tensor, kernel_size: Any, stride: Any, dilation: Any, before: Any, positions: Any):
    """The same in torch, a tap at a time."""
    rows = zip(x.shape[2:], positions, stride, nd.spans(kernel_size, dilation), before, strict=True)
    sides = [(b, (p - 1) * s + span - n - b) for n, p, s, span, b in rows]
    margin = [side for pair in reversed(sides) for side in pair]  # below 0: what no window sees
    beta = nd.per_channel(beta.to(x.dtype), x.ndim - 2)
    options = kernel_size, stride, dilation, positions
    taps = list(_taps(F.pad(x, margin), *options))
    there = list(_taps(F.pad(torch.ones_like(x[:1, :1], dtype=torch.bool), margin), *options))
    turned = [
        torch.where(t, tap * torch.where(beta < 0, -1.0, 1.0), -math.inf) for t, tap in zip(there, taps, strict=True)
    ]
    top = torch.stack([tap.detach() for tap in turned]).amax(0)
    top = torch.where(top.isinf(), 0.0, top)
    unit = 2.0 ** -math.ceil(math.log2(len(taps)))
    total: Any = 0.0
    weighted: Any = 0.0
    for tap, near in zip(taps, turned, strict=True):
        gone = near == -math.inf
        weight = torch.where(gone, 0.0, (beta.abs() * torch.where(gone, 0.0, near - top)).exp())
        total, weighted = total + weight, weighted + weight * (tap * unit)
    return weighted / (total * unit)


@torch.library.custom_op("sigconv::soft_means", mutates_args=(), device_types="cuda")
def _soft(
    x: Tensor,
    beta: Tensor,
    kernel_size: list[int],
    stride: list[int],
    dilation: list[int],
    before: list[int],
    positions: list[int],
) -> tuple[Tensor, Tensor, Tensor]:
    return soft.means(x, beta, before, positions, (kernel_size, stride, dilation))


@_soft.register_fake
def _soft_empty(x: Tensor, beta: Tensor, *options: Any) -> tuple[Tensor, Tensor, Tensor]:
    y = x.new_empty(*x.shape[:2], *options[-1])
    return y, y.new_empty(y.shape, dtype=shared.SUMS[x.dtype]), y.new_empty(y.shape, dtype=shared.SUMS[x.dtype])


@torch.library.custom_op("sigconv::soft_means_back", mutates_args=(), device_types="cuda")
def _soft_back(
    g: Tensor,
    x: Tensor,
    beta: Tensor,
    y: Tensor,
    top: Tensor,
    total: Tensor,
    kernel_size: list[int],
    stride: list[int],
    dilation: list[int],
    before: list[int],
    wants_beta: bool,
) -> tuple[Tensor, Tensor]:
    options, found = (kernel_size, stride, dilation), (y, top, total)
    to_x = back.soft(g, x, beta, found, before, options)
    if not wants_beta:
        return to_x, torch.zeros_like(beta)
    growth = soft.variances(x, beta, found, before, options)
    return to_x, (g * growth).sum([0, *range(2, g.ndim)]).to(beta.dtype)


@_soft_back.register_fake
def _soft_back_empty(g: Tensor, x: Tensor, beta: Tensor, *more: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), torch.empty_like(beta)


def _keep_soft(ctx: Any, inputs: tuple, output: tuple) -> None:
    x, beta, *ctx.options = inputs
    ctx.save_for_backward(x, beta, *output)


def _soft_backward(ctx: Any, g: Tensor, *_: Any) -> tuple:
    wants = ctx.needs_input_grad[1]
    to_x, to_beta = _soft_back(g, *ctx.saved_tensors, *ctx.options[:4], wants)
    return to_x, to_beta if wants else None, None, None, None, None, None


def _keep_soft_back(ctx: Any, inputs: tuple, output: tuple) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.options = [*inputs[6:10], list(inputs[3].shape[2:])]


def _soft_second(ctx: Any, *to: Any) -> tuple:
    g, x, beta = ctx.saved_tensors
    found = second(lambda x, beta: soft_twin(x, beta, *ctx.options), (x, beta), g, to)
    return (*found, *[None] * 8)


_soft.register_autograd(_soft_backward, setup_context=_keep_soft)
_soft_back.register_autograd(_soft_second, setup_context=_keep_soft_back)
for _op in (_norms, _norms_back, _soft, _soft_back):
    shared.OPS.append((_op, _op._init_fn))
