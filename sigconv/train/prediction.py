"""predict: a model's answers to a whole data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv import console
from sigconv.train import feeding, processes
from sigconv.train.job import Job
from sigconv.train.sharding import is_shared


def predict(model: nn.Module, dataset: Any, *, job: Job | None = None, batch_size: int = 512) -> tuple[Tensor, Tensor]:
    """The model's outputs for every item, and the targets, in the data set's order, on the CPU in float32.

    Of many processes each answers for its part of the items, and all of them have all answers.
    """
    job = job or Job()
    fabric = job.fabric()
    shared = any(is_shared(parameter) for parameter in model.parameters())
    if not shared:
        model.to(fabric.device)
    if len(dataset) == 0:
        raise ValueError("the data set is empty: there is nothing to predict")
    was_training = model.training
    model.eval()
    each = -(-len(dataset) // processes.count())
    mine = torch.arange(processes.number() * each, (processes.number() + 1) * each).clamp(max=len(dataset) - 1)
    outputs, targets = [], []
    with torch.no_grad() if shared else torch.inference_mode():
        for x, y in _feed(job, dataset, fabric)(0, list(mine.split(batch_size))):
            with fabric.autocast():  # of the model alone: items are made as they are for training
                answers = model(x)
            outputs.append(answers.float().cpu())
            targets.append(y.cpu())
            if job.arrived and processes.count() == 1:
                raise console.Stopped(job.arrived[0])
    model.train(was_training)
    joined = [torch.cat(processes.gathered(torch.cat(part)))[: len(dataset)] for part in (outputs, targets)]
    return joined[0], joined[1]


def _feed(job: Job, dataset: Any, fabric: Any) -> feeding.Feed:
    """How the data set's items reach the device: while a training lasts, set up once for each of its data sets."""
    known = {} if job.feeds is None else job.feeds
    if id(dataset) not in known:
        feed = feeding.feed(dataset, job.seed, torch.device(fabric.device), job.workers)
        known[id(dataset)] = (dataset, feed)  # held, so that no other one gets its id
    return known[id(dataset)][1]
