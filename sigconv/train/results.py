"""What a run's page and its model card both say: the question, the figures side by side, and how to do it again."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sigconv import files
from sigconv.train.environment import environment

MOST_COLUMNS = 6  # of figures beside the first


class Question(NamedTuple):
    """A recipe's docstring, taken apart: its first line, its fields (Question, Data, Model, …), and what is left."""

    title: str
    fields: dict[str, str]
    rest: str


def question(recipe: Callable[..., Any]) -> Question:
    """What a recipe asks, of the docstring of its file; without one, its name."""
    text = inspect.getdoc(sys.modules[recipe.__module__]) or recipe.__name__
    title, _, body = text.partition("\n")
    return Question(title.strip(), *_fields(body))


def _fields(body: str) -> tuple[dict[str, str], str]:
    """{"Data": "4,000 drawings …"} of lines that begin with a word and two spaces and go on indented; all other lines.

    >>> _fields("Data      some\\n          more\\n\\n  sigconv run it")
    ({'Data': 'some more'}, '  sigconv run it')
    """
    found: dict[str, str] = {}
    rest, name, column = [], "", 0
    for line in body.splitlines():
        begun = re.match(r"([A-Z]\w+) {2,}(?=\S)", line)
        if begun:
            name, column = begun[1], begun.end()
            found[name] = line[column:].strip()
        elif name and line.strip() and line[:column].isspace():
            found[name] += " " + line.strip()
        else:
            name = ""
            rest.append(line)
    return found, "\n".join(rest).strip("\n")


def beside(metrics: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Figures with those that are to be compared with them in one row: accuracy_pixels stands beside accuracy.

    Header and rows; the second column is the model's. More than six columns to compare with would not be read: then one
    row a figure.

    >>> beside({"accuracy": 0.9, "accuracy_pixels": 0.6, "parameters": 2050})
    (['', 'this model', 'pixels'], [['accuracy', 0.9, 0.6], ['parameters', 2050, None]])
    """
    bases = [name for name in metrics if not any(name.startswith(f"{other}_") for other in metrics)]
    table: dict[str, dict[str, Any]] = {base: {} for base in bases}
    for name, value in metrics.items():
        base = max((base for base in bases if f"{name}_".startswith(f"{base}_")), key=len)
        table[base][name[len(base) + 1 :]] = value
    columns = list(dict.fromkeys(key for row in table.values() for key in row if key))
    if not columns or len(columns) > MOST_COLUMNS:
        return ["", "this model"], [[name.replace("_", " "), value] for name, value in metrics.items()]
    header = ["", "this model", *(column.replace("_", " ") for column in columns)]
    return header, [[base.replace("_", " "), *(row.get(c) for c in ["", *columns])] for base, row in table.items()]


def commands(record: Mapping[str, Any]) -> dict[str, str]:
    """The command lines that make this run again, and that go on with it."""
    folder = str(record["run_folder"])
    again = ["sigconv", "run", record["recipe"], "--config", f"{folder}/config.yaml"]
    go_on = ["sigconv", "run", record["recipe"], "--resume", folder]
    return {"again": shlex.join(map(str, again)), "resume": shlex.join(map(str, go_on))}


def began(folder: Any) -> dict[str, Any]:
    """The environment a run began in, of its env.json; that of now, where the file is not there or not to be read."""
    try:
        found = json.loads(files.read_bytes(folder / "env.json", 1 << 20))
    except (OSError, ValueError):
        return environment()
    return found if isinstance(found, dict) else environment()


def flat(facts: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Facts within facts as one list, with their names joined; empty ones left out.

    >>> flat({"git": {"commit": "6cf", "branch": None}, "gpus": []})
    {'git commit': '6cf'}
    """
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{name} ")
        elif value not in (None, [], ""):
            found[f"{before}{name}"] = value
    return found
