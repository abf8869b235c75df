"""Files opened and written with care: only regular ones, only of a size that was looked at, never half-written."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 4 << 30  # one file read into memory whole


def size_of(path: str | os.PathLike[str], most: int = MOST_BYTES) -> int:
    """Bytes in a file, once it is known to be a regular one of a sensible size: a pipe would hang the reader."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{os.fspath(path)!r} is not a regular file")
    if status.st_size > most:
        raise ValueError(f"{os.fspath(path)!r} has {status.st_size} bytes: more than the {most} read at once")
    return status.st_size


def read_bytes(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """A regular file's whole content."""
    size_of(path, most)
    return Path(path).read_bytes()


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file that is either there whole or as it was before: temporary name, fsync, rename, fsync of the folder.

    >>> folder = tempfile.mkdtemp()
    >>> with writing(f"{folder}/a.txt") as file:
    ...     _ = file.write(b"all or nothing")
    >>> os.listdir(folder)
    ['a.txt']
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:64]}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text whole or not at all."""
    with writing(path) as file:
        file.write(text.encode())


def sync_folder(folder: Path) -> None:
    """Make a rename inside the folder last through a power cut."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
