"""SciPy's functions on a GPU, as CuPy has them, where it is installed; tensors become its arrays without a copy."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from torch import Tensor


def at_hand() -> bool:
    """Whether CuPy is installed."""
    return importlib.util.find_spec("cupyx") is not None


def arrays(*tensors: Tensor) -> Callable[[], list[Any]]:
    """What gives the same numbers in the same memory, loaded at its first call: where that fails, others race on."""

    @functools.cache
    def made() -> list[Any]:
        cupy = importlib.import_module("cupy")
        return [cupy.from_dlpack(t.detach()) for t in tensors]

    return made


def stack(found: list[Any]) -> Any:
    """Arrays along a new first axis."""
    return importlib.import_module("cupy").stack(found)


def signal() -> Any:
    """What scipy.signal is called there."""
    return importlib.import_module("cupyx.scipy.signal")


def ndimage() -> Any:
    """What scipy.ndimage is called there."""
    return importlib.import_module("cupyx.scipy.ndimage")
