"""The time-delay network: convolutions ever further apart, and the mean and deviation over all that was heard."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.convolution import Conv
from sigconv.models import _parts

DELAYS = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))  # taps and dilation of each layer: 15 frames in all
MAPS = (512, 512, 512, 512, 1500)
STATISTICS = ("mean_std", "mean")
LEAST = 1e-5  # added to a variance: a single frame has none, and a root of 0 no derivative


class StatisticsPool(nn.Module):
    """The mean of every channel over all of space, and its standard deviation: (batch, C, *space) -> (batch, 2·C).

    kind "mean" leaves the deviations out. Source: Snyder et al. 2018.

    >>> StatisticsPool()(torch.tensor([[[1.0, 3.0]]])).round(decimals=3)
    tensor([[2., 1.]])
    """

    def __init__(self, kind: str = "mean_std") -> None:
        super().__init__()
        self.kind = nd.one_of(kind, STATISTICS, "statistics")

    def forward(self, x: Tensor) -> Tensor:
        """The statistics, side by side."""
        x = x.flatten(2)
        mean = x.mean(2)
        if self.kind == "mean":
            return mean
        return torch.cat([mean, ((x - mean.unsqueeze(2)).square().mean(2) + LEAST).sqrt()], 1)

    def extra_repr(self) -> str:
        """The kind."""
        return repr(self.kind)


def delays(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float = 0.0,
    size: Any = None,
    maps: Any = MAPS,
    hidden: Any = (512, 512),
    causal: bool = False,
    output: str = "average",
    statistics: str = "mean_std",
) -> nn.Sequential:
    """Time-delay layers, statistics over time, two fully connected layers ("tdnn"); bands are channels.

    Normalized before the activation, as elsewhere here; x-vectors are after it. With "map" no statistics are taken.
    """
    channels, out = in_channels, _parts.widths(maps, width, "maps", len(DELAYS))
    frames: list[nn.Module] = []
    for (k, gap), wide in zip(DELAYS, out, strict=True):
        padding = "causal" if causal else "valid"
        conv = Conv(channels, wide, _parts.taps(k, ndim), 1, padding, gap, bias=False, ndim=ndim)
        frames += _parts.stage(conv, wide, activation, ndim, True)
        channels = wide
    everywhere = nd.one_of(output, _parts.OUTPUTS, "output") == "map"
    pool = StatisticsPool(statistics)
    if not everywhere and pool.kind == "mean_std":
        channels *= 2
    space = ndim if everywhere else 0
    dense: list[nn.Module] = []
    for units in _parts.widths(hidden, width, "hidden"):
        linear = _parts.linear(channels, units, space, bias=False)
        dense += [*_parts.stage(linear, units, activation, space, True), *_parts.dropped(dropout)]
        channels = units
    last = {"classes": _parts.linear(channels, classes, space)}
    return _parts.chain(last, frames=frames, pool=[] if everywhere else [pool], dense=dense)
