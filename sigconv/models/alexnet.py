"""AlexNet: the two-group network of 2012, its single tower, and torchvision's narrower one of 2014 (AR6, E8, E23)."""

from __future__ import annotations

from typing import Any

from sigconv import nd
from sigconv.blocks import he
from sigconv.models._classifier import Classifier, dense, features
from sigconv.models._common import recorded

STAGES = {
    "torchvision": "C11S4Z{padding}D64 R P3S2 C5D192 R P3S2 C3D384 R C3D256 R C3D256 R P3S2",
    "2012": "C11S4Z{padding}D96 R N P3S2 C5D256X2 R N P3S2 C3D384 R C3D384X2 R C3D256X2 R P3S2",
    "single": "C11S4Z{padding}D96 R N P3S2 C5D256 R N P3S2 C3D384 R C3D384 R C3D256 R P3S2",
}
VARIANTS = tuple(STAGES)
SIZE = 224
SMALLEST = 63


@recorded
def build(
    variant: str = "torchvision",
    *,
    ndim: int = 2,
    in_channels: int = 3,
    classes: int = 1000,
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float = 0.5,
    padding: int = 2,
    strict: bool = False,
) -> Classifier:
    """AlexNet with overlapping 3/2 poolings; "2012" and "single" normalize responses (LRN) after the first two layers.

    (batch, in_channels, *space) -> (batch, classes): 224 -> 55 -> 27 -> 13 -> 6 positions an axis. padding is the first
    layer's: 2 takes 224 with a sample left over, 0 fits 227 exactly (E8), and strict=True refuses what does not fit.
    The groups of "2012" are the two GPUs' halves; classifier[:-1] gives the FC7 features. Source: Krizhevsky, Sutskever
    and Hinton 2012; Krizhevsky 2014, arXiv:1404.5997.

    >>> import torch
    >>> with torch.device("meta"):
    ...     sum(p.numel() for p in build("2012").parameters())
    60965224
    """
    nd.one_of(variant, VARIANTS, "alexnet variant")
    margin = nd.count(padding, "padding", least=0)
    options = {"ndim": ndim, "width": width, "activation": activation, "strict": strict}
    maps, channels = features(STAGES[variant].format(padding=margin), in_channels, **options)
    parts = 6
    first = variant == "torchvision"
    head = dense(channels * parts**ndim, classes, width=width, activation=activation, dropout=dropout, first=first)
    return he(Classifier(maps, parts, head))
