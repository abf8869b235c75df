"""Loops compiled by numba, which is imported when the first one runs and not before."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def numba_at_hand() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


@cache
def compiled(function: Callable[..., Any], fused: bool = True) -> Any:
    """The loop compiled, kept on disk where there is a folder for it; it runs beside other threads.

    fused: multiply and add may be one instruction; nothing is reordered, NaN and Inf stay.
    """
    import numba

    options: dict[str, Any] = {"nogil": True, **({"fastmath": {"contract"}} if fused else {})}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # no folder where compiled code could be kept
        return numba.njit(function, **options)
