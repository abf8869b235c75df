"""Moving direction: which way does it go? No single frame knows.

Question  does convolution over time and space find the direction of motion that single frames do not hold, and does a
          fixed bank of space-time Gabor filters, built for it, need fewer examples than a network that must learn it?
Data      2,000 clips of one digit (--kind digits), an isotropic texture or a grating, 8 frames of 24 x 24 pixels, that
          goes one of 8 ways at 1 to 2 pixels a frame amid noise as loud as itself; 400 to choose by, 1,000 to test on
          (made, not fetched; digits of MNIST where --data-root, or without it $SIGCONV_DATA, has mnist/, else drawn
          strokes)
Model     three 3-D convolutions and a mean; before them, with --front-end, the responses of a 3-D Gabor or Haar bank,
          or motion energies: magnitudes of space-time Gabors tuned to 8 directions (Adelson and Bergen, in quadrature)
Baseline  the same net in 2-D on the middle frame: at chance, but for a grating, whose orientation leaves two of eight;
          a ridge classifier on the mean energies of the fixed motion bank, and up to 100 samples on those of a 3-D
          Gabor pyramid as well; the net without the front end, and with --learned that on the bank as it was
Source    Adelson and Bergen 1985, doi:10.1364/JOSAA.2.000284; Tran et al. 2015 (C3D); Heeger 1987

  sigconv run moving_direction                                    digits, 3-D convolution
  sigconv run moving_direction --kind grating --front-end motion  gratings, motion energy
  sigconv run moving_direction --samples 100                      the study: few clips to learn from
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import sigconv as sc
from sigconv import console, plot
from sigconv.blocks import BatchNorm, he
from sigconv.datasets import moving_shapes as data
from sigconv.filters import gabor, motion
from sigconv.recipes._banks import Responses
from sigconv.recipes._ridge import ridge
from sigconv.train import accuracy, fit, predict, run
from sigconv.train.assessment import assess
from sigconv.train.job import Job
from sigconv.transforms import video

FRONT_ENDS = ("none", "gabor", "haar", "motion")
STEPS = 400  # of a training, where epochs are not given
DIRECTIONS = 8
SPEEDS, WAVES = (0.75, 1.5), (6.0, 10.0)  # pixels a frame, pixels: what the motion bank is tuned to
PYRAMID: dict[str, Any] = {"wavelengths": [4.0, 6.0, 9.0], "directions": 13, "dc_free": True, "truncate": 2.0}
FEW = 100  # clips to train with, up to which a run is the study of few
RANGES = {"samples": (16, 1_000_000), "tested": (8, 1_000_000), "size": (12, 256), "frames": (4, 64)}
RANGES |= {"batch-size": (2, 1_000_000)}


def moving_direction(
    job: Job,
    *,
    kind: str = "digits",
    front_end: str = "none",
    learned: bool = False,
    samples: int = 2000,
    tested: int = 1000,
    frames: int = 8,
    size: int = 24,
    speeds: tuple[float, ...] = (1.0, 2.0),
    snr: float = 0.0,
    digits: str = "auto",
    data_root: Path | None = None,
    epochs: int | None = None,
    lr: float = 4e-3,
    batch_size: int = 50,
) -> dict[str, Any]:
    """Find the direction of motion.

    Args:
        kind: digits, texture or grating
        front_end: none, gabor, haar or motion: a filter bank before the network
        learned: whether the bank trains; the same net on the bank as it was is trained beside it
        samples: clips to train with; a fifth as many to choose by
        tested: clips to test on
        frames: of a clip
        size: of a frame, pixels
        speeds: pixels a frame, the least and the most
        snr: decibels, of the pattern over white noise
        digits: auto, mnist or strokes
        data_root: folder that holds mnist/, for digits; else $SIGCONV_DATA, else strokes are drawn
        epochs: passes over the training set; without it, as many as make 400 steps
        lr: highest learning rate of the one-cycle schedule
        batch_size: clips a step
    """
    _checked({"samples": samples, "tested": tested, "size": size, "frames": frames, "batch-size": batch_size})
    _named(kind, front_end, learned)
    drawn: dict[str, Any] = {"kind": kind, "frames": frames, "size": size, "speeds": speeds, "snr": snr}
    counts: dict[str, Any] = {"train": samples, "valid": max(samples // 5, 8), "test": tested}
    parts = data.load(data_root, digits=digits, seed=job.seed, directions=DIRECTIONS, **drawn, **counts)
    job.tested_on(parts.test)
    if kind == "digits":
        job.note(f"Digits are of {'MNIST' if data.digits_of(data_root, digits) == 'mnist' else 'drawn strokes'}.")
    rounds = math.ceil(STEPS * min(batch_size, samples) / samples) if epochs is None else epochs
    options: dict[str, Any] = {"epochs": rounds, "lr": lr, "batch_size": batch_size, "every": max(rounds // 20, 1)}

    model = trained(job, "model", parts, options, front_end, learned)
    scores, targets = predict(model, parts.test, job=job)
    assess(job, scores, targets, parts.test.classes)
    found: dict[str, Any] = {"accuracy": accuracy(scores, targets)}
    if learned:
        found["accuracy_frozen"] = tested_on(job, trained(job, "frozen", parts, options, front_end), parts.test)
    if front_end != "none":
        found["accuracy_none"] = tested_on(job, trained(job, "none", parts, options), parts.test)
    stills = data.Parts(*(data.Arrays(part.x[:, :, frames // 2], part.y, part.classes) for part in parts))
    found["single_frame_accuracy"] = tested_on(job, trained(job, "single_frame", stills, options, ndim=2), stills.test)
    found["accuracy_linear_motion"] = linear(parts, motion_bank())
    if samples <= FEW:  # where a bank that nobody tuned to motion may still be ahead of what is learned
        found["accuracy_linear_gabor"] = linear(parts, gabor.pyramid(3, **PYRAMID))
    job.picture("clips", _clips(parts.test))
    shown = parts.test.classes[int(parts.test.y[0])]
    job.picture("film", plot.film(parts.test.x[0], title=f"a clip that goes {shown}; a frame a second")[0])
    if isinstance(model[0], sc.Conv):
        weights = model[0].weight.detach().cpu()[:, 0]
        job.picture("kernels", plot.kernels(weights, title="first layer: each filter's frames, left to right")[0])
    found |= {"chance": 1 / DIRECTIONS, "best_of_one_frame": data.best_still(kind, DIRECTIONS)}
    return found | {"train_size": samples, "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad)}


def _checked(numbers: dict[str, int]) -> None:
    for name, number in numbers.items():
        low, high = RANGES[name]
        if not low <= number <= high:
            raise console.UsageError(f"--{name} {number} must be {low} to {high}")


def _named(kind: str, front_end: str, learned: bool) -> None:
    for name, word, words in (("kind", kind, data.KINDS), ("front-end", front_end, FRONT_ENDS)):
        if word not in words:
            raise console.UsageError(f"--{name} {word!r} is not one of {', '.join(words)}")
    if learned and front_end == "none":
        raise console.UsageError("--learned needs a --front-end that can learn: gabor, haar or motion")


def trained(
    job: Job,
    name: str,
    parts: Any,
    options: dict[str, Any],
    front_end: str = "none",
    learned: bool = False,
    ndim: int = 3,
) -> nn.Sequential:
    """A net, with its front end, trained from the run's seed: learned and fixed banks start alike."""
    torch.manual_seed(job.seed)
    front = None if front_end == "none" else Front(front_end, learned)
    inside = network(1 if front is None else front.filters, DIRECTIONS, ndim=ndim)
    model = inside if front is None else nn.Sequential(front, inside)
    fit(model, *parts[:2], job=job, name=name, schedule="one-cycle", weight_decay=0.01, **options)
    return model


