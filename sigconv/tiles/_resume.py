"""Into a zarr array that is there already, or is made: what is done stays, what differs is named."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from torch import nn

from sigconv import files
from sigconv.tiles import _identity, _memory, _through, _zarr
from sigconv.tiles._run import Plan
from sigconv.tiles._sources import Source


def into(ask: Any, op: nn.Module, source: Source, plan: Plan, need: Any, room: int | None) -> str:
    """The path of the whole array."""
    path = os.fspath(ask.out)
    now = _identity.whole(op, plan.work.options, source, plan.dtype)
    there = _zarr.attributes(path)
    least = None if room is None else room - _memory.BESIDE
    if there is None:
        if least is not None and 0 not in plan.shape:
            plan.grid = _memory.fitting(plan.grid, least, need, ask.memory)
        said = _identity.attributes(now, source, plan.work.steps)
        _zarr.begun(path, plan.shape, plan.answer, plan.grid.block, said)
    else:
        _same(path, there, now)
    with _alone(path):
        sink = _zarr.Zarr(path)
        if sink.complete:
            return str(sink.path)
        plan.grid = plan.grid._replace(block=sink.block)  # the one it was begun with
        tile = _through.tile_for(ask, source, plan, need, least)
        tiles = list(plan.grid.tiles(tile, source.order)) if 0 not in plan.shape else []
        return _through.through(ask, source, plan, sink, tiles, sink.done)


def _same(path: str, there: dict[str, Any], now: dict[str, Any]) -> None:
    """ValueError for an array of another make."""
    if "made" not in there:
        raise ValueError(f"out {path!r} is a zarr array that was not made here: name another")
    differ = _identity.differing(there["made"], now)
    if differ:
        raise ValueError(
            f"out {path!r} was made from something else: {', '.join(differ[:4])}: name another, or remove it"
        )


@contextlib.contextmanager
def _alone(path: str) -> Any:
    """No other process writes there meanwhile; of that nothing stays when all is done."""
    with files.locked(path):
        yield
        if not os.path.exists(os.path.join(path, _zarr.DONE)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(path, files.LOCK))
