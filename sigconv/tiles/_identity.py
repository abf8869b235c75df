"""What was computed from what, in plain values: an answer goes on, or counts as done, only for the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import torch
from torch import nn

from sigconv import console
from sigconv.filters import FilterBank
from sigconv.tiles._sources import Source


def of_op(op: nn.Module) -> dict[str, Any]:
    """Class, words and SHA-256 of an operation: of its state, and of a bank's kernels or responses."""
    found = hashlib.sha256()
    held = dict(op.state_dict()) | dict(op.named_buffers())
    if isinstance(op, FilterBank) and op.kernel_size is not None:
        held["kernels"] = op.taps()
    elif isinstance(op, FilterBank):
        held["response"] = op.response((32,) * op.ndim)
    for name in sorted(held):
        value = held[name].detach().cpu()
        found.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        flat = torch.empty(value.numel(), dtype=value.dtype).copy_(value.reshape(-1))
        found.update(flat.view(torch.uint8).numpy().data if value.numel() else b"")
    kind = type(op)
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "repr": repr(op), "sha256": found.hexdigest()}


def whole(op: nn.Module, options: dict[str, Any], source: Source, dtype: torch.dtype) -> dict[str, Any]:
    """All that an answer's bits depend on, dtype being what is computed with, as JSON gives it back."""
    from sigconv import __version__

    seen = {"shape": list(source.shape), "dtype": str(source.dtype).removeprefix("torch."), "sha256": source.digest()}
    kind = str(dtype).removeprefix("torch.")
    said = {"op": of_op(op), "options": options, "source": seen, "dtype": kind, "sigconv_version": __version__}
    return json.loads(json.dumps(said))


def differing(said: dict[str, Any], now: dict[str, Any], path: str = "") -> list[str]:
    """The names of what is not the same in two records, most exact first.

    >>> differing({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}})
    ['b.c (2, now 3)']
    """
    found = []
    for name in sorted({*said, *now}):
        one, other = said.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found += differing(one, other, f"{path}{name}.")
        elif one != other:
            found.append(f"{path}{name} ({_short(one)}, now {_short(other)})")
    return found


def _short(value: Any) -> str:
    text = console.one_line(value)
    return text if len(text) <= 40 else f"{text[:37]}…"


def attributes(now: dict[str, Any], source: Source, stride: Any) -> dict[str, Any]:
    """What an array on disk says of itself."""
    names = ["x", "y", "z", "t"] if source.place.get("like") is not None else []
    space = [names[axis] if axis < len(names) else f"axis{axis}" for axis in range(len(source.space))]
    said: dict[str, Any] = {"axes": ["channel", *space], "sigconv_version": now["sigconv_version"], "op": now["op"]}
    steps = [float(step) for step in stride]
    if "fs" in source.place:
        rates = np.broadcast_to(np.atleast_1d(np.asarray(source.place["fs"], float)), len(space))
        said["fs"] = [float(rate / step) for rate, step in zip(rates, steps, strict=True)]
    if source.place.get("affine") is not None:
        from sigconv.readers import nifti

        said["affine"] = nifti.strided(source.place["affine"], steps).tolist()
    if source.paths:
        said["source_sha256"] = now["source"]["sha256"]
    return said | {"made": now}
