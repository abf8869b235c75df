"""Windows that are not all alike, an axis at a time: where each begins and which samples it has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd


def sizes(x: Tensor, output_size: Any) -> tuple[int, ...]:
    """The bins of every axis: one number for all, or per axis a number or None for the axis as it is."""
    if x.ndim < 3 or 0 in x.shape[2:]:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, channels, *space), none of space empty")
    ndim = x.ndim - 2
    per_axis = isinstance(output_size, Sequence) and not isinstance(output_size, str | bytes)
    entries = list(output_size) if per_axis else [output_size] * ndim
    if len(entries) != ndim:
        raise ValueError(f"output_size {output_size} has {len(entries)} entries for {ndim} spatial axes")
    size = nd.ntuple([n if m is None else m for n, m in zip(x.shape[2:], entries, strict=True)], ndim, "output_size")
    nd.holdable((*x.shape[:2], *size), "output", "output_size")
    return size


def bins(n: int, m: int, device: Any) -> tuple[Tensor, Tensor]:
    """m bins over n samples, bin i from floor(i·n/m) to ceil((i + 1)·n/m): their samples, and how many each has.

    (m, longest) and (m,); a bin shorter than the longest has its last sample again.

    >>> bins(5, 3, "cpu")
    (tensor([[0, 1, 1],
            [1, 2, 3],
            [3, 4, 4]]), tensor([2, 3, 2]))
    """
    i = torch.arange(m, device=device)
    start, stop = i * n // m, -(-(i + 1) * n // m)
    return spelled(start, stop, _longest(n, m)), stop - start


def _longest(n: int, m: int) -> int:
    """Samples of the longest of m bins over n: i·n mod m is at most m less their common divisor."""
    if torch.compiler.is_compiling() or not type(n) is type(m) is int:  # symbols have no divisor
        return max(-(-(i + 1) * n // m) - i * n // m for i in range(m))
    return -(-(n + m - math.gcd(n, m)) // m)


def spelled(start: Tensor, stop: Tensor, longest: int) -> Tensor:
    """The samples from start to stop (…) -> (…, longest), the last again where there are fewer."""
    steps = torch.arange(longest, device=start.device)
    return torch.minimum(start.unsqueeze(-1) + steps, stop.unsqueeze(-1) - 1)


def largest(x: Tensor, samples: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The largest of every window and its index in the flattened space, the first of equals.

    samples has for each axis which ones a window takes: (m, k), or (batch, channels, m, k).
    """
    ndim = len(samples)
    place = torch.zeros((), dtype=torch.long, device=x.device)
    for axis, taken in enumerate(samples):
        spread = taken.reshape(*taken.shape[:-2], *(taken.shape[-2] if a == axis else 1 for a in range(ndim)),
                               *(taken.shape[-1] if a == axis else 1 for a in range(ndim)))  # fmt: skip
        place = place * x.shape[2 + axis] + spread
    positions = place.shape[-2 * ndim : -ndim]
    place = place.flatten(-ndim).expand(*x.shape[:2], *positions, math.prod(place.shape[-ndim:]))
    seen = x.flatten(2).gather(2, place.flatten(2)).view(place.shape)
    value, tap = seen.max(-1)
    return value, place.gather(-1, tap.unsqueeze(-1)).squeeze(-1)
