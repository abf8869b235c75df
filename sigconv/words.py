"""Things named in one word on a command line: `gabor.pyramid:wavelengths=4,8` or `vgg:D:width=0.5`."""

from __future__ import annotations

import json
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
