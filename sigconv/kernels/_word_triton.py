"""The best window of every filter on CUDA: a program a sequence and block of filters, its windows some at a time.

Triton is imported when the kernel is first run. The tables are made in torch and shared by all programs; those of three
letters and 32 filters are 220 kB at most, so they stay in the second cache while sequences go by.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from sigconv.kernels import _triton as shared
from sigconv.kernels._memory import KINDS
from sigconv.kernels._state import transformed
from sigconv.kernels._word_tables import numbers, spelled, tables, window_count, word

WINDOWS, FILTERS = 32, 32  # of a step


def usable(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the kernel may take these: one axis of tokens, float32 or float64 weights, on CUDA."""
    if not (weight.is_cuda and weight.ndim == 3 and x.ndim == 2 and x.shape[0] and weight.numel()):
        return False
    return (
        not torch.compiler.is_compiling()
        and weight.dtype in KINDS
        and shared.at_hand()
        and not transformed(x, weight, bias)
    )


def best(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, before: int, after: int, dilation: int
) -> tuple[Tensor, Tensor]:
    """The largest sum of every filter along the windows of tokens, and the first window that has it."""
    filters, symbols, taps = weight.shape
    length = word(symbols, taps)
    table = tables(weight.detach(), length).contiguous()
    seen = spelled(x, symbols, before, after)
    words = numbers(seen, symbols + 1, length, dilation).int().contiguous()
    start = weight.new_zeros(filters) if bias is None else bias.detach().contiguous()
    y, where = weight.new_empty(len(x), filters), torch.empty(len(x), filters, dtype=torch.int32, device=x.device)
    windows = window_count(words.shape[1], taps, stride, dilation)
    sizes = (words.shape[1], windows, filters, table.shape[1], stride, length * dilation)
    blocks = -(-filters // FILTERS)
    given = words, table, start, y, where, *sizes, blocks
    fixed = {"count": table.shape[0], "step": WINDOWS, "block": FILTERS}
    shared.launch(_kernel(), len(x) * blocks, x, *given, **fixed)
    return y, where.long()


@cache
def _kernel() -> Any:
    import triton
    from triton import language as tl

    @triton.jit
    def kernel(
        words, table, bias, y, where, n, windows, filters, rows, stride, hop, blocks,
        count: tl.constexpr, step: tl.constexpr, block: tl.constexpr,
    ):  # fmt: skip
        b = (tl.program_id(0) // blocks).to(tl.int64)
        f = tl.program_id(0) % blocks * block + tl.arange(0, block)
        there = f < filters
        start = tl.load(bias + f, mask=there, other=0.0)
        lowest = tl.full((block,), float("-inf"), start.dtype)
        top, place = lowest, tl.zeros((block,), tl.int32)
        broken = tl.zeros((block,), tl.int32)
        for p0 in range(0, windows, step):
            p = p0 + tl.arange(0, step)
            inside = p < windows
            total = tl.zeros((step, block), start.dtype) + start[None, :]
            for k in range(count):
                number = tl.load(words + b * n + p * stride + k * hop, mask=inside, other=0)
                at = (k * rows + number)[:, None] * filters + f[None, :]
                total += tl.load(table + at, mask=inside[:, None] & there[None, :], other=0.0)
            total = tl.where(inside[:, None], total, float("-inf"))
            broken = tl.maximum(broken, tl.max((total != total).to(tl.int32), 0))
            value, row = tl.max(tl.where(total != total, float("inf"), total), 0, return_indices=True)
            later = value > top
            top, place = tl.where(later, value, top), tl.where(later, p0 + row, place)
        tl.store(y + b * filters + f, tl.where(broken > 0, float("nan"), top), mask=there)
        tl.store(where + b * filters + f, place, mask=there)

    return kernel
