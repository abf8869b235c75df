"""Masks: filters whose taps are given: boxes, binomials, sharpening, and any array of your own (FB7).

box(size, ndim)        the mean of a window              binomial(taps, ndim)   1 4 6 4 1 and its like, a small Gaussian
sharpen(ndim)          what differs from its neighbours differs more             bank(kernels)          taps as they are
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters._bank import FilterBank
from sigconv.filters._terms import Terms
from sigconv.filters._walls import numbers


class Mask(FilterBank):
    """Filters of fixed taps, sums of outer products of short ones: terms, one tensor (filters, rank, taps) per axis."""

    def __init__(self, terms: Terms, names: Sequence[str], fs: Any = 1.0) -> None:
        rank = terms[0].shape[1]
        super().__init__(names, len(terms), fs, kernel_size=[taps.shape[-1] for taps in terms], rank=rank)
        for axis, taps in enumerate(terms):
            self.register_buffer(f"_taps{axis}", taps.double(), persistent=False)

    def terms(self) -> Terms:
        """The short filters, as they were given."""
        return [getattr(self, f"_taps{axis}") for axis in range(self.ndim)]


class Dense(FilterBank):
    """Filters of fixed taps, of any form."""

    _taps: Tensor

    def __init__(self, kernels: Tensor, names: Sequence[str], fs: Any = 1.0) -> None:
        size, kind = kernels.shape[1:], kernels.is_complex()
        super().__init__(names, kernels.ndim - 1, fs, kernel_size=size, complex=kind)
        self.register_buffer("_taps", kernels, persistent=False)

    def taps(self) -> Tensor:
        """The kernels, as they were given."""
        return self._taps


def bank(kernels: Any, names: Sequence[str] | None = None, *, fs: Any = 1.0) -> FilterBank:
    """Kernels of your own: (filters, *size) real or complex, an odd number of taps on every axis.

    >>> edges = bank([[[-1.0, 0.0, 1.0]] * 3], ["prewitt"])
    >>> edges(torch.zeros(1, 1, 8, 8)).shape
    torch.Size([1, 1, 8, 8])
    """
    found = torch.as_tensor(kernels)
    if found.ndim < 2 or 0 in found.shape:
        raise ValueError(f"kernels have shape {tuple(found.shape)}: expected (filters, *size)")
    parts = torch.view_as_real(found) if found.is_complex() else found
    whole = numbers(parts, "kernels")
    whole = torch.view_as_complex(whole) if found.is_complex() else whole
    names = [f"mask{n}" for n in range(len(whole))] if names is None else list(names)
    if len(names) != len(whole):
        raise ValueError(f"names {names} are {len(names)} for {len(whole)} kernels")
    return Dense(whole, names, fs)


def box(size: Any, ndim: int, *, fs: Any = 1.0) -> FilterBank:
    """The mean of a window: one filter of equal taps that sum to 1; size odd samples, one number or one per axis.

    >>> box(3, 2).kernels[0]
    tensor([[0.1111, 0.1111, 0.1111],
            [0.1111, 0.1111, 0.1111],
            [0.1111, 0.1111, 0.1111]], dtype=torch.float64)
    """
    sizes = nd.ntuple(size, nd.count(ndim, "ndim"), "size")
    return Mask([torch.full((1, 1, k), 1 / k, dtype=torch.float64) for k in sizes], ["box"], fs)


def binomial(taps: Any, ndim: int, *, fs: Any = 1.0) -> FilterBank:
    """Pascal's triangle as a smoothing filter: one filter that sums to 1; odd taps, one number or one per axis.

    Its variance is (taps - 1) / 4 samples².

    >>> 16 * binomial(5, 1).kernels
    tensor([[1., 4., 6., 4., 1.]], dtype=torch.float64)

    Source: CV14.
    """
    sizes = nd.ntuple(taps, nd.count(ndim, "ndim"), "taps")
    rows = [[math.comb(k - 1, i) / 2 ** (k - 1) for i in range(k)] for k in sizes]
    return Mask([numbers([[row]], "taps") for row in rows], ["binomial"], fs)


def sharpen(ndim: int, amount: float = 1.0, *, fs: Any = 1.0) -> FilterBank:
    """A sample and `amount` times what it is above its neighbours: one filter of 3 taps an axis that sums to 1.

    >>> sharpen(2).kernels[0]
    tensor([[ 0., -1.,  0.],
            [-1.,  5., -1.],
            [ 0., -1.,  0.]], dtype=torch.float64)

    Source: CV24.
    """
    ndim, amount = nd.count(ndim, "ndim"), numbers(amount, "amount").item()
    still, second = [0.0, 1.0, 0.0], [-1.0, 2.0, -1.0]  # a sample; how much it is above its two neighbours
    rows = [[still] + [second if other == axis else still for other in range(ndim)] for axis in range(ndim)]
    terms = [numbers([row], "taps") for row in rows]
    weights = torch.tensor([1.0] + [amount] * ndim, dtype=torch.float64)
    return Mask([terms[0] * weights[:, None], *terms[1:]], ["sharpen"], fs)


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """Box, binomial and sharpening, of 3 samples an axis."""
    kinds = {"box": box(3, ndim), "binomial": binomial(3, ndim), "sharpen": sharpen(ndim)}
    return bank(torch.cat([kind.kernels for kind in kinds.values()]), list(kinds), fs=fs)
