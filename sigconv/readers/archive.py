"""Zip and tar.gz archives, read member by member in memory: nothing is unpacked, so nothing can escape a folder."""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from sigconv import files

MOST_MEMBER = 256 << 20  # bytes of one member
MOST_TOTAL = 4 << 30  # bytes of all members
MOST_MEMBERS = 1_000_000
# What the standard library says of archives that are damaged, encrypted or packed in a way it does not know.
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
DAMAGE += (OSError, ValueError, RuntimeError, NotImplementedError)  # type: ignore[assignment]


def members(path: str | os.PathLike[str], ending: str = "") -> Iterator[tuple[str, bytes]]:
    """(name, content) of every regular member whose name ends so (in any case), in the archive's order.

    A member, their sum or their number beyond the caps raises ValueError, as a damaged archive does.
    """
    files.size_of(path)
    name = os.fspath(path)
    total = 0
    try:
        for count, (member, content) in enumerate(
            _zip(path, ending) if zipfile.is_zipfile(path) else _tar(path, ending)
        ):
            total += len(content)
            if total > MOST_TOTAL or count >= MOST_MEMBERS:
                raise ValueError(f"it unpacks to more than {MOST_TOTAL} bytes or {MOST_MEMBERS} files")
            yield member, content
    except DAMAGE as error:
        raise ValueError(f"{name!r} is not a whole zip or tar archive: {' '.join(str(error).split())}") from None


def _zip(path: str | os.PathLike[str], ending: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir() and info.filename.lower().endswith(ending):
                with archive.open(info) as file:
                    yield info.filename, _capped(file.read(MOST_MEMBER + 1), info.filename)


def _tar(path: str | os.PathLike[str], ending: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            file = archive.extractfile(info) if info.isreg() and info.name.lower().endswith(ending) else None
            if file is not None:
                yield info.name, _capped(file.read(MOST_MEMBER + 1), info.name)
        while archive.fileobj is not None and archive.fileobj.read(1 << 20):
            pass  # to the very end: gzip keeps its checksum there


def _capped(content: bytes, member: str) -> bytes:
    if len(content) > MOST_MEMBER:
        raise ValueError(f"member {member!r} has more than {MOST_MEMBER} bytes")
    return content
