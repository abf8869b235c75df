"""Means weighted by e^(b·x), and logarithms of the mean of e^(b·x), over windows: an op on CUDA, its adjoint, twins.

Both go through a window for its largest, that no exponent overflows, and then for its sums. The derivative of a
derivative goes through the twin: it is asked for seldom, and is torch's own there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import _soft_triton as soft
from sigconv.kernels import _spread_triton as back
from sigconv.kernels import _triton as shared
from sigconv.kernels import extremes, sums
from sigconv.kernels._op import custom_op
from sigconv.kernels._twins import Options, around, handed_out, room, second, taps


def means(x: Tensor, beta: Any, options: Options, before: Sequence[int], positions: Sequence[int]) -> Tensor:
    """Σ x e^(b·x) / Σ e^(b·x) of every window, b = beta a number or a tensor of one, or one a channel.

    x (batch, channels, *space) is not padded: what stands `before` it, or after, where positions reach so far, has no
    weight. The answer to halves is of float32.
    """
    return _either(x, beta, False, options, before, positions)


def logs(x: Tensor, beta: Any, options: Options, before: Sequence[int], positions: Sequence[int]) -> Tensor:
    """(1/b)·log of the mean of e^(b·x) over every window's samples that lie in x; b is not 0."""
    return _either(x, beta, True, options, before, positions)


def _either(
    x: Tensor, beta: Any, log: bool, options: Options, before: Sequence[int], positions: Sequence[int]
) -> Tensor:
    given = [list(each) for each in (*options, before, positions)]
    kind = shared.SUMS.get(x.dtype, x.dtype)
    most = torch.finfo(kind).max  # what is sharper is no sharper: an infinite one would make NaN of the largest
    if not isinstance(beta, Tensor):
        beta = min(max(beta, -most), most)
    else:
        beta = beta.clamp(-most, most).to(kind) if beta.dtype == torch.float64 else beta.to(kind)
        if shared.usable(x, beta) and beta.device == x.device:
            return handed_out(_soft(x, beta if beta.ndim else beta.expand(x.shape[1]), log, *given)[0])
    if not isinstance(beta, Tensor) and shared.usable(x):
        return handed_out(_soft(x, x.new_full((x.shape[1],), beta, dtype=kind), log, *given)[0])
    return (logs_twin if log else means_twin)(x.to(kind), beta, *given)


# ---- twins


class Exponents(NamedTuple):
    """|beta|·(x - extreme) of every tap without a product that could overflow: extreme is the largest, or the smallest
    where beta is below 0.
    """

    turned: Tensor  # x and what is around, negative where beta is; -inf where it does not count
    largest: Tensor  # of it, in every window, through which no gradient flows; 0 for an infinite one
    beta: Any  # ready to meet (batch, channels, *space)
    sign: Any

    @classmethod
    def of(cls, x: Tensor, beta: Any, options: Options, margins: nd.Margins) -> Exponents:
        """The exponents of x; what is in its margins has no weight."""
        beta = nd.per_channel(beta, x.ndim - 2) if isinstance(beta, Tensor) and beta.ndim else beta
        below = (beta < 0) if isinstance(beta, Tensor) else torch.tensor(beta < 0, device=x.device)
        sign = 1 - 2 * below.to(x.dtype)
        turned = around(x * sign, margins, -math.inf)
        largest = extremes.largest(turned.detach(), *options)
        return cls(turned, torch.where(largest.isinf(), 0.0, largest), beta, sign)

    @property
    def extreme(self) -> Tensor:
        """The value of x that exponents are relative to."""
        return self.largest * self.sign

    def taps(self, options: Options) -> Iterator[Tensor]:
        """The exponent of every tap, 0 at most."""
        sharpness = self.beta * self.sign
        for tap in taps(self.turned, options, self.largest.shape[2:]):
            gone = tap == -math.inf
            near = torch.where(gone, self.largest, tap) - self.largest
            yield torch.where(gone, -math.inf, sharpness * near)


def means_twin(
    x: Tensor, beta: Any, kernel_size: Any, stride: Any, dilation: Any, before: Any, positions: Any
) -> Tensor:
    """The means in torch, a tap at a time."""
    options = kernel_size, stride, dilation
    margins = room(x.shape[2:], options, before, positions)
    powers = Exponents.of(x, beta, options, margins)
    unit = _unit(kernel_size)
    small = around(x * unit, margins, 0.0)
    total: Any = 0.0
    weighted: Any = 0.0
    for sample, exponent in zip(taps(small, options, positions), powers.taps(options), strict=True):
        weight = exponent.exp()
        total, weighted = total + weight, weighted + weight * sample
    return weighted / (total * unit)


