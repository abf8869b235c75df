"""Pointwise products of spectra: one transform of the whole padded input (MX9, with e^{-2πi tu} as in CV2).

The period is no shorter than the padded input, so that no window wraps around. The error is relative to the norm of
the whole block, `max(0.1·log2 N, 2.5)·eps·‖x‖‖w‖`, not to each output: auto takes it under a value guard only.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sigconv.methods import _spectral
from sigconv.methods._problem import Problem

EXACT = False
LOCAL = False


def blocking(padded: tuple[int, ...], span: tuple[int, ...], multiple: int) -> tuple[int, int]:
    """One block holds the whole first axis: its length, and the step to a next one that is not there."""
    dense = padded[0] - span[0] + 1
    hop = -(-dense // multiple) * multiple
    return _spectral.fast_length(hop + span[0] - 1), hop


def correlate(x: Tensor, weight: Tensor, bias: Tensor | None, **options: Any) -> Tensor:
    """Circular correlation over one period; the outputs that wrapped are not read."""
    return _spectral.correlate(x, weight, bias, blocking=blocking, **options)


def cost(problem: Problem) -> dict[str, float]:
    """One block for each batch row."""
    return _spectral.cost(problem, blocking)


def memory(problem: Problem) -> int:
    """One block's spectra, kernels' and all."""
    return _spectral.memory(problem, blocking)