def tested_on(job: Job, model: nn.Module, test: Any) -> float:
    """The share of a test set that a model is right about."""
    return accuracy(*predict(model, test, job=job))


def network(in_channels: int, classes: int, *, ndim: int = 3) -> nn.Sequential:
    """Three convolutions and the mean over all places: (batch, in_channels, [frames,] height, width) -> classes.

    The first halves space and leaves time, which it looks at over as many frames as pixels; of many channels, which a
    filter bank has made, over fewer.
    """
    wide = 5 if in_channels == 1 else 3
    stride = (1, 2, 2)[3 - ndim :]
    layers: list[nn.Module] = [sc.Conv(in_channels, 16, wide, stride, wide // 2, bias=False, ndim=ndim)]
    layers += [BatchNorm(16), nn.ReLU(), sc.Conv(16, 32, 3, padding=1, bias=False, ndim=ndim), BatchNorm(32), nn.ReLU()]
    layers += [sc.MaxPool(2), sc.Conv(32, 64, 3, padding=1, bias=False, ndim=ndim), BatchNorm(64), nn.ReLU()]
    return he(nn.Sequential(*layers, sc.GlobalAvgPool(), nn.Linear(64, classes)))


def motion_bank(learnable: bool = False) -> Any:
    """Space-time Gabors tuned to the directions, in the data's order, at two speeds and two wavelengths each."""
    turns = 2 * math.pi * torch.arange(DIRECTIONS) / DIRECTIONS
    headings = torch.stack([turns.cos(), turns.sin()], 1)
    shape: dict[str, Any] = {"frequency": [1 / wave for wave in WAVES], "bandwidth": 1.2, "truncate": 2.0}
    return motion.bank(SPEEDS, headings, (1.0, 1.0, 1.0), learnable=learnable, **shape)


class Front(nn.Module):
    """A bank before the net: clips (batch, 1, frames, height, width) to (batch, filters, frames, height, width).

    gabor and haar give real responses, motion magnitudes: the root of the energy of two filters in quadrature.
    """

    def __init__(self, kind: str, learnable: bool = False) -> None:
        super().__init__()
        moving = kind == "motion"
        bank: Any = motion_bank(learnable) if moving else Responses(kind, 3, learnable)
        self.bank, self.filters = bank, len(bank) if moving else bank.filters
        self.options = {"output": "magnitude"} if moving else {}

    def forward(self, x: Tensor) -> Tensor:
        """What the filters answer."""
        return self.bank(x, **self.options)


def linear(parts: Any, bank: Any) -> float:
    """Accuracy of a ridge classifier on a fixed bank's mean energies, its penalty by the validation part."""
    with torch.no_grad():
        energies = [torch.cat([bank(x, output="energy").mean((2, 3, 4)) for x in part.x.split(64)]) for part in parts]
    logs = [energy.double().clamp_min(1e-9).log() for energy in energies]
    labels = [part.y for part in parts]
    return accuracy(ridge(logs, labels, len(parts[0].classes)), labels[2])


def _clips(part: Any) -> Any:
    """A clip of each direction: its first frame, and its middle row and column over time, where motion is a slant."""
    pictures, names = [], []
    for label in range(DIRECTIONS):
        clip = part.x[int((part.y == label).nonzero()[0]), 0]
        across, down = video.slices(clip)
        pictures += [clip[0], across, down]
        names += [part.classes[label], "row over time", "column over time"]
    return plot.mosaic(pictures, names, columns=6, title="time goes down")[0]


if __name__ == "__main__":
    run(moving_direction)
