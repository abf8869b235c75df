"""The matrix: convolution as one linear map, H f = h * f, with constant diagonals (MX1-MX5).

H is written out whole, so this is for small sizes, for teaching and for tests; in N dimensions H is Toeplitz in blocks
of blocks, circulant where the border is circular, and a stride keeps every stride-th row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import precise
from sigconv.methods._problem import Problem

EXACT = True
LOCAL = False  # a zero of the matrix times a NaN is NaN
LARGEST = 1 << 24  # entries of the matrix


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
    """The matrix of the layer times the input, flattened."""
    modes = ("zeros",) * len(margins)
    size = tuple(x.shape[2:])
    h = matrix(weight, size, stride=stride, margins=margins, dilation=dilation, groups=groups, modes=modes)
    positions = nd.output_size(size, weight.shape[2:], stride, dilation, margins)
    rows = x.flatten(1)
    y = precise.products("bk,ok->bo", rows, h) if precise.rounds_products(rows, h) else rows @ h.mT
    y = y.reshape(x.shape[0], weight.shape[0], *positions)
    return y if bias is None else y + nd.per_channel(bias, len(size))


def matrix(
    weight: Tensor,
    size: Sequence[int],
    *,
    stride: Sequence[int],
    margins: nd.Margins,
    dilation: Sequence[int],
    groups: int,
    modes: Sequence[str],
) -> Tensor:
    """(out_channels x positions, in_channels x samples): every weight stands where its output meets its sample."""
    blocks = []
    for part in weight.unflatten(0, (groups, -1)).unbind(0):
        axes = zip(size, weight.shape[2:], stride, dilation, margins, modes, strict=True)
        for n, taps, step, gap, margin, mode in axes:
            chosen = _selection(n, taps, step, gap, margin, mode, weight)
            part = _selected(part, chosen)  # one axis of taps becomes one of positions, one of samples
        ndim = len(tuple(size))
        order = [0, *range(2, 2 + 2 * ndim, 2), 1, *range(3, 3 + 2 * ndim, 2)]
        part = part.permute(order)
        blocks.append(part.reshape(math.prod(part.shape[: 1 + ndim]), math.prod(part.shape[1 + ndim :])))
    return torch.block_diag(*blocks) if groups > 1 else blocks[0]


def _selected(part: Tensor, chosen: Tensor) -> Tensor:
    """The sum over the third axis of one and the first of the other."""
    if not precise.rounds_products(part, chosen):
        return torch.tensordot(part, chosen, ([2], [0]))
    axes = "abcdefghijklmnopqrstuvwx"[: part.ndim]
    return precise.products(f"{axes},{axes[2]}yz->{axes[:2]}{axes[3:]}yz", part, chosen)


def _selection(
    n: int, taps: int, stride: int, dilation: int, margin: tuple[int, int], mode: str, like: Tensor
) -> Tensor:
    """(taps, positions, samples): one where a tap at a position reads a sample, beyond the ends the border's."""
    ((positions,),) = (nd.output_size((n,), (taps,), (stride,), (dilation,), (margin,)),)
    steps = torch.arange(taps, device=like.device)[:, None] * dilation
    read = steps + torch.arange(positions, device=like.device) * stride - margin[0]
    inside = (read >= 0) & (read < n)
    if mode in nd.EXTEND:
        read, inside = nd.EXTEND[mode](read, n), torch.ones_like(inside)
    chosen = read[..., None] == torch.arange(n, device=like.device)
    return (chosen & inside[..., None]).to(like.dtype)


def _entries(problem: Problem) -> int:
    rows = problem.out_channels * math.prod(problem.output_size)
    return rows * problem.in_channels * math.prod(problem.size)


def _chosen(problem: Problem) -> int:
    """Entries of what selects the matrix's."""
    return sum(k * p * n for k, p, n in zip(problem.kernel_size, problem.output_size, problem.size, strict=True))


def refused(problem: Problem) -> str:
    """Why it cannot be had, if so."""
    entries = max(_entries(problem), _chosen(problem) // 4)
    return f"would need a matrix of {entries:,} entries, more than {LARGEST:,}" if entries > LARGEST else ""


def cost(problem: Problem) -> dict[str, float]:
    """The matrix made, and multiplied."""
    entries = _entries(problem)
    return {"call": 1, "entry": entries, "mac": problem.batch * entries}


def memory(problem: Problem) -> int:
    """The matrix, while it is made and turned, beside what selects its entries."""
    partial = _entries(problem) * max(problem.kernel_size)
    return problem.itemsize * (3 * partial + 2 * problem.outputs) + 16 * _chosen(problem) + (1 << 20)
