"""Pictures of arrays: takes numbers, knows no type of ours, draws with matplotlib and never shows a window.

Every function takes ax= to draw into axes of your own and returns (figure, axes).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # told apart by every eye (Okabe-Ito)


def axes(ax: Any = None, size: tuple[float, float] = (6.4, 4.0)) -> tuple[Any, Any]:
    """A figure and its axes; those given, where some are."""
    if ax is not None:
        return ax.figure, ax
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def curves(
    lines: Mapping[str, tuple[Any, Any]],
    *,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    dashed: Sequence[str] = (),
    legend: bool = True,
    ax: Any = None,
) -> tuple[Any, Any]:
    """Named curves of (x, y). Names that share their first word share a colour; those in dashed are drawn so.

    >>> figure, ax = curves({"a": ([0, 1], [2, 3])})
    >>> len(ax.lines)
    1
    """
    figure, ax = axes(ax)
    families = list(dict.fromkeys(name.split(" ")[0] for name in lines))
    for name, (x, y) in lines.items():
        colour = COLOURS[families.index(name.split(" ")[0]) % len(COLOURS)]
        marker = "o" if len(x) == 1 else None
        ax.plot(x, y, label=name, color=colour, linestyle="--" if name in dashed else "-", marker=marker, linewidth=1.6)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.grid(alpha=0.3)
    if lines and legend:
        ax.legend(frameon=False)
    return figure, ax


def confusion(counts: Any, classes: Sequence[str], *, title: str = "", ax: Any = None) -> tuple[Any, Any]:
    """A confusion matrix, rows true and columns predicted, with its counts written in."""
    counts = np.asarray(counts)
    figure, ax = axes(ax, (5.2, 4.8))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ax.set(xlabel="predicted", ylabel="true", title=title)
    ax.set_xticks(range(len(classes)), classes, rotation=45 if max(map(len, classes)) > 3 else 0)
    ax.set_yticks(range(len(classes)), classes)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            ink = "white" if shares[row, column] > 0.5 else "black"
            ax.text(column, row, str(count), ha="center", va="center", fontsize=8, color=ink)
    return figure, ax


def traces(rows: Any, names: Sequence[str], *, columns: int = 5, title: str = "") -> tuple[Any, Any]:
    """Small multiples of one-dimensional signals (n, samples)."""
    from matplotlib.figure import Figure

    rows = np.asarray(rows)
    columns = min(columns, len(rows))
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(1.8 * columns, 1.3 * lines + 0.3), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True)
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, row, name in zip(grid.flat, rows, names, strict=False):
        ax.plot(row, color=COLOURS[0], linewidth=1.2)
        ax.set_title(name, fontsize=8)
    figure.suptitle(title)
    return figure, grid


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
        ax.imshow(np.asarray(picture), origin="lower", aspect="auto", cmap="magma")
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

    symmetric puts 0 in the middle of a scale from blue to red; otherwise dark is the least. Axis 0 points down.

    >>> figure, ax = mosaic([np.eye(3), np.eye(5)], ["a", "b"])
    >>> len(ax.images)
    2
    """
    pictures = [np.asarray(picture, dtype=float) for picture in pictures]
    tall, wide = (max(p.shape[axis] for p in pictures) for axis in (0, 1))
    columns = min(columns or max(round((len(pictures) * tall * 1.6 / wide) ** 0.5), 1), len(pictures))
    lines = -(-len(pictures) // columns)
    figure, ax = axes(ax, (min(1.1 * columns * max(wide / tall, 1) + 0.4, 12), 1.25 * lines + 0.5))
    gap = 0.12 * wide
    for n, picture in enumerate(pictures):
        left, top = n % columns * (wide + gap), n // columns * (tall * 1.25)
        reach = max(float(np.nanmax(np.abs(picture))), 1e-30)
        scale = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach} if symmetric else {"cmap": "magma"}
        ax.imshow(picture, extent=(left, left + picture.shape[1], top + picture.shape[0], top), **scale)
        if n < len(names):
            ax.text(left, top - 0.03 * tall, names[n], fontsize=6, va="bottom")
    ax.set(xlim=(-gap, columns * (wide + gap)), ylim=(lines * tall * 1.25, -0.3 * tall), title=title)
    ax.set_axis_off()
    return figure, ax


def png(figure: Any, dpi: int = 120) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
