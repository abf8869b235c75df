"""How a training steps: its optimizer, its learning rate over time, and the running mean of its weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from sigconv import nd
from sigconv.train.sharding import like

OPTIMIZERS = ("sgd", "adamw")
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _NormBase)
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
    """The optimizer by name or as made; decay pulls at weights, not at biases, norms and what has a meaning.

    The last are parameters of modules that say decays = False: the frequencies and widths of filter banks.
    """
    if callable(kind):
        return kind(model.parameters())
    trained = [p for p in model.parameters() if p.requires_grad]
    kept = {id(p) for module in model.modules() for p in _kept(module)}
    weights = [p for p in trained if p.ndim > 1 and id(p) not in kept]
    others = [p for p in trained if p.ndim <= 1 or id(p) in kept]
    groups = [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    if not weight_decay:  # one group is stepped quicker than two
        groups = [{"params": [p for p in model.parameters() if p.requires_grad], "weight_decay": 0.0}]
    on_gpu = any(p.device.type == "cuda" for p in model.parameters())
    options: dict[str, Any] = {"lr": lr} | ({"fused": True} if on_gpu else {})
    if nd.one_of(kind, OPTIMIZERS, "optimizer") == "sgd":
        return torch.optim.SGD(groups, momentum=momentum, **options)
    return torch.optim.AdamW(groups, **options)


def _kept(module: nn.Module) -> list[nn.Parameter]:
    """A module's own parameters that no decay pulls at, of however many axes."""
    if not getattr(module, "decays", True) or isinstance(module, NORMS):
        return list(module.parameters(recurse=False))
    return [p for name, p in module.named_parameters(recurse=False) if name == "bias"]


class Average:
    """A running mean of all of a model's numbers, that follows fast at first: decay grows to its value."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay, self.steps = model, decay, 0
        self.means = {key: value.detach().clone() for key, value in model.state_dict().items()}

    @torch.no_grad()
    def follow(self) -> None:
        """Take the model's present numbers into the mean."""
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.steps else 1.0
        self.steps += 1
        values, means = self._by_kind(self.model.state_dict())
        if values[0]:
            torch._foreach_lerp_(means[0], values[0], share)
        for mean, value in zip(means[1], values[1], strict=True):
            mean.copy_(value)

    def _by_kind(self, values: dict[str, Tensor]) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Floating numbers, which have a mean, and others, which have a last value: of the model, and of the mean."""
        has_mean = lambda value: value.is_floating_point() or value.is_complex()
        kinds = [[key for key in values if has_mean(values[key]) is kind] for kind in (True, False)]
        return tuple([[found[key] for key in keys] for keys in kinds] for found in (values, self.means))  # type: ignore[return-value]

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The model with the mean in its stead, for a while."""
        live = self.model.state_dict()
        before = {key: value.clone() for key, value in live.items()}
        try:
            _put(live, self.means)
            yield
        finally:
            _put(live, before)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"steps": self.steps, "means": self.means}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where a checkpoint was; KeyError or RuntimeError for another model's."""
        self.steps = state["steps"]
        _put(self.means, {key: like(state["means"][key], value) for key, value in self.means.items()})


@torch.no_grad()
def _put(into: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    for key, value in into.items():
        value.copy_(values[key])
