"""The reference: a page a room, every public name with its signature and docstring as they stand in the code."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

ROOMS = ("convolution", "pooling", "nd", "units", "filters", "blocks", "transforms", "models", "summary", "explain")
ROOMS += ("streaming", "tiles", "report", "plot", "readers", "train", "scan", "extraction")
APART = re.compile(r"\S {3,}\S")  # columns, whose place says something
DEEP = 3  # spaces that begin a line of such
WIDE = 100


def pages() -> dict[str, str]:
    """Each room's page, by its place."""
    return {f"api/{room}.md": room_page(room) for room in ROOMS}


def room_page(room: str) -> str:
    """What a room is for, and all it offers."""
    module = importlib.import_module(f"sigconv.{room}")
    parts = [f"# sigconv.{room}\n", shown(module.__doc__ or "")]
    for name, value in public(module):
        parts += [f"## `{name}`\n", f"```py\n{signature(name, value)}\n```\n", shown(inspect.getdoc(value) or "")]
    return "\n".join(parts)


def public(module: Any) -> Iterator[tuple[str, Any]]:
    """What a room offers: the names it lists, else all its own, and those of its public files."""
    for name in getattr(module, "__all__", None) or own(module):
        value = getattr(module, name)
        if callable(value):
            yield name, value
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not found.name.startswith("_"):
            part = importlib.import_module(f"{module.__name__}.{found.name}")
            yield from ((f"{found.name}.{name}", getattr(part, name)) for name in getattr(part, "__all__", own(part)))


def own(module: Any) -> list[str]:
    """Functions and classes that a file, or a private file of a folder, defines and says something of."""
    found = []
    for name, value in vars(module).items():
        ours = str(getattr(value, "__module__", "")).startswith(module.__name__)
        if ours and not name.startswith("_") and callable(value) and value.__doc__:
            found.append(name)
    return found


class Word:
    """An annotation as it is written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def signature(name: str, value: Any) -> str:
    """How it is called, an option a line where there are many."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    given = [one.replace(annotation=_word(one.annotation)) for one in found.parameters.values()]
    lines = [str(one) for one in given]
    back = "" if found.return_annotation is found.empty else f" -> {_word(found.return_annotation)}"
    stars = [n for n, one in enumerate(given) if one.kind is one.KEYWORD_ONLY]
    if stars and not any(one.kind is one.VAR_POSITIONAL for one in given):
        lines.insert(stars[0], "*")
    whole = f"{name}({', '.join(lines)}){back}"
    return whole if len(whole) < WIDE else f"{name}(\n" + "".join(f"    {line},\n" for line in lines) + f"){back}"


def _word(annotation: Any) -> Any:
    text = getattr(annotation, "__forward_arg__", annotation)  # a NamedTuple's are wrapped
    return Word(text) if isinstance(text, str) else annotation


def shown(text: str) -> str:
    """A docstring as Markdown: paragraphs flow, columns keep their places, examples look like a console.

    >>> print(shown("One.\\n\\na   b\\n\\n>>> 1 + 1\\n2"))
    One.
    <BLANKLINE>
    ```text
    a   b
    ```
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    <BLANKLINE>
    """
    parts = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return "".join(f"{_paragraph(part)}\n\n" for part in parts if part.strip())[:-1]


def _paragraph(part: str) -> str:
    if part.lstrip().startswith(">>>"):
        return f"```pycon\n{inspect.cleandoc(part)}\n```"
    if APART.search(part) or any(line.startswith(" " * DEEP) for line in part.splitlines()):
        return f"```text\n{part}\n```"
    spans = re.split(r"(`[^`]*`)", part)  # what is code stays as it is
    return "".join(one if n % 2 else re.sub(r"([*_<|\\[])", r"\\\1", one) for n, one in enumerate(spans))
