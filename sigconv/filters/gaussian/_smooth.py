"""Gaussians, their derivatives and the Laplacian."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch

from sigconv import nd
from sigconv.filters._bank import FilterBank, rates
from sigconv.filters.gaussian._sums import Gaussian, alike, checked, labels, widths


def bank(
    sigma: Any,
    ndim: int,
    *,
    fs: Any = 1.0,
    truncate: float = 4.0,
    size: Any = None,
    learnable: bool = False,
    unit: str = "",
) -> FilterBank:
    """Gaussian low-pass filters, one per sigma; the taps of each sum to 1.

    sigma      units: a number, (filters,), or (filters, ndim), one per axis
    fs         samples per unit, one number or one per axis: anisotropic voxels get a filter that is round in space
    truncate   sigmas of each filter on either side, rounded to samples as scipy.ndimage does
    size       odd taps instead, one number or one per axis, the same for all filters
    learnable  sigma trains: no narrower than half a sample, no wider than the window can hold

    ValueError for a sigma under half a sample, with the value and the limit.

    >>> blur = bank([1.0, 2.0], ndim=3)
    >>> blur
    Gaussian(2 filters, 3-D, 17 x 17 x 17, fs=1.0)
    >>> blur(torch.zeros(1, 1, 20, 20, 20)).shape
    torch.Size([1, 2, 20, 20, 20])
    """
    found = widths(sigma, nd.count(ndim, "ndim"))
    options = {"fs": fs, "truncate": truncate, "size": size, "learnable": learnable, "unit": unit}
    return Gaussian(labels("gaussian", found), found, alike(found, [[0] * ndim]), **options)


def derivative(order: Any, sigma: Any, ndim: int, **options: Any) -> FilterBank:
    """Derivatives of Gaussians, per unit: what a slope is after smoothing.

    order    one number per axis, (1, 0) for the first derivative along axis 0; or a number: all partial derivatives of
             that total order, ndim + order - 1 choose order of them, for each sigma
    options  bank's, and zero_mean=True to make even derivatives sum to exactly 0 (odd ones do)

    The Gaussian's taps sum to 1 before the derivative is taken, as in scipy.ndimage.gaussian_filter(order=…), which
    these equal.

    >>> derivative(2, 1.5, 2).names
    ['d20_1.5', 'd11_1.5', 'd02_1.5']
    """
    found = widths(sigma, nd.count(ndim, "ndim"))
    if np.ndim(order) == 0:
        total = nd.count(order, "order", least=0)
        places = itertools.combinations_with_replacement(range(ndim), total)
        orders = [tuple(chosen.count(axis) for axis in range(ndim)) for chosen in places]
    else:
        orders = [checked(order, ndim)]
    if options.get("zero_mean") and not all(map(any, orders)):
        raise ValueError(f"zero_mean takes all of a filter away that has no derivative: order {order}")
    names = [name for row in found for o in orders for name in labels(f"d{''.join(map(str, o))}", row[None])]
    each = torch.tensor(orders, dtype=torch.int64).unsqueeze(1).repeat(len(found), 1, 1)
    return Gaussian(names, found.repeat_interleave(len(orders), 0), each, **options)


def log(sigma: Any, ndim: int, truncate: float = 4.0, zero_mean: bool = False, **options: Any) -> FilterBank:
    """Laplacian of Gaussian, exactly as IBSI 2 defines it: -(N - r²/σ²)/σ² · exp(-r²/2σ²) / (σ·sqrt(2π))^N.

    sigma      units, as in bank; the half width is floor(truncate·sigma + 0.5) samples
    zero_mean  the taps are cut and sampled, so they sum to a little more or less than 0; True takes that away
    options    fs, size, learnable and unit, as in bank

    Second derivatives are per squared sample, as the standard has them (of the voxel's mean edge, where its edges
    differ). A sum of ndim separable terms: one second derivative along each axis.

    >>> log(1.5, 3).kernels.shape
    torch.Size([1, 13, 13, 13])

    Source: IBSI 2, arXiv:2006.05470; Marr and Hildreth 1980.
    """
    found = widths(sigma, nd.count(ndim, "ndim"))
    fs = rates(options.get("fs", 1.0), ndim)
    edge = math.prod(1 / rate for rate in fs) ** (1 / ndim)
    weights = torch.full((len(found), ndim), edge**2, dtype=torch.float64)
    orders = 2 * torch.eye(ndim, dtype=torch.int64)
    options |= {"truncate": truncate, "zero_mean": zero_mean, "area": True, "weights": weights}
    return Gaussian(labels("log", found), found, alike(found, orders), **options)


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """Smoothing by 1 and 2 samples of the coarsest axis."""
    step = 1 / min(rates(fs, ndim))
    return bank([step, 2 * step], ndim, fs=fs)
