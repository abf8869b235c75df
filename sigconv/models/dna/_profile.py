"""BPNet: the profile of reads along a sequence and their number, from convolutions ever further apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sigconv import nd
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models import _parts
from sigconv.pooling import GlobalAvgPool

MAPS, TAPS, LAYERS = 64, 25, 9
HEADS = ("both", "profile", "counts")


class Dilated(nn.Module):
    """x plus what a convolution of 3 taps, so far apart, makes of it: (batch, channels, *space), the same shape."""

    def __init__(self, channels: int, dilation: int, activation: Any, ndim: int) -> None:
        super().__init__()
        self.conv = Conv(channels, channels, 3, padding="same", dilation=dilation, ndim=ndim)
        self.activation = activated(activation, channels, ndim)

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        return x + self.activation(self.conv(x))


class Heads(nn.Module):
    """The profile's logits (batch, classes, *space), and the logarithm of 1 + the number of reads (batch, classes)."""

    def __init__(self, channels: int, classes: int, taps: int, ndim: int, output: str) -> None:
        super().__init__()
        self.output = nd.one_of(output, HEADS, "output")
        if output != "counts":
            self.profile = Conv(channels, classes, taps, padding="same", ndim=ndim)
        if output != "profile":
            self.counts = nn.Sequential(GlobalAvgPool(), nn.Linear(channels, classes))

    def forward(self, x: Tensor) -> Any:
        """Both, or the one that is asked for."""
        found = [head(x) for head in (getattr(self, name, None) for name in HEADS[1:]) if head is not None]
        return tuple(found) if self.output == "both" else found[0]


def bpnet(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    size: Any = None,  # of any
    width: float = 1.0,
    activation: Any = "relu",
    maps: int = MAPS,
    kernel_size: int | None = None,
    layers: int = LAYERS,
    output: str = "both",
) -> nn.Sequential:
    """One convolution, further ones each twice as far apart as the last and added to it, heads for shape and number."""
    (out,) = _parts.widths(maps, width, "maps", 1)
    k = _parts.taps(TAPS if kernel_size is None else nd.count(kernel_size, "kernel_size"), ndim)
    first = _parts.stage(Conv(in_channels, out, k, padding="same", ndim=ndim), out, activation, ndim, False)
    further = [Dilated(out, 2**i, activation, ndim) for i in range(1, nd.count(layers, "layers") + 1)]
    return nn.Sequential(*first, *further, Heads(out, classes, k, ndim, output))


def profile_loss(answer: tuple[Tensor, Tensor], reads: Tensor, weight: float = 1.0) -> Tensor:
    """How unlikely the reads are by the profile, and how far their number is from what was said.

    answer (logits (batch, classes, *space), log counts (batch, classes)), reads of the logits' shape -> a number: the
    mean of the multinomial's negative log-likelihood over items and classes, plus weight times the mean squared error
    of log(1 + number). Source: Avsec et al. 2021, doi:10.1038/s41588-021-00782-6.

    >>> profile_loss((torch.zeros(1, 1, 2), torch.zeros(1, 1)), torch.zeros(1, 1, 2)).item()
    0.0
    """
    logits, numbers = answer
    counts, reads = reads.flatten(2).sum(2), reads.flatten(2)
    chance = F.log_softmax(logits.flatten(2), 2)
    rest = torch.lgamma(reads + 1).sum(2) - torch.lgamma(counts + 1)
    unlikely = rest - (reads * chance).sum(2)
    return unlikely.mean() + weight * (numbers - torch.log1p(counts)).square().mean()
