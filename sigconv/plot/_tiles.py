"""Two-dimensional arrays side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigconv.plot._frame import array, axes


def images(pictures: Any, names: Sequence[str], *, columns: int = 4, title: str = "") -> tuple[Any, Any]:
    """Small multiples of two-dimensional arrays, first axis upwards, each on its own scale."""
    from matplotlib.figure import Figure

    columns = min(columns, len(pictures))
    lines = -(-len(pictures) // columns)
    figure = Figure(figsize=(2.2 * columns, 1.9 * lines + 0.3), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, picture, name in zip(grid.flat, pictures, names, strict=False):
        ax.imshow(array(picture), origin="lower", aspect="auto", cmap="magma")
        ax.set_title(name, fontsize=8)
    figure.suptitle(title)
    return figure, grid


def mosaic(
    pictures: Sequence[Any],
    names: Sequence[str] = (),
    *,
    columns: int = 0,
    symmetric: bool = False,
    title: str = "",
    ax: Any = None,
) -> tuple[Any, Any]:
    """Two-dimensional arrays side by side in one picture, each on its own scale, its name above it.

    symmetric puts 0 in the middle of a scale from blue to red; otherwise dark is the least. Axis 0 points down. Arrays
    (height, width, 3) are red, green and blue from 0 to 1.

    >>> figure, ax = mosaic([np.eye(3), np.eye(5)], ["a", "b"])
    >>> len(ax.images)
    2
    """
    pictures = [array(picture, float) for picture in pictures]
    tall, wide = (max(p.shape[axis] for p in pictures) for axis in (0, 1))
    columns = min(columns or max(round((len(pictures) * tall * 1.6 / wide) ** 0.5), 1), len(pictures))
    lines = -(-len(pictures) // columns)
    high = 1.1 * min(max(tall / wide, 1), 2.5)  # inches of a picture
    figure, ax = axes(ax, (min(high * columns * wide / tall + 0.4, 12), 1.14 * high * lines + 0.5))
    gap = 0.12 * wide
    for n, picture in enumerate(pictures):
        left, top = n % columns * (wide + gap), n // columns * (tall * 1.25)
        reach = max(float(np.nanmax(np.abs(picture))), 1e-30) if picture.ndim == 2 else 1.0
        scale = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach} if symmetric else {"cmap": "magma"}
        ax.imshow(picture, extent=(left, left + picture.shape[1], top + picture.shape[0], top), **scale)
        if n < len(names):
            ax.text(left, top - 0.03 * tall, names[n], fontsize=6, va="bottom")
    ax.set(xlim=(-gap, columns * (wide + gap)), ylim=(lines * tall * 1.25, -0.3 * tall), title=title)
    ax.set_axis_off()
    return figure, ax
