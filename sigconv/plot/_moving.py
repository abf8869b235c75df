"""Pictures of what has more axes than paper: film as frames and as slices of space and time, kernels slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigconv.plot._frame import array, axes
from sigconv.plot._space import gaps
from sigconv.plot._tiles import mosaic


def film(
    video: Any, *, fs: float = 1.0, frames: int = 6, at: tuple[int, int] | None = None, title: str = ""
) -> tuple[Any, Any]:
    """Some frames of a video side by side, and below them one row and one column of it against time.

    video (frames, height, width), or (channels, frames, height, width) of 1 or 3 channels, red, green and blue: bytes,
    or numbers from 0 to 1; others grey on one scale. fs frames per second; at (row, column) is what is followed, the
    middle by default, and thin lines show it. What moves is a slanted line there, the steeper the faster.

    (figure, axes: those of the frames, then x against time, then y). ValueError for arrays of other shapes.

    >>> figure, several = film(np.zeros((25, 12, 16)), fs=25.0, frames=3)
    >>> [ax.get_title() for ax in several[:3]]
    ['0.00 s', '0.48 s', '0.96 s']
    """
    from matplotlib.figure import Figure

    clip = _clip(video)
    count, tall, wide = clip.shape[:3]
    if not 0 < float(fs) < float("inf") or frames < 1:
        raise ValueError(f"fs {fs} must be above 0, and frames {frames} at least 1")
    row, column = (tall // 2, wide // 2) if at is None else at
    if not (-tall <= row < tall and -wide <= column < wide):
        raise ValueError(f"at {(row, column)} is not inside frames of {(tall, wide)}")
    row, column = row % tall, column % wide
    chosen = np.unique(np.linspace(0, count - 1, min(frames, count)).round().astype(int))
    high = 9.0 / len(chosen) * min(max(tall / wide, 0.3), 2.0)
    figure = Figure(figsize=(9.0, min(high, 4.0) + 2.6), layout="constrained")
    parts = figure.add_gridspec(2, 1, height_ratios=(min(high, 4.0), 2.1))
    inner, halves = parts[0].subgridspec(1, len(chosen)), parts[1].subgridspec(1, 2)
    scale: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1}
    several = [figure.add_subplot(inner[0, i]) for i in range(len(chosen))]
    for ax, n in zip(several, chosen, strict=True):
        ax.imshow(clip[n], **scale)
        ax.axhline(row, color="#0072B2", linewidth=0.7)
        ax.axvline(column, color="#D55E00", linewidth=0.7)
        ax.set_title(f"{n / fs:.2f} s", fontsize=8)
        ax.set_axis_off()
    slit = ((clip[:, row], "x", wide, row, "#0072B2"), (clip[:, :, column], "y", tall, column, "#D55E00"))
    for i, (picture, name, long, where, colour) in enumerate(slit):
        ax = figure.add_subplot(halves[0, i])
        box = (-0.5 / fs, (count - 0.5) / fs, long - 0.5, -0.5)
        ax.imshow(np.swapaxes(picture, 0, 1), extent=box, aspect="auto", **scale)
        ax.set_title(f"{'row' if name == 'x' else 'column'} {where} against time", fontsize=8, color=colour)
        ax.set_xlabel("s", fontsize=8)
        ax.set_ylabel(name, fontsize=8)
        ax.tick_params(labelsize=7)
        several.append(ax)
    figure.suptitle(title)
    return figure, several


def kernels(
    weights: Any,
    names: Sequence[str] = (),
    *,
    spacing: Any = None,
    columns: int = 0,
    title: str = "",
    ax: Any = None,
) -> tuple[Any, Any]:
    """Kernels (filters, *size) of two to four axes, their slices side by side: blue below 0, white at 0, red above.

    Of three axes, the first (time, or z) goes to the right from slice to slice; of four, the first goes down and the
    second to the right. Every kernel has a scale of its own. spacing, one number or one per axis, says how high a pixel
    is beside its width. ValueError for weights of other axes.

    >>> figure, ax = kernels(np.random.default_rng(0).normal(size=(4, 3, 5, 5)), ["a", "b", "c", "d"])
    >>> len(ax.images), ax.images[0].get_array().shape
    (4, (5, 17))
    """
    several = array(weights, float)
    if not 3 <= several.ndim <= 5 or 0 in several.shape:
        raise ValueError(f"weights have shape {several.shape}: expected (filters, *size) of two to four axes")
    tall, wide = gaps(spacing, None, several.ndim - 1)[-2:]
    pictures = [sliced(one) for one in several]
    rate = pictures[0].shape[0] * tall / (pictures[0].shape[1] * wide)  # height beside width
    columns = min(columns or max(round((len(pictures) * rate / 0.7) ** 0.5), 1), len(pictures))
    if ax is None:
        _, ax = axes(None, (9.0, min(9.0 / columns * 1.1 * rate * -(-len(pictures) // columns) + 0.6, 14.0)))
    figure, ax = mosaic(pictures, names, columns=columns, symmetric=True, title=title, ax=ax)
    ax.set_aspect(tall / wide)
    return figure, ax


def sliced(kernel: np.ndarray) -> np.ndarray:
    """The slices of a kernel in one picture, a pixel of nothing between them.

    >>> sliced(np.ones((2, 1, 2)))
    array([[ 1.,  1., nan,  1.,  1.]])
    """
    if kernel.ndim == 2:
        return kernel
    parts = [sliced(part) for part in kernel]
    axis = 1 if kernel.ndim == 3 else 0
    gap = np.full([1 if a == axis else n for a, n in enumerate(parts[0].shape)], np.nan)
    return np.concatenate([part for one in parts for part in (one, gap)][:-1], axis)


def _clip(video: Any) -> np.ndarray:
    """Frames as (frames, height, width) or (frames, height, width, 3), from 0 to 1."""
    found = array(video)
    if found.ndim == 4 and found.shape[0] in (1, 3):
        found = found[0] if found.shape[0] == 1 else np.moveaxis(found, 0, -1)
    elif found.ndim != 3:
        found = found[:0]
    if 0 in found.shape or found.dtype.kind not in "buif":
        raise ValueError(
            f"video has shape {np.shape(video)}: expected (frames, height, width), or (1 or 3, frames, height, width)"
        )
    if found.dtype == np.uint8:
        return found / 255.0
    found = np.where(np.isfinite(found), found, 0.0).astype(float)
    if found.min() >= 0 and found.max() <= 1:
        return found
    return (found - found.min()) / max(float(np.ptp(found)), 1e-30)
