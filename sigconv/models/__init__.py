"""Models: one architecture a file, each in any number of axes, with exactly the published numbers of parameters.

    from sigconv import models
    net = models.vgg.build("D", ndim=3, in_channels=1, classes=2, width=1 / 4)
    net = models.build("resnet:50", ndim=1)

A model is a file here whose name has no underscore; it is found by that, and so met by the family's contract tests and
the command line. It defines

    VARIANTS    the names build takes first; the first of them is the default
    SIZE        the published input, samples along an axis: a number, (first, others), or a dict of those by variant
    SMALLEST    the smallest legal input, likewise
    build(variant=VARIANTS[0], *, ndim=2, in_channels=3, classes=1000, width=1.0, activation="relu", …) -> nn.Module
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

from torch import nn

from sigconv import nd, words
from sigconv.convolution import to_conv, to_dense
from sigconv.models import _common
from sigconv.models._milestones import MILESTONES
from sigconv.models._pattern import from_pattern

__all__ = ["MILESTONES", "build", "from_pattern", "input_shape", "names", "to_conv", "to_dense"]


def names() -> list[str]:
    """Every architecture's name."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))


def architecture(name: str) -> ModuleType:
    """An architecture's file as a module."""
    return importlib.import_module(f"{__name__}.{nd.one_of(name, names(), 'model')}")


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
    size = _common.of_variant(module.SMALLEST if smallest else module.SIZE, variant)
    channels = usual["in_channels"] if in_channels is None else in_channels
    return (batch, channels, *_common.axes(size, usual["ndim"] if ndim is None else ndim))


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name in names():
        return architecture(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
