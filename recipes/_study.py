"""What studies share: many small trainings in one run, each a row of metrics.jsonl, finished ones never done again."""

from __future__ import annotations

import contextlib
import json
from typing import Any

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
