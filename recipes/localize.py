"""Localize: what is in the image, and where? Class and box by two heads of one trunk, trained one after the other.

Question  does a trunk that was only ever asked what is there also know where? And, with --objects several: can a
          convolution's map of answers find each of several objects?
Data      drawn cars, trucks and vans on clutter: 3,000 images to train with, 600 to choose by, 1,000 to test on (made,
          not fetched). One object of a quarter to six tenths of the image; or one to four smaller ones
Model     one: three convolutions and poolings; a head for the class, trained with them; then, all that frozen, a head
          of four numbers for the box. several: the same convolutions, and an answer at every fourth position: how much
          it is the centre of a class, and how large; the peaks of that map are the objects
Baseline  one: the mean of all training boxes, and a ridge regression of the box on the pixels. several: the brightest
          and darkest blobs by a centre-surround filter, each with the mean box
Source    the lectures' AR18, AP5; Sermanet et al. 2013 (OverFeat); Zhou, Wang and Krähenbühl 2019 (Objects as Points)

  sigconv run localize                        one object
  sigconv run localize --objects several      one to four of them
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import sigconv as sc
from sigconv import console, models, plot
from sigconv.blocks import ACTIVATIONS
from sigconv.datasets import drawn_shapes as data
from sigconv.models.localizer import Objects, peaks
from sigconv.recipes._boxes import heat_loss, matched, overlap
from sigconv.train import accuracy, fit, predict, run
from sigconv.train.assessment import assess
from sigconv.train.job import Job

SIZES = {"one": 48, "several": 64}
MOST, WIDEST = 1_000_000, 16  # images, which are drawn into memory; times the channels below
RIDGE = tuple(10.0**power for power in range(6))
THRESHOLDS = tuple(n / 20 for n in range(2, 17))


def localize(
    job: Job,
    *,
    objects: str = "one",
    samples: int = 3000,
    width: float = 0.5,
    activation: str = "relu",
    epochs: int = 10,
    lr: float = 3e-3,
    batch_size: int = 50,
) -> dict[str, Any]:
    """Find drawn vehicles.

    Args:
        objects: one, or several
        samples: images to train with; a fifth as many to choose by, a third to test on
        width: of the network, times its 32, 64 and 128 channels
        activation: relu, leaky_relu, prelu, maxout, selu, swish, silu, elu, gelu, tanh, sigmoid or identity
        epochs: passes over the training set, for each head
        lr: learning rate
        batch_size: images a step
    """
    for name, word, words in (("objects", objects, tuple(SIZES)), ("activation", activation, tuple(ACTIVATIONS))):
        if word not in words:
            raise console.UsageError(f"--{name} {word!r} is not one of {', '.join(words)}")
    if not 15 <= samples <= MOST:
        raise console.UsageError(f"--samples {samples} must be 15 to {MOST}")
    if not 0 < width <= WIDEST:
        raise console.UsageError(f"--width {width} must be above 0, and {WIDEST} at most")
    task = "box" if objects == "one" else "several"
    counts = {"train": samples, "valid": samples // 5, "test": samples // 3}
    parts = data.load(task=task, size=SIZES[objects], seed=job.seed, **counts)
    job.tested_on(parts.test)
    torch.manual_seed(job.seed)
    shape: dict[str, Any] = {"in_channels": 1, "classes": len(data.CLASSES), "width": width, "activation": activation}
    model = models.localizer.build(objects, **shape)
    options: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "weight_decay": 0.01}
    options |= {"schedule": "one-cycle", "job": job}
    return (_one if objects == "one" else _several)(job, model, parts, options)


def _one(job: Job, model: Any, parts: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The class with the trunk, then the box alone."""
    train, valid, test = parts
    right = lambda outputs, y: accuracy(model.answers(outputs)[0], y[:, 0].long())
    shared = lambda outputs, y: overlap(model.answers(outputs)[1], y[:, 1:]).mean().item()
    class_loss = lambda outputs, y: F.cross_entropy(model.answers(outputs)[0], y[:, 0].long())
    fit(model.learn("class"), train, valid, loss=class_loss, scores={"accuracy": right}, name="class", **options)
    fit(model.learn("box"), train, valid, loss=_box_loss, scores={"iou": shared}, name="box", **options)
    job.keep_weights("class", model)  # both heads: the run's weights

    outputs, y = predict(model, test, job=job)
    scores, boxes = model.answers(outputs)
    assess(job, scores, y[:, 0].long(), data.CLASSES)
    shares = overlap(boxes, y[:, 1:])
    mean = train.y[:, 1:].mean(0).expand(len(y), -1)
    ridge = overlap(_ridge(parts), y[:, 1:])
    found = [
        Objects(s.argmax()[None], s.softmax(0).max()[None], b[None], b[None])
        for s, b in zip(scores, boxes, strict=True)
    ]
    job.picture("test_images", _picture(test.x, found, y[:, None]))
    return {
        "accuracy": right(outputs, y),
        "mean_iou": shares.mean().item(),
        "iou_above_half": (shares > 0.5).double().mean().item(),
        "mean_iou_mean_box": overlap(mean, y[:, 1:]).mean().item(),
        "mean_iou_ridge": ridge.mean().item(),
        "iou_above_half_ridge": (ridge > 0.5).double().mean().item(),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def _box_loss(outputs: Tensor, y: Tensor) -> Tensor:
    """What is missing of the overlap, and how far the sides are off."""
    boxes, true = outputs[:, -(y.shape[1] - 1) :], y[:, 1:]
    return (1 - overlap(boxes, true)).mean() + (boxes - true).abs().sum(1).mean()


def _ridge(parts: Any) -> Tensor:
    """Boxes of the test images by ridge regression on pixels, its penalty chosen by the validation images."""
    (x, y), *others = ((part.x.flatten(1).double(), part.y[:, 1:].double()) for part in parts)
    middle, mean = x.mean(0), y.mean(0)
    values, vectors = torch.linalg.eigh((x - middle).T @ (x - middle))
    across = vectors.T @ ((x - middle).T @ (y - mean))
    answer = lambda x, penalty: (x - middle) @ (vectors @ (across / (values + penalty)[:, None])) + mean
    best = max(RIDGE, key=lambda penalty: overlap(answer(others[0][0], penalty), others[0][1]).mean().item())
    return answer(others[1][0], best).float()


def _several(job: Job, model: Any, parts: Any, options: dict[str, Any]) -> dict[str, Any]:
    """A map of answers, and its peaks; the threshold is the best one of the validation images."""
    train, valid, test = parts
    fit(model, train, valid, loss=heat_loss, name="heat", **options)
    find = lambda outputs, threshold: peaks(outputs, model.classes, threshold=threshold, most=2 * data.MOST)
    threshold, found, y = _chosen(find, *predict(model, valid, job=job), *predict(model, test, job=job), by_class=True)
    job.say(f"threshold {threshold:g}, by the validation images")
    rows = [row[row[:, 0] >= 0] for row in train.y]
    extent = torch.cat([row[:, 3:] - row[:, 1:3] for row in rows]).mean(0)
    blobs = lambda x, threshold: peaks(_blobs(x, extent), 1, threshold=threshold, size=7, most=2 * data.MOST)
    _, spots, _ = _chosen(blobs, valid.x, valid.y, test.x, test.y, by_class=False)
    job.picture("test_images", _picture(test.x, found, y))
    anything, dots = matched(found, y, by_class=False), matched(spots, y, by_class=False)
    return {
        **matched(found, y),
        "f1_any_class": anything["f1"],
        "f1_any_class_blobs": dots["f1"],
        "threshold": threshold,
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def _chosen(
    find: Any, valid: Any, y_valid: Tensor, test: Any, y_test: Tensor, by_class: bool
) -> tuple[float, Any, Tensor]:
    """The threshold of the best f1 on validation, and what it finds in the test images."""
    scored = {t: matched(find(valid, t), y_valid, by_class=by_class)["f1"] for t in THRESHOLDS}
    best = max(scored, key=scored.__getitem__)
    return best, find(test, best), y_test


def _blobs(x: Tensor, extent: Tensor) -> Tensor:
    """A heat map without learning: how a spot differs from its surround; every box of the mean extent."""
    size = int(extent.min() * x.shape[-1]) | 1
    near, far = (sc.avg_pool(x, k, 1, padding=k // 2, count_include_pad=False) for k in (size, 3 * size))
    contrast = (near - far).abs()
    scores = torch.logit((contrast / 1.5).clamp(1e-4, 1 - 1e-4))
    half = torch.full((len(extent),), 0.5)  # a sample's middle
    facts = torch.cat([half, extent])[None, :, None, None].expand(len(x), -1, *x.shape[2:])
    return torch.cat([scores, facts], 1)


def _picture(x: Tensor, found: Any, y: Tensor) -> Any:
    """Twelve test images: what was found in colour, what is there dashed."""
    count = min(12, len(x))
    figure, grid = plot.images(
        [x[i, 0].flip(0) for i in range(count)], [_said(found[i]) for i in range(count)], columns=6
    )
    tall, wide = x.shape[2:]
    for i, ax in zip(range(count), grid.flat, strict=False):
        rows = [(row[1:], "white", "--") for row in y[i] if row[0] >= 0] + [
            (box, "#56B4E9", "-") for box in found[i].boxes
        ]
        for box, colour, line in rows:
            top, left, bottom, right = (box * torch.tensor([tall, wide, tall, wide]) - 0.5).tolist()
            upside = lambda y: tall - 1 - y
            ax.plot(
                [left, right, right, left, left],
                [upside(v) for v in (top, top, bottom, bottom, top)],
                line,
                color=colour,
            )
    return figure


def _said(objects: Objects) -> str:
    return ", ".join(
        f"{data.CLASSES[label]} {score:.0%}" for label, score in zip(objects.labels, objects.scores, strict=True)
    )


if __name__ == "__main__":
    run(localize)
