"""The training loop against a bare torch loop: what fit costs beside the steps themselves"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from sigconv import models
from sigconv.benchmarks._race import Case
from sigconv.datasets._parts import Arrays
from sigconv.train import Job, fit
from sigconv.train.batches import order

Pairs = Iterator[tuple[Tensor, Tensor]]
GOAL = 0.95  # at most a twentieth on top of the bare loop
LR = 1e-3


@dataclass(frozen=True)
class Work:
    """One training: a model from the seed, items of this shape in memory, so many a step, for so many epochs."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    items: int
    batch_size: int
    epochs: int
    classes: int = 10

    def model(self) -> nn.Module:
        """The model, the same each time."""
        torch.manual_seed(0)
        return self.build()

    def parts(self, device: str) -> tuple[Arrays, Arrays]:
        """Items to train with and a tenth as many to measure by: noise that leans to its class."""
        generator = torch.Generator().manual_seed(0)
        made = []
        for n in (self.items, self.items // 10):
            y = torch.arange(n) % self.classes
            x = torch.randn(n, *self.shape, generator=generator)
            x += 0.3 * (y / self.classes).reshape(-1, *[1] * len(self.shape))
            made.append(Arrays(x, y, [str(label) for label in range(self.classes)]).to(device))
        return made[0], made[1]


WORKS = (
    Work("1-D cnn, batch 100", lambda: models.mnist1d.build("cnn"), (1, 40), 3600, 100, epochs=20),
    Work(
        "2-D residual, batch 64",
        lambda: models.resnet.build("18", width=0.25, classes=10, stem="small"),
        (3, 32, 32),
        640,
        64,
        epochs=2,
    ),
    Work(
        "3-D cnn, batch 8",
        lambda: models.from_pattern("C3D8BRP2C3D16BRP2C3D32BRGF10", ndim=3, in_channels=1, size=24),
        (1, 24, 24, 24),
        160,
        8,
        epochs=3,
    ),
)


LONGER = replace(WORKS[0], epochs=60)  # beside it, what is written at the end weighs little
SLOW = replace(WORKS[0], name="1-D cnn, items of 1 ms, 2 workers", items=400, batch_size=50, epochs=5)


class Waiting(Arrays):
    """Items made one at a time, each after a millisecond's wait, as for a disk."""

    batch = property()  # there is none
    ready = False

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One x and its y."""
        time.sleep(1e-3)
        return super().item(index)

    __getitem__ = item  # what torch's loader asks for

    def to(self, device: Any) -> Waiting:
        """The same: what is read when asked for lives nowhere."""
        return self


def cases(device: str) -> list[Case]:
    """Small, middling and large steps, small ones with a run folder, and items worth workers."""
    small, *larger = WORKS
    return [_case(small, device), _case(LONGER, device, kept=True), *(_case(w, device) for w in larger), _slow(device)]


def _case(work: Work, device: str, kept: bool = False) -> Case:
    train, valid = work.parts(device)

    def batches(epoch: int) -> Pairs:
        for indices in order(len(train), 0, epoch, True).to(device).split(work.batch_size):
            yield train.x[indices], train.y[indices]

    fitted = lambda: _fitted(work, train, valid, device, kept)
    runners = {"fit": fitted, "bare loop": lambda: _bare(work, batches, valid, device)}
    steps = work.epochs * -(-work.items // work.batch_size)
    name = f"{work.name}, {steps} steps" + (", folder" if kept else "")
    return Case(name, runners, GOAL, tolerance=1e-3 if device == "cpu" else 0.1)


def _slow(device: str) -> Case:
    train, valid = SLOW.parts("cpu")
    slow, valid = Waiting(train.x, train.y, train.classes), valid.to(device)

    def bare() -> Tensor:
        orders = iter([order(len(slow), 0, epoch, True).tolist() for epoch in range(1, SLOW.epochs + 1)])
        again: Any = type("Again", (), {"__iter__": lambda self: iter(next(orders)), "__len__": lambda self: len(slow)})
        options: dict[str, Any] = {"num_workers": 2, "persistent_workers": True, "pin_memory": device == "cuda"}
        loader: Any = DataLoader(slow, SLOW.batch_size, sampler=again(), **options)  # type: ignore[arg-type]
        return _bare(SLOW, lambda epoch: ((x.to(device), y.to(device)) for x, y in loader), valid, device)

    runners = {"fit": lambda: _fitted(SLOW, slow, valid, device, workers=2), "bare loop": bare}
    return Case(SLOW.name, runners, GOAL, tolerance=1e-3 if device == "cpu" else 0.1)


class _Quiet(Job):
    """A job that keeps its messages to its log."""

    def say(self, text: str, aloud: bool = True) -> None:
        super().say(text, aloud=False)


def _fitted(work: Work, train: Any, valid: Arrays, device: str, kept: bool = False, workers: int = 0) -> Tensor:
    """What this package's users write."""
    model = work.model()
    with tempfile.TemporaryDirectory() as folder:
        job = _Quiet(device=device, workers=workers, folder=Path(folder) / "run" if kept else None)
        fit(model, train, valid, job=job, epochs=work.epochs, lr=LR, batch_size=work.batch_size, optimizer="adamw")
    return _weights(model)


def _bare(work: Work, batches: Callable[[int], Pairs], valid: Arrays, device: str) -> Tensor:
    """What a user of torch alone writes: the same items in the same order, and the best weights kept."""
    model = work.model().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.0)
    best, best_score = {}, (-1.0, 0.0)
    for epoch in range(1, work.epochs + 1):
        model.train()
        total = torch.zeros((), device=device)
        for x, y in batches(epoch):
            optimizer.zero_grad()
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                scores = model(x)
            loss = F.cross_entropy(scores.float(), y)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        total.item()
        score = _measured(model, valid, device)
        if score > best_score:
            best_score, best = score, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(best)
    return _weights(model)


def _measured(model: nn.Module, valid: Arrays, device: str) -> tuple[float, float]:
    """Accuracy, and the loss below which equal ones go."""
    model.eval()
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        scores = torch.cat([model(x).float() for x in valid.x.split(512)])
    right = (scores.argmax(1) == valid.y).float().mean().item()
    return right, -F.cross_entropy(scores, valid.y).item()


def _weights(model: nn.Module) -> Any:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
