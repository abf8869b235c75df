"""Archives unpacked into the cache, for sets of too many files to be read through each time.

A folder is named by the SHA-256 of its archive: two archives of one name never share one. While it is filled it is
called .part, so that what bears the plain name is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from sigconv import console, files
from sigconv.readers import archive

WHOLE = ".whole"  # the file that says of which archive a folder holds all: its SHA-256
DIGITS = 16  # of the SHA-256, in a folder's name
DEEPEST = 8  # folders in one another


def whole(cache: Path, sha256: str) -> Path | None:
    """The folder in the cache that holds all of the archive of this SHA-256, if there is one."""
    folder = cache / sha256[:DIGITS]
    mark = folder / WHOLE
    return folder if mark.is_file() and files.read_bytes(mark, 1 << 10) == sha256.encode() else None


def unpacked(packed: Path, cache: Path, endings: Sequence[str]) -> Path:
    """The folder in the cache that holds the archive's regular files of these endings; unpacked into it if none does.

    Member by member: none may leave the folder, and after a stop those that are there already, to the byte, are passed
    over. Of several processes that want it one unpacks and the others wait. ValueError for a damaged archive, and for
    names that lead elsewhere.
    """
    with open(packed, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if (found := whole(cache, sha256)) is not None:
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with _turn(cache):
        return whole(cache, sha256) or _filled(packed, cache / sha256[:DIGITS], sha256, endings)


def _filled(packed: Path, folder: Path, sha256: str, endings: Sequence[str]) -> Path:
    """The folder, filled under another name and renamed once all of it is on the disc."""
    part = folder.with_name(f"{folder.name}.part")
    if folder.exists() and not part.exists():  # its mark is gone, and nothing else vouches for it
        os.rename(folder, part)
    part.mkdir(exist_ok=True)
    for leftover in part.rglob(".*.tmp"):  # of processes that were killed: this one holds the cache
        leftover.unlink()
    console.say(f"unpacking {packed.name} into {str(folder)!r}, once")
    for name, content in archive.members(packed):
        place = part.joinpath(*inside(name))
        if not place.name.lower().endswith(tuple(endings)):
            continue
        if place.is_file() and place.stat().st_size == len(content) and place.read_bytes() == content:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        half = place.with_name(f".{place.name}.{os.getpid()}.tmp")
        try:
            half.write_bytes(content)
            os.replace(half, place)
        finally:
            half.unlink(missing_ok=True)
    if hasattr(os, "sync"):
        os.sync()  # once, not file by file: there are a hundred thousand
    files.write_text(part / WHOLE, sha256)
    os.rename(part, folder)
    files.sync_folder(folder.parent)
    return folder


@contextlib.contextmanager
def _turn(cache: Path) -> Iterator[None]:
    """Hold a folder for this process, after any other that does."""
    with contextlib.ExitStack() as held:
        waits = False
        while True:
            try:
                held.enter_context(files.locked(cache))
                break
            except OSError as error:
                if error.errno is not None:  # it cannot be held at all
                    raise
            if not waits:
                console.say(f"waiting for {files.held_by(cache) or 'another process'} to unpack into {str(cache)!r}")
            waits = True
            time.sleep(0.2)
        yield


def inside(name: str) -> tuple[str, ...]:
    """A member's path, if it stays inside the folder it is unpacked into on any system.

    >>> inside("./yes/0a7c2a8d_nohash_0.wav")
    ('yes', '0a7c2a8d_nohash_0.wav')
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.search(r"[\\:\0]", name) or not 1 <= len(path.parts) <= DEEPEST:
        raise ValueError(f"member {name!r} of the archive would lie outside its folder: nothing more is unpacked")
    return path.parts
