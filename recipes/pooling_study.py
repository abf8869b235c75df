"""Which pooling? Eight ways to shrink a signal, compared on few and on many training samples.

Question  how much a convolutional net gains from pooling, by which kind, and whether choosing at random among the
          activations of a window (stochastic pooling) generalises better than taking their maximum
Data      MNIST-1D, 40 samples a signal, ten shapes: 1,000 or 4,000 to train with (each seed draws its own 1,000), 1,000
          made afresh to choose by, the published 1,000 to test
Model     three convolutions of 25 channels and 3 taps, each followed by ReLU and the pooling, of windows of 3 that
          move by 2; one linear layer. All are trained alike; "none" keeps all positions, "stride" skips every second
          (at 4,000 all seeds share the one set there is: their spread is that of initial weights and order alone)
Answer    mean and 95 % confidence interval (Student's t) over the seeds; stochastic against max by a paired t-test
Source    Greydanus and Kobak 2020, arXiv:2011.14439, its pooling notebook: 59 % without, 78 % with pooling at 1,000
          samples; Zeiler and Fergus 2013, arXiv:1301.3557 (stochastic); Zhang 2019, arXiv:1904.11486 (blur)

  sigconv run pooling_study                              160 trainings; stopped, it goes on with --resume
  sigconv run pooling_study --variants max,stochastic --sizes 1000 --seeds 30
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import sigconv as sc
from sigconv import console, nd, plot
from sigconv.blocks import activation as activated
from sigconv.datasets import mnist1d as data
from sigconv.recipes._study import Quiet, finished
from sigconv.recipes.mnist1d import both
from sigconv.train import evaluate, fit, run
from sigconv.train.devices import threads
from sigconv.train.job import Job

LENGTH, CHANNELS, TAPS, STAGES = 40, 25, 3, 3
MEASURED = 5  # times in a training that the validation part is asked
CHOSEN_BY = 1000  # fresh signals
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "stride": nn.Identity,  # the convolution skips positions
    "max": lambda: sc.MaxPool(3, 2),
    "average": lambda: sc.AvgPool(3, 2),
    "l2": lambda: sc.LPPool(2, 3, 2, mean=True),
    "lse": lambda: sc.LSEPool(3, 2),
    "stochastic": lambda: sc.StochasticPool(3, 2),
    "blur": lambda: sc.MaxBlurPool(3, 2),
}
PARTS = ("train", "valid", "test")


def pooling_study(
    job: Job,
    *,
    variants: str = ",".join(POOLINGS),
    sizes: str = "1000,4000",
    seeds: int = 10,
    activation: str = "relu",
    epochs: int = 40,
    lr: float = 0.01,
    batch_size: int = 100,
) -> dict[str, Any]:
    """Train every variant on every size with every seed, in turn; finished trainings stay finished.

    Args:
        variants: some of none, stride, max, average, l2, lse, stochastic, blur, with commas between
        sizes: training samples, each at most 4000, with commas between
        seeds: trainings of each, from --seed on
        activation: relu, or leaky_relu, prelu, selu, swish and others
        epochs: passes over the training samples, at 1,000 of them; with more there are as many steps
        lr: highest learning rate of the one-cycle schedule (AdamW)
        batch_size: signals a step
    """
    names = [nd.one_of(name.strip(), tuple(POOLINGS), "variant") for name in dict.fromkeys(variants.split(","))]
    counts = [_size(text) for text in dict.fromkeys(sizes.split(","))]
    if seeds < 1:
        raise console.UsageError(f"--seeds {seeds} must be at least 1")
    activated(activation, 1, 1)  # an unknown one is said before anything is trained
    whole = data.load(seed=job.seed)
    pool = both(whole.train, whole.valid)
    valid = data.Unlimited(CHOSEN_BY).fixed(seed=2**21 + job.seed)
    job.tested_on(whole.test)
    cells = finished(job, "variant", "size", "seed")
    with threads(1):  # nets this small lose by being shared between cores
        for size in counts:
            passes = max(round(epochs * 1000 / size), 1) if epochs > 0 else epochs  # as many steps for every size
            for seed in range(job.seed, job.seed + seeds):
                for name in names:
                    if (name, size, seed) not in cells:
                        options = {"epochs": passes, "lr": lr, "batch_size": batch_size}
                        row = cell(job, name, activation, (drawn(pool, size, seed), valid, whole.test), seed, options)
                        cells[name, size, seed] = {"variant": name, "size": size, "seed": seed} | row
                        job.record({"model": f"{name}-{size}-{seed}"} | cells[name, size, seed], passes)
    rows = [row for key, row in cells.items() if key[0] in names and key[1] in counts]
    return summary(job, rows, names, counts)


def cell(job: Job, name: str, activation: str, parts: Any, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """One training, its weights chosen by the validation part: accuracies on all three."""
    torch.manual_seed(seed)
    net = network(name, activation)
    quiet = Quiet(seed=seed, device=job.device)
    every = max(options["epochs"] // MEASURED, 1)
    fixed: dict[str, Any] = {"schedule": "one-cycle", "weight_decay": 0.01, "every": every}
    measured = fit(net, parts[0], parts[1], job=quiet, **fixed, **options)
    row: dict[str, Any] = {"epoch": options["epochs"], "seconds": measured[-1]["seconds"] if measured else 0.0}
    for part, found in zip(PARTS, parts, strict=True):
        row[f"{part}_accuracy"] = evaluate(net, found, job=quiet)["accuracy"]
    return row


def network(name: str, activation: str = "relu") -> nn.Sequential:
    """(signals, 1, 40) -> (signals, 10), alike but for what follows each activation."""
    layers: list[nn.Module] = []
    channels, skipped = 1, 2 if name == "stride" else 1
    for _ in range(STAGES):
        layers.append(sc.Conv1d(channels, CHANNELS, TAPS, stride=skipped, padding="same"))
        layers += [activated(activation, CHANNELS, 1), POOLINGS[name]()]
        channels = CHANNELS
    body = nn.Sequential(*layers, nn.Flatten()).eval()
    with torch.no_grad():
        features = body(torch.zeros(1, 1, LENGTH)).shape[1]
    return body.append(nn.Linear(features, len(data.CLASSES))).train()


def drawn(pool: Any, size: int, seed: int) -> Any:
    """So many of the training samples, drawn by the seed; all variants get the same."""
    return pool.subset(torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))[:size])


def _mean(value: float, half: float) -> str:
    """A percentage with its interval, where there is one: a single seed has none."""
    return f"{100 * value:>10.1f}" + (" " * 7 if math.isnan(half) else f" ± {100 * half:4.1f}")


def summary(job: Job, rows: list[dict[str, Any]], names: list[str], counts: list[int]) -> dict[str, Any]:
    """Means, intervals and the paired test, as metrics, as a table in the report and as a picture."""
    metrics: dict[str, Any] = {}
    table = [f"{'pooling':<12}{'samples':>8}{'train, %':>17}{'test, %':>17}"]
    bars: dict[int, list[tuple[float, float]]] = {}
    for size in counts:
        for name in names:
            of = lambda part, name=name: column(rows, name, size, part)  # noqa: B023
            (trained, _), (tested, half) = shown = [interval(of(part)) for part in ("train", "test")]
            metrics |= {f"{name}_{size}": tested, f"{name}_{size}_ci95": half, f"{name}_{size}_train": trained}
            table.append(f"{name:<12}{size:>8}" + "".join(_mean(m, h) for m, h in shown))
            bars.setdefault(size, []).append((tested, half))
        if {"max", "none"} <= set(names):
            metrics[f"gain_{size}"] = metrics[f"max_{size}"] - metrics[f"none_{size}"]
        if {"max", "stochastic"} <= set(names):
            metrics |= against(rows, size)
    job.note(
        "\n".join(
            [
                *table,
                f"± is the 95 % confidence interval of the mean over {len(rows) // len(bars) // len(names)} seeds.",
            ]
        )
    )
    job.picture("test_accuracy", picture(names, bars))
    return metrics


def against(rows: list[dict[str, Any]], size: int) -> dict[str, Any]:
    """Stochastic pooling less max pooling on the same seeds: on the test and on the training samples, and p."""
    from scipy import stats

    found: dict[str, Any] = {}
    for part in ("test", "train"):
        stochastic, largest = (column(rows, name, size, part) for name in ("stochastic", "max"))
        found[f"stochastic_less_max_{size}_{part}"] = sum(stochastic) / len(stochastic) - sum(largest) / len(largest)
        if part == "test" and len(largest) > 1 and stochastic != largest:
            found[f"stochastic_less_max_{size}_p"] = float(stats.ttest_rel(stochastic, largest).pvalue)
    return found


def column(rows: list[dict[str, Any]], name: str, size: int, part: str) -> list[float]:
    """One accuracy a seed, in the order of seeds."""
    chosen = sorted((r for r in rows if (r["variant"], r["size"]) == (name, size)), key=lambda row: row["seed"])
    return [row[f"{part}_accuracy"] for row in chosen]


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half the 95 % confidence interval by Student's t; the latter NaN for a single value.

    >>> [round(x, 4) for x in interval([0.1, 0.2, 0.3])]
    [0.2, 0.2484]
    """
    from scipy import stats

    n, mean = len(values), sum(values) / len(values)
    if n < 2:
        return mean, math.nan
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    return mean, float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)


