"""Architectures found by their files, and models built from one word."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from sigconv import nd, words
from sigconv.models import _common

ROOM = __name__.rpartition(".")[0]


def names() -> list[str]:
    """Every architecture's name."""
    files = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(found.name for found in files if not found.name.startswith("_"))


def architecture(name: str) -> ModuleType:
    """An architecture's file as a module."""
    return importlib.import_module(f"{ROOM}.{nd.one_of(name, names(), 'model')}")


def build(spec: str, **options: Any) -> nn.Module:
    """A model from one word, name:variant:option=value, with further options for the architecture's own build.

    ValueError for unknown names, with those there are.

    >>> sum(p.numel() for p in build("mnist1d:dense").parameters())
    59065
    """
    module, variant, given = read(spec)
    return module.build(variant, **given | options)


def read(spec: str) -> tuple[ModuleType, str, dict[str, Any]]:
    """The architecture, the variant and the options that a word names."""
    name, *parts = str(spec).split(":")
    module = architecture(name)
    variant = parts.pop(0) if parts and "=" not in parts[0] else module.VARIANTS[0]
    nd.one_of(variant, module.VARIANTS, f"{name} variant")
    taken = {
        name: p.default for name, p in inspect.signature(module.build).parameters.items() if p.kind is p.KEYWORD_ONLY
    }
    return module, variant, words.options(parts, taken, f"model {name}")


def input_shape(
    spec: str, *, ndim: int | None = None, in_channels: int | None = None, batch: int = 1, smallest: bool = False
) -> tuple[int, ...]:
    """The shape a model is published for, or the smallest it takes: (batch, channels, *space).

    >>> input_shape("mnist1d"), input_shape("mnist1d", ndim=3, in_channels=2, smallest=True)
    ((1, 1, 40), (1, 2, 15, 15, 15))
    """
    module, variant, given = read(spec)
    usual = {name: p.default for name, p in inspect.signature(module.build).parameters.items()} | given
    usual |= {name: n for name, n in (("ndim", ndim), ("in_channels", in_channels)) if n is not None}
    usual = _common.usual(getattr(module, "USUAL", {}), variant, usual)
    size = _common.of_variant(module.SMALLEST if smallest else module.SIZE, variant, usual["ndim"])
    return (batch, usual["in_channels"], *_common.axes(size, usual["ndim"]))
