"""Text as files of sequences have it, plain or packed by gzip: in blocks or line by line, in constant memory.

A mark of UTF-8 at the beginning is passed over; a line ends by LF, CR LF or CR. What is packed is seen by the content,
may have many members, as bgzip writes them, and must be whole to its last checksum.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from sigconv import files
from sigconv.console import one_line

MOST_BYTES = 1 << 40  # of a file, and of what it unpacks to
MOST_TEXT = 1 << 28  # of what is kept in memory line by line
MOST_LINE = 1 << 16
MOST_RATIO = 50  # times its size that a file may unpack to: such text packs ten times at best, a bomb a thousand times
ALWAYS = 1 << 25  # bytes it may unpack to whatever its size
BLOCK = 1 << 20
GZIP, BGZIP = b"\x1f\x8b", b"BC\x02\x00"  # what the second adds stands at byte 12
BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
OTHERS = {
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
}
OTHERS |= {b"\xff\xfe": "text in UTF-16", b"\xfe\xff": "text in UTF-16"}
NUMBER = re.compile(r"[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")

Fail = Callable[..., ValueError]


def failing(path: str | os.PathLike[str], kind: str) -> Fail:
    """What makes the error of a file, fail(why, line=None): one line with its name and, where known, the line's."""
    name = str(os.fspath(path))

    def fail(why: str, line: int | None = None) -> ValueError:
        where = "" if line is None else f"line {line}: "
        return ValueError(f"{name!r} is not a usable {kind} file: {where}{why}")

    return fail


def blocks(
    path: str | os.PathLike[str], fail: Fail, most: int = MOST_BYTES, ratio: int = MOST_RATIO
) -> Iterator[bytes]:
    r"""The text of a file in blocks of about a megabyte, every line in it ended by b"\n".

    That the file is there and is a regular one is seen at once. Raises ValueError, made by fail, for one that is cut
    short, damaged, packed otherwise, or unpacks to more than it should.
    """
    size = files.size_of(path, MOST_BYTES)
    return _blocks(path, size, fail, most, ratio)


def lines(path: str | os.PathLike[str], fail: Fail, longest: int = MOST_LINE) -> Iterator[tuple[int, str]]:
    """The lines of a file kept in memory: what split gives, once all of it is known to be whole and not too large."""
    return split(list(blocks(path, fail, MOST_TEXT)), fail, longest)


def split(source: Iterable[bytes], fail: Fail, longest: int = MOST_LINE) -> Iterator[tuple[int, str]]:
    """The lines in such blocks that are not empty, (number from 1, str) each, without their ends.

    Raises ValueError, made by fail, for a line that is not UTF-8 and for one of more than longest bytes.
    """
    held, number = b"", 0
    for block in source:
        *whole, held = (held + block).split(b"\n")
        for line in whole:
            number += 1
            if line:
                yield number, _text(line, number, fail, longest)
        if len(held) > longest:
            _text(held, number + 1, fail, longest)
    if held:
        yield number + 1, _text(held, number + 1, fail, longest)


def number(word: str) -> float | None:
    """The finite number a word is, as people write one; None if it is none.

    >>> number("-1.5e3"), number("nan"), number("1_000"), number("1e999")
    (-1500.0, None, None, None)
    """
    value = float(word) if NUMBER.fullmatch(word) else math.inf
    return value if math.isfinite(value) else None


def words(line: str) -> list[str]:
    r"""A line's columns, parted by tabs, or by blanks where it has no tab.

    >>> words("chr1\t1\t2\tmy peak"), words("chr1 1  2")
    (['chr1', '1', '2', 'my peak'], ['chr1', '1', '2'])
    """
    return [word.strip() for word in line.split("\t")] if "\t" in line else line.split()


def _text(line: bytes, number: int, fail: Fail, longest: int) -> str:
    if len(line) > longest:
        raise fail(f"it has more than {longest} bytes", number)
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise fail("it is not UTF-8", number) from None


def _blocks(path: str | os.PathLike[str], size: int, fail: Fail, most: int, ratio: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        head = file.read(18)
        for mark, what in OTHERS.items():
            if head.startswith(mark):
                raise fail(f"it is {what}: plain text in UTF-8 or packed by gzip is read")
        packed = head.startswith(GZIP)
        if packed and head[12:16] == BGZIP:
            _ended(file, size, fail)
        file.seek(0)
        stream: Any = gzip.GzipFile(fileobj=file) if packed else file
        room = min(most, max(ALWAYS, size * ratio)) if packed else most
        yield from _unified(_bounded(stream, room, size, fail))


def _ended(file: BinaryIO, size: int, fail: Fail) -> None:
    """A file of bgzip ends by an empty member: one cut between two members would else read as whole."""
    file.seek(max(size - len(BGZIP_END), 0))
    if file.read() != BGZIP_END:
        raise fail("it is cut short (bgzip's mark of the end is not there)")


def _bounded(stream: Any, room: int, size: int, fail: Fail) -> Iterator[bytes]:
    """What is read, till it is more than there is room for; what cannot be unpacked is told with the line reached."""
    got, line = 0, 1
    while True:
        try:
            block = stream.read(BLOCK)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            why = one_line(error)
            raise fail(f"it cannot be unpacked beyond this, cut short or damaged ({why})", line) from None
        if not block:
            return
        got += len(block)
        if got > room:
            raise fail(f"its {size} bytes hold more than {room} of text, the most that is read", line)
        yield block
        line += block.count(b"\n")


def _unified(source: Iterator[bytes]) -> Iterator[bytes]:
    r"""The blocks without a mark of UTF-8 in front and with b"\n" alone for an end."""
    held, first = b"", True
    for block in source:
        if first and block.startswith(b"\xef\xbb\xbf"):
            block = block[3:]
        first = False
        block, held = held + block, b""
        if b"\r" in block:
            if block.endswith(b"\r"):  # its b"\n" may be in the next
                block, held = block[:-1], b"\r"
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield block
    if held:
        yield b"\n"
