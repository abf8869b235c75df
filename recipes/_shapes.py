"""What the recipes of small volumes share: a network with or without filters before it, its baselines, its figures."""

from __future__ import annotations

import statistics
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import models, nd, plot
from sigconv.datasets import medmnist3d as data
from sigconv.recipes import _banks
from sigconv.recipes._ridge import ridge
from sigconv.train import accuracy, auroc, fit, predict, seeds
from sigconv.train.assessment import assess
from sigconv.train.intervals import auroc_interval, wilson
from sigconv.train.job import Job
from sigconv.train.looks import looks
from sigconv.transforms import augment

CORNERS = ((), (2,), (3,), (4,), (2, 3), (2, 4), (3, 4), (2, 3, 4))  # axes of (batch, channels, *space) to mirror
SHOWN = 6  # volumes in the picture


def study(job: Job, root: Any, name: str, size: int, asked: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
    """A set by its name, read, trained on and tested on; what cannot be meant is said before anything is read."""
    nd.one_of(asked["front_end"], ("none", *_banks.KINDS), "front_end")
    nd.count(asked["members"], "members")
    if asked["learned"] and asked["front_end"] == "none":
        raise ValueError("learned is for a front end: give --front-end gabor, haar or motion too")
    parts = data.load(root, name=name, size=size)
    for word, part in (("train", parts.train), ("test", parts.test)):
        there = part.y.unique().tolist()
        if len(there) < 2:
            only = part.classes[there[0]]
            raise ValueError(f"all {len(part)} volumes of {name}'s {word} part are of class {only!r}: two are needed")
    train, valid, test = map(len, parts)
    job.note(f"{train} volumes to train with, {valid} to choose by, {test} to test on")
    job.tested_on(parts.test)
    return classify(job, parts, asked | {"mirrored": not data.sided(name)}, training)


def classify(job: Job, parts: Any, asked: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
    """Train members, test them together; with filters before the network, one without them beside it,
    which compares with one member.

    asked: front_end, learned, members, augmented, averaged, mirrored, width, activation.
    """
    nets = [trained(job, parts, asked, training, member) for member in range(asked["members"])]
    answers = [said(job, net, parts.test, asked) for net in nets]
    found: dict[str, Any] = figures(torch.stack(answers).mean(0), parts.test)
    if len(nets) > 1:
        alone = [figures(answer, parts.test) for answer in answers]
        found |= {f"{key}_one_member": statistics.fmean(one[key] for one in alone) for key in ("accuracy", "auroc")}
    if asked["front_end"] != "none":
        plain = trained(job, parts, asked | {"front_end": "none"}, training, 0, "without")
        beside = figures(said(job, plain, parts.test, asked), parts.test)
        found |= {f"{key}_without_front_end": beside[key] for key in ("accuracy", "auroc")}
    found |= baselines(parts)
    assess(job, torch.stack(answers).mean(0), parts.test.y, parts.test.classes, probabilities=True)
    looks(job, nets[0], parts.test)
    job.picture("volumes", plot.mosaic(*_slices(parts.test), columns=SHOWN)[0])
    return found | {"parameters": sum(p.numel() for p in nets[0].parameters() if p.requires_grad)}


def network(in_channels: int, classes: int, asked: dict[str, Any]) -> nn.Module:
    """A small 3-D ResNet, behind a bank of filters where one is asked for."""
    options = {"ndim": 3, "classes": classes, "width": asked["width"], "activation": asked["activation"]}
    build = lambda channels: models.resnet.build("10", in_channels=channels, stem="small", **options)
    if asked["front_end"] == "none":
        return build(in_channels)
    bank = _banks.Responses(asked["front_end"], 3, asked["learned"])
    if not asked["learned"]:
        bank.requires_grad_(False)
    return nn.Sequential(OrderedDict(front_end=bank, network=build(in_channels * bank.filters)))


def trained(
    job: Job, parts: Any, asked: dict[str, Any], training: dict[str, Any], member: int, name: str = ""
) -> nn.Module:
    """One network, its best epoch by the validation part."""
    seeds.everything(job.seed + 1000 * member)
    model = network(parts.train.x.shape[1], len(parts.train.classes), asked)
    shown = augment.Augmented(parts.train, moved(asked["mirrored"])) if asked["augmented"] else parts.train
    options: dict[str, Any] = {"schedule": "one-cycle", "weight_decay": 0.05, "average": 0.98, **training}
    name = name or (f"model_{member}" if member else "model")
    fit(model, shown, parts.valid, job=job, name=name, loss=nn.CrossEntropyLoss(label_smoothing=0.1), **options)
    return model


def moved(mirrored: bool) -> augment.Chain:
    """Turned, scaled and shifted a little, the outside empty; mirrored, where that leaves the class as it is."""
    parts: list[Any] = [augment.Flip()] if mirrored else []
    warp = augment.Warp(augment.Rotate(20.0), augment.Scale(0.15), augment.Shift(2.0), padding_mode="zeros")
    return augment.Chain(*parts, warp)


def said(job: Job, model: nn.Module, part: Any, asked: dict[str, Any]) -> Tensor:
    """The probabilities of each volume; averaged over its mirror images, where these are of the same class."""
    ways = CORNERS if asked["averaged"] and asked["mirrored"] else CORNERS[:1]
    total = torch.zeros(())
    for axes in ways:
        view = data.Bytes(part.x.flip(axes) if axes else part.x, part.y, part.classes)
        total = total + predict(model, view, job=job)[0].double().softmax(1)
    return total / len(ways)


def figures(shares: Tensor, test: Any) -> dict[str, float]:
    """Accuracy and area under the ROC curve, of more than two classes the mean of each against all; with intervals,
    where one is known.
    """
    found = {"accuracy": accuracy(shares, test.y)}
    low, high = wilson(round(found["accuracy"] * len(test.y)), len(test.y))
    found |= {"accuracy_low": low, "accuracy_high": high}
    if len(test.classes) == 2:
        scores = shares[:, 1]
        low, high = auroc_interval(scores, test.y)
        return found | {"auroc": auroc(scores, test.y), "auroc_low": low, "auroc_high": high}
    present = [n for n in range(len(test.classes)) if 0 < int((test.y == n).sum()) < len(test.y)]
    return found | {"auroc": statistics.fmean(auroc(shares[:, n], (test.y == n).long()) for n in present)}


def baselines(parts: Any) -> dict[str, float]:
    """Ridge regression on the voxels, and on how much each slice holds: what needs no convolution."""
    found: dict[str, float] = {}
    for name, seen in (("voxels", _voxels), ("profiles", _profiles)):
        scores = ridge([seen(part.x) for part in parts], [part.y for part in parts], len(parts.train.classes))
        found |= {f"{key}_{name}": value for key, value in figures(scores, parts.test).items() if "_" not in key}
    return found


def _voxels(x: Tensor) -> Tensor:
    return nn.functional.avg_pool3d(x.float(), 2).flatten(1).double()


def _profiles(x: Tensor) -> Tensor:
    return torch.cat([x.double().mean((1, *(a for a in (2, 3, 4) if a != axis))) for axis in (2, 3, 4)], 1)


def _slices(part: Any) -> tuple[list[Tensor], list[str]]:
    """The middle slices of the first volumes of each class."""
    chosen = [int(n) for label in range(len(part.classes)) for n in (part.y == label).nonzero().flatten()[:SHOWN]]
    middle = part.x.shape[2] // 2
    return [part.x[n, 0, middle] for n in chosen], [part.classes[int(part.y[n])] for n in chosen]
