"""The stationary Haar transform as a bank of filters, to stand beside the other families."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters._bank import FilterBank
from sigconv.filters.haar import _common as common
from sigconv.filters.masks import Mask

MOST = 24  # axes and levels together: 2^ndim filters of 2^levels taps


class Haar(Mask):
    """What bank makes."""


def bank(ndim: int, levels: int = 3, *, fs: Any = 1.0) -> FilterBank:
    """The undecimated (à trous) Haar wavelets: levels·(2^ndim - 1) details and the last approximation.

    Names are subband and level, coarsest first: "aa2" "ad2" "da2" "dd2" "ad1" … A filter of level j sees 2^j samples
    along each axis, from its own position on; the approximation is their mean. With the circular border the responses
    are those of swt(x, levels, trim_approx=True, norm=True), whose energies sum to that of x.

    >>> bank(2, 2).names
    ['aa2', 'ad2', 'da2', 'dd2', 'ad1', 'da1', 'dd1']
    >>> 2 * bank(1, 1).kernels
    tensor([[ 1.,  1.,  0.],
            [-1.,  1.,  0.]], dtype=torch.float64)

    Holschneider et al. 1989. Requirements FB4, FB5 of the lectures.
    """
    ndim, levels = nd.count(ndim, "ndim"), nd.count(levels, "levels")
    if ndim + levels > MOST:
        raise ValueError(f"ndim={ndim} with levels={levels} has more filters and taps than memory holds")
    whole, *details = common.words(ndim)
    chosen = [(whole, levels), *((word, level) for level in range(levels, 0, -1) for word in details)]
    lines = [torch.stack([_line(word[axis], level, levels) for word, level in chosen]) for axis in range(ndim)]
    return Haar([line.unsqueeze(1) for line in lines], [f"{word}{level}" for word, level in chosen], fs)


def _line(letter: str, level: int, levels: int) -> Tensor:
    """One axis: 2^level taps from the middle back, as convolution turns them over; details change sign half-way."""
    middle, width = 2**levels - 1, 2**level
    taps = torch.zeros(2 * middle + 1, dtype=torch.float64)
    taps[middle - width + 1 : middle + 1] = 1 / width
    if letter == "d":
        taps[middle - width + 1 : middle - width // 2 + 1] *= -1
    return taps


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """Two levels: 2·(2^ndim - 1) + 1 filters."""
    return bank(ndim, 2, fs=fs)
