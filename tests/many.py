"""Trainings by many processes, for tests: torchrun … many.py NAME ARGS runs one of the recipes below."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

import kills
import torch
from torch import nn

import sigconv as sc
from sigconv.train import Job, evaluate, fit, predict, processes, run
from sigconv.train.sharding import is_shared


def plain(job: Job, *, epochs: int = 3, lr: float = 0.01, batch_size: int = 32, fail: str = "") -> dict[str, Any]:
    """Nothing that draws and no batch statistics, in float64: any number of processes come to the same.

    Args:
        epochs: passes over the training set, whose last batch of three is too small to be shared
        lr: learning rate
        batch_size: of all processes
        fail: a number of a process that fails in the middle, or a signal that it gets
    """
    torch.manual_seed(3)
    model = nn.Sequential(sc.Conv1d(1, 6, 5), nn.Tanh(), sc.AvgPool(4), nn.Flatten(), nn.Linear(54, 3)).double()
    data = [kills.signals(n, seed) for n, seed in ((131, 0), (51, 1), (50, 2))]
    for part in data:
        part.x = part.x.double()
    train = Failing(data[0], fail) if fail else data[0]
    options: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "accumulate": 3}
    rows = fit(model, train, data[1], job=job, average=0.9, clip=1.0, **options)
    scores, targets = predict(model, data[2], job=job)
    assert torch.equal(targets, data[2].y), "every process has all answers, in the data set's order"
    told = processes.told({"a": [scores, torch.ones(2, dtype=torch.bfloat16), torch.zeros(0)]})["a"]
    assert torch.equal(told[0], scores)
    assert all(torch.equal(told[0], part) for part in processes.gathered(told[0]))
    shared = sum(is_shared(parameter) for parameter in model.parameters())
    return {"losses": json.dumps([[r["train_loss"], r["valid_loss"]] for r in rows]), "scores": scores.sum().item(),
            "processes": processes.count(), "shared": shared, "folder": job.folder is not None}  # fmt: skip


class Failing:
    """Data in whose making one process fails, or gets a signal, after a while."""

    def __init__(self, data: Any, fail: str) -> None:
        self.data, self.classes, self.fail, self.made = data, data.classes, fail, 0
        self.x, self.y = data.x, data.y  # by which it is known for the same data

    def __len__(self) -> int:
        return len(self.data)

    def item(self, index: int, generator: Any) -> Any:
        self.made += 1
        if self.made == 120:
            if self.fail == str(processes.number()):
                raise OSError("a file of this process cannot be read")
            if self.fail == "SIGTERM":
                signal.raise_signal(signal.SIGTERM)
        return self.data.item(index)


def drawing(job: Job, *, epochs: int = 6, lr: float = 0.01, batch_size: int = 50) -> dict[str, Any]:
    """Dropout, stochastic pooling and batch statistics, five seeds: other draws, and the same in the mean.

    Args:
        epochs: passes over the training set
        lr: learning rate
        batch_size: of all processes
    """
    found = []
    for seed in range(5):
        torch.manual_seed(seed)
        model = kills.network()
        fit(model, kills.signals(300, 0), job=job, epochs=epochs, lr=lr, batch_size=batch_size, name=f"seed-{seed}")
        found.append(evaluate(model, kills.signals(300, 2), job=job)["loss"])
    return {"losses": json.dumps(found)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    recipe = {"plain": plain, "drawing": drawing}[sys.argv.pop(1)]
    run(recipe)
