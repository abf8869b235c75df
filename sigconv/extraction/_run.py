"""An extraction from end to end: what is there, what is left to do, who does it, and what it came to."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from sigconv.extraction import _config, _folder, _inputs
from sigconv.extraction._desk import Desk, Record, Report, StrictError, told
from sigconv.extraction._result import Result

MOST_JOBS = 256


def run(
    config: _config.Config,
    paths: list[str],
    out: str,
    *,
    jobs: int,
    device: str,
    memory: int,
    strict: bool,
    untrusted: bool,
    client: Any,
    report: Report | None,
) -> Result:
    """Do what is not done; the folder is held meanwhile."""
    begun = time.monotonic()
    with _folder.opened(out, config) as folder:
        found = _inputs.found(paths, out, config.plan["format"])
        if not found.inputs:
            raise ValueError(f"nothing to read in {', '.join(map(repr, paths))}: {found.passed} files are of no kind")
        folder.expect(found.inputs)
        tasks, failures = _planned(folder, found.inputs, config, strict)
        desk = Desk(folder, len(found.inputs), len(tasks) + len(failures), strict, report)
        setup: Record = {"config": config.plan, "bank": config.bank, "out": os.path.abspath(out), "device": device}
        setup |= {"memory": memory // jobs, "untrusted": untrusted}
        try:
            if tasks or failures:
                _work(setup, tasks, jobs, client, desk)
                for line in failures:
                    desk.take(line)
                desk.commit()
                folder.sweep()
        except StrictError:
            desk.commit()
            folder.sweep()
            raise
        except BaseException:
            desk.rescue()
            with contextlib.suppress(OSError):
                folder.sweep()  # of processes that were ended in the midst of a file
            raise
        listed = folder.finish(found.inputs)
    failed = len(listed)
    return Result(
        out=Path(out),
        inputs=len(found.inputs),
        done=len(found.inputs) - failed,
        unchanged=len(found.inputs) - len(tasks) - len(failures),
        failed=failed,
        passed=found.passed,
        bytes=desk.bytes,
        seconds=time.monotonic() - begun,
        failures=listed,
    )


def _planned(
    folder: _folder.Folder, inputs: list[_inputs.Input], config: _config.Config, strict: bool
) -> tuple[list[Record], list[Record]]:
    """What is left to do, and what cannot be done."""
    tasks, failures = [], []
    for one in inputs:
        mask = _config.mask_for(config.masks, one.name)
        line = folder.known(one, mask if config.plan["mask"] == "folder" else None)
        if line is not None:
            if strict and line["error"] is not None:
                raise StrictError(told(line))
            folder.lines[one.name] = line
        elif one.why:
            empty = {"path": one.path, "name": one.name, "kind": one.kind, "size": None, "sha256": None}
            failures.append({**empty, "output": None, "error": one.why, "lasting": False})
            if strict:
                raise StrictError(told(failures[0]))
        else:
            output = config.table or one.output
            tasks.append({"path": one.path, "name": one.name, "kind": one.kind, "output": output, "mask": mask})
    return tasks, failures


def _work(setup: Record, tasks: list[Record], jobs: int, client: Any, desk: Desk) -> None:
    """By this process, several, or a cluster."""
    if not tasks:
        return
    if client is not None:
        from sigconv.extraction import _cluster

        _cluster.run(client, setup, tasks, desk)
    elif jobs > 1:
        from sigconv.extraction import _processes

        _processes.run(setup, tasks, jobs, desk)
    else:
        _here(setup, tasks, desk)


def _here(setup: Record, tasks: list[Record], desk: Desk) -> None:
    from sigconv.extraction._work import Work

    work = Work(setup)
    with contextlib.closing(work):
        desk.open()
        for task in tasks:
            line = work.done(task)
            pending, work.group.pending = work.group.pending, []
            desk.take(line, pending)
