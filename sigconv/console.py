"""Talking to the person at the keyboard: messages and progress on stderr, one JSON line on stdout."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

GRACE = 8.0  # seconds a command may take to end after a signal, before it is ended


class UsageError(Exception):
    """A command line that cannot be meant as it stands: one line, exit code 2."""


class Stopped(BaseException):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def guarded(work: Callable[[], Any], debug: bool = False) -> int:
    """Do the work of a command; its exit code, after one line about what went wrong.

    0 done (or the number the work returns), 1 failed, 2 usage, 130 or 143 stopped by a signal. debug raises the error.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  it stays open as long as the process
    _stopped.clear()
    _commands.append(debug)
    handlers = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        done = work()
        sys.stdout.flush()
        return done if isinstance(done, int) else 0
    except Stopped as stop:
        say("stopped")
        return stop.code
    except BrokenPipeError:  # whoever read our output has left: nothing more to say to them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UsageError as error:
        say(f"error: {error}")
        return 2
    except Exception as error:
        if _stopped:  # a library in the middle of its import may turn the signal into an error of its own
            say("stopped")
            return 128 + _stopped[0]
        if debug:
            raise
        _failed(error)
        return 1
    finally:
        _commands.pop()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        while _watchdogs:
            _watchdogs.pop().cancel()


_stopped: list[int] = []  # signals that arrived
_commands: list[bool] = []  # commands under way in this process: what is called from a notebook is none
_watchdogs: list[threading.Timer] = []
_silent: list[int] = []  # this process's number, where another one speaks for all


def _stop(number: int, frame: types.FrameType | None) -> None:
    _stopped.append(number)
    raise Stopped(number)


@contextlib.contextmanager
def held() -> Iterator[list[int]]:
    """Let SIGINT and SIGTERM wait until the block is done: yields the list of those that have arrived.

    What they would have done is done when the block ends, or at once when a second one comes. A command that has not
    ended GRACE seconds after the first is ended, whatever it is doing.

    >>> with held() as arrived:
    ...     bool(arrived)
    False
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return

    def note(number: int, frame: types.FrameType | None) -> None:
        arrived.append(number)
        if len(arrived) > 1:
            restore()
            signal.raise_signal(number)
            return
        say("stopping after this step; a second signal stops at once")
        if _commands:
            _watchdogs.append(threading.Timer(GRACE, _end, [number]))
            _watchdogs[-1].daemon = True
            _watchdogs[-1].start()

    handlers = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    try:
        yield arrived
    finally:
        restore()
    if arrived:
        signal.raise_signal(arrived[0])


def _end(number: int) -> None:
    say(f"stopped: {GRACE:.0f} seconds were not enough to end in good order; the last whole checkpoint stays")
    os._exit(128 + number)


def leave(code: int) -> NoReturn:
    """End the process with this code; at once where torchrun started many, whose threads may outlive their talk."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def silence(process: int) -> None:
    """Say nothing from this process, for another one speaks for all; its errors are told with its number."""
    _silent[:] = [process] if process else []


def _failed(error: Exception) -> None:
    """The one line about an error. Of many processes the first speaks; another one only if that is not about to."""
    line = f"error: {one_line(error)}"
    if _silent:
        number = _silent.pop()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(3)  # if all fail alike, whoever started them ends this one meanwhile
        line = f"process {number}: {line}"
    say(line)


def one_line(what: Any, most: int | None = None) -> str:
    """A text or an error in one line, of so many letters at the most; an error that says nothing by its name.

    >>> one_line(ValueError("two\\n  lines")), one_line(KeyError()), one_line(OSError(2, "No such file", "a.wav"))
    ('two lines', 'KeyError', "'a.wav': No such file")
    """
    named = isinstance(what, OSError) and what.strerror and isinstance(what.filename, str | bytes | os.PathLike)
    text = f"{os.fsdecode(what.filename)!r}: {what.strerror}" if named else str(what)
    return " ".join(text.split())[:most] or (type(what).__name__ if isinstance(what, BaseException) else "")


def say(text: str) -> None:
    """A message, on stderr."""
    if _silent:
        return
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def answer(record: dict[str, Any]) -> None:
    """The one JSON object of a verb called with --json: the last line of stdout."""
    if _silent:
        return
    sys.stdout.write(json.dumps(plain(record), allow_nan=False) + "\n")
    sys.stdout.flush()


def show(text: str) -> None:
    """What a verb answers to a person, on stdout."""
    if _silent:
        return
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """The value as JSON knows it: NaN and infinities become null, paths text, NumPy and torch numbers plain ones."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def nearest(word: str, options: Iterable[str]) -> str:
    """A hint at what was meant, or at what there is.

    >>> nearest("mnist1", ["mnist1d", "spoken_digits"])
    'did you mean mnist1d?'
    >>> nearest("qqq", ["b", "a"])
    'there are a, b'
    """
    options = sorted(options)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(options)}" if options else "there are none"


def duration(seconds: float) -> str:
    """A time a person reads at a glance.

    >>> [duration(s) for s in (0.4, 75, 7300)]
    ['0.4 s', '1 min 15 s', '2 h 01 min']
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextlib.contextmanager
def progress(label: str, total: int) -> Iterator[Any]:
    """A bar with remaining time on a terminal; elsewhere nothing, for lines are said as work gets done.

    Yields a function of (done, note).
    """
    if _silent or not sys.stderr.isatty():
        yield lambda done, note="": None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield lambda done, note="": None
        return
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, note="")
        yield lambda done, note="": bar.update(task, completed=done, note=note)
