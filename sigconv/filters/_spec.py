"""A bank from one word on the command line: `gabor`, or `gabor.pyramid:wavelengths=4,8:directions=13`."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from sigconv import words
from sigconv.filters._bank import FilterBank


def build(spec: str, families: dict[str, ModuleType], ndim: int | None, fs: Any) -> FilterBank:
    """The bank a text names: a family's default, or one of its functions with its options."""
    head, *options = str(spec).split(":")
    family, _, function = head.partition(".")
    if family not in families:
        raise ValueError(f"bank {family!r} is not one of {sorted(families)}")
    module = families[family]
    makers = {name: getattr(module, name) for name in _makers(module)}
    function = function or "default"
    if function not in makers:
        raise ValueError(f"bank {head!r}: {family} makes banks by {sorted(makers)}")
    taken = inspect.signature(makers[function]).parameters
    passes = any(p.kind is p.VAR_KEYWORD for p in taken.values())  # what it takes it hands on
    given = words.options(options, list(taken), f"bank {head}", more=passes)
    for name, known in (("ndim", ndim), ("fs", fs)):
        if name in taken and name not in given and known is not None:
            given[name] = known
    missing = [n for n, p in taken.items() if p.default is p.empty and n not in given and p.kind is not p.VAR_KEYWORD]
    if missing:
        raise ValueError(f"bank {head!r} needs {', '.join(missing)}: {head}:{missing[0]}=…")
    return makers[function](**given)


def _makers(module: ModuleType) -> list[str]:
    """The public functions of a family that answer with a bank."""
    found = inspect.getmembers(module, inspect.isfunction)
    own = [(name, f) for name, f in found if f.__module__.startswith(module.__name__) and not name.startswith("_")]
    return [name for name, f in own if f.__annotations__.get("return") in ("FilterBank", FilterBank)]
