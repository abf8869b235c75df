"""A corpus of texts made from Python's own standard library: its code, its comments, its docstrings."""

from __future__ import annotations

import ast
import io
import sys
import sysconfig
import tokenize
import warnings
from pathlib import Path

from sigconv import files

CLASSES = ("code", "comments", "docstrings")
MOST_BYTES = 1 << 20  # of a module: longer ones are tables
LICENCE = "Made from the standard library of Python {}: copyright Python Software Foundation, PSF License Agreement.\n"


def write(folder: Path, modules: int = 240) -> None:
    """Write folder/<class>/<module>.txt for so many modules, spread over the alphabet, and the licence beside them.

    Raises FileNotFoundError where the standard library's sources are not installed.
    """
    library = Path(sysconfig.get_path("stdlib"))
    names = sorted(sys.stdlib_module_names - {"encodings"})  # which are tables
    found = [path for name in names for path in _sources(library, name)]
    if len(found) < 10:
        raise FileNotFoundError(f"no sources of the standard library under {str(library)!r}: give --data-root")
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in found[:: max(len(found) // modules, 1)][:modules]:
        source = files.read_bytes(path, MOST_BYTES).decode("utf-8", "replace")
        module = ".".join(path.relative_to(library).with_suffix("").parts)
        for name, text in zip(CLASSES, split(source), strict=True):
            (folder / name / f"{module}.txt").write_text(text, encoding="utf-8")
    (folder / "LICENCE.txt").write_text(LICENCE.format(sys.version.split()[0]), encoding="utf-8")


def _sources(library: Path, name: str) -> list[Path]:
    """A module's file, or those of a package, none of them tests."""
    here = [library / f"{name}.py"] if (library / f"{name}.py").is_file() else sorted((library / name).glob("*.py"))
    return [path for path in here if path.stat().st_size < MOST_BYTES and "test" not in path.name]


def split(source: str) -> tuple[str, str, str]:
    """A module's code, its comments and its docstrings, each by itself; nothing where it cannot be parsed.

    >>> split('def f():  # twice' + chr(10) + '    "Two."' + chr(10) + '    return 2' + chr(10))
    ('def f():\\n    return 2\\n', 'twice\\n', 'Two.\\n')
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the sources escape is not ours to mend
            tree = ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, ValueError, tokenize.TokenError):
        return "", "", ""
    lines = source.splitlines()
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    for token in comments:
        line, column = token.start
        lines[line - 1] = lines[line - 1][:column].rstrip()
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            texts.append(ast.get_docstring(node) or "")
            place = node.body[0]
            lines[place.lineno - 1 : place.end_lineno] = [""] * ((place.end_lineno or 0) - place.lineno + 1)
    code = [line for line in lines if line.strip()]
    said = [token.string.lstrip("#!: ") for token in comments]
    return _joined(code), _joined(line for line in said if line), _joined(texts)


def _joined(lines) -> str:
    return "".join(f"{line}\n" for line in lines)
