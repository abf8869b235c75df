"""What a layer holds and what it answers: weights of first and later layers, feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigconv.plot._flat import coloured, flat, numbers
from sigconv.plot._frame import axes
from sigconv.plot._lines import strips
from sigconv.plot._moving import kernels, sliced
from sigconv.plot._tiles import mosaic

FILTERS, SIDE = 64, 12  # that are drawn at most: filters side by side, and outputs or inputs of a grid
WIDEST = 9.0  # inches


def weights(
    weight: Any,
    names: Sequence[str] = (),
    *,
    colour: bool | None = None,
    most: int | None = None,
    title: str = "",
    ax: Any = None,
) -> tuple[Any, Any]:
    """The weight of a layer (out, in, *size) of one to four axes, as a first layer's or as a later one's (VZ5).

    Of one input channel, filters side by side, each on its own scale: traces, pictures, slices. Of three, and two axes
    or more, colours, where 0 is grey (colour=False where they are no colours). Of others in one axis, a picture for
    each output, its inputs downwards. Otherwise a grid, outputs downwards and inputs to the right, by their indices;
    a row has one scale, for what is in it is added up.

    names are the outputs'. most says how many outputs, and inputs of a grid, are drawn: those of the largest norm, in
    their order; 64 filters, or 12 of a grid, by default. (figure, ax). ValueError for other shapes and numbers.

    >>> _, first = weights(np.random.default_rng(0).normal(size=(16, 3, 5, 5)))
    >>> _, second = weights(np.random.default_rng(0).normal(size=(4, 16, 3, 3)))
    >>> len(first.images), len(second.images)
    (16, 48)
    """
    several = numbers(weight, "weight", range(3, 7), "(out, in, *size) of one to four axes")
    inside, ndim = several.shape[1], several.ndim - 2
    if colour and (inside != 3 or ndim < 2):
        raise ValueError(f"colour=True with weight of shape {several.shape}: expected 3 input channels and two axes on")
    if most is not None and most < 1:
        raise ValueError(f"most {most} must be at least 1")
    grid = ndim > 1 and inside > 1 and not (inside == 3 and colour is not False)
    outputs = _foremost(several, most or (SIDE if grid else FILTERS))
    called = [names[n] if n < len(names) else str(n) for n in outputs]
    several = several[outputs]
    if grid:
        return _grid(several, called, most or SIDE, title, ax)
    if inside == 1:
        draw: Any = strips if ndim == 1 else kernels
        return draw(several[:, 0], called, title=title, ax=ax)
    if ndim == 1:
        return mosaic(list(several), called, symmetric=True, title=title, ax=ax)
    return mosaic([coloured(np.stack([sliced(c) for c in one], -1)) for one in several], called, title=title, ax=ax)


def maps(
    features: Any, names: Sequence[str] = (), *, common: bool = False, columns: int = 0, title: str = "", ax: Any = None
) -> tuple[Any, Any]:
    """Feature maps (channels, *space) of one to four axes side by side: traces, pictures, middle slices (VZ5).

    Each has its own scale, or all of them one, with a bar that tells it (common). Where some are below 0, blue is below
    and red above; otherwise dark is the least. (figure, ax). ValueError for other shapes and numbers.

    >>> _, ax = maps(np.arange(24.0).reshape(2, 3, 4), ["a", "b"], common=True)
    >>> [image.get_clim() for image in ax.images]
    [(0.0, 23.0), (0.0, 23.0)]
    """
    several = numbers(features, "features", range(2, 6), "(channels, *space) of one to four axes")
    if several.ndim == 2:
        return strips(several, names, columns=columns, common=common, title=title, ax=ax)
    signed = bool((several < 0).any())
    pictures = [flat(one) for one in several]
    figure, ax = mosaic(pictures, names, columns=columns, symmetric=signed, title=title, ax=ax)
    if common:
        reach = float(np.abs(several).max())
        limits = (-reach, reach) if signed else (float(several.min()), reach)
        for image in ax.images:
            image.set_clim(*limits)
        figure.colorbar(ax.images[0], ax=ax, shrink=0.7).ax.tick_params(labelsize=7)
    return figure, ax


def _foremost(several: np.ndarray, most: int) -> np.ndarray:
    """Indices of the entries of largest norm along the first axis, in their order."""
    norms = np.square(several).sum(tuple(range(1, several.ndim)))
    return np.sort(np.argsort(-norms, kind="stable")[:most])


def _grid(several: np.ndarray, names: Sequence[str], most: int, title: str, ax: Any) -> tuple[Any, Any]:
    """Outputs downwards, inputs to the right."""
    inputs = _foremost(several.swapaxes(0, 1), most)
    rows = [[sliced(one[i]) for i in inputs] for one in several]
    tall, wide = rows[0][0].shape
    steps = (1.25 * tall, 1.12 * wide)  # as a mosaic lays them
    inch = min(WIDEST / len(rows) / steps[0], WIDEST / len(inputs) / steps[1], 0.8 / min(tall, wide))
    if ax is None:
        _, ax = axes(None, (inch * steps[1] * len(inputs) + 0.8, inch * steps[0] * len(rows) + 0.8))
    pictures = [picture for row in rows for picture in row]
    above = [str(i) for i in inputs]
    figure, ax = mosaic(pictures, above, columns=len(inputs), symmetric=True, title=title, ax=ax)
    for n, (one, name) in enumerate(zip(several[:, inputs], names, strict=True)):
        ax.text(-0.1 * wide, n * steps[0] + tall / 2, name, fontsize=6, ha="right", va="center")
        reach = max(float(np.abs(one).max()), 1e-30)
        for image in ax.images[n * len(inputs) : (n + 1) * len(inputs)]:
            image.set_clim(-reach, reach)
    return figure, ax
