"""Residual nets of 18 layers for video: over time and space at once, over both at first, or one after the other.

The first axis is time, the others are space (AR20, AP3, ST10).
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import BatchNorm, he, skip
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models._common import axes, recorded, scaled
from sigconv.pooling import GlobalAvgPool

KINDS = {  # of convolution, in the four layers
    "r3d_18": ("whole",) * 4,
    "mc3_18": ("whole", "space", "space", "space"),
    "r2plus1d_18": ("factorized",) * 4,
}
VARIANTS = tuple(KINDS)
SIZE = (16, 112)
SMALLEST = (9, 17)  # two positions are left at the end: enough for the statistics of a batch of one
CHANNELS = (64, 128, 256, 512)


@recorded
def build(
    variant: str = "r3d_18",
    *,
    ndim: int = 3,
    in_channels: int = 3,
    classes: int = 400,
    width: float = 1.0,
    activation: Any = "relu",
) -> nn.Module:
    """A residual net for clips: (batch, in_channels, time, *space) -> (batch, classes).

    r3d_18          3x3x3 convolutions throughout
    mc3_18          3x3x3 in the first layer, 1x3x3 in the others
    r2plus1d_18     1x3x3, then 3x1x1, with so many channels between them that their weights are as many as 3x3x3 has

    In three dimensions names and layout are torchvision's. Source: Tran et al. 2018, A Closer Look at Spatiotemporal
    Convolutions for Action Recognition, arXiv:1711.11248.

    >>> sum(p.numel() for p in build("mc3_18").parameters())
    11695440
    """
    kinds = KINDS[nd.one_of(variant, VARIANTS, "video_resnet variant")]
    channels = scaled(CHANNELS[0], width)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if variant == "r2plus1d_18":
        layers["stem"] = _split_stem(in_channels, scaled(45, width), channels, ndim, activation)
    else:
        layers["stem"] = nn.Sequential(*_step(in_channels, channels, (3, 7), (1, 2), ndim, activation))
    for i, (kind, wide) in enumerate(zip(kinds, CHANNELS, strict=True)):
        out = scaled(wide, width)
        first = Residual(channels, out, kind, 2 if i else 1, ndim=ndim, activation=activation)
        layers[f"layer{i + 1}"] = nn.Sequential(first, Residual(out, out, kind, ndim=ndim, activation=activation))
        channels = out
    layers["avgpool"] = GlobalAvgPool()
    layers["fc"] = last = nn.Linear(channels, classes)
    model = he(nn.Sequential(layers), "fan_out")
    nn.init.normal_(last.weight, 0, 0.01)
    return model


class Residual(nn.Module):
    """Two convolutions of a kind beside a shortcut: (batch, in_channels, …) -> (batch, channels, …), strided by stride.

    kind is "whole" (3 along every axis), "space" (1 along time) or "factorized" (space, then time).
    """

    def __init__(
        self, in_channels: int, channels: int, kind: str, stride: int = 1, *, ndim: int = 3, activation: Any = "relu"
    ) -> None:
        super().__init__()
        between = middle(in_channels, channels, ndim)
        first = _conv(kind, in_channels, channels, between, stride, ndim, activation)
        self.conv1 = nn.Sequential(first, BatchNorm(channels), activated(activation, channels, ndim))
        self.conv2 = nn.Sequential(_conv(kind, channels, channels, between, 1, ndim, activation), BatchNorm(channels))
        self.act = activated(activation, channels, ndim)
        steps = axes((1 if kind == "space" else stride, stride), ndim)
        self.downsample = skip(in_channels, channels, steps, ndim=ndim)

    def forward(self, x: Tensor) -> Tensor:
        """The two convolutions, added to the shortcut."""
        return self.act(self.conv2(self.conv1(x)) + (x if self.downsample is None else self.downsample(x)))


def middle(in_channels: int, channels: int, ndim: int = 3) -> int:
    """Channels between space and time, so that both together have about as many weights as one whole convolution.

    >>> middle(64, 64), middle(64, 128)
    (144, 230)
    """
    whole, space = 3**ndim, 3 ** (ndim - 1)
    return max(whole * in_channels * channels // (space * in_channels + 3 * channels), 1)


def _conv(
    kind: str, in_channels: int, channels: int, between: int, stride: int, ndim: int, activation: Any
) -> nn.Module:
    if kind != "factorized":
        time = (1, 1) if kind == "space" else (3, stride)
        return next(_step(in_channels, channels, (time[0], 3), (time[1], stride), ndim, activation))
    space = _step(in_channels, between, (1, 3), (1, stride), ndim, activation)
    return nn.Sequential(*space, next(_step(between, channels, (3, 1), (stride, 1), ndim, activation)))


def _split_stem(in_channels: int, between: int, channels: int, ndim: int, activation: Any) -> nn.Sequential:
    space = _step(in_channels, between, (1, 7), (1, 2), ndim, activation)
    return nn.Sequential(*itertools.chain(space, _step(between, channels, (3, 1), (1, 1), ndim, activation)))


def _step(in_channels: int, channels: int, size: tuple, stride: tuple, ndim: int, activation: Any) -> Any:
    """Convolution, normalization and activation, one after the other; sizes are (time, space)."""
    padding = axes(tuple(k // 2 for k in size), ndim)
    yield Conv(in_channels, channels, axes(size, ndim), axes(stride, ndim), padding, bias=False, ndim=ndim)
    yield BatchNorm(channels)
    yield activated(activation, channels, ndim)
