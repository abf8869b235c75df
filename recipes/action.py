"""Action: what is being done in a video?

Question  does a network that convolves over time and space name the action in a clip, and what of that does the scene's
          colour give away?
Data      a folder of videos for each class, or UCF101 with its split lists, by --data-root; videos of one group (one
          scene) are in one part only. Untested at scale: UCF101 and Kinetics were not at hand, it was tried on clips
          cut from a few films
Model     R(2+1)D, R3D or MC3 of 18 layers, C3D, or (small) R(2+1)D with a quarter of the channels; clips of 16 frames
          of 112 x 112 pixels, from random places in training, mirrored or not; answers to ten clips of a video averaged
Baseline  a ridge classifier on the mean colours of 4 x 4 fields, averaged over a clip's frames; the commonest class
Source    Tran et al. 2018, arXiv:1711.11248 (R(2+1)D); Tran et al. 2015 (C3D); Soomro et al. 2012, arXiv:1212.0402

  sigconv run action --data-root videos                                 folders: the small net
  sigconv run action --data-root ucf101 --split 1 --model r2plus1d_18   UCF101's first split
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import sigconv as sc
from sigconv import console, models, plot
from sigconv.datasets import video_folder as data
from sigconv.recipes._ridge import ridge
from sigconv.train import accuracy, fit, predict, run, seeds
from sigconv.train.assessment import assess
from sigconv.train.job import Job
from sigconv.transforms import augment, video

MODELS: dict[str, tuple[str, str, float]] = {  # architecture, variant, width
    "small": ("video_resnet", "r2plus1d_18", 0.25),
    "r2plus1d_18": ("video_resnet", "r2plus1d_18", 1.0),
    "r3d_18": ("video_resnet", "r3d_18", 1.0),
    "mc3_18": ("video_resnet", "mc3_18", 1.0),
    "c3d": ("c3d", "c3d", 1.0),
}
FIELDS = 4  # along each side of a frame: what the baseline sees of it
SHOWN = 4  # test clips, each of another class


def action(
    job: Job,
    *,
    data_root: Path | None = None,
    split: int = 1,
    model: str = "small",
    length: int = 16,
    stride: int = 2,
    size: int = 112,
    clips: int = 10,
    mirrored: bool = True,
    check: bool = True,
    epochs: int = 30,
    lr: float = 3e-3,
    batch_size: int = 16,
) -> dict[str, Any]:
    """Name the action in each video.

    Args:
        data_root: folder of class folders, UCF101's, or one that holds either as video_folder/; else $SIGCONV_DATA
        split: which of UCF101's lists: 1, 2 or 3
        model: small, r2plus1d_18, r3d_18, mc3_18 or c3d
        length: frames of a clip
        stride: every how many-th frame of a video it has
        size: pixels of a clip's side, cut of frames whose shorter side is an eighth longer
        clips: of a test video, whose answers are averaged
        mirrored: whether every second clip is trained with from right to left; no, where classes differ by that
        check: whether all videos are decoded once before training, to find those that break
        epochs: passes over the training set
        lr: highest learning rate of the one-cycle schedule
        batch_size: clips a step
    """
    if model not in MODELS:
        raise console.UsageError(f"--model {model!r} is not one of {', '.join(MODELS)}")
    time, space = models.input_shape(":".join(MODELS[model][:2]), ndim=3, smallest=True)[2:4]
    for name, number, low in (("length", length, time), ("size", size, space), ("clips", clips, 1)):
        if number < low:
            raise console.UsageError(f"--{name} {number} must be at least {low} for {model}")
    shape: dict[str, Any] = {"length": length, "stride": stride, "size": size, "short_side": size + size // 7}
    parts = data.load(data_root, split=split, check=check, seed=job.seed, **shape)
    train, valid, test = parts
    lost = sum(len(part.bad) for part in parts)
    whole = f"{len(train)} videos to train with, {len(valid)} to choose by, {len(test)} to test on"
    job.note(f"{whole}; {lost} could not be read. Untested at scale.")
    job.tested_on(test)
    seeds.everything(job.seed)
    net = Ready(model, len(train.classes))
    varied = augment.Augmented(train, mirror) if mirrored else train
    options: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "weight_decay": 0.01}
    fit(net, varied, valid, job=job, schedule="one-cycle", label_smoothing=0.1, **options)

    outputs, labels = predict(net, data.Views(test, clips), job=job)
    shares = outputs.softmax(1).unflatten(0, (len(test), clips)).mean(1)
    assess(job, shares, test.y, test.classes, probabilities=True)
    for label in test.y.unique()[:SHOWN].tolist():
        place = int((test.y == label).nonzero()[0])
        rate = test.known[place].fs / stride
        figure, _ = plot.film(test.clip(place, 0, 1), fs=rate, title=test.names[place])
        job.picture(f"clip_{label}", figure)
    common = int(train.y.bincount().argmax())
    return {
        "accuracy": accuracy(shares, test.y),
        "accuracy_one_clip": accuracy(outputs, labels),
        "accuracy_colour": colour(parts),
        "chance": float((test.y == common).double().mean()),
        "bad_videos": lost,
        "parameters": sum(p.numel() for p in net.parameters()),
    }


class Ready(nn.Module):
    """Clips (batch, 3, frames, height, width) in [0, 1], on Kinetics' scale, to scores (batch, classes)."""

    def __init__(self, name: str, classes: int) -> None:
        super().__init__()
        architecture, variant, width = MODELS[name]
        self.net = models.build(f"{architecture}:{variant}", ndim=3, in_channels=3, classes=classes, width=width)

    def forward(self, x: Tensor) -> Tensor:
        """The scores."""
        return self.net(video.normalize(x))


def mirror(x: Tensor, generators: Any) -> Tensor:
    """Every second clip from right to left, by its own generator."""
    turned = augment.uniforms(generators, 1, x)[:, :, None, None, None] > 0
    return torch.where(turned, x.flip(-1), x)


def colour(parts: Any) -> float:
    """The baseline: a linear classifier on where a clip has which colour, whatever moves."""
    rows = []
    for part in parts:
        clips = torch.stack([part.clip(place, 0, 1).mean(1) for place in range(len(part))])
        rows.append(sc.adaptive_avg_pool(clips, (FIELDS, FIELDS)).flatten(1))
    labels = [part.y for part in parts]
    return accuracy(ridge(rows, labels, len(parts[0].classes)), labels[2])


if __name__ == "__main__":
    run(action)
