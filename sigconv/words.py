"""Things named in one word: `gabor.pyramid:wavelengths=4,8` on a command line, `mean_c0_g1` at the head of a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any


def value(text: str) -> Any:
    """A number, a truth, a word, or several with commas between them.

    >>> [value(text) for text in ("4", "4,8.5", "true", "db2")]
    [4, [4, 8.5], True, 'db2']
    """
    if "," in text:
        return [value(part) for part in text.split(",") if part]
    try:
        found = json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, int | float | bool) else text


def options(parts: list[str], taken: Any, whose: str, *, more: bool = False) -> dict[str, Any]:
    """name=value pairs as keyword arguments; a name not taken is refused, unless more are (`**options`).

    taken is names, or a dict of them with their usual values: what is usually true or false is nothing else.

    >>> options(["wavelengths=4,8"], ["wavelengths"], "bank gabor.pyramid")
    {'wavelengths': [4, 8]}
    """
    given: dict[str, Any] = {}
    for part in parts:
        name, sign, text = part.partition("=")
        name = name.replace("-", "_")
        if not sign or not (more or name in taken):
            raise ValueError(f"option {part!r}: {whose} takes {', '.join(taken)}, each as name=value")
        given[name] = value(text)
        if isinstance(taken, dict) and isinstance(taken.get(name), bool) and not isinstance(given[name], bool):
            raise ValueError(f"option {part!r}: {name} is true or false")
    return given


def columns(pools: Iterable[str], channels: int, maps: Sequence[str]) -> list[str]:
    """The names of pooled features, statistic by statistic; without pools those of the maps themselves.

    >>> columns(["mean"], 2, ["f", "g"]), columns(["mean", "q50"], 1, ["f"]), columns([], 1, ["f"])
    (['mean_c0_f', 'mean_c0_g', 'mean_c1_f', 'mean_c1_g'], ['mean_f', 'q50_f'], ['f'])
    """
    each = [f"c{channel}_" for channel in range(channels)] if channels > 1 else [""]
    heads = [f"{pool}_" for pool in pools] or [""]
    return [f"{head}{channel}{name}" for head in heads for channel in each for name in maps]
