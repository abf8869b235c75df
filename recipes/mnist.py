"""MNIST: how far does each idea carry, from one hidden layer to convolutions, shifts and dropout?

Question  Nielsen's ladder on handwritten digits, one idea a rung, each as he configured it; and how far a small net of
          today goes with the same 50,000 images
Data      MNIST: 50,000 images to train with, 10,000 to choose by (the last of the training file), 10,000 to test
Models    784-100-10, 79,510 parameters, to two convolutions and 2 x 1,000 thinned units, 1,672,570; with --best a
          residual net of 9 convolutions
Training  plain SGD, mini-batches of 10, log-likelihood; the weights of the epoch that is best on the validation part
Source    Nielsen, Neural Networks and Deep Learning, chapters 3 and 6 (network3.py); Prince, section 10.5

  sigconv run mnist                          two convolutions, ReLU, a little weight decay: 99.23 % published
  sigconv run mnist --rung fc                one hidden layer of 100 sigmoids: 97.80
  sigconv run mnist --rung fc-decay          the lecture's, lambda = 5: about 98
  sigconv run mnist --rung conv              one convolution before it: 98.78
  sigconv run mnist --rung conv-conv         two: 99.06
  sigconv run mnist --rung expanded          with four shifts of every image: 99.37
  sigconv run mnist --rung expanded-fc       and a second hidden layer: 99.43
  sigconv run mnist --rung dropout           two of 1,000 units, half of them left out at each step: 99.60
  sigconv run mnist --best                   the strongest small net, affine and elastic variants, averaged weights
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from sigconv import console, nd
from sigconv.datasets import mnist as data
from sigconv.models import nielsen
from sigconv.recipes import _mnist
from sigconv.train import accuracy, evaluate, fit, predict, run
from sigconv.train.assessment import assess
from sigconv.train.devices import threads
from sigconv.train.job import Job
from sigconv.train.looks import looks
from sigconv.transforms import augment


class Rung(NamedTuple):
    """One of Nielsen's experiments: his net, his numbers, and the accuracy on the test set that he reports."""

    net: str
    activation: str
    lr: float
    decay: float  # of a step's weights, before lr: see below
    epochs: int
    expanded: bool
    published: float


# network3 adds lambda / (2 · mini-batches an epoch) · |w|² to a mini-batch's cost, biases left out: its gradient is
# lambda / batches · w, and so SGD's weight_decay is lambda / batches. network2, of chapter 3, divides by images.
NET3, NET3_EXPANDED, NET2 = 0.1 / 5_000, 0.1 / 25_000, 5.0 / 50_000
RUNGS = {
    "fc": Rung("fc", "sigmoid", 0.1, 0.0, 60, False, 0.9780),
    "fc-decay": Rung("fc", "sigmoid", 0.1, NET2, 60, False, 0.98),
    "conv": Rung("conv", "sigmoid", 0.1, 0.0, 60, False, 0.9878),
    "conv-conv": Rung("conv-conv", "sigmoid", 0.1, 0.0, 60, False, 0.9906),
    "conv-conv-relu": Rung("conv-conv", "relu", 0.03, NET3, 60, False, 0.9923),
    "expanded": Rung("conv-conv", "relu", 0.03, NET3_EXPANDED, 60, True, 0.9937),
    "expanded-fc": Rung("conv-conv-fc", "relu", 0.03, NET3_EXPANDED, 60, True, 0.9943),
    "dropout": Rung("dropout", "relu", 0.03, 0.0, 40, True, 0.9960),
}
PUBLISHED_BATCH = 10


