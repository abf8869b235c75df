"""Convolution, filter banks and pooling for science signals, in any number of dimensions.

    import sigconv as sc
    y = sc.conv(x, weight, padding="same", padding_mode="reflect")

The public names of convolution and pooling stand here too, every other room is an attribute (sc.nd, sc.datasets, …).
All are loaded when first used, so that `sigconv --help` answers at once.
"""

import importlib as _importlib
import pkgutil as _pkgutil
from typing import Any as _Any

__version__ = "0.1.0"

_OPEN_ROOMS = ("convolution", "pooling", "summary", "streaming", "extraction")  # whose public names are also ours
_BESIDE = ("benchmarks", "datasets", "recipes")  # parts of the package whose folders stand beside it
_ROOMS = {found.name for found in _pkgutil.iter_modules(__path__)} | set(_BESIDE)


def __getattr__(name: str) -> _Any:
    if name in _ROOMS:
        return _importlib.import_module(f"{__name__}.{name}")
    if not name.startswith("_"):
        for room in _OPEN_ROOMS:
            module = _importlib.import_module(f"{__name__}.{room}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    names = {name for room in _OPEN_ROOMS for name in _importlib.import_module(f"{__name__}.{room}").__all__}
    return sorted(names | {room for room in _ROOMS if not room.startswith("_")} | {"__version__"})
