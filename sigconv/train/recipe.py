"""run: a recipe's keyword-only arguments become its command line, its run gets a folder, its answer a report."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sigconv import console, files
from sigconv.train import devices, folders, page, pictures, processes, seeds
from sigconv.train.job import Job
from sigconv.train.options import parse

Recipe = Callable[..., dict[str, Any] | None]  # its metrics; None where it used a finished run and added nothing to it


def run(recipe: Recipe, arguments: list[str] | None = None) -> dict[str, Any] | None:
    """Run a recipe as its command line says: `if __name__ == "__main__": run(recipe)` is all a recipe file needs.

    arguments defaults to the process's; then an error becomes one line on stderr and the process's exit code: 1 failed,
    2 usage, 130 or 143 stopped by a signal. Called with arguments, errors are raised. Returns what --json prints.
    """
    if arguments is not None:
        return execute(recipe, arguments)
    console.leave(console.guarded(lambda: execute(recipe, sys.argv[1:]), "--debug" in sys.argv[1:]))


def execute(recipe: Recipe, arguments: list[str]) -> dict[str, Any]:
    """Parse, train, report: the record of the run. Started by torchrun, the first process writes and speaks for all."""
    console.silence(processes.number())
    config, options = parse(recipe, arguments)
    seeds.everything(options["seed"])
    device = devices.name(options["device"])
    run_of = {key: options[key] for key in ("strategy", "precision", "workers", "compile", "profile", "export")}
    job = Job(recipe.__name__, config, options["seed"], device, **run_of)
    job.fabric()  # where the processes meet, and where what cannot be is said
    with contextlib.ExitStack() as held:
        found = folders.claimed(recipe.__name__, config, options, held) if processes.number() == 0 else None
        place, job.resuming = processes.told(found and [str(found[0]), found[1]])
        job.at(Path(place))
        record = _executed(recipe, job, options)
    processes.leave()  # not after an error: the others may never come to it
    return record


def _as_it_was(job: Job, options: dict[str, Any]) -> dict[str, Any]:
    """The record of a finished run that a recipe has used and added nothing to."""
    assert job.folder is not None
    record: dict[str, Any] = json.loads(files.read_bytes(job.folder / "result.json", 16 << 20))
    record |= {"run_folder": str(job.place)}  # it may have been moved
    if options["json"]:
        console.answer(record)
    return record


def _executed(recipe: Recipe, job: Job, options: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    try:
        metrics = recipe(job, **job.config)
        if metrics is None:
            return _as_it_was(job, options)
    except Exception as error:
        if processes.lost(error):
            raise OSError(f"another process of this run ended: go on with --resume {job.place}") from error
        if job.folder is not None and not (job.resuming or job.rows or job.checkpoints()):
            folders.remove(job.folder)  # nothing was done: no folder is left to be taken for a run
        raise
    except console.Stopped as stop:
        job.say(f"go on with: sigconv run {recipe.__name__} --resume {job.place}")
        if processes.count() > 1:
            console.say("stopped")
            os._exit(stop.code)  # what the others left behind would be waited for
        raise
    seconds = time.monotonic() - began
    record = {
        "recipe": recipe.__name__,
        "config": job.config | {"seed": job.seed},
        "metrics": metrics,
        "test_size": job.test_size,
        "seconds": round(seconds, 2),
        "device": job.device,
        "run_folder": str(job.place),
    }
    if job.folder is not None:
        job.write_table()
        figure = pictures.first_layer(job.shown) if job.shown is not None and job.strategy != "fsdp" else None
        if figure is not None:
            job.picture("first_layer", figure)
        page.write(recipe, job, record)
        files.write_text(job.folder / "result.json", json.dumps(console.plain(record), indent=1) + "\n")
    if options["json"]:
        console.answer(record)
        return record
    for name, value in metrics.items():
        console.show(f"{name:<26} {value:.4f}" if isinstance(value, float) else f"{name:<26} {value}")
    among = f", {processes.count()} processes" if processes.count() > 1 else ""
    where = f"everything about this run: {job.place}/report.html"
    console.show(f"{console.duration(seconds)} on {job.device}{among}; {where}")
    return record
