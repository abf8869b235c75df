"""Tokens looked up: integers in place of one-hot channels, sums of table rows in place of products.

A token's contribution to a tap is a row of the weight. Neighbouring taps along the last axis share one table of all
their words, a k-mer table: 24 taps over four letters are six rows to add in place of 96 products.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv import nd
from sigconv.kernels._state import readable
from sigconv.methods._problem import Problem

EXACT = True
LOCAL = True
ROWS = 4096  # of one table: it stays in cache for as many filters as first layers have


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
    symbols, kernel = weight.shape[1], tuple(weight.shape[2:])
    nothing = symbols  # what stands in the margins: a row of zeros
    sides = [side for margin in reversed(margins) for side in margin]
    seen = nd.windows(F.pad(x.long(), sides, value=nothing), kernel, stride, dilation)  # b, *positions, *kernel
    positions = seen.shape[1 : 1 + len(kernel)]
    rows = F.pad(weight.flatten(2), (0, 0, 0, 1)).permute(2, 1, 0)  # taps, symbols + nothing, out
    length = word(symbols, kernel[-1])
    tables, words, start = [], [], 0
    for lead in itertools.product(*map(range, kernel[:-1])):
        for first in range(0, kernel[-1], length):
            taps = range(first, min(first + length, kernel[-1]))
            tables.append(_table([rows[_flat((*lead, tap), kernel)] for tap in taps]))
            places: list[Any] = [(..., *lead, tap) for tap in taps]
            letters = [seen[place].flatten() for place in places]
            words.append(_number(letters, symbols + 1) + start)
            start += tables[-1].shape[0]
    y = _sums(torch.stack(words, 1), torch.cat(tables))
    y = y.reshape(x.shape[0], math.prod(positions), weight.shape[0]).mT.reshape(x.shape[0], weight.shape[0], *positions)
    return y if bias is None else y + nd.per_channel(bias, len(kernel))


def word(symbols: int, taps: int) -> int:
    """Taps to a word: as many as a table has room for.

    >>> [word(4, 24), word(20, 9), word(4, 2)]
    [5, 2, 2]
    """
    return max(min(int(math.log(ROWS) / math.log(symbols + 1) + 1e-9), taps), 1)


def _flat(tap: tuple[int, ...], kernel: tuple[int, ...]) -> int:
    place = 0
    for t, k in zip(tap, kernel, strict=True):
        place = place * k + t
    return place


def _table(rows: list[Tensor]) -> Tensor:
    """The sum of every choice of one row from each: (symbols, out) -> (symbols ** taps, out)."""
    table = rows[0]
    for row in rows[1:]:
        table = (table[:, None] + row[None]).flatten(0, 1)
    return table


def _number(letters: list[Tensor], base: int) -> Tensor:
    place = letters[0]
    for letter in letters[1:]:
        place = place * base + letter
    return place


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


def cost(problem: Problem) -> dict[str, float]:
    """Rows gathered, and the tables made."""
    words, rows = _words(problem)
    windows = problem.outputs // max(problem.out_channels, 1)
    return {"call": 1, "gathered": problem.outputs * words, "word": windows * words, "row": rows * problem.out_channels}


def memory(problem: Problem) -> int:
    """Words of all windows, the tables, and the output before and after it is turned."""
    words, rows = _words(problem)
    windows = problem.outputs // max(problem.out_channels, 1)
    inside = 8 * (3 * windows * words + 2 * problem.inputs)
    return inside + problem.itemsize * (3 * rows * problem.out_channels + 3 * problem.outputs) + (1 << 20)
