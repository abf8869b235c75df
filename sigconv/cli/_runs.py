"""Run folders, found and read without torch: thousands of them in seconds, a broken one told as such."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sigconv import console, files

NAME = re.compile(r"(\d{8}T\d{6})-[0-9a-f]{8}(?:_(\d+))?")
MAIN = ("accuracy", "block_accuracy", "auroc", "auprc", "f1", "dice", "valid_accuracy", "valid_loss", "train_loss")
MOST_CONFIG, MOST_JSON, MOST_TAIL = 1 << 16, 16 << 20, 1 << 16
MOST_ENTRIES = 16  # of a list in a configuration that are told


@dataclass
class Run:
    """What a run folder says of its run; state is finished, running, stopped or broken, and detail says more of it."""

    folder: str
    recipe: str
    started: str | None = None
    state: str = "broken"
    detail: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    device: str | None = None

    @property
    def main(self) -> str | None:
        """The name of the metric to be shown where none is asked for."""
        return next((name for name in (*MAIN, *self.metrics) if name in self.metrics), None)

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return vars(self) | {"seed": self.config.get("seed"), "main_metric": self.main}


def find(folder: Path) -> list[Path]:
    """The run folders in a folder such as runs/: itself, those in it, those in its folders."""
    if is_run(folder):
        return [folder]
    found = []
    for path in _folders(folder):
        found += [path] if is_run(path) else [inner for inner in _folders(path) if is_run(inner)]
    return found


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's, by its name or by what it holds."""
    if not folder.is_dir():
        return False
    configured = (folder / "config.yaml").is_file() and (folder / "env.json").is_file()
    return _named(folder) is not None or configured or (folder / "result.json").is_file()


def _named(folder: Path) -> re.Match[str] | None:
    """The parts of a run folder's name; "." has the name of the folder it is."""
    return NAME.fullmatch(os.path.basename(os.path.abspath(folder)))


def _folders(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return
    yield from (folder / name for name in names)


def age(folder: Path) -> tuple[str, int, str]:
    """A key that sorts run folders by when they began, as their names say: no clock of a file system is asked."""
    named = _named(folder)
    return (named[1], int(named[2] or 1), folder.name) if named else ("", 0, folder.name)


def read(folder: Path) -> Run:
    """What a run folder says; one that cannot be read is broken, and says why."""
    run = Run(str(folder), _recipe(folder), _started(folder))
    try:
        if (folder / "result.json").exists():
            _finished(run, folder)
        else:
            _unfinished(run, folder)
    except Exception as error:  # whatever a damaged file makes a parser say
        run.state, run.detail = "broken", console.one_line(error, 200)
    return run


def _finished(run: Run, folder: Path) -> None:
    result = _json(folder / "result.json")
    for part in ("config", "metrics"):
        if not isinstance(result.get(part), dict):
            raise ValueError(f"result.json has no {part}")
    if not (folder / "config.yaml").is_file():
        raise ValueError("there is no config.yaml")
    run.recipe = result["recipe"] if isinstance(result.get("recipe"), str) else run.recipe
    run.config = {name: plain(value) for name, value in result["config"].items()}
    run.metrics = _numbers(result["metrics"])
    run.seconds = _numbers(result).get("seconds")
    run.device = result["device"] if isinstance(result.get("device"), str) else None
    run.state = "finished"


def _unfinished(run: Run, folder: Path) -> None:
    run.config = _yaml(folder / "config.yaml")
    row = _last_row(folder / "metrics.jsonl")
    run.metrics = {name: value for name, value in _numbers(row).items() if name.partition("_")[0] in ("train", "valid")}
    run.seconds = _numbers(row).get("seconds")
    holder = files.held_by(folder)
    if holder is not None:
        run.state, run.detail = "running", f"by {holder}"
        return
    epoch = _numbers(row).get("epoch")
    run.state, run.detail = "stopped", "before epoch 1 was done" if epoch is None else f"at epoch {epoch:g}"


def environment(folder: Path) -> dict[str, Any]:
    """env.json as one level of names: packages.numpy; empty where it is missing."""
    if not (folder / "env.json").exists():
        return {}
    found: dict[str, Any] = {}
    for name, value in _json(folder / "env.json").items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": plain(entry) for inner, entry in value.items()}
        else:
            found[name] = plain(value)
    return found


def plain(value: Any) -> Any:
    """A value that can be compared and told: a number, a text, a list of some of them; of others the kind."""
    if isinstance(value, list) and len(value) <= MOST_ENTRIES:
        return [entry if isinstance(entry, str | int | float | None) else type(entry).__name__ for entry in value]
    return value if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(files.read_bytes(path, MOST_JSON))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds a {type(found).__name__}: expected names and values")
    return found


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    if not path.exists():
        raise ValueError(f"there is no {path.name}")
    try:
        found = yaml.safe_load(files.read_bytes(path, MOST_CONFIG))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds a {type(found).__name__}: expected lines of option: value")
    return {str(name): plain(value) for name, value in found.items()}


def _last_row(path: Path) -> dict[str, Any]:
    """The last whole row of metrics.jsonl, whose very last line a stop may have cut."""
    if not path.exists():
        return {}
    size = files.size_of(path)
    with open(path, "rb") as file:
        file.seek(max(size - MOST_TAIL, 0))
        lines = file.read(MOST_TAIL).split(b"\n")
    for line in reversed(lines):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            return row
    return {}


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    finite = {name: value for name, value in values.items() if isinstance(value, int | float) and abs(value) < math.inf}
    return {name: value for name, value in finite.items() if not isinstance(value, bool)}


def _recipe(folder: Path) -> str:
    """The recipe by the folder its runs lie in."""
    return os.path.basename(os.path.dirname(os.path.abspath(folder)))


def _started(folder: Path) -> str | None:
    named = _named(folder)
    try:
        return f"{datetime.strptime(named[1], '%Y%m%dT%H%M%S'):%Y-%m-%d %H:%M:%S}" if named else None
    except ValueError:
        return None
