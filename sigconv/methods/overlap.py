"""Overlap-save: spectra of blocks a few kernels long, so that long signals cost no more a sample than short ones.

Blocks lie along the first axis of space, batched into one transform; the other axes are transformed whole. The error is
relative to the norm of a block, `max(0.1·log2 N, 2.5)·eps·‖x_block‖‖w‖`: auto takes it under a value guard only.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sigconv.methods import _spectral, fft
from sigconv.methods._problem import Problem

EXACT = False
LOCAL = False
LEAST = 8192  # samples of a block along a single axis: shorter ones transform no faster


def blocking(padded: tuple[int, ...], span: tuple[int, ...], multiple: int) -> tuple[int, int]:
    """About eight spans to a block, a power of two, its step a multiple of the stride; one block where all fits."""
    whole = fft.blocking(padded, span, multiple)
    block = 1 << (8 * span[0] - 1).bit_length()
    block = max(block, LEAST if len(padded) == 1 else 32)
    hop = (block - span[0] + 1) // multiple * multiple
    return (block, hop) if hop > 0 and block < whole[0] else whole


def correlate(x: Tensor, weight: Tensor, bias: Tensor | None, **options: Any) -> Tensor:
    """Block by block; a stride drops what each block computed in between."""
    return _spectral.correlate(x, weight, bias, blocking=blocking, **options)


def cost(problem: Problem) -> dict[str, float]:
    """As many blocks as the first axis takes."""
    return _spectral.cost(problem, blocking)


def memory(problem: Problem) -> int:
    """A round of blocks with their spectra."""
    return _spectral.memory(problem, blocking)
