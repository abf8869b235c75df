"""C3D: eight convolutions of 3 along time and space alike, for video (AP3, AR20); the first axis is time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from sigconv import nd
from sigconv.blocks import activation as activated
from sigconv.blocks import he
from sigconv.convolution import Conv
from sigconv.models._common import axes, recorded, scaled
from sigconv.pooling import AdaptiveAvgPool, MaxPool

VARIANTS = ("c3d",)
SIZE = (16, 112)
SMALLEST = (16, 16)
GROUPS = ((64,), (128,), (256, 256), (512, 512), (512, 512))  # channels of the convolutions before each pooling
LAST = (1, 4)  # positions that the fully connected layers look at: time, space
UNITS = 4096


@recorded
def build(
    variant: str = "c3d",
    *,
    ndim: int = 3,
    in_channels: int = 3,
    classes: int = 487,
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float = 0.5,
) -> nn.Sequential:
    """C3D: (batch, in_channels, time, *space) -> (batch, classes), clips of 16 frames of 112x112 as published.

    The first pooling leaves time as it is; the last one has a margin of 1 in space. Where it leaves other than 1 and
    4x4 positions, they are averaged to so many. Source: Tran et al. 2015, Learning Spatiotemporal Features with 3D
    Convolutional Networks; 487 classes are Sports-1M's, 101 UCF-101's.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in build(classes=101).parameters())
    78409573
    """
    nd.one_of(variant, VARIANTS, "c3d variant")
    in_channels, classes = nd.count(in_channels, "in_channels"), nd.count(classes, "classes")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = in_channels
    for i, group in enumerate(GROUPS, 1):
        for letter, wide in zip("ab", group, strict=False):
            out = scaled(wide, width)
            layers[f"conv{i}{letter}"] = Conv(channels, out, 3, padding=1, ndim=ndim)
            layers[f"act{i}{letter}"] = activated(activation, out, ndim)
            channels = out
        layers[f"pool{i}"] = MaxPool(axes((1 if i == 1 else 2, 2), ndim), padding=axes((0, i // len(GROUPS)), ndim))
    layers["positions"] = AdaptiveAvgPool(axes(LAST, ndim))
    layers["flatten"] = nn.Flatten()
    features, units = channels * LAST[1] ** (ndim - 1), scaled(UNITS, width)
    for i in (6, 7):
        layers[f"fc{i}"] = nn.Linear(features, units)
        layers[f"act{i}"] = activated(activation, units, 0)
        layers[f"drop{i}"] = nn.Dropout(dropout)
        features = units
    layers["fc8"] = nn.Linear(features, classes)
    model = nn.Sequential(layers)
    he(model[:-1])
    return model
