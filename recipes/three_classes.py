"""Three classes: car, truck or van? Convolution and pooling in turn, fully connected layers, softmax.

Question  does the lecture's first recipe, convolution and pooling in an alternating manner, tell silhouettes apart that
          no weighting of pixels can?
Data      3,000 drawn silhouettes on clutter to train with, 600 to choose by, 1,500 to test on: anywhere in the image,
          of any size, turned, mirrored, lighter or darker than what is behind them (made, not fetched)
Model     three times a convolution, an activation and a pooling; two fully connected layers; softmax
Baseline  softmax on the pixels themselves
Source    the lectures' AR2; LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning

  sigconv run three_classes                                   a minute
  sigconv run three_classes --activation swish --pool avg     any of the activations and of seven poolings
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import sigconv as sc
from sigconv import console, plot
from sigconv.blocks import ACTIVATIONS, he
from sigconv.blocks import activation as activated
from sigconv.datasets import drawn_shapes as data
from sigconv.train import evaluate, fit, predict, run
from sigconv.train.assessment import assess
from sigconv.train.job import Job
from sigconv.train.looks import looks
from sigconv.transforms import augment

POOLS = {
    "max": lambda: sc.MaxPool(2),
    "avg": lambda: sc.AvgPool(2),
    "l2": lambda: sc.LPPool(2, 2),
    "lse": lambda: sc.LSEPool(2),
    "stochastic": lambda: sc.StochasticPool(2),
    "blur": lambda: sc.BlurPool(3, 2),
    "stride": None,  # convolutions that skip samples take its place
}
CHANNELS = (16, 32, 64)
LARGEST, MOST = 512, 1_000_000  # samples along an axis; images, which are drawn into memory


def three_classes(
    job: Job,
    *,
    size: int = 48,
    samples: int = 3000,
    activation: str = "relu",
    pool: str = "max",
    epochs: int = 12,
    lr: float = 2e-3,
    batch_size: int = 50,
) -> dict[str, Any]:
    """Tell cars, trucks and vans apart.

    Args:
        size: of the images, in samples along an axis
        samples: images to train with; a fifth as many to choose by, half as many to test on
        activation: relu, leaky_relu, prelu, maxout, selu, swish, silu, elu, gelu, tanh, sigmoid or identity
        pool: max, avg, l2, lse, stochastic, blur, or stride for convolutions that skip samples in place of pooling
        epochs: passes over the training set
        lr: learning rate
        batch_size: images a step
    """
    for name, word, words in (("activation", activation, tuple(ACTIVATIONS)), ("pool", pool, tuple(POOLS))):
        if word not in words:
            raise console.UsageError(f"--{name} {word!r} is not one of {', '.join(words)}")
    if not 16 <= size <= LARGEST or size % 8:
        raise console.UsageError(f"--size {size} must be 16, 24, 32 and so on, to {LARGEST}")
    if not 15 <= samples <= MOST:
        raise console.UsageError(f"--samples {samples} must be 15 to {MOST}")
    parts = data.load(size=size, train=samples, valid=samples // 5, test=samples // 2, seed=job.seed)
    train, valid, test = parts
    options: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "job": job}
    torch.manual_seed(job.seed)
    model = network(size, activation, pool)
    varied = augment.Augmented(train, mirrored)
    fit(model, varied, valid, lr=lr, weight_decay=0.01, schedule="one-cycle", **options)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(size * size, len(data.CLASSES)))
    fit(linear, train, valid, lr=lr / 4, weight_decay=0.01, name="linear", **options)

    scores, targets = predict(model, test, job=job)
    assess(job, scores, targets, data.CLASSES)
    job.picture("test_images", _answers(test.x, scores.softmax(1), targets))
    looks(job, model, test)
    job.tested_on(test)
    return {
        "accuracy": evaluate(model, test, job=job)["accuracy"],
        "accuracy_pixels": evaluate(linear, test, job=job)["accuracy"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "parameters_pixels": sum(p.numel() for p in linear.parameters()),
    }


def network(size: int, activation: str = "relu", pool: str = "max") -> nn.Sequential:
    """Convolution, activation, pooling, thrice; fully connected layers: (batch, 1, size, size) -> (batch, 3)."""
    layers: list[nn.Module] = []
    inside, make = 1, POOLS[pool]
    for channels in CHANNELS:
        layers.append(sc.Conv2d(inside, channels, 5, 1 if make else 2, padding=2))
        layers.append(activated(activation, channels, 2))
        if make:
            layers.append(make())
        inside = channels
    layers += [nn.Flatten(), nn.Linear(inside * (size // 8) ** 2, 64), activated(activation, 64, 0), nn.Dropout(0.3)]
    return nn.Sequential(*he(nn.Sequential(*layers)), nn.Linear(64, len(data.CLASSES)))


def mirrored(x: Tensor, generators: Any) -> Tensor:
    """Every second image from right to left, by its own generator."""
    turned = augment.uniforms(generators, 1, x)[:, :, None, None] > 0
    return torch.where(turned, x.flip(-1), x)


def _answers(x: Any, shares: Any, targets: Any) -> Any:
    """Test images with what the net makes of them: the first twelve, then those that it got wrong."""
    wrong = (shares.argmax(1) != targets).nonzero()[:12, 0].tolist()
    chosen = [*range(min(12, len(x))), *wrong]
    most, label = shares.max(1)
    names = [
        f"{data.CLASSES[label[i]]} {most[i]:.0%}" + (f", is {data.CLASSES[targets[i]]}" if i in wrong else "")
        for i in chosen
    ]
    return plot.mosaic([x[i, 0] for i in chosen], names, columns=6, title="the last ones are errors")[0]


if __name__ == "__main__":
    run(three_classes)
