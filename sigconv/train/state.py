"""Everything a training must remember to go on as if it had never stopped."""

from __future__ import annotations

import contextlib
import hashlib
import math
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import __version__, console
from sigconv.train import processes, seeds
from sigconv.train.job import KEPT, Job
from sigconv.train.sharding import load_model, load_optimizer, whole
from sigconv.train.steps import Average


@dataclass
class State:
    """Everything a training must remember to go on as if it had never stopped.

    epoch is the one under way and batch the number of its steps already taken; an epoch is over when it was measured.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None
    scaler: Any
    select: str
    made_with: dict[str, Any]  # what fit was called with: another call does not go on with this one's checkpoints
    running: Tensor
    epoch: int = 1
    batch: int = 0
    step: int = 0
    skipped: int = 0  # steps whose gradients were no numbers, in all
    missed: int = 0  # of this epoch's
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_row: dict[str, Any] | None = None

    @contextlib.contextmanager
    def measured(self) -> Iterator[nn.Module]:
        """The model whose weights count: the running mean, where there is one."""
        with self.average.inside() if self.average else contextlib.nullcontext():
            yield self.model

    def after_step(self, error: Tensor | None) -> None:
        """Count the step, and let the mean follow; None for one that was skipped."""
        self.step += 1
        self.batch += 1
        if error is None:
            self.skipped, self.missed = self.skipped + 1, self.missed + 1
            return
        self.running += error
        if self.average is not None:
            self.average.follow()

    def after_epoch(self) -> None:
        """The next epoch, from its first step on."""
        self.epoch, self.batch, self.missed = self.epoch + 1, 0, 0
        self.running.zero_()

    def keep_if_best(self, row: dict[str, Any], choosing: bool) -> None:
        """Copy the weights where this row is the best so far, or there is nothing to choose by."""
        if not choosing or self.best_row is None or self._worth(row) > self._worth(self.best_row):
            self.best_row = row
            with self.measured() as model:
                self.best = {key: value.detach().cpu().clone() for key, value in whole(model.state_dict()).items()}

    def _worth(self, row: dict[str, Any]) -> tuple[float, float]:
        """What is better is larger; what is no number is worst."""
        loss = -row["valid_loss"]
        worth = (loss, loss) if self.select == "loss" else (row[f"valid_{self.select}"], loss)
        return tuple(-math.inf if math.isnan(part) else part for part in worth)  # type: ignore[return-value]

    def save(self, job: Job, name: str) -> None:
        """A checkpoint, by all processes together."""
        parts: dict[str, Any] = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        parts |= {"average": self.average and self.average.state_dict()}
        whole_parts = whole(parts) | {"running": torch.stack(processes.gathered(self.running.cpu()))}
        generators = _everyones(seeds.state())
        if job.folder is None:
            return
        progress = {key: getattr(self, key) for key in ("epoch", "batch", "step", "skipped", "missed", "seconds")}
        history = {"rows": self.rows, "best": self.best, "best_row": self.best_row}
        made = {"made_with": self.made_with, "made_by": _circumstances(job), "generators": generators}
        scaler = {"scaler": self.scaler and self.scaler.state_dict()}
        job.checkpoint(name, self.step, whole_parts | progress | history | made | scaler)

    def resume(self, job: Job, name: str) -> bool:
        """Take up the newest whole checkpoint, where the job is to and there is one."""
        state = processes.told(job.last_checkpoint(name))
        if state is None:
            if job.resuming:
                job.rewind(name, [])
            return False
        self._same_as(state.get("made_with", {}), job, name)
        try:
            load_model(self.model, state["model"])
            load_optimizer(self.optimizer, state["optimizer"])
            for part, found in ((self.average, state["average"]), (self.scaler, state["scaler"])):
                if part is not None:
                    part.load_state_dict(found)
            for key in ("epoch", "batch", "step", "skipped", "missed", "seconds", "rows", "best", "best_row"):
                setattr(self, key, state[key])
            sums = state["running"]  # of each process
            self.running.copy_(sums[processes.number()] if len(sums) == processes.count() else sums.mean())
            self._generators(state["generators"], job)
        except (RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            first = console.one_line(error, 200)
            raise ValueError(
                f"the checkpoint of {name} under {str(job.folder)!r} is another model's: {first}"
            ) from None
        _warned(state["made_by"], _circumstances(job), job)
        job.rewind(name, self.rows)
        return True

    def _same_as(self, before: dict[str, Any], job: Job, name: str) -> None:
        """F17, F19: a training goes on as it began, on the data it began with."""
        other = [key for key in self.made_with if key in before and before[key] != self.made_with[key]]
        if other:
            now = ", ".join(f"{key} was {before.get(key)!r}, now {self.made_with[key]!r}" for key in other)
            raise ValueError(f"the checkpoint of {name} under {str(job.folder)!r} was made otherwise: {now}")

    def _generators(self, found: list[dict[str, Tensor]], job: Job) -> None:
        if len(found) == processes.count():
            seeds.restore(found[processes.number()])
        else:
            job.say(f"warning: {len(found)} processes before, {processes.count()} now: dropout draws other numbers")
            apart(job.seed + self.step, "")

    def room(self, job: Job) -> None:
        """ValueError before anything is trained, where the disk cannot hold the checkpoints (F5)."""
        if job.folder is None:
            return
        numbers = sum(value.numel() * value.element_size() for value in self.model.state_dict().values())
        copies = 4 + bool(self.average)  # the weights, the best ones, two of an optimizer's
        needed = numbers * copies * (KEPT + 1) + (1 << 20)
        free = shutil.disk_usage(job.folder).free
        if free < needed:
            raise ValueError(
                f"{str(job.folder)!r} has {free:,} bytes free, and its checkpoints will take up to {needed:,}: make "
                "room, or choose another --out"
            )


def apart(seed: int, name: str) -> None:
    """Let each process's dropout draw numbers of its own: the first as it stands, others from seed and name."""
    if processes.number():
        key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big")
        torch.manual_seed(seeds.generator(seed + key, processes.number(), -2).initial_seed())


def _everyones(found: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Every process's generators."""
    parts = {key: processes.gathered(value) for key, value in found.items()}
    return [{key: parts[key][n] for key in parts} for n in range(processes.count())]


def _circumstances(job: Job) -> dict[str, Any]:
    """What may change the last bits of a result without changing what was asked for."""
    facts = {"sigconv": __version__, "torch": torch.__version__, "python": platform.python_version()}
    machine = {"device": job.fabric().device.type, "precision": job.precision, "threads": torch.get_num_threads()}
    return facts | machine | {"machine": platform.machine(), "processes": processes.count()}


def _warned(before: dict[str, Any], now: dict[str, Any], job: Job) -> None:
    other = [f"{key} was {before.get(key)}, now {now[key]}" for key in now if before.get(key) != now[key]]
    if other:
        job.say(f"warning: {', '.join(other)}: what comes may differ in the last bits from a run never stopped")
