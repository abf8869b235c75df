"""dask: answers put off, a block a tile; and tiles as tasks of a cluster, whose workers write whole chunks themselves.

A task is pure and gets plain arguments: the plan, sent once to every worker, the numbers of a tile, and the parts of
the source it reads, or where the source lies. What comes back is the tile's numbers, or, where the caller writes, its
answer. A worker that dies loses nothing: dask computes its tiles again, and a chunk is written whole or anew. One that
has too little memory halves its tiles, then its blocks.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv.tiles import _run, _sinks, _zarr
from sigconv.tiles._grid import Box
from sigconv.tiles._run import Plan
from sigconv.tiles._sources import Source, opened

AHEAD = 3  # tasks a worker's thread has waiting
PATIENCE = 120  # seconds for a worker to be there
TRIES = 3  # times that a tile is sent anew


def lazy(source: Source, plan: Plan, tile: Sequence[int]) -> Any:
    """A dask array of the answer: every tile a block, computed when it is asked for."""
    import dask
    import dask.array as da

    kind = _sinks.numpy_of(plan.answer)
    if 0 in plan.shape:
        return da.zeros(plan.shape, dtype=kind)
    sent = dask.delayed(plan, pure=True)
    made = dask.delayed(_tile, pure=True)
    rows = {}
    for box in plan.grid.tiles(tile):
        parts = [source.part(part.source) for part in plan.parts(box) if part.source is not None]
        place = plan.grid.place(box)
        shape = (plan.shape[0], *(b - a for a, b in place))
        index = tuple(a // t for (a, _), t in zip(box, tile, strict=True))
        rows[index] = da.from_delayed(made(sent, box, source.bare, parts), shape, dtype=kind)
    return da.block(_nested(rows, tuple(-(-n // t) for n, t in zip(plan.grid.counts, tile, strict=True))))


def _nested(rows: dict[tuple[int, ...], Any], counts: Sequence[int], index: tuple[int, ...] = ()) -> Any:
    """Lists of lists, as deep as there are axes of space."""
    if len(index) == len(counts):
        return rows[index]
    return [_nested(rows, counts, (*index, i)) for i in range(counts[len(index)])]


def tasks(client: Any, source: Source, plan: Plan, sink: Any, tiles: Sequence[Box]) -> Iterator[Box]:
    """Every tile on some worker; those that are done, as they get done, written down by the sink."""
    import distributed

    sent = _Sent(client, source, plan, str(sink.path) if isinstance(sink, _zarr.Zarr) else None)
    threads = max(sum(client.nthreads().values()), 1)
    waiting = iter(tiles)
    warned = False
    running = distributed.as_completed([sent.submit(box) for box in itertools.islice(waiting, AHEAD * threads)])
    for future in running:
        found = sent.result(future)
        if found is None:
            running.add(sent.again(future))
            continue
        box, y, parted = found
        if parted and not warned:
            warned = True
            _run.in_parts(plan.grid)
        if sent.store is None:
            place = (slice(None), *(slice(a, b) for a, b in plan.grid.place(box)))
            sink.write(place, torch.from_numpy(y))
            sink.written(box)
        else:  # the worker has synced its chunks
            sink.told(box)
        for another in itertools.islice(waiting, 1):
            running.add(sent.submit(another))
        yield box


class _Sent:
    """A plan on the workers, and the tiles that are under way: sent again where all who had the plan are gone."""

    def __init__(self, client: Any, source: Source, plan: Plan, store: str | None) -> None:
        self.client, self.source, self.plan, self.store = client, source, plan, store
        self.known = source.paths[0] if source.paths else None
        self.under_way: dict[str, tuple[Box, int]] = {}  # by the task's name: the tile, and how often it was lost
        self._scatter()

    def _scatter(self) -> None:
        self.client.wait_for_workers(1, timeout=PATIENCE)
        self.held = self.client.scatter(self.plan, broadcast=True, hash=False)

    def submit(self, box: Box, lost: int = 0) -> Any:
        """A task, of a name that no other ever had: what an aborted call left on the workers is not taken for it."""
        parts: Any = None
        if self.known is None:
            parts = [self.source.part(part.source) for part in self.plan.parts(box) if part.source is not None]
            parts = [np.ascontiguousarray(p) if isinstance(p, np.ndarray) else p for p in parts]
        if parts is not None and self.source.kind == "dask":
            parts = self.client.compute(parts)
        words = (self.held, box, self.source.bare, parts, self.known, len(self.plan.space), self.store)
        future = self.client.submit(_task, *words, pure=False, retries=2)
        self.under_way[future.key] = box, lost
        return future

    def result(self, future: Any) -> Any:
        """What a task gave; None where it is gone, with the workers that held the plan."""
        import distributed

        try:
            found = future.result()
        except distributed.CancelledError:
            return None
        self.under_way.pop(future.key)
        future.release()
        return found

    def again(self, future: Any) -> Any:
        """The task anew. RuntimeError where it is lost again and again."""
        box, lost = self.under_way.pop(future.key)
        if lost == TRIES:
            place = self.plan.grid.place(box)
            raise RuntimeError(f"the tile at {place} was lost with its workers {lost + 1} times: look at their logs")
        if self.held.cancelled() or self.held.status == "lost":
            self._scatter()
        return self.submit(box, lost + 1)


def _task(
    plan: Plan, box: Box, bare: bool, parts: Any, path: str | None, ndim: int, store: str | None
) -> tuple[Box, Any, bool]:
    """A tile on a worker: its numbers, its answer where the caller writes it, and whether its blocks were halved."""
    box = tuple((int(a), int(b)) for a, b in box)
    plan = _here(plan)
    source = opened(path, ndim) if parts is None else _Read(plan, box, bare, parts)
    into = _Answer(plan, box) if store is None else _zarr.Store(store)
    parted = _computed(plan, box, source, into, warns=False)
    return box, into.values if isinstance(into, _Answer) else None, parted


def _tile(plan: Plan, box: Box, bare: bool, parts: Sequence[Any]) -> np.ndarray:
    """A tile's answer, from what was read for it."""
    box = tuple((int(a), int(b)) for a, b in box)
    into = _Answer(plan, box)
    _computed(plan, box, _Read(plan, box, bare, parts), into, warns=True)
    return into.values


