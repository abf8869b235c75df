"""The page a run leaves behind: its question, results, pictures, configuration and environment."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from sigconv.report import Page
from sigconv.train.environment import environment
from sigconv.train.job import Job


def write(recipe: Callable[..., Any], job: Job, record: dict[str, Any]) -> None:
    """report.html, from what the job gathered and the record of the run."""
    page = Page(f"{recipe.__name__}: results of a run")
    page.text(inspect.getdoc(sys.modules[recipe.__module__]) or "")
    page.heading("Results on the test set").facts(record["metrics"] | {"test items": job.test_size})
    for note in job.notes:
        page.text(note)
    for name, png in job.pictures.items():
        page.heading(name.replace("_", " ")).picture(png, name)
    page.heading("Configuration").facts(record["config"])
    took = {"seconds": record["seconds"], "device": record["device"]}
    page.heading("Environment").facts(took | {k: v for k, v in environment().items() if k != "command"})
    page.save(job.folder / "report.html")  # type: ignore[operator]
