"""Statistics of feature maps over space, inside a mask."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sigconv.extraction import _kinds
from sigconv.filters import _pools


class Statistics:
    """Each statistic of each map, in the order of names: statistic by statistic, then map by map."""

    def __init__(self, names: list[str]) -> None:
        self.pools = _pools.named(names)

    def __call__(self, y: np.ndarray, mask: np.ndarray | None, steps: Sequence[Any]) -> np.ndarray:
        """(maps, *positions) -> (statistics·maps,) float32; mask is of the input's shape, taken at every so many."""
        inside = None if mask is None else _inside(mask, steps, y.shape[1:])
        found = np.empty((len(self.pools), len(y)), np.float32)
        for number, one in enumerate(y):  # one at a time: maps may be larger than memory together
            values = torch.from_numpy(np.ascontiguousarray(one if inside is None else one[inside]).reshape(1, -1))
            found[:, number] = _pools.pooled(self.pools, values)[:, 0].numpy()
        return found.reshape(-1)


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