@torch.no_grad()
def _computed(plan: Plan, box: Box, source: Any, into: Any, warns: bool) -> bool:
    """A tile into what takes it; whether its blocks were halved."""
    loop = _run.Loop(plan, source, into, warns)
    loop.run(box)
    return loop.depth > 0


class _Read:
    """A source of which the parts that a tile needs were read."""

    def __init__(self, plan: Plan, box: Box, bare: bool, parts: Sequence[Any]) -> None:
        arrays = [part if isinstance(part, Tensor) else np.asarray(part) for part in parts]
        places = [part.source for part in plan.parts(box) if part.source is not None]
        self.held = list(zip(places, [part[None] if bare else part for part in arrays], strict=True))

    def read(self, box: tuple[slice, ...]) -> Any:
        """The values of a box that lies in one of the parts."""
        for place, values in self.held:
            if all(own.start <= cut.start and cut.stop <= own.stop for own, cut in zip(place, box, strict=True)):
                inside = (slice(c.start - o.start, c.stop - o.start) for o, c in zip(place, box, strict=True))
                return values[(slice(None), *inside)]
        raise AssertionError(f"{box} lies in none of the parts that were read")

    def passed(self) -> None:
        """Nothing is mapped."""


class _Answer(_sinks.Memory):
    """The answer of a tile by itself."""

    def __init__(self, plan: Plan, box: Box) -> None:
        self.place = plan.grid.place(box)
        super().__init__(np.empty((plan.shape[0], *(b - a for a, b in self.place)), _sinks.numpy_of(plan.answer)))

    def write(self, place: _sinks.Place, y: Tensor) -> None:
        """Some channels of some positions of the whole."""
        own = (slice(cut.start - a, cut.stop - a) for cut, (a, _) in zip(place[1:], self.place, strict=True))
        super().write((place[0], *own), y)


def _here(plan: Plan) -> Plan:
    """The plan on this worker's own device, moved there once."""
    if plan.device is None:
        return plan
    if id(plan) not in _moved:
        _moved.clear()
        _moved[id(plan)] = plan, dataclasses.replace(plan, work=plan.work.on(device_of(plan.device, place())))
    return _moved[id(plan)][1]


_moved: dict[int, tuple[Plan, Plan]] = {}  # the plan that came is held, so that no id is given twice


def device_of(wanted: str, worker: int, devices: int | None = None) -> str:
    """The device of the worker at a place on its host: those of a kind that are there, in turn.

    >>> device_of("cuda", 5, 4), device_of("cuda:2", 5, 4), device_of("cpu", 5, 4)
    ('cuda:1', 'cuda:2', 'cpu')
    """
    if wanted != "cuda":
        return wanted
    return f"cuda:{worker % max(torch.cuda.device_count() if devices is None else devices, 1)}"


def place() -> int:
    """Which of the workers this is: its name, where that is a number, as dask's own clusters name them."""
    import distributed

    name = str(distributed.get_worker().name).rpartition("-")[2]
    return int(name) if name.isdigit() else 0
