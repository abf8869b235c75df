"""The training loop: an epoch is its steps, then a measurement; both can be stopped and gone on with to the bit."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import console
from sigconv.train import processes, profiling, seeds
from sigconv.train.batches import Batch, Batches
from sigconv.train.guard import Guard
from sigconv.train.job import Job
from sigconv.train.pace import Pace, paced
from sigconv.train.state import State
from sigconv.train.steps import scale

SHOWN_ITEMS = 20


@dataclass
class Training:
    """One call of fit, set up and ready to run."""

    job: Job
    name: str
    epochs: int
    schedule: str
    every: int
    fabric: Any
    trained: nn.Module  # the model as this device and these processes run it
    stepping: Any  # its optimizer, likewise
    loss: Callable[[Tensor, Tensor], Tensor]
    batches: Batches
    guard: Guard
    state: State
    rates: list[float]
    measure: Callable[[nn.Module], dict[str, float]]  # losses and scores of every data set
    choosing: bool

    def run(self) -> None:
        """Train to the end, or until a signal has been answered by a checkpoint; then the signal takes its course."""
        with (
            console.progress(self.name, self.epochs) as shown,
            paced(self.job.saves) as pace,
            profiling.tracing(self.job, self.name) as traced,
        ):
            self.job.arrived, self.job.feeds = pace.arrived, {}
            try:
                while self.state.epoch <= self.epochs and not pace.stop:
                    if not self._steps(pace, traced):
                        return
                    mean = self._mean_loss()
                    if not self._measured(mean, pace):
                        return
                    shown(self.state.epoch, f"loss {mean:.3f}")
                    self.state.after_epoch()
                    if self.state.epoch > self.epochs or pace.due():
                        self._save(pace)
            finally:
                self.job.arrived, self.job.feeds = [], None

    def _steps(self, pace: Pace, traced: Callable[[], None]) -> bool:
        """The epoch's steps from where it stands; whether all were taken."""
        state, total = self.state, self.epochs * len(self.batches)
        self.trained.train()
        began = time.monotonic()
        left = len(self.batches) - state.batch
        for step in self.batches.epoch(state.epoch, state.batch):
            share = scale(self.schedule, state.step / total)
            for group, rate in zip(state.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * share
            self._step(step)
            traced()
            left -= 1
            if left and pace.due():  # after the last one comes the measurement, and then a checkpoint
                state.seconds, began = state.seconds + time.monotonic() - began, time.monotonic()
                self._save(pace)
                if pace.stop:
                    return False
        state.seconds += time.monotonic() - began
        return True

    def _step(self, step: list[Batch]) -> None:
        self.state.optimizer.zero_grad()
        self.guard.before()
        error = self._backward(step)
        if self.state.step == 0 and processes.count() > 1:
            self._all_used()
        if self.guard.passes(error):
            self.stepping.step()
            return self.state.after_step(error)
        if self.guard.broken():
            raise self._spoilt(error.item())
        self.job.say(
            f"warning: step {self.state.step + 1} of {self.name} skipped, of items {self._items(self.state.batch)}"
        )
        return self.state.after_step(None)

    def _all_used(self) -> None:
        """ValueError for parameters without part in the loss: the processes would wait for their gradients for ever."""
        unused = [n for n, p in self.state.model.named_parameters() if p.requires_grad and p.grad is None]
        if unused:
            listed = ", ".join(unused[:SHOWN_ITEMS])
            raise ValueError(f"parameters {listed} of {self.name} have no part in the loss: freeze or remove them")

    def _backward(self, step: list[Batch]) -> Tensor:
        """The loss of a step, and its gradients, over all its parts."""
        errors = []
        for left, batch in zip(range(len(step) - 1, -1, -1), step, strict=True):
            later = left > 0 and self.job.strategy != "fsdp"  # a shared-out model's gradients are summed part by part
            with self.fabric.no_backward_sync(self.trained, enabled=True) if later else _NOTHING:
                error = fitting(self.loss, self.trained(batch.x), batch.y)
                error = error if batch.share == 1 else error * batch.share
                self.fabric.backward(error)
            errors.append(error.detach())
        return errors[0] if len(errors) == 1 else torch.stack(errors).sum(0)

    def _mean_loss(self) -> float:
        """Over the epoch's steps and all processes; ValueError where it is no number."""
        taken = len(self.batches) - self.state.missed
        mean = (processes.total(self.state.running) / processes.count()).item() / taken if taken else math.nan
        if self.guard.broken() or (taken and not math.isfinite(mean)):
            raise self._spoilt(mean)
        return mean

    def _measured(self, mean: float, pace: Pace) -> bool:
        """Measure the epoch, where it is one to be; False if a signal came in between: then it will be done anew."""
        state, epoch = self.state, self.state.epoch
        if epoch % self.every and epoch != self.epochs:
            return True
        row = {"model": self.name, "epoch": epoch, "step": state.step, "lr": state.optimizer.param_groups[0]["lr"]}
        before = seeds.state()
        try:
            with state.measured() as model:
                processes.level(model)
                found = self.measure(model)
        except console.Stopped:
            seeds.restore(before)
            self._save(pace)
            return False
        if math.isnan(found.get("valid_loss", 0.0)):
            raise ValueError(
                f"the validation loss of {self.name} is no number in epoch {epoch}, its training loss {mean:g}: look "
                f"at the validation items, or begin anew with lr below {self.rates[0]:g}"
            )
        row |= {"train_loss": mean, **found, "seconds": round(state.seconds, 3)}
        state.rows.append(row)
        if self.choosing or epoch == self.epochs:
            state.keep_if_best(row, self.choosing)
        self.job.record(row, self.epochs)
        return True

    def _save(self, pace: Pace) -> None:
        if self.guard.later and self.guard.broken():
            raise self._spoilt(math.nan)
        if self.job.saves:
            with pace.save():
                self.state.save(self.job, self.name)

    def _spoilt(self, error: float) -> ValueError:
        """F16: what to say of a step whose loss or gradients are no numbers. The weights before it are kept."""
        state, bad = self.state, self.guard.first_bad(self.state.step)
        kept = ""
        if self.job.saves and self.guard.later:
            kept = f"; the checkpoint before it is in {str(self.job.place)!r}"
        elif self.job.saves:
            state.save(self.job, self.name)
            kept = f"; the weights before it are in {str(self.job.place)!r}, checkpoint {self.name}-{state.step}"
        place = state.batch - state.step + bad
        known = 0 <= place < len(self.batches)  # else it was only noticed at the end of the epoch
        where = f", step {bad + 1}, of items {self._items(place)}" if known else ""
        return ValueError(
            f"the loss of {self.name} became {error:g}, or its gradients no numbers, in epoch {state.epoch}{where}: "
            f"look at these items, go on with bad_steps allowed, or begin anew with lr below {self.rates[0]:g}{kept}"
        )

    def _items(self, place: int) -> str:
        """The items of an epoch's step, as many as are read at a glance; all of them are in the log."""
        items = [str(item) for item in self.batches.steps(self.state.epoch)[place].tolist()]
        self.job.say(f"items of step {place + 1} of epoch {self.state.epoch}: {' '.join(items)}", aloud=False)
        return ", ".join(items[:SHOWN_ITEMS]) + (", …" if len(items) > SHOWN_ITEMS else "")


_NOTHING = contextlib.nullcontext()


def fitting(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss; where it cannot be had, what it was asked of."""
    try:
        return loss(outputs, targets)
    except (IndexError, RuntimeError, ValueError, TypeError) as error:
        low, high = (targets.min().item(), targets.max().item()) if targets.numel() else ("-", "-")
        raise ValueError(
            f"the model gives {tuple(outputs.shape)} for targets {tuple(targets.shape)} of {targets.dtype} from {low} "
            f"to {high}: they do not fit the loss ({str(error).splitlines()[0]})"
        ) from error


def scores_of(parts: Mapping[str, Any], measure: Callable[[nn.Module, Any], dict[str, float]]) -> Any:
    """A function that measures a model on every part: {part_score: value}."""
    return lambda model: {
        f"{part}_{key}": value for part, data in parts.items() for key, value in measure(model, data).items()
    }
