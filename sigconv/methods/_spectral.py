"""Convolution through spectra, in blocks along the first axis of space: what fft and overlap have in common.

Overlap-save: a block of N samples, correlated around its own end, is right in its first N - span + 1 outputs; the next
block starts there. The other axes are transformed whole. On a CPU float32 is transformed in float64, which costs about
twice as much and leaves nine digits between the error, relative to a block's norm, and the last bit of an output.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv import nd
from sigconv.kernels import precise
from sigconv.kernels._memory import empty
from sigconv.kernels._state import readable
from sigconv.kernels._threads import share
from sigconv.methods._problem import Problem

BATCH = 1 << 19  # samples a thread transforms at a time: they stay in cache, and memory stays bounded
Watch = Callable[[Tensor, Tensor, int, int, list[int]], None]
Blocking = Callable[[tuple[int, ...], tuple[int, ...], int], tuple[int, int]]  # padded, span, multiple -> block, hop


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


def inner(dtype: torch.dtype, device: str) -> torch.dtype:
    """The precision of the transforms."""
    return torch.float64 if dtype == torch.float32 and device != "cuda" else dtype


def correlate(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: tuple[int, ...],
    margins: nd.Margins,
    dilation: tuple[int, ...],
    groups: int,
    blocking: Blocking,
    multiple: int = 1,
    watch: Watch | None = None,
    precise: torch.dtype | None = None,
) -> Tensor:
    """Block after block along the first axis, a multiple of some step apart; watch sees the input on its way."""
    ndim = weight.ndim - 2
    span = nd.spans(weight.shape[2:], dilation)
    padded = tuple(n + b + a for n, (b, a) in zip(x.shape[2:], margins, strict=True))
    block, hop = blocking(padded, span, math.lcm(stride[0], multiple))
    dense = [n - s + 1 for n, s in zip(padded, span, strict=True)]  # positions at stride 1
    period = [block, *map(fast_length, padded[1:])]
    axes = tuple(range(-ndim, 0))
    precise = precise or inner(x.dtype, x.device.type)
    response = torch.fft.rfftn(nd.spread(weight.to(precise), dilation), period, axes).conj()
    response = response.unflatten(0, (groups, -1)).unsqueeze(3)  # groups, out, in, 1, *frequencies
    grows = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    sides = [
        side
        for n, (b, _), p in zip(x.shape[:2:-1], margins[:0:-1], period[:0:-1], strict=True)
        for side in (b, p - n - b)
    ]

    def stretch(rows: slice, first: int, last: int) -> Tensor:
        """The outputs of some blocks of some batch rows."""
        start, stop = first * hop - margins[0][0], (last - 1) * hop - margins[0][0] + block
        low, high = max(start, 0), max(min(stop, x.shape[2]), max(start, 0))
        seen = x[rows, :, min(low, x.shape[2]) : high].to(precise)
        around = [*sides, low - start, stop - high - max(low - high, 0)]
        seen = F.pad(seen, around) if any(around) else seen
        blocks = seen.unfold(2, block, hop).movedim(-1, 3)
        if watch is not None:
            watch(seen, blocks, first, hop, dense)
        spectrum = torch.fft.rfftn(blocks, dim=axes).unflatten(1, (groups, -1))
        y = _inverse(_product(spectrum, response, not grows).flatten(1, 2), period)
        kept: Any = (
            ...,
            slice(0, hop, stride[0]),
            *(slice(0, n, s) for n, s in zip(dense[1:], stride[1:], strict=True)),
        )
        y = y[kept]  # batch, out, blocks, outputs of a block, *outputs
        return y if bias is None else y + nd.per_channel(bias.to(precise), ndim + 1)

    size = [-(-n // s) for n, s in zip(dense, stride, strict=True)]
    steps = _steps(x, weight, -(-dense[0] // hop), math.prod(period))
    if len(steps) == 1 or grows:
        rows: dict[int, list[Tensor]] = {}
        for step in steps:
            rows.setdefault(step[0].start, []).append(stretch(*step).to(x.dtype).flatten(2, 3))
        return torch.cat([torch.cat(row, 2)[:, :, : size[0]] for row in rows.values()])
    y = empty((x.shape[0], weight.shape[0], *size), x)

    def work(first: int, last: int) -> None:
        for step in steps[first:last]:
            _write(y[step[0]], stretch(*step), step[1])

    if x.is_cuda:
        work(0, len(steps))
    else:
        share(work, len(steps), len(steps))
    return y


def _steps(x: Tensor, weight: Tensor, blocks: int, period: int) -> list[tuple[slice, int, int]]:
    """Batch rows and blocks to transform at a time, few enough to stay in cache: (rows, first, last + 1)."""
    batch, channels = x.shape[0], max(x.shape[1], weight.shape[0])
    if not readable(x, weight):  # one graph: no loop over sizes that may be symbols
        return [(slice(0, batch), 0, blocks)]
    rows = min(max(BATCH // (channels * period), 1), batch)
    group = max(BATCH // (channels * period * rows), 1)
    firsts = range(0, blocks, group)
    return [(slice(b, b + rows), f, min(f + group, blocks)) for b in range(0, batch, rows) for f in firsts]


def _write(y: Tensor, part: Tensor, first: int) -> None:
    """A stretch's outputs to their place, in one copy: whole blocks, then what is left of the last."""
    step = part.shape[3]
    y = y.narrow(2, first * step, min(part.shape[2] * step, y.shape[2] - first * step))
    whole = y.shape[2] // step
    y.narrow(2, 0, whole * step).unflatten(2, (whole, step)).copy_(part[:, :, :whole])
    if whole < part.shape[2]:
        y[:, :, whole * step :] = part[:, :, whole, : y.shape[2] - whole * step]


