"""VGG: 3x3 convolutions all the way, channels doubled where space is halved (AR8, AR9, E2)."""

from __future__ import annotations

from typing import Any

from sigconv import nd
from sigconv.blocks import he
from sigconv.models._classifier import Classifier, dense, features
from sigconv.models._common import recorded

COLUMNS = {  # as the lecture prints them: C3D64 is a 3x3 convolution of depth 64, M a maximum over 2x2
    "A": "C3D64 M C3D128 M C3D256*2 M C3D512*2 M C3D512*2 M",
    "A-LRN": "C3D64 LRN M C3D128 M C3D256*2 M C3D512*2 M C3D512*2 M",
    "B": "C3D64*2 M C3D128*2 M C3D256*2 M C3D512*2 M C3D512*2 M",
    "C": "C3D64*2 M C3D128*2 M C3D256*2 C1D256 M C3D512*2 C1D512 M C3D512*2 C1D512 M",
    "D": "C3D64*2 M C3D128*2 M C3D256*3 M C3D512*3 M C3D512*3 M",
    "E": "C3D64*2 M C3D128*2 M C3D256*4 M C3D512*4 M C3D512*4 M",
}
VARIANTS = tuple(COLUMNS)
SIZE = 224
SMALLEST = 32


@recorded
def build(
    variant: str = "A",
    *,
    ndim: int = 2,
    in_channels: int = 3,
    classes: int = 1000,
    width: float = 1.0,
    activation: Any = "relu",
    batch_norm: bool = False,
    dropout: float = 0.5,
    padding: Any = "same",
    parts: int = 7,
) -> Classifier:
    """VGG-11 (A), 13 (B), 16 (C, D) or 19 (E); A-LRN normalizes responses once, C has three 1x1 layers.

    (batch, in_channels, *space) -> (batch, classes): 224 -> 112 -> 56 -> 28 -> 14 -> 7 positions an axis, or `parts`.
    padding="valid" leaves the zeros around every map out, which a sliding window needs (see sigconv.models.fcn); 224
    then comes to 3 parts. Source: Simonyan and Zisserman 2015.

    >>> [sum(p.ndim > 1 for p in build(name, width=1 / 64).parameters()) for name in VARIANTS]
    [11, 11, 13, 16, 16, 19]
    """
    nd.one_of(variant, VARIANTS, "vgg variant")
    after = "BR" if batch_norm else "R"
    options = {"ndim": ndim, "width": width, "activation": activation, "padding": padding}
    maps, channels = features(COLUMNS[variant], in_channels, after=after, **options)
    inputs = channels * nd.count(parts, "parts") ** ndim
    head = dense(inputs, classes, width=width, activation=activation, dropout=dropout, first=False)
    return he(Classifier(maps, parts, head), "fan_out")
