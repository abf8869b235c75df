"""Parameters that stay where they mean something: a value that crosses its wall comes back from it.

That is what sampling does to a frequency above Nyquist anyway. Unlike a clamp, the way back leaves the gradient alive:
a step of the optimiser beyond a wall is a step inside, and no parameter is ever stuck.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def within(value: Tensor, least: Tensor, most: Tensor) -> Tensor:
    """The value, reflected at its walls; inside them it is itself, to the bit.

    >>> within(torch.tensor([0.3, 0.6, -0.1]), torch.tensor(0.0), torch.tensor(0.5))
    tensor([0.3000, 0.4000, 0.1000])
    """
    value = torch.where(value > most, 2 * most - value, value)
    value = torch.where(value < least, 2 * least - value, value)
    return torch.minimum(torch.maximum(value, least), most)  # after a leap over both


def numbers(value: Any, name: str) -> Tensor:
    """float64 of what a user gives for a parameter, finite."""
    try:
        values = torch.as_tensor(np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, np.float64))
    except (TypeError, ValueError):
        raise TypeError(f"{name} {value!r} is not a number, nor an array of numbers") from None
    bad = values[~torch.isfinite(values)]
    if len(bad):
        raise ValueError(f"{name} holds {bad[0].item()}: expected finite numbers")
    return values.clone()


def inside(values: Tensor, least: Tensor, most: Tensor, why: str) -> None:
    """Refuse values beyond their walls, naming the first, and the limit."""
    outside = (values < least) | (values > most)
    if outside.any():
        value, low, high = (t[outside][0].item() for t in torch.broadcast_tensors(values, least, most))
        limit = f"at least {low:.6g}" if value < low else f"at most {high:.6g}"
        raise ValueError(f"{why.format(value=f'{value:.6g}')}: expected {limit}")
