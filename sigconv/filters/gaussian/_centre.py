"""Centre and surround: what retinal ganglion cells see, and the bar detector that a row of them makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sigconv import nd
from sigconv.filters._bank import FilterBank
from sigconv.filters._walls import numbers
from sigconv.filters.gabor._directions import directions as spread
from sigconv.filters.gaussian._sums import Gaussian, alike, labels, widths


def dog(sigma: Any, ndim: int, ratio: float = 1.6, k: float = 1.0, **options: Any) -> FilterBank:
    """Difference of Gaussians, G(sigma) - k·G(ratio·sigma), each of unit sum: with k=1 a constant gives 0.

    sigma    of the centre, units, as in bank; ratio, above 1, times that is the surround's: 1.6 is nearly a Laplacian
             of Gaussian, 3 to 6 are ganglion cells
    options  bank's

    >>> bool(dog(1.0, 2).kernels.sum().abs() < 1e-15)
    True

    Source: C.5; Marr and Hildreth 1980.
    """
    return _cells("dog", 1.0, sigma, ndim, ratio, k, options)


def on_centre(sigma: Any, ndim: int, ratio: float = 1.6, k: float = 1.0, **options: Any) -> FilterBank:
    """Cells that a light spot excites and a light surround inhibits: dog."""
    return _cells("on", 1.0, sigma, ndim, ratio, k, options)


def off_centre(sigma: Any, ndim: int, ratio: float = 1.6, k: float = 1.0, **options: Any) -> FilterBank:
    """Cells that darkness in the middle excites: on_centre's taps with the other sign, so the two sum to 0 (RF6)."""
    return _cells("off", -1.0, sigma, ndim, ratio, k, options)


def _cells(kind: str, sign: float, sigma: Any, ndim: int, ratio: Any, k: Any, options: dict[str, Any]) -> FilterBank:
    found = widths(sigma, nd.count(ndim, "ndim"))
    around, share = _ratio(ratio), numbers(k, "k").item()
    pair = lambda centre, surround: torch.tensor([centre, surround], dtype=torch.float64).repeat(len(found), 1)
    options = {"weights": pair(sign, -sign * share), "ratios": pair(1.0, around)} | options
    return Gaussian(labels(kind, found), found, alike(found, [[0] * ndim] * 2), **options)


def _ratio(ratio: Any) -> float:
    around = float(numbers(ratio, "ratio"))
    if not around > 1:
        raise ValueError(f"ratio {around:g} must be above 1: the surround is wider than the centre")
    return around


def bar(
    directions: Any,
    sigma: float,
    ndim: int,
    *,
    cells: int = 5,
    spacing: float = 2.0,
    ratio: float = 1.6,
    **options: Any,
) -> FilterBank:
    """Bar detectors of Hubel and Wiesel: the mean of on-centre cells in a row, one filter per direction (RF7).

    directions  along the bars: vectors (n, ndim), or a number of directions spread as gabor.directions spreads them
    sigma       of each cell's centre, units; the surround is ratio times as wide
    cells       how many stand in the row, spacing sigmas apart
    options     fs, truncate, size and learnable, as in bank

    Each responds most to a bar of its own direction. A constant gives 0.

    >>> bar(4, 1.5, 2).names
    ['bar_0', 'bar_1', 'bar_2', 'bar_3']

    Source: Hubel and Wiesel 1962; C.5.
    """
    ndim, cells = nd.count(ndim, "ndim"), nd.count(cells, "cells")
    vectors = spread(directions, ndim) if np.ndim(directions) == 0 else numbers(directions, "directions")
    if vectors.ndim != 2 or vectors.shape[1] != ndim or (vectors.abs().amax(1) == 0).any():
        raise ValueError(f"directions have shape {tuple(vectors.shape)}: expected (n, {ndim}) vectors other than 0")
    vectors = vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    widest, apart = widths(sigma, ndim), numbers(spacing, "spacing").item()
    if widest.shape != (1, 1):
        raise ValueError(f"sigma {sigma} must be one number: all cells of a bar are alike")
    row = (torch.arange(cells, dtype=torch.float64) - (cells - 1) / 2) * apart  # places along the bar, in sigmas
    places = (vectors.unsqueeze(1) * row[:, None]).repeat_interleave(2, 1)  # centre and surround of each cell
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(len(vectors), cells) / cells
    sizes = torch.tensor([1.0, _ratio(ratio)], dtype=torch.float64).repeat(len(vectors), cells)
    orders = torch.zeros(len(vectors), 2 * cells, ndim, dtype=torch.int64)
    names = [f"bar_{n}" for n in range(len(vectors))]
    made = widest.expand(len(vectors), 1).clone()
    return Gaussian(names, made, orders, weights=signs, ratios=sizes, centres=places, **options)
