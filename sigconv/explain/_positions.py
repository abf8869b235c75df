"""A layer that has axes of space, one position of it, and what it answers there."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import torch
from torch import Tensor, nn

from sigconv.explain._answers import asked, at_rest
from sigconv.explain._nodes import module_of, watched

Position = tuple[int, ...]


def middle_of(space: Position) -> Position:
    """The position in the middle, the earlier of two.

    >>> middle_of((5, 4))
    (2, 1)
    """
    return tuple((n - 1) // 2 for n in space)


def spatial(model: nn.Module, shape: tuple[int, ...], node: str | None) -> tuple[str, Position]:
    """The layer that is meant, and its axes of space."""
    found: dict[str, Position] = {}
    names = [name for name, _ in model.named_modules()] if node is None else [node]
    kinds = [p.dtype for p in model.parameters() if p.is_floating_point()]
    with contextlib.ExitStack() as stack:
        for name in names:
            hook = functools.partial(_keep, found, name)
            stack.callback(module_of(model, name).register_forward_hook(hook).remove)
        with at_rest(model), torch.no_grad(), torch.random.fork_rng(devices=[]):
            asked(model, torch.zeros((1, *shape[1:]), dtype=kinds[0] if kinds else None))
    if node is not None and node not in found:
        raise ValueError(f"node {node!r} answers with no tensor when the model does: name another layer")
    last = [name for name, space in found.items() if space]
    named = node if node is not None else "" if found.get("") or not last else last[-1]
    return named, found.get(named, ())


def _keep(found: dict[str, Position], name: str, module: nn.Module, given: Any, out: Any) -> None:
    """The axes of space a layer answers with, first come first kept."""
    tensor = out[0] if isinstance(out, tuple | list) and out else out
    if isinstance(tensor, Tensor):
        found.setdefault(name, tuple(tensor.shape[2:]))


def answer_of(model: Any, x: Tensor, node: str, work: Any = None) -> Tensor:
    """What a layer answers, the first time it is called."""
    with watched(model, node) as seen:
        asked(model, x) if work is None else work(x)
    return seen[0]


def values_at(out: Tensor, position: Position) -> Tensor:
    """(batch, channels) of a position; everything a layer without axes of space answers with."""
    place: Any = (slice(None), slice(None), *position)
    return out[place] if position else out.reshape(len(out), -1)
