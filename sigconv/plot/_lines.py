"""Curves and signals: named lines, small multiples of one-dimensional arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sigconv.plot._frame import COLOURS, array, axes


def curves(
    lines: Mapping[str, tuple[Any, Any]],
    *,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    dashed: Sequence[str] = (),
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    legend: bool = True,
    ax: Any = None,
) -> tuple[Any, Any]:
    """Named curves of (x, y). Names that share their first word share a colour; those in dashed are drawn so.

    bands, by the curves' names, are (lowest, highest) at their x: the spread over seeds about a mean, shaded.
    ValueError for a band of no curve.

    >>> figure, ax = curves({"a": ([0, 1], [2, 3])})
    >>> len(ax.lines)
    1
    """
    figure, ax = axes(ax)
    if alone := [name for name in bands or {} if name not in lines]:
        raise ValueError(f"bands {alone} are of no curve: expected names among {list(lines)}")
    families = list(dict.fromkeys(name.split(" ")[0] for name in lines))
    for name, (x, y) in lines.items():
        colour = COLOURS[families.index(name.split(" ")[0]) % len(COLOURS)]
        marker = "o" if len(x) == 1 else None
        ax.plot(x, y, label=name, color=colour, linestyle="--" if name in dashed else "-", marker=marker, linewidth=1.6)
        if bands and name in bands:
            ax.fill_between(x, *bands[name], color=colour, alpha=0.18, linewidth=0)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.grid(alpha=0.3)
    if lines and legend:
        ax.legend(frameon=False)
    return figure, ax


def traces(rows: Any, names: Sequence[str], *, columns: int = 5, title: str = "") -> tuple[Any, Any]:
    """Small multiples of one-dimensional signals (n, samples)."""
    from matplotlib.figure import Figure

    rows = array(rows)
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


def strips(
    rows: Any,
    names: Sequence[str] = (),
    *,
    columns: int = 0,
    common: bool = False,
    title: str = "",
    ax: Any = None,
) -> tuple[Any, Any]:
    """One-dimensional signals (n, samples) as small traces in one picture, each on its own scale about a line at 0.

    common puts all of them on one scale.

    >>> figure, ax = strips(np.eye(3), ["a", "b", "c"])
    >>> len(ax.lines)
    6
    """
    rows = array(rows, float)
    columns = min(columns or max(round((len(rows) * 0.6) ** 0.5), 1), len(rows))
    lines = -(-len(rows) // columns)
    figure, ax = axes(ax, (min(1.5 * columns + 0.3, 10), 0.85 * lines + 0.5))
    x = np.linspace(0, 0.86, rows.shape[1]) if rows.shape[1] > 1 else np.array([0.43])
    for n, row in enumerate(rows):
        left, middle = n % columns, -(n // columns)
        reach = max(float(np.nanmax(np.abs(rows if common else row))), 1e-30)
        ax.plot([left, left + 0.86], [middle, middle], color="lightgrey", linewidth=0.8)
        few = {"marker": "o", "markersize": 2.5} if rows.shape[1] <= 16 else {}
        ax.plot(left + x, middle + 0.36 * row / reach, color=COLOURS[0], linewidth=1.2, **few)
        if n < len(names):
            ax.text(left, middle + 0.4, names[n], fontsize=6, va="bottom")
    ax.set(xlim=(-0.06, columns), ylim=(0.5 - lines, 0.62), title=title)
    ax.set_axis_off()
    return figure, ax
