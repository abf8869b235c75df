"""Several layers of convolution and pooling along a sequence, then fully connected ones: DeepSEA and Basset."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from torch import nn

from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models import _parts
from sigconv.pooling import MaxPool


class Plan(NamedTuple):
    """A published network: of each layer its kernels, taps, pooling and dropout; hidden units and their dropout."""

    maps: tuple[int, ...]
    taps: tuple[int, ...]
    pools: tuple[int, ...]
    drops: tuple[float, ...]
    hidden: tuple[int, ...]
    drop: float
    batch_norm: bool


PLANS = {
    "deepsea": Plan((320, 480, 960), (8, 8, 8), (4, 4, 1), (0.2, 0.2, 0.5), (925,), 0.0, False),
    "basset": Plan((300, 200, 200), (19, 11, 7), (3, 4, 4), (0.0, 0.0, 0.0), (1000, 1000), 0.3, True),
}


def fewest(variant: str, ndim: int) -> int:
    """Samples along an axis that leave one position at the end.

    >>> fewest("deepsea", 1), fewest("basset", 1), fewest("basset", 3)
    (163, 168, 22)
    """
    positions = 1
    for k, pool in zip(reversed(PLANS[variant].taps), reversed(PLANS[variant].pools), strict=True):
        positions = positions * _step(pool, ndim) + _parts.taps(k, ndim) - 1
    return positions


def stacked(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float | None = None,
    size: Any = None,
    maps: Any = None,
    hidden: Any = None,
) -> nn.Sequential:
    """Convolutions without borders, poolings that take whole windows, fully connected layers: "deepsea", "basset"."""
    plan, positions, channels = PLANS[variant], _parts.sizes(size, ndim), in_channels
    layers: list[nn.Module] = []
    widths = _parts.widths(plan.maps if maps is None else maps, width, "maps", len(plan.maps))
    for out, taps, pool, drop in zip(widths, plan.taps, plan.pools, plan.drops, strict=True):
        k, step = _parts.taps(taps, ndim), _step(pool, ndim)
        layers += _parts.stage(Conv(channels, out, k, ndim=ndim), out, activation, ndim, plan.batch_norm)
        if step > 1:
            layers.append(MaxPool(step))
        layers += _parts.dropped(drop if dropout is None else dropout)
        positions = tuple((n - k + 1) // step for n in positions)
        channels = out
    if min(positions) < 1:
        raise ValueError(
            f"size {size} is too small: {variant} takes {fewest(variant, ndim)} samples along each axis at least"
        )
    layers.append(nn.Flatten())
    features = channels * math.prod(positions)
    for units in _parts.widths(plan.hidden if hidden is None else hidden, width, "hidden"):
        layers += [nn.Linear(features, units), activated(activation, units, 0)]
        layers += _parts.dropped(plan.drop if dropout is None else dropout)
        features = units
    return nn.Sequential(*layers, nn.Linear(features, classes))


def _step(pool: int, ndim: int) -> int:
    """A pooling along each of so many axes; none stays none."""
    return pool if pool == 1 else _parts.coarser(pool, ndim)
