"""The cost table: seconds per operation, for every method, dtype and device: "cpu", a GPU by its name, any GPU.

The table ships with the package (costs.json). `sigconv doctor --calibrate` measures this machine and writes a table of
its own into the cache ($SIGCONV_CACHE, else ~/.cache/sigconv), which then stands in for the shipped one; nothing
calibrates by itself. A table's hash is told by every plan and recorded with every run.

Prices of "cuda" hold for a GPU that was not measured. They are predictions, as kernels' comments have them: for a card
that copies 4.3 TB/s and does 67 TFLOP/s in float32 at half of its speed, 30 microseconds before a call begins.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sigconv import console, files
from sigconv.kernels._cache import folder

LARGEST = 1 << 20  # bytes of a table that is believed
MOST = 1e6  # seconds of an operation that are
ANY = "cuda"  # any GPU: nothing of it was measured, so no table of a machine's own stands in for it
Table = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]  # device, dtype, method, operation


def local() -> Path:
    """Where this machine's own table lies, or would."""
    return folder() / "costs.json"


def shipped() -> Path:
    """The table that comes with the package."""
    return Path(__file__).with_name("costs.json")


@functools.cache
def table() -> tuple[Table, str]:
    """The table in force, and the first digits of its SHA-256; a local one that is broken is named and left out.

    What a local table does not have keeps the price that is shipped.
    """
    ours, digest = _read(shipped())
    own = local()
    if os.access(own, os.F_OK):
        try:
            found, digest = _read(own)
            own_prices = {n: _over(ours.get(n, ours[ANY]), found[n], n not in ours) for n in found if n != ANY}
            ours = {**ours, **own_prices}
        except (OSError, ValueError) as error:
            warnings.warn(f"cost table {str(own)!r} is left out ({error}): delete it, or calibrate anew", stacklevel=2)
    return ours, digest


def _over(shipped: Mapping[str, Any], found: Mapping[str, Any], card: bool) -> dict[str, Any]:
    """A device's shipped prices with those found put in their places; of a card only kinds and methods that are found,
    since what it lacks of a kind it has in float32.
    """
    kinds: dict[str, Any] = {} if card else {kind: {**rows} for kind, rows in shipped.items()}
    for kind, rows in found.items():
        into = kinds.setdefault(kind, {})
        for method, prices in rows.items():
            into[method] = {**shipped.get(kind, {}).get(method, {}), **prices}
    return kinds


@functools.cache
def card(device: torch.device) -> str:
    """The name of a GPU, under which its prices are kept; "" of other devices, and where there is none to be asked."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" and torch.cuda.is_available() else ""


def save(found: dict[str, Any], path: Path) -> None:
    """A table written whole, or not at all; checked before it stands in for another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps(found, indent=1) + "\n")
    _read(path)
    table.cache_clear()


def _read(path: Path) -> tuple[Table, str]:
    raw = files.read_bytes(path, LARGEST)
    try:
        found = json.loads(raw)
    except RecursionError:
        raise ValueError("its lists lie too deep in each other") from None
    if not isinstance(found, dict) or found.get("version") != 1 or not isinstance(found.get("seconds"), dict):
        raise ValueError("not a cost table of version 1")
    _check(found["seconds"], "seconds", 4)
    return found["seconds"], hashlib.sha256(raw).hexdigest()[:12]


def _check(found: Any, name: str, deep: int) -> None:
    """ValueError, naming the place, for what is no table so deep of seconds."""
    if deep and not isinstance(found, dict):
        raise ValueError(f"{name} is no table")
    for key in found if deep else ():
        _check(found[key], f"{name}.{key}", deep - 1)
    if not deep and (isinstance(found, bool) or not isinstance(found, int | float) or not (0 <= found < MOST)):
        raise ValueError(f"{name} is {console.one_line(repr(found), 40)}, not seconds")


def measured(card: str) -> bool:
    """Whether a GPU of this name has prices of its own."""
    return card in table()[0]


def seconds(method: str, operations: Mapping[str, float], dtype: torch.dtype, device: str, card: str = "") -> float:
    """What so many operations of a method are predicted to take; an operation that has no price is free.

    card is a GPU's name. A precision that has no prices of its own has those of float32.
    """
    prices, _ = table()
    kinds = prices.get(card) or prices.get(ANY if device == "cuda" else "cpu", {})
    rates = kinds.get(str(dtype).removeprefix("torch."), {}).get(method)
    if rates is None:
        rates = kinds.get("float32", {}).get(method, {})
    return sum(amount * rates.get(operation, 0.0) for operation, amount in operations.items())
