"""A trace of a few training steps, to open in Perfetto or chrome://tracing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from sigconv import files
from sigconv.train.job import Job

SKIPPED, WARMED, TRACED = 10, 2, 10  # steps: the first ones are not like the others
SHOWN = 15


@contextlib.contextmanager
def tracing(job: Job, name: str) -> Iterator[Callable[[], None]]:
    """A function to call after every step; it traces a few, once, where the job is asked to.

    Leaves trace_<name>.json in the run folder, and the operations that took longest in its log.
    """
    if not (job.profile and job.folder):
        yield lambda: None
        return
    from torch.profiler import ProfilerActivity, profile, schedule

    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]

    written_to: list[Path] = []

    def written(found: Any) -> None:
        path = job.folder / f"trace_{name}.json"  # type: ignore[operator]
        temporary = path.with_name(f".{path.name}.tmp")
        found.export_chrome_trace(str(temporary))
        with files.writing(path) as file:
            file.write(temporary.read_bytes())
        temporary.unlink()
        written_to.append(path)
        order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        job.say(found.key_averages().table(sort_by=order, row_limit=SHOWN), aloud=False)
        job.say(f"{name}: {TRACED} steps traced in {path}: open it in ui.perfetto.dev")

    plan = schedule(skip_first=SKIPPED, wait=0, warmup=WARMED, active=TRACED, repeat=1)
    with profile(activities=kinds, schedule=plan, on_trace_ready=written, record_shapes=True) as found:
        yield found.step
    if not written_to:
        job.say(f"warning: no trace of {name}: it took fewer than {SKIPPED + WARMED + TRACED} steps")
