"""What a model was built from, in plain values: told by the model, taken from a file, and built again."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from sigconv import nd
from sigconv.models._discovery import architecture, input_shape, names
from sigconv.models._pattern import from_pattern

FORMAT = 1
LARGEST = 1 << 20  # of any number a file may ask for: channels, classes, samples …
MOST = {"ndim": 16, "width": 64}  # … but these
LONGEST = 10_000  # letters of a text
MANY = 1000  # entries of a list
EXPORT = "models.export(model, 'model.pt2', shape) writes what it computes"


def described(model: nn.Module) -> dict[str, Any]:
    """The model's record as JSON would give it back; ValueError where there is none, or it is no longer true."""
    made = type(model).__name__
    record = vars(model).get("built_from")
    if record is None:
        raise ValueError(f"a {made} that sigconv.models did not build cannot be saved by name: {EXPORT}")
    options = {
        name: _plain(value, f"option {name}", MOST.get(name, LARGEST)) for name, value in record["options"].items()
    }
    record = json.loads(json.dumps(record | {"options": options}))
    word = f"{record['model']}:{record['variant']}"
    fresh = twin(planned(record | {"format": FORMAT}))
    now, then = model.state_dict(), fresh.state_dict()
    changed = [name for name in {**then, **now} if _shape(now, name) != _shape(then, name)]
    if changed:
        name = changed[0]
        detail = f"{name} is {_shape(now, name) or 'gone'}, and was {_shape(then, name) or 'not there'}"
    else:
        lines = zip(str(model).split("\n"), str(fresh).split("\n"), strict=False)
        detail = next((f"{a.strip()} was {b.strip()}" for a, b in lines if a != b), "")
    if detail:
        raise ValueError(
            f"{word} was changed since it was built ({detail[:200]}), and its record is not true: {EXPORT}"
        )
    return record


def planned(config: Mapping[str, Any]) -> Callable[[], nn.Module]:
    """How to build what a configuration asks for: a model found here, options its build takes, all of sensible size."""
    version = config.get("format")
    if type(version) is not int or version < 1:
        raise ValueError(f"format {str(version)[:40]!r} is not a number from 1 to {FORMAT}")
    if version > FORMAT:
        writer = str(config.get("sigconv"))[:40]
        raise ValueError(
            f"sigconv {writer} wrote it in format {version}, and this one reads up to {FORMAT}: update sigconv"
        )
    name, variant, options = (config.get(key) for key in ("model", "variant", "options"))
    if not isinstance(name, str) or not isinstance(variant, str) or not isinstance(options, dict):
        raise ValueError("model and variant must be texts, options name: value")
    if len(variant) > LONGEST:
        raise ValueError(f"variant has {len(variant)} letters: expected {LONGEST} at most")
    builder: Callable[..., nn.Module]
    if name == from_pattern.__name__:
        builder = from_pattern
    else:
        module = architecture(nd.one_of(name[:80], names(), "model"))
        nd.one_of(variant, module.VARIANTS, f"{name} variant")
        builder = module.build
    taken = list(inspect.signature(builder).parameters)[1:]
    for key, value in options.items():
        nd.one_of(key[:80], taken, f"{name} option")
        _plain(value, f"option {key}", MOST.get(key, LARGEST))
    return partial(builder, variant, **options)


def twin(build: Callable[[], nn.Module]) -> nn.Module:
    """The model without memory for its weights: its shapes are known before anything large is made or read."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return build()


def usual_shape(model: nn.Module) -> tuple[int, ...]:
    """The input a model built here is for, a batch of one: (1, channels, *space), as published or as it was built for.

    ValueError for a model of another make, and a pattern that was built for any size.

    >>> from sigconv import models
    >>> usual_shape(models.build("resnet:18", ndim=3, width=1 / 64))
    (1, 3, 224, 224, 224)
    """
    record = vars(model).get("built_from")
    if record is None:
        raise ValueError(f"a {type(model).__name__} that sigconv.models did not build has no usual shape: give one")
    options, size = record["options"], record["options"].get("size")
    if record["model"] in names():
        word = f"{record['model']}:{record['variant']}"
        published = input_shape(word, ndim=options["ndim"], in_channels=options["in_channels"])
        return published if size is None else (*published[:2], *nd.ntuple(size, options["ndim"], "size"))
    if size is None:
        raise ValueError(f"pattern {record['variant'][:60]!r} was built for any size: give a shape")
    return (1, options["in_channels"], *nd.ntuple(size, options["ndim"], "size"))


def _shape(state: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    return tuple(state[name].shape) if name in state else None


def _plain(value: Any, name: str, largest: int = LARGEST) -> Any:
    """A value that JSON keeps as it is; ValueError for others, and for more than any model needs."""
    if isinstance(value, list | tuple) and len(value) <= MANY:
        return [_plain(entry, name, largest) for entry in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a number of NumPy's or torch's
        value = value.item()
    if value is None or isinstance(value, bool) or (isinstance(value, str) and len(value) <= LONGEST):
        return value
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) <= largest:
        return value
    said = " ".join(repr(value).split())[:80]
    if isinstance(value, int | float | list | tuple | str):
        raise ValueError(f"{name} {said} is more than any model needs: expected {largest} at most")
    raise ValueError(f"{name} {said} is not a plain value (a word, a number, a list of them): {EXPORT}")
