"""The lecture companion: what five lectures ask, where it is in the code, and the tests that hold it to that."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ASKED = Path(__file__).with_name("requirements.toml")
CODE = ("sigconv", "recipes", "datasets", "benchmarks")  # whose docstrings name what they fulfil
WORD = re.compile(r"\b[A-Z]{1,2}\d+\b")
MISSING = "**missing**"
SLIP = ("id", "lectures", "slip", "truth")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINED = (*FUNCTIONS, ast.ClassDef)
Found = dict[str, dict[str, list[str]]]  # by ID and file, the names in it

INTRODUCTION = """\
---
hide: [toc] # the tables are wide
---

# The lectures

Five lectures on convolutional networks are where sigconv's requirements come from. This page lists all that they ask
of a library, in our words. Each line has an ID. Docstrings cite it where the code answers it, and every test that holds
the code to it has it in its name: `pytest -k _pl5_` runs those of PL5.
"""
ERRATA = """\
## What the lectures get wrong

Slips found on the way, and what is so. The code follows the truth; the tests hold it to that.
"""


def pages() -> dict[str, str]:
    """The page, by its place."""
    return {"lectures.md": page()}


def page(root: Path = ROOT, asked: Path = ASKED) -> str:
    """What is asked, group by group, with code and tests; then the lectures' slips."""
    book, code, tests = read(asked), in_code(root), in_tests(root)
    parts = [INTRODUCTION, *(f"- **{name}** {title}" for name, title in book["lectures"].items())]
    parts += ["", summary(book, code, tests)]
    for group in book["group"]:
        rows = [(name, *told, _cell(name, code), _cell(name, tests) or MISSING) for name, told in group["asks"].items()]
        parts += [f"## {group['title']}\n", table(("ID", "Lectures", "Asks", "Cited in", "Tests"), rows)]
    slips = [(*(one[key] for key in SLIP), _cell(one["id"], tests) or MISSING) for one in book["errata"]]
    parts += [ERRATA, table(("ID", "Lectures", "Slip", "Truth", "Tests"), slips)]
    return "\n".join(parts)


def read(asked: Path = ASKED) -> dict[str, Any]:
    """The requirements, groups in the order of the lectures."""
    return tomllib.loads(asked.read_text(encoding="utf-8"))


def names(book: dict[str, Any]) -> list[str]:
    """The IDs of all requirements."""
    return [name for group in book["group"] for name in group["asks"]]


def missing(root: Path = ROOT, asked: Path = ASKED) -> list[str]:
    """The IDs that no test names."""
    tests = in_tests(root)
    return [name for name in names(read(asked)) if name not in tests]


def summary(book: dict[str, Any], code: Found, tests: Found) -> str:
    """How many there are, and how many are met."""
    every = names(book)
    without = [name for name in every if name not in tests]
    said = f"**{len(every) - len(without)} of {len(every)}** are named by a test, "
    said += f"and {sum(name in code for name in every)} are cited by a docstring or a page.\n"
    return said + (f"\nWithout a test: {', '.join(without)}.\n" if without else "")


def in_tests(root: Path = ROOT) -> Found:
    """Every test by each ID that its name has between underscores: test_cv8_pd3_… by CV8 and by PD3."""
    found: Found = defaultdict(lambda: defaultdict(list))
    for path in sorted((root / "tests").rglob("test_*.py")):
        for test in functions(ast.parse(path.read_text(encoding="utf-8"))):
            for word in dict.fromkeys(test.split("_")[1:]) if test.startswith("test_") else ():
                if word.islower() and WORD.fullmatch(word.upper()):
                    found[word.upper()][path.name].append(test)
    return found


def functions(node: Any) -> Iterator[str]:
    """The functions of a file and of its classes."""
    for part in node.body:
        if isinstance(part, ast.ClassDef):
            yield from functions(part)
        elif isinstance(part, FUNCTIONS):
            yield part.name


def in_code(root: Path = ROOT) -> Found:
    """Every docstring and written page by each ID in it; private names stand for their files."""
    found: Found = defaultdict(lambda: defaultdict(list))
    for folder in CODE:
        for path in sorted((root / folder).rglob("*.py")):
            place = path.relative_to(root).as_posix()
            for name, text in docstrings(ast.parse(path.read_text(encoding="utf-8"))):
                for word in dict.fromkeys(WORD.findall(text)):
                    found[word][place] += [name] if name else []
    for path in sorted((root / "docs").rglob("*.md")):
        for word in dict.fromkeys(WORD.findall(path.read_text(encoding="utf-8"))):
            found[word][path.relative_to(root).as_posix()] += []
    return found


def docstrings(node: Any, inside: str = "") -> Iterator[tuple[str, str]]:
    """What a file, its functions and classes say of themselves, by public name; files and private ones have none."""
    yield inside, ast.get_docstring(node) or ""
    for part in node.body if not isinstance(node, FUNCTIONS) else ():
        if isinstance(part, DEFINED):
            yield from docstrings(part, inside if part.name.startswith("_") else f"{inside}.{part.name}".lstrip("."))


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(name: str, found: Found) -> str:
    """Files that have to do with an ID, a line each, and the names in them."""
    return "<br>".join(f"`{place}`{_all(some)}" for place, some in found.get(name, {}).items())


def _all(some: list[str]) -> str:
    return ": " + ", ".join(f"`{name}`" for name in dict.fromkeys(some)) if some else ""
