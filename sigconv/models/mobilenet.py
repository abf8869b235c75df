"""MobileNet v1: each channel filtered by itself, then mixed by 1x1 convolutions (AR14, ST8, ST9)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from sigconv import nd
from sigconv.blocks import DepthwiseSeparable, Stage, he
from sigconv.models._common import recorded, scaled
from sigconv.pooling import GlobalAvgPool

VARIANTS = ("v1",)
SIZE = 224
SMALLEST = 33  # two positions are left at the end: enough for the statistics of a batch of one
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


@recorded
def build(
    variant: str = "v1",
    *,
    ndim: int = 2,
    in_channels: int = 3,
    classes: int = 1000,
    width: float = 1.0,
    activation: Any = "relu",
) -> nn.Sequential:
    """MobileNet v1: (batch, in_channels, *space) -> (batch, classes), thirteen separable convolutions.

    width is the paper's multiplier: 1, 0.75, 0.5 or 0.25 there, any number here. Source: Howard et al. 2017,
    arXiv:1704.04861.

    >>> sum(p.numel() for p in build(width=0.25).parameters())
    470072
    """
    nd.one_of(variant, VARIANTS, "mobilenet variant")
    channels = scaled(32, width)
    options = {"ndim": ndim, "activation": activation}
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["stem"] = Stage(in_channels, channels, 3, stride=2, padding=1, **options)
    for i, (out, stride) in enumerate(BLOCKS, 1):
        layers[f"block{i}"] = DepthwiseSeparable(channels, scaled(out, width), 3, stride, **options)
        channels = scaled(out, width)
    layers["avgpool"] = GlobalAvgPool()
    layers["fc"] = nn.Linear(channels, classes)
    model = nn.Sequential(layers)
    he(model[:-1], "fan_out")
    return model
