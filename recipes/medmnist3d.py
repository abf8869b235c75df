"""Six sets of small volumes: organs, nodules, adrenal glands, fractures, vessels, synapses; and others of their kind.

Question  which class is a volume of 28 (or 64) samples along each axis of?
Data      MedMNIST v2 in three dimensions, published splits; or any file {name}mnist3d.npz of the same arrays
Model     a small 3-D ResNet; with --front-end a bank of 3-D filters before it, fixed or learned, and the network
          without it beside it. Several members answer together; answers are averaged over mirror images, but
          where these are of another class
Baseline  ridge regression on the voxels, and on how much each slice holds; as published (ResNet-18, 3-D, 28 samples):
          organ .996/.907, nodule .863/.844, fracture .712/.508, adrenal .827/.721, vessel .874/.877, synapse .820/.745
Source    Yang et al. 2023 (MedMNIST), doi:10.1038/s41597-022-01721-8; He et al. 2016

  sigconv run medmnist3d --set organ                          fetched once, its checksum compared
  sigconv run medmnist3d --set nodule --size 48               from the file of 64, its voxels averaged
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sigconv.recipes import _shapes
from sigconv.train import run
from sigconv.train.job import Job


def medmnist3d(
    job: Job,
    *,
    set: str = "organ",  # noqa: A002  the option is called so
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
        set: adrenal, fracture, nodule, organ, synapse, vessel, or the first word of a file at hand
        size: samples along each axis, 28 as published or any up to 64: voxels of a larger file are averaged
        front_end: none, gabor, haar or motion (space-time Gabors, the first axis taken for time)
        learned: whether the front end's filters train
        members: networks that are trained from other seeds and answer together
        augmented: whether volumes are turned, scaled, shifted and mirrored to train with (organs are
            not: left and right ones are classes of their own)
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
    return _shapes.study(job, data_root, set, size, asked, training)


if __name__ == "__main__":
    run(medmnist3d)
