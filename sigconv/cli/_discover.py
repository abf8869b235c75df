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
    found = {item.name: Path(item.module_finder.path) for item in pkgutil.iter_modules(folders)}  # type: ignore[union-attr]
    return {name: folder / f"{name}.py" for name, folder in sorted(found.items()) if not name.startswith("_")}


def summary(file: Path) -> str:
    """The first line of a file's docstring."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "" if file.is_file() else ""
    return text.splitlines()[0] if text else ""


def defines(file: Path, name: str) -> bool:
    """Whether a file has a function of this name."""
    body = ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else []
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in body)


def table(room: str) -> str:
    """A room's files, each with the first line of its docstring."""
    return "\n".join(f"  {name:<16} {summary(file)}" for name, file in files(room).items())
