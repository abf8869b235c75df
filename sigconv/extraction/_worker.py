"""A worker: python -m sigconv.extraction._worker. Tasks come in by stdin, a line of JSON each, and lines go out so."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

DEATH = 1  # prctl: which signal comes when the parent is gone


def main() -> None:
    """Work until there is no more, or nobody who wants it."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent hears them, and says what is to be done
        signal.signal(number, signal.SIG_IGN)
    _bound()
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print is no answer

    def say(record: dict[str, Any]) -> None:
        answers.write(json.dumps(record) + "\n")
        answers.flush()

    lines = sys.stdin.buffer
    try:
        _serve(json.loads(lines.readline()), lines, say)
    except BrokenPipeError:
        os._exit(1)


def _serve(setup: dict[str, Any], lines: Any, say: Any) -> None:
    import torch

    torch.set_num_threads(setup["threads"])
    from sigconv import console
    from sigconv.extraction import _formats
    from sigconv.extraction._work import Work

    try:
        work = Work(setup)
    except ValueError as error:  # no such bank, statistic or device: told by the parent
        say({"usage": str(error)})
        return
    except Exception as error:
        say({"failed": console.one_line(error)})
        return
    say({"ready": os.getpid()})
    for text in lines:
        for task in json.loads(text):
            try:
                line = work.done(task)
            except _formats.WriteError as error:
                say({"unwritable": [error.errno, str(error.strerror)]})
                return
            pending, work.group.pending = work.group.pending, []
            say({"line": line, "pending": pending})
    work.close()


def _bound() -> None:
    """Be gone when the parent is: nobody would give the files their names."""
    parent = os.getppid()
    try:
        ctypes.CDLL(None).prctl(DEATH, signal.SIGKILL)
    except (OSError, TypeError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main()
