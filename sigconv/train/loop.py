"""fit sets a training up, and evaluate measures a model; the loop itself is in training.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.train import devices, metrics, processes, seeds
from sigconv.train.batches import Batches
from sigconv.train.guard import Guard
from sigconv.train.job import Job
from sigconv.train.prediction import predict
from sigconv.train.sharding import load_model
from sigconv.train.state import State, apart
from sigconv.train.steps import SCHEDULES, Average, steps_of
from sigconv.train.training import Training, fitting, scores_of

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

    train, valid    data sets: len, .classes, item(index, generator) -> (x, y)
    job             device, seed, run folder and resumption; without one, the default device and no files
    loss            cross-entropy by default; scores {name: metric}, accuracy by default for cross-entropy
    optimizer       "sgd" (with momentum) or "adamw", or a function of the parameters; weight_decay for the named ones
    schedule        of lr over all steps: "constant", "cosine" (to 0), "one-cycle" (up over the first 15 %, then to 0)
    average         decay of the running mean of the weights that is measured and kept in their stead; 0 for none
    label_smoothing of the usual loss; mixed-up data sets are transforms.augment.Mixup
    accumulate      parts a step is computed in, one after the other: batch_size stays what a step sees, memory shrinks
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
    if loss is not None and label_smoothing:
        raise ValueError(f"label_smoothing {label_smoothing} is for the usual loss: yours may have one of its own")
    loss = loss or nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    if scores is None:
        scores = {"accuracy": metrics.accuracy} if isinstance(loss, nn.CrossEntropyLoss) else {}
    nd.one_of(schedule, SCHEDULES, "schedule")
    select = nd.one_of(select or next(iter(scores), "loss"), ["loss", *scores], "select")
    asked = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "momentum": momentum, "weight_decay": weight_decay}
    asked |= {"average": average, "label_smoothing": label_smoothing, "accumulate": accumulate, "clip": clip}
    asked |= {"every": every, "bad_steps": bad_steps}
    _check(name, asked, watch or {})
    asked |= {"schedule": schedule, "select": select, "seed": job.seed}
    asked |= {"optimizer": optimizer if isinstance(optimizer, str) else "one of your own"}

    parts = {**({} if valid is None else {"valid": valid}), **(watch or {})}
    fabric = job.fabric()
    trained = devices.prepared(model, fabric, compiled=job.compile)
    inner = steps_of(optimizer, model, lr, momentum, weight_decay)
    source: dict[str, Any] = {"seed": job.seed, "shuffle": True, "device": fabric.device, "workers": job.workers}
    batches = Batches(train, batch_size, parts=accumulate, **source)
    scaler = getattr(getattr(fabric, "_precision", None), "scaler", None)
    state = State(
        model=model,
        optimizer=inner,
        average=Average(model, average) if average else None,
        scaler=scaler,
        select=select,
        made_with=asked | job.looked_at(name, {"train": train} | parts),
        running=torch.zeros((), device=fabric.device),
    )
    guard = Guard(inner, clip, bad_steps, scaler)
    training = Training(
        job=job,
        name=name,
        epochs=epochs,
        schedule=schedule,
        every=every,
        fabric=fabric,
        trained=trained,
        stepping=fabric.setup_optimizers(inner),
        loss=loss,
        batches=batches,
        guard=guard,
        state=state,
        rates=[group["lr"] for group in inner.param_groups],
        measure=scores_of(parts, lambda model, data: evaluate(model, data, job=job, loss=loss, scores=scores)),
        choosing=valid is not None,
    )
    state.room(job)
    if job.export:
        job.shape = (2, *torch.as_tensor(train.item(0, seeds.generator(job.seed, 0, 0))[0]).shape)
    if not state.resume(job, name):
        apart(job.seed)
    guard.skipped = state.skipped
    training.run()
    if processes.count() > 1:
        seeds.restore(processes.told(seeds.state()))  # from here on all draw the same again
    if state.best:
        load_model(model, state.best)
    job.keep_weights(name, model)
    return state.rows


def _check(name: str, asked: Mapping[str, Any], watch: Mapping[str, Any]) -> None:
    """What must be so of fit's numbers and names, said before anything is done."""
    for key, least in (("epochs", 0), ("every", 1), ("accumulate", 1), ("bad_steps", 0)):
        if asked[key] < least:
            raise ValueError(f"{key} {asked[key]} must be at least {least}")
    if not (math.isfinite(asked["lr"]) and asked["lr"] > 0):
        raise ValueError(f"lr {asked['lr']} must be a finite number above 0")
    for key in ("average", "label_smoothing"):
        if not 0 <= asked[key] < 1:
            raise ValueError(f"{key} {asked[key]} must be at least 0 and below 1")
    if not (math.isfinite(asked["clip"]) and asked["clip"] >= 0):
        raise ValueError(f"clip {asked['clip']} must be a finite number, 0 for none")
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"name {name!r} must be one a file can have")
    if "valid" in watch:
        raise ValueError("watch 'valid' has the name of the validation set: call it otherwise")


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
    found = {"loss": float(fitting(loss or nn.CrossEntropyLoss(), outputs, targets))}
    return found | {key: metric(outputs, targets) for key, metric in scores.items()}
