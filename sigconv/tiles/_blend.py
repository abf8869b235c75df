"""The approximate way, for what sees all of space: overlapping windows, weighted so that they add up to one.

Windows that begin at the same place of the first axis are a slab; of the answer no more than a slab is held.
"""

from __future__ import annotations

import itertools
import os
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
    """The answer to windows of ask.tile that overlap by ask.blend; a stride is taken of each."""
    if not 0 <= float(ask.blend) < 1:
        raise ValueError(f"blend {ask.blend} is not a part of a window: expected 0 <= blend < 1")
    if ask.client is not None or source.kind == "dask":
        raise ValueError("blend= adds windows up one after the other: it takes no client and no dask array")
    space = source.space
    size = _grid.LEAST if len(space) > 4 else _grid.BLOCKS[len(space)]
    sides = nd.ntuple(size if ask.tile is None else ask.tile, len(space), "tile")
    sides = tuple(max(min(n, m), 1) for n, m in zip(space, sides, strict=True))
    if 0 in source.shape:
        raise ValueError(f"source has shape {source.shape}: there is nothing to blend")
    run = _answers(op, ask.options)
    plan = tiling(space, sides, float(ask.blend))
    weights = [*zip(plan.places(), plan.weights(WINDOW, torch.zeros(0, dtype=dtype.to_real())), strict=True)]
    slabs = [list(group) for _, group in itertools.groupby(weights, lambda item: item[0][1].start)]
    total: Tensor | None = None
    begin, sink = 0, None
    try:
        for number, slab in enumerate(slabs):
            here = slab[0][0][1]
            for place, weight in slab:
                crop = _crop(source, place[1:], dtype, op)
                y = run(crop)
                if tuple(y.shape[1:]) != sides:
                    raise ValueError(
                        f"the model answers {tuple(y.shape[1:])} to a window {sides}: blend= wants as many"
                    )
                if sink is None:
                    sink = _into(ask, source, (y.shape[0], *space), y)
                if total is None:
                    total = y.new_zeros((y.shape[0], sides[0], *space[1:]))
                own = (slice(None), slice(0, sides[0]), *place[2:])
                total[own] += y * weight.to(y.device)
            assert total is not None
            assert sink is not None
            stop = slabs[number + 1][0][0][1].start if number + 1 < len(slabs) else here.start + sides[0]
            sink.write(
                (slice(0, len(total)), slice(begin, stop), *[slice(0, n) for n in space[1:]]), total[:, : stop - begin]
            )
            rest = total[:, stop - begin :]
            total = torch.cat([rest, rest.new_zeros(len(total), stop - begin, *space[1:])], 1)
            begin = stop
            if ask.report is not None:
                ask.report(number + 1, len(slabs))
        assert sink is not None
        return sink.finished()
    except BaseException:
        if sink is not None:
            sink.given_up()
        raise


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
    if isinstance(ask.out, str | os.PathLike):
        path = os.fspath(ask.out)
        if path.endswith(".npy"):
            return _sinks.Npy(path, shape, y.dtype)
        if path.endswith((".nii", ".nii.gz")):
            return _sinks.Scan(path, shape, y.dtype, source.place, [1.0] * len(source.space))
        raise ValueError(f"out {path!r}: blended answers go to .npy or .nii, or into an array that is filled")
    if ask.out is not None:
        return _sinks.Memory(ask.out)
    if source.kind == "tensor":
        return _sinks.Memory(torch.empty(shape, dtype=y.dtype, device=ask.source.device))
    return _sinks.Memory(np.empty(shape, _sinks.numpy_of(y.dtype)))
