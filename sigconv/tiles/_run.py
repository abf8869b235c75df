"""Tile after tile: read, answered block by block, written; in halves where memory runs out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sigconv.tiles import _memory
from sigconv.tiles._grid import Box, Grid, Span, blocks, halves
from sigconv.tiles._regions import Piece, assembled, pieces
from sigconv.tiles._sources import Source

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

    def region(self, tile: Box) -> list[Span]:
        """The samples that a box of blocks needs, its border among them."""
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
    rows = enumerate(zip(spans, plan.space, strict=True))
    windows = [plan.work.window(axis, *span, n) for axis, (span, n) in rows]
    cut = (slice(None), *(slice(a - s, b - s) for (a, b), s in zip(windows, start, strict=True)))
    crop = region[cut]
    crop = crop if crop.shape == region.shape else crop.clone(memory_format=torch.contiguous_format)
    return plan.work.answered(crop, windows, spans, plan.space)


class Loop:
    """The tiles of a plan, one after the other in this process."""

    def __init__(self, plan: Plan, source: Source, sink: Any) -> None:
        self.plan, self.source, self.sink = plan, source, sink
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
        if self.depth == 1:
            warnings.warn(
                f"memory ran out at blocks of {self.plan.grid.largest} positions: they are computed in parts, and the "
                "answer equals that of whole ones within the promise, not to the bit",
                stacklevel=5,
            )

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
        """A block through a finer grid; where whole ones are wanted, they are put together first."""
        from dataclasses import replace

        grid = self.plan.grid._replace(block=self._sizes())
        fine = replace(self.plan, grid=grid)
        for block in blocks(tile):
            spans = [self.plan.grid.span(axis, i, i + 1) for axis, i in enumerate(block)]
            box = tuple((a // b, -(-z // b)) for (a, z), b in zip(spans, grid.block, strict=True))
            place = tuple(slice(a, b) for a, b in spans)
            whole = torch.empty((self.plan.shape[0], *(b - a for a, b in spans)), dtype=self.plan.answer)

            def put(at: tuple[slice, ...], y: Tensor, whole: Tensor = whole, spans: Any = spans) -> None:
                own, kept = [at[0]], [slice(None)]
                for cut, (a, b) in zip(at[1:], spans, strict=True):
                    first, last = max(cut.start, a), min(cut.stop, b)
                    own.append(slice(first - a, last - a))
                    kept.append(slice(first - cut.start, last - cut.start))
                whole[tuple(own)] = y[tuple(kept)].to(whole.device)

            for small in blocks(box):
                one = tuple((i, i + 1) for i in small)
                read = [self.source.read(part.source) for part in fine.parts(one) if part.source is not None]
                answered(fine, one, fine.gathered(one, read), put)
            self.sink.write((slice(None), *place), whole)
