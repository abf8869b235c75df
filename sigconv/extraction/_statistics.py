"""Statistics of feature maps over space, inside a mask: of whole maps, or as blocks of them are made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv.extraction import _kinds
from sigconv.filters import _pools

AT_ONCE = 1 << 20  # values of a block that statistics are taken of together


class Statistics:
    """Each statistic of each map, in the order of names: statistic by statistic, then map by map.

    run says whether all of them can be had without keeping the maps: for quantiles values must be put in order.
    """

    def __init__(self, names: list[str]) -> None:
        self.pools = _pools.named(names)
        self.run = set(self.pools) <= set(_pools.POOLS)

    def running(self, shape: Sequence[int], mask: np.ndarray | None, steps: Sequence[Any]) -> Running:
        """Where maps of this shape go block by block; mask and steps as in a call."""
        return Running(list(self.pools), shape, None if mask is None else _inside(mask, steps, tuple(shape[1:])))

    def __call__(self, y: np.ndarray, mask: np.ndarray | None, steps: Sequence[Any]) -> np.ndarray:
        """(maps, *positions) -> (statistics·maps,) float32; mask is of the input's shape, taken at every so many."""
        inside = None if mask is None else _inside(mask, steps, y.shape[1:])
        found = np.empty((len(self.pools), len(y)), np.float32)
        for number, one in enumerate(y):  # one at a time: maps may be larger than memory together
            values = np.ascontiguousarray(one if inside is None else one[inside]).reshape(1, -1)
            values = values if values.flags.writeable else values.copy()  # of a file that is mapped
            found[:, number] = _pools.pooled(self.pools, torch.from_numpy(values))[:, 0].numpy()
        return found.reshape(-1)


class Running:
    """An array to be filled that keeps of each block what statistics need: sums in float64, and how many they are of.

    They are put together in the order of space, so that the order blocks came in leaves no trace.
    """

    dtype = np.dtype(np.complex64)  # whatever comes: what it cannot take it says itself

    def __init__(self, names: Sequence[str], shape: Sequence[int], inside: np.ndarray | None) -> None:
        self.names, self.shape, self.inside = names, tuple(shape), inside
        self._parts: dict[tuple[int, ...], np.ndarray] = {}  # by a block's first position: (statistics, maps)

    def __setitem__(self, place: tuple[slice, ...], values: np.ndarray) -> None:
        """Some maps of a block."""
        if np.iscomplexobj(values):
            raise ValueError(_pools.COMPLEX)
        rows, *block = place
        values = values.reshape(len(values), -1) if self.inside is None else values[:, self.inside[tuple(block)]]
        if not values.shape[1]:
            return
        at, step = tuple(span.start or 0 for span in block), max(AT_ONCE // values.shape[1], 1)
        part = self._parts.setdefault(at, np.full((5, self.shape[0]), values.shape[1], np.float64))
        for first in range(0, len(values), step):
            some = np.ascontiguousarray(values[first : first + step])
            begin = (rows.start or 0) + first
            part[1:, begin : begin + len(some)] = self._of(torch.from_numpy(some))

    def _of(self, y: Tensor) -> np.ndarray:
        """Means, squares about them, squares, largest values of maps, (4, maps): those that are asked for."""
        told = torch.zeros(4, len(y), dtype=torch.float64)
        told[0] = mean = y.mean(-1, dtype=torch.float64)
        if "std" in self.names:
            near = mean.to(y.dtype)[:, None]
            told[1] = _squares(y - near) - y.shape[1] * (mean - near[:, 0]) ** 2
        if {"rms", "energy"} & set(self.names):
            told[2] = _squares(y)
        if "max" in self.names:
            told[3] = y.amax(-1)
        return told.numpy()

    def found(self) -> np.ndarray:
        """(statistics·maps,) float32."""
        parts = np.stack([self._parts[at] for at in sorted(self._parts)], 1)
        with np.errstate(over="ignore", invalid="ignore"):
            n, means, spread, squares, largest = parts
            mean = (n * means).sum(0) / n.sum(0)
            told = {
                "mean": lambda: mean,
                "std": lambda: np.sqrt((spread.clip(0) + n * (means - mean) ** 2).sum(0) / n.sum(0)),
                "rms": lambda: np.sqrt(squares.sum(0) / n.sum(0)),
                "energy": lambda: squares.sum(0) / n.sum(0),
                "max": lambda: largest.max(0),
            }
            return np.concatenate([told[name]() for name in self.names]).astype(np.float32)


def _squares(y: Tensor) -> Tensor:
    return torch.linalg.vector_norm(y, dim=-1, dtype=torch.float64) ** 2


def _inside(mask: np.ndarray, steps: Sequence[Any], positions: tuple[int, ...]) -> np.ndarray:
    """The mask at the positions; ValueError where it has no value there, or is empty."""
    if any(not isinstance(step, int) for step in steps):
        raise ValueError(f"the mask has no value at positions {steps} samples apart")
    inside = mask[tuple(slice(None, None, step) for step in steps)]
    if inside.shape != positions:
        raise ValueError(f"the mask has {inside.shape} positions, and the layer answers with {positions}")
    if not inside.any():
        raise ValueError("the mask is empty: there is nothing to take statistics of")
    return inside


def plain(row: np.ndarray) -> list[float | str]:
    """Numbers as JSON keeps them, each by the fewest digits that float32 needs; words where there is no number.

    >>> plain(np.array([0.1, float("nan")], np.float32))
    [0.1, 'nan']
    """
    return [float(str(value)) if np.isfinite(value) else str(value) for value in row]


def mask(door: _kinds.Door, path: str, signal: _kinds.Signal) -> np.ndarray:
    """Where statistics are taken, (*space) bool: what a file of the signal's own shape, and place, holds but zeros."""
    kind = _kinds.ENDINGS.get(_kinds.ending_of(os.path.basename(path)).lower())
    if kind not in ("scan", "array", "picture"):
        raise ValueError(f"mask {path!r} is no scan, array or picture")
    (found,) = _kinds.KINDS[kind].signals(door, path, _kinds.Asked(len(signal.axes), None))
    if found.space != signal.space or found.channels != 1:
        raise ValueError(f"mask {path!r} has shape {tuple(found.x.shape)}, and its input {signal.space}")
    both = found.like is not None and signal.like is not None
    if both and not np.allclose(found.like.affine, signal.like.affine, atol=1e-3):
        raise ValueError(f"mask {path!r} lies elsewhere: its affine is not its input's")
    values = found.values()[0]
    if not np.isfinite(values).all():
        raise ValueError(f"mask {path!r} holds what is no number: expected 0 outside, anything else inside")
    return values != 0
