"""Several processes at one list of inputs: each takes some when few are left; one that dies costs what it worked at."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sigconv
from sigconv.extraction import _inputs
from sigconv.extraction._desk import Desk, Record

MOST_TOGETHER = 32  # inputs that are handed out at once
MOST_BYTES = 4 << 20  # of theirs
MOST_UNREAD = 1 << 15  # bytes of tasks in a pipe: more would wait for a worker that waits for us
TRIES = 2  # at an input that ends its process
STARTS = 3  # at workers that end before they began


class Worker:
    """A process, what it was given and has not answered, and what of its answers is not a whole line yet."""

    def __init__(self, setup: Record, threads: int) -> None:
        words = [sys.executable, "-P", "-m", "sigconv.extraction._worker"]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(words, env=_environment(threads), bufsize=0, **pipes)
        self.ready, self.waiting, self._text = False, deque[Record](), b""
        self.room = min(MOST_UNREAD, _capacity(self.process.stdin) // 2)
        self.send({**setup, "threads": threads})

    def send(self, content: Any) -> None:
        """Hand over a line; one that has died is told by its answers' end."""
        text = json.dumps(content).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            while text:
                text = text[self.process.stdin.write(text) :]  # type: ignore[union-attr]

    def give(self, batch: list[Record]) -> None:
        """Hand over tasks."""
        self.waiting.extend(batch)
        self.send(batch)

    def takes(self, batch: Sequence[Record]) -> bool:
        """Whether it should be given more: it has little left, and the pipe has room."""
        if not self.waiting:
            return True
        alone = any("tries" in task for task in (*batch, *self.waiting))
        room = sum(len(json.dumps(task)) for task in (*self.waiting, *batch)) <= self.room
        return not alone and room and len(self.waiting) <= MOST_TOGETHER // 2

    def heard(self) -> list[Record] | None:
        """The lines that have come; None when there will be no more."""
        text = os.read(self.process.stdout.fileno(), 1 << 20)  # type: ignore[union-attr]
        if not text:
            return None
        *lines, self._text = (self._text + text).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self) -> int:
        """Wait for its end, or make it; its exit code, negative for a signal."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def run(setup: Record, tasks: list[Record], jobs: int, desk: Desk) -> None:
    """Have the tasks done; desk takes the lines as they come."""
    waiting = deque(batches(tasks))
    count = min(jobs, len(waiting))
    threads = max(_cores() // count, 1)
    workers: list[Worker] = []
    early = 0
    with selectors.DefaultSelector() as listening:
        try:
            while waiting or any(worker.waiting for worker in workers):
                while len(workers) < count and (waiting or not workers):
                    workers.append(Worker(setup, threads))
                    listening.register(workers[-1].process.stdout, selectors.EVENT_READ, workers[-1])  # type: ignore[arg-type]
                for worker in workers:
                    if waiting and worker.ready and worker.takes(waiting[0]):
                        worker.give(waiting.popleft())
                for key, _ in listening.select(0.2):
                    worker = key.data
                    answers = worker.heard()
                    if answers is not None:
                        _take(worker, answers, desk)
                        continue
                    listening.unregister(key.fileobj)
                    workers.remove(worker)
                    early = 0 if worker.ready else early + 1
                    _mourn(worker, waiting, desk, early)
                desk.tick()
        finally:  # all answers are in, and files have their names by them; by itself a process takes a second to end
            for worker in workers:
                worker.process.kill()
            for worker in workers:
                worker.end()


def _capacity(pipe: Any) -> int:
    """Bytes that a pipe holds: 64 KiB, or a page where a system is short of room for pipes."""
    try:
        import fcntl

        return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
    except (ImportError, AttributeError, OSError):  # not Linux
        return 2 * MOST_UNREAD


def _take(worker: Worker, answers: list[Record], desk: Desk) -> None:
    for answer in answers:
        if "line" in answer:
            worker.waiting.popleft()
            desk.take(answer["line"], [(made, final) for made, final in answer["pending"]])
        elif "ready" in answer:
            desk.open()
            worker.ready = True
        elif "usage" in answer:
            raise ValueError(answer["usage"])
        elif "unwritable" in answer:
            number, text = answer["unwritable"]
            raise OSError(number, text)
        else:
            raise RuntimeError(answer["failed"])


def _mourn(worker: Worker, waiting: deque[list[Record]], desk: Desk, early: int) -> None:
    """A worker is gone: what it worked at is tried again alone, and given up after that; the rest goes to others."""
    code = worker.end()
    if early >= STARTS:
        raise RuntimeError(f"workers end as soon as they begin ({_end(code)}): try --jobs 1")
    if not worker.waiting:
        return
    culprit, *others = worker.waiting
    worker.waiting.clear()
    if others:
        waiting.appendleft(others)
    tries = culprit.get("tries", 0) + 1
    if tries < TRIES:
        waiting.appendleft([{**culprit, "tries": tries}])
        return
    line = {key: culprit[key] for key in ("path", "name", "kind")} | {"size": None, "sha256": None, "output": None}
    desk.take({**line, "error": f"{culprit['path']!r}: the process that read it {_end(code)}", "lasting": False})


def _end(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with code {code}"
    names = {int(number): number.name for number in signal.Signals}
    return f"was ended by signal {-code} ({names.get(-code, 'unknown')})"


def batches(tasks: Sequence[Record]) -> Iterator[list[Record]]:
    """Small inputs together, as many as a worker does in a while; large ones alone."""
    batch: list[Record] = []
    held = text = 0
    for task in tasks:
        size, letters = _size(task["path"]), len(json.dumps(task))
        full = len(batch) == MOST_TOGETHER or held + size > MOST_BYTES or text + letters > MOST_UNREAD // 2
        if batch and full:
            yield batch
            batch, held, text = [], 0, 0
        batch, held, text = [*batch, task], held + size, text + letters
    if batch:
        yield batch


def _size(path: str) -> int:
    try:
        return _inputs.size_of(path)
    except OSError:
        return 0


def _cores() -> int:
    """As many cores as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _environment(threads: int) -> dict[str, str]:
    """Ours, with sigconv where it was found, and so many threads."""
    places = [str(Path(sigconv.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), **dict.fromkeys(names, str(threads))}
