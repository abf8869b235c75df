r"""FASTA: sequences of DNA or RNA under names, plain or packed by gzip or bgzip; whole, in pieces, or by an index.

The rules, the same for every way to read:

* A record is a line `>name description` and lines of letters until the next. Its name is the first word after `>`,
  printable and the only one of its kind in the file; the description is passed over.
* Letters are A C G T, the IUPAC codes R Y S W K M B D H V N, and U, which is read as T. Small letters (masked repeats)
  are read as capitals. Gaps, stars, digits and letters of proteins are errors.
* Lines end by LF, CR LF or CR, the last one by nothing if it likes. A mark of UTF-8 in front, blank lines anywhere, and
  blanks and tabs beside or among letters are passed over. Text before the first `>` is an error.
* A record without letters is an error unless asked for by `empty=True`; a file without records always is one.
* A line of letters may have any length, the line of a name 65,536 bytes. A packed file may unpack to 50 times its size
  (32 MiB if that is more); one that is cut short or damaged is an error.

An error is a ValueError of one line with the file's name and, wherever there is one, the line's number.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from sigconv.readers import _letters, _lines
from sigconv.readers._genome import Genome
from sigconv.readers._lines import Fail

__all__ = ["Genome", "Piece", "pieces", "read"]

MOST_TEXT = 4 << 30  # bytes of a file read whole
MOST_NAME = 1 << 16  # of a line with a name
MOST_RECORDS = 1 << 24  # their names are kept, so that none comes twice


class Piece(NamedTuple):
    """Part of a record: its name, where the part starts (from 0), its letters in capitals, whether it is the last."""

    name: str
    start: int
    letters: bytes
    last: bool


def read(path: str | os.PathLike[str], *, empty: bool = False) -> list[tuple[str, str]]:
    r"""The records of a FASTA file, (name, sequence) each, in the file's order, sequences in capitals with T for U.

    path is plain or packed, which is seen by the content; empty says whether records without letters are taken. Raises
    OSError where there is no regular file, ValueError, naming file and line, where a rule of this module is broken.
    Source: Pearson and Lipman 1988; letters by NC-IUB 1984.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.fa"
    >>> _ = path.write_text("> one is the first\nacgu\nNN\n\n>two\nRY\n")
    >>> read(path)
    [('one', 'ACGTNN'), ('two', 'RY')]
    """
    records: list[tuple[str, str]] = []
    parts: list[bytes] = []
    for piece in _pieces(path, 1 << 24, empty, MOST_TEXT):
        parts.append(piece.letters)
        if piece.last:
            records.append((piece.name, b"".join(parts).decode()))
            parts = []
    return records


def pieces(path: str | os.PathLike[str], length: int = 1 << 20, *, empty: bool = False) -> Iterator[Piece]:
    r"""The records of a FASTA file in pieces of so many letters, the last of each record of what is left.

    In the file's order and in constant memory: a few megabytes, one piece, and the names. Every record has one last
    piece, which is empty only where the record is (and empty=True allows it). Raises what read does, as soon as the
    piece is asked for that the error is in; that there is a file is seen at once.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.fa"
    >>> _ = path.write_text(">one\nACG\nTAC\nG\n")
    >>> for piece in pieces(path, 4):
    ...     print(*piece)
    one 0 b'ACGT' False
    one 4 b'ACG' True
    """
    if length < 1:
        raise ValueError(f"length {length} of a piece must be at least 1")
    return _pieces(path, length, empty, _lines.MOST_BYTES)


def _pieces(path: str | os.PathLike[str], length: int, empty: bool, most: int) -> Iterator[Piece]:
    fail = _lines.failing(path, "FASTA")
    return _cut(_parts(_lines.blocks(path, fail, most), fail), length, empty, fail)


def _cut(parts: Iterator[tuple[bytes | None, bytes, int]], length: int, empty: bool, fail: Fail) -> Iterator[Piece]:
    """Pieces of what comes in parts of any length."""
    seen: dict[str, int] = {}
    name, start, begun = "", 0, 0
    held = bytearray()
    for title, text, line in parts:
        if title is not None:
            if seen:
                yield _last(name, start, held, begun, empty, fail)
            name, start, begun = _named(title, line, seen, fail), 0, line
            held = bytearray()
        letters = _letters.capitals(text)
        if not seen and letters != b"":
            blank = len(text) - len(text.lstrip())
            raise fail("it has text before the first line that begins with '>'", line + text.count(b"\n", 0, blank))
        if letters is None:
            at, what = _letters.wrong(text)
            raise fail(what, line + text.count(b"\n", 0, at))
        held += letters
        whole = max(len(held) - 1, 0) // length  # one letter at least is kept for the last
        for at in range(0, whole * length, length):
            yield Piece(name, start + at, bytes(held[at : at + length]), False)
        del held[: whole * length]
        start += whole * length
    if not seen:
        raise fail("it has no records (no line begins with '>')")
    yield _last(name, start, held, begun, empty, fail)


def _parts(blocks: Iterator[bytes], fail: Fail) -> Iterator[tuple[bytes | None, bytes, int]]:
    r"""(title, letters, line) of a record's beginning, (None, letters, line) of more of it; line is where that stands.

    The b"\n" before a line is held back with it as long as the line may turn out to be a title not yet whole.
    """
    held, line = b"\n", 0
    for block in blocks:
        text = held + block
        cut = text.rfind(b"\n")
        if cut >= 0 and text[cut + 1 : cut + 2] in (b"", b">"):
            text, held = text[:cut], text[cut:]
            if len(held) > MOST_NAME:
                raise fail(f"a name and its description have more than {MOST_NAME} bytes", line + text.count(b"\n") + 1)
        else:
            held = b""
        yield from _split(text, line, fail)
        line += text.count(b"\n")
    yield from _split(held, line, fail)


def _split(text: bytes, line: int, fail: Fail) -> Iterator[tuple[bytes | None, bytes, int]]:
    """A text at the titles in it, which are whole; its first letters stand in the given line."""
    more, *records = text.split(b"\n>")
    yield None, more, line
    line += more.count(b"\n")
    for record in records:
        title, _, letters = record.partition(b"\n")
        if len(title) > MOST_NAME:
            raise fail(f"a name and its description have more than {MOST_NAME} bytes", line + 1)
        yield title, b"\n" + letters, line + 1
        line += record.count(b"\n") + 1


def _named(title: bytes, line: int, seen: dict[str, int], fail: Fail) -> str:
    """The first word of a title, if it may be a name and is a new one."""
    word = title.split(maxsplit=1)[0] if title.split() else b""
    try:
        name = word.decode()
    except UnicodeDecodeError:
        raise fail(f"name {word[:60]!r} is not UTF-8", line) from None
    if not name:
        raise fail("a record has no name after its '>'", line)
    if not name.isprintable():
        raise fail(f"name {name[:60]!r} has characters that cannot be printed", line)
    if name in seen:
        raise fail(f"name {name[:60]!r} is the one of line {seen[name]} already", line)
    if len(seen) == MOST_RECORDS:
        raise fail(f"it has more than {MOST_RECORDS} records", line)
    seen[name] = line
    return name


def _last(name: str, start: int, held: bytearray, line: int, empty: bool, fail: Fail) -> Piece:
    if not held and start == 0 and not empty:
        raise fail(f"record {name[:60]!r} is empty (no letters follow its name)", line)
    return Piece(name, start, bytes(held), True)
