"""How tokens and weights are laid out for the loops of words.py, and the threads those run in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv.kernels import _word_loops as loops
from sigconv.kernels._lanes import aligned, lanes, register
from sigconv.kernels._numba import compiled
from sigconv.kernels._threads import share
from sigconv.kernels._word_tables import window_count, word

SMALL = 1 << 17  # vectors added up to which threads cost more than they bring: a tenth of a millisecond
UNITS = 4  # of work for each thread at least


@cache
def ready() -> None:
    """Teach numba what the loops call."""
    from numba.extending import register_jitable

    register()
    register_jitable(loops.fill_table)


class Layout:
    """Words of tokens x (batch, n) for a weight of a shape and kind, and room for what a thread makes of them."""

    def __init__(self, x: Tensor, shape: Any, like: Tensor, stride: int, before: int, after: int, gap: int) -> None:
        ready()
        self.filters, self.symbols, self.taps = shape
        self.kind = like.detach().numpy().dtype
        self.lanes, self.base, self.length = lanes(self.kind), self.symbols + 1, word(self.symbols, self.taps)
        self.count, self.rows = -(-self.taps // self.length), self.base**self.length
        self.blocks, self.batch = -(-self.filters // self.lanes), x.shape[0]
        self.stride, self.hop = stride, self.length * gap
        padded = x.shape[1] + before + after
        self.windows = window_count(padded, self.taps, stride, gap)
        self.words = np.empty((self.batch, padded), np.int32)
        given = self.symbols, self.length, gap, before, self.lanes
        seen, room = letters(x), padded + (self.length - 1) * gap

        def number(lo: int, hi: int) -> None:
            compiled(loops.number_words)(seen, self.words, np.empty(room, np.int32), *given, lo, hi)

        run(number, self.batch, self.words.size // self.lanes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """As the loops take them."""
        return self.windows, self.length, self.count, self.stride, self.hop

    @property
    def effort(self) -> int:
        """Vectors that are added in all."""
        return self.blocks * self.batch * self.windows * self.count

    def parts(self, most: int) -> int:
        """Of the work, so many at most: enough for every thread, and no more, for a table is made for each."""
        if self.effort <= SMALL:
            return 1
        return min(most, -(-UNITS * torch.get_num_threads() // self.blocks))

    def table(self) -> np.ndarray:
        """Room for a block's table."""
        return aligned((self.count * self.rows * self.lanes,), self.kind)

    def tile(self) -> np.ndarray:
        """Room for some windows of a block."""
        return aligned((loops.TILE * self.lanes,), self.kind)

    def weight(self, weight: Tensor) -> np.ndarray:
        """(taps, symbols and nothing, filters), filled up with zeros to whole words and blocks."""
        filled = np.zeros((self.count * self.length, self.base, self.blocks * self.lanes), self.kind)
        filled[: self.taps, : self.symbols, : self.filters] = weight.detach().numpy().transpose(2, 1, 0)
        return filled

    def bias(self, bias: Tensor | None) -> np.ndarray:
        """A number for every lane of every block."""
        filled = np.zeros(self.blocks * self.lanes, self.kind)
        if bias is not None:
            filled[: self.filters] = bias.detach().numpy()
        return filled


def letters(x: Tensor) -> np.ndarray:
    """Tokens as NumPy's: bytes as they are, others as int64, so that few loops are compiled."""
    return (x if x.dtype == torch.uint8 else x.long()).contiguous().numpy()


def run(work: Callable[[int, int], None], units: int, effort: int) -> None:
    """work(first, last) on all units, by threads if it is worth it."""
    if effort <= SMALL:
        work(0, units)
    else:
        share(work, units)
