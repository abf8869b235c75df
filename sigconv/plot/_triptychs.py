"""What a channel answers to, beside what in it the answer rests on: crop, deconvnet, guided backpropagation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigconv.plot._flat import coloured, flat, numbers, stretched, strongest
from sigconv.plot._frame import COLOURS

PANELS = ("crop", "deconvnet", "guided")


def triptychs(
    crops: Any, deconvnet: Any, guided: Any, names: Sequence[str] = (), *, title: str = ""
) -> tuple[Any, np.ndarray]:
    """Rows of three: a crop of an input, and signed maps of it by deconvnet and by guided backpropagation (VZ7).

    All (n, channels, *space) of one to four axes, of one shape. Signals of one channel are traces, of several pictures
    with the channels downwards; volumes are their middle slices. Three channels of pictures are red, green and blue; of
    other numbers the strongest at each place is drawn. Maps have 0 in the middle of a scale of their own: from blue to
    red, or grey among colours.

    (figure, axes (n, 3)). ValueError for other shapes and numbers.

    >>> x = np.random.default_rng(0).normal(size=(2, 1, 8, 8))
    >>> triptychs(x, x, x, ["channel 0", "channel 5"])[1].shape
    (2, 3)
    """
    from matplotlib.figure import Figure

    given = zip(("crops", "deconvnet", "guided"), (crops, deconvnet, guided), strict=True)
    parts = [numbers(values, name, range(3, 7), "(n, channels, *space) of one to four axes") for name, values in given]
    for name, part in zip(PANELS[1:], parts[1:], strict=True):
        if part.shape != parts[0].shape:
            raise ValueError(f"{name} has shape {part.shape}: expected that of the crops, {parts[0].shape}")
    one = parts[0][0]
    tall, wide = (1, 2.2) if one.ndim == 2 else flat(one[0]).shape
    width = 8.4 if one.ndim > 3 else 6.6
    height = min(width / 3 * tall / wide + 0.12, 3.2)
    figure = Figure(figsize=(width, len(parts[0]) * height + 0.5), layout="constrained")
    grid = figure.subplots(len(parts[0]), 3, squeeze=False)
    for n, row in enumerate(grid):
        for ax, part, signed in zip(row, parts, (False, True, True), strict=True):
            _panel(ax, part[n], signed)
        row[0].set_ylabel(names[n] if n < len(names) else "", fontsize=8)
    for ax, name in zip(grid[0], PANELS, strict=True):
        ax.set_title(name, fontsize=9)
    figure.suptitle(title)
    return figure, grid


def _panel(ax: Any, one: np.ndarray, signed: bool) -> None:
    """One of the three: (channels, *space)."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    reach = max(float(np.abs(one).max()), 1e-30)
    if one.ndim == 2 and len(one) == 1:
        ax.axhline(0, color="lightgrey", linewidth=0.8)
        ax.plot(one[0], color=COLOURS[1] if signed else COLOURS[0], linewidth=1.2)
        if signed:
            ax.set_ylim(-1.08 * reach, 1.08 * reach)
        return
    scale: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach} if signed else {"cmap": "gray"}
    if one.ndim == 2:
        ax.imshow(one, aspect="auto", interpolation="nearest", **scale)
    elif len(one) == 3:
        picture = np.stack([flat(channel) for channel in one], -1)
        ax.imshow(coloured(picture) if signed else stretched(picture))
    else:
        ax.imshow(flat(strongest(one)), **scale)
