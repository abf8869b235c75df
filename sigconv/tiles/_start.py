"""A call of apply made ready: which work it is, where it is read from and goes, how large tiles may be; then done."""

from __future__ import annotations

import contextlib
import copy
import math
import os
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import files, nd
from sigconv.convolution._options import bytes_of, number
from sigconv.filters import FilterBank
from sigconv.filters._steady import steady
from sigconv.tiles import _grid, _memory, _sinks, _through
from sigconv.tiles._bank import BankWork
from sigconv.tiles._regions import Border
from sigconv.tiles._run import Plan
from sigconv.tiles._sources import Source, opened

COMPUTED = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128)
PLAIN = {"output": "auto", "stride": 1, "padding_mode": "zeros", "value": 0.0}


class Ask(NamedTuple):
    """What apply was called with."""

    op: Any
    source: Any
    out: Any
    options: dict[str, Any]
    tile: Any
    memory: Any
    blend: float | None
    device: Any
    dtype: Any
    client: Any
    report: Any


@torch.no_grad()
def begun(ask: Ask) -> Any:
    """The answer."""
    _sinks.kind_of(ask.out)  # what it cannot be is told before anything is done
    op = _placed(ask)
    ndim = _ndim(op)
    if ndim is not None and getattr(ask.source, "ndim", None) == ndim + 2:
        return _batch(ask, op)
    source = opened(ask.source, ndim)
    dtype = _dtype(ask, source)
    if ask.blend is not None:
        from sigconv.tiles import _blend

        return _blend.blended(op, source, ask, dtype)
    work = _work(op, source, ask.options, dtype)
    plan = _plan(work, source, dtype)
    plan.device = None if ask.device is None or ask.client is None else str(ask.device)
    with steady(op) if isinstance(op, FilterBank) else contextlib.nullcontext():
        return _run(ask, op, source, plan)


def _placed(ask: Ask) -> nn.Module:
    """The operation, on the device asked for; one that is elsewhere stays there, and a copy goes."""
    if not isinstance(ask.op, nn.Module):
        raise TypeError(f"op is a {type(ask.op).__name__}: expected a FilterBank or a torch.nn.Module")
    if not isinstance(ask.op, FilterBank):
        given = [name for name, usual in PLAIN.items() if ask.options[name] != usual]
        if given:
            raise ValueError(f"{given[0]} {ask.options[given[0]]!r} is a bank's option: a model has its own")
    if ask.device is None or ask.client is not None:  # workers have devices of their own
        return ask.op
    wanted = torch.device(ask.device)
    own = _device(ask.op)
    same = own.type == wanted.type and wanted.index in (None, own.index)
    return ask.op if same else copy.deepcopy(ask.op).to(wanted)


def _device(op: nn.Module) -> torch.device:
    if isinstance(op, FilterBank):
        return op.device
    return next((t.device for t in (*op.parameters(), *op.buffers())), torch.device("cpu"))


def _ndim(op: nn.Module) -> int | None:
    """Axes of space the operation takes; None where nothing tells."""
    if isinstance(op, FilterBank):
        return op.ndim
    from sigconv.tiles import _model

    return _model.ndim_of(op)


def _dtype(ask: Ask, source: Source) -> torch.dtype:
    """What is computed with."""
    wanted = source.dtype if source.dtype in COMPUTED else torch.float32
    if ask.dtype is not None:
        found = ask.dtype if isinstance(ask.dtype, torch.dtype) else _torch_dtype(ask.dtype)
        if found not in COMPUTED:
            raise TypeError(f"dtype {ask.dtype} is not one that is computed with: take a floating or complex one")
        wanted = found
    return wanted.to_complex() if source.dtype.is_complex and not wanted.is_complex else wanted


def _torch_dtype(dtype: Any) -> Any:
    """Torch's dtype of NumPy's, or of a name; None where there is none."""
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError):
        name = str(dtype)  # NumPy has no word for bfloat16
    return getattr(torch, name, None)


def _work(op: nn.Module, source: Source, options: dict[str, Any], dtype: torch.dtype) -> Any:
    if isinstance(op, FilterBank) and type(op).forward is FilterBank.forward:
        modes = nd.border_modes(options["padding_mode"], op.ndim)
        value = float(number(options["value"], "value").real)
        if not math.isfinite(value):
            raise ValueError(f"value {value} must be a finite number: it is what lies beyond the ends")
        border = Border(modes, value)
        return BankWork(op, options["output"], options["stride"], border)
    from sigconv.tiles import _model

    return _model.work(op, source, options, dtype)


