"""All tiles of a plan, here or on workers, into a sink."""

from __future__ import annotations

from typing import Any

from sigconv.tiles import _grid, _memory
from sigconv.tiles._run import Loop, Plan
from sigconv.tiles._sources import Source


def tile_for(ask: Any, source: Source, plan: Plan, need: Any, room: int | None) -> tuple[int, ...]:
    """Blocks of a tile along each axis."""
    if ask.tile is not None:
        return _grid.tile_of(ask.tile, plan.grid)
    if 0 in plan.shape or plan.grid.counts == (1,) * len(plan.grid.counts):
        return tuple(max(n, 1) for n in plan.grid.counts)
    order = source.order or tuple(range(len(plan.grid.counts)))
    return _memory.chosen(plan.grid, order, _memory.USUAL if room is None else room, need)


def through(ask: Any, source: Source, plan: Plan, sink: Any, tiles: list[Any], done: set[Any]) -> Any:
    """All tiles that are not done, then the sink's answer."""
    missing = [tile for tile in tiles if not set(_grid.blocks(tile)) <= done] if 0 not in plan.shape else []
    count = sum(len(list(_grid.blocks(tile))) for tile in tiles)
    made = count - sum(len(list(_grid.blocks(tile))) for tile in missing)
    try:
        if ask.client is not None:
            from sigconv.tiles import _dask

            results = _dask.tasks(ask.client, source, plan, sink, missing)
        else:
            results = Loop(plan, source, sink).each(missing)
        for tile in results:
            made += len(list(_grid.blocks(tile)))
            if ask.report is not None:
                ask.report(made, count)
        return sink.finished()
    except BaseException:
        sink.given_up()
        raise