def logs_twin(
    x: Tensor, beta: Any, kernel_size: Any, stride: Any, dilation: Any, before: Any, positions: Any
) -> Tensor:
    """The logarithms in torch, a tap at a time."""
    options = kernel_size, stride, dilation
    margins, samples = room(x.shape[2:], options, before, positions), math.prod(kernel_size)
    powers = Exponents.of(x, beta, options, margins)
    total: Any = 0.0
    short: Any = 0.0  # how far the sum is below its number of terms: exact where all are nearly alike
    for below in powers.taps(options):
        total, short = total + below.exp(), short + below.expm1()
    ones = torch.ones(1, 1, *x.shape[2:], dtype=x.dtype, device=x.device)
    inner: Any = sums.box_sums(around(ones, margins, 0.0), *options) if any(map(any, margins)) else samples
    short = (short + (samples - inner)) / inner
    mean = torch.where(short > -0.5, short.clamp(min=-0.5).log1p(), (total / inner).log())
    return powers.extreme + mean / powers.beta


def _unit(kernel_size: Sequence[int]) -> float:
    """So small a power of two that no sum of so many samples overflows."""
    return 2.0 ** -math.ceil(math.log2(math.prod(kernel_size)))


# ---- ops


@custom_op("soft_means", device="cuda")
def _soft(
    x: Tensor,
    beta: Tensor,
    log: bool,
    kernel_size: list[int],
    stride: list[int],
    dilation: list[int],
    before: list[int],
    positions: list[int],
) -> tuple[Tensor, Tensor, Tensor]:
    return soft.means(x, beta, log, _unit(kernel_size), before, positions, (kernel_size, stride, dilation))


@_soft.register_fake
def _soft_empty(x: Tensor, beta: Tensor, *options: Any) -> tuple[Tensor, Tensor, Tensor]:
    y = x.new_empty(*x.shape[:2], *options[-1], dtype=shared.SUMS[x.dtype])
    return y, torch.empty_like(y), torch.empty_like(y)


@custom_op("soft_means_back", device="cuda")
def _soft_back(
    g: Tensor,
    x: Tensor,
    beta: Tensor,
    y: Tensor,
    top: Tensor,
    total: Tensor,
    log: bool,
    kernel_size: list[int],
    stride: list[int],
    dilation: list[int],
    before: list[int],
    wants_beta: bool,
) -> tuple[Tensor, Tensor]:
    options, found = (kernel_size, stride, dilation), (y, top, total)
    to_x = back.soft(g, x, beta, found, log, before, options)
    if not wants_beta:
        return to_x, torch.zeros_like(beta)
    growth = soft.variances(x, beta, found, log, before, options)
    return to_x, (g * growth).sum([0, *range(2, g.ndim)]).to(beta.dtype)


@_soft_back.register_fake
def _soft_back_empty(g: Tensor, x: Tensor, beta: Tensor, *more: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), torch.empty_like(beta)


def _keep_soft(ctx: Any, inputs: tuple, output: tuple) -> None:
    x, beta, *ctx.options = inputs
    ctx.save_for_backward(x, beta, *output)


def _soft_backward(ctx: Any, g: Tensor, *_: Any) -> tuple:
    wants = ctx.needs_input_grad[1]
    to_x, to_beta = _soft_back(g, *ctx.saved_tensors, *ctx.options[:5], wants)
    return to_x, to_beta if wants else None, *[None] * 6


def _keep_soft_back(ctx: Any, inputs: tuple, output: tuple) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.log, ctx.options = inputs[6], [*inputs[7:11], list(inputs[3].shape[2:])]


def _soft_second(ctx: Any, *to: Any) -> tuple:
    g, x, beta = ctx.saved_tensors
    way = logs_twin if ctx.log else means_twin
    found = second(lambda x, beta: way(x.to(g.dtype), beta, *ctx.options), (x, beta), g, to)
    return (*found, *[None] * 9)


_soft.register_autograd(_soft_backward, setup_context=_keep_soft)
_soft_back.register_autograd(_soft_second, setup_context=_keep_soft_back)
for _op in (_soft, _soft_back):
    shared.OPS.append((_op, _op.function))
