"""train and report on a recipe's question: sigconv run RECIPE [OPTIONS]"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from sigconv import console
from sigconv.cli import _discover


def main(arguments: list[str]) -> int:
    """sigconv run RECIPE …: everything after the recipe's name is its own."""
    if not arguments or arguments[0] in ("--help", "-h"):
        console.show(
            f"usage: sigconv run RECIPE [OPTIONS]\n\n{_discover.table('recipes')}\n\n"
            "sigconv run RECIPE --help tells a recipe's options."
        )
        return 0 if arguments else 2
    from sigconv.train import recipe as running

    return running.guarded(lambda: running.execute(find(arguments[0]), arguments[1:]), "--debug" in arguments)


def find(name: str) -> Callable[..., dict]:
    """The recipe of this name, with dashes or underscores."""
    word = name.replace("-", "_")
    known = _discover.files("recipes")
    if word not in known:
        raise console.UsageError(f"unknown recipe {name!r}: {console.nearest(word, known)}")
    return getattr(importlib.import_module(f"sigconv.recipes.{word}"), word)
