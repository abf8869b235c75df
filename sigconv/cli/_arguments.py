"""A verb's arguments: options by a table of their kinds, and the words that stand between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sigconv import console

Kind = Callable[[str], Any]


def read(arguments: list[str], kinds: Mapping[str, Kind | bool], short: Mapping[str, str] | None = None) -> Any:
    """Options as a dict, None where not given, and the other words; UsageError for what cannot be meant.

    kinds says how each option's value is read; False is a flag that takes none. --json and --debug go without saying;
    --name value and --name=value are the same, dashes and underscores too.

    >>> read(["gabor", "--fs", "2,3", "--json"], {"fs": numbers(float)})
    ({'fs': [2.0, 3.0], 'json': True, 'debug': False}, ['gabor'])
    """
    kinds = {**kinds, "json": False, "debug": False}
    options: dict[str, Any] = {name: False if kind is False else None for name, kind in kinds.items()}
    found, words = [], list(arguments)
    while words:
        word = words.pop(0)
        key, sign, text = (short or {}).get(word, word).partition("=")
        name = key.removeprefix("--").replace("-", "_")
        if not word.startswith("-"):
            found.append(word)
        elif not key.startswith("--") or name not in kinds:
            known = [*(short or {}), *(f"--{name.replace('_', '-')}" for name in kinds)]
            raise console.UsageError(f"unknown argument {word!r}: {console.nearest(word, known)}")
        elif kinds[name] is False and sign:
            raise console.UsageError(f"{key} takes no value, and {word!r} gives one")
        elif kinds[name] is False:
            options[name] = True
        elif not (sign or words):
            raise console.UsageError(f"{word} needs a value")
        else:
            options[name] = _value(key, text if sign else words.pop(0), kinds[name])
    return options, found


def numbers(kind: Callable[[str], Any]) -> Kind:
    """Reads one number, or several with commas between them."""

    def several(text: str) -> Any:
        values = [kind(part) for part in text.split(",")]
        return values if len(values) > 1 else values[0]

    return several


def _value(key: str, text: str, kind: Any) -> Any:
    try:
        return kind(text)
    except ValueError:
        whole = "whole number" if kind is int else "number"
        raise console.UsageError(f"{key} {text!r} is not a {whole}") from None
