"""MNIST-1D: does knowing that neighbours belong together help?

Question  the lectures' experiment: a small convolutional net against a fully connected one of 29 times its parameters
Data      4,000 noisy drawings of ten shapes, 40 samples each, to train with; 1,000 to test (made, not fetched)
Models    three strided convolutions of 15 channels (2,050 parameters); layers of 285, 135, 60 units (59,065); and the
          convolutional net again on signals whose samples are put in one random order, which it cannot exploit
Source    Prince, Understanding Deep Learning, section 10.5; Greydanus and Kobak 2020, arXiv:2011.14439

  sigconv run mnist1d              a minute: 5,400 of the lecture's steps, weights chosen by a validation part
  sigconv run mnist1d --full       the lecture: 100,000 steps of plain SGD on all 4,000, weights of the last step
  sigconv run mnist1d --best       the strongest small net: residual, augmented, averaged; 32,042 parameters
  sigconv run mnist1d --unlimited  the same net on an endless stream of fresh samples
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import sigconv as sc
from sigconv import console, models, plot
from sigconv.blocks import activation as activated
from sigconv.datasets import mnist1d as data
from sigconv.train import evaluate, fit, predict, run
from sigconv.train.assessment import assess
from sigconv.train.devices import threads
from sigconv.train.job import Job
from sigconv.train.looks import looks
from sigconv.transforms import augment

FRESH = 10_000  # samples never seen, for a figure finer than 1,000 test items give


def mnist1d(
    job: Job,
    *,
    full: bool = False,
    best: bool = False,
    unlimited: bool = False,
    activation: str = "relu",
    epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
) -> dict[str, Any]:
    """Train the nets of the lecture, or the strongest small one.

    Args:
        full: the lecture's 100,000 steps of SGD without momentum on all 4,000 samples, last step
        best: the strongest small net, trained with augmentation on the 3,600 training samples
        unlimited: the strongest small net, trained on fresh samples from the generator
        activation: of all hidden units: relu, leaky_relu, prelu, maxout, selu, swish, silu and others
        epochs: passes over the training set (150; 2,500 with --full; 40 with --best; 30 of 12,800 with --unlimited)
        lr: learning rate (0.05; 0.01 with --full; 0.006 with --best; 0.01 with --unlimited)
        batch_size: samples a step (100; 64 with --best; 128 with --unlimited)
    """
    if full + best + unlimited > 1:
        raise console.UsageError("--full, --best and --unlimited are three experiments: choose one")
    given = {"epochs": epochs, "lr": lr, "batch_size": batch_size}
    own = {name: value for name, value in given.items() if value is not None}
    with threads(1):  # nets this small lose by being shared between cores
        if best or unlimited:
            return strongest(job, unlimited, activation, own)
        return lecture(job, full, activation, own)


def lecture(job: Job, full: bool, activation: str, own: dict[str, Any]) -> dict[str, Any]:
    """Convolutional, fully connected, and convolutional on shuffled samples: curves in one picture."""
    options: dict[str, Any] = {"epochs": 150, "lr": 0.05, "momentum": 0.9, "every": 5}
    options |= {"batch_size": 100, "optimizer": "sgd"}
    if full:
        options |= {"epochs": 2500, "lr": 0.01, "momentum": 0.0, "every": 25}
    options |= own
    curves: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for name, build, shuffled in (("cnn", cnn, False), ("dense", dense, False), ("shuffled", cnn, True)):
        train, valid, test = data.load(seed=job.seed, shuffle=shuffled)
        if full:
            train, valid = both(train, valid), None
        torch.manual_seed(job.seed)
        model = build(activation)
        rows = fit(model, train, valid, job=job, name=name, watch={"train": train, "test": test}, **options)
        for part in ("train", "test"):
            errors = [100 * (1 - row[f"{part}_accuracy"]) for row in rows]
            curves[f"{name} {part}"] = ([row["step"] for row in rows], errors)
        found[name] = evaluate(model, test, job=job)["accuracy"]
        job.tested_on(test)
        if name == "cnn":
            assess(job, *predict(model, test, job=job), data.CLASSES)
            looks(job, model, test)
    figure, ax = plot.curves(
        curves, xlabel="steps", ylabel="error, %", dashed=[n for n in curves if n.endswith("train")]
    )
    ax.set_ylim(bottom=0)
    job.picture("error_against_steps", figure)
    job.picture("ten_test_signals", _signals())
    steps = curves["cnn test"][0][-1] if curves["cnn test"][0] else 0
    if not full:
        job.note(
            f"This run took {steps:,} steps with momentum and chose its weights by 400 validation samples. Skipped: "
            "the lecture's 100,000 steps without momentum on all 4,000; sigconv run mnist1d --full makes them."
        )
    return {
        "accuracy": found["cnn"],
        "accuracy_fully_connected": found["dense"],
        "accuracy_shuffled": found["shuffled"],
        "parameters": count(cnn(activation)),
        "parameters_fully_connected": count(dense(activation)),
    }


def strongest(job: Job, unlimited: bool, activation: str, own: dict[str, Any]) -> dict[str, Any]:
    """A residual net of three blocks; tested on the published test set and on samples never seen before."""
    train, valid, test = data.load(seed=job.seed)
    options: dict[str, Any] = {"schedule": "one-cycle", "average": 0.998}
    if unlimited:
        train, valid = data.Unlimited(12_800), data.Unlimited(5_000).fixed(seed=job.seed + 1)
        options |= {"epochs": 30, "lr": 0.01, "batch_size": 128, "weight_decay": 0.01}
    else:
        train = augment.Augmented(train, vary)
        options |= {"epochs": 40, "lr": 0.006, "batch_size": 64, "weight_decay": 0.03}
        options["loss"] = nn.CrossEntropyLoss(label_smoothing=0.05)
    model = residual_net(activation=activation)
    fit(model, train, valid, job=job, **options | own)
    assess(job, *predict(model, test, job=job), data.CLASSES)
    looks(job, model, test)
    job.tested_on(test)
    fresh = evaluate(model, data.Unlimited(FRESH).fixed(seed=2**20 + job.seed), job=job)["accuracy"]
    return {"accuracy": evaluate(model, test, job=job)["accuracy"], "accuracy_fresh": fresh, "parameters": count(model)}


def cnn(activation: str = "relu") -> nn.Sequential:
    """Positions 40 -> 19 -> 9 -> 4; 60 + 690 + 690 + 610 parameters (PC13)."""
    return models.mnist1d.build("cnn", activation=activation)


def dense(activation: str = "relu") -> nn.Sequential:
    """As many units a layer as the convolutional net has (PC14)."""
    return models.mnist1d.build("dense", activation=activation)


def residual_net(channels: int = 32, activation: str = "relu") -> nn.Sequential:
    """A wide first look, three residual blocks, and what was seen anywhere: by mean and by maximum."""
    return nn.Sequential(
        sc.Conv1d(1, channels, 7, padding="same", bias=False),
        nn.BatchNorm1d(channels),
        activated(activation, channels, 1),
        Residual(channels, activation=activation),
        sc.MaxPool(2),
        Residual(channels, activation=activation),
        Residual(channels, activation=activation, dilation=2),
        MeanAndMax(),
        nn.Dropout(0.2),
        nn.Linear(2 * channels, 10),
    )


class Residual(nn.Module):
    """Two convolutions of five taps, the first dilated, and a way around them."""

    def __init__(self, channels: int, dilation: int = 1, activation: str = "relu") -> None:
        super().__init__()
        first = sc.Conv1d(channels, channels, 5, padding="same", dilation=dilation, bias=False)
        second = sc.Conv1d(channels, channels, 5, padding="same", bias=False)
        between = activated(activation, channels, 1)
        self.body = nn.Sequential(first, nn.BatchNorm1d(channels), between, second, nn.BatchNorm1d(channels))
        self.last = activated(activation, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + self.body(x))


class MeanAndMax(nn.Module):
    """Global average and global maximum, side by side."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([sc.global_pool(x, "avg"), sc.global_pool(x, "max")], 1)


def vary(x: Tensor, generators: Any) -> Tensor:
    """Stretch by up to 10 %, shift by up to 4 samples, scale by up to 20 %, add a ramp and a little noise."""
    u = augment.uniforms(generators, 4, x)
    x = augment.warp(x, torch.exp(0.1 * u[:, 0]), 4 * u[:, 1])
    ramp = torch.linspace(-1, 1, x.shape[-1], device=x.device)
    x = x * torch.exp(0.2 * u[:, 2])[:, None, None] + 0.8 * u[:, 3, None, None] * ramp
    return x + 0.05 * augment.normals(generators, x)


def both(train: Any, valid: Any) -> Any:
    """Training and validation part together, as the lecture trains."""
    return data.Arrays(torch.cat([train.x, valid.x]), torch.cat([train.y, valid.y]), data.CLASSES)


def count(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _signals() -> Any:
    made = data.generate()
    first = [int((made.y_test == digit).argmax()) for digit in range(10)]
    return plot.traces(made.x_test[first], [f"class {digit}" for digit in range(10)])[0]


if __name__ == "__main__":
    run(mnist1d)
