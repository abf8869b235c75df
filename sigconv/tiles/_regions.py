"""Boxes that reach beyond a source's ends: which parts are read, which are a border's, how they are put together.

No padded copy of the source is made, and of a border that copies from far away ("circular") no more is read.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv.nd.borders import EXTEND


class Border(NamedTuple):
    """What lies beyond the ends: a mode for every axis, and what a constant one fills with."""

    modes: tuple[str, ...]
    value: float = 0.0


class Piece(NamedTuple):
    """A part of a box: where it lies in it, the box of the source it comes from (None: it is filled), and which
    samples of that, where they are not all in order."""

    place: tuple[slice, ...]
    source: tuple[slice, ...] | None
    order: tuple[Tensor | None, ...] = ()
    fill: float = 0.0


class _Part(NamedTuple):
    place: slice
    source: slice | None
    order: Tensor | None
    mode: str


def pieces(box: Sequence[tuple[int, int]], space: Sequence[int], border: Border) -> list[Piece]:
    """The parts of a box, start … stop along every axis of a source of this size; together they fill it.

    >>> [(p.place, p.source, p.fill) for p in pieces([(-2, 3)], [9], Border(("constant",), 7.0))]
    [((slice(0, 2, None),), None, 7.0), ((slice(2, 5, None),), (slice(0, 3, None),), 0.0)]
    """
    found = []
    parts = [_parts(*span, n, mode) for span, n, mode in zip(box, space, border.modes, strict=True)]
    for several in itertools.product(*parts):
        beyond = {part.mode for part in several if part.source is None}
        place = tuple(part.place for part in several)
        if beyond:  # a zero axis wins the corners, then a constant one
            found.append(Piece(place, None, (), 0.0 if "zeros" in beyond else border.value))
        else:
            source = tuple(part.source for part in several if part.source is not None)
            found.append(Piece(place, source, tuple(part.order for part in several)))
    return found


def _parts(start: int, stop: int, n: int, mode: str) -> list[_Part]:
    """Along one axis: before the first sample, inside, behind the last."""
    cuts = [(start, min(stop, 0)), (max(start, 0), min(stop, n)), (max(start, n), stop)]
    found = []
    for inside, (a, b) in zip((False, True, False), cuts, strict=True):
        if a >= b:
            continue
        place = slice(a - start, b - start)
        if inside:
            found.append(_Part(place, slice(a, b), None, ""))
        elif mode not in EXTEND or n == 0:
            found.append(_Part(place, None, None, mode if mode == "constant" else "zeros"))
        else:
            order = EXTEND[mode](torch.arange(a, b), n)
            first, last = int(order.min()), int(order.max()) + 1
            found.append(_Part(place, slice(first, last), order - first, ""))
    return found


def assembled(parts: Sequence[Piece], read: Sequence[Any], like: Tensor) -> Tensor:
    """A box of (channels, *space), put together in memory of its own from what was read for its parts, in order.

    read has tensors or NumPy arrays, of any dtype and layout; like is an empty tensor of the box's shape, on a CPU
    where they are arrays; it is filled.
    """
    waiting = iter(read)
    for part in parts:
        target = like[(slice(None), *part.place)]
        if part.source is None:
            target.fill_(part.fill)
            continue
        values = next(waiting)
        if isinstance(values, Tensor):
            for axis, order in enumerate(part.order, start=1):
                if order is not None:
                    values = values.index_select(axis, order.to(values.device))
            target.copy_(values)
            continue
        for axis, order in enumerate(part.order, start=1):
            if order is not None:
                values = values.take(order.numpy(), axis)
        with np.errstate(over="ignore"):  # infinite then, as torch has it
            if target.dtype is torch.bfloat16:  # NumPy has none
                target.copy_(torch.from_numpy(np.array(values, np.float32)))
            else:
                np.copyto(target.numpy(), values, casting="unsafe")
    return like
