"""The approximate way, for what sees all of space: overlapping windows, weighted so that they add up to one.

Windows that begin at the same place of the first axis are a slab; of the answer no more than a slab is held.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.filters import FilterBank
from sigconv.tiles import _grid, _sinks
from sigconv.tiles._sources import Source
from sigconv.transforms.volume import tiling

WINDOW = "hann"


def blended(op: nn.Module, source: Source, ask: Any, dtype: torch.dtype) -> Any:
    """The answer to windows of ask.tile that overlap by ask.blend, a sample apart at the least; report hears of all."""
    sides = _sides(source, ask)
    run = _answers(op, ask.options)
    plan = tiling(source.space, sides, float(ask.blend))
    windows = zip(plan.places(), plan.weights(WINDOW, torch.zeros(0, dtype=dtype.to_real())), strict=True)
    firsts = sorted({*plan.starts[0]})
    slab: _Slab | None = None
    done = 0
    try:
        for number, (_, row) in enumerate(itertools.groupby(windows, lambda window: window[0][1].start)):
            for place, weight in row:
                y = run(_crop(source, place[1:], dtype, op))
                if tuple(y.shape[1:]) != sides:
                    raise ValueError(
                        f"the model answers {tuple(y.shape[1:])} to a window {sides}: blend= wants as many"
                    )
                if slab is None:
                    slab = _Slab(_into(ask, source, (len(y), *source.space), y), y, source.space)
                slab.add(place[2:], y * weight.to(y.device))
                done += 1
                if ask.report is not None:
                    ask.report(done, plan.count)
            if slab is not None:
                slab.passed(*firsts[number + 1 : number + 2])
    except BaseException:
        if slab is not None:
            slab.sink.given_up()
        raise
    return None if slab is None else slab.sink.finished()


class _Slab:
    """The sums of windows that begin at the same place of the first axis, and what is left of those before."""

    def __init__(self, sink: Any, y: Tensor, space: tuple[int, ...]) -> None:
        self.sink, self.space, self.begin = sink, space, 0
        self.sums = y.new_zeros((*y.shape[:2], *space[1:]))

    def add(self, place: Sequence[slice], y: Tensor) -> None:
        """A weighted answer at its place along the other axes."""
        self.sums[(slice(None), slice(None), *place)] += y

    def passed(self, stop: int | None = None) -> None:
        """Write what no window from stop on sees: all, where none comes."""
        stop = self.space[0] if stop is None else stop
        done, rest = self.sums[:, : stop - self.begin], self.sums[:, stop - self.begin :]
        place = (slice(0, len(done)), slice(self.begin, stop), *[slice(0, n) for n in self.space[1:]])
        self.sink.write(place, done)
        self.sums = torch.cat([rest, torch.zeros_like(done)], 1)
        self.begin = stop


def _sides(source: Source, ask: Any) -> tuple[int, ...]:
    """Samples of a window. ValueError for what is asked for and cannot be."""
    if not 0 <= float(ask.blend) < 1:
        raise ValueError(f"blend {ask.blend} is not a part of a window: expected 0 <= blend < 1")
    if ask.client is not None or source.kind == "dask":
        raise ValueError("blend= adds windows up one after the other: it takes no client and no dask array")
    if ask.memory is not None:
        raise ValueError(f"memory {ask.memory!r} is not held to by blend=, which holds a slab of windows: name a tile")
    if _sinks.kind_of(ask.out) == "zarr":
        raise ValueError(
            f"out {os.fspath(ask.out)!r}: blended answers go to .npy or .nii, or into an array that is filled"
        )
    if 0 in source.shape:
        raise ValueError(f"source has shape {source.shape}: there is nothing to blend")
    space = source.space
    size = _grid.LEAST if len(space) > 4 else _grid.BLOCKS[len(space)]
    sides = nd.ntuple(size if ask.tile is None else ask.tile, len(space), "tile")
    return tuple(max(min(n, m), 1) for n, m in zip(space, sides, strict=True))


def _crop(source: Source, place: Any, dtype: torch.dtype, op: nn.Module) -> Tensor:
    part = source.read(tuple(place))
    x = part if isinstance(part, Tensor) else torch.from_numpy(np.array(part, order="C"))
    source.passed()
    device = op.device if isinstance(op, FilterBank) else next((p.device for p in op.parameters()), x.device)
    return x.to(device, dtype, copy=True).contiguous()


def _answers(op: nn.Module, options: dict[str, Any]) -> Any:
    """The operation on one window."""
    if isinstance(op, FilterBank):
        if nd.ntuple(options["stride"], op.ndim, "stride") != (1,) * op.ndim:
            raise ValueError(f"stride {options['stride']} of blended windows is not taken: blend, then take every s-th")
        return lambda crop: op(crop.unsqueeze(0), **options)[0]
    if op.training:
        raise ValueError("the model is in training mode: call model.eval() before it is tiled")
    return lambda crop: op(crop.unsqueeze(0))[0]


def _into(ask: Any, source: Source, shape: tuple[int, ...], y: Tensor) -> Any:
    """Where slabs go."""
    kind = _sinks.kind_of(ask.out)
    if kind == "npy":
        return _sinks.Npy(os.fspath(ask.out), shape, y.dtype)
    if kind == "scan":
        return _sinks.Scan(os.fspath(ask.out), shape, y.dtype, source.place, [1.0] * len(source.space))
    if ask.out is not None:
        if tuple(ask.out.shape) != shape:
            raise ValueError(f"out has shape {tuple(ask.out.shape)}, and the answer {shape}")
        return _sinks.Memory(ask.out)
    if source.kind == "tensor":
        return _sinks.Memory(torch.empty(shape, dtype=y.dtype, device=ask.source.device))
    return _sinks.Memory(np.empty(shape, _sinks.numpy_of(y.dtype)))
