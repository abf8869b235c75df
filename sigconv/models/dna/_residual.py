"""Motif detectors, dilated layers that look around their matches, the best and the mean of it, on both strands."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import BatchNorm, BothStrands
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models import _common, _parts
from sigconv.models.dna._motifs import Flanked, Pooled, ending
from sigconv.pooling import MaxPool

KERNELS, TAPS, FURTHER = 64, 11, 5


class Around(nn.Module):
    """x plus what a convolution of five taps, so far apart, normalized and rectified, makes of it: the same shape."""

    def __init__(self, channels: int, dilation: int, activation: Any, ndim: int) -> None:
        super().__init__()
        k = _parts.taps(FURTHER, ndim)
        self.conv = Conv(channels, channels, k, padding="same", dilation=dilation, bias=False, ndim=ndim)
        self.norm, self.activation = BatchNorm(channels), activated(activation, channels, ndim)

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        return x + self.activation(self.norm(self.conv(x)))


def residual(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float = 0.3,
    size: Any = None,  # of any
    kernels: int = KERNELS,
    kernel_size: int | None = None,
    layers: int = 3,
    mean: bool = True,
    hidden: int = 32,
    strands: bool = True,
) -> nn.Module:
    """Detectors with flanks of unknown letters, pooled by two, layers ever further apart, maxima and means, a head.

    strands: the mean of the answers to the sequence and to its reverse complement.
    """
    k = _parts.taps(TAPS if kernel_size is None else nd.count(kernel_size, "kernel_size"), ndim)
    out = _common.scaled(nd.count(kernels, "kernels"), width)
    first = _parts.stage(Conv(in_channels, out, k, bias=False, ndim=ndim), out, activation, ndim, True)
    further = [Around(out, 2**i, activation, ndim) for i in range(nd.count(layers, "layers", least=0))]
    found = [Flanked(k - 1, in_channels), *first, MaxPool(2, ceil_mode=True), *further, Pooled(mean)]
    features = out * (2 if mean else 1)
    head = ending(features, hidden, classes, width, activation, dropout / 2)
    net = nn.Sequential(*found, *_parts.dropped(dropout), *head)
    return BothStrands(net, reduce="mean") if strands and ndim == 1 and in_channels == 4 else net
