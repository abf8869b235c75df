"""Pictures of volumes (x, y, z): slices across each axis with what lies over them, and maxima through the whole."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sigconv.plot._frame import COLOURS, array
from sigconv.plot._space import across, gaps, lettered, letters, outline, shown, views

DARKEST, BRIGHTEST = 1, 99  # percentiles of a volume that are drawn black and white
COVERS = 0.85  # of what is below, the largest value of an overlay


def slices(
    volume: Any,
    overlay: Any = None,
    labels: Any = None,
    predicted: Any = None,
    *,
    spacing: Any = None,
    affine: Any = None,
    at: Sequence[int] | None = None,
    names: Mapping[int, str] | None = None,
    unit: str = "mm",
    title: str = "",
) -> tuple[Any, Any]:
    """Three slices of a volume (x, y, z), across each axis, in units, the first axis to the right, the last upwards.

    overlay    numbers (x, y, z) drawn over it, the surer the larger they are; blue and red where some are below 0
    labels     whole numbers (x, y, z), 0 for nothing: a line around each, in a colour and with a name of its own
    predicted  others of the same kind beside them, their lines dashed
    spacing    units between samples, one number or one per axis; or by an affine (4, 4), from indices to mm, which also
               says where left, right, back, front, below and above are
    at         indices (i, j, k) of the slices, which dotted lines show; by default those with most labels, or where the
               overlay is largest, or the middle

    (figure, three axes). ValueError for arrays of other shapes, and for indices outside.

    >>> figure, (sagittal, coronal, axial) = slices(np.zeros((4, 5, 6)), spacing=(1, 1, 2))
    >>> [float(n) for n in (*axial.get_xlim(), *sagittal.get_ylim())]
    [-0.5, 3.5, -1.0, 11.0]
    """
    values = _volume(volume, "volume")
    over = None if overlay is None else _volume(overlay, "overlay", values.shape)
    maps = (("-", labels, "labels"), ("--", predicted, "predicted"))
    drawn = [(style, _volume(given, name, values.shape)) for style, given, name in maps if given is not None]
    apart = gaps(spacing, affine)
    place = _place(values.shape, over, drawn[0][1] if drawn else None) if at is None else _inside(at, values.shape)
    figure, grid = views(1, values.shape, apart)
    dark, bright = _window(values)
    kinds = sorted({int(n) for _, one in drawn for n in np.unique(one[np.isfinite(one)]) if n})
    style, covering = ({}, None) if over is None else _overlaid(over)
    painted = None
    for axis, ax in enumerate(grid[0]):
        right, up = across(axis)
        steps = (apart[right], apart[up])
        shown(ax, values.take(place[axis], axis), steps, cmap="gray", vmin=dark, vmax=bright)
        if over is not None and covering is not None:
            opaque = covering.take(place[axis], axis).T
            painted = shown(ax, over.take(place[axis], axis), steps, alpha=opaque, **style)
        for (dashes, one), (i, kind) in itertools.product(drawn, enumerate(kinds)):
            found = one.take(place[axis], axis) == kind
            outline(ax, found, steps, COLOURS[i % len(COLOURS)], linestyles=dashes)
        ax.axvline(place[right] * steps[0], color="white", linestyle=":", linewidth=0.6)
        ax.axhline(place[up] * steps[1], color="white", linestyle=":", linewidth=0.6)
        _dressed(ax, axis, unit, affine, f"{'xyz'[axis]} = {place[axis]}")
    if painted is not None:
        figure.colorbar(painted, ax=list(grid[0]), shrink=0.7).ax.tick_params(labelsize=7)
    _keyed(figure, kinds, names or {}, predicted is not None)
    figure.suptitle(title)
    return figure, grid[0]


def glass(
    energy: Any,
    volume: Any = None,
    *,
    spacing: Any = None,
    affine: Any = None,
    names: Sequence[str] = (),
    unit: str = "mm",
    title: str = "",
) -> tuple[Any, Any]:
    """Maxima of feature energy through a whole volume, as if it were of glass: along each axis, one row a feature.

    energy (x, y, z) or (features, x, y, z): its absolute values, each feature on its own scale. volume (x, y, z) is
    what they are of, drawn as an outline, where its own maxima are above its mean. spacing, affine, unit as in slices.

    (figure, axes (features, 3)). ValueError for arrays of other shapes.

    >>> figure, grid = glass(np.ones((2, 4, 5, 6)), names=["edges", "blobs"])
    >>> grid.shape
    (2, 3)
    """
    several = np.abs(array(energy, float))
    several = several[None] if several.ndim == 3 else several
    if several.ndim != 4 or 0 in several.shape:
        raise ValueError(f"energy has shape {np.shape(energy)}: expected (x, y, z) or (features, x, y, z)")
    around = None if volume is None else _volume(volume, "volume", several.shape[1:])
    level = np.inf if around is None or not np.isfinite(around).any() else around[np.isfinite(around)].mean()
    apart = gaps(spacing, affine)
    figure, grid = views(len(several), several.shape[1:], apart)
    for n, row in enumerate(grid):
        known = np.where(np.isfinite(several[n]), several[n], 0.0)
        top = float(known.max()) or 1.0
        for axis, ax in enumerate(row):
            right, up = across(axis)
            steps = (apart[right], apart[up])
            shown(ax, known.max(axis), steps, cmap="magma", vmin=0, vmax=top)
            if around is not None:
                outline(ax, (np.nan_to_num(around, nan=-np.inf) > level).any(axis), steps, "white", linewidths=0.8)
            named = names[n] if axis == 0 and n < len(names) else ""
            _dressed(ax, axis, unit, affine, named)
    figure.suptitle(title)
    return figure, grid


def _volume(values: Any, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Numbers of three axes, of this shape if one is given."""
    found = array(values)
    if found.ndim != 3 or 0 in found.shape or found.dtype.kind not in "buif":
        raise ValueError(f"{name} has shape {found.shape} of {found.dtype}: expected real numbers (x, y, z)")
    if shape is not None and found.shape != shape:
        raise ValueError(f"{name} has shape {found.shape}: expected that of the volume, {shape}")
    return found.astype(float)


