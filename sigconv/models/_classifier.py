"""The shape AlexNet, ZFNet and VGG share: features, a mean to a fixed size, fully connected layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sigconv.blocks import activation as activated
from sigconv.models import _pattern
from sigconv.models._common import scaled
from sigconv.pooling import AdaptiveAvgPool


class Classifier(nn.Module):
    """Features, then their mean over as many parts of each axis as the classifier takes, then the classifier.

    (batch, in_channels, *space) -> (batch, classes). At the published size the mean is of one value each: nothing
    changes; at other sizes it stands for what the paper would crop or resize. Names as torchvision's.
    """

    def __init__(self, features: nn.Sequential, parts: int, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features, self.avgpool, self.classifier = features, AdaptiveAvgPool(parts), classifier

    def forward(self, x: Tensor) -> Tensor:
        """Features, mean, classifier."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def features(pattern: str, in_channels: int, **options: Any) -> tuple[nn.Sequential, int]:
    """The layers a pattern of stages names, numbered, and how many channels they give."""
    layers, channels = _pattern.spatial(_pattern.parse(pattern), in_channels, **options)
    return nn.Sequential(*(layer for _, layer in layers)), channels


def dense(inputs: int, classes: int, *, width: float, activation: Any, dropout: float, first: bool) -> nn.Sequential:
    """Two layers of 4096 and the classes; dropout before each of the two (first=True, torchvision's AlexNet) or after.

    >>> len(dense(8, 2, width=1 / 512, activation="relu", dropout=0.5, first=False))
    7
    """
    units, layers = scaled(4096, width), []
    for features in (inputs, units):
        one: list[nn.Module] = [nn.Linear(features, units), activated(activation, units, 0)]
        layers += [nn.Dropout(dropout), *one] if first else [*one, nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(units, classes))
