"""Network in Network: small perceptrons slid over the map, a map per class, their mean (AR15, ST11)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from sigconv import nd
from sigconv.blocks import MLPConv, he
from sigconv.models._common import recorded, scaled
from sigconv.pooling import AvgPool, GlobalAvgPool, MaxPool

# kernel size, stride, padding, widths of the perceptron (None: the classes), pooling and dropout behind it
BLOCKS: dict[str, tuple[tuple[int, int, int, tuple[int | None, ...], Any, bool], ...]] = {
    "cifar10": (
        (5, 1, 2, (192, 160, 96), MaxPool, True),
        (5, 1, 2, (192, 192, 192), AvgPool, True),
        (3, 1, 1, (192, 192, None), None, False),
    ),
    "imagenet": (
        (11, 4, 0, (96, 96, 96), MaxPool, False),
        (5, 1, 2, (256, 256, 256), MaxPool, False),
        (3, 1, 1, (384, 384, 384), MaxPool, True),
        (3, 1, 1, (1024, 1024, None), None, False),
    ),
}
VARIANTS = tuple(BLOCKS)
SIZE = {"cifar10": 32, "imagenet": 224}
SMALLEST = {"cifar10": 6, "imagenet": 55}


@recorded
def build(
    variant: str = "cifar10",
    *,
    ndim: int = 2,
    in_channels: int = 3,
    classes: int | None = None,
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float = 0.5,
) -> nn.Sequential:
    """Three mlpconv blocks ("cifar10", 10 classes) or four (the model zoo's "imagenet", 1000), 3/2 poolings between.

    (batch, in_channels, *space) -> (batch, classes): the last block's maps are the classes', and their means the
    answer; no fully connected layer, so any size serves. Source: Lin, Chen and Yan 2013, arXiv:1312.4400.

    >>> sum(p.numel() for p in build().parameters())
    966986
    """
    nd.one_of(variant, VARIANTS, "nin variant")
    classes = {"cifar10": 10, "imagenet": 1000}[variant] if classes is None else nd.count(classes, "classes")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (size, stride, padding, shape, pool, drop) in enumerate(BLOCKS[variant], start=1):
        widths = [classes if units is None else scaled(units, width) for units in shape]
        options = {"ndim": ndim, "activation": activation}
        layers[f"mlpconv{i}"] = MLPConv(in_channels, widths, size, stride=stride, padding=padding, **options)
        in_channels = widths[-1]
        if pool is not None:
            layers[f"pool{i}"] = pool(3, 2, ceil_mode=True)
        if drop:
            layers[f"drop{i}"] = nn.Dropout(dropout)
    layers["gap"] = GlobalAvgPool()
    return he(nn.Sequential(layers))
