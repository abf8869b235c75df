"""When a training saves and when it stops: by the clock and by signals, decided alike in all processes."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from sigconv import console
from sigconv.train import processes

SAVE_EVERY = 10.0  # seconds between checkpoints, at the least
MOST_SAVING = 0.03  # share of the time that may go into them
LISTEN_EVERY = 0.5  # seconds between two questions of many processes to each other


class Pace:
    """Asked after every step whether to save, and whether to stop."""

    def __init__(self, arrived: list[int], saving: bool) -> None:
        self.arrived, self.saving = arrived, saving
        self.last, self.pause = time.monotonic(), SAVE_EVERY
        self.stop = 0
        self.parent = os.getppid()
        self._wait, self._stride, self._asked = 0, 1, time.monotonic()

    def due(self) -> bool:
        """Whether it is time for a checkpoint, or to stop (then .stop is the signal's number)."""
        arrived = self.arrived[0] if self.arrived else 0
        wish = self.saving and time.monotonic() - self.last > self.pause
        if processes.count() == 1:
            self.stop = arrived
            return bool(wish or arrived)
        if os.getppid() != self.parent:  # whoever started the processes is gone, and would have ended them
            arrived = arrived or signal.SIGTERM
        self._wait -= 1
        if self._wait > 0:
            return False
        spent = max(time.monotonic() - self._asked, 1e-3)
        steps = max(1, min(int(self._stride * LISTEN_EVERY / spent), 1000))
        found = processes.greatest(arrived, wish and processes.number() == 0, -steps)
        self._wait = self._stride = int(-found[2])
        self._asked = time.monotonic()
        self.stop = int(found[0])
        if self.stop and not self.arrived:
            self.arrived.append(self.stop)  # another process's signal is everyone's
        return bool(found[0] or found[1])

    @contextlib.contextmanager
    def save(self) -> Iterator[None]:
        """A checkpoint being written: what takes long is done less often."""
        began = time.monotonic()
        yield
        self.last = time.monotonic()
        self.pause = max(SAVE_EVERY, (self.last - began) / MOST_SAVING)


@contextlib.contextmanager
def paced(saving: bool) -> Iterator[Pace]:
    """A pace whose signals wait for the end of a step, where there is a folder to save what was done."""
    if not saving:
        yield Pace([], saving=False)
        return
    with console.held() as arrived:
        yield Pace(arrived, saving=True)
