"""Augmentation: each item's variant is a pure function of the random generator given for it."""

from sigconv.transforms.augment._draws import betas, normals, uniforms
from sigconv.transforms.augment._mixing import CutMix, Mixup
from sigconv.transforms.augment._signals import mask, sampled, warp
from sigconv.transforms.augment._varied import Augment, Augmented, collected, made
from sigconv.transforms.augment._waves import equalize, loudness, noisy, voice

__all__ = [
    "Augment",
    "Augmented",
    "CutMix",
    "Mixup",
    "betas",
    "collected",
    "equalize",
    "loudness",
    "made",
    "mask",
    "noisy",
    "normals",
    "sampled",
    "uniforms",
    "voice",
    "warp",
]
