"""Where finished work comes in: files get their names in groups, lines are noted after them, and someone is told."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from sigconv import console, files
from sigconv.extraction._folder import Folder
from sigconv.extraction._result import Progress

MOST_WAITING = 64  # files
LONGEST_WAIT = 1.0  # seconds

Record = dict[str, Any]
Report = Callable[[Progress], object]


class StrictError(ValueError):
    """The first failure of an extraction that is to stop there."""


class NoBankError(ValueError):
    """The bank is none for any of the inputs: it is the bank that is wrong."""


class Desk:
    """Takes what is done, makes it last, counts it: total of all inputs, those done before left out."""

    def __init__(self, folder: Folder, inputs: int, total: int, strict: bool, report: Report | None) -> None:
        self.folder, self.inputs, self.total, self.strict, self.report = folder, inputs, total, strict, report
        self.done = self.failed = self.bytes = 0
        self._group, self._lines = files.Group(), list[Record]()
        self._begun = self._since = time.monotonic()
        self._bankless, self._opened = 0, False

    def open(self) -> None:
        """The work can be done: what is computed is told in DIR, before anything else is written there."""
        if not self._opened:
            self.folder.begun()
            self._opened = True

    def take(self, line: Record, pending: Iterable[tuple[str, str]] = ()) -> None:
        """The line of an input that has been worked at, and the files that wait for their names."""
        bankless = line.pop("no_bank", False)
        described = line.pop("bank_is", None)
        if described is not None:
            self._lines.append({"bank": line["bank"], "bank_is": described})
        if not self._lines:
            self._since = time.monotonic()
        self._group.pending.extend(pending)  # before the line: whatever stops us between, no line is without its file
        self._lines.append(line)
        self.done += 1
        self.bytes += line.get("size") or 0
        if line["error"] is not None:
            self.failed += 1
            if self.strict:
                raise StrictError(told(line))
            self._bankless += bankless
            if self._bankless == self.inputs:
                raise NoBankError(line["error"])
        self.tick()

    def tick(self) -> None:
        """Write what has waited long enough; tell how far it is."""
        waited = time.monotonic() - self._since
        if len(self._lines) >= MOST_WAITING or (self._lines and waited > LONGEST_WAIT):
            self.commit()
        if self.report is not None:
            elapsed = time.monotonic() - self._begun
            self.report(Progress(self.done, self.failed, self.total, self.bytes, elapsed))

    def commit(self) -> None:
        """Files first, then the lines that say that they are there."""
        with console.held():
            if self._lines:
                self.open()
            self._group.commit(self.folder.path)
            lines, self._lines = self._lines, []
            self.folder.note(lines)

    def rescue(self) -> None:
        """At a bad end: keep what is whole, if the disk still takes it."""
        with contextlib.suppress(OSError):
            self.commit()
        self._group.discard()


def told(line: Record) -> str:
    """A failure in one line, with the name of its file."""
    name = repr(line["path"])
    return line["error"] if name in line["error"] else f"{name}: {line['error']}"
