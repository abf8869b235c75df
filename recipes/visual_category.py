"""Which category of object does someone see? Answered from runs of fMRI by convolution over space and time at once.

Question  which of the categories was on the screen during a block of pictures?
Data      Haxby et al. 2001, subject by subject: every run in turn is tested on, by networks that have not seen it
Model     kernels over all four axes, then one that spans the whole volume and answers at every point of time; the mean
          over a block is its answer. With --front-end a bank of four-dimensional filters before it
Baseline  ridge regression on each volume's voxels, the mean over a block
Source    Haxby et al. 2001, doi:10.1126/science.1063736

  sigconv run visual_category                              every run left out in turn
  sigconv run visual_category --test-runs 1,2              trained on the others, tested on these
  sigconv run visual_category --front-end motion           space-time filters first, beside none
"""

from __future__ import annotations

import math
import statistics
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sigconv import console, nd
from sigconv.blocks import BatchNorm
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.datasets import haxby as data
from sigconv.recipes import _banks
from sigconv.recipes._ridge import ridge
from sigconv.train import accuracy, fit, predict, run, seeds
from sigconv.train.assessment import assess
from sigconv.train.devices import threads
from sigconv.train.intervals import wilson
from sigconv.train.job import Job
from sigconv.transforms import augment

NOISE = 0.5  # standard deviations of a voxel, added to train with


def visual_category(
    job: Job,
    *,
    subject: str | None = None,
    series: str = "1slice",
    test_runs: str = "",
    front_end: str = "none",
    learned: bool = False,
    members: int = 3,
    channels: int = 8,
    activation: str = "relu",
    data_root: Path | None = None,
    epochs: int = 40,
    lr: float = 3e-3,
    batch_size: int = 4,
) -> dict[str, Any]:
    """Train on some runs, hold one, test on others.

    The run that is held chooses the baseline's penalty. The network is the average over its last steps, for one run has
    too few blocks to choose an epoch by.

    Args:
        subject: the name of a subject's folder; the first
        series: which of several resampled files of a run is read, as in bold_1slice.nii.gz
        test_runs: runs to test on, by name or by number from 1, with commas between, as 1,2 or [1,2]; each in turn, if
            none is named
        front_end: none, gabor, haar or motion
        learned: whether the front end's filters train
        members: networks that are trained from other seeds and answer together
        channels: kernels over space and time
        activation: behind them: relu, leaky_relu, prelu, maxout, selu, swish, silu and others
        data_root: folder that holds fmri/haxby2001/; else $SIGCONV_DATA
        epochs: passes over the training blocks
        lr: highest learning rate of the one-cycle schedule
        batch_size: blocks a step
    """
    nd.one_of(front_end, ("none", *_banks.KINDS), "front_end")
    if learned and front_end == "none":
        raise ValueError("learned is for a front end: give --front-end gabor, haar or motion too")
    asked = {"front_end": front_end, "learned": learned, "channels": nd.count(channels, "channels")}
    asked |= {"activation": activation, "members": nd.count(members, "members")}
    study = data.everything(data_root, subject=subject, series=series)
    for line in study.notes:
        job.note(line)
    tested = [[n] for n in range(len(study.runs))] if not test_runs else [chosen(test_runs, study.runs)]
    times = slice(study.before, study.before + study.length)
    training = {"epochs": epochs, "lr": lr, "batch_size": batch_size}
    answers: dict[str, list[Tensor]] = {}
    targets = []
    with threads(1):  # nets this small lose by being shared between cores
        for number, runs in enumerate(tested):
            parts = [study.blocks.subset(rows) for rows in data.split(study, runs, [after(runs, len(study.runs))])]
            name = f"run_{runs[0] + 1}" if len(tested) > 1 else "model"
            for kind, found in _round(job, name, parts, asked, training, times).items():
                answers.setdefault(kind, []).append(found)
            targets.append(parts[2].y)
            job.note(f"{', '.join(study.runs[n] for n in runs)}: {_told(answers, targets, number)}")
    job.tested_on(study.blocks if len(tested) > 1 else parts[2])
    y, whole = torch.cat(targets), {kind: torch.cat(found) for kind, found in answers.items()}
    assess(job, whole["network"].mean(2), y, study.blocks.classes)
    return _metrics(whole, y)


def after(runs: list[int], count: int) -> int:
    """The run that is held: the next that is not tested on, the first following the last."""
    return next((n % count for n in range(runs[-1] + 1, runs[-1] + count) if n % count not in runs), runs[-1])


def network(blocks: Any, asked: dict[str, Any]) -> nn.Sequential:
    """Waves of blood to answers: (batch, 1, x, y, z, t) -> (batch, classes, t)."""
    space, classes = tuple(blocks.x.shape[2:-1]), len(blocks.classes)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 1
    if asked["front_end"] != "none":
        bank = _banks.Responses(asked["front_end"], 4, asked["learned"], time=-1)
        layers["front_end"] = bank if asked["learned"] else bank.requires_grad_(False)
        channels = bank.filters
    taps = (*(min(3, n) for n in space), 3)
    layers["conv"] = Conv(channels, asked["channels"], taps, padding="same", bias=False, ndim=4)
    layers["norm"], layers["act"] = BatchNorm(asked["channels"]), activated(asked["activation"], asked["channels"], 4)
    layers["drop"] = nn.Dropout(0.5)
    layers["answer"] = Conv(asked["channels"], classes, (*space, 1), ndim=4)
    layers["flatten"] = nn.Flatten(2)
    return nn.Sequential(layers)


