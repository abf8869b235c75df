"""predict: a model's answers to a whole data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv import console, nd
from sigconv.train import feeding, processes, seeds
from sigconv.train.job import Job
from sigconv.train.sharding import is_shared
from sigconv.transforms.augment import made

MOST = 512  # items answered at once
NUMBERS = 1 << 20  # that they have together, before layers make hundreds of each


def predict(
    model: nn.Module, dataset: Any, *, job: Job | None = None, batch_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """The model's outputs for every item, and the targets, in the data set's order, on the CPU in float32.

    batch_size, items answered at once; if None 512, or fewer where they are large. Of many processes each answers for
    its part of the items, and all of them have all answers.
    """
    job = job or Job()
    fabric = job.fabric()
    shared = any(is_shared(parameter) for parameter in model.parameters())
    if not shared:
        model.to(fabric.device)
    if len(dataset) == 0:
        raise ValueError("the data set is empty: there is nothing to predict")
    at_once = _at_once(dataset, job.seed) if batch_size is None else nd.count(batch_size, "batch_size")
    was_training = model.training
    model.eval()
    each = -(-len(dataset) // processes.count())
    mine = torch.arange(processes.number() * each, (processes.number() + 1) * each).clamp(max=len(dataset) - 1)
    outputs, targets = [], []
    with torch.no_grad() if shared else torch.inference_mode():
        for x, y in _feed(job, dataset, fabric)(0, list(mine.split(at_once))):
            with fabric.autocast():  # of the model alone: items are made as they are for training
                answers = model(x)
            outputs.append(answers.float().cpu())
            targets.append(y.cpu())
            if job.arrived and processes.count() == 1:
                raise console.Stopped(job.arrived[0])
    model.train(was_training)
    joined = [torch.cat(processes.gathered(torch.cat(part)))[: len(dataset)] for part in (outputs, targets)]
    return joined[0], joined[1]


def _at_once(dataset: Any, seed: int) -> int:
    """Items that have so many numbers together: a scan is answered with few beside it, a digit with hundreds."""
    return min(MOST, max(NUMBERS // max(made(dataset, 0, seeds.generator(seed, 0, 0))[0].numel(), 1), 1))


def _feed(job: Job, dataset: Any, fabric: Any) -> feeding.Feed:
    """How the data set's items reach the device: while a training lasts, set up once for each of its data sets."""
    known = {} if job.feeds is None else job.feeds
    if id(dataset) not in known:
        feed = feeding.feed(dataset, job.seed, torch.device(fabric.device), job.workers)
        known[id(dataset)] = (dataset, feed)  # held, so that no other one gets its id
    return known[id(dataset)][1]
