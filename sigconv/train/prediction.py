"""predict: a model's answers to a whole data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv.train import devices
from sigconv.train.batches import Batches
from sigconv.train.job import Job


def predict(model: nn.Module, dataset: Any, *, job: Job | None = None, batch_size: int = 512) -> tuple[Tensor, Tensor]:
    """The model's outputs for every item, and the targets, in the data set's order, on the CPU in float32."""
    job = job or Job()
    fabric = devices.fabric(job.device)
    model.to(fabric.device)
    was_training = model.training
    model.eval()
    outputs, targets = [], []
    with torch.inference_mode(), fabric.autocast():
        for x, y in Batches(dataset, batch_size, seed=job.seed, device=fabric.device).epoch(0):
            outputs.append(model(x).float().cpu())
            targets.append(y.cpu())
    model.train(was_training)
    return torch.cat(outputs), torch.cat(targets)
