"""Text classes: of what kind is a piece of text, read character by character?

Question  does a convolution along the characters of a text, which knows no word, tell kinds of text apart better than
          counts of its character triples?
Data      a folder of .txt files for each class (--data-root DIR); without one, three classes made of the standard
          library of Python: code, comments, docstrings (PSF licence). Pieces of 64 characters; files are of one part
          whole, the tenth each to choose by and to test on
Model     a vector for each character; a convolution of 7 and of 5 characters, each with pooling, one of 3; the largest
          answer anywhere; a fully connected layer; softmax
Baseline  naive Bayes on character 1-, 2- and 3-grams, its smoothing chosen by the validation pieces
Source    the lectures' AP4, AR20; Zhang, Zhao and LeCun 2015, Character-level convolutional networks

  sigconv run text_classes                          the made corpus
  sigconv run text_classes --data-root DIR          DIR/<class>/*.txt
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import sigconv as sc
from sigconv import console
from sigconv.blocks import ACTIVATIONS, he
from sigconv.blocks import activation as activated
from sigconv.datasets import text_folder as data
from sigconv.train import accuracy, f1, fit, predict, run
from sigconv.train.assessment import assess
from sigconv.train.job import Job

POOLS = {"max": lambda: sc.MaxPool(2), "avg": lambda: sc.AvgPool(2), "stochastic": lambda: sc.StochasticPool(2)}
GRAMS = 2**16  # columns that character n-grams are counted in; those that fall together share one
SMOOTHING = tuple(10.0**power for power in range(-3, 2))


def text_classes(
    job: Job,
    *,
    data_root: Path | None = None,
    length: int = 64,
    samples: int = 3000,
    width: int = 64,
    activation: str = "relu",
    pool: str = "max",
    epochs: int = 8,
    lr: float = 3e-3,
    batch_size: int = 100,
) -> dict[str, Any]:
    """Classify pieces of text.

    Args:
        data_root: a folder of folders of .txt files; else $SIGCONV_DATA/text_folder, else the made corpus
        length: characters of a piece
        samples: pieces of each class to train with; a quarter of it to choose by and to test on
        width: channels of the convolutions
        activation: relu, leaky_relu, prelu, maxout, selu, swish, silu, elu, gelu, tanh, sigmoid or identity
        pool: max, avg or stochastic
        epochs: passes over the training set
        lr: learning rate
        batch_size: pieces a step
    """
    for name, word, words in (("activation", activation, tuple(ACTIVATIONS)), ("pool", pool, tuple(POOLS))):
        if word not in words:
            raise console.UsageError(f"--{name} {word!r} is not one of {', '.join(words)}")
    for name, number, least in (("length", length, 8), ("samples", samples, 4), ("width", width, 1)):
        if number < least:
            raise console.UsageError(f"--{name} {number} must be at least {least}")
    train, valid, test = data.load(data_root, length=length, most=samples, seed=job.seed)
    torch.manual_seed(job.seed)
    model = network(len(train.classes), width, activation, pool)
    options: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "weight_decay": 0.01, "job": job}
    fit(model, train, valid, schedule="one-cycle", **options)

    scores, targets = predict(model, test, job=job)
    assess(job, scores, targets, train.classes)
    for index in (scores.argmax(1) != targets).nonzero()[:5, 0].tolist():
        said, is_ = train.classes[int(scores[index].argmax())], train.classes[int(targets[index])]
        job.note(f"taken for {said}, is {is_}: {data.decode(test.x[index])!r}")
    guessed, smoothing = naive_bayes(train, valid, test)
    job.say(f"naive Bayes smoothed by {smoothing:g}, by the validation pieces")
    job.tested_on(test)
    return {
        "accuracy": accuracy(scores, targets),
        "f1": f1(scores, targets),
        "accuracy_ngrams": accuracy(guessed, targets),
        "f1_ngrams": f1(guessed, targets),
        "chance": float(targets.bincount().max() / len(targets)),
        "train_size": len(train),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


class Characters(nn.Module):
    """A learned vector for every character: tokens (batch, length) -> (batch, channels, length)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(len(data.ALPHABET) + 1, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.vectors(x).transpose(1, 2)


def network(classes: int, width: int = 64, activation: str = "relu", pool: str = "max") -> nn.Sequential:
    """Tokens (batch, length) -> scores (batch, classes), whatever the length."""
    layers: list[nn.Module] = []
    inside = 24
    for taps in (7, 5, 3):
        layers += [sc.Conv1d(inside, width, taps, padding="same"), activated(activation, width, 1)]
        layers += [POOLS[pool]()] if taps > 3 else []
        inside = width
    head = [sc.GlobalMaxPool(), nn.Dropout(0.3), nn.Linear(width, classes)]
    return nn.Sequential(Characters(24), *he(nn.Sequential(*layers)), *head)


def naive_bayes(train: Any, valid: Any, test: Any) -> tuple[Tensor, float]:
    """Scores (test items, classes) by how often each class has a piece's n-grams, and the smoothing chosen."""
    classes = len(train.classes)
    counts = torch.zeros(classes, GRAMS, dtype=torch.float64)
    for n in range(classes):
        counts[n] = torch.bincount(grams(train.x[train.y == n]).flatten(), minlength=GRAMS)
    prior = (train.y.bincount(minlength=classes).double() / len(train)).log()

    def scores(part: Any, smoothing: float) -> Tensor:
        likely = ((counts + smoothing) / (counts + smoothing).sum(1, keepdim=True)).log()
        return likely[:, grams(part.x)].sum(2).T + prior

    best = max(SMOOTHING, key=lambda smoothing: accuracy(scores(valid, smoothing), valid.y))
    return scores(test, best), best


def grams(x: Tensor) -> Tensor:
    """The columns of every 1-, 2- and 3-gram of tokens (items, length): (items, 3·length - 3)."""
    symbols = len(data.ALPHABET) + 1
    pairs = x[:, :-1] * symbols + x[:, 1:] + symbols
    triples = pairs[:, :-1] * symbols + x[:, 2:]
    return torch.cat([x, pairs, triples], 1) % GRAMS


if __name__ == "__main__":
    run(text_classes)
