"""The shape of an adrenal gland: is it normal, or is there a mass in it?

Question  normal or hyperplasia, from the mask of the gland alone
Data      AdrenalMNIST3D: 1,584 glands of 792 patients, masks of 64 mm; the published split, by patients
Model     a small 3-D ResNet; with --front-end a bank of 3-D filters before it, fixed or learned, and the network
          without it beside it. Several members answer together; answers are averaged over mirror images: left glands
          and right ones are both there
Baseline  ridge regression on the voxels, and on how much each slice holds; as published (ResNet-18, 3-D, 28 samples):
          AUC .827, accuracy .721
Source    Yang et al. 2023 (MedMNIST), doi:10.1038/s41597-022-01721-8; He et al. 2016

  sigconv run adrenal_shape                                   three members
  sigconv run adrenal_shape --front-end gabor --learned       Gabor filters before the network, beside none
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sigconv.recipes import _shapes
from sigconv.train import run
from sigconv.train.job import Job


def adrenal_shape(
    job: Job,
    *,
    size: int = 28,
    front_end: str = "none",
    learned: bool = False,
    members: int = 3,
    augmented: bool = True,
    averaged: bool = True,
    width: float = 0.25,
    activation: str = "relu",
    data_root: Path | None = None,
    epochs: int = 30,
    lr: float = 4e-3,
    batch_size: int = 32,
) -> dict[str, Any]:
    """Train on the published training part, choose by its validation part, test on its test part.

    Args:
        size: samples along each axis, 28 as published or any up to 64: voxels of a larger file are averaged
        front_end: none, gabor, haar or motion (space-time Gabors, the first axis taken for time)
        learned: whether the front end's filters train
        members: networks that are trained from other seeds and answer together
        augmented: whether volumes are turned, scaled, shifted and mirrored to train with
        averaged: whether answers to the mirror images are averaged at the test
        width: of the network: 1 has 64 channels at first, a quarter of them 16
        activation: of all hidden units: relu, leaky_relu, prelu, maxout, selu, swish, silu and others
        data_root: folder that holds volumes/medmnist3d/; else $SIGCONV_DATA, the cache, a download
        epochs: passes over the training set
        lr: highest learning rate of the one-cycle schedule
        batch_size: volumes a step
    """
    asked: dict[str, Any] = {"front_end": front_end, "learned": learned, "members": members, "augmented": augmented}
    asked |= {"averaged": averaged, "width": width, "activation": activation}
    training = {"epochs": epochs, "lr": lr, "batch_size": batch_size}
    return _shapes.study(job, data_root, "adrenal", size, asked, training)


if __name__ == "__main__":
    run(adrenal_shape)
