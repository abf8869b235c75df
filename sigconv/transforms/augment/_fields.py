"""Smooth random fields: cubic B-splines over a grid of knots, in any number of dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def knots(space: Sequence[int], apart: Sequence[float]) -> tuple[int, ...]:
    """How many knots, so many samples apart, a field over a space needs along each axis; inf apart asks for one.

    >>> knots((9, 64), (4.0, math.inf))
    (6, 1)
    """
    return tuple(
        1 if math.isinf(step) else math.floor(min((n - 1) / step, 2.0**62)) + 4
        for n, step in zip(space, apart, strict=True)
    )


def field(values: Tensor, space: Sequence[int], apart: Sequence[float]) -> Tensor:
    """The cubic B-spline whose coefficients are these: (*rest, *knots) to (*rest, *space).

    The first knot lies one distance before the first sample. A field is never beyond the largest and smallest of
    its values, a constant where they are all alike, and twice continuously differentiable. An axis with an infinite
    distance has one knot and does not vary.

    >>> field(torch.tensor([0.0, 0.0, 6.0, 0.0, 0.0]), (3,), (2.0,))
    tensor([1.0000, 2.8750, 4.0000])
    """
    for axis, (n, step) in enumerate(zip(space, apart, strict=True), values.ndim - len(space)):
        if math.isinf(step):
            values = values.expand(*values.shape[:axis], n, *values.shape[axis + 1 :])
            continue
        place = torch.arange(n, dtype=torch.float64) / step
        first = place.floor()
        t = (place - first).clamp(0, 1)
        weights = (
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        )
        shape = [-1 if a == axis else 1 for a in range(values.ndim)]
        index = first.long().to(values.device)
        taps = [values.index_select(axis, index + k) * w.to(values).reshape(shape) for k, w in enumerate(weights)]
        values = taps[0] + taps[1] + taps[2] + taps[3]
    return values
