"""A volume at the samples of another grid: an axis at a time where their axes agree, otherwise point by point."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sigconv.transforms.volume._axis import along, weights, window
from sigconv.transforms.volume._points import at_points

BLOCK = 1 << 20  # places worked on at once
NEAR = 1e-6  # of a sample: what the float32 numbers of an affine cannot tell apart
SAME = 1e-9  # and what float64's cannot, after a matrix was solved


@dataclass(frozen=True)
class Way:
    """From the indices of a grid to those of a volume: turn @ index + start; size samples, how they are made."""

    turn: np.ndarray
    start: np.ndarray
    size: tuple[int, ...]
    order: int
    antialias: bool
    value: float

    @property
    def steps(self) -> np.ndarray:
        """How far apart the grid's samples lie along each axis of the volume."""
        return np.sqrt(np.square(self.turn).sum(1))

    @property
    def straight(self) -> bool:
        """Whether each axis of the one runs along one of the other."""
        met = self.turn != 0
        return bool((met.sum(0) == 1).all() and (met.sum(1) == 1).all())

    def votes(self, x: Tensor) -> bool:
        """Whether samples of x are so many to one that labels must vote."""
        return self.order == 0 and self.antialias and self.steps.max() > 1 + SAME and not x.is_floating_point()


def onto(x: Tensor, affine: np.ndarray, target: np.ndarray, way: Way) -> Tensor:
    """x (*rest, *space) of one affine at the samples of another; way says how many, and how.

    >>> one = np.eye(2)
    >>> onto(torch.arange(4.0), one, np.array([[0.5, 1], [0, 1]]), Way(one, one, (3,), 1, True, 0.0))
    tensor([1.0000, 1.5000, 2.0000])
    """
    n = len(affine) - 1
    there = np.linalg.solve(affine, target)
    turn = np.where(np.abs(there[:n, :n]) * np.asarray(way.size) < NEAR, 0.0, there[:n, :n])
    way = replace(way, turn=turn, start=there[:n, n])
    if not way.straight:
        return turned(x, way)
    lead = x.ndim - n
    source = [int(np.flatnonzero(turn[:, axis])[0]) for axis in range(n)]  # the axis of x along each of the grid's
    grid = [torch.arange(m, dtype=torch.float64) for m in way.size]
    places = [_settled(way.start[s] + turn[s, axis] * grid[axis]) for axis, s in enumerate(source)]
    x = x.permute(*range(lead), *[lead + s for s in source])
    y = by_axes(x, places, [float(way.steps[s]) for s in source], way)
    for axis, (place, n_here) in enumerate(zip(places, x.shape[lead:], strict=True), lead):
        outside = _outside(place, n_here)
        if bool(outside.any()):
            y = y.index_fill(axis, outside.nonzero()[:, 0].to(y.device), way.value)
    return y


def by_axes(x: Tensor, places: Sequence[Tensor], steps: Sequence[float], way: Way) -> Tensor:
    """The last axes of x, each at its places, which lie so far apart; in memory of its own.

    >>> one = np.eye(1)
    >>> by_axes(torch.arange(4), [torch.tensor([0.4, 2.5])], [1.0], Way(one, one, (2,), 0, True, 0.0))
    tensor([0, 3])
    """
    if way.order == 0 and way.antialias and max(steps) > 1 + SAME and not x.is_floating_point():
        return _voted(x, lambda mask: by_axes(mask, places, steps, replace(way, order=1)))
    given = x
    for axis, (place, step) in enumerate(zip(places, steps, strict=True), x.ndim - len(places)):
        if way.order == 0:
            x = x.index_select(axis, (place + 0.5).floor().long().clamp(0, x.shape[axis] - 1).to(x.device))
        else:
            x = _at(x, axis, place, window(step) if way.antialias else 0.0, way.order)
    return x.clone() if x is given else x


def turned(x: Tensor, way: Way) -> Tensor:
    """The same point by point, blocks of the first axis at a time; averaged before, where samples lie farther apart.

    >>> way = Way(np.array([[0.0, 1.0], [1.0, 0.0]]), np.zeros(2), (2, 2), 1, True, 0.0)
    >>> turned(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), way)
    tensor([[0., 2.],
            [1., 3.]])
    """
    n, lead = len(way.size), x.ndim - len(way.size)
    if way.votes(x):
        inner = _voted(x, lambda mask: turned(mask, replace(way, order=1, value=0.0)))
        beyond = turned(x.new_zeros(x.shape[lead:]), replace(way, antialias=False, value=1))
        return torch.where(beyond == 1, x.new_tensor(way.value), inner)
    if way.order and way.antialias:
        for axis, step in enumerate(way.steps, lead):
            if window(step):
                x = _at(x, axis, torch.arange(x.shape[axis], dtype=torch.float64), window(step), 1)
    rows = max(1, BLOCK // math.prod(way.size[1:]))
    rest = [torch.arange(m, dtype=torch.float64) for m in way.size[1:]]
    parts = []
    for first in range(0, way.size[0], rows):
        block = torch.arange(first, min(first + rows, way.size[0]), dtype=torch.float64)
        grid = torch.meshgrid(block, *rest, indexing="ij")
        places = [_settled(sum((way.turn[a, b] * grid[b] for b in range(n)), way.start[a])) for a in range(n)]
        found = at_points(x, [p.to(x.device) for p in places], order=way.order, padding_mode="replicate")
        beyond = torch.stack([_outside(p, m) for p, m in zip(places, x.shape[lead:], strict=True)]).any(0)
        parts.append(found.masked_fill(beyond.to(x.device), way.value))
    return torch.cat(parts, lead)


def _at(x: Tensor, axis: int, places: Tensor, wide: float, order: int) -> Tensor:
    index, weight = weights(places, wide, order, x.shape[axis])
    return along(x, axis, index.to(x.device), weight.to(x.device))


def _settled(places: Tensor) -> Tensor:
    """Places that miss a sample by rounding alone are there."""
    whole = places.round()
    return torch.where((places - whole).abs() < SAME * (1 + whole.abs()), whole, places)


def _outside(places: Tensor, n: int) -> Tensor:
    """Which lie beyond the outer faces of n voxels."""
    return (places < -0.5 - NEAR) | (places > n - 0.5 + NEAR)


def _voted(x: Tensor, told: Callable[[Tensor], Tensor]) -> Tensor:
    """The label with the most weight at each place, of what told makes of each label's mask."""
    if not x.numel():
        return told(x.float()).to(x.dtype)
    winner, best = torch.zeros(0), torch.zeros(0)
    for number, label in enumerate(torch.unique(x)):
        share = told((x == label).float())
        if not number:
            winner, best = label.expand(share.shape), share
            continue
        ahead = share > best + NEAR  # of equals the first, whatever rounding says
        winner, best = torch.where(ahead, label, winner), torch.where(ahead, share, best)
    return winner
