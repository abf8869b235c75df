"""What is installed, what the machine is, and whether convolution and banks give here the numbers they should.

    from sigconv import doctor
    print(doctor.report(doctor.examine()))     in the very process whose numbers are strange

The command is `sigconv doctor`; its page is made to be pasted into a bug report.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

import torch

from sigconv import __version__
from sigconv.doctor import _complaints, _machine, _packages, _places, _promises, _torch
from sigconv.doctor._golden import golden
from sigconv.doctor._known import KNOWN, known_bad
from sigconv.doctor._machine import devices, processor
from sigconv.doctor._page import report
from sigconv.doctor._promises import promises
from sigconv.doctor._torch import state
from sigconv.kernels import precise

__all__ = ["KNOWN", "devices", "examine", "golden", "known_bad", "processor", "promises", "report", "state"]

TF32 = 2 * 2**-10  # units of sqrt(K)·Σ|x||w|, as the precision has ten bits


def examine(progress: Callable[[int, int], None] = lambda done, of: None) -> dict[str, Any]:
    """Everything this page and the command's tell, as one dict of plain values; progress is told (done, of).

    "golden"    a row per device, precision and case: written-down answers   "checks"  the same of methods: float64 sums
    "healthy"   whether every one of those is kept                           "state"   of torch, in this process
    "problems"  what makes it unhealthy, "warnings" what else is worth mending, each {"what", "remedy", "source"}

    About ten seconds on one core. Changes nothing: the precision of float32 is restored, the global random generators
    are not used. Raises nothing for what it finds: a device that fails is a row.

    >>> found = golden("cpu", torch.float32)
    >>> all(row["kept"] for row in found)
    True
    """
    begun = time.monotonic()
    gpus = _machine.gpus()
    places = [name.split()[0] for name in devices()]
    jobs = _Count(progress, len(places) * (len(_promises.DTYPES) * len(_promises.METHODS) + 5))
    loose = _torch.tf32_in_convolutions()
    with _torch.usual():
        rows = [row for place in places for row in _rows(place, loose, jobs.step)]
    with _torch.usual(), _torch.full_precision():
        checks = [row for place in places for row in promises(place, jobs.step)]
    together = _machine.distributed()
    found: dict[str, Any] = {
        "sigconv": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _machine.processor(),
        "versions": _packages.versions(),
        "extras": _packages.extras(),
        "devices": list(devices()),
        "gpus": gpus,
        "threads": torch.get_num_threads(),
        "state": state(),
        "distributed": together,
        "places": _places.places(),
        "caches": _places.caches(),
        "table": _places.cost_table(),
        "limits": _places.limits(),
        "known_bad": known_bad(),
        "outside": _packages.outside(),
        "golden": rows,
        "checks": checks,
    }
    found["cost_table"] = found["table"]["digest"]
    found["cost_table_of_this_machine"] = found["table"]["of_this_machine"]
    found["healthy"] = all(row["kept"] for row in [*rows, *checks])
    found["problems"], found["warnings"] = _complaints.problems(found), _complaints.warned(found)
    found["seconds"] = round(time.monotonic() - begun, 1)
    return _tidied(found)


def _rows(place: str, loose: bool, step: Callable[[], None]) -> list[dict[str, Any]]:
    """Golden values on one device: in every precision, and in TF32 where convolutions there are in it."""
    rows: list[dict[str, Any]] = []
    with _torch.full_precision():
        for dtype in _promises.DTYPES:
            if dtype != torch.float64 or place == "cpu":
                rows += golden(place, dtype)
            step()
    if loose and place != "cpu":
        with precise.allow_tf32():
            rows += golden(place, torch.float32, TF32)
    step()
    return rows


class _Count:
    """How much of the work is done."""

    def __init__(self, progress: Callable[[int, int], None], of: int) -> None:
        self.progress, self.of, self.done = progress, of, 0

    def step(self) -> None:
        self.done += 1
        self.progress(self.done, self.of)


def _tidied(value: Any) -> Any:
    """The same with the home directory written as ~, wherever it stands."""
    if isinstance(value, dict):
        return {key: _tidied(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_tidied(entry) for entry in value]
    return _places.tidy(value) if isinstance(value, str) else value
