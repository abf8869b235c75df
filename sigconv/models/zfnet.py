"""ZFNet: AlexNet with a finer first layer; the network of the paper's figure 3 and its wider variant b (AR7, E9)."""

from __future__ import annotations

from typing import Any

from sigconv import nd
from sigconv.blocks import he
from sigconv.models._classifier import Classifier, dense, features
from sigconv.models._common import recorded

STAGES = {
    "fig3": "C7S2Z1D96 R P3S2U N C5S2Z0D256 R P3S2U N C3D384 R C3D384 R C3D256 R P3S2",
    "b": "C7S2Z1D96 R P3S2U N C5S2Z0D256 R P3S2U N C3D512 R C3D1024 R C3D512 R P3S2",
}
VARIANTS = tuple(STAGES)
SIZE = 224
SMALLEST = 53


@recorded
def build(
    variant: str = "fig3",
    *,
    ndim: int = 2,
    in_channels: int = 3,
    classes: int = 1000,
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float = 0.5,
) -> Classifier:
    """Five convolutions, the first 7x7 of stride 2, contrast normalized across channels after the first two poolings.

    (batch, in_channels, *space) -> (batch, classes): 224 -> 110 -> 55 -> 26 -> 13 -> 6 positions an axis; "b" has
    512-1024-512 channels in the last three layers for 384-384-256. Source: Zeiler and Fergus 2014.

    >>> build("b", width=1 / 96).features[8].out_channels
    5
    """
    nd.one_of(variant, VARIANTS, "zfnet variant")
    maps, channels = features(STAGES[variant], in_channels, ndim=ndim, width=width, activation=activation)
    parts = 6
    options = {"width": width, "activation": activation, "dropout": dropout}
    return he(Classifier(maps, parts, dense(channels * parts**ndim, classes, first=False, **options)))
