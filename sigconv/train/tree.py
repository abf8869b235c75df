"""A nest of dicts, lists, tensors and plain values as a JSON tree and a flat dict of tensors, and back.

What is stored, and what one process tells another, goes through here: nothing is ever made by name from what is read.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def flatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The tree in JSON: a list is ["list", …], a dict ["dict", [key, value], …], a tensor ["tensor", name].

    The tensors themselves are put into the dict given, copied to the CPU.

    >>> flatten({"a": [1, torch.zeros(2)]}, {})
    ['dict', ['a', ['list', 1, ['tensor', 't0']]]]
    """
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return ["tensor", name]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str | int | float | bool | None):
                raise TypeError(f"a checkpoint's keys are text or numbers, not {key!r}")
        return ["dict", *([key, flatten(entry, tensors)] for key, entry in value.items())]
    if isinstance(value, list | tuple):
        return ["list", *(flatten(entry, tensors) for entry in value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds tensors and plain values, not {type(value).__name__}")


def restore(tree: Any, tensors: dict[str, Tensor]) -> Any:
    """The nest again; ValueError for a tree that flatten did not make."""
    if not isinstance(tree, list | dict):
        return tree
    kind: Any = "bare object"
    entries: list[Any] = []
    if isinstance(tree, list) and tree:
        kind, *entries = tree
    if kind == "tensor" and len(entries) == 1:
        if entries[0] not in tensors:
            raise ValueError(f"it names a tensor {entries[0]!r} that is not there")
        return tensors[entries[0]]
    if kind == "dict":
        return {key: restore(entry, tensors) for key, entry in entries}
    if kind == "list":
        return [restore(entry, tensors) for entry in entries]
    raise ValueError(f"it holds a {kind!r}, which is neither a list, a dict nor a tensor")
