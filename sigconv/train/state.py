"""Everything a training must remember to go on as if it had never stopped."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sigconv.train.job import Job

SAVE_EVERY = 10.0  # seconds between checkpoints, at the least


def _random_state() -> list[Tensor]:
    """The states of torch's own generators: the CPU's, and each GPU's."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def _set_random_state(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if torch.cuda.is_available() and len(states) - 1 == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states[1:])


@dataclass
class State:
    """Everything a training must remember to go on as if it had never stopped."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Any
    select: str
    step: int = 0
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_row: dict[str, Any] | None = None
    saved: float = field(default_factory=time.monotonic)

    @property
    def measured(self) -> nn.Module:
        """The model whose weights count: the running mean, where there is one."""
        return self.model if self.average is None else self.average.module

    def after_step(self) -> None:
        """Count the step, and let the mean follow."""
        self.step += 1
        if self.average is not None:
            self.average.update_parameters(self.model)

    def keep_if_best(self, row: dict[str, Any], choosing: bool) -> None:
        """Copy the weights where this row is the best so far, or there is nothing to choose by."""
        self.rows.append(row)
        if not choosing or self.best_row is None or self._worth(row) > self._worth(self.best_row):
            self.best_row = row
            self.best = {key: value.detach().cpu().clone() for key, value in self.measured.state_dict().items()}

    def _worth(self, row: dict[str, Any]) -> tuple[float, float]:
        """What is better is larger; what is no number is worst."""
        loss = -row["valid_loss"]
        worth = (loss, loss) if self.select == "loss" else (row[f"valid_{self.select}"], loss)
        return tuple(-math.inf if math.isnan(part) else part for part in worth)  # type: ignore[return-value]

    def save(self, job: Job, name: str, epoch: int, last: bool) -> None:
        """A checkpoint, now and then and at the end."""
        if job.folder is None or not (last or time.monotonic() - self.saved > SAVE_EVERY):
            return
        self.saved = time.monotonic()
        average = None if self.average is None else self.average.state_dict()
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "average": average}
        progress = {"epoch": epoch, "step": self.step, "seconds": self.seconds}
        history = {"rows": self.rows, "best": self.best, "best_row": self.best_row}
        job.checkpoint(name, epoch, parts | progress | history | {"random": _random_state()})

    def resume(self, job: Job, name: str) -> int:
        """Take up the newest whole checkpoint, where the job is to; the first epoch still to be run."""
        state = job.last_checkpoint(name)
        if state is None:
            if job.resuming:
                job.rewind(name, [])
            return 1
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            first = " ".join(str(error).split())[:200]
            raise ValueError(
                f"the checkpoint of {name} under {str(job.folder)!r} is another model's: {first}"
            ) from None
        self.step, self.seconds, self.rows = state["step"], state["seconds"], state["rows"]
        self.best, self.best_row = state["best"], state["best_row"]
        _set_random_state(state["random"])
        job.rewind(name, self.rows)
        return state["epoch"] + 1
