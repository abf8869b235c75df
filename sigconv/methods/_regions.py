"""Parts of a convolution: the input some outputs see, so that a call may be done, or mended, piece by piece."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sigconv import nd

Region = tuple[tuple[int, int], ...]  # outputs from, to: one pair per axis of space


def section(
    x: Tensor, region: Region, span: Sequence[int], stride: Sequence[int], margins: nd.Margins
) -> tuple[Tensor, nd.Margins]:
    """The samples of x that a region's outputs see, and what is left of the margins around them.

    >>> section(torch.arange(10.0), ((0, 2),), (5,), (3,), ((2, 2),))
    (tensor([0., 1., 2., 3., 4., 5.]), ((2, 0),))
    """
    around = []
    rows = zip(region, span, stride, margins, strict=True)
    for axis, ((first, last), reach, step, (before, _)) in enumerate(rows):
        dim = x.ndim - len(region) + axis
        n = x.shape[dim]
        start, stop = first * step - before, (last - 1) * step + reach - before
        low, high = min(max(start, 0), n), min(max(stop, 0), n)
        x = x.narrow(dim, low, max(high - low, 0))
        missing = stop - start - max(high - low, 0)
        ahead = min(max(-start, 0), missing)
        around.append((ahead, missing - ahead))
    return x, tuple(around)


def runs(marked: Tensor) -> list[tuple[int, int]]:
    """The stretches of True in a row of booleans, as (first, last + 1).

    >>> runs(torch.tensor([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = torch.nonzero(torch.diff(marked.int(), prepend=marked.new_zeros(1).int(), append=marked.new_zeros(1).int()))
    flat = edges.flatten().tolist()
    return list(zip(flat[::2], flat[1::2], strict=True))


def slabs(size: Sequence[int], parts: int) -> list[Region]:
    """The outputs in about so many regions, along the longest axis of space."""
    axis = max(range(len(size)), key=lambda a: size[a])
    parts = min(max(parts, 1), max(size[axis], 1))
    edges = [size[axis] * part // parts for part in range(parts + 1)]
    whole = [(0, n) for n in size]
    return [tuple((a, b) if d == axis else w for d, w in enumerate(whole)) for a, b in itertools.pairwise(edges)]


def volume(region: Region) -> int:
    """Outputs in a region."""
    return math.prod(last - first for first, last in region)
