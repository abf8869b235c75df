"""Augmentation: each item's variant is a pure function of the random generator given for it.

Functions of a batch and numbers for it (mask, warp, equalize …) take the draws of _draws. Parts (Flip, Rotate, Noise …)
draw for themselves, in any number of dimensions and in mm, and take label maps along: Chain, Warp, AugmentedMaps.
"""

from sigconv.transforms.augment._draws import betas, normals, uniforms
from sigconv.transforms.augment._greys import Bias, Cutout, Gamma, Noise
from sigconv.transforms.augment._maps import AugmentedMaps, Chain, Part
from sigconv.transforms.augment._mixing import CutMix, Mixup
from sigconv.transforms.augment._moves import rotation, transformed
from sigconv.transforms.augment._places import Elastic, Rotate, Scale, Shift, Warp
from sigconv.transforms.augment._signals import mask, sampled, warp
from sigconv.transforms.augment._varied import Augment, Augmented, collected, made
from sigconv.transforms.augment._views import Crop, Flip
from sigconv.transforms.augment._waves import equalize, loudness, noisy, voice

__all__ = [
    "Augment",
    "Augmented",
    "AugmentedMaps",
    "Bias",
    "Chain",
    "Crop",
    "CutMix",
    "Cutout",
    "Elastic",
    "Flip",
    "Gamma",
    "Mixup",
    "Noise",
    "Part",
    "Rotate",
    "Scale",
    "Shift",
    "Warp",
    "betas",
    "collected",
    "equalize",
    "loudness",
    "made",
    "mask",
    "noisy",
    "normals",
    "rotation",
    "sampled",
    "transformed",
    "uniforms",
    "voice",
    "warp",
]
