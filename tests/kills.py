"""A training that is killed at random instants and goes on, again and again; run by itself: kills.py FOLDER KILLS SEED.

The process that does the killing has trained once itself, and so imported and compiled everything: what it forks starts
at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

import sigconv as sc
from sigconv.datasets._parts import Arrays
from sigconv.train import Job, evaluate, fit, pace
from sigconv.train.recipe import execute
from sigconv.transforms import augment


def killed(job: Job, *, epochs: int = 5, lr: float = 0.01, batch_size: int = 25) -> dict[str, Any]:
    """What draws or remembers: stochastic pooling of both kinds, dropout, noise on the samples, Adam, a running mean.

    Args:
        epochs: passes over the training set
        lr: learning rate
        batch_size: samples a step
    """
    torch.manual_seed(job.seed)
    options: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "schedule": "one-cycle"}
    model = network()
    fit(model, augment.Augmented(signals(400, 0), noisy), signals(100, 1), job=job, average=0.9, clip=5.0, **options)
    second = nn.Sequential(nn.Flatten(), nn.Linear(40, 3))  # a run may train more than one
    fit(second, signals(400, 0), signals(100, 1), job=job, name="second", **options)
    return {"accuracy": evaluate(model, signals(100, 2), job=job)["accuracy"]}


def network() -> nn.Sequential:
    return nn.Sequential(
        *(sc.Conv1d(1, 8, 5, padding="same"), nn.ReLU(), sc.StochasticPool(2)),
        *(sc.Conv1d(8, 8, 5, padding="same"), nn.ReLU(), sc.StochasticPool(2, seed=5)),
        *(nn.BatchNorm1d(8), nn.Flatten(), nn.Dropout(0.3), nn.Linear(80, 3)),
    )


def signals(n: int, seed: int) -> Arrays:
    """Three pitches under noise."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    waves = torch.sin((y[:, None] + 2) * torch.linspace(0, 6, 40) + 6 * torch.rand(n, 1, generator=generator))
    return Arrays((waves + 0.5 * torch.randn(n, 40, generator=generator))[:, None], y, "abc")


def noisy(x: torch.Tensor, generators: Any) -> torch.Tensor:
    return x + 0.1 * augment.normals(generators, x)


def digest(out: Path) -> str:
    """Of the weights of both models, and of what was measured but for the times."""
    (folder,) = (out / "killed").iterdir()
    found = hashlib.sha256()
    for name in ("model.safetensors", "second.safetensors"):
        found.update((folder / name).read_bytes())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found.update(json.dumps([{k: v for k, v in row.items() if k != "seconds"} for row in rows]).encode())
    return found.hexdigest()


def forked(out: Path) -> int:
    """A process that trains, or goes on training, in this folder."""
    child = os.fork()
    if child:
        return child
    try:
        sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        execute(killed, ["--resume", "auto", "--out", str(out)])
        os._exit(0)
    except BaseException as error:
        (out / "error.txt").write_text(repr(error))
        os._exit(1)


def finished(child: int) -> bool:
    """Whether it came to its end by itself; an error ends us too."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    if os.WEXITSTATUS(status):
        raise SystemExit("a resumed run failed")
    return True


def main(folder: str, kills: str, seed: str) -> None:
    torch.set_num_threads(1)
    pace.SAVE_EVERY, pace.MOST_SAVING = 0.02, 1.0
    base, wanted, delays = Path(folder), int(kills), random.Random(int(seed))
    (base / "whole").mkdir(parents=True)
    for _ in range(2):  # the second time takes what a forked one will
        began = time.monotonic()
        shutil.rmtree(base / "whole")
        execute(killed, ["--out", str(base / "whole")])
    whole, reference = time.monotonic() - began, digest(base / "whole")
    done = runs = equal = 0
    while done < wanted:
        out = base / f"run-{runs}"
        out.mkdir()
        patience = 0.4 * whole
        while True:
            child = forked(out)
            time.sleep(delays.uniform(0, patience))
            patience *= 1.1  # a machine that has slowed down since must come to its end too
            os.kill(child, signal.SIGKILL)  # a child that has ended is a zombie still: this does nothing to it
            if finished(child):
                break
            done += 1
        runs, equal = runs + 1, equal + (digest(out) == reference)
    found = {"kills": done, "runs": runs, "equal": equal, "seconds": time.monotonic() - began}
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