def _round(
    job: Job, name: str, parts: list[Any], asked: dict[str, Any], training: dict[str, Any], times: slice
) -> dict[str, Tensor]:
    """What networks and baseline answer at the volumes of the blocks tested on: (blocks, classes, volumes) each."""
    kinds = {"network": asked}
    if asked["front_end"] != "none":
        kinds["without"] = asked | {"front_end": "none"}
    found = {}
    for kind, options in kinds.items():
        answers = []
        for member in range(asked["members"] if kind == "network" else 1):
            label = name + (f"_{member}" if member else "") + ("_without" if kind == "without" else "")
            model = trained(job, label, parts, options, training, member, times)
            answers.append(predict(model, parts[2], job=job)[0].double()[..., times].log_softmax(1))
        found[kind] = torch.stack(answers).sum(0)
        if kind == "network" and len(kinds) > 1 and asked["members"] > 1:
            found["one_member"] = answers[0]  # which compares with the one without the bank
    return found | {"linear": linear(parts, times)}


def trained(
    job: Job, name: str, parts: list[Any], asked: dict[str, Any], training: dict[str, Any], member: int, times: slice
) -> nn.Module:
    """One network; every volume of a block is to name its category."""
    seeds.everything(job.seed + 1000 * member)
    model = network(parts[0], asked)
    right = {"accuracy": lambda scores, y: accuracy(scores[..., times].mean(2), y)}

    def loss(scores: Tensor, y: Tensor) -> Tensor:
        seen = scores[..., times]
        return F.cross_entropy(seen, y[:, None].expand(-1, seen.shape[2]), label_smoothing=0.1)

    shown = augment.Augmented(parts[0], noisy)
    options: dict[str, Any] = {"schedule": "one-cycle", "weight_decay": 0.1, "average": 0.95, **training}
    options |= {"loss": loss, "scores": right, "watch": {"held": parts[1]}}  # eight blocks are too few to choose by
    fit(model, shown, job=job, name=name, **options)
    return model


def noisy(x: Tensor, generators: Any) -> Tensor:
    """Noise of its own in every voxel that ever changes."""
    inside = x.abs().amax(-1, keepdim=True) > 0
    return x + NOISE * augment.normals(generators, x) * inside


def linear(parts: list[Any], times: slice) -> Tensor:
    """The baseline: ridge regression on each volume of the blocks, (blocks, classes, volumes)."""
    rows = [part.x[:, 0, ..., times].movedim(-1, 1).flatten(0, 1).flatten(1) for part in parts]
    inside = rows[0].abs().amax(0) > 0
    volumes = len(rows[0]) // len(parts[0].y)
    labels = [part.y.repeat_interleave(volumes) for part in parts]
    scores = ridge([part[:, inside] for part in rows], labels, len(parts[0].classes))
    return scores.unflatten(0, (-1, volumes)).mT


def chosen(text: str, runs: tuple[str, ...]) -> list[int]:
    """Numbers of runs from 0, by their names or their numbers from 1."""
    found = []
    for word in filter(None, (part.strip(" '\"") for part in text.strip(" []()").split(","))):
        if word in runs:
            found.append(runs.index(word))
        elif word.isascii() and word.isdigit() and 1 <= int(word) <= len(runs):
            found.append(int(word) - 1)
        else:
            raise console.UsageError(f"--test-runs {word!r} is not one of {', '.join(runs)}, nor 1 to {len(runs)}")
    if not found:
        raise console.UsageError(f"--test-runs {text!r} names no run: expected names or numbers such as 1,2")
    return sorted(dict.fromkeys(found))


def _told(answers: dict[str, list[Tensor]], targets: list[Tensor], number: int) -> str:
    shares = {kind: accuracy(found[number].mean(2), targets[number]) for kind, found in answers.items()}
    return ", ".join(f"{kind} {share:.3f}" for kind, share in shares.items())


def _metrics(answers: dict[str, Tensor], y: Tensor) -> dict[str, Any]:
    """Shares of blocks and of volumes that are right, and how far above chance, in standard errors."""
    found: dict[str, Any] = {}
    for kind, scores in answers.items():
        ending = "" if kind == "network" else f"_{kind}"
        found[f"block_accuracy{ending}"] = accuracy(scores.mean(2), y)
        found[f"accuracy{ending}"] = statistics.fmean(accuracy(scores[..., t], y) for t in range(scores.shape[2]))
    right, n, chance = round(found["block_accuracy"] * len(y)), len(y), 1 / answers["network"].shape[1]
    found["block_accuracy_low"], found["block_accuracy_high"] = wilson(right, n)
    found["errors_above_chance"] = (right / n - chance) / math.sqrt(chance * (1 - chance) / n)
    return found


if __name__ == "__main__":
    run(visual_category)
