"""Responses an axis at a time: what filters share along an axis is computed once, and what a stride drops never.

The filters of a bank are a tree: those with the same taps on the first axis share one pass, those that go on alike
share the next. The tree is walked depth first, so that one signal per axis is held. A pass is a product with a small
matrix, which takes any stride and border, or, along axes too long for that, a convolution.

On CUDA the tree is walked in groups of filters, a launch for each axis of a group, the last axis of space first: its
pass, along which samples lie, is the dearest of a kernel's, and cheapest on what is real. The last pass makes outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.convolution import conv
from sigconv.filters._call import Call, like
from sigconv.filters._sink import LAUNCH, Sink
from sigconv.filters._steady import made
from sigconv.kernels import passes as kernels
from sigconv.kernels._memory import Scratch
from sigconv.kernels._state import readable
from sigconv.kernels._triton import at_hand

MATRICES = 1 << 21  # entries of all filters' matrices for an axis, up to which they are made at once
LONGEST = 512  # samples of an axis up to which a pass may be a matrix
Pass = Callable[[Tensor, int], Tensor]
CALL, MATRIX_MAC, TAP_MAC, MOVED = 1e-4, 1.6e-11, 4e-11, 5e-10  # seconds of two threads, measured
LAUNCHES, PRODUCT, VALUE = 2e-4, 5e-14, 4e-12  # on CUDA, predicted: all axes of a group of filters; a product; a value


def separable(bank: Any, rows: Tensor, call: Call, sink: Sink) -> None:
    """Walk the tree; every leaf is one filter's response, or one term of it."""
    terms = made(bank, "terms") if bank.kernel_size is not None else None
    if terms is None:
        raise ValueError("method 'separable' needs filters that are products of short ones: use 'spectral'")
    if "constant" in call.modes and call.value:
        raise ValueError("method 'separable' takes no constant border other than 0: use 'spectral'")
    terms = [taps.to(like(rows, taps)) for taps in terms]
    sink.require(call.memory, _held(rows, terms, call))
    rank = terms[0].shape[1]
    lines = [taps.flatten(0, 1) for taps in terms]  # filters·rank, taps
    keys = _keys(lines)
    if keys and not sink.grows and kernels.usable(rows, lines):
        return _fused(rows, lines, keys, rank, call, sink)
    # Terms of a filter wait for each other: where memory counts, a filter comes after the other, sharing less.
    first = (lambda item: item // rank) if call.memory is not None and rank > 1 else (lambda item: 0)
    order = sorted(range(len(lines[0])), key=lambda item: (first(item), keys[item])) if keys else range(len(lines[0]))
    passes = _passes(lines, tuple(rows.shape[1:]), call, Scratch(rows, sink.grows))
    waiting: dict[int, tuple[Tensor, int]] = {}
    for item, y in _walk(rows, passes, keys, list(order)):
        owner = item // rank
        total, count = waiting.pop(owner, (None, 0))
        total = y if total is None else total + y
        if count + 1 == rank:
            sink.put(owner, owner + 1, total.unsqueeze(1))
        else:  # the next pass writes where this one did
            waiting[owner] = (total.clone() if count == 0 and not sink.grows else total, count + 1)


def _fused(rows: Tensor, lines: list[Tensor], keys: list[tuple[int, ...]], rank: int, call: Call, sink: Sink) -> None:
    """By kernels: groups of filters that are alike from the last axis on, whose terms are summed in registers."""
    lines = [kernels.parts(line.flip(1)).movedim(0, 1).contiguous() for line in lines]
    owners = sorted(range(len(keys) // rank), key=lambda f: [keys[f * rank + r][::-1] for r in range(rank)])
    wide = 2 if rows.is_complex() or lines[0].shape[1] == 2 else 1
    copies = 2 if set(call.modes) & set(nd.EXTEND) else 1  # a border lies around a copy
    each = _between(rows, call) * rank * rows.real.element_size() * wide * copies
    beside = 2 * rows.numel() * rows.element_size()
    groups = [owners[a:b] for a, b in sink.parts(call.memory, each, beside, LAUNCH)]
    tables = [table for group in groups for table in _tables([f * rank + r for f in group for r in range(rank)], keys)]
    every = torch.tensor([entry for table in tables for entry in table], dtype=torch.int32).to(rows.device)
    laid = iter(every.split([len(table) for table in tables]))
    x, target = kernels.parts(rows).unsqueeze(0), sink.target()
    for _ in groups:
        found = x  # signals, parts, rows, *space
        for axis in range(len(lines) - 1, 0, -1):
            seen, before = _around(found, axis, lines[axis].shape[2], call)
            given = next(laid).unsqueeze(1), before, call.stride[axis], call.positions[axis]
            y = kernels.filtered(seen, lines[axis], *given)
            found = y.reshape(*y.shape[:3], *found.shape[3 : 3 + axis], y.shape[4], *found.shape[4 + axis :])
        seen, before = _around(found, 0, lines[0].shape[2], call)
        kernels.answered(
            seen, lines[0], next(laid).unflatten(0, (-1, rank)), before, call.stride[0], target, sink.output
        )


def _between(rows: Tensor, call: Call) -> int:
    """Values of a filter's signals between passes of kernels."""
    size, total = list(rows.shape[1:]), 0
    for axis in range(len(size) - 1, 0, -1):
        size[axis] = call.positions[axis]
        total += rows.shape[0] * math.prod(size)
    return total


def _around(x: Tensor, axis: int, taps: int, call: Call) -> tuple[Tensor, int]:
    """Signals as a pass along an axis takes them, its border laid around it, and how much of that are mere zeros."""
    x, half, mode = x.reshape(*x.shape[:3], *_flat(x.shape[3:], axis)), call.half(taps), call.modes[axis]
    if mode in nd.EXTEND and half:
        return nd.pad(x, ((half, half), (0, 0)), (mode, "zeros")), 0
    return x, half


def _flat(size: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    return math.prod(size[:axis]), size[axis], math.prod(size[axis + 1 :])


def _tables(items: list[int], keys: list[tuple[int, ...]]) -> list[list[tuple[int, int]]]:
    """For every pass of some filters' terms, the last axis first: which signal of the pass before meets which taps."""
    met: dict[tuple[int, ...], int] = {(): 0}
    tables = []
    for axis in range(len(keys[0]) - 1, 0, -1):
        first = {keys[item][axis:]: item for item in items}
        tables.append([(met[key[1:]], item) for key, item in first.items()])
        met = {key: number for number, key in enumerate(first)}
    return [*tables, [(met[keys[item][1:]], item) for item in items]]


def _held(rows: Tensor, terms: list[Tensor], call: Call) -> float:
    """Bytes at a time: one signal per axis and two that are joined, and the matrices."""
    signal = rows.numel() * rows.element_size() * (2 if terms[0].is_complex() and not rows.is_complex() else 1)
    lone = [n * p for n, p in zip(rows.shape[1:], call.positions, strict=True)]
    every = [terms[0].shape[:2].numel() * count for count in lone]
    entries = sum(all_of if all_of <= MATRICES else one for all_of, one in zip(every, lone, strict=True))
    return signal * (len(terms) + 3) + 2 * entries * terms[0].element_size()


def _keys(lines: list[Tensor]) -> list[tuple[int, ...]]:
    """A number per axis for each filter's taps, equal where they are; none where values may not be looked at."""
    if not readable(*lines) or any(line.requires_grad for line in lines):
        return []
    columns = []
    for line in lines:
        flat = torch.view_as_real(line).flatten(1) if line.is_complex() else line
        columns.append(torch.unique(flat, dim=0, return_inverse=True)[1].tolist())
    return list(zip(*columns, strict=True))


def _walk(
    x: Tensor, passes: list[Pass], keys: list[tuple[int, ...]], items: list[int], axis: int = 0
) -> Iterator[tuple[int, Tensor]]:
    """Every filter of a branch with its response."""
    if axis == len(passes):
        for item in items:
            yield item, x
        return
    start = 0
    while start < len(items):
        stop = start + 1
        while keys and stop < len(items) and keys[items[stop]][axis] == keys[items[start]][axis]:
            stop += 1
        yield from _walk(passes[axis](x, items[start]), passes, keys, items[start:stop], axis + 1)
        start = stop


def _passes(lines: list[Tensor], size: tuple[int, ...], call: Call, scratch: Scratch) -> list[Pass]:
    """For every axis what makes a pass of (rows, *space) with some filter's taps: true convolution, border, stride."""
    made: list[Pass] = []
    for axis, (taps, n) in enumerate(zip(lines, size, strict=True)):
        options = {"padding_mode": call.modes[axis], "stride": call.stride[axis], "flip": True}
        options["padding"] = call.half(taps.shape[-1])
        if n <= LONGEST:
            made.append(_by_matrices(taps, n, axis, options, scratch))
        else:
            made.append(_by_taps(taps, axis, len(size), options))
    return made


def _by_matrices(taps: Tensor, n: int, axis: int, options: dict[str, Any], scratch: Scratch) -> Pass:
    """A convolution is what it makes of the identity; for all filters at once."""
    eye = torch.eye(n, dtype=taps.dtype, device=taps.device).unsqueeze(1)
    matrix = lambda some: conv(eye, some.unsqueeze(1), **options)  # n, filters, positions
    if len(taps) * n * -(-n // options["stride"]) > MATRICES:
        return lambda x, item: _times(x, matrix(taps[item : item + 1])[:, 0], axis + 1, scratch)
    matrices = matrix(taps)
    return lambda x, item: _times(x, matrices[:, item], axis + 1, scratch)


def _by_taps(taps: Tensor, axis: int, ndim: int, options: dict[str, Any]) -> Pass:
    """A convolution with a kernel that is long along one axis only."""
    along = lambda value, other: tuple(value if a == axis else other for a in range(ndim))
    given: dict[str, Any] = {
        name: along(options[name], other) for name, other in (("stride", 1), ("padding_mode", "zeros"), ("padding", 0))
    }
    given |= {"flip": True, "method": "direct"}
    weights = taps.reshape(-1, 1, 1, *along(taps.shape[-1], 1))
    return lambda x, item: conv(x.unsqueeze(1), weights[item], **given)[:, 0]


def _times(x: Tensor, matrix: Tensor, dim: int, scratch: Scratch) -> Tensor:
    """Σ_n x[…, n, …]·matrix[n, m] along one axis of x, without turning x over."""
    if matrix.is_complex() and not x.is_complex():
        both = _times(x, torch.cat([matrix.real, matrix.imag], 1), dim, scratch)
        real, imaginary = both.chunk(2, dim)
        return torch.complex(real, imaginary, out=scratch.take(f"whole {dim}", real.shape, matrix.dtype))
    kind = torch.promote_types(x.dtype, matrix.dtype)
    x, matrix = x.to(kind), matrix.to(kind)
    shape = [*x.shape[:dim], matrix.shape[1], *x.shape[dim + 1 :]]
    if dim == x.ndim - 1:
        return torch.matmul(x, matrix, out=scratch.take(f"pass {dim}", shape, kind))
    flat = [*x.shape[:dim], matrix.shape[1], math.prod(x.shape[dim + 1 :])]
    y = torch.matmul(matrix.mT.contiguous(), x.flatten(dim + 1), out=scratch.take(f"pass {dim}", flat, kind))
    return y.reshape(shape)


def cost(bank: Any, rows: Tensor, call: Call) -> float:
    """Passes of every filter, the first ones perhaps shared (not counted on), in seconds of two threads or of a GPU."""
    if bank.device.type == "cuda":
        return _cuda_cost(bank, rows, call)
    total = 0.0
    real = 1.0 if not rows.is_complex() else 2.0
    size = list(rows.shape[1:])
    kind = 2.0 if bank.complex else 1.0
    for axis, (k, p) in enumerate(zip(bank.kernel_size, call.positions, strict=True)):
        n, values = size[axis], rows.shape[0] * math.prod(size)
        size[axis] = p
        matrix = n <= LONGEST
        macs = values * (p if matrix else k) * real * kind
        total += CALL + macs * (MATRIX_MAC if matrix else TAP_MAC) + MOVED * values * real
        real = 2.0 if bank.complex or real == 2.0 else 1.0
    return len(bank) * bank.rank * total


def _cuda_cost(bank: Any, rows: Tensor, call: Call) -> float:
    """The same by kernels, predicted: multiplications, what goes through memory; by matrices where kernels are not."""
    total, size, parts = 0.0, list(rows.shape[1:]), 2.0 if rows.is_complex() else 1.0
    for axis in reversed(range(len(size))):
        taps = bank.kernel_size[axis] if at_hand() else size[axis]
        size[axis] = call.positions[axis]
        values = rows.shape[0] * math.prod(size)
        total += values * (PRODUCT * taps * parts * (2 if bank.complex else 1) + VALUE)
        parts = 2.0 if bank.complex else parts
    filters = len(bank) * bank.rank
    return filters * total + LAUNCHES * math.ceil(filters * _between(rows, call) * 8 * parts / LAUNCH)
