"""What every architecture is built with: widths that scale, sizes for any number of axes."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from torch import nn

from sigconv import nd

Arguments = ParamSpec("Arguments")
Model = TypeVar("Model", bound=nn.Module)


def recorded(build: Callable[Arguments, Model]) -> Callable[Arguments, Model]:
    """A build whose models remember what they were built from: model.built_from, with the defaults written out.

    {"model": the architecture's name, "variant": the first argument, "options": all others}; of a function not called
    build, its own name. save_pretrained writes it, from_pretrained builds from it, copies of a model have it too.

    >>> from sigconv.models import mnist1d
    >>> [mnist1d.build("mlp", ndim=2).built_from[key] for key in ("model", "variant")]
    ['mnist1d', 'mlp']
    """
    signature = inspect.signature(build)
    facts = build.__globals__.get("USUAL", {})
    first = next(iter(signature.parameters))
    name = build.__module__.rpartition(".")[2] if build.__name__ == "build" else build.__name__

    @functools.wraps(build)
    def built(*args: Arguments.args, **options: Arguments.kwargs) -> Model:
        if options.get("classes") is not None:
            nd.count(options["classes"], "classes")  # one without answers would only fail far from here
        model = build(*args, **options)
        given = signature.bind(*args, **options)
        given.apply_defaults()
        variant = str(given.arguments.pop(first))
        record = {"model": name, "variant": variant, "options": usual(facts, variant, given.arguments)}
        object.__setattr__(model, "built_from", record)  # plain values, nothing that torch should look at
        return model

    built.__kwdefaults__ = build.__kwdefaults__  # type: ignore[attr-defined]  # whoever asks is told
    return built


def scaled(channels: int, width: float, multiple: int = 1) -> int:
    """So many channels times the width, rounded to a multiple, one at least.

    >>> scaled(64, 1 / 16), scaled(96, 0.25, multiple=2), scaled(3, 0.01)
    (4, 24, 1)
    """
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width < math.inf:
        raise ValueError(f"width {width!r} must be a number above 0: it multiplies every channel count")
    return max(round(channels * width / multiple), 1) * multiple


def axes(size: Any, ndim: int) -> tuple[int, ...]:
    """A size for every axis: one number for all, or (first, others) where time comes first.

    >>> axes(224, 3), axes((16, 112), 3), axes((16, 112), 1)
    ((224, 224, 224), (16, 112, 112), (16,))
    """
    ndim = nd.count(ndim, "ndim")
    first, others = (size, size) if isinstance(size, int) else size
    return (first, *[others] * (ndim - 1))


def of_variant(fact: Any, variant: str, ndim: int = 1) -> Any:
    """What a model file says of a variant, where it says it by variant; and of a number of axes, where it differs.

    >>> of_variant({"m5": lambda ndim: 1024 if ndim == 1 else 32}, "m5", 3)
    32
    """
    found = fact[variant] if isinstance(fact, Mapping) else fact
    return found(ndim) if callable(found) else found


def usual(facts: Mapping[str, Any], variant: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with those that are None as this variant is published: a file's USUAL, {option: fact}, ndim first.

    >>> usual({"ndim": {"cnn": 2}, "in_channels": lambda ndim: 4 - ndim}, "cnn", {"ndim": None, "in_channels": None})
    {'ndim': 2, 'in_channels': 2}
    """
    found = dict(options)
    for name, fact in facts.items():
        if found.get(name) is None:
            found[name] = of_variant(fact, variant, found["ndim"] if name != "ndim" else 1)
    return found


def _unsaid(value: Any) -> bool:
    """Whether a value says nothing, of an option that a variant does not take."""
    return value is False or value == "average"


def variant_of(room: str, builders: Mapping[str, Any], facts: Mapping[str, Any], given: dict[str, Any]) -> Any:
    """What the builder of given["variant"] makes of the other options; ValueError for one that it does not take.

    What is None is as published for it: the facts say so.
    """
    variant = nd.one_of(given.pop("variant"), list(builders), f"{room} variant")
    builder = builders[variant]
    taken = [name for name, p in inspect.signature(builder).parameters.items() if p.kind is p.KEYWORD_ONLY]
    options = {k: v for k, v in given.items() if v is not None and (k in taken or not _unsaid(v))}
    wrong = [name for name in options if name not in taken]
    if wrong:
        raise ValueError(f"option {wrong[0]}={options[wrong[0]]!r}: {room}:{variant} takes {', '.join(taken)}")
    return builder(variant, **usual({k: fact for k, fact in facts.items() if k in taken}, variant, options))
