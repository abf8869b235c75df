"""Tile after tile: read, answered block by block, written; in halves where memory runs out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sigconv.tiles import _memory
from sigconv.tiles._grid import Box, Grid, Span, blocks, halves
from sigconv.tiles._regions import Piece, assembled, pieces

LEAST = 8  # positions along an axis, of what is computed at a time


@dataclass
class Plan:
    """What is done to what: an operation as work, the size of the source, the grid of the answer."""

    work: Any
    space: tuple[int, ...]
    grid: Grid
    dtype: torch.dtype  # of what is computed with
    shape: tuple[int, ...]  # of the answer: channels, *positions
    answer: torch.dtype
    channels: int  # of the source
    device: str | None = None  # where workers compute

    @property
    def whole(self) -> bool:
        """Whether one block is the whole answer, and the work brings the border of its own."""
        return self.work.bordered and self.grid.start is None and set(self.grid.counts) == {1}

    def window(self, axis: int, span: Span) -> Span:
        """The samples that these positions see along an axis, the border's among them."""
        n = self.space[axis]
        return (0, n) if self.whole else self.work.window(axis, *span, n)

    def region(self, tile: Box) -> list[Span]:
        """The samples that a box of blocks needs, its border among them."""
        if self.whole:
            return [(0, n) for n in self.space]
        rows = enumerate(zip(tile, self.space, strict=True))
        return [_memory.extent(self.work, axis, self.grid, span, n) for axis, (span, n) in rows]

    def parts(self, tile: Box) -> list[Piece]:
        """What of the source that is."""
        return pieces(self.region(tile), self.space, self.work.border)

    def gathered(self, tile: Box, read: Sequence[Any]) -> Tensor:
        """The region of a box of blocks, (channels, *samples), where it is computed."""
        parts = self.parts(tile)
        on = next((r.device for r in read if isinstance(r, Tensor)), torch.device("cpu"))
        like = torch.empty((self.channels, *[b - a for a, b in self.region(tile)]), dtype=self.dtype, device=on)
        return assembled(parts, read, like).to(self.work.device)


def answered(plan: Plan, tile: Box, region: Tensor, write: Callable[[tuple[slice, ...], Tensor], None]) -> None:
    """Every block of a box, from its own region; write hears of channels and positions, and their values."""
    start = [a for a, _ in plan.region(tile)]
    for block in blocks(tile):
        spans = [plan.grid.span(axis, i, i + 1) for axis, i in enumerate(block)]
        for first, y in _crop(plan, region, start, spans):
            write((slice(first, first + len(y)), *(slice(a, b) for a, b in spans)), y)


def _crop(plan: Plan, region: Tensor, start: Sequence[int], spans: Sequence[Span]) -> Any:
    """The answer at these positions, some channels at a time; from memory of its own: its bits are always the same."""
    windows = [plan.window(axis, span) for axis, span in enumerate(spans)]
    cut = (slice(None), *(slice(a - s, b - s) for (a, b), s in zip(windows, start, strict=True)))
    crop = region[cut]
    crop = crop if crop.shape == region.shape else crop.clone(memory_format=torch.contiguous_format)
    return plan.work.answered(crop, windows, spans, plan.space)


def in_parts(grid: Grid) -> None:
    """Say that blocks are halved."""
    warnings.warn(
        f"memory ran out at blocks of {grid.largest} positions: they are computed in parts, and the answer equals that "
        "of whole ones within the promise, not to the bit",
        stacklevel=6,
    )


class Loop:
    """The tiles of a plan, one after the other in this process; of blocks in parts it warns, unless another does."""

    def __init__(self, plan: Plan, source: Any, sink: Any, warns: bool = True) -> None:
        self.plan, self.source, self.sink, self.warns = plan, source, sink, warns
        self.depth = 0  # how often a block is halved before it is computed

    def each(self, tiles: Sequence[Box]) -> Iterator[Box]:
        """The tiles, as they get done."""
        for tile in tiles:
            self.run(tile)
            yield tile

    def run(self, tile: Box) -> None:
        """A tile, in halves where memory runs out, down to parts of a block."""
        waiting = [tile]
        while waiting:
            part = waiting.pop()
            if self._done(part):
                self.sink.written(part)
                continue
            _memory.emptied(self.plan.work.device)
            smaller = halves(part)
            waiting += reversed(smaller) if smaller else [part]
            if not smaller:
                self._deeper()

    def _deeper(self) -> None:
        before = self._sizes()
        self.depth += 1
        if max(self._sizes()) < LEAST:
            raise MemoryError(f"there is too little memory even for {before} positions at a time: close other programs")
        if self.depth == 1 and self.warns:
            in_parts(self.plan.grid)

    def _sizes(self) -> tuple[int, ...]:
        grid = self.plan.grid
        for _ in range(self.depth):
            half = grid.halved()
            if half is None:
                return (0,) * len(grid.block)
            grid = half
        return grid.largest

    def _done(self, tile: Box) -> bool:
        """Whether there was memory for it. The error is let go of here, with all that it keeps."""
        try:
            self._tile(tile)
        except (MemoryError, RuntimeError) as error:
            if not _memory.ran_out(error):
                raise
            return False
        return True

    def _tile(self, tile: Box) -> None:
        if self.depth:
            self._in_parts(tile)
            return
        read = [self.source.read(part.source) for part in self.plan.parts(tile) if part.source is not None]
        region = self.plan.gathered(tile, read)
        del read
        self.source.passed()
        answered(self.plan, tile, region, self.sink.write)

    def _in_parts(self, tile: Box) -> None:
        """Blocks through a finer grid of each; they are written whole."""
        for block in blocks(tile):
            spans = [self.plan.grid.span(axis, i, i + 1) for axis, i in enumerate(block)]
            first, last = (tuple(ends) for ends in zip(*spans, strict=True))
            fine = replace(self.plan, grid=Grid(last, self._sizes(), first))
            whole = torch.empty((self.plan.shape[0], *(b - a for a, b in spans)), dtype=self.plan.answer)

            def put(at: tuple[slice, ...], y: Tensor, whole: Tensor = whole, first: Any = first) -> None:
                own = (slice(cut.start - a, cut.stop - a) for cut, a in zip(at[1:], first, strict=True))
                whole[(at[0], *own)] = y.to(whole.device)

            for small in blocks(tuple((0, n) for n in fine.grid.counts)):
                one = tuple((i, i + 1) for i in small)
                read = [self.source.read(part.source) for part in fine.parts(one) if part.source is not None]
                answered(fine, one, fine.gathered(one, read), put)
            self.sink.write((slice(None), *(slice(a, b) for a, b in spans)), whole)
