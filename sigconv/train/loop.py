"""fit sets a training up, and evaluate measures a model; the loop itself is in training.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.train import devices, metrics, processes, request, seeds
from sigconv.train.batches import Batches
from sigconv.train.guard import Guard
from sigconv.train.job import Job
from sigconv.train.prediction import predict
from sigconv.train.sharding import load_model
from sigconv.train.state import State, apart
from sigconv.train.steps import Average, steps_of
from sigconv.train.training import Training, fitting, scores_of
from sigconv.transforms.augment import made

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
    label_smoothing: float = 0.0,
    accumulate: int = 1,
    clip: float = 0.0,
    bad_steps: int = 0,
    scores: Metrics | None = None,
    select: str | None = None,
    watch: Mapping[str, Any] | None = None,
    every: int = 1,
    name: str = "model",
) -> list[dict[str, Any]]:
    """Train a model and leave it with its best weights by the validation set; without one, with its last.

    train, valid    data sets: len, and item(index, generator) -> (x, y) or, without randomness, torch's [index]
    job             device, seed, run folder and resumption; without one, the default device and no files
    loss            cross-entropy by default; scores {name: metric}, accuracy by default for cross-entropy
    optimizer       "sgd" (with momentum) or "adamw", or a function of the parameters; weight_decay for the named ones
    schedule        of lr over all steps: "constant", "cosine" (to 0), "one-cycle" (up over the first 15 %, then to 0)
    average         decay of the running mean of the weights that is measured and kept in their stead; 0 for none
    label_smoothing of the usual loss; mixed-up data sets are transforms.augment.Mixup
    accumulate      parts a step is computed in, one after the other: batch_size stays what a step sees, memory shrinks;
                    exact for a loss that is a mean over items, as sharing a batch among processes is
    clip            the greatest norm of all gradients together; 0 for none
    bad_steps       how many steps may be skipped because their gradients are no numbers; one more stops the training
    select          the score whose highest value is best (or "loss", the lowest); equal ones go by the lower loss
    watch           further data sets measured along the way, never chosen by
    every           epochs between measurements

    Started by torchrun, all its processes share each batch: batch_size counts the items of all. Returns the measured
    rows: epoch, step, lr, train_loss, valid_loss, valid_accuracy, … Raises ValueError where loss or gradients are no
    numbers any more, naming the items; where the run folder's checkpoints were made otherwise, naming what differs;
    where the disk has no room for them.
    """
    job = job or Job()
    loss = request.loss_of(loss, label_smoothing, in_parts=accumulate > 1 or processes.started() > 1)
    if scores is None:
        scores = {"accuracy": metrics.accuracy} if isinstance(loss, nn.CrossEntropyLoss) else {}
    select = nd.one_of(select or next(iter(scores), "loss"), ["loss", *scores], "select")
    asked: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "schedule": schedule}
    asked |= {"average": average, "label_smoothing": label_smoothing, "accumulate": accumulate, "clip": clip}
    asked |= {"momentum": momentum, "weight_decay": weight_decay, "every": every}
    request.check(name, asked | {"bad_steps": bad_steps}, watch or {})
    job.begins(name)

    parts = {**({} if valid is None else {"valid": valid}), **(watch or {})}
    fabric = job.fabric()
    trained = devices.prepared(model, fabric, compiled=job.compile)
    inner = steps_of(optimizer, model, lr, momentum, weight_decay)
    asked |= {"select": select, "seed": job.seed} | request.described(loss, optimizer, inner, model)
    source: dict[str, Any] = {"seed": job.seed, "shuffle": True, "device": fabric.device, "workers": job.workers}
    batches = Batches(train, batch_size, parts=accumulate, **source)
    scaler = getattr(getattr(fabric, "_precision", None), "scaler", None)
    made_with = asked | job.looked_at(name, {"train": train} | parts)
    running = torch.zeros((), dtype=torch.float64, device=fabric.device)
    state = State(model, inner, Average(model, average) if average else None, scaler, select, made_with, running)
    guard = Guard(model, inner, clip, bad_steps, scaler)
    measure = scores_of(parts, lambda model, data: evaluate(model, data, job=job, loss=loss, scores=scores))
    plan: dict[str, Any] = {"epochs": epochs, "schedule": schedule, "every": every, "choosing": valid is not None}
    running_on: dict[str, Any] = {"fabric": fabric, "trained": trained, "stepping": fabric.setup_optimizers(inner)}
    means: dict[str, Any] = {"loss": loss, "batches": batches, "guard": guard, "state": state, "measure": measure}
    rates = [group["lr"] for group in inner.param_groups]
    training = Training(job=job, name=name, rates=rates, **plan, **running_on, **means)
    state.room(job)
    if job.export:
        job.shape = (2, *made(train, 0, seeds.generator(job.seed, 0, 0))[0].shape)
    if not state.resume(job, name):
        apart(job.seed, name)
    guard.skipped, guard.began = state.skipped, state.step
    training.run()
    if processes.count() > 1:
        seeds.restore(processes.told(seeds.state()))  # from here on all draw the same again
    if state.best:
        load_model(model, state.best)
    job.keep_weights(name, model)
    return state.rows


def evaluate(
    model: nn.Module,
    dataset: Any,
    *,
    job: Job | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    scores: Metrics | None = None,
    batch_size: int | None = None,
) -> dict[str, float]:
    """Loss and scores of a model over a data set: {"loss": …, "accuracy": …}; cross-entropy and accuracy by default.

    batch_size is predict's.
    """
    outputs, targets = predict(model, dataset, job=job, batch_size=batch_size)
    scores = {"accuracy": metrics.accuracy} if scores is None else scores
    found = {"loss": float(fitting(loss or nn.CrossEntropyLoss(), outputs, targets))}
    return found | {key: metric(outputs, targets) for key, metric in scores.items()}
