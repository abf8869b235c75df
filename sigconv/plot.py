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


WRITTEN, NAMED = 30, 40  # classes whose counts can still be read in a confusion matrix, and whose names


def confusion(counts: Any, classes: Sequence[str], *, title: str = "", ax: Any = None) -> tuple[Any, Any]:
    """A confusion matrix, rows true and columns predicted, shaded by the share of its row.

    Up to 30 classes its counts are written in; with more, faint shares are brought out, a bar tells the shades, and
    with more than 40 some of the names stand for all.

    >>> figure, ax = confusion([[9, 1], [0, 5]], ["no", "yes"])
    >>> [text.get_text() for text in ax.texts]
    ['9', '1', '5']
    """
    counts, n = np.asarray(counts), len(classes)
    side = min(max(4.4, 0.4 * n + 1.2), 11.0)
    figure, ax = axes(ax, (side + 0.6, side))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    from matplotlib.colors import PowerNorm

    shaded = ax.imshow(shares, cmap="Blues", norm=PowerNorm(1.0 if n <= WRITTEN else 0.4, vmin=0, vmax=1))
    ax.set(xlabel="predicted", ylabel="true", title=title)
    every = range(0, n, -(-n // NAMED))
    names = [name if len(name) <= 18 else name[:17] + "…" for name in (classes[i] for i in every)]
    size = 8 if n > 12 else 10
    ax.set_xticks(every, names, rotation=90 if n > 12 else 45 if max(map(len, names)) > 3 else 0, fontsize=size)
    ax.set_yticks(every, names, fontsize=size)
    ax.spines[:].set_visible(False)
    if n > WRITTEN:
        figure.colorbar(shaded, ax=ax, label="share of the true class", shrink=0.7)
        return figure, ax
    for (row, column), count in np.ndenumerate(counts):
        if count:
            ink = "white" if shares[row, column] > 0.5 else "black"
            ax.text(
                column,
                row,
                str(count),
                ha="center",
                va="center",
                fontsize=11 if n <= 5 else 8 if n <= 16 else 6,
                color=ink,
            )
    return figure, ax


def calibration(
    edges: Any, counts: Any, confidence: Any, accuracy: Any, *, title: str = ""
) -> tuple[Any, tuple[Any, Any]]:
    """A reliability diagram over its histogram: bins of confidence (edges), how many items, how sure, how often right.

    On the diagonal a model is right as often as it is sure; below it, it is too sure of itself. A dot stands at a bin's
    mean confidence, a line from it to the diagonal is what it is off by. Empty bins are left out.
    """
    from matplotlib.figure import Figure

    parts = (np.asarray(part, dtype=float) for part in (edges, counts, confidence, accuracy))
    edges, counts, confidence, accuracy = parts
    total, there = max(counts.sum(), 1.0), counts > 0
    gap = float(np.nansum(np.abs(accuracy - confidence) * counts) / total)
    figure = Figure(figsize=(5.4, 5.8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.1))
    left, wide = edges[:-1], np.diff(edges)
    bars: dict[str, Any] = {"align": "edge", "edgecolor": "white", "linewidth": 0.8}
    above.bar(left[there], accuracy[there], wide[there], color=COLOURS[5], alpha=0.45, **bars)
    above.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
    above.vlines(confidence[there], accuracy[there], confidence[there], color=COLOURS[1], linewidth=2.2, label="off by")
    above.plot(confidence[there], accuracy[there], "o", color=COLOURS[0], markersize=5, label="share that is right")
    title += f"{', ' if title else ''}expected calibration error {gap:.4f}"
    above.set(ylabel="share that is right", ylim=(0, 1.04), xlim=(0, 1))
    above.set_title(title, fontsize=10)
    below.bar(left, counts, wide, color="silver", **bars)
    for x, count in zip((left + wide / 2)[there], counts[there], strict=True):
        below.text(x, count, f"{count:,.0f}", ha="center", va="bottom", fontsize=6, color="dimgrey")
    for word, values, colour in (("confidence", confidence, COLOURS[1]), ("accuracy", accuracy, COLOURS[0])):
        mean = float(np.nansum(values * counts) / total)
        below.axvline(mean, color=colour, linewidth=1.4, label=f"mean {word} {mean:.3f}")
    below.set(xlabel="confidence", ylabel="items", ylim=(0, 1.2 * max(counts.max(), 1)))
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure, (above, below)


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

    symmetric puts 0 in the middle of a scale from blue to red; otherwise dark is the least. Axis 0 points down. Arrays
    (height, width, 3) are red, green and blue from 0 to 1.

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
        reach = max(float(np.nanmax(np.abs(picture))), 1e-30) if picture.ndim == 2 else 1.0
        scale = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach} if symmetric else {"cmap": "magma"}
        ax.imshow(picture, extent=(left, left + picture.shape[1], top + picture.shape[0], top), **scale)
        if n < len(names):
            ax.text(left, top - 0.03 * tall, names[n], fontsize=6, va="bottom")
    ax.set(xlim=(-gap, columns * (wide + gap)), ylim=(lines * tall * 1.25, -0.3 * tall), title=title)
    ax.set_axis_off()
    return figure, ax


def strips(
    rows: Any, names: Sequence[str] = (), *, columns: int = 0, title: str = "", ax: Any = None
) -> tuple[Any, Any]:
    """One-dimensional signals (n, samples) as small traces in one picture, each on its own scale about a line at 0.

    >>> figure, ax = strips(np.eye(3), ["a", "b", "c"])
    >>> len(ax.lines)
    6
    """
    rows = np.asarray(rows, dtype=float)
    columns = min(columns or max(round((len(rows) * 0.6) ** 0.5), 1), len(rows))
    lines = -(-len(rows) // columns)
    figure, ax = axes(ax, (min(1.5 * columns + 0.3, 10), 0.85 * lines + 0.5))
    x = np.linspace(0, 0.86, rows.shape[1]) if rows.shape[1] > 1 else np.array([0.43])
    for n, row in enumerate(rows):
        left, middle = n % columns, -(n // columns)
        reach = max(float(np.nanmax(np.abs(row))), 1e-30)
        ax.plot([left, left + 0.86], [middle, middle], color="lightgrey", linewidth=0.8)
        few = {"marker": "o", "markersize": 2.5} if rows.shape[1] <= 16 else {}
        ax.plot(left + x, middle + 0.36 * row / reach, color=COLOURS[0], linewidth=1.2, **few)
        if n < len(names):
            ax.text(left, middle + 0.4, names[n], fontsize=6, va="bottom")
    ax.set(xlim=(-0.06, columns), ylim=(0.5 - lines, 0.62), title=title)
    ax.set_axis_off()
    return figure, ax


LETTERS = {"A": COLOURS[2], "C": COLOURS[0], "G": COLOURS[4], "T": COLOURS[1]}


def logo(
    matrices: Sequence[Any], names: Sequence[str] = (), *, background: Any = 0.25, bits: bool = True, title: str = ""
) -> tuple[Any, Any]:
    """Sequence logos under one another, of matrices (4, width), rows A C G T: counts or probabilities.

    A column is as high as its information against the background, in bits, and letters share it by their probability,
    the likeliest on top. bits=False draws the numbers as heights instead, what is below 0 downwards and upside down: so
    what each letter of a sequence does to an answer is drawn. Source: Schneider and Stephens 1990.

    >>> figure, several = logo([np.eye(4)], ["ACGT"])
    >>> len(several[0].patches)
    4
    """
    from matplotlib.figure import Figure

    base = np.broadcast_to(np.asarray(background, dtype=float), 4)[:, None]
    found = [_bits(np.asarray(matrix, dtype=float), base) if bits else np.asarray(matrix) for matrix in matrices]
    widest = max(matrix.shape[1] for matrix in found)
    figure = Figure(figsize=(min(max(0.3 * widest + 0.8, 3), 16), 1.35 * len(found) + 0.3), layout="constrained")
    several = figure.subplots(len(found), squeeze=False)[:, 0]
    for n, (ax, matrix) in enumerate(zip(several, found, strict=True)):
        _letters(ax, matrix)
        low, high = matrix.clip(max=0).sum(0).min(), matrix.clip(min=0).sum(0).max()
        ax.set(xlim=(0, widest), ylim=(0, -np.log2(base.min())) if bits else (1.03 * low, 1.03 * high or 1))
        ax.set_xticks(np.arange(4.5, matrix.shape[1], 5), range(5, matrix.shape[1] + 1, 5))
        ax.set_ylabel("bits" if bits else "")
        ax.set_title(names[n] if n < len(names) else "", fontsize=9, loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    return figure, several


def _bits(matrix: np.ndarray, base: np.ndarray) -> np.ndarray:
    p = matrix / matrix.sum(0)
    return np.asarray(p * (p * np.log2(np.where(p > 0, p, 1) / base)).sum(0).clip(min=0))


def _letters(ax: Any, heights: np.ndarray) -> None:
    """Letters on and below the axis, in each column the largest outermost: one patch for all of a kind."""
    from matplotlib import font_manager, patches, path, textpath

    order = np.abs(heights).argsort(0, kind="stable")
    tall, ends = np.take_along_axis(heights, order, 0), np.empty_like(heights, dtype=float)
    np.put_along_axis(ends, order, np.where(tall < 0, tall.clip(max=0).cumsum(0), tall.clip(min=0).cumsum(0)), 0)
    for row, (letter, colour) in enumerate(LETTERS.items()):
        glyph = textpath.TextPath((0, 0), letter, prop=font_manager.FontProperties(family="DejaVu Sans", weight="bold"))
        box = glyph.get_extents()
        unit = (glyph.vertices - (box.x0, box.y0)) / (box.width, box.height) * (0.94, 1) + (0.03, -1)
        drawn = np.flatnonzero(heights[row])
        paths = [path.Path(unit * (1, heights[row, i]) + (i, ends[row, i]), glyph.codes) for i in drawn]
        ax.add_patch(patches.PathPatch(path.Path.make_compound_path(*paths), facecolor=colour, linewidth=0))


def png(figure: Any, dpi: int = 120) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
