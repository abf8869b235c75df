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
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sigconv import files
from sigconv.kernels._cache import folder

LARGEST = 1 << 20  # bytes of a table that is believed
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

    A device that a local table does not have keeps the prices that are shipped.
    """
    ours, digest = _read(shipped())
    own = local()
    if os.access(own, os.F_OK):
        try:
            found, digest = _read(own)
            ours = {**ours, **found, ANY: ours[ANY]}
        except (OSError, ValueError) as error:
            warnings.warn(f"cost table {str(own)!r} is left out ({error}): delete it, or calibrate anew", stacklevel=2)
    return ours, digest


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
    if path.stat().st_size > LARGEST:
        raise ValueError(f"more than {LARGEST} bytes")
    raw = path.read_bytes()
    found = json.loads(raw)
    if not isinstance(found, dict) or found.get("version") != 1 or not isinstance(found.get("seconds"), dict):
        raise ValueError("not a cost table of version 1")
    for device, dtypes in found["seconds"].items():
        for dtype, methods in dtypes.items():
            for method, operations in methods.items():
                for operation, seconds in operations.items():
                    if not isinstance(seconds, int | float) or not (0 <= seconds < math.inf):
                        raise ValueError(f"{device}.{dtype}.{method}.{operation} is {seconds!r}, not seconds")
    return found["seconds"], hashlib.sha256(raw).hexdigest()[:12]


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
