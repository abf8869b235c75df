"""What the parts are asked for, checked: amounts, shares, axes and sampling rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sigconv.transforms.volume._space import numbers


def amount(value: float, name: str, most: float = math.inf) -> float:
    """A finite number, at least 0.

    >>> amount(-1, "sigma")
    Traceback (most recent call last):
    ValueError: sigma -1 must be a finite number, at least 0
    """
    if not (math.isfinite(value) and 0 <= value <= most):
        upto = "" if math.isinf(most) else f" and at most {most:g}"
        raise ValueError(f"{name} {value} must be a finite number, at least 0{upto}")
    return value


def part_of(value: float) -> float:
    """A share of the items, in 0 … 1.

    >>> part_of(2)
    Traceback (most recent call last):
    ValueError: share 2 is a part of the items: it must be between 0 and 1
    """
    if not 0 <= value <= 1:
        raise ValueError(f"share {value} is a part of the items: it must be between 0 and 1")
    return value


def axes_of(axes: Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes of space that are meant, counted from its first; all, unless said.

    >>> axes_of(None, 2), axes_of((-1,), 3)
    ((0, 1), (2,))
    """
    if axes is None:
        return tuple(range(ndim))
    found = tuple(axis % ndim for axis in axes if -ndim <= axis < ndim)
    if len(found) != len(tuple(axes)) or len(set(found)) != len(found):
        raise ValueError(f"axes {tuple(axes)} are not different axes of a space of {ndim}")
    return found


def rates(fs: Any, ndim: int) -> tuple[float, ...]:
    """Samples per mm along each axis, from one number or one for each.

    >>> rates((1.0, 0.5), 3)
    Traceback (most recent call last):
    ValueError: fs (1.0, 0.5) is neither one number above 0 nor 3 of them
    """
    return numbers(fs, ndim, "fs")
