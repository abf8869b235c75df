"""Nearest neighbours: are the features that a network learned a better measure of likeness than pixels?

Question  one nearest neighbour among ten labelled images a class: how much does it gain from the answers of a network's
          last hidden layer, the one that is called FC7 in AlexNet, in place of pixels; and what is left of the gain
          for digits that the network never saw
Data      MNIST: the network learns from 50,000 images; labelled ones are drawn from the 10,000 of the validation part,
          five draws; all 10,000 test images ask
Model     Nielsen's two convolutions and two fully connected layers, ReLU, 95,770 parameters
Baseline  the nearest by pixels, of the same labelled images
Source    the lecture's "huge differences" (EX17); Krizhevsky et al. 2012, figure 4

  sigconv run nearest                 digits 0 to 9
  sigconv run nearest --unseen 5      the network learns 0 to 4, and 5 to 9 are looked up by its features
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigconv import explain, models, plot
from sigconv.datasets import mnist as data
from sigconv.train import fit, run
from sigconv.train.devices import threads
from sigconv.train.job import Job

SHOWN = 6  # queries in the picture


def nearest(
    job: Job,
    *,
    labels: int = 10,
    draws: int = 5,
    unseen: int = 0,
    data_root: Path | None = None,
    epochs: int = 4,
    lr: float = 2e-3,
    batch_size: int = 100,
) -> dict[str, Any]:
    """Look up test images by pixels and by learned features.

    Args:
        labels: labelled images of every class
        draws: how often they are drawn; figures are means over draws
        unseen: so many classes, the last ones, are left out of training and the only ones looked up; 0: all are both
        data_root: folder that holds mnist/ (four .gz files); else $SIGCONV_DATA, the cache, a download
        epochs: passes over the training set
        lr: learning rate
        batch_size: images a step
    """
    classes = len(data.CLASSES)
    if not 0 <= unseen <= classes - 2 or unseen == 1:
        raise ValueError(f"unseen {unseen} must be 0, or 2 to {classes - 2}: at least two classes are told apart")
    if labels < 1 or draws < 1:
        raise ValueError(f"labels {labels} and draws {draws} must be at least 1")
    parts = data.load(data_root, seed=job.seed)
    learned = torch.arange(classes - unseen)
    asked = torch.arange(classes - unseen if unseen else 0, classes)
    train, valid = (_of(part, learned) for part in (parts.train, parts.valid))
    store, queries = (_of(part, asked) for part in (parts.valid, parts.test))
    job.tested_on(queries)
    with threads(1):  # nets this small lose by being shared between cores
        model = models.nielsen.build("conv-conv-fc", size=train.x.shape[-1], activation="relu", classes=len(learned))
        fit(model, train, valid, job=job, epochs=epochs, lr=lr, batch_size=batch_size, schedule="one-cycle")
    node = _last_hidden(model)
    spaces = {
        "raw": [_images(part).flatten(1) for part in (store, queries)],
        "features": [explain.features(model, _images(part), node) for part in (store, queries)],
    }
    return _looked_up(job, spaces, store, queries, labels, draws)


def _of(part: Any, classes: Tensor) -> Any:
    """The items of these classes."""
    return part.subset(torch.isin(part.y, classes).nonzero().flatten())


def _images(part: Any) -> Tensor:
    """All images of a part, numbers from 0 to 1."""
    return part.x.float() / 255


def _last_hidden(model: torch.nn.Module) -> str:
    """The name of the activation before the last layer."""
    return [name for name, module in model.named_modules() if isinstance(module, torch.nn.ReLU)][-1]


def _looked_up(job: Job, spaces: Any, store: Any, queries: Any, labels: int, draws: int) -> dict[str, Any]:
    """Accuracy of the nearest neighbour in each space, over draws of labelled images; the first draw in a picture."""
    generator = torch.Generator().manual_seed(job.seed)
    right: dict[str, list[float]] = {name: [] for name in spaces}
    pictures = []
    for draw in range(draws):
        drawn = torch.cat([_some(store.y == label, labels, generator) for label in store.y.unique()])
        for name, (known, asked) in spaces.items():
            _, found = explain.neighbours(known[drawn], asked, k=1)
            at = drawn[found[:, 0]]
            right[name].append(float((store.y[at] == queries.y).float().mean()))
            if draw == 0:
                pictures.append(store.x[at[:SHOWN], 0])
    rows = [queries.x[:SHOWN, 0], *pictures]
    names = [f"{row} {int(label)}" for row in ("asked", *spaces) for label in queries.y[:SHOWN]]
    figure, _ = plot.mosaic([image for row in rows for image in row], names, columns=SHOWN)
    job.picture("neighbours", figure)
    means = {name: statistics.fmean(found) for name, found in right.items()}
    return {
        "accuracy": means["features"],
        "accuracy_raw": means["raw"],
        "gain": means["features"] - means["raw"],
        "least_gain": min(a - b for a, b in zip(right["features"], right["raw"], strict=True)),
    }


def _some(among: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many of those that are marked, in a random order; ValueError where there are fewer."""
    there = among.nonzero().flatten()
    if len(there) < count:
        raise ValueError(f"labels {count} are more than the {len(there)} images of a class that there are")
    return there[torch.randperm(len(there), generator=generator)[:count]]


if __name__ == "__main__":
    run(nearest)
