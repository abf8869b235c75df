"""The process that decodes files for another: `python -m sigconv.readers._served PIPES MEMORY`, started by child."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from sigconv import console, files
from sigconv.readers import _replies
from sigconv.readers._replies import LENGTH


def main(words: list[str]) -> int:
    """Answer what is asked over the pipes of these numbers, till they are closed; within this memory."""
    asks, answers, memory = map(int, words)
    _limited(memory)
    with os.fdopen(asks, "rb") as stream, os.fdopen(answers, "wb", 0) as out:
        while head := stream.read(LENGTH.size):
            request = json.loads(stream.read(LENGTH.unpack(head)[0]))
            _hurried(request["seconds"])
            for part in _reply(request):
                data = memoryview(part)
                while data:
                    data = data[out.write(data) :]
    return 0


def _reply(request: dict[str, Any]) -> Iterator[Any]:
    """The parts of an answer: the header's length, the header, the bytes; or an error's."""
    buffers: list[Any] = []
    try:
        module = importlib.import_module(f"sigconv.readers.{request['kind']}")
        said = _replies.packed(module.read(request["path"], **request["options"]), buffers)
        header = json.dumps(said).encode()
    except Exception as error:  # decoders raise what they like
        buffers = []
        kinds = (files.PassingError, ValueError, OSError, ImportError, MemoryError)
        kind = next((one.__name__ for one in kinds if isinstance(error, one)), "")
        number, text = getattr(error, "errno", None), console.one_line(error)
        text = str(getattr(error, "strerror", None) or text) if number is not None else text
        text = text if kind else f"{type(error).__name__}: {text}"
        header = json.dumps({"error": kind, "errno": number, "text": text[:500]}).encode()
    yield LENGTH.pack(len(header)) + header
    yield from buffers


def _limited(memory: int) -> None:
    """No more memory than this, no core, no file written."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ImportError):
        import resource

        for limit, most in (("RLIMIT_AS", memory), ("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", 0)):
            with contextlib.suppress(ValueError, OSError):  # a stricter one is there already
                resource.setrlimit(getattr(resource, limit), (most, most))


def _hurried(seconds: float) -> None:
    """So much time on the processor from now on: one whose parent is gone ends by itself."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds) + 1, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
