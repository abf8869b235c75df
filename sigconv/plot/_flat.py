"""Arrays of any number of axes made ready for paper: checked, volumes as slices, signed numbers as colours."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from sigconv.plot._frame import array


def numbers(values: Any, name: str, ndim: Sequence[int], expected: str) -> np.ndarray:
    """Real, finite numbers of so many axes, none of them empty; ValueError for others."""
    found = array(values)
    if found.ndim not in ndim or 0 in found.shape or found.dtype.kind not in "buif":
        raise ValueError(f"{name} has shape {found.shape} of {found.dtype}: expected real numbers {expected}")
    found = found.astype(float)
    if lost := found.size - int(np.isfinite(found).sum()):
        raise ValueError(f"{name} holds {lost} numbers that are not finite: put others in their place to draw it")
    return found


def flat(volume: Any, how: str = "middle") -> np.ndarray:
    """A volume as one image: its middle slices across each axis side by side, or its maxima ("max") along each.

    >>> flat(np.zeros((4, 5, 6))).shape
    (5, 19)
    """
    volume = array(volume)
    if volume.ndim == 2:
        return volume
    pairs = list(itertools.combinations(range(volume.ndim), 2))[::-1]
    seen = [_across(volume, pair, how) for pair in pairs]
    tall = max(one.shape[0] for one in seen)
    edge = np.full((tall, 1), np.nan)
    padded = [np.pad(one.astype(float), ((0, tall - len(one)), (0, 0)), constant_values=np.nan) for one in seen]
    return np.concatenate([part for one in padded for part in (one, edge)][:-1], 1)


def _across(volume: np.ndarray, pair: tuple[int, int], how: str) -> np.ndarray:
    """What is seen of two axes along all others."""
    for axis in reversed(range(volume.ndim)):
        if axis not in pair:
            volume = volume.max(axis) if how == "max" else volume.take(volume.shape[axis] // 2, axis)
    return volume


def coloured(signed: np.ndarray) -> np.ndarray:
    """Signed (height, width, 3) as red, green and blue: 0 is grey, the largest magnitude full; what is not there white.

    >>> coloured(np.array([[[0.0, 2.0, -2.0]]]))
    array([[[0.5, 1. , 0. ]]])
    """
    reach = max(float(np.nanmax(np.abs(signed))), 1e-30)
    return np.nan_to_num(0.5 + 0.5 * signed / reach, nan=1.0)


def stretched(picture: np.ndarray) -> np.ndarray:
    """(height, width, 3) from 0 to 1: as it is if it lies there, else from its least to its most; gaps white."""
    low, high = float(np.nanmin(picture)), float(np.nanmax(picture))
    if low < 0 or high > 1:
        picture = (picture - low) / max(high - low, 1e-30)
    return np.nan_to_num(picture, nan=1.0)


def strongest(several: np.ndarray) -> np.ndarray:
    """Of channels (channels, *space) the number of the largest magnitude at each place, with its sign.

    >>> strongest(np.array([[1.0, -5.0], [-3.0, 4.0]]))
    array([-3., -5.])
    """
    first = np.abs(several).argmax(0)[None]
    return np.asarray(np.take_along_axis(several, first, 0)[0])
