"""One axis of a pooling at a time: seen as (outer, n, inner), cut into tiles that stay in cache, shared by threads.

A tile is so many outputs along the axis and so many columns beside; it lies flat, so that a step along the axis is a
step of `columns` numbers and one loop over neighbours serves first, middle and last axes alike. A window of k samples
is reached by doubling: 1, 4, 16 … samples together, each pass over the tile putting four neighbours into one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv.kernels._memory import KINDS
from sigconv.kernels._numba import numba_at_hand
from sigconv.kernels._state import transformed
from sigconv.kernels._threads import share

TILE = 1 << 12  # numbers of a tile: two or three of them stay in the second cache
COLUMNS = 512  # at most: half a page of memory
SMALL = 1 << 15  # numbers up to which threads cost more than they bring


def at_hand(x: Tensor, *more: Tensor) -> bool:
    """Whether a kernel may take these: float32 or float64 on a CPU, with numba; a compiler fuses the twin instead."""
    if torch.compiler.is_compiling() or x.dtype not in KINDS or x.device.type != "cpu" or not numba_at_hand():
        return False
    return math.prod(x.shape[2:]) < 2**31 and not transformed(x, *more)


class Pass(NamedTuple):
    """Windows along one axis of what is seen as (outer, n, inner)."""

    outer: int
    n: int
    inner: int
    out: int
    k: int
    s: int
    d: int

    @classmethod
    def along(cls, shape: Sequence[int], dim: int, k: int, s: int, d: int) -> Pass:
        """The windows of axis dim; only those that lie inside it."""
        n = shape[dim]
        out = (n - d * (k - 1) - 1) // s + 1
        return cls(math.prod(shape[:dim]), n, math.prod(shape[dim + 1 :]), out, k, s, d)

    @property
    def tile(self) -> tuple[int, int]:
        """Outputs and columns of a tile: the halo before a tile's end is at most about half of it."""
        columns = min(self.inner, COLUMNS)
        reach = self.d * (self.k - 1)
        rows = max(TILE // columns - reach, reach, self.s) // self.s
        return max(min(rows, self.out), 1), columns

    @property
    def room(self) -> int:
        """Numbers a tile reads."""
        rows, columns = self.tile
        return ((rows - 1) * self.s + self.d * (self.k - 1) + 1) * columns

    def run(self, work: Callable[[int, int], None]) -> None:
        """All units, (outer, tile, stretch of columns), by as many threads as torch has."""
        rows, columns = self.tile
        units = self.outer * -(-self.out // rows) * -(-self.inner // columns)
        if self.outer * self.n * self.inner <= SMALL:
            work(0, units)
        else:
            share(work, units)


def flat(array: np.ndarray) -> np.ndarray:
    """The array as one row, without a copy."""
    return array.reshape(-1)
