"""Pointwise products of spectra: one transform of the whole padded input (MX9, with e^{-2πi tu} as in CV2).

The period is no shorter than the padded input, so that no window wraps around. The error is relative to the norm of
the whole block, `max(0.1·log2 N, 2.5)·eps·‖x‖‖w‖`, not to each output: where quiet stands beside loud, ask for direct.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sigconv import nd
from sigconv.methods._problem import Problem

EXACT = False


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
    """Circular convolution with the flipped kernel; its first span - 1 outputs wrapped and are not read."""
    ndim = weight.ndim - 2
    axes = tuple(range(-ndim, 0))
    x = nd.pad(x, margins)
    size, span = x.shape[2:], nd.spans(weight.shape[2:], dilation)
    period = [fast_length(n) for n in size]
    real = not (x.is_complex() or weight.is_complex())
    forward, inverse = (torch.fft.rfftn, torch.fft.irfftn) if real else (torch.fft.fftn, torch.fft.ifftn)
    spectrum = forward(x, period, axes).unflatten(1, (groups, -1))
    response = forward(_stuffed(weight, span, dilation).flip(axes), period, axes).unflatten(0, (groups, -1))
    product = torch.einsum("bgc...,goc...->bgo...", spectrum, response)
    y = inverse(product.flatten(1, 2), period, axes)
    kept = [slice(first - 1, n, s) for first, n, s in zip(span, size, stride, strict=True)]
    y = y[(..., *kept)]
    return y if bias is None else y + nd.per_channel(bias, ndim)


def _stuffed(weight: Tensor, span: tuple[int, ...], dilation: tuple[int, ...]) -> Tensor:
    """The kernel with dilation - 1 zeros between its taps (ST3)."""
    for dim, (reach, gap) in enumerate(zip(span, dilation, strict=True), start=2):
        if gap > 1:
            spaced = torch.stack([weight, *[torch.zeros_like(weight)] * (gap - 1)], dim + 1)
            weight = spaced.flatten(dim, dim + 1).narrow(dim, 0, reach)
    return weight


def fast_length(n: int) -> int:
    """The next length with no prime factor above 5: those transform fastest.

    >>> [fast_length(n) for n in (1, 7, 97, 1025)]
    [1, 8, 100, 1080]
    """
    best = 1 << max(n - 1, 0).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            twos = three << max(-(-n // three) - 1, 0).bit_length()
            best = min(best, twos)
            three *= 3
        five *= 5
    return best


def cost(problem: Problem) -> float:
    """Transforms of input, kernels and output, and the products between them (C.7)."""
    n = math.prod(fast_length(size) for size in problem.size)
    pairs = problem.in_channels // max(problem.groups, 1) * problem.out_channels
    transforms = problem.batch * (problem.in_channels + problem.out_channels) + pairs
    flops = transforms * 2.5 * n * math.log2(max(n, 2)) + 4 * problem.batch * pairs * n
    return 60e-6 + flops / 8e9
