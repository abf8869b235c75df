"""The processes of a run: one, or many that torchrun started. Only the first one writes and speaks.

What they tell each other goes as tensors and JSON over gloo, beside the gradients: nothing is pickled.
"""

from __future__ import annotations

import datetime
import functools
import json
import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sigconv.train import tree

PATIENCE = datetime.timedelta(minutes=30)  # for a process that reads or evaluates longer than the others


def started() -> int:
    """How many processes torchrun started, whether they have met yet or not; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def count() -> int:
    """How many processes work together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def number() -> int:
    """This process's number, from 0, whether they have met yet or not."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    return int(os.environ.get("RANK", "0")) if started() > 1 else 0


@functools.cache
def _line() -> Any:
    """The group that talks: gloo, whatever the gradients travel by."""
    return dist.group.WORLD if dist.get_backend() == "gloo" else dist.new_group(backend="gloo", timeout=PATIENCE)


def greatest(*values: float) -> list[float]:
    """The greatest of what each process gives, one by one: the same list in all of them."""
    if count() == 1:
        return list(values)
    found = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(found, dist.ReduceOp.MAX, group=_line())
    return found.tolist()


def total(value: Tensor) -> Tensor:
    """The sum over all processes, on the CPU in float64."""
    found = value.detach().double().cpu()
    if count() > 1:
        dist.all_reduce(found, group=_line())
    return found


def told(value: Any) -> Any:
    """What the first process holds, in all of them: a nest of dicts, lists, tensors and plain values."""
    if count() == 1:
        return value
    tensors: dict[str, Tensor] = {}
    head = json.dumps([tree.flatten(value, tensors), _shapes(tensors)]).encode() if number() == 0 else b""
    length = torch.tensor([len(head)])
    dist.broadcast(length, 0, group=_line())
    text = torch.frombuffer(bytearray(head), dtype=torch.uint8) if head else torch.empty(int(length), dtype=torch.uint8)
    dist.broadcast(text, 0, group=_line())
    nest, shapes = json.loads(text.numpy().tobytes())
    for name, (dtype, shape) in shapes.items():
        tensor = tensors.get(name, torch.empty(shape, dtype=getattr(torch, dtype)))
        if tensor.numel():
            dist.broadcast(tensor.view(-1).view(torch.uint8), 0, group=_line())
        tensors[name] = tensor
    return tree.restore(nest, tensors)


def _shapes(tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {name: [str(tensor.dtype)[6:], list(tensor.shape)] for name, tensor in tensors.items()}


def gathered(rows: Tensor) -> list[Tensor]:
    """Every process's tensor, in the order of their numbers; all of one shape and dtype, on the CPU."""
    if count() == 1:
        return [rows]
    rows = rows.contiguous()
    found = [torch.empty_like(rows) for _ in range(count())]
    dist.all_gather([part.view(-1).view(torch.uint8) for part in found], rows.view(-1).view(torch.uint8), group=_line())
    return found


def lost(error: BaseException) -> bool:
    """Whether an error tells of another process that is gone."""
    signs = ("gloo", "nccl", "connection closed", "connection reset", "store")
    return count() > 1 and isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in signs)


def level(model: nn.Module) -> None:
    """The first process's buffers, such as running means, in all of them: each has seen other items."""
    if count() > 1:
        buffers = dict(model.named_buffers())
        for name, value in told(buffers).items():
            buffers[name].copy_(value)


def leave() -> None:
    """Part from the others at the end of a run, all at once: who hangs up while another still listens harms it."""
    if dist.is_available() and dist.is_initialized():
        greatest(0)
        _line.cache_clear()
        dist.destroy_process_group()
