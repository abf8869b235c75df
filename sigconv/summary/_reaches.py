"""How far a model sees along every axis, found out without running it: what streams and tiles must know of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from sigconv import nd
from sigconv.summary import ReceptiveField, _shapes, _unwrapped, _watch, receptive_field
from sigconv.summary._fields import Axis

LENGTHS = (64, 512, 4096, 32768, 262144)  # of inputs by which a module's field is found: two that agree
T = TypeVar("T")


def steady(look: Callable[[int], T | None], lengths: Sequence[int]) -> T | None:
    """What a look at inputs of n samples tells, the same as at 2n; None where it grows with them.

    ValueError, the last look's, where no length is taken.
    """
    error: ValueError | None = None
    for n in lengths:
        try:
            one, other = look(n), look(2 * n)
        except ValueError as failed:
            error = failed
            continue
        return one if one == other else None
    raise error or ValueError("no lengths are given")


def last_axis(module: nn.Module, shape: Sequence[int], dtype: torch.dtype) -> nd.Reach | None:
    """The reach along the last axis of an input of this shape; None where no position moves along it."""
    found: ReceptiveField = receptive_field(module, node="", input_shape=tuple(shape), dtype=dtype)
    exact = lambda number: Fraction(number).limit_denominator(1 << 20)  # thirds are told as floats
    jump = exact(found.jump[-1]) if found.jump is not None else Fraction(0)
    return reach(exact(found.size[-1]), jump, exact(found.start[-1]))


def reach(size: Fraction, jump: Fraction, start: Fraction) -> nd.Reach | None:
    """A field as a reach; None where nothing moves.

    >>> reach(Fraction(3), Fraction(2), Fraction(0)), reach(Fraction(2), Fraction(1, 2), Fraction(1, 2))
    (Reach(stride=2, before=1, after=1, each=1), Reach(stride=1, before=0, after=2, each=2))
    """
    if jump <= 0:
        return None
    stride, each = jump.as_integer_ratio()
    half = (size - 1) / 2
    after = math.ceil(start + (each - 1) * jump + half)
    return nd.Reach(stride, -math.floor(start - half), after, each)


class Look(NamedTuple):
    """What one input told of a model: its answer's shape and dtype, the reach of every axis of space (None: no position
    moves along it), the samples at multiples of which a crop must begin, what sees everywhere: layer -> why, and
    fields: of every layer, by name."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    reaches: tuple[nd.Reach | None, ...]
    lattice: tuple[int, ...]
    everywhere: dict[str, str]
    fields: dict[str, tuple[Any, ...]]


def look(model: nn.Module, shape: Sequence[int], dtype: torch.dtype, most: int = 1 << 24) -> Look:
    """How a model sees an input of this shape, (batch, channels, *space), every part of it.

    A model that asks for values is run on zeros, of so many numbers at the most. ValueError where it does not take the
    shape, or answers with anything but a tensor of as many axes.
    """
    watcher, failed = _watch(_unwrapped(model), _shapes(tuple(shape)), dtype, most=most)
    out, seen = watcher.found.get("", (None, None))
    if failed is not None or out is None:
        line = " ".join(str(failed).split("\n", 1)[0].split()) if failed is not None else "it answers with no tensor"
        raise ValueError(f"the model does not take an input of shape {tuple(shape)}: {line}")
    if out.ndim != len(shape) or seen is None:
        raise ValueError(f"the model answers {tuple(out.shape)} to {tuple(shape)}: expected (batch, channels, *space)")
    reaches = tuple(_along(axis, dim, watcher.grain(dim - 2)) for dim, axis in enumerate(seen.axes, start=2))
    lattice = tuple(math.lcm(*watcher.steps(place)) for place in range(len(reaches)))
    fields = {name: tuple((a.size, a.jump) for a in s.axes) for name, (_, s) in watcher.found.items() if s is not None}
    return Look(tuple(out.shape), out.dtype, reaches, lattice, dict(watcher.everywhere), fields)


def _along(axis: Axis, dim: int, grain: Fraction) -> nd.Reach | None:
    """The reach along an axis that is still where it was.

    Positions between those of a coarser map see what one of its own does: half a step of it more, on either side.
    """
    if axis.dim != dim:
        return None
    return reach(Fraction(axis.size) + grain, Fraction(axis.jump), Fraction(axis.start))
