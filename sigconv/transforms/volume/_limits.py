"""What a kind of numbers can hold, and what a memory: asked before long work, and before anything wraps."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import torch

UNTOLD = 1 << 40  # bytes, where the system does not say how much memory there is


def filling(value: float, dtype: torch.dtype) -> float:
    """A value to fill with, if numbers of this kind can be it.

    >>> filling(7.0, torch.uint8), filling(-0.5, torch.float32)
    (7, -0.5)
    >>> filling(-1, torch.uint8)
    Traceback (most recent call last):
    ValueError: value -1 is no torch.uint8: expected a whole number of 0 … 255, or x of another dtype
    """
    if dtype.is_complex:
        return value
    if dtype.is_floating_point:
        most = torch.finfo(dtype).max
        if math.isfinite(value) and abs(value) > most:
            raise ValueError(
                f"value {value} is no {dtype}: expected at most {most:g} either way, or x of another dtype"
            )
        return value
    low, high = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    if not (low <= value <= high and value == math.floor(value)):
        raise ValueError(
            f"value {value} is no {dtype}: expected a whole number of {low} … {high}, or x of another dtype"
        )
    return int(value)


def affordable(shape: Sequence[int], itemsize: int, said: str, remedy: str = "ask for fewer") -> None:
    """Refuse what asks for more values, of so many bytes each, than this machine could ever hold.

    >>> affordable((3, 2**50), 4, "shape 1125899906842624")
    Traceback (most recent call last):
    ValueError: shape 1125899906842624 asks for 3x1125899906842624 values, more than this machine holds: ask for fewer
    """
    if math.prod(shape) * itemsize > _memory():
        sizes = "x".join(map(str, shape))
        raise ValueError(f"{said} asks for {sizes} values, more than this machine holds: {remedy}")


def _memory() -> int:
    """Bytes of memory that the machine has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return UNTOLD
