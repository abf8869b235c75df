"""Words of tokens and tables of their sums in torch: what lookup adds up, and the twin of the kernels in words.py.

Nothing, which lies beyond the ends of a sequence, is the number after the last symbol, and adds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv.kernels._state import readable
from sigconv.kernels._threads import share

ROWS = 512  # of one table at most: three letters of DNA, two amino acids
BLOCK = 128  # filters whose sums torch makes at a time: their tables stay in the second cache
SPELLED = 1 << 22  # words of windows spelled at a time
CHUNK = 1 << 20  # sums made at a time: they do too, and a call is worth thousands of them


def word(symbols: int, taps: int, rows: int = ROWS) -> int:
    """Taps to a word: as many as a table of so many rows has room for, nothing being a symbol too.

    >>> [word(5, 24), word(21, 9), word(5, 2)]
    [3, 2, 2]
    """
    return max(min(int(math.log(rows) / math.log(symbols + 1) + 1e-9), taps), 1)


def window_count(n: int, taps: int, stride: int, dilation: int) -> int:
    """Windows along n places, margins included."""
    return (n - (taps - 1) * dilation - 1) // stride + 1


def spelled(x: Tensor, symbols: int, before: int, after: int) -> Tensor:
    """Tokens (batch, n) as int64 with margins of nothing; one that is no symbol is taken for the last."""
    x = x.int() if x.dtype == torch.uint8 else x.long()
    return F.pad(torch.where((x >= 0) & (x < symbols), x, symbols - 1), (before, after), value=symbols)


def numbers(seen: Tensor, base: int, length: int, dilation: int) -> Tensor:
    """The number of the word that begins at each place of the last axis; beyond its end is nothing.

    >>> numbers(torch.tensor([[0, 1, 2]]), base=4, length=2, dilation=1)
    tensor([[ 1,  6, 11]])
    """
    n = seen.shape[-1]
    longer = F.pad(seen, (0, (length - 1) * dilation), value=base - 1)
    total = longer[..., :n]
    for i in range(1, length):
        total = total * base + longer[..., i * dilation : i * dilation + n]
    return total


def tables(weight: Tensor, length: int) -> Tensor:
    """The sums of all words: weight (filters, symbols, taps) -> (words of a window, (symbols + 1)^length, filters)."""
    filled = F.pad(weight, (0, -weight.shape[2] % length, 0, 1))
    rows = filled.permute(2, 1, 0).unflatten(0, (-1, length))
    table = rows[:, 0]
    for i in range(1, length):
        table = (table[:, :, None] + rows[:, i, None]).flatten(1, 2)
    return table


def read(seen: Tensor, size: Sequence[int], where: Tensor, stride: int, dilation: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which numbers of a weight of a size make up each filter's sum at a window of its own: (batch, filters, taps).

    seen (batch, n), where (batch, filters).
    """
    tap = torch.arange(size[2], device=seen.device)
    at = where[..., None] * stride + tap * dilation
    letters = seen.gather(1, at.flatten(1)).reshape(at.shape)
    return torch.arange(size[0], device=seen.device)[:, None], letters, tap


def matched(seen: Tensor, weight: Tensor, where: Tensor, stride: int, dilation: int) -> Tensor:
    """The sum of every filter at a window of its own: (batch, filters)."""
    return F.pad(weight, (0, 0, 0, 1))[read(seen, weight.shape, where, stride, dilation)].sum(-1)


def put_back(g: Tensor, seen: Tensor, size: Sequence[int], where: Tensor, stride: int, dilation: int) -> Tensor:
    """The adjoint of matched in the weight, which has this size."""
    filters, symbols, taps = size
    places = read(seen, size, where, stride, dilation)
    blank = g.new_zeros(filters, symbols + 1, taps)
    return blank.index_put(places, g[..., None].expand(*g.shape, taps), accumulate=True)[:, :symbols]


def search(
    x: Tensor, weight: Tensor, bias: Tensor | None, options: tuple[int, int, int, int], places: bool
) -> tuple[Tensor, Tensor | None]:
    """The largest sum of every filter, (batch, filters), and the first window that has it, where places are wanted.

    x is tokens (batch, n); options are stride, before, after and dilation.
    """
    if readable(x, weight, bias):
        value, where = _in_chunks(x, weight, options, places)
        return value if bias is None else value + bias, where
    table = tables(weight, word(*weight.shape[1:]))
    total = sum(rows[words] for rows, words in zip(table, _words(x, weight, options), strict=True))
    value, where = (total if bias is None else total + bias).max(1)
    return value, where


def _words(x: Tensor, weight: Tensor, options: tuple[int, int, int, int]) -> list[Tensor]:
    """The words of every window, (batch, windows) each."""
    _, symbols, taps = weight.shape
    stride, before, after, dilation = options
    length = word(symbols, taps)
    every = numbers(spelled(x, symbols, before, after), symbols + 1, length, dilation)
    reach = (window_count(every.shape[1], taps, stride, dilation) - 1) * stride + 1
    return [every[:, first * dilation :][:, :reach:stride] for first in range(0, taps, length)]


def _in_chunks(
    x: Tensor, weight: Tensor, options: tuple[int, int, int, int], places: bool
) -> tuple[Tensor, Tensor | None]:
    """Some sequences and filters at a time, by threads: torch's own would meet in every function."""
    filters, symbols, taps = weight.shape
    stride, before, after, dilation = options
    windows, length = window_count(x.shape[1] + before + after, taps, stride, dilation), word(symbols, taps)
    rows, count = (symbols + 1) ** length, -(-taps // length)
    parts = [slice(f, f + BLOCK) for f in range(0, filters, BLOCK)]
    blocks = [tables(weight[part], length).flatten(0, 1).contiguous() for part in parts]
    some = max(CHUNK // (windows * min(filters, BLOCK)), 1)
    begins = torch.arange(0, some * windows * count, count, dtype=torch.int32, device=x.device)
    value = weight.new_empty(len(x), filters)
    where = torch.empty_like(value, dtype=torch.long) if places else None
    many = max(SPELLED // (windows * count), 1)
    for first in range(0, len(x), many):
        words = _words(x[first : first + many], weight, options)
        bags = torch.stack([each.int() + k * rows for k, each in enumerate(words)], -1).flatten(1)

        def look(lo: int, hi: int, first: int = first, bags: Tensor = bags) -> None:
            for unit in range(lo, hi):
                seen = bags[unit * some : (unit + 1) * some]
                at = slice(first + unit * some, first + unit * some + len(seen))
                for part, block in zip(parts, blocks, strict=True):
                    sums = torch.embedding_bag(block, seen.view(-1), begins[: len(seen) * windows])[0]
                    sums = sums.unflatten(0, (-1, windows))
                    if where is None:
                        value[at, part] = sums.amax(1)
                    else:
                        value[at, part], where[at, part] = sums.max(1)

        units = -(-len(bags) // some)
        if x.device.type == "cpu":
            share(look, units)
        else:
            look(0, units)
    return value, where
