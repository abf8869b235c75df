"""list the runs there are, or compare some of them: sigconv runs; sigconv runs RUN_A RUN_B"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sigconv import console
from sigconv.cli import _arguments, _comparison, _runs

USAGE = """usage: sigconv runs [FOLDER] [--recipe NAME] [--sort METRIC] [--json]
       sigconv runs RUN RUN … [--json]

Lists the runs under FOLDER (runs), the newest last: their recipe, when they began, their seed, whether they are done,
their main metric, time, device and folder. Or compares run folders: the options and the environment that differ, and
their metrics side by side, with mean and standard deviation where nothing but the seed differs.

  --recipe NAME   only runs of this recipe
  --sort METRIC   show this metric, and list by it, the largest last
  --json          one JSON object on the last line of stdout"""

HEADER = ("recipe", "started (UTC)", "seed", "state", "metric", "time", "device", "folder")
WIDEST = 80  # letters of what is told of a state


def main(arguments: list[str]) -> int:
    """sigconv runs [FOLDER] [--recipe NAME] [--sort METRIC] [--json]; sigconv runs RUN RUN … [--json]"""
    if {"--help", "-h"} & set(arguments):
        console.show(USAGE)
        return 0
    options, words = _arguments.read(arguments, {"recipe": str, "sort": str})
    if len(words) > 1:
        _compare(words, options)
    else:
        _list(Path(words[0] if words else "runs"), options, given=bool(words))
    return 0


def _list(folder: Path, options: dict[str, Any], given: bool) -> None:
    """The table of the runs under a folder."""
    if given and not folder.is_dir():
        raise console.UsageError(f"{str(folder)!r} is not a folder: expected one of runs, or a run's own")
    runs = [_runs.read(path) for path in sorted(_runs.find(folder), key=_runs.age)]
    if options["recipe"] is not None:
        runs = _of_recipe(runs, options["recipe"].replace("-", "_"), folder)
    if options["sort"] is not None:
        runs = _sorted(runs, options["sort"])
    if options["json"]:
        console.answer({"folder": str(folder), "runs": [run.record() for run in runs]})
    elif runs:
        console.show(table([HEADER, *(_row(run, options["sort"]) for run in runs)]))
    else:
        console.show(f"there are no runs under {str(folder)!r}: sigconv run RECIPE makes one")


def _of_recipe(runs: list[_runs.Run], recipe: str, folder: Path) -> list[_runs.Run]:
    found = [run for run in runs if run.recipe == recipe]
    if not found:
        hint = console.nearest(recipe, {run.recipe for run in runs})
        raise console.UsageError(f"--recipe {recipe!r} has no run under {str(folder)!r}: {hint}")
    return found


def _sorted(runs: list[_runs.Run], metric: str) -> list[_runs.Run]:
    """By a metric, the largest last; those without it first."""
    known = {name for run in runs for name in run.metrics}
    if metric not in known:
        raise console.UsageError(f"--sort {metric!r} is no metric of these runs: {console.nearest(metric, known)}")
    return sorted(runs, key=lambda run: (metric in run.metrics, run.metrics.get(metric, 0)))


def _row(run: _runs.Run, metric: str | None) -> Sequence[Any]:
    name = metric or run.main
    value = f"{name} {number(run.metrics[name])}" if name in run.metrics else None
    seconds = None if run.seconds is None else console.duration(run.seconds)
    state = f"{run.state}{':' * (run.state == 'broken')} {run.detail[:WIDEST]}"
    return run.recipe, run.started, run.config.get("seed"), state, value, seconds, run.device, run.folder


def _compare(words: list[str], options: dict[str, Any]) -> None:
    """Run folders side by side."""
    if options["recipe"] is not None or options["sort"] is not None:
        raise console.UsageError("--recipe and --sort are for a list of runs: two folders or more are compared")
    other = [word for word in words if not _runs.is_run(Path(word))]
    if other:
        raise console.UsageError(
            f"{other[0]!r} is not a run folder: give one FOLDER to list, or run folders to compare"
        )
    runs = [_runs.read(Path(word)) for word in words]
    for run in runs:
        if run.state == "broken":
            raise ValueError(f"{run.folder!r} is broken: {run.detail}")
    found = _comparison.compare(runs)
    console.answer(found) if options["json"] else console.show(_side_by_side(found))


def _side_by_side(found: dict[str, Any]) -> str:
    """A comparison to be read: a column a run, and mean and deviation behind them."""
    extra = ["mean", "deviation"] if "mean" in found else []
    rows: list[Sequence[Any]] = [("", *(Path(run).absolute().name for run in found["runs"]), *extra)]
    rows += [("state", *found["state"]), ("device", *found["device"])]
    rows.append(("time", *(None if s is None else console.duration(s) for s in found["seconds"])))
    for title in ("config", "environment", "metrics"):
        rows.append(
            (f"{title}{'' if title == 'metrics' else ' that differs'}:" if found[title] else f"{title}: the same",)
        )
        for name, values in found[title].items():
            means = [number(found[kind][name]) if name in found[kind] else None for kind in extra]
            rows.append((f"  {name}", *map(number, values), *(means if title == "metrics" else [])))
    return table(rows)


def number(value: Any) -> Any:
    """A number as it is read best; what is none as it is.

    >>> number(0.97123), number(1.5e-7), number(2050), number("adam")
    ('0.9712', '1.5e-07', 2050, 'adam')
    """
    if not isinstance(value, float):
        return value
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.3g}"


def table(rows: Sequence[Sequence[Any]]) -> str:
    """Rows of cells as columns, a dash where there is nothing.

    >>> print(table([("a", "bc"), (None, 12)]))
    a  bc
    -  12
    """
    cells = [[_cell(value) for value in row] for row in rows]
    columns = max(map(len, cells))
    widths = [max(len(row[i]) for row in cells if i < len(row) and len(row) > 1) for i in range(columns)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: Any) -> str:
    """A value on one line; what a terminal would obey is a question mark, for files may say anything."""
    text = "-" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "".join(letter if letter.isprintable() else "?" for letter in text)
