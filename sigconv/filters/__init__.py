"""Filter banks: one family a file, each with bank(…) -> FilterBank and default(ndim, fs) -> FilterBank.

    from sigconv.filters import gabor
    responses = gabor.pyramid(3, wavelengths=(4, 8), directions=6)(scans, output="energy")

A family is a file here whose name has no underscore and that defines default; it is found by that, and so served by the
command line, extraction and the contract tests.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from sigconv.filters import _spec
from sigconv.filters._bank import FilterBank
from sigconv.filters._rotations import rotation_pool

__all__ = ["FilterBank", "build", "families", "rotation_pool"]


def families() -> dict[str, ModuleType]:
    """Every family by its name."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "default")}


def build(spec: str, ndim: int | None = None, fs: Any = None) -> FilterBank:
    """A bank from one word: a family's name, or family.function:option=value:option=value.

    ndim and fs are handed to what takes them. ValueError for unknown names, with those there are.

    >>> build("gabor.pyramid:wavelengths=4,8:directions=13", ndim=3)
    Gabor(26 filters, 3-D, 37 x 37 x 37, fs=1.0)
    """
    return _spec.build(spec, families(), ndim, fs)
