"""Runs side by side: what they were told otherwise, what they ran on, what came of it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sigconv import files
from sigconv.cli import _runs

OWN = ("command",)  # of env.json: the configuration says the same, in order


def compare(runs: Sequence[_runs.Run]) -> dict[str, Any]:
    """The differences and the metrics of runs as tables, name: [a value for each run], None where one has none.

    Where nothing but the seed differs, "mean" and "deviation" (of a sample) of every metric that all of them have.
    """
    environments = [_runs.environment(Path(run.folder)) for run in runs]
    told = [{"recipe": run.recipe} | run.config for run in runs]
    metrics = _table([run.metrics for run in runs])
    answer: dict[str, Any] = {
        "runs": [run.folder for run in runs],
        "state": [run.state for run in runs],
        "config": _differing(told),
        "environment": _differing(environments, without=OWN),
        "metrics": metrics,
        "seconds": [run.seconds for run in runs],
        "device": [run.device for run in runs],
    }
    whole = {name: values for name, values in metrics.items() if None not in values}
    if not _differing(told, without=("seed", *files.PLACES)) and all(run.state == "finished" for run in runs):
        answer["mean"] = {name: statistics.fmean(values) for name, values in whole.items()}
        answer["deviation"] = {name: statistics.stdev(values) for name, values in whole.items()}
    return answer


def _table(columns: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}


def _differing(columns: Sequence[Mapping[str, Any]], without: Sequence[str] = ()) -> dict[str, list[Any]]:
    table = {name: values for name, values in _table(columns).items() if name not in without}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values[1:])}
