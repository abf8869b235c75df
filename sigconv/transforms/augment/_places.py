"""Images and their label maps turned, scaled, shifted and bent, in mm, by one interpolation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.transforms.augment._fields import field, knots
from sigconv.transforms.augment._maps import Part, chosen, draws, lengths
from sigconv.transforms.augment._moves import Move, Places, linear, places_of, rotation, taken
from sigconv.transforms.augment._options import amount, axes_of, part_of, rates
from sigconv.transforms.volume._limits import affordable
from sigconv.transforms.volume._points import ORDERS


class Geometric(Part):
    """A part that moves samples. It says where each one's value is taken: move(space, generator), None for nowhere."""

    order: int | None = None
    padding_mode = "reflect"

    def move(self, space: tuple[int, ...], generator: torch.Generator) -> Move | None:
        """How the samples of an item move, in samples from its middle."""
        raise NotImplementedError

    def vary(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Both moved alike: x by linear interpolation, whole numbers by the nearest, what is beyond by reflection."""
        space = lengths(x, y)
        move = self.move(space, generator)
        if move is None:
            return x, y
        places = places_of(move, space, x)
        x = taken(x, places, self.order, self.padding_mode)
        return x, None if y is None else taken(y, places, None, self.padding_mode)


@dataclass(frozen=True)
class Rotate(Geometric):
    """Turn by up to so many degrees either way, about the middle, in mm.

    degrees   the largest angle in each plane of two axes
    axes      which axes of space turn; all unless said: in a run (x, y, z, t) say (0, 1, 2)
    fs        samples per mm, one number or one for each axis of space: an anisotropic scan turns as the body did
    share     part of the items that are turned at all

    >>> Rotate(15)(torch.ones(1, 1, 4, 4), [torch.Generator()]).unique()
    tensor([1.])
    """

    degrees: float
    axes: Sequence[int] | None = None
    fs: Any = 1.0
    share: float = 1.0

    def __post_init__(self) -> None:
        amount(self.degrees, "degrees", 180)
        part_of(self.share)

    def move(self, space: tuple[int, ...], generator: torch.Generator) -> Move | None:
        """A turn in each plane, one after the other."""
        axes, n = axes_of(self.axes, len(space)), len(space)
        if len(axes) < 2:
            raise ValueError(f"there is no plane to turn in among axes {axes} of a space of {n}")
        meant, matrix = chosen(generator, self.share), np.eye(n)
        planes = list(itertools.combinations(axes, 2))
        for plane, u in zip(planes, draws(generator, len(planes)), strict=True):
            matrix = rotation(self.degrees * u, plane, n) @ matrix
        return linear(matrix, 0.0, rates(self.fs, n)) if meant else None


@dataclass(frozen=True)
class Scale(Geometric):
    """Make larger or smaller by up to this part: factors between 1 / (1 + amount) and 1 + amount, as likely each way.

    apart     each axis by a factor of its own; axes, share as Rotate has them

    >>> Scale(0.2)(torch.ones(1, 1, 4, 4, 4), [torch.Generator()]).unique()
    tensor([1.])
    """

    amount: float
    apart: bool = False
    axes: Sequence[int] | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        amount(self.amount, "amount")
        part_of(self.share)

    def move(self, space: tuple[int, ...], generator: torch.Generator) -> Move | None:
        """A factor for each axis, or one for all."""
        axes, meant, factors = axes_of(self.axes, len(space)), chosen(generator, self.share), np.ones(len(space))
        factors[list(axes)] = np.exp(np.log1p(self.amount) * np.array(draws(generator, len(axes) if self.apart else 1)))
        return linear(np.diag(factors), 0.0, (1.0,) * len(space)) if meant else None


@dataclass(frozen=True)
class Shift(Geometric):
    """Move by up to so many mm either way along each axis; axes, fs, share as Rotate has them.

    >>> Shift(2.0, fs=0.5)(torch.ones(1, 1, 4), [torch.Generator()]).unique()
    tensor([1.])
    """

    distance: float
    axes: Sequence[int] | None = None
    fs: Any = 1.0
    share: float = 1.0

    def __post_init__(self) -> None:
        amount(self.distance, "distance")
        part_of(self.share)

    def move(self, space: tuple[int, ...], generator: torch.Generator) -> Move | None:
        """A distance along each axis."""
        axes, meant, shift = axes_of(self.axes, len(space)), chosen(generator, self.share), np.zeros(len(space))
        shift[list(axes)] = self.distance * np.array(draws(generator, len(axes)))
        return linear(np.eye(len(space)), shift, rates(self.fs, len(space))) if meant else None


@dataclass(frozen=True)
class Elastic(Geometric):
    """Bend smoothly: cubic B-splines between knots that move up to so many mm along each axis.

    distance  mm, the most that any point moves along an axis
    knots     mm from one knot to the next; above 1.5 times the number of axes times distance, or tissue could fold
    axes      which axes bend, and along which the bending varies; fs, share as Rotate has them

    The slope of such a spline is at most 1.5 distance / knots along each axis, so that what is moved stays in order.
    Source: Rueckert et al. 1999, doi:10.1109/42.796284 (free-form deformation).

    >>> Elastic(1.0, 16.0)(torch.ones(1, 1, 8, 8), [torch.Generator()]).unique()
    tensor([1.])
    """

    distance: float
    knots: float
    axes: Sequence[int] | None = None
    fs: Any = 1.0
    share: float = 1.0

    def __post_init__(self) -> None:
        amount(self.distance, "distance")
        part_of(self.share)
        if not self.knots > 0:
            raise ValueError(f"knots {self.knots} mm apart are no grid: expected a number above 0")

    def move(self, space: tuple[int, ...], generator: torch.Generator) -> Move | None:
        """A smooth field of distances for each axis."""
        axes, fs = axes_of(self.axes, len(space)), rates(self.fs, len(space))
        if 1.5 * len(axes) * self.distance >= self.knots:
            least = 1.5 * len(axes) * self.distance
            raise ValueError(f"knots {self.knots} mm apart may fold {self.distance} mm: expected more than {least:g}")
        apart = [self.knots * rate if axis in axes else math.inf for axis, rate in enumerate(fs)]
        meant, grid = chosen(generator, self.share), knots(space, apart)
        affordable((len(axes), *grid), 4, f"a field of knots {self.knots} mm apart", "set them farther apart")
        values = self.distance * (2 * torch.rand(len(axes), *grid, generator=generator) - 1)

        def bent(places: Places) -> Places:
            far = field(values.to(places[0].device), space, apart)
            shifts = dict(zip(axes, far, strict=True))
            return [p + shifts[a] * fs[a] if a in shifts else p for a, p in enumerate(places)]

        return bent if meant and self.distance else None


class Warp(Geometric):
    """Several moves by one interpolation: sharper, and cheaper, than one after the other.

    parts         Rotate, Scale, Shift, Elastic, in the order in which the image undergoes them; Elastic is drawn over
                  the space as it lies, and is the last
    order         1 linear or 3 cubic, for x; label maps of whole numbers are always moved by the nearest
    padding_mode  what comes in from beyond the faces, of x and its map alike: "zeros" or a border of sigconv.nd

    >>> Warp(Rotate(15), Scale(0.1), Elastic(1.0, 16.0))(torch.ones(1, 1, 8, 8), [torch.Generator()]).unique()
    tensor([1.])
    """

    def __init__(self, *parts: Geometric, order: int | None = None, padding_mode: str = "reflect") -> None:
        if wrong := [part for part in parts if not isinstance(part, Geometric)]:
            raise ValueError(f"{wrong[0]!r} moves no samples: put it into a Chain")
        if any(isinstance(part, Elastic) for part in parts[:-1]):
            raise ValueError(f"{parts!r}: Elastic must be the last, for its knots lie over the space as it is then")
        if order not in (None, *ORDERS):
            raise ValueError(f"order {order!r} is not one of {list(ORDERS)}")
        self.parts, self.order = parts, order
        self.padding_mode = nd.one_of(padding_mode, ("zeros", *nd.EXTEND), "padding_mode")

    def move(self, space: tuple[int, ...], generator: torch.Generator) -> Move | None:
        """All moves, the last one first: a value is looked up the way back."""
        moves = [move for part in self.parts if (move := part.move(space, generator))]

        def back(places: Places) -> Places:
            for move in reversed(moves):
                places = move(places)
            return places

        return back if moves else None

    def __repr__(self) -> str:
        return f"Warp({', '.join(map(repr, self.parts))})"
