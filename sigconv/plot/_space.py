"""Voxels as they lie in space: millimetres along the axes of a picture, letters at its ends, outlines of labels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

ENDS = ("LR", "PA", "IS")  # where the three axes of the world begin and end: left to right, back to front, low to high
NARROWEST = 0.2  # of a picture beside the widest one


def gaps(spacing: Any, affine: Any, ndim: int = 3) -> tuple[float, ...]:
    """Units between samples along every axis: those given, or the lengths of the affine's columns, or 1.

    >>> gaps(None, np.diag([2.0, 2.0, -3.0, 1.0]))
    (2.0, 2.0, 3.0)
    """
    if affine is not None:
        place = np.asarray(affine, dtype=float)
        if place.shape != (4, 4) or not np.isfinite(place).all():
            raise ValueError(f"affine has shape {place.shape}: expected (4, 4) finite numbers, from indices to mm")
        if spacing is not None:
            raise ValueError(f"spacing {spacing} beside an affine, which says it: give one of them")
        spacing = np.linalg.norm(place[:3, :3], axis=0).tolist()
    given: Any = 1.0 if spacing is None else spacing
    found = [float(s) for s in (given if np.ndim(given) else [given] * ndim)]
    if len(found) != ndim or not all(0 < s < math.inf for s in found):
        raise ValueError(f"spacing {spacing} must be above 0, one number or one for each of {ndim} axes")
    return tuple(found)


def letters(affine: Any) -> list[str]:
    """Where each axis of an array begins and ends in the world, by the nearest of its axes: "LR" is left to right.

    >>> letters(np.diag([-1.0, 1.0, 1.0, 1.0]))
    ['RL', 'PA', 'IS']
    """
    turn = np.asarray(affine, dtype=float)[:3, :3]
    u, _, v = np.linalg.svd(turn / np.linalg.norm(turn, axis=0))
    near = u @ v  # the rotation nearest to it, without shears
    order = max(itertools.permutations(range(3)), key=lambda order: sum(abs(near[w, a]) for a, w in enumerate(order)))
    return [ENDS[w] if near[w, a] >= 0 else ENDS[w][::-1] for a, w in enumerate(order)]


def extent(shape: Sequence[int], spacing: Sequence[float]) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a picture (right, up) whose first sample's middle is at 0."""
    (wide, tall), (across, along) = shape, spacing
    return (-across / 2, (wide - 0.5) * across, -along / 2, (tall - 0.5) * along)


def shown(ax: Any, picture: np.ndarray, spacing: Sequence[float], **options: Any) -> Any:
    """One picture (right, up), in units."""
    box = extent(picture.shape[:2], spacing)
    image = ax.imshow(np.swapaxes(picture, 0, 1), origin="lower", extent=box, aspect="equal", **options)
    ax.set(xlim=box[:2], ylim=box[2:], autoscale_on=False)  # outlines reach a little beyond
    return image


def outline(ax: Any, mask: np.ndarray, spacing: Sequence[float], colour: str, **options: Any) -> None:
    """A line around where a picture (right, up) is above 0.5, closed at its borders; nothing where there is none."""
    if not (mask > 0.5).any():
        return
    closed = np.pad(np.asarray(mask, dtype=float), 1)
    x, y = (np.arange(-1, n + 1) * s for n, s in zip(mask.shape, spacing, strict=True))
    ax.contour(x, y, closed.T, levels=[0.5], colors=[colour], **{"linewidths": 1.4} | options)


def lettered(ax: Any, across: str, along: str) -> None:
    """Letters at the four ends of a picture."""
    style: dict[str, Any] = {"transform": ax.transAxes, "color": "white", "fontsize": 8, "fontweight": "bold"}
    style["bbox"] = {"facecolor": "black", "alpha": 0.45, "linewidth": 0, "pad": 1}
    for x, y, letter in ((0.02, 0.5, across[0]), (0.98, 0.5, across[1]), (0.5, 0.02, along[0]), (0.5, 0.98, along[1])):
        sides = {0.02: "left", 0.98: "right", 0.5: "center"}, {0.02: "bottom", 0.98: "top", 0.5: "center"}
        ax.text(x, y, letter, ha=sides[0][x], va=sides[1][y], **style)


def views(rows: int, shape: Sequence[int], spacing: Sequence[float]) -> tuple[Any, np.ndarray]:
    """A figure of rows of three pictures, across each axis, at one scale: (figure, axes (rows, 3))."""
    from matplotlib.figure import Figure

    sides = [n * s for n, s in zip(shape, spacing, strict=True)]
    wide = [sides[1], sides[0], sides[0]]
    wide = [max(w, NARROWEST * max(wide)) for w in wide]
    tall = max(sides[1:])
    height = 8.6 * tall / sum(wide)
    figure = Figure(figsize=(9.6, min(max(height, 1.4), 6.5) * rows + 0.5), layout="constrained")
    return figure, figure.subplots(rows, 3, squeeze=False, width_ratios=wide)


def across(axis: int) -> tuple[int, int]:
    """The axes that a picture across this one shows: to the right, and upwards."""
    right, up = (a for a in range(3) if a != axis)
    return right, up
