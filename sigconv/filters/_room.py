"""How much memory a bank takes to answer a crop, told before it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from sigconv.filters._call import Call
from sigconv.filters._grid import grid
from sigconv.filters._respond import _ranked, _within, _working
from sigconv.filters._sink import LAUNCH, ROOM


def room(bank: Any, shape: Sequence[int], dtype: torch.dtype, output: str, stride: tuple[int, ...]) -> int:
    """Bytes beside x (rows, *space) that respond(inside=True) takes at the most, its answer among them.

    An upper bound of what was measured, by the way it will take where nothing overflows.
    """
    rows = torch.empty(tuple(shape), dtype=_working(dtype), device="meta")
    positions = tuple(-(-n // s) for n, s in zip(_within(bank, tuple(shape[1:])), stride, strict=True))
    call = Call(stride, ("zeros",) * bank.ndim, 0.0, positions, None, True)
    whole = output == "complex" or (output == "auto" and (bank.complex or rows.is_complex()))
    size = rows.real.element_size() if rows.is_complex() else rows.element_size()
    one = shape[0] * math.prod(positions) * 2 * size  # a complex response
    answer = len(bank) * one // (1 if whole else 2)
    taps = 16 * len(bank) * math.prod(bank.kernel_size)
    where = grid(bank, tuple(shape[1:]), call)
    period = shape[0] * math.prod(where.period) * max(where.blocks, 1) * 2 * size
    ways = {"spectral": 7 * period, "separable": 6 * rows.numel() * 2 * size, "direct": 8 * one + 3 * period}
    together = LAUNCH if torch.device(bank.device).type == "cuda" else ROOM
    return int(answer + ways[_ranked(bank, rows, call, False)[0]] + 2 * together + 2 * taps)