def picture(names: list[str], bars: dict[int, list[tuple[float, float]]]) -> Any:
    """Test accuracy of every variant, its interval as an error bar, sizes side by side."""
    figure, ax = plot.axes(size=(7.0, 4.0))
    wide = 0.8 / len(bars)
    for place, (size, found) in enumerate(bars.items()):
        left = [n - 0.4 + wide * (place + 0.5) for n in range(len(names))]
        heights, halves = ([100 * value for value in part] for part in zip(*found, strict=True))
        colour = plot.COLOURS[place % len(plot.COLOURS)]
        reach = [[min(h, b) for h, b in zip(halves, heights, strict=True)], halves]  # not below nothing
        ax.bar(left, heights, 0.92 * wide, yerr=reach, capsize=3, color=colour, label=f"{size:,} samples")
    ax.set_xticks(range(len(names)), names)
    ax.set(ylabel="test accuracy, %", ylim=(0, 100))
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(bars))  # above the bars
    return figure


def _size(text: str) -> int:
    """A number of training samples."""
    if not text.strip().isdigit() or not 10 <= int(text) <= 4000:
        raise console.UsageError(f"--sizes {text.strip()!r} is not a number of training samples between 10 and 4000")
    return int(text)


if __name__ == "__main__":
    run(pooling_study)
