"""Hippocampus: which voxels are its front part, which its back? Segmentation of scans by a U-Net in three dimensions.

Question  how well does a small U-Net mark the front (anterior) and back (posterior) of the hippocampus in MRI, voxel by
          voxel, and what of that do place alone, and filters that nobody trained, already give?
Data      Task04 of the Medical Segmentation Decathlon, or any folder of images/ and labels/: of its cases a third is
          tested on, a tenth of the rest chosen by; or all cases of --test-root are tested on, and what lies there too
          is left out of training
Model     a U-Net of four sizes, 1.4 million parameters, trained by Dice and cross-entropy on scans of mean 0 and
          deviation 1, turned, scaled, bent, darkened and brightened anew each time; scans larger than its window are
          answered for patch by patch, half overlapping. Label maps with the scans' affine are left in predictions/
Baseline  the mean of the training label maps, stretched to each scan; a linear classifier of voxels by the energies of
          a fixed Haar bank, brightness and place
Source    Ronneberger et al. 2015; Simpson et al. 2019, arXiv:1902.09063; Isensee et al. 2021 (nnU-Net: 0.90 and 0.89)

  sigconv run hippocampus --data-root DIR                           a third of its cases held back
  sigconv run hippocampus --data-root DIR --test-root OTHER         all of OTHER's, with label maps or without
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from sigconv import console, models
from sigconv.datasets import segmentation as data
from sigconv.recipes import _segmented as segmented
from sigconv.recipes import _segments as segments
from sigconv.train import fit, run, seeds
from sigconv.train.job import Job
from sigconv.transforms import augment, volume

LABELS = ("anterior", "posterior")  # of a set of two labels that says nothing else
LEVELS, MULTIPLE = 4, 8
LARGEST = 1 << 18  # voxels of a window that is not asked for
MOST_VOXELS = 1 << 27  # of a window that is asked for: 512 along each axis
MOST_WINDOWS = 100_000  # that a scan is answered in
NORMS = ("batch", "channel", "instance")


def hippocampus(
    job: Job,
    *,
    data_root: Path | None = None,
    test_root: Path | None = None,
    name: str = "hippocampus",
    window: tuple[int, ...] = (),
    spacing: tuple[float, ...] = (),
    width: float = 1.0,
    norm: str = "batch",
    residual: bool = False,
    mirrored: bool = False,
    flips: bool = False,
    overlap: float = 0.5,
    epochs: int = 60,
    lr: float = 3e-3,
    batch_size: int = 2,
) -> dict[str, Any]:
    """Mark the parts of the hippocampus, or whatever else the labels mean.

    Args:
        data_root: folder of images/ and labels/, or one that holds it as volumes/hippocampus/; else $SIGCONV_DATA
        test_root: folder of images/, and labels/ if there are any, that is tested on in place of a third
        name: of the set under data_root/volumes
        window: voxels along x, y, z that are trained with at once; by default about a scan's size
        spacing: mm along x, y, z that scans are resampled to; by default the median, if they differ
        width: of the network, times its 16 to 128 channels
        norm: batch, channel or instance
        residual: whether its convolutions add to what they are given
        mirrored: whether every second scan is trained with left for right
        flips: whether the answers to a test scan and to its mirror image are averaged
        overlap: the part that a window shares with the next in a scan larger than it
        epochs: passes over the training set
        lr: highest learning rate of the one-cycle schedule
        batch_size: scans a step
    """
    _checked(window, width, norm, overlap, flips and not mirrored)
    parts = data.load(data_root, name=name, test_root=test_root, labels=LABELS, spacing=spacing or None, seed=job.seed)
    train, valid, test = parts
    job.note(f"{len(train)} scans to train with, {len(valid)} to choose by, {len(test)} to test on.")
    lost = [*train.bad, *(test.bad if test_root else ())]
    for case, why in lost:
        job.note(f"{case} was left out: {why}")
    size = tuple(window) or usual(train.shapes)
    for case, shape in zip(test.names, test.shapes, strict=True):
        _answerable(case, shape, size, overlap)
    job.tested_on(test)
    seeds.everything(job.seed)
    net = network(train, size, width, norm, residual)
    varied = augment.AugmentedMaps(train, variants(train, size, mirrored))
    chosen_by = segments.Whole(valid, size)
    options: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "weight_decay": 0.01}
    options |= {"loss": segments.dice_and_cross_entropy, "scores": {"dice": segments.mean_dice}}
    fit(net, varied, chosen_by, job=job, schedule="one-cycle", clip=10.0, every=max(epochs // 30, 1), **options)
    answer = lambda x: segments.shares_of(net, x, size, overlap, (0,) if flips else ())
    return segmented.tried(job, parts, usual(train.shapes), answer) | {
        "bad_cases": len(lost),
        "train_size": len(train),
        "parameters": sum(p.numel() for p in net.parameters()),
    }


def _checked(window: Sequence[int], width: float, norm: str, overlap: float, half: bool) -> None:
    """UsageError for options that cannot be."""
    if window and (len(window) != 3 or min(window) < MULTIPLE + 1):
        raise console.UsageError(
            f"--window {list(window)} is not 3 numbers of voxels, at least {MULTIPLE + 1}: [40,56,40]"
        )
    if math.prod(window) > MOST_VOXELS:
        told = f"--window {list(window)} has {math.prod(window)} voxels"
        raise console.UsageError(f"{told}: expected {MOST_VOXELS} at most; larger scans are answered window by window")
    if not 0 < width <= 16:
        raise console.UsageError(f"--width {width} must be above 0, and 16 at most")
    if norm not in NORMS:
        raise console.UsageError(f"--norm {norm!r} is not one of {', '.join(NORMS)}")
    if not 0 <= overlap < 1:
        raise console.UsageError(f"--overlap {overlap} must be at least 0, and below 1")
    if half:
        raise console.UsageError("--flips asks a network about mirrored scans: train it with them, by --mirrored")


def _answerable(case: str, shape: Sequence[int], size: Sequence[int], overlap: float) -> None:
    """UsageError where a scan takes more windows than anyone waits for."""
    many = volume.tiling(shape, size, overlap).count
    if many > MOST_WINDOWS:
        told = f"--overlap {overlap} makes {many} windows of {' x '.join(map(str, size))} of {case!r}"
        raise console.UsageError(f"{told}: expected {MOST_WINDOWS} at most; a smaller overlap, or a larger --window")


def usual(shapes: list[tuple[int, int, int]]) -> tuple[int, ...]:
    """A window that holds a scan of median size, or as much of it as is trained with in good time.

    >>> usual([(35, 50, 36), (33, 51, 35)]), usual([(256, 256, 100)])
    ((40, 56, 40), (64, 64, 64))
    """
    size = [max(math.ceil(float(n) / MULTIPLE), 2) * MULTIPLE for n in np.median(shapes, axis=0)]
    while math.prod(size) > LARGEST:
        size[int(np.argmax(size))] -= MULTIPLE
    return tuple(size)


def variants(train: Any, size: tuple[int, ...], mirrored: bool) -> augment.Chain:
    """How scans are varied: moved and bent in mm, their grey values changed, cut to a window."""
    bent = augment.Warp(augment.Rotate(15, fs=train.fs), augment.Scale(0.15), augment.Elastic(1.5, 12.0, fs=train.fs))
    grey = (
        augment.Gamma(0.3, share=0.5),
        augment.Bias(0.3, 40.0, fs=train.fs, share=0.5),
        augment.Noise(0.15, share=0.5),
    )
    flip = (augment.Flip(axes=(0,)),) if mirrored else ()
    larger = [math.ceil(1.25 * n) for n in size]
    if all(n <= m for shape in train.shapes for n, m in zip(shape, larger, strict=True)):
        return augment.Chain(bent, *flip, *grey, augment.Crop(size, inside=0.5))
    return augment.Chain(augment.Crop(larger, inside=0.7), bent, *flip, augment.Crop(size, inside=0.5), *grey)


def network(train: Any, size: tuple[int, ...], width: float, norm: str, residual: bool) -> nn.Module:
    """A U-Net for windows of this size: scans (batch, channels, x, y, z) to logits (batch, classes, x, y, z)."""
    strides = models.unet.fitting(size, LEVELS, spacing=train.spacing)
    shape: dict[str, Any] = {"in_channels": train.channels, "classes": len(train.classes), "strides": strides}
    return models.unet.build("small", ndim=3, width=width, norm=norm, residual=residual, **shape)


if __name__ == "__main__":
    run(hippocampus)
