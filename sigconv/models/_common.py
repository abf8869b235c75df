"""What every architecture is built with: widths that scale, sizes for any number of axes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sigconv import nd


def scaled(channels: int, width: float, multiple: int = 1) -> int:
    """So many channels times the width, rounded to a multiple, one at least.

    >>> scaled(64, 1 / 16), scaled(96, 0.25, multiple=2), scaled(3, 0.01)
    (4, 24, 1)
    """
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width < math.inf:
        raise ValueError(f"width {width!r} must be a number above 0: it multiplies every channel count")
    return max(round(channels * width / multiple), 1) * multiple


def axes(size: Any, ndim: int) -> tuple[int, ...]:
    """A size for every axis: one number for all, or (first, others) where time comes first.

    >>> axes(224, 3), axes((16, 112), 3), axes((16, 112), 1)
    ((224, 224, 224), (16, 112, 112), (16,))
    """
    ndim = nd.count(ndim, "ndim")
    first, others = (size, size) if isinstance(size, int) else size
    return (first, *[others] * (ndim - 1))


def of_variant(fact: Any, variant: str) -> Any:
    """What a model file says of a variant, where it says it by variant."""
    return fact[variant] if isinstance(fact, Mapping) else fact
