"""What fit was asked for: checked before anything is done, and written down, for a resumed run to be told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from sigconv import nd
from sigconv.train.steps import SCHEDULES

MOST_NAME = 150  # bytes, for what is added to it


def check(name: str, asked: Mapping[str, Any], watch: Mapping[str, Any]) -> None:
    """ValueError for numbers and names that cannot be."""
    for key in ("epochs", "every", "accumulate", "bad_steps", "batch_size"):
        if not isinstance(asked[key], int):
            raise ValueError(f"{key} {asked[key]!r} must be a whole number")
    for key in ("lr", "momentum", "weight_decay", "average", "label_smoothing", "clip"):
        if not isinstance(asked[key], int | float):
            raise ValueError(f"{key} {asked[key]!r} must be a number")
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
    nd.one_of(asked["schedule"], SCHEDULES, "schedule")
    if not name or "/" in name or "\0" in name or name.startswith(".") or len(name.encode()) > MOST_NAME:
        raise ValueError(f"name {name!r} must be one a file can have")
    if "valid" in watch:
        raise ValueError("watch 'valid' has the name of the validation set: call it otherwise")


def loss_of(loss: Any, label_smoothing: float, in_parts: bool) -> Any:
    """The loss to train by. One with parameters of its own would neither be trained nor kept, and is refused."""
    if in_parts and (getattr(loss, "reduction", "mean") != "mean" or getattr(loss, "weight", None) is not None):
        raise ValueError(f"loss {loss}: a step made in parts, or by many processes, needs a plain mean over its items")
    if loss is None:
        return nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    if label_smoothing:
        raise ValueError(f"label_smoothing {label_smoothing} is for the usual loss: yours may have one of its own")
    if isinstance(loss, nn.Module) and any(p.requires_grad for p in loss.parameters()):
        raise ValueError(f"loss {type(loss).__name__} has parameters of its own: make them a part of the model")
    return loss


def described(loss: Any, kind: Any, optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, str]:
    """Loss and optimizer as text: another one does not go on with this one's checkpoints."""
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not trained or not any(parameter.requires_grad for parameter in trained):
        raise ValueError("no parameter of the model is to be trained: set requires_grad where it should be")
    if {id(parameter) for parameter in trained} - {id(parameter) for parameter in model.parameters()}:
        raise ValueError(
            "the optimizer holds parameters that are not the model's, and would not be kept: add them to it"
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("optimizer LBFGS asks for the loss many times a step: take one that steps once")
    said = repr(loss) if isinstance(loss, nn.Module) else getattr(loss, "__qualname__", type(loss).__name__)
    plain = {
        k: v for k, v in optimizer.defaults.items() if v is None or isinstance(v, int | float | str | bool | tuple)
    }
    options = ", ".join(f"{key}={value}" for key, value in sorted(plain.items()))
    made = kind if isinstance(kind, str) else f"{type(optimizer).__name__}({options})"
    return {"loss": " ".join(said.split()), "optimizer": made}
