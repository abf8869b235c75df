"""TIMIT's marks of time, .phn and .wrd: a line for each phone or word, where it begins and ends, in samples."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from sigconv import files

MOST_BYTES = 1 << 24
LINE = re.compile(r"[ \t]*([0-9]{1,15})[ \t]+([0-9]{1,15})[ \t]+([^\s]{1,200})[ \t]*")


class Mark(NamedTuple):
    """What is said from sample begin to sample end, which is not its own any more."""

    begin: int
    end: int
    label: str


def read(path: str | os.PathLike[str], *, overlap: bool | None = None) -> list[Mark]:
    """The marks of a .phn or .wrd file, (begin, end, label) each, in their order; times in samples.

    Lines are `begin end label`, whole numbers and begin < end, UTF-8 with any line ends, blank lines and DOS's sign of
    the end (0x1A) passed over. Marks may leave gaps; overlap says whether one may begin before the last has ended
    (never before it began), and is by default true of .wrd alone, for words run into each other in TIMIT. Raises
    OSError where there is no regular file, ValueError, with the number of the line, for one that is none of these, and
    for a file without marks. Source: Garofolo et al. 1993, TIMIT, NISTIR 4930.
    """
    name = str(os.fspath(path))
    data = files.read_bytes(path, MOST_BYTES)
    allowed = name.lower().endswith(".wrd") if overlap is None else overlap
    fail = lambda why: ValueError(f"{name!r} is not a usable file of marks: {why}")
    try:
        text = data.decode("utf-8-sig").rstrip("\x1a")  # as DOS ended a text
    except UnicodeDecodeError as error:
        raise fail(f"line {data[: error.start].count(10) + 1} is not UTF-8") from None
    marks: list[Mark] = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line)
        if match is None:
            raise fail(f"line {number} {line[:60]!r} is not `begin end label`")
        mark = Mark(int(match[1]), int(match[2]), match[3])
        if mark.begin >= mark.end:
            raise fail(f"line {number} {line[:60]!r} ends before it has begun")
        if marks and mark.begin < (marks[-1].begin if allowed else marks[-1].end):
            raise fail(f"line {number} {line[:60]!r} begins before {'the last began' if allowed else 'the last ended'}")
        marks.append(mark)
    if not marks:
        raise fail("it has no marks")
    return marks
