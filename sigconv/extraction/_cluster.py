"""The same work by dask's workers: a task is a batch of inputs, which write their features where ours would be."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

from sigconv import files
from sigconv.extraction import _processes
from sigconv.extraction._desk import Desk, Record

LOCAL = re.compile(r"local:([1-9][0-9]{0,2})")
ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://.+")
AT_ONCE = 8  # batches a worker, handed in at a time: a cluster's memory is not filled with what waits
_kept: dict[str, Any] = {}  # what a worker has made ready
_busy = threading.Lock()  # a worker may have several threads


@contextlib.contextmanager
def connected(word: str) -> Iterator[Any]:
    """A client of the cluster that a word names: local:N, slurm (by dask's own configuration), or an address.

    ValueError for another word, ImportError where dask is not installed.
    """
    local = LOCAL.fullmatch(word)
    if not local and word != "slurm" and not ADDRESS.fullmatch(word):
        raise ValueError(f"dask {word!r} is neither local:N, slurm, nor an address such as tcp://host:8786")
    distributed = _library()
    with contextlib.ExitStack() as stack:
        place: Any = word
        if local:
            options = {"n_workers": int(local[1]), "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
            place = stack.enter_context(distributed.LocalCluster(host="127.0.0.1", **options))
        elif word == "slurm":
            place = stack.enter_context(_slurm())
        yield stack.enter_context(distributed.Client(place, timeout="30s"))


def _slurm() -> Any:
    """As many jobs as dask's configuration asks for (jobqueue.slurm), growing with the work."""
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise ImportError("dask 'slurm' needs dask-jobqueue: pip install 'sigconv[scale]'") from None
    cluster = SLURMCluster()
    cluster.adapt(minimum=1, maximum_jobs=64)
    return cluster


def _library() -> Any:
    try:
        import dask.distributed
    except ImportError:
        raise ImportError("work by dask needs it: pip install 'sigconv[scale]'") from None
    return dask.distributed


def run(client: Any, setup: Record, tasks: list[Record], desk: Desk) -> None:
    """Hand the tasks to the workers, some at a time; desk takes the lines as they come."""
    distributed = _library()
    words, waiting = json.dumps(setup), list(_processes.batches(tasks))[::-1]
    most = AT_ONCE * max(len(client.scheduler_info()["workers"]), 1)
    done = distributed.as_completed()
    given: dict[Any, list[Record]] = {}

    def hand_in(batch: list[Record]) -> None:
        future = client.submit(batch_done, words, json.dumps(batch), pure=False)
        given[future] = batch
        done.add(future)

    _take(json.loads(client.submit(batch_done, words, "[]", pure=False).result()), desk)  # whether it can be done
    desk.open()
    try:
        for _ in range(min(most, len(waiting))):
            hand_in(waiting.pop())
        for future in done:
            batch = given.pop(future)
            if future.status == "finished":
                _take(json.loads(future.result()), desk)
            elif future.status == "error" and not _killed(future):
                raise future.exception()
            else:
                _again(batch, waiting, desk)
            future.release()
            while waiting and len(given) < most:
                hand_in(waiting.pop())
    finally:
        client.cancel(list(given))


def _take(answers: list[Record], desk: Desk) -> None:
    for answer in answers:
        if "usage" in answer:
            raise ValueError(answer["usage"])
        if "unwritable" in answer:
            raise OSError(*answer["unwritable"])
        desk.take(answer)


def _killed(future: Any) -> bool:
    """Whether workers died of it, as often as dask tries."""
    return isinstance(future.exception(), _library().KilledWorker)


def _again(batch: list[Record], waiting: list[list[Record]], desk: Desk) -> None:
    """A batch whose workers died: its inputs one by one; one that was alone is given up."""
    if len(batch) > 1:
        waiting.extend([task] for task in reversed(batch))
        return
    task = batch[0]
    line = {key: task[key] for key in ("path", "name", "kind")} | {"size": None, "sha256": None, "output": None}
    desk.take({**line, "error": f"{task['path']!r}: the workers that read it died", "lasting": False})


def batch_done(setup: str, tasks: str) -> str:
    """What a worker does: features made, written and made to last; the lines of them, in JSON."""
    from sigconv.extraction import _formats
    from sigconv.extraction._work import Work

    with _busy:
        if setup not in _kept:
            _kept.clear()
            try:
                _kept[setup] = Work(json.loads(setup))
            except ValueError as error:  # no such bank, statistic or device
                return json.dumps([{"usage": str(error)}])
        work = _kept[setup]
        try:
            work.told.clear()  # whoever asks next may not have heard of the banks
            lines = [work.done(task) for task in json.loads(tasks)]
            pending, work.group.pending = work.group.pending, []
            files.Group(pending).commit(work.out)
        except _formats.WriteError as error:
            lines = [{"unwritable": [error.errno, error.strerror]}]
    return json.dumps(lines)
