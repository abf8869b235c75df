"""fit, the training loop, and evaluate: read them from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import console, nd
from sigconv.train import devices, metrics
from sigconv.train.batches import Batches
from sigconv.train.job import Job
from sigconv.train.prediction import predict
from sigconv.train.state import State
from sigconv.train.steps import SCHEDULES, running_mean, scale, steps_of

Metrics = Mapping[str, Callable[[Tensor, Tensor], float]]


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
    _check(name, epochs, lr, average, every, watch or {})
    fabric = devices.fabric(job.device)
    model.to(fabric.device)
    trained, steps = fabric.setup(model, steps_of(optimizer, model, lr, momentum, weight_decay))
    batches = Batches(train, batch_size, seed=job.seed, shuffle=True, device=fabric.device)
    total = epochs * len(batches)
    rates = [group["lr"] for group in steps.param_groups]
    state = State(model, steps, running_mean(model, average), select)
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
                error = _loss(loss, trained(x), y)
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
            shown(epoch, f"loss {mean:.3f}")

    if state.best:
        model.load_state_dict(state.best)
    job.keep_weights(name, model)
    return state.rows


def _check(name: str, epochs: int, lr: float, average: float, every: int, watch: Mapping[str, Any]) -> None:
    """What must be so of fit's numbers and names, said before anything is done."""
    if epochs < 0 or every < 1:
        raise ValueError(f"epochs {epochs} must be at least 0" if epochs < 0 else f"every {every} must be at least 1")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"lr {lr} must be a finite number above 0")
    if not 0 <= average < 1:
        raise ValueError(f"average {average} must be at least 0 and below 1")
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"name {name!r} must be one a file can have")
    if "valid" in watch:
        raise ValueError("watch 'valid' has the name of the validation set: call it otherwise")


def _loss(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss; where it cannot be had, what it was asked of."""
    try:
        return loss(outputs, targets)
    except (IndexError, RuntimeError, ValueError, TypeError) as error:
        low, high = (targets.min().item(), targets.max().item()) if targets.numel() else ("-", "-")
        raise ValueError(
            f"the model gives {tuple(outputs.shape)} for targets {tuple(targets.shape)} of {targets.dtype} from {low} "
            f"to {high}: they do not fit the loss ({str(error).splitlines()[0]})"
        ) from error


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
    found = {"loss": float(_loss(loss or nn.CrossEntropyLoss(), outputs, targets))}
    return found | {key: metric(outputs, targets) for key, metric in scores.items()}