def _inverse(spectrum: Tensor, period: list[int]) -> Tensor:
    """irfftn over the last axes; the complex axes first and by themselves, which takes torch half the time."""
    leading = tuple(range(-len(period), -1))
    return torch.fft.irfft(torch.fft.ifftn(spectrum, dim=leading) if leading else spectrum, period[-1])


def _product(spectrum: Tensor, response: Tensor, in_place: bool) -> Tensor:
    """Spectra times responses, summed over the channels of a group: (b, g, in, n, …) x (g, out, in, 1, …)."""
    outputs, channels = response.shape[1:3]
    if in_place and outputs == channels == 1:
        return spectrum.mul_(response[:, :, 0])
    if channels <= 4:
        total = spectrum[:, :, None, 0] * response[:, :, 0]
        for c in range(1, channels):
            total = total + spectrum[:, :, None, c] * response[:, :, c]
        return total
    summed, filters = "bgcn...,goc...->bgon...", response.squeeze(3)
    if precise.rounds_products(spectrum, filters):
        return precise.products(summed, spectrum, filters)
    return torch.einsum(summed, spectrum, filters)


def cost(problem: Problem, blocking: Blocking) -> dict[str, float]:
    """Transforms of every block in and out and of the kernels once, and the products between them (C.7)."""
    block, hop = blocking(problem.padded, problem.span, problem.stride[0])
    n = block * math.prod(map(fast_length, problem.padded[1:]))
    blocks = problem.batch * -(-(problem.padded[0] - problem.span[0] + 1) // hop)
    kernels = problem.out_channels * problem.per_group
    transforms = blocks * (problem.in_channels + problem.out_channels) + kernels
    rounds = -(-blocks * max(problem.in_channels, problem.out_channels) * n // BATCH)
    return {
        "call": 1 + rounds,
        "butterfly": transforms * n * math.log2(max(n, 2)),
        "product": blocks * kernels * n,
        "moved": problem.inputs + problem.outputs + transforms * n,
    }


def memory(problem: Problem, blocking: Blocking) -> int:
    """Kernels and their spectra, a round of blocks with theirs and the products, and the output."""
    block, hop = blocking(problem.padded, problem.span, problem.stride[0])
    n = block * math.prod(map(fast_length, problem.padded[1:]))
    channels = max(problem.in_channels, problem.out_channels)
    blocks = problem.batch * -(-(problem.padded[0] - problem.span[0] + 1) // hop)
    at_once = min(max(BATCH // (channels * n), 1) * torch.get_num_threads(), blocks)
    kernels = 3 * problem.out_channels * problem.per_group * n
    rounds = at_once * n * (5 * problem.in_channels + 8 * problem.out_channels)
    return 8 * (kernels + rounds) + problem.itemsize * (problem.inputs + 2 * problem.outputs) + (16 << 20)
