"""One shape of Gabor filter at several scales and in many directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sigconv import nd
from sigconv.filters._bank import FilterBank, rates
from sigconv.filters._walls import numbers
from sigconv.filters.gabor._bandwidth import sigma_of
from sigconv.filters.gabor._directions import directions as spread
from sigconv.filters.gabor._wave import bank


def pyramid(
    ndim: int,
    *,
    wavelengths: Sequence[float],
    directions: Any,
    bandwidth: float = 1.0,
    fs: Any = 1.0,
    **options: Any,
) -> FilterBank:
    """One shape of filter at several wavelengths and in many directions: wavelengths x directions filters.

    wavelengths in units; directions a number (see directions) or unit vectors (n, ndim); bandwidth in octaves, which
    sets sigma; other options are bank's. Names say both: "4_d2" is wavelength 4 in direction 2.

    >>> pyramid(3, wavelengths=(4, 8), directions=6).names[:2]
    ['4_d0', '4_d1']
    """
    if "sigma" in options or "frequency" in options:
        raise TypeError("pyramid makes frequency and sigma from wavelengths and bandwidth: use bank to give them")
    lengths = numbers(wavelengths, "wavelengths").flatten()
    if len(lengths) == 0 or (lengths <= 0).any():
        raise ValueError(f"wavelengths {wavelengths} must be above 0 units, at least one")
    vectors = spread(directions, ndim) if np.ndim(directions) == 0 else numbers(directions, "directions")
    if vectors.ndim != 2 or vectors.shape[1] != ndim:
        raise ValueError(f"directions have shape {tuple(vectors.shape)}: expected (n, {ndim}) vectors, or a number")
    vectors = vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    waves = (vectors / lengths[:, None, None]).flatten(0, 1)
    sigma = sigma_of(bandwidth, 1 / lengths).repeat_interleave(len(vectors))
    names = [f"{length:g}_d{d}" for length in lengths.tolist() for d in range(len(vectors))]
    return bank(waves, sigma, fs=fs, **{"names": names} | options)


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """Wavelengths of 4 and 8 samples of the coarsest axis (beyond three axes 4 alone); 1, 4, 6, 2·ndim directions."""
    step = 1 / min(rates(fs, nd.count(ndim, "ndim")))
    wavelengths = (4 * step, 8 * step)[: 2 if ndim < 4 else 1]  # windows grow with every axis
    return pyramid(ndim, wavelengths=wavelengths, directions={1: 1, 2: 4}.get(ndim, 2 * ndim), fs=fs)
