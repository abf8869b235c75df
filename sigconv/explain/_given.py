"""What maps over signals begin with: floating signals, and what stands for nothing in them."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from sigconv import nd
from sigconv.explain._answers import at_once


def signals(x: Tensor) -> Tensor:
    """x, if it is floating (batch, channels, *space); ValueError otherwise.

    >>> import torch
    >>> signals(torch.zeros(2, 4))
    Traceback (most recent call last):
    ValueError: x is float32 (2, 4): expected floating (batch, channels, *space)
    """
    if not x.is_floating_point() or x.ndim < 3:
        kind = str(x.dtype).removeprefix("torch.")
        raise ValueError(f"x is {kind} {tuple(x.shape)}: expected floating (batch, channels, *space)")
    return x.detach()


def filled(value: Any, x: Tensor, name: str) -> Tensor:
    """A number, or values that broadcast to x, in x's shape, dtype and device; ValueError if they do not fit.

    >>> import torch
    >>> filled(1.0, torch.zeros(1, 2, 3), "baseline").shape
    torch.Size([1, 2, 3])
    >>> filled(torch.zeros(2), torch.zeros(1, 2, 3), "baseline")
    Traceback (most recent call last):
    ValueError: baseline has shape (2,): expected a number, or a shape that broadcasts to x's (1, 2, 3)
    """
    given = nd.as_tensor(value).detach().to(x)
    shape = tuple(given.shape)
    fits = len(shape) <= x.ndim and all(n in (1, m) for n, m in zip(reversed(shape), reversed(x.shape), strict=False))
    if not fits:
        raise ValueError(
            f"{name} has shape {shape}: expected a number, or a shape that broadcasts to x's {tuple(x.shape)}"
        )
    return given.expand_as(x)


def items_at_once(batch_size: Any, x: Tensor) -> int:
    """How many items like those of x a model is given at a time: fewer of large ones."""
    return at_once(batch_size, math.prod(x.shape[2:]))
