"""What lies in DIR under names that wait, or is nobody's: deleted where features go, and nowhere else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from sigconv import files
from sigconv.extraction._names import RECORD

ZARR = ".zarr"
MAPS = ".maps."  # how the names of folders begin in which large maps are made
WAITING = re.compile(r"(.+\.)[a-z0-9_]{8}\.tmp", re.DOTALL)  # tempfile's
NUMBER = re.compile(r"(?<=\.)[0-9]+\.$")  # of a process


def sweep(root: Path, outputs: Iterable[str], own: Iterable[str]) -> None:
    """Delete what waits for the name of one of these outputs, below root, or of root's own files.

    Whoever calls this holds the folder. Another extraction's folder below is left alone.
    """
    beginnings = {"": {MAPS, *(files.waiting(name) for name in own)}}
    for output in outputs:
        head, base = os.path.split(output)
        found = beginnings.setdefault(head, set())
        found.add(files.waiting(base))
        if output.endswith(ZARR):
            found.add(_mark(base))
            beginnings.setdefault(output, set()).add(files.waiting("zarr.json"))
    for place, wanted in beginnings.items():
        if not _anothers(root, place):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                _swept(root / place, wanted)


def _swept(folder: Path, wanted: set[str]) -> None:
    with os.scandir(folder) as listing:
        for entry in listing:
            match = WAITING.fullmatch(entry.name)
            if not match:
                continue
            directory = entry.is_dir(follow_symlinks=False)
            if (NUMBER.sub("", match[1]) if directory else match[1]) in wanted:
                remove(Path(entry.path))


def _mark(name: str) -> str:
    """How the temporary name of a zarr folder begins, before the number of its process."""
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}."


def _anothers(root: Path, place: str) -> bool:
    """Whether a folder below root is, or is in, what another extraction wrote."""
    while place:
        if (root / place / RECORD).is_file():
            return True
        place = os.path.dirname(place)
    return False


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def count(folder: str | os.PathLike[str]) -> int:
    """How many files a zarr array has, by which a missing chunk is noticed."""
    own = (files.LOCK,)
    return sum(name not in own and not name.endswith(".tmp") for _, _, names in os.walk(folder) for name in names)
