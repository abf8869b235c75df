"""fit, the training loop, and evaluate: read them from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import console, nd
from sigconv.train import devices, metrics
from sigconv.train.batches import Batches
from sigconv.train.job import Job, figures
from sigconv.train.prediction import predict

Metrics = Mapping[str, Callable[[Tensor, Tensor], float]]
OPTIMIZERS = ("sgd", "adamw")
SAVE_EVERY = 10.0  # seconds between checkpoints, at the least
SCHEDULES = ("constant", "cosine", "one-cycle")


def fit(
    model: nn.Module,
    train: Any,
    valid: Any = None,
    *,
    job: Job | None = None,
    epochs: int = 10,
    lr: float = 1e-3,
    batch_size: int = 64,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    optimizer: str | Callable[[Any], torch.optim.Optimizer] = "adamw",
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    average: float = 0.0,
    scores: Metrics | None = None,
    select: str | None = None,
    watch: Mapping[str, Any] | None = None,
    every: int = 1,
    name: str = "model",
) -> list[dict[str, Any]]:
    """Train a model and leave it with its best weights by the validation set; without one, with its last.

    train, valid    data sets: len, .classes, item(index, generator) -> (x, y)
    job             device, seed, run folder and resumption; without one, the default device and no files
    loss            cross-entropy by default; scores {name: metric}, accuracy by default for cross-entropy
    optimizer       "sgd" (with momentum) or "adamw", or a function of the parameters; weight_decay for the named ones
    schedule        of lr over all steps: "constant", "cosine" (to 0), "one-cycle" (up over the first 15 %, then to 0)
    average         decay of the running mean of the weights that is measured and kept in their stead; 0 for none
    select          the score whose highest value is best (or "loss", the lowest); equal ones go by the lower loss
    watch           further data sets measured along the way, never chosen by
    every           epochs between measurements

    Returns the measured rows: epoch, step, lr, train_loss, valid_loss, valid_accuracy, … Raises ValueError where the
    loss stops being finite.
    """
    job = job or Job()
    loss = loss or nn.CrossEntropyLoss()
    if scores is None:
        scores = {"accuracy": metrics.accuracy} if isinstance(loss, nn.CrossEntropyLoss) else {}
    nd.one_of(schedule, SCHEDULES, "schedule")
    select = nd.one_of(select or next(iter(scores), "loss"), ["loss", *scores], "select")
    if epochs < 0 or every < 1 or not 0 <= average < 1:
        raise ValueError(
            f"epochs={epochs}, every={every}, average={average}: expected at least 0, at least 1, in [0, 1)"
        )
    fabric = devices.fabric(job.device)
    model.to(fabric.device)
    trained, steps = fabric.setup(model, _optimizer(optimizer, model, lr, momentum, weight_decay))
    batches = Batches(train, batch_size, seed=job.seed, shuffle=True, device=fabric.device)
    total = epochs * len(batches)
    rates = [group["lr"] for group in steps.param_groups]
    state = _State(model, steps, _average(model, average), select)
    first = state.resume(job, name)
    parts = {**({} if valid is None else {"valid": valid}), **(watch or {})}

    with console.progress(name, epochs) as shown:
        for epoch in range(first, epochs + 1):
            began = time.monotonic()
            model.train()
            running = torch.zeros((), device=fabric.device)
            for x, y in batches.epoch(epoch):
                share = scale(schedule, state.step / total)
                for group, rate in zip(steps.param_groups, rates, strict=True):
                    group["lr"] = rate * share
                steps.zero_grad()
                error = loss(trained(x), y)
                fabric.backward(error)
                steps.step()
                state.after_step()
                running += error.detach()
            state.seconds += time.monotonic() - began
            mean = (running / len(batches)).item()
            if not math.isfinite(mean):
                raise ValueError(
                    f"the loss of {name} became {mean} in epoch {epoch}: lower lr={lr}, or look at its inputs"
                )
            if epoch % every == 0 or epoch == epochs:
                row = {"model": name, "epoch": epoch, "step": state.step, "lr": rates[0] * share, "train_loss": mean}
                for part, data in parts.items():
                    found = evaluate(state.measured, data, job=job, loss=loss, scores=scores)
                    row |= {f"{part}_{key}": value for key, value in found.items()}
                row["seconds"] = round(state.seconds, 3)
                state.keep_if_best(row, choosing=valid is not None)
                job.record(row, epochs)
                state.save(job, name, epoch, last=epoch == epochs)
            shown(epoch, figures(state.rows[-1]) if state.rows else f"loss {mean:.3f}")

    if state.best:
        model.load_state_dict(state.best)
    job.keep_weights(name, model)
    return state.rows


def evaluate(
    model: nn.Module,
    dataset: Any,
    *,
    job: Job | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    scores: Metrics | None = None,
    batch_size: int = 512,
) -> dict[str, float]:
    """Loss and scores of a model over a data set: {"loss": …, "accuracy": …}; cross-entropy and accuracy by default."""
    outputs, targets = predict(model, dataset, job=job, batch_size=batch_size)
    scores = {"accuracy": metrics.accuracy} if scores is None else scores
    found = {"loss": float((loss or nn.CrossEntropyLoss())(outputs, targets))}
    return found | {key: metric(outputs, targets) for key, metric in scores.items()}


def scale(schedule: str, progress: float) -> float:
    """What lr is multiplied by at this share of all steps.

    >>> [round(scale("one-cycle", p), 2) for p in (0.0, 0.15, 1.0)]
    [0.1, 1.0, 0.0]
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if progress < 0.15:
        return 1.0 - 0.9 * 0.5 * (1 + math.cos(math.pi * progress / 0.15))
    return 0.5 * (1 + math.cos(math.pi * (progress - 0.15) / 0.85))


def _optimizer(kind: Any, model: nn.Module, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """The optimizer by name or as made; decay pulls at weights, not at biases and norms."""
    if callable(kind):
        return kind(model.parameters())
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    if nd.one_of(kind, OPTIMIZERS, "optimizer") == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum)
    return torch.optim.AdamW(groups, lr=lr)


def _average(model: nn.Module, decay: float) -> Any:
    """A running mean of all of a model's numbers, that follows fast at first: decay grows to its value."""
    if not decay:
        return None
    from torch.optim.swa_utils import AveragedModel

    def follow(means: Any, values: Any, count: Any) -> None:
        share = 1 - min(decay, (1 + float(count)) / (10 + float(count)))
        if means[0].is_floating_point():
            torch._foreach_lerp_(means, values, share)
        else:
            torch._foreach_copy_(means, values)

    return AveragedModel(model, multi_avg_fn=torch.no_grad()(follow), use_buffers=True)


def _random_state() -> list[Tensor]:
    """The states of torch's own generators: the CPU's, and each GPU's."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def _set_random_state(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if torch.cuda.is_available() and len(states) - 1 == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states[1:])


@dataclass
class _State:
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
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.step, self.seconds, self.rows = state["step"], state["seconds"], state["rows"]
        self.best, self.best_row = state["best"], state["best_row"]
        _set_random_state(state["random"])
        job.rewind(name, self.rows)
        return state["epoch"] + 1
