"""The MNIST-1D pair: a convolutional net of 2,050 parameters and a fully connected one of 59,065 (PC13, PC14, AR21)."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from sigconv import nd
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models._common import axes, recorded, scaled

VARIANTS = ("cnn", "dense", "mlp")
SIZE = 40
SMALLEST = 15
WIDTHS = {"dense": (285, 135, 60), "mlp": (100, 100)}  # as many units a layer as the convolutional net has; and PC15


@recorded
def build(
    variant: str = "cnn",
    *,
    ndim: int = 1,
    in_channels: int = 1,
    classes: int = 10,
    width: float = 1.0,
    size: int = SIZE,
    activation: Any = "relu",
) -> nn.Sequential:
    """Three strided convolutions of 15 channels ("cnn"), or fully connected layers ("dense", "mlp").

    (batch, in_channels, *space) -> (batch, classes), each axis of `size` samples: 40 -> 19 -> 9 -> 4 positions.
    Source: Prince, Understanding Deep Learning, section 10.5; Greydanus and Kobak 2020, arXiv:2011.14439.

    >>> sum(p.numel() for p in build().parameters()), sum(p.numel() for p in build("dense").parameters())
    (2050, 59065)
    """
    nd.one_of(variant, VARIANTS, "mnist1d variant")
    layers: list[nn.Module] = []
    channels, space = in_channels, axes(size, ndim)
    if variant == "cnn":
        for _ in range(3):
            out = scaled(15, width)
            layers += [Conv(channels, out, 3, stride=2, ndim=ndim), activated(activation, out, ndim)]
            channels = out
            space = nd.output_size(space, (3,) * ndim, (2,) * ndim, (1,) * ndim, ((0, 0),) * ndim)
        widths: tuple[int, ...] = ()
    else:
        widths = WIDTHS[variant]
    features = channels * math.prod(space)
    layers.append(nn.Flatten())
    for units in (scaled(w, width) for w in widths):
        layers += [nn.Linear(features, units), activated(activation, units, 0)]
        features = units
    return nn.Sequential(*layers, nn.Linear(features, classes))
