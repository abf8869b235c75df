"""Sequence logos: letters as high as they tell something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigconv.plot._frame import COLOURS, array

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
    found = [_bits(array(matrix, float), base) if bits else array(matrix) for matrix in matrices]
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
