"""Integral volumes: prefix sums along all axes, in int64 or float64, after a row of zeros along each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv.filters.haar._corners import Boxes
from sigconv.kernels._state import readable

RESOLVED = 64 * torch.finfo(torch.float64).eps  # of the largest prefix sum: a variance below it is rounding


def volume(x: Tensor, ndim: int) -> Tensor:
    """(images, *space) -> (images, *space + 1): the sums of all samples before each corner."""
    total = F.pad(x, [1, 0] * ndim)
    for axis in range(1, ndim + 1):
        total = total.cumsum(axis)
    return total


def whole_numbers(x: Tensor, largest: int) -> Tensor:
    """x in int64, if no answer can need more: prefix sums may wrap round, their differences come right again."""
    reach = 1 if x.dtype == torch.bool else max(torch.iinfo(x.dtype).max, -torch.iinfo(x.dtype).min)
    whole = x.long()
    if reach * largest >= 2**63 and readable(x) and x.numel():  # else the kind alone is proof enough
        low, high = int(whole.min()), int(whole.max())
        reach = max(abs(low), abs(high)) if x.dtype.is_signed or low >= 0 else 2**64  # torch has no max of uint64
        if reach * largest >= 2**63:
            raise OverflowError(f"sums may reach {reach} x {largest}, more than int64 holds: convert to float64")
    return whole


def over_window(x: Tensor, window: Sequence[int], steps: Sequence[int], positions: Sequence[int]) -> Tensor:
    """The sum over the whole window at every position: (images, *space) -> (images, 1, *positions)."""
    zero = np.zeros((1, len(window)), np.int64)
    whole = Boxes(zero[:, 0], np.ones(1, np.int64), zero, np.array([window]))
    return whole.corners.read(volume(x, len(window)), steps, positions)


def deviation(x: Tensor, window: Sequence[int], steps: Sequence[int], positions: Sequence[int]) -> Tensor:
    """The standard deviation of every window; 1 where all its samples are equal, as far as can be told."""
    samples = int(np.prod(window))
    energy = x.square()
    mean, square = (over_window(t, window, steps, positions) / samples for t in (x, energy))
    variance = square - mean.square()
    total = energy.detach().flatten(1).sum(1).reshape(-1, *[1] * (variance.ndim - 1))
    flat = variance.detach() <= RESOLVED * total / samples
    return variance.masked_fill(flat, 1.0).sqrt()
