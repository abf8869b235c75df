"""Augmentation: each item's variant is a pure function of the random generator given for it."""

from sigconv.transforms.augment._draws import betas, normals, uniforms
from sigconv.transforms.augment._mixing import CutMix, Mixup
from sigconv.transforms.augment._signals import mask, warp
from sigconv.transforms.augment._varied import Augment, Augmented, collected, made

__all__ = [
    "Augment",
    "Augmented",
    "CutMix",
    "Mixup",
    "betas",
    "collected",
    "made",
    "mask",
    "normals",
    "uniforms",
    "warp",
]
