"""Checkpoints: a folder with state.safetensors and commit.json. No pickle, and any flipped bit is noticed.

commit.json is written last: it holds the tree of plain values, each tensor's SHA-256, and a digest of itself. A folder
without it was never finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigconv import files

VERSION = 1
MOST_COMMIT = 256 << 20


def save(path: str | os.PathLike[str], state: Any) -> Path:
    """Write a nest of dicts, lists, tensors, numbers, text, bools and None to a new folder, whole or not at all."""
    from safetensors.torch import save as serialise

    path = Path(path)
    tensors: dict[str, Tensor] = {}
    tree = _flatten(state, tensors)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    temporary.mkdir(parents=True)
    try:
        content = serialise(tensors)
        commit = {
            "version": VERSION,
            "bytes": len(content),
            "tree": tree,
            "sha256": {name: _digest(tensor) for name, tensor in tensors.items()},
        }
        commit["digest"] = _seal(commit)
        with files.writing(temporary / "state.safetensors") as file:
            file.write(content)
        files.write_text(temporary / "commit.json", json.dumps(commit))
        if path.exists():
            remove(path)
        os.replace(temporary, path)
        files.sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return path


def load(path: str | os.PathLike[str]) -> Any:
    """The state as saved, its tensors on the CPU. Raises ValueError, one line, if any of it is missing or changed."""
    path = Path(path)
    try:
        text = files.read_bytes(path / "commit.json", MOST_COMMIT)
        commit = json.loads(text)
        written = json.dumps(commit).encode()
        digest = commit.pop("digest")
        if commit["version"] > VERSION:
            raise ValueError(f"a newer sigconv wrote it (format {commit['version']}, this one reads {VERSION})")
        if digest != _seal(commit) or written != text:
            raise ValueError("commit.json was changed")
        if (path / "state.safetensors").stat().st_size != commit["bytes"]:
            raise ValueError(f"state.safetensors has not the {commit['bytes']} bytes committed")
        from safetensors.torch import load as deserialise

        tensors = deserialise(files.read_bytes(path / "state.safetensors", commit["bytes"]))
        if set(tensors) != set(commit["sha256"]):
            raise ValueError("state.safetensors holds other tensors than were committed")
        changed = [name for name, tensor in tensors.items() if _digest(tensor) != commit["sha256"][name]]
        if changed:
            raise ValueError(f"tensor {changed[0]} was changed")
        return _restore(commit["tree"], tensors)
    except Exception as error:  # whatever a damaged file makes a parser say, it is one thing to the user
        raise ValueError(f"checkpoint {str(path)!r} cannot be used: {' '.join(str(error).split())}") from None


def numbered(folder: Path, name: str) -> list[Path]:
    """A model's checkpoints, newest first, by the number in their names (10 is after 9)."""
    found = [path for path in folder.glob(f"{name}-*") if path.name[len(name) + 1 :].isdigit()]
    return sorted(found, key=lambda path: int(path.name[len(name) + 1 :]), reverse=True)


def _flatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The tree in JSON: a list is ["list", …], a dict ["dict", [key, value], …], a tensor ["tensor", name]."""
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return ["tensor", name]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str | int | float | bool | None):
                raise TypeError(f"a checkpoint's keys are text or numbers, not {key!r}")
        return ["dict", *([key, _flatten(entry, tensors)] for key, entry in value.items())]
    if isinstance(value, list | tuple):
        return ["list", *(_flatten(entry, tensors) for entry in value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds tensors and plain values, not {type(value).__name__}")


def _restore(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(tree, list):
        return tree
    kind, *entries = tree
    if kind == "tensor":
        return tensors[entries[0]]
    if kind == "dict":
        return {key: _restore(entry, tensors) for key, entry in entries}
    return [_restore(entry, tensors) for entry in entries]


def _digest(tensor: Tensor) -> str:
    head = f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
    return hashlib.sha256(head + tensor.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()


def _seal(commit: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(commit, sort_keys=True).encode()).hexdigest()


def remove(path: Path) -> None:
    """Delete a checkpoint; renamed first, so that a half-deleted one is never taken for one."""
    doomed = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
    os.replace(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Delete what a killed save or removal left behind: no one else writes here."""
    for leftover in [*folder.glob(".*.tmp"), *folder.glob(".*.old")]:
        shutil.rmtree(leftover, ignore_errors=True)
