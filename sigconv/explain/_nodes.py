"""A layer of a model by its name, and what it answers while the model works."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from sigconv import console

WRAPPERS = ("_orig_mod.", "module.")  # what names begin with where a model is compiled or spread over devices


def bare(model: nn.Module, node: str) -> str:
    """A layer's name in the model itself, out of what compiles or distributes it: sc.describe's.

    >>> bare(nn.DataParallel(nn.Sequential(nn.ReLU())), "module.0"), bare(nn.Sequential(nn.ReLU()), "0")
    ('0', '0')
    """
    for prefix in WRAPPERS:
        if node.startswith(prefix) and isinstance(getattr(model, prefix[:-1], None), nn.Module):
            return bare(getattr(model, prefix[:-1]), node.removeprefix(prefix))
    return node


def module_of(model: nn.Module, node: str) -> nn.Module:
    """The layer of that name, as named_modules has it, or in the model that is wrapped; "" is the model. ValueError
    names the nearest.

    >>> module_of(nn.Sequential(nn.ReLU(), nn.Tanh()), "1")
    Tanh()
    """
    modules = dict(model.named_modules())
    node = next((prefix + node for prefix in ("", *WRAPPERS) if prefix + node in modules), node)
    if node not in modules:
        raise ValueError(f"node {node!r} is no layer of the model: {console.nearest(node, [n for n in modules if n])}")
    return modules[node]


@contextlib.contextmanager
def watched(model: nn.Module, node: str) -> Iterator[list[Tensor]]:
    """What the layer of that name answers while the model works, a tensor a call, as part of the graph.

    What follows is given a copy: it may work in place, and the layer's answer must stay as it was.

    >>> import torch
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU())
    >>> with watched(net, "1") as seen:
    ...     _ = net(torch.ones(3, 2, 2))
    >>> seen[0].shape
    torch.Size([3, 2])
    """
    found: list[Tensor] = []

    def keep(module: nn.Module, given: Any, out: Any) -> Any:
        several = isinstance(out, tuple | list) and len(out) > 0
        tensor = out[0] if several else out
        if not isinstance(tensor, Tensor):
            return None
        found.append(tensor)
        if not several:
            return tensor.clone()
        rest = (tensor.clone(), *out[1:])
        return type(out)(*rest) if hasattr(out, "_fields") else type(out)(rest)

    handle = module_of(model, node).register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()
