"""Checkpoints: a folder with state.safetensors and commit.json. No pickle, and any flipped bit is noticed.

commit.json is written last: it holds the tree of plain values, each tensor's size and SHA-256, and a digest of itself.
A folder without it was never finished.
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

from sigconv import __version__, console, files
from sigconv.train import tree

FORMAT = 2
MOST_COMMIT = 32 << 20  # some kilobytes a tensor, some hundred bytes a measured epoch
MOST_HEADER = 16 << 20


def save(path: str | os.PathLike[str], state: Any) -> Path:
    """Write a nest of dicts, lists, tensors, numbers, text, bools and None to a new folder, whole or not at all.

    Raises OSError, with what was needed and what is free, where it cannot be written; TypeError for other values.

    >>> import tempfile
    >>> path = save(f"{tempfile.mkdtemp()}/model-10", {"step": 10, "weight": torch.ones(2)})
    >>> load(path)
    {'step': 10, 'weight': tensor([1., 1.])}
    """
    from safetensors.torch import save as serialise

    path = Path(path)
    tensors: dict[str, Tensor] = {}
    commit: dict[str, Any] = {"sigconv": __version__, "format": FORMAT, "tree": tree.flatten(state, tensors)}
    content = serialise(tensors)
    commit["bytes"] = len(content)
    commit["tensors"] = {n: {"bytes": t.numel() * t.element_size(), "sha256": _digest(t)} for n, t in tensors.items()}
    commit["digest"] = _seal(commit)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir(parents=True)
        with files.writing(temporary / "state.safetensors") as file:
            file.write(content)
        files.write_text(temporary / "commit.json", json.dumps(commit))
        _put(temporary, path)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise OSError(error.errno, _unwritten(path, len(content), error)) from None
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
        if not isinstance(commit, dict):
            raise ValueError("commit.json holds no object")
        if commit.get("format") != FORMAT:
            raise ValueError(
                f"written by sigconv {commit.get('sigconv')} in format {commit.get('format')}; this is sigconv "
                f"{__version__}, which reads format {FORMAT}"
            )
        written = json.dumps(commit).encode()
        digest = commit.pop("digest")
        if digest != _seal(commit) or written != text:
            raise ValueError("commit.json was changed")
        return tree.restore(commit["tree"], _tensors(path / "state.safetensors", commit["tensors"], commit["bytes"]))
    except Exception as error:  # whatever a damaged file makes a parser say, it is one thing to the user
        raise ValueError(f"checkpoint {str(path)!r} cannot be used: {console.one_line(error, 300)}") from None


def _tensors(path: Path, committed: dict[str, dict[str, Any]], size: int) -> dict[str, Tensor]:
    """The tensors of a file, one by one; no size is believed that another one does not explain."""
    from safetensors import safe_open

    parts = sum(facts["bytes"] for facts in committed.values())
    if not (type(size) is type(parts) is int and 0 < size - parts <= MOST_HEADER):
        raise ValueError(f"its tensors of {parts} bytes do not make up the {size} bytes of their file")
    if files.size_of(path, size) != size:
        raise ValueError(f"state.safetensors has not the {size} bytes committed")
    found = {}
    with safe_open(path, "pt") as file:
        if set(file.keys()) != set(committed):
            raise ValueError("state.safetensors holds other tensors than were committed")
        for name, facts in committed.items():
            tensor = file.get_tensor(name).clone()
            if tensor.nbytes != facts["bytes"] or _digest(tensor) != facts["sha256"]:
                raise ValueError(f"tensor {name} was changed")
            found[name] = tensor
    return found


def numbered(folder: Path, name: str) -> list[Path]:
    """A model's checkpoints, newest first, by the number in their names (10 is after 9)."""
    begin = f"{name}-"
    there = folder.iterdir() if folder.is_dir() else ()
    found = [path for path in there if path.name.startswith(begin) and path.name[len(begin) :].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[len(name) + 1 :]), reverse=True)


def remove(path: Path) -> None:
    """Delete a checkpoint; renamed first, so that a half-deleted one is never taken for one."""
    doomed = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
    os.replace(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Mend what a killed save or removal left behind: whoever calls this holds the run's folder."""
    for aside in folder.glob(".*.aside"):  # its place was to be taken, and may not have been
        place = folder / aside.name[1:].rsplit(".", 2)[0]
        if place.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            os.replace(aside, place)
    for leftover in [*folder.glob(".*.tmp"), *folder.glob(".*.old")]:
        shutil.rmtree(leftover, ignore_errors=True)


def _put(temporary: Path, path: Path) -> None:
    """Give a folder its name. One that has the name already steps aside, and comes back if this fails."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.aside") if path.exists() else None
    if aside is not None:
        os.replace(path, aside)
    try:
        os.replace(temporary, path)
    except BaseException:
        if aside is not None:
            os.replace(aside, path)
        raise
    files.sync_folder(path.parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def _digest(tensor: Tensor) -> str:
    found = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    found.update(tensor.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
    return found.hexdigest()


def _seal(commit: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(commit, sort_keys=True).encode()).hexdigest()


def _unwritten(path: Path, needed: int, error: OSError) -> str:
    try:
        free = f"{shutil.disk_usage(path.parent.parent).free:,}"
    except OSError:
        free = "unknown"
    why = error.strerror or error
    return f"checkpoint {str(path)!r} of {needed:,} bytes could not be written ({why}; bytes free: {free})"
