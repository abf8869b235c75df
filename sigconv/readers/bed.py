r"""BED and narrowPeak: intervals of a genome, from 0, their end not one of them; and the sequences under them.

The rules: 3 to 9 or 12 columns, or narrowPeak's 10, as many on every line, parted by tabs or, on a line without any, by
blanks. Start and end are whole numbers, start below end; the score a finite number or `.`; the strand + - or `.`;
narrowPeak's summit within its interval, or -1 for none. Columns 7 to 9, 11 and 12, which say how to draw, are passed
over. Lines that are blank or begin with `#`, `track` or `browser` are too. A file without intervals is an error. With a
genome, every chromosome must be one of its, and no end beyond its letters.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from sigconv.readers import _lines
from sigconv.readers._genome import Genome, listed
from sigconv.readers._lines import Fail

COLUMNS = (*range(3, 10), 10, 12)
NARROW_PEAK = 10
WHOLE = re.compile(r"[0-9]{1,15}")
MOST_WINDOW = 1 << 28


class Interval(NamedTuple):
    """Letters start to end (from 0, end not one of them) of a chromosome; summit is a place on it, None if not said."""

    chrom: str
    start: int
    end: int
    name: str = ""
    score: float = 0.0
    strand: str = "."
    summit: int | None = None


def read(path: str | os.PathLike[str], genome: Genome | Mapping[str, int] | None = None) -> list[Interval]:
    r"""The intervals of a BED or narrowPeak file, plain or packed by gzip, in the file's order.

    genome is a Genome, or the letters of each chromosome by its name, that the intervals must lie in. Raises OSError
    where there is no regular file, ValueError, naming file and line, where a rule of this module is broken. Source:
    Kent et al. 2002; the UCSC Genome Browser's "BED format" and "ENCODE narrowPeak".

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.bed"
    >>> _ = path.write_text("track name=peaks\nchr1\t10\t20\tfirst\t7.5\t-\nchr2\t0\t5\tsecond\t.\t.\n")
    >>> for interval in read(path, {"chr1": 100, "chr2": 5}):
    ...     print(*interval)
    chr1 10 20 first 7.5 - None
    chr2 0 5 second 0.0 . None
    """
    fail = _lines.failing(path, "BED")
    lengths = genome.lengths if isinstance(genome, Genome) else genome
    return [interval for _, interval in _numbered(path, lengths, fail)]


def sequences(
    path: str | os.PathLike[str], genome: Genome, length: int | None = None, *, stranded: bool = True, pad: bool = False
) -> list[tuple[Interval, str]]:
    """The letters under each interval of a file, (window, sequence) each, as `bedtools getfasta -s` has them.

    With a length, of a window of so many letters around the summit, or around the middle where none is said: place
    length // 2 of it. On strand "-" they are the other strand's where stranded. A window beyond the chromosome's end is
    an error, or padded with N (pad=True). Raises what read does, and ValueError for a length below 1.
    """
    fail = _lines.failing(path, "BED")
    if length is not None and not 1 <= length <= MOST_WINDOW:
        raise ValueError(f"length {length} of a window must be 1 to {MOST_WINDOW}")
    lengths = genome.lengths
    found = []
    for line, interval in _numbered(path, lengths, fail):
        window = interval if length is None else _around(interval, length)
        size = lengths[window.chrom]
        if not (pad or (window.start >= 0 and window.end <= size)):
            raise fail(f"its window {_beyond(window, size)}", line)
        found.append((window, _under(window, genome, size, stranded)))
    return found


def _under(window: Interval, genome: Genome, size: int, stranded: bool) -> str:
    strand = "-" if stranded and window.strand == "-" else "+"
    start, end = (min(max(at, 0), size) for at in (window.start, window.end))
    before, after = "N" * (start - window.start), "N" * (window.end - end)
    if strand == "-":
        before, after = after, before
    return before + genome.fetch(window.chrom, start, end, strand) + after


def _around(interval: Interval, length: int) -> Interval:
    middle = (interval.start + interval.end) // 2 if interval.summit is None else interval.summit
    start = middle - length // 2
    return interval._replace(start=start, end=start + length)


def _numbered(
    path: str | os.PathLike[str], lengths: Mapping[str, int] | None, fail: Fail
) -> list[tuple[int, Interval]]:
    found: list[tuple[int, Interval]] = []
    columns = 0
    for line, text in _lines.lines(path, fail):
        if not text.strip() or text.startswith("#") or text.split(maxsplit=1)[0] in ("track", "browser"):
            continue
        words = _lines.words(text)
        columns = columns or len(words)
        if len(words) not in COLUMNS:
            raise fail(f"{text[:60]!r} has {len(words)} columns, not 3 to 9, 10 (narrowPeak) or 12", line)
        if len(words) != columns:
            raise fail(f"{text[:60]!r} has {len(words)} columns, the lines before it {columns}", line)
        try:
            interval = _interval(words)
            if lengths is not None:
                _within(interval, lengths)
        except ValueError as error:
            raise fail(str(error), line) from None
        found.append((line, interval))
    if not found:
        raise fail("it has no intervals")
    return found


def _interval(words: list[str]) -> Interval:
    """A line's columns, each held against what it may be."""
    chrom, *places = words[:3]
    name, score, strand = [*words[3:6], *(".", ".", ".")[max(len(words) - 3, 0) :]]
    if not chrom or not f"{chrom}{name}".isprintable():
        raise ValueError(f"chromosome {chrom[:60]!r} or name {name[:60]!r} is none that can be printed")
    for place in places:
        if not WHOLE.fullmatch(place):
            raise ValueError(f"{place[:40]!r} is not a place (a whole number from 0)")
    start, end = int(places[0]), int(places[1])
    if start >= end:
        raise ValueError(f"{chrom[:60]}:{start}-{end} ends before it has begun: start must be below end")
    value = 0.0 if score == "." else _lines.number(score)
    if value is None:
        raise ValueError(f"score {score[:40]!r} is not a number")
    if strand not in ("+", "-", "."):
        raise ValueError(f"strand {strand[:40]!r} is not one of + - .")
    summit = _summit(words[9], start, end) if len(words) == NARROW_PEAK else None
    return Interval(chrom, start, end, "" if name == "." else name, value, strand, summit)


def _summit(word: str, start: int, end: int) -> int | None:
    if word == "-1":
        return None
    if not WHOLE.fullmatch(word) or int(word) >= end - start:
        raise ValueError(f"summit {word[:40]!r} is neither within the {end - start} letters from {start} nor -1")
    return start + int(word)


def _within(interval: Interval, lengths: Mapping[str, int]) -> None:
    if interval.chrom not in lengths:
        raise ValueError(f"chromosome {interval.chrom[:60]!r} is not in the genome: it has {listed(dict(lengths))}")
    if interval.end > lengths[interval.chrom]:
        raise ValueError(_beyond(interval, lengths[interval.chrom]))


def _beyond(interval: Interval, size: int) -> str:
    chrom = interval.chrom[:60]
    return f"{chrom}:{interval.start}-{interval.end} goes beyond the {size} letters of {chrom!r}"
