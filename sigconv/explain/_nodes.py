"""A layer of a model by its name, and what it answers while the model works."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from sigconv import console


def module_of(model: nn.Module, node: str) -> nn.Module:
    """The layer of that name, as named_modules has it; "" is the model. ValueError names the nearest.

    >>> module_of(nn.Sequential(nn.ReLU(), nn.Tanh()), "1")
    Tanh()
    """
    modules = dict(model.named_modules())
    if node not in modules:
        raise ValueError(f"node {node!r} is no layer of the model: {console.nearest(node, [n for n in modules if n])}")
    return modules[node]


@contextlib.contextmanager
def watched(model: nn.Module, node: str) -> Iterator[list[Tensor]]:
    """What the layer of that name answers while the model works, a tensor a call, as part of the graph.

    It is the very tensor that goes on: a layer in place behind this one writes over it.

    >>> import torch
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU())
    >>> with watched(net, "1") as seen:
    ...     _ = net(torch.ones(3, 2, 2))
    >>> seen[0].shape
    torch.Size([3, 2])
    """
    found: list[Tensor] = []

    def keep(module: nn.Module, given: Any, out: Any) -> None:
        tensor = out[0] if isinstance(out, tuple | list) and out else out
        if isinstance(tensor, Tensor):
            found.append(tensor)

    handle = module_of(model, node).register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()
