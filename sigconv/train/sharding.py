"""A model shared out among processes (FSDP2): its tensors whole for a checkpoint, and in parts again after one."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import torch
from torch import Tensor, nn


def part_of_fabric(name: str) -> Any:
    """A module of Lightning Fabric, by either name it is installed under. Raises ImportError where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that Fabric looks for at its import
        try:
            return importlib.import_module(f"lightning_fabric.{name}".rstrip("."))
        except ImportError:
            return importlib.import_module(f"lightning.fabric.{name}".rstrip("."))


def share_out(model: nn.Module, mesh: Any) -> nn.Module:
    """Every child with parameters, and then the rest, in parts of one a process."""
    from torch.distributed.fsdp import FSDPModule, fully_shard

    parts = mesh["data_parallel"]
    for child in model.children():
        if any(True for _ in child.parameters()) and not isinstance(child, FSDPModule):
            fully_shard(child, mesh=parts)
    if not isinstance(model, FSDPModule):  # one that is trained again is shared out already
        fully_shard(model, mesh=parts)
    return model


def whole(value: Any) -> Any:
    """A nest of dicts, lists and tensors with every shared-out tensor put together: all processes call it at once."""
    if isinstance(value, Tensor):
        return value.full_tensor() if is_shared(value) else value  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return {key: whole(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [whole(entry) for entry in value]
    return value


def like(value: Tensor, place: Tensor) -> Tensor:
    """A whole tensor, shared out as another one is."""
    if not is_shared(place) or is_shared(value):
        return torch.empty_like(place, dtype=value.dtype).copy_(value)  # in its layout too: fused optimizers rely on it
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(place.device), place.device_mesh, place.placements)  # type: ignore[attr-defined]


def load_model(model: nn.Module, state: dict[str, Tensor]) -> None:
    """load_state_dict, of whole tensors."""
    there = model.state_dict()
    model.load_state_dict({key: like(value, there[key]) if key in there else value for key, value in state.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """load_state_dict, of whole tensors: what has a parameter's shape is shared out as the parameter is."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    entries: dict[Any, Any] = {}
    for place, entry in state["state"].items():
        parameter = parameters[int(place)]
        fits = lambda v, parameter=parameter: isinstance(v, Tensor) and v.shape == parameter.shape and v.ndim
        entries[place] = {key: like(v, parameter) if fits(v) else v for key, v in entry.items()}
    optimizer.load_state_dict({**state, "state": entries})


def is_shared(tensor: Tensor) -> bool:
    """Whether a process holds but a part of it."""
    return hasattr(tensor, "full_tensor")