def _place(shape: tuple[int, ...], overlay: np.ndarray | None, labels: np.ndarray | None) -> tuple[int, ...]:
    """Where there is most to see."""
    if labels is not None and (labels > 0).any():
        return tuple(int((labels > 0).sum(tuple(a for a in range(3) if a != axis)).argmax()) for axis in range(3))
    if overlay is not None and np.isfinite(overlay).any():
        found = np.unravel_index(int(np.nanargmax(np.where(np.isfinite(overlay), np.abs(overlay), -1.0))), shape)
        return tuple(int(i) for i in found)
    return tuple(n // 2 for n in shape)


def _inside(at: Sequence[int], shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(at) != 3 or not all(-n <= i < n for i, n in zip(at, shape, strict=True)):
        raise ValueError(f"at {tuple(at)} is not inside a volume of {shape}")
    return tuple(int(i) % n for i, n in zip(at, shape, strict=True))


def _window(values: np.ndarray) -> tuple[float, float]:
    """What is black and what is white."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    dark, bright = np.percentile(known, (DARKEST, BRIGHTEST))
    return (float(dark), float(bright)) if bright > dark else (float(known.min()), max(float(known.max()), dark + 1e-9))


def _overlaid(overlay: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
    """Colours of an overlay, and how much of what is below it hides."""
    size = np.where(np.isfinite(overlay), np.abs(overlay), 0.0)
    top = float(size.max()) or 1.0
    signed = bool((overlay < 0).any())
    return {"cmap": "RdBu_r" if signed else "hot", "vmin": -top if signed else 0.0, "vmax": top}, COVERS * size / top


def _dressed(ax: Any, axis: int, unit: str, affine: Any, title: str) -> None:
    """What the axes are called, and which end is which."""
    right, up = across(axis)
    ax.set_xlabel(f"{'xyz'[right]}, {unit}", fontsize=7, labelpad=1)
    ax.set_ylabel(f"{'xyz'[up]}, {unit}", fontsize=7, labelpad=1)
    ax.tick_params(labelsize=6, length=2)
    ax.set_title(title, fontsize=8)
    if affine is not None:
        ends = letters(affine)
        lettered(ax, ends[right], ends[up])


def _keyed(figure: Any, kinds: Sequence[int], names: Mapping[int, str], dashed: bool) -> None:
    """The labels' colours and names below the pictures, and what is dashed."""
    from matplotlib.lines import Line2D

    if kinds:
        lines = [Line2D([], [], color=COLOURS[i % len(COLOURS)], linewidth=1.8) for i in range(len(kinds))]
        told = [names.get(kind, str(kind)) for kind in kinds]
        if dashed:
            lines.append(Line2D([], [], color="dimgrey", linewidth=1.8, linestyle="--"))
            told.append("predicted")
        figure.legend(lines, told, loc="outside lower center", ncols=min(len(told), 6), frameon=False, fontsize=8)