def mnist(
    job: Job,
    *,
    rung: str = "conv-conv-relu",
    best: bool = False,
    activation: str | None = None,
    data_root: Path | None = None,
    epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
) -> dict[str, Any]:
    """Train one rung of Nielsen's ladder, or the strongest small net.

    Args:
        rung: fc, fc-decay, conv, conv-conv, conv-conv-relu, expanded, expanded-fc or dropout
        best: the strongest small net instead
        activation: of all hidden units, such as relu, prelu, selu, swish; without it, the rung's own
        data_root: folder that holds mnist/ (four .gz files); else $SIGCONV_DATA, the cache, a download
        epochs: passes over the training set (60; 40 with dropout; 24 with --best)
        lr: learning rate (0.1 for sigmoids, 0.03 for ReLU; 0.01, the highest, with --best)
        batch_size: images a step (10; 100 with --best)
    """
    nd.one_of(rung, tuple(RUNGS), "rung")
    if best and rung != "conv-conv-relu":
        raise console.UsageError(f"--best is no rung, and --rung {rung} is: choose one")
    given = {"epochs": epochs, "lr": lr, "batch_size": batch_size}
    own = {name: value for name, value in given.items() if value is not None}
    parts = data.load(data_root, seed=job.seed)
    job.tested_on(parts.test)
    with threads(1):  # mini-batches this small lose by being shared between cores
        if best:
            return strongest(job, parts, activation or "relu", own)
        return climbed(job, parts, RUNGS[rung], activation, own)


def climbed(job: Job, parts: Any, rung: Rung, activation: str | None, own: dict[str, Any]) -> dict[str, Any]:
    """One rung as published, but for what the command line changes."""
    options: dict[str, Any] = {"epochs": rung.epochs, "lr": rung.lr, "batch_size": PUBLISHED_BATCH}
    options |= {"optimizer": "sgd", "weight_decay": rung.decay} | own
    if activation not in (None, rung.activation):
        job.note(f"Not as published: {activation} for {rung.activation}.")
    changed = [f"{name} {options[name]} for {usual}" for name, usual in _usual(rung).items() if options[name] != usual]
    if changed:
        job.note(f"Not as published: {', '.join(changed)}.")
    train = data.expanded(parts.train) if rung.expanded else parts.train
    net = nielsen.build(rung.net, size=parts.train.x.shape[-1], activation=activation or rung.activation)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the same, half again as fast
    fit(net, train, parts.valid, job=job, **options)
    return report(job, net, parts) | {"published": rung.published}


def _usual(rung: Rung) -> dict[str, Any]:
    return {"epochs": rung.epochs, "lr": rung.lr, "batch_size": PUBLISHED_BATCH}


def strongest(job: Job, parts: Any, activation: str, own: dict[str, Any]) -> dict[str, Any]:
    """A residual net on images moved, turned, stretched and bent anew at every look."""
    options: dict[str, Any] = {"epochs": 24, "lr": 0.01, "batch_size": 100, "weight_decay": 0.02}
    options |= {"schedule": "one-cycle", "average": 0.998, "loss": nn.CrossEntropyLoss(label_smoothing=0.05)}
    net = _mnist.residual_net(activation)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fit(net, augment.Augmented(parts.train, _mnist.vary), parts.valid, job=job, **options | own)
    return report(job, net, parts)


def report(job: Job, net: nn.Module, parts: Any) -> dict[str, Any]:
    """The test set, looked at once, by the weights of the best validation epoch; every mistake."""
    scores, targets = predict(net, parts.test, job=job)
    found = scores.argmax(1)
    assess(job, scores, targets, data.CLASSES)
    wrong = (found != targets).nonzero().flatten()
    if len(wrong):
        figure = _mnist.gallery(parts.test.x[wrong, 0], targets[wrong], found[wrong], of=len(targets))
        job.picture("mistakes", figure)
    looks(job, net, parts.test)
    return {
        "accuracy": accuracy(scores, targets),
        "validation_accuracy": evaluate(net, parts.valid, job=job)["accuracy"],
        "mistakes": len(wrong),
        "parameters": sum(p.numel() for p in net.parameters()),
    }


if __name__ == "__main__":
    run(mnist)
