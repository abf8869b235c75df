"""Pooling over any number of axes: a pooling is one function in one file, its layer is derived from it.

A newcomer adds a file with a function under `@layer("Name")`: it is found here, exported with its layer, and met by the
family's contract tests.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from sigconv.pooling._derive import Pool

__all__ = ["Pool"]

for _found in pkgutil.iter_modules(__path__):
    if not _found.name.startswith("_"):
        _file = importlib.import_module(f"{__name__}.{_found.name}")
        for _function in [
            thing for thing in vars(_file).values() if getattr(thing, "__module__", "") == _file.__name__
        ]:
            for _layer in getattr(_function, "layers", ()):
                globals()[_function.__name__] = _function
                globals()[_layer.__name__] = _layer
                __all__ += [_layer.__name__] if _function.__name__ in __all__ else [_function.__name__, _layer.__name__]
__all__.sort()

if TYPE_CHECKING:  # the names above are found, not written

    def __getattr__(name: str) -> Any:
        """Any pooling."""
