"""Statistics of responses over space: one table, for the scikit-learn face and for features of files alike."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

Pool = Callable[[Tensor], Tensor]

POOLS: dict[str, Pool] = {
    "mean": lambda y: y.mean(-1),
    "std": lambda y: y.std(-1, correction=0),
    "max": lambda y: y.amax(-1),
    "rms": lambda y: _square(y).mean(-1).sqrt(),
    "energy": lambda y: _square(y).mean(-1),
}
COMPLEX = "maps are complex, and have no statistics: take output magnitude, energy, real or imag"
QUANTILE = re.compile(r"q([0-9]{2}|100)")


def named(names: str | Sequence[str]) -> dict[str, Pool]:
    """The statistics of these names, each (…, n) -> (…); ValueError for an unknown one, and for none.

    mean, std (of all n, not n - 1), max, rms, energy (the mean of squares), and q00 to q100: q50 is the median, between
    two values as NumPy has it.

    >>> {name: round(float(pool(torch.tensor([1.0, 2.0, 6.0]))), 3) for name, pool in named(["mean", "q50"]).items()}
    {'mean': 3.0, 'q50': 2.0}
    """
    wanted = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in POOLS and not QUANTILE.fullmatch(str(name))]
    if unknown or not wanted:
        raise ValueError(f"pool {unknown[0] if unknown else wanted!r} is not one of {sorted(POOLS)} or q00 to q100")
    return {name: POOLS[name] if name in POOLS else partial(quantile, share=int(name[1:]) / 100) for name in wanted}


def pooled(pools: dict[str, Pool], y: Tensor) -> Tensor:
    """Every statistic of values along the last axis, (…, n) -> (statistics, …); ValueError for complex values."""
    if y.is_complex():
        raise ValueError(COMPLEX)
    return torch.stack([pool(y) for pool in pools.values()])


def quantile(y: Tensor, share: float) -> Tensor:
    """What this share of the values lies below, (…, n) -> (…), linear between two; NaN where one is.

    As torch.quantile, which does not take more than 16 million values.
    """
    place = share * (y.shape[-1] - 1)
    low, high = (y.kthvalue(at + 1, -1).values for at in (math.floor(place), math.ceil(place)))
    between = torch.where(low == high, low, torch.lerp(low, high, place - math.floor(place)))  # both may be infinite
    return torch.where(y.isnan().any(-1), torch.nan, between)


def _square(y: Tensor) -> Tensor:
    return y.abs().square() if y.is_complex() else y.square()
