"""How bandwidth and sigma belong together (C.1)."""

from __future__ import annotations

import math
from typing import Any


def sigma_of(bandwidth: float, frequency: Any = 1.0) -> Any:
    """The sigma along the wave whose response falls to half its peak within so many octaves.

    frequency in cycles per unit, sigma in units; numbers or arrays.

    >>> round(sigma_of(1.0), 4)
    0.5622

    Source: C.1: sigma·f = (1/π)·sqrt(ln 2 / 2)·(2^b + 1)/(2^b - 1).
    """
    if not bandwidth > 0:
        raise ValueError(f"bandwidth {bandwidth} must be above 0 octaves")
    ratio = (2.0**bandwidth + 1) / (2.0**bandwidth - 1)
    return math.sqrt(math.log(2) / 2) / math.pi * ratio / frequency


def bandwidth_of(sigma: float, frequency: float = 1.0) -> float:
    """Octaves between the frequencies where the response is half its peak: the inverse of sigma_of.

    Infinite where the response does not fall to half above frequency 0 (π·sigma·f <= 0.5887).

    >>> round(bandwidth_of(0.5622), 3)
    1.0
    """
    centre, half = math.pi * sigma * frequency, math.sqrt(math.log(2) / 2)
    return math.log2((centre + half) / (centre - half)) if centre > half else math.inf