def _plan(work: Any, source: Source, dtype: torch.dtype) -> Plan:
    dtype = work.takes(dtype)
    outs, kind = work.answers(source.shape[0], dtype)
    positions = work.positions(source.space)
    grid = _grid.Grid(positions, work.block(source.space))
    return Plan(work, source.space, grid, dtype, (outs, *positions), kind, source.shape[0])


def _run(ask: Ask, op: nn.Module, source: Source, plan: Plan) -> Any:
    """With the grid that fits and the sink asked for."""
    room = bytes_of(ask.memory)
    if isinstance(ask.out, str | os.PathLike) and os.path.realpath(ask.out) in map(os.path.realpath, source.paths):
        raise ValueError(f"out {os.fspath(ask.out)!r} is the source, which it would be written over: name another")
    need = _memory.needed(plan.work, source, plan.dtype, (plan.shape[0], plan.answer))
    if _sinks.kind_of(ask.out) == "zarr":
        _named(os.fspath(ask.out))
        from sigconv.tiles import _resume

        return _resume.into(ask, op, source, plan, need, room)
    grid = plan.grid
    if room is not None and 0 not in plan.shape:
        held = _held(ask, plan) if ask.out is None and source.kind != "dask" else 0
        if held > room:
            raise files.PassingError(
                f"the answer {plan.shape} takes {held} bytes, more than memory {ask.memory!r}: name an out"
            )
        grid = _memory.fitting(grid, room - _memory.BESIDE - held, need, ask.memory)
        room -= _memory.BESIDE + held
    plan.grid = grid
    tile = _through.tile_for(ask, source, plan, need, room)
    if source.kind == "dask" and ask.out is None:
        from sigconv.tiles import _dask

        return _dask.lazy(source, plan, tile)
    sink = _sink(ask, source, plan)
    return _through.through(ask, source, plan, sink, list(plan.grid.tiles(tile, source.order)), set())


def _held(ask: Ask, plan: Plan) -> int:
    return int(np.prod(plan.shape, dtype=object)) * plan.answer.itemsize


def _named(path: str) -> None:
    """Refuse the endings of what is not written here."""
    for ending in (".npz", ".parquet", ".tsv", ".csv", ".h5", ".mgz", ".mgh", ".hdr", ".img", ".pt", ".safetensors"):
        if path.lower().endswith(ending):
            raise ValueError(f"out {path!r}: expected .zarr, .npy, .nii or .nii.gz")


def _sink(ask: Ask, source: Source, plan: Plan) -> Any:
    if ask.out is None:
        if source.kind == "tensor":
            return _sinks.Memory(torch.empty(plan.shape, dtype=plan.answer, device=ask.source.device))
        return _sinks.Memory(np.empty(plan.shape, _sinks.numpy_of(plan.answer)))
    kind = _sinks.kind_of(ask.out)
    if kind == "array":
        if tuple(ask.out.shape) != plan.shape:
            raise ValueError(f"out has shape {tuple(ask.out.shape)}, and the answer {plan.shape}")
        if not _holds(ask.out.dtype, plan.answer):
            raise ValueError(f"out holds {ask.out.dtype}, which the answer, {plan.answer}, does not fit into")
        return _sinks.Memory(ask.out)
    path = os.fspath(ask.out)
    if kind == "npy":
        return _sinks.Npy(path, plan.shape, plan.answer)
    return _sinks.Scan(path, plan.shape, plan.answer, source.place, plan.work.steps)


def _holds(dtype: Any, answer: torch.dtype) -> bool:
    """Whether an array of this dtype holds such numbers, precision aside: floats are no integers, complex no reals."""
    if isinstance(dtype, torch.dtype):
        return torch.can_cast(answer, dtype)
    return bool(np.can_cast(_sinks.numpy_of(answer), dtype, "same_kind"))


def _batch(ask: Ask, op: nn.Module) -> Any:
    """Every item of a batch in memory by itself."""
    if ask.out is not None or ask.client is not None:
        raise ValueError(
            f"source {tuple(ask.source.shape)} is a batch: give its items one by one, each an out of its own"
        )
    found = [begun(ask._replace(op=op, source=item, device=None)) for item in ask.source]
    if not found:
        raise ValueError(f"source {tuple(ask.source.shape)} holds no item")
    if isinstance(found[0], Tensor):
        return torch.stack(found)
    if isinstance(found[0], np.ndarray):
        return np.stack(found)
    import dask.array

    return dask.array.stack(found)
