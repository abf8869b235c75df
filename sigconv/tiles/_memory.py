"""Memory asked for, told in time, and run out of: tiles that fit, in halves where there was less than told."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from sigconv.tiles._grid import Grid
from sigconv.tiles._sources import Source

USUAL = 1 << 29  # bytes for a tile where no memory is said
BESIDE = 1 << 26  # what the first call of anything takes: threads, plans, compiled loops
WORDS = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")


def ran_out(error: BaseException) -> bool:
    """Whether memory was what an error wanted: Python's, a CPU's in torch's words, or a device's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


def emptied(device: torch.device) -> None:
    """A device's cache given back, before less is tried."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


Need = Callable[[Grid, Sequence[int]], int]  # bytes of tiles of so many blocks


def chosen(grid: Grid, order: Sequence[int], room: int, need: Need) -> tuple[int, ...]:
    """Blocks of the largest tile that fits into so many bytes, long where it is read fastest; one at least."""
    tile = [1] * len(grid.counts)
    for axis in reversed(order):
        best = 1
        for wide in _sizes(grid.counts[axis]):
            trial = [wide if a == axis else t for a, t in enumerate(tile)]
            if need(grid, trial) > room:
                break
            best = wide
        tile[axis] = best
        if best < grid.counts[axis]:
            break
    return tuple(tile)


def _sizes(most: int) -> list[int]:
    """Numbers of blocks to try: doubling, then all."""
    powers = list(itertools.takewhile(lambda n: n < most, (1 << k for k in range(62))))
    return [*powers, most] if most else [1]


def fitting(grid: Grid, room: int, need: Need, said: Any) -> Grid:
    """The same grid, or one of halved blocks where one would not fit: by a warning, for its bits are other ones."""
    one = [1] * len(grid.block)
    first = grid
    while need(grid, one) > room:
        half = grid.halved()
        if half is None:
            raise MemoryError(
                f"memory {said!r} is too little: blocks of {grid.largest} positions need {need(grid, one)} bytes"
            )
        grid = half
    if grid is not first:
        warnings.warn(
            f"memory {said!r} does not do for blocks of {first.largest} positions: they are {grid.largest}, and the "
            "answer equals that of whole ones within the promise, not to the bit",
            stacklevel=4,
        )
    return grid


def sizes(work: Any, space: Sequence[int], grid: Grid, tile: Sequence[int]) -> tuple[int, ...]:
    """The largest region that tiles of so many blocks read, along every axis."""
    found = []
    for axis, (n, wide, count) in enumerate(zip(space, tile, grid.counts, strict=True)):
        spans = [(i, min(i + wide, count)) for i in {0, (count // 2) // wide * wide, max(count - wide, 0)}]
        found.append(max(b - a for a, b in (extent(work, axis, grid, span, n) for span in spans)))
    return tuple(found)


def extent(work: Any, axis: int, grid: Grid, span: tuple[int, int], n: int) -> tuple[int, int]:
    """The samples that these blocks need along an axis."""
    ends = {span[0], min(span[0] + 1, span[1] - 1), max(span[1] - 2, span[0]), span[1] - 1}
    windows = [work.window(axis, *grid.span(axis, i, i + 1), n) for i in ends]
    return min(a for a, _ in windows), max(b for _, b in windows)


def needed(work: Any, source: Source, dtype: torch.dtype, outs: tuple[int, Any]) -> Need:
    """How many bytes a tile takes: what is read, twice where it must be unpacked, a block's crop and its answer; and
    what the source keeps meanwhile."""
    channels, space = source.shape[0], source.space

    def need(grid: Grid, tile: Sequence[int]) -> int:
        size = dtype.itemsize * channels
        region = sizes(work, space, grid, tile)
        crop = sizes(work, space, grid, [1] * len(tile))
        block = math.prod(grid.largest) * outs[0] * outs[1].itemsize
        beside = source.bytes_beside(region)
        return int(
            beside
            + 2 * size * math.prod(region)
            + size * math.prod(crop)
            + work.room(crop, channels, dtype)
            + block // 2
        )

    return need
