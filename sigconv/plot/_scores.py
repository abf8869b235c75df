"""How well a classifier does: its confusions, and whether it is right as often as it is sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigconv.plot._frame import COLOURS, axes

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
