"""Tokens looked up: integers in place of one-hot channels, sums of table rows in place of products.

A token's contribution to a tap is a row of the weight. Neighbouring taps along the last axis share one table of all
their words, a k-mer table: 24 taps over four letters are eight rows to add in place of 96 products. On one axis the
kernels of kernels/words.py add them; torch does elsewhere.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv import nd
from sigconv.kernels import words as kernel
from sigconv.kernels._lanes import lanes
from sigconv.kernels._memory import KINDS
from sigconv.kernels._numba import numba_at_hand
from sigconv.kernels._state import readable
from sigconv.kernels._triton import at_hand as triton_at_hand
from sigconv.kernels._word_tables import numbers, tables, word
from sigconv.methods._problem import Problem

EXACT = True
LOCAL = True
LINE = 32  # filters whose sums a GPU's multiprocessor reads at once


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
    """x (batch, *space) of tokens 0 … symbols - 1, weight (out_channels, symbols, *kernel_size); groups is 1."""
    if kernel.usable(x, weight, bias):
        return kernel.word_sums(x, weight, bias, stride[0], *margins[0], dilation[0])
    symbols, taps = weight.shape[1], tuple(weight.shape[2:])
    sides = [side for margin in reversed(margins) for side in margin]
    length = word(symbols, taps[-1])
    every = numbers(F.pad(x.long(), sides, value=symbols), symbols + 1, length, dilation[-1])
    size = nd.output_size(x.shape[1:], taps, stride, dilation, margins)
    found, words, rows = [], [], 0
    for lead in itertools.product(*map(range, taps[:-1])):
        row: Any = (slice(None), slice(None), *lead)
        table = tables(weight[row], length)
        for number, part in enumerate(table):
            first = [t * d for t, d in zip((*lead, number * length), dilation, strict=True)]
            reach = (slice(f, f + (n - 1) * s + 1, s) for f, n, s in zip(first, size, stride, strict=True))
            words.append(every[(slice(None), *reach)].flatten() + rows)
            found.append(part)
            rows += len(part)
    y = _sums(torch.stack(words, 1), torch.cat(found))
    y = y.reshape(len(x), math.prod(size), len(weight)).mT.reshape(len(x), len(weight), *size)
    return y if bias is None else y + nd.per_channel(bias, len(taps))


def _sums(words: Tensor, table: Tensor) -> Tensor:
    """(windows, words) and (rows, out) -> (windows, out)."""
    if readable(words, table):
        return _Sums.apply(words, table)
    return sum(F.embedding(column, table) for column in words.unbind(1))  # type: ignore[return-value]


class _Sums(torch.autograd.Function):
    """Rows gathered and added in one go; the gradient is added back to the rows that were read."""

    @staticmethod
    def forward(ctx: Any, words: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(words)
        ctx.rows = table.shape[0]
        return F.embedding_bag(words, table, mode="sum")

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[None, Tensor]:
        (words,) = ctx.saved_tensors
        total = g.new_zeros(ctx.rows, g.shape[1])
        for column in words.unbind(1):
            total = total.index_add(0, column, g)
        return None, total


def refused(problem: Problem) -> str:
    """Why it cannot be had, if so."""
    return "" if problem.tokens else "takes tokens: integers without a channel axis"


def _words(problem: Problem) -> tuple[int, int]:
    """Words to a window, and rows of all their tables."""
    length = word(problem.in_channels, problem.kernel_size[-1])
    words = math.prod(problem.kernel_size[:-1]) * -(-problem.kernel_size[-1] // length)
    return words, words * (problem.in_channels + 1) ** length


def _by_kernel(problem: Problem) -> bool:
    """Whether the kernel will do it, as far as shapes tell."""
    here = triton_at_hand() if problem.device == "cuda" else problem.device in ("cpu", "meta") and numba_at_hand()
    return here and len(problem.kernel_size) == 1 and problem.dtype in KINDS


def cost(problem: Problem) -> dict[str, float]:
    """Rows gathered, and the tables made."""
    words, rows = _words(problem)
    windows = problem.outputs // max(problem.out_channels, 1)
    if _by_kernel(problem):
        blocks = -(-problem.out_channels // (LINE if problem.device == "cuda" else lanes(KINDS[problem.dtype])))
        vectors = {"kernel_vector": windows * words * blocks, "kernel_row": rows * blocks}
        return {"kernel_call": 1, "kernel_moved": problem.outputs, **vectors}
    return {"call": 1, "gathered": problem.outputs * words, "word": windows * words, "row": rows * problem.out_channels}


def memory(problem: Problem) -> int:
    """Words of all windows, the tables, and the output before and after it is turned."""
    words, rows = _words(problem)
    tables = problem.itemsize * 3 * rows * (problem.out_channels + lanes(KINDS[torch.float32]))
    if _by_kernel(problem):
        return 12 * problem.inputs + tables + problem.itemsize * problem.outputs + (2 << 20)
    windows = problem.outputs // max(problem.out_channels, 1)
    inside = 8 * (3 * windows * words + 3 * problem.inputs)
    return inside + tables + problem.itemsize * 3 * problem.outputs + (1 << 20)
