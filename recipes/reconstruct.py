"""Reconstruct: do signals without labels help where labels are few? An autoencoder, then a classifier.

Question  how much is a classifier of a hundred labelled signals helped by having learned to reconstruct thousands?
Data      MNIST-1D (--source mnist1d): 3,600 signals without their labels, and a hundred with them; or drawn cars,
          trucks and vans (--source shapes). As many more labels are held back to choose by; nothing is fetched
Model     a convolutional autoencoder: three halvings, and transposed convolutions back, each layer trained by itself
          on the codes of those before it, then all together; its encoder and a linear layer, fine-tuned on the labels
Baseline  the same classifier from random weights, on the same labels; and a linear layer on the code, nothing else
Source    the lectures' AR19; Masci et al. 2011, Stacked Convolutional Auto-Encoders

  sigconv run reconstruct                                five draws of labels, means and their spread
  sigconv run reconstruct --labels 50 --tied             the way back with the weights of the way there
"""

from __future__ import annotations

import math
import statistics
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import console, models, plot
from sigconv.blocks import ACTIVATIONS
from sigconv.datasets import drawn_shapes, mnist1d
from sigconv.datasets._parts import Arrays
from sigconv.train import evaluate, fit, predict, run
from sigconv.train.job import Job

SOURCES = ("mnist1d", "shapes")
WAYS = ("pretrained", "scratch", "frozen")
POSITIONS = {"mnist1d": 5, "shapes": 3}  # of the code, that the classifier's linear layer sees


def reconstruct(
    job: Job,
    *,
    source: str = "mnist1d",
    labels: int = 100,
    repeats: int = 5,
    tied: bool = False,
    width: float = 0.5,
    activation: str = "relu",
    pretraining: int = 15,
    epochs: int = 60,
    lr: float = 2e-3,
    batch_size: int = 50,
) -> dict[str, Any]:
    """Pretrain without labels, fine-tune with few, against training from scratch.

    Args:
        source: mnist1d or shapes
        labels: labelled items to train with, and as many to choose by
        repeats: draws of labels, each with random weights of its own
        tied: let the decoder use the encoder's weights, transposed
        width: of the network, times its 32, 64 and 128 channels
        activation: relu, leaky_relu, prelu, maxout, selu, swish, silu, elu, gelu, tanh, sigmoid or identity
        pretraining: passes over the items without labels, whole; a third as many for each layer before
        epochs: passes over the labelled ones
        lr: learning rate
        batch_size: items a step; half as many of the labelled ones
    """
    for name, word, words in (("source", source, SOURCES), ("activation", activation, tuple(ACTIVATIONS))):
        if word not in words:
            raise console.UsageError(f"--{name} {word!r} is not one of {', '.join(words)}")
    parts = mnist1d.load(seed=job.seed) if source == "mnist1d" else drawn_shapes.load(size=24, seed=job.seed)
    if repeats < 1 or not 10 <= labels <= len(parts.valid):
        raise console.UsageError(f"--repeats {repeats} must be at least 1, --labels {labels} 10 to {len(parts.valid)}")
    shape = {"ndim": parts.train.x.ndim - 2, "in_channels": 1, "classes": len(parts.train.classes)}
    options: dict[str, Any] = {"job": job, "lr": lr, "every": max(epochs // 10, 1)}
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    errors = []
    for repeat in range(repeats):
        few = [_few(part, labels, job.seed + repeat) for part in parts[:2]]
        build = lambda: models.autoencoder.build(
            "tied" if tied else "free", width=width, activation=activation, **shape
        )
        torch.manual_seed(job.seed * 1000 + repeat)
        model, fresh = build(), build()
        pretrain(model, parts, repeat, pretraining, job=job, lr=lr, batch_size=batch_size)
        errors.append(_error(model, parts.test, job))
        if repeat == 0:
            job.picture("reconstructions", _pictures(model, parts.test, job))
        for way in ("frozen", "pretrained", "scratch"):  # the frozen first: fine-tuning changes the encoder
            torch.manual_seed(job.seed * 1000 + repeat)
            net = (fresh if way == "scratch" else model).classifier(positions=POSITIONS[source])
            net[:-1].requires_grad_(way != "frozen")
            name = f"{way}-{repeat}"
            fit(net, *few, epochs=epochs, batch_size=max(batch_size // 2, 1), weight_decay=0.01, name=name, **options)
            found[way].append(evaluate(net, parts.test, job=job)["accuracy"])
    job.tested_on(parts.test)
    gains = [a - b for a, b in zip(found["pretrained"], found["scratch"], strict=True)]
    return {
        "accuracy": statistics.fmean(found["pretrained"]),
        "accuracy_scratch": statistics.fmean(found["scratch"]),
        "accuracy_frozen": statistics.fmean(found["frozen"]),
        "gain": statistics.fmean(gains),
        "gain_standard_error": statistics.stdev(gains) / math.sqrt(repeats) if repeats > 1 else math.nan,
        "unexplained_variance": statistics.fmean(errors),
        "labels": labels,
        "parameters": sum(p.numel() for p in net.parameters()),
    }


def pretrain(model: Any, parts: Any, repeat: int, epochs: int, *, job: Job, lr: float, batch_size: int) -> None:
    """Each layer by itself on the codes of those before it, then the whole; labels are not looked at."""
    options: dict[str, Any] = {"job": job, "lr": lr, "batch_size": batch_size, "loss": nn.MSELoss(), "every": 5}
    train, valid = parts.train.x, parts.valid.x
    for depth, layer in enumerate(model.layers, 1):
        sets = [Arrays(x, x, ()) for x in (train, valid)]
        fit(layer, *sets, epochs=-(-epochs // 3), name=f"layer{depth}-{repeat}", **options)
        train, valid = (predict(_Encode(layer), part, job=job)[0] for part in sets)
    sets = [Arrays(part.x, part.x, ()) for part in parts[:2]]
    fit(model, *sets, epochs=epochs, schedule="cosine", name=f"autoencoder-{repeat}", **options)


class _Encode(nn.Module):
    """A layer's way there alone."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer.encode(x)


def _few(part: Arrays, count: int, seed: int) -> Arrays:
    """So many of the items, drawn by the seed, as many of each class as can be."""
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))
    y = part.y[order]
    turn = torch.stack([(y[: i + 1] == y[i]).sum() for i in range(len(y))])  # which of its class an item is
    return part.subset(order[turn.argsort(stable=True)[:count]])


def _error(model: nn.Module, part: Arrays, job: Job) -> float:
    """Share of the variance that the reconstruction leaves unexplained."""
    made, x = predict(model, Arrays(part.x, part.x, ()), job=job)
    return ((made - x).square().mean() / (x - x.mean()).square().mean()).item()


def _pictures(model: nn.Module, part: Arrays, job: Job) -> Any:
    """Test items above what was reconstructed of them."""
    few = Arrays(part.x[:5], part.x[:5], ())
    made, x = predict(model, few, job=job)
    rows = torch.cat([x, made])[:, 0]
    names = [f"{word} {part.classes[label]}" for word in ("class", "made of") for label in part.y[:5]]
    return (plot.traces(rows, names) if rows.ndim == 2 else plot.mosaic(list(rows), names, columns=5))[0]


if __name__ == "__main__":
    run(reconstruct)
