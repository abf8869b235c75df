"""What there is, found by its files and read without being run: verbs, recipes, data sets, models, banks."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
from pathlib import Path


def files(room: str) -> dict[str, Path]:
    """The public files of a room of the package, by name; none where the room is not built yet."""
    spec = importlib.util.find_spec(f"sigconv.{room}")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    found = sorted(pkgutil.iter_modules(folders), key=lambda item: item.name)
    places = {item.name: Path(item.module_finder.path) / item.name for item in found if not item.name.startswith("_")}  # type: ignore[union-attr]
    return {
        name: place / "__init__.py" if place.is_dir() else place.with_suffix(".py") for name, place in places.items()
    }


def summary(file: Path) -> str:
    """The first line of a file's docstring."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "" if file.is_file() else ""
    return text.splitlines()[0] if text else ""


def defines(file: Path, name: str) -> bool:
    """Whether a file has a function of this name, or imports it to hand it on."""
    body = ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else []
    handed = [alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names]
    return name in handed or any(isinstance(node, ast.FunctionDef) and node.name == name for node in body)


def table(room: str) -> str:
    """A room's files, each with the first line of its docstring."""
    return "\n".join(f"  {name:<16} {summary(file)}" for name, file in files(room).items())
