"""The grid an answer is computed on: blocks aligned to the origin, by the operation and the source's size alone.

A block is what is computed at a time, so its bits are the same whatever is read, written or sent together. A tile is
that: a box of blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from sigconv import nd

BLOCKS = {1: 1 << 16, 2: 512, 3: 128, 4: 32}  # samples of the input along an axis, by the number of axes
LEAST = 16  # of more axes
# Blocks of a single axis are longer where their answers are few: of fewer filters than FEW up to LONGER times, by a
# stride up to SPARSE times again. What a block costs beside its samples is then paid less often.
FEW, LONGER, SPARSE = 64, 4, 8
Span = tuple[int, int]
Box = tuple[Span, ...]


class Axis(NamedTuple):
    """What an operation does along one axis: samples of the input per position, samples it sees on either side of one,
    and the samples of which every block must begin at a multiple."""

    jump: Fraction
    halo: int
    lattice: int


def usual(strides: Sequence[int], filters: int) -> int:
    """Samples of a block along an axis; of a single axis more where an answer is of few filters or has a stride.

    >>> usual([1], 2), usual([1], 32), usual([1], 100), usual([160], 100), usual([1, 1], 2)
    (262144, 131072, 65536, 524288, 512)
    """
    base = BLOCKS.get(len(strides), LEAST)
    return base * min(max(FEW // filters, 1), LONGER) * min(strides[0], SPARSE) if len(strides) == 1 else base


def block_of(axes: Sequence[Axis], positions: Sequence[int], base: int | None = None) -> tuple[int, ...]:
    """Positions of a block along each axis: the usual size, twice the halo at least, whole steps of the lattice.

    Blocks of an axis are made about equal, a quarter longer at the most: a thin last one would be all halo.

    >>> block_of([Axis(Fraction(1), 18, 1)] * 3, [512, 300, 150]), block_of([Axis(Fraction(2), 1, 8)], [70_000])
    ((128, 100, 150), (35000,))
    """
    base = base or BLOCKS.get(len(axes), LEAST)
    found = []
    for (jump, halo, lattice), n in zip(axes, positions, strict=True):
        unit = max(int(lattice / jump), 1)
        usual = max(base, 2 * halo) / jump
        several = max(math.ceil(n / usual - Fraction(1, 4)), 1)
        found.append(max(-(-math.ceil(Fraction(n, several)) // unit), 1) * unit)
    return tuple(found)


class Grid(NamedTuple):
    """Where positions of the answer end along each axis of space, those of a block, and where the first one begins."""

    positions: tuple[int, ...]
    block: tuple[int, ...]
    start: tuple[int, ...] | None = None  # the origin

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        first = self.start or (0,) * len(self.block)
        return tuple(-(-(n - a) // b) for n, b, a in zip(self.positions, self.block, first, strict=True))

    @property
    def largest(self) -> tuple[int, ...]:
        """Positions of the largest block there is."""
        return tuple(map(min, self.positions, self.block))

    def span(self, axis: int, first: int, last: int) -> Span:
        """The positions of blocks first … last of an axis."""
        begin = self.start[axis] if self.start else 0
        return begin + first * self.block[axis], min(begin + last * self.block[axis], self.positions[axis])

    def place(self, tile: Box) -> Box:
        """The positions of a box of blocks."""
        return tuple(self.span(axis, *blocks) for axis, blocks in enumerate(tile))

    def halved(self) -> Grid | None:
        """Blocks of half the size along their longest axis; None where they would be of fewer than 8 positions."""
        axis = max(range(len(self.block)), key=lambda a: self.largest[a])
        half = -(-self.largest[axis] // 2)
        if half < 8:
            return None
        return self._replace(block=tuple(half if a == axis else b for a, b in enumerate(self.block)))

    def tiles(self, tile: Sequence[int], order: Sequence[int] | None = None) -> Iterator[Box]:
        """Boxes of so many blocks along each axis, the axes named first being the slowest."""
        axes = list(order if order is not None else range(len(self.block)))
        steps = [[(i, min(i + tile[a], self.counts[a])) for i in range(0, self.counts[a], tile[a])] for a in axes]
        for spans in itertools.product(*steps):
            yield tuple(spans[axes.index(a)] for a in range(len(axes)))


def blocks(tile: Box) -> Iterator[tuple[int, ...]]:
    """The blocks of a box, by their numbers along each axis."""
    return itertools.product(*(range(*span) for span in tile))


def halves(tile: Box) -> list[Box]:
    """A box of blocks in two, along its longest axis; nothing where it is a single block."""
    axis = max(range(len(tile)), key=lambda a: tile[a][1] - tile[a][0])
    first, last = tile[axis]
    if last - first < 2:
        return []
    middle = (first + last) // 2
    return [(*tile[:axis], span, *tile[axis + 1 :]) for span in ((first, middle), (middle, last))]


def tile_of(tile: Any, grid: Grid) -> tuple[int, ...]:
    """Blocks of a tile of so many positions, one number or one per axis, rounded up to whole blocks."""
    wanted = nd.ntuple(tile, len(grid.block), "tile")
    return tuple(min(-(-t // b), max(n, 1)) for t, b, n in zip(wanted, grid.block, grid.counts, strict=True))
