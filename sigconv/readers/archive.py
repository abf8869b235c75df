"""Zip and tar archives, read member by member in memory: nothing is unpacked, so nothing can escape a folder.

What unpacks to far more than any data do is refused before it fills memory or time: a member, all of them, their
number, the whole of a packed tar, and the list of a zip each have a cap.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from sigconv import console, files

MOST_MEMBER = 256 << 20  # bytes of one member
MOST_TOTAL = 4 << 30  # bytes of all members
MOST_MEMBERS = 1_000_000
MOST_STREAM = 64 << 30  # bytes that a packed tar unpacks to, members that are passed over too
MOST_RATIO = 250  # times its size that an archive may unpack to
ALWAYS = 256 << 20  # bytes it may unpack to whatever its size
MOST_LIST = 256 << 20  # bytes of a zip's list of members
PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
# What the standard library says of archives that are damaged, encrypted or packed in a way it does not know.
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
DAMAGE += (OSError, ValueError, RuntimeError, NotImplementedError)  # type: ignore[assignment]


def members(path: str | os.PathLike[str], ending: str = "") -> Iterator[tuple[str, bytes]]:
    """(name, content) of every regular member whose name ends so (in any case), in the archive's order.

    A member, their sum or their number beyond the caps raises ValueError, as a damaged archive does, and one that
    unpacks to more than 250 times its size (256 MiB if that is more).
    """
    size = files.size_of(path)
    name = os.fspath(path)
    room, total = max(ALWAYS, MOST_RATIO * size), 0
    try:
        with open(path, "rb") as file:
            source = _zip(file, ending) if zipfile.is_zipfile(file) else _tar(file, ending, room)
            for count, (member, content) in enumerate(source):
                total += len(content)
                if total > min(MOST_TOTAL, room) or count >= MOST_MEMBERS:
                    raise ValueError(f"it unpacks to more than {min(MOST_TOTAL, room)} bytes or {MOST_MEMBERS} files")
                yield member, content
    except DAMAGE as error:
        raise ValueError(f"{name!r} is not a whole zip or tar archive: {console.one_line(error, 400)}") from None


def listed(file: BinaryIO) -> None:
    """ValueError where a zip's list of members is longer than is read: the library would take it into memory whole."""
    size = file.seek(0, os.SEEK_END)
    at = max(size - (1 << 16) - 22, 0)
    file.seek(at)
    tail = file.read()
    last = tail.rfind(b"PK\5\6")
    if last >= 0 and len(tail) - last >= 22:
        length = struct.unpack_from("<L", tail, last + 12)[0]
        if tail[max(last - 20, 0) : last].startswith(b"PK\6\7") and at + last >= 76:
            file.seek(at + last - 76)  # of large archives the numbers stand before
            further = file.read(56)
            length = max(length % 0xFFFFFFFF, struct.unpack_from("<Q", further, 40)[0])
        if length > MOST_LIST:
            raise ValueError(f"its list of members takes {length} bytes, more than the {MOST_LIST} read")
    file.seek(0)


def _zip(file: BinaryIO, ending: str) -> Iterator[tuple[str, bytes]]:
    listed(file)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir() and info.filename.lower().endswith(ending):
                with archive.open(info) as member:
                    yield info.filename, _capped(member.read(MOST_MEMBER + 1), info.filename)


def _tar(file: BinaryIO, ending: str, room: int) -> Iterator[tuple[str, bytes]]:
    file.seek(0)
    mark = file.read(6)
    file.seek(0)
    packer = next((packer for head, packer in PACKED.items() if mark.startswith(head)), None)
    stream: Any = file if packer is None else _Capped(packer(file), min(room, MOST_STREAM))
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        seen, seen_by_it = 0, getattr(archive, "members", [])
        while (info := archive.next()) is not None:
            seen += 1
            if seen > MOST_MEMBERS:
                raise ValueError(f"it has more than {MOST_MEMBERS} members")
            member = archive.extractfile(info) if info.isreg() and info.name.lower().endswith(ending) else None
            if member is not None:
                yield info.name, _capped(member.read(MOST_MEMBER + 1), info.name)
            seen_by_it.clear()  # which it would keep to its end
        while stream.read(1 << 20):
            pass  # to the very end: gzip keeps its checksum there


class _Capped(io.RawIOBase):
    """An unpacked stream that ends in an error where it has given more than it may."""

    def __init__(self, stream: Any, room: int) -> None:
        self._stream, self._room = stream, room

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Forward, by reading."""
        return True

    def tell(self) -> int:
        """Bytes from the beginning."""
        return int(self._stream.tell())

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a byte, not beyond the room."""
        if whence == 0 and offset > self._room:
            raise ValueError(f"it unpacks to more than {self._room} bytes")
        return int(self._stream.seek(offset, whence))

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or what there is."""
        found: bytes = self._stream.read(min(size, self._room + 1) if size >= 0 else self._room + 1)
        if self._stream.tell() > self._room:
            raise ValueError(f"it unpacks to more than {self._room} bytes")
        return found


def _capped(content: bytes, member: str) -> bytes:
    if len(content) > MOST_MEMBER:
        raise ValueError(f"member {member!r} has more than {MOST_MEMBER} bytes")
    return content
