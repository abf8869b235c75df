"""The cost table: seconds per operation, for every method, dtype and class of device.

The table ships with the package (costs.json). `sigconv doctor --calibrate` measures this machine and writes a table of
its own into the cache ($SIGCONV_CACHE, else ~/.cache/sigconv), which then stands in for the shipped one; nothing
calibrates by itself. A table's hash is told by every plan and recorded with every run.
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

LARGEST = 1 << 20  # bytes of a table that is believed
Table = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]  # device, dtype, method, operation


def local() -> Path:
    """Where this machine's own table lies, or would."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sigconv"
    return Path(os.environ.get("SIGCONV_CACHE") or home) / "costs.json"


def shipped() -> Path:
    """The table that comes with the package."""
    return Path(__file__).with_name("costs.json")


@functools.cache
def table() -> tuple[Table, str]:
    """The table in force, and the first digits of its SHA-256; a local one that is broken is named and left out."""
    own = local()
    if os.access(own, os.F_OK):
        try:
            return _read(own)
        except (OSError, ValueError) as error:
            warnings.warn(f"cost table {str(own)!r} is left out ({error}): delete it, or calibrate anew", stacklevel=2)
    return _read(shipped())


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


def seconds(method: str, operations: Mapping[str, float], dtype: torch.dtype, device: str) -> float:
    """What so many operations of a method are predicted to take; an operation that has no price is free."""
    prices, _ = table()
    kinds = prices.get("cuda" if device == "cuda" else "cpu", {})
    rates = kinds.get("float64" if dtype == torch.float64 else "float32", {}).get(method, {})
    return sum(amount * rates.get(operation, 0.0) for operation, amount in operations.items())
