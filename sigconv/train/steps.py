"""How a training steps: its optimizer, its learning rate over time, and the running mean of its weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from sigconv import nd

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("constant", "cosine", "one-cycle")


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


def steps_of(kind: Any, model: nn.Module, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """The optimizer by name or as made; decay pulls at weights, not at biases and norms."""
    if callable(kind):
        return kind(model.parameters())
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    if nd.one_of(kind, OPTIMIZERS, "optimizer") == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum)
    return torch.optim.AdamW(groups, lr=lr)


def running_mean(model: nn.Module, decay: float) -> Any:
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
