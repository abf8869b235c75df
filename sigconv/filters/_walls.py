"""Parameters that stay where they mean something: a value that crosses its wall comes back from it.

That is what sampling does to a frequency above Nyquist anyway. Unlike a clamp, the way back leaves the gradient alive:
a step of the optimiser beyond a wall is a step inside, and no parameter is ever stuck.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def within(value: Tensor, least: Tensor, most: Tensor) -> Tensor:
    """The value, reflected at its walls as often as it takes; between them, and on them, it is itself, to the bit.

    >>> within(torch.tensor([0.3, 0.6, -0.1, 1.2]), torch.tensor(0.0), torch.tensor(0.5))
    tensor([0.3000, 0.4000, 0.1000, 0.2000])
    """
    span = most - least
    back = (value - least) % (2 * span)
    folded = least + torch.where(back > span, 2 * span - back, back)
    once = torch.where(value > most, 2 * most - value, 2 * least - value)  # where only one wall is anywhere near
    outside = torch.where(torch.isfinite(span) & (span > 0), folded, once)
    return torch.where((value < least) | (value > most), outside, value)


def numbers(value: Any, name: str) -> Tensor:
    """float64 of what a user gives for a parameter, finite."""
    try:
        values = torch.as_tensor(np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, np.float64))
    except (TypeError, ValueError, OverflowError, NotImplementedError):
        raise TypeError(f"{name} {value!r} is not a number, nor an array of numbers") from None
    bad = values[~torch.isfinite(values)]
    if len(bad):
        raise ValueError(f"{name} holds {bad[0].item()}: expected finite numbers")
    return values.clone()


def each(value: Any, name: str, filters: int) -> Tensor:
    """One number for all filters, or one for each: float64 (filters,)."""
    values = numbers(value, name).flatten()
    if len(values) not in (1, filters):
        raise ValueError(f"{name} has {len(values)} entries for {filters} filters")
    return values.expand(filters).clone()


def inside(values: Tensor, least: Tensor, most: Tensor, why: str) -> None:
    """Refuse values beyond their walls, naming the first, and the limit."""
    outside = (values < least) | (values > most)
    if outside.any():
        value, low, high = (t[outside][0].item() for t in torch.broadcast_tensors(values, least, most))
        limit = f"at least {low:.6g}" if value < low else f"at most {high:.6g}"
        raise ValueError(f"{why.format(value=f'{value:.6g}')}: expected {limit}")


class Held(nn.Module):
    """A module whose parameters are kept within walls, in float64, in numbers near one whatever their units.

    An optimiser steps by the same amount wherever it stands: a frequency kept as 1000 Hz would never move, one kept as
    0.0625 cycles per sample does. value(name) gives what counts, in units; state_dict holds what is kept.
    """

    decays = False  # weight decay would pull a frequency to 0, and call it learned

    def hold(
        self, name: str, values: Tensor, least: Any, most: Any, learnable: bool, why: str, unit: Any = 1.0
    ) -> None:
        """Keep a parameter, given in units with its walls; unit says how many of them are one of what is kept.

        why is the error's first half, with {value} in it.
        """
        if not isinstance(learnable, bool | np.bool_):
            raise TypeError(f"learnable {learnable!r} is neither True nor False")
        unit = torch.as_tensor(unit, dtype=torch.float64)
        low, high = (torch.as_tensor(wall, dtype=torch.float64).expand_as(values).clone() for wall in (least, most))
        inside(values, low, high, why)
        self.register_parameter(name, nn.Parameter(values.double() / unit, requires_grad=bool(learnable)))
        for what, wall in (("least", low / unit), ("most", high / unit), ("unit", unit.expand_as(values).clone())):
            self.register_buffer(f"_{name}_{what}", wall, persistent=False)

    def value(self, name: str) -> Tensor:
        """A parameter as it counts: within its walls, in units."""
        held: Tensor = getattr(self, name)  # a tensor stands here under torch.func.functional_call
        held = held.to(torch.promote_types(held.dtype, torch.float32))  # a model made half keeps its waves
        least, most, unit = (self.get_buffer(f"_{name}_{what}").to(held) for what in ("least", "most", "unit"))
        return within(held, least, most) * unit
