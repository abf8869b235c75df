"""train and report on a recipe's question: sigconv run RECIPE [OPTIONS]"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from sigconv import console
from sigconv.cli import _discover


def main(arguments: list[str]) -> int:
    """sigconv run RECIPE …: everything after the recipe's name is its own."""
    if not arguments or arguments[0] in ("--help", "-h"):
        usage = f"usage: sigconv run RECIPE [OPTIONS]\n\n{_discover.table('recipes')}\n\n"
        console.show(f"{usage}sigconv run RECIPE --help tells a recipe's options.")
        return 0 if arguments else 2
    name, *options = arguments
    known(name)
    from sigconv.train.recipe import execute

    execute(find(name), options)
    return 0


def known(name: str) -> str:
    """The recipe's file name; UsageError with the nearest where there is none of this name."""
    word, recipes = name.replace("-", "_"), _discover.files("recipes")
    if word not in recipes:
        raise console.UsageError(f"unknown recipe {name!r}: {console.nearest(word, recipes)}")
    return word


def find(name: str) -> Callable[..., dict]:
    """The recipe of this name, with dashes or underscores."""
    word = known(name)
    return getattr(importlib.import_module(f"sigconv.recipes.{word}"), word)
