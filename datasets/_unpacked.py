"""Archives unpacked into the cache, for sets of too many files to be read through each time."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sigconv import console, files
from sigconv.readers import archive

WHOLE = ".whole"  # the file that says that a folder holds all of its archive
DEEPEST = 8  # folders in one another


def unpacked(packed: Path, folder: Path, endings: Sequence[str]) -> Path:
    """The folder, holding the archive's regular files of these endings; unpacked into it if it does not yet.

    Member by member: none may leave the folder, each is there whole or not at all, and after a stop those that are
    there are passed over. Several processes may do it at once. ValueError for a damaged archive, and for names that
    lead elsewhere.
    """
    mark, said = folder / WHOLE, f"{packed.name} {packed.stat().st_size}"
    if mark.is_file() and mark.read_text(encoding="utf-8") == said:
        return folder
    console.say(f"unpacking {packed.name} into {str(folder)!r}, once")
    for name, content in archive.members(packed):
        place = folder.joinpath(*inside(name))
        if not place.name.lower().endswith(tuple(endings)):
            continue
        if place.is_file() and place.stat().st_size == len(content):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        half = place.with_name(f".{place.name}.{os.getpid()}.tmp")
        try:
            half.write_bytes(content)
            os.replace(half, place)
        finally:
            half.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(mark, said)
    return folder


def inside(name: str) -> tuple[str, ...]:
    """A member's path, if it stays inside the folder it is unpacked into on any system.

    >>> inside("./yes/0a7c2a8d_nohash_0.wav")
    ('yes', '0a7c2a8d_nohash_0.wav')
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.search(r"[\\:\0]", name) or not 1 <= len(path.parts) <= DEEPEST:
        raise ValueError(f"member {name!r} of the archive would lie outside its folder: nothing more is unpacked")
    return path.parts
