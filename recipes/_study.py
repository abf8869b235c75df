"""What studies share: many small trainings in one run, each a row of metrics.jsonl, finished ones never done again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sigconv import plot
from sigconv.train import processes
from sigconv.train.job import Job


class Quiet(Job):
    """A job that says nothing of its own: one of many in a study."""

    def say(self, text: str, aloud: bool = True) -> None:
        """Nothing."""


def finished(job: Job, *keys: str, data: str | dict[Any, str] | None = None) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The trainings that the run folder has already, by the values of these keys; a line cut short is no training.

    All processes of a run get them: those that the first one finds.
    data is the fingerprint that rows keep of what they were trained on, or one for each value of the first key, of
    which there are no others; ValueError where a row has another.
    """
    rows = processes.told(_kept(job) if processes.number() == 0 else None)
    if rows is None:
        return {}
    for row in rows if data is not None else []:
        now = data.get(row[keys[0]]) if isinstance(data, dict) else data
        if row.get("data") != now:
            was = f"{row.get('data')}, now {now}"
            raise ValueError(f"{str(job.place)!r} has trainings on other data ({was}): start a new run")
    job.rewind("", rows)
    job.say(f"going on after {len(rows)} trainings")
    return {tuple(row[key] for key in keys): row for row in rows}


def _kept(job: Job) -> list[dict[str, Any]] | None:
    """The rows in the run folder, which the first process alone has."""
    if job.folder is None or not job.resuming or not (job.folder / "metrics.jsonl").is_file():
        return None
    rows = []
    for line in (job.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def spreads(names: Sequence[str], series: Mapping[str, Sequence[tuple[float, float, float]]], label: str) -> Any:
    """A figure of (least, middle, most) of every name: a dot with a line through it, those of a name side by side.

    >>> ax = spreads(["a", "b"], {"one": [(0.2, 0.5, 0.6), (0.1, 0.1, 0.1)]}, "accuracy").axes[0]
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['a', 'b']
    """
    figure, ax = plot.axes(size=(min(max(0.35 * len(names) * len(series) + 1.5, 4.5), 12.0), 4.0))
    for place, (name, found) in enumerate(series.items()):
        low, middle, high = np.array(found, float).T
        at = np.arange(len(names)) + 0.6 * ((place + 0.5) / len(series) - 0.5)
        reach = np.maximum([middle - low, high - middle], 0)  # an interval may miss its middle by a rounding
        colour = plot.COLOURS[place % len(plot.COLOURS)]
        ax.errorbar(at, middle, reach, fmt="o", markersize=5, capsize=3, color=colour, label=name)
    ax.set_xticks(range(len(names)), names, rotation=90 if len(names) > 6 else 0)
    ax.set(ylabel=label, xlim=(-0.5, len(names) - 0.5))
    ax.grid(alpha=0.3, axis="y")
    if len(series) > 1:
        ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(series))
    return figure
