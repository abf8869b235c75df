"""Files decoded in a process of their own, of little memory and time: what a decoder does to itself ends there.

The process starts afresh (no fork), loads no torch, leaves no core, can write nothing to a file and has no keyboard. It
answers over a pipe, and what it answers is checked as a file is. It is no jail: it may read what its user may.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any, Self

import numpy as np

from sigconv import files, units
from sigconv.readers import _replies
from sigconv.readers._replies import LENGTH

READERS = (
    "flac",
    "fasta",
    "idx",
    "image",
    "nifti",
    "npy",
    "npz",
    "phn",
    "seq",
    "sphere",
    "video",
    "wav",
    "zarr",
    "bed",
)
NAMED = {"nifti": "Volume", "phn": "Mark", "seq": "Row", "bed": "Interval"}  # the class of what a reader gives
LEAST = 1 << 28  # bytes that Python and its libraries take before a file is read
MOST_REQUEST = 1 << 20
F_SETPIPE_SZ = 1031  # Linux's


class Decoder:
    """Reads files in another process: read(kind, path) is readers.<kind>.read(path), or one line of why not.

    memory      bytes the process may have, a number or "2 GB"; what it gives may take as many
    seconds     for a file, of any clock

    The process is started at the first file, serves one after the other, and is replaced by a new one when it was
    ended. To be used by one thread, in a with statement, or closed.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.npy"
    >>> np.save(path, np.arange(3))
    >>> with Decoder() as decoder:
    ...     decoder.read("npy", path)
    array([0, 1, 2])
    """

    def __init__(self, memory: int | str = "2 GB", seconds: float = 60.0) -> None:
        self.memory, self.seconds = units.bytes_of(memory), float(seconds)
        if self.memory < LEAST:
            raise ValueError(f"memory {memory!r} is below the {LEAST} bytes that a process needs to begin with")
        if not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds {seconds!r} must be above 0 and finite")
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes = (-1, -1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, kind: str, path: str | os.PathLike[str], **options: Any) -> Any:
        """What readers.<kind>.read(path, **options) gives, arrays copied, in this process's memory.

        Raises what that raises (ValueError, OSError, ImportError); files.PassingError (a ValueError), with the file's
        name, where the process was ended by the file, or it takes more memory or time than there is; ValueError for a
        kind that is not served.
        """
        name = os.fsdecode(path)
        if kind not in READERS:
            raise ValueError(f"kind {kind!r} is not one of {', '.join(sorted(READERS))}")
        asked = json.dumps({"kind": kind, "path": name, "options": options, "seconds": self.seconds}).encode()
        if len(asked) > MOST_REQUEST:
            raise ValueError(f"{name[:60]!r} and its options take {len(asked)} bytes: more than {MOST_REQUEST}")
        end = time.monotonic() + self.seconds
        try:
            try:
                self._ask(asked)
                return self._answer(kind, name, end)
            except (BrokenPipeError, EOFError):
                raise files.PassingError(f"{name!r} cannot be read: {self._ended()}") from None
        except _Said as said:
            raise said.error from None
        except BaseException:  # whatever comes now out of the pipe, it is not the answer to the next question
            self.close()
            raise

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in self._pipes:
                os.close(pipe)

    def _ask(self, asked: bytes) -> None:
        if self._process is None:
            self._start()
        data = memoryview(LENGTH.pack(len(asked)) + asked)
        while data:
            data = data[os.write(self._pipes[1], data) :]

    def _start(self) -> None:
        here, theirs = os.pipe()
        theirs_in, here_out = os.pipe()
        command = [
            sys.executable,
            "-P",
            "-B",
            "-m",
            "sigconv.readers._served",
            *map(str, (theirs_in, theirs, self.memory)),
        ]
        try:
            nothing: Any = subprocess.DEVNULL
            self._process = subprocess.Popen(
                command, stdin=nothing, stdout=nothing, stderr=nothing, pass_fds=(theirs_in, theirs),
                env=_environment(), start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(here)
            os.close(here_out)
            raise
        finally:
            os.close(theirs)
            os.close(theirs_in)
        self._pipes = (here, here_out)
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.fcntl(here, F_SETPIPE_SZ, 1 << 20)

    def _answer(self, kind: str, name: str, end: float) -> Any:
        length = LENGTH.unpack(self._taken(LENGTH.size, name, end))[0]
        if length > _replies.MOST_HEADER:
            raise ValueError(f"{name!r} cannot be read: it has too many parts to be handed on")
        try:
            said = _replies.parsed(bytes(self._taken(length, name, end)))
            if isinstance(said, dict) and "error" in said:
                raise _Said(_error(said, name, self.memory))
            sizes = list(_replies.sizes(said))
            if sum(sizes) > self.memory:
                raise files.PassingError(f"it takes {sum(sizes)} bytes, and {self.memory} are allowed")
            content = self._taken(sum(sizes), name, end)
            named = NAMED.get(kind)
            make = getattr(importlib.import_module(f"sigconv.readers.{kind}"), named) if named else None
            return _replies.unpacked(said, _replies.parts(content, sizes), make)
        except (ValueError, TypeError) as error:
            why, kind_of = str(error), files.PassingError if isinstance(error, files.PassingError) else ValueError
            raise kind_of(why if repr(name) in why else f"{name!r} cannot be read: {why}") from None

    def _taken(self, count: int, name: str, end: float) -> memoryview:
        """So many bytes from the process, before the time is over."""
        room, have = np.empty(count, np.uint8), 0
        while have < count:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._pipes[0]], [], [], left)[0]:
                raise files.PassingError(f"{name!r} cannot be read: it takes more than {self.seconds:g} seconds")
            n = os.readv(self._pipes[0], [room.data[have:]])
            if n == 0:
                raise EOFError
            have += n
        return room.data

    def _ended(self) -> str:
        """How the process ended that does not answer any more."""
        process = self._process
        if process is None:
            return "the process that read it is gone"
        try:
            code = process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "the process that read it has closed its pipe"
        if code == -getattr(signal, "SIGXCPU", 0):
            return f"it takes more than {self.seconds:g} seconds"
        what = f"was ended by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
        return f"the process that read it {what}"


class _Said(Exception):  # noqa: N818  it carries an error, and the process that told it lives on
    """An error that the process told."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _error(said: dict[str, Any], name: str, memory: int) -> Exception:
    """The error that was told, of one line."""
    kind, number = said["error"], said.get("errno")
    text = " ".join("".join(c if c.isprintable() else " " for c in str(said.get("text"))[:500]).split())
    if kind == "MemoryError":
        return files.PassingError(f"{name!r} cannot be read within {memory} bytes of memory")
    if kind == "PassingError":
        return files.PassingError(text)
    if kind == "OSError":
        return OSError(number, text, name) if type(number) is int else OSError(text)
    if kind == "ImportError":
        return ImportError(text)
    return ValueError(text) if kind == "ValueError" else ValueError(f"{name!r} cannot be read: {text}")


def _environment() -> dict[str, str]:
    """This process's, with one thread for numbers, and the way to this very package."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **single, "MALLOC_ARENA_MAX": "2", "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
