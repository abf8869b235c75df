"""The three texts motifs come in, taken apart: each motif's line, names, rows, sites and background as they stand."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sigconv.readers import _lines
from sigconv.readers._lines import Fail

# Nothing is tried twice: what has matched is never given back (*+, ++), for lines may be made to be slow.
ROW = re.compile(r"(?:([ACGTU])[ \t]*+\|?)?[ \t]*+(?:\[([^\[\]]*+)\]|([^\[\]]*+))", re.IGNORECASE)
OPTION = re.compile(r"(?<!\w)(\w++)[ \t]*+=[ \t]*+(\S++)")
WIDTH = re.compile(r"[ \t]width[ \t]*+=")
TRANSFAC = re.compile(r"(VV|AC|ID|NA|DE|XX|BF|P0|PO)([ \t]|$)")

Lines = Iterator[tuple[int, str]]
Four = tuple[float, float, float, float]


class Found(NamedTuple):
    """A motif as its file has it: rows is 4 by width, in the order A C G T."""

    line: int
    name: str
    alternate: str
    rows: list[list[float]]
    probable: bool = False  # whether the format has probabilities only
    sites: float = 0.0
    background: Four | None = None


def parse(path: str | os.PathLike[str], fail: Fail) -> Iterator[Found]:
    """The motifs of a file whose first line says which format it is."""
    source = ((number, line.strip()) for number, line in _lines.lines(path, fail))
    for number, line in source:
        if not line:
            continue
        again = itertools.chain([(number, line)], source)
        if line.startswith(("MEME version", "****")):
            return _meme(again, fail)
        if TRANSFAC.match(line):
            return _transfac(again, fail)
        if line.startswith(">") or _is_row(line):
            return _jaspar(again, fail, Path(os.fspath(path)).name.split(".")[0])
        raise fail(f"{line[:60]!r} begins neither MEME ('MEME version'), JASPAR ('>') nor TRANSFAC ('AC')", number)
    return iter(())


def _is_row(line: str) -> bool:
    match = ROW.fullmatch(line)
    return match is not None and all(map(_is_number, (match[2] or match[3]).split()))


def _numbers(words: list[str], number: int, fail: Fail) -> list[float]:
    values = []
    for word in words:
        value = _lines.number(word)
        if value is None:
            raise fail(f"{word[:40]!r} is not a number", number)
        values.append(value)
    return values


def _is_number(word: str) -> bool:
    return _lines.number(word) is not None


def _jaspar(source: Lines, fail: Fail, stem: str) -> Iterator[Found]:
    title: tuple[int, str] | None = None
    rows: dict[str, list[float]] = {}
    for number, line in source:
        if line.startswith(">"):
            if title:
                yield _table(title, rows, fail)
            title, rows = (number, line[1:]), {}
        elif line:
            title = title or (number, stem)  # a bare table
            letter, values = _row(line, len(rows), number, fail)
            if letter in rows or len(rows) == 4:
                raise fail(f"a row of {letter} is one too many for motif {title[1].strip()[:60]!r}", number)
            rows[letter] = values
    if title:
        yield _table(title, rows, fail)


def _row(line: str, place: int, number: int, fail: Fail) -> tuple[str, list[float]]:
    """A row's letter, by its place where it has none, and its numbers."""
    match = ROW.fullmatch(line)
    if match is None:
        raise fail(f"{line[:60]!r} is not a row like 'A [ 1 2 3 ]'", number)
    letter = (match[1] or "ACGTT"[place]).upper().replace("U", "T")
    return letter, _numbers((match[2] or match[3] or "").split(), number, fail)


def _table(title: tuple[int, str], rows: dict[str, list[float]], fail: Fail) -> Found:
    line, text = title
    name, alternate = [*text.split(maxsplit=1), "", ""][:2]
    widths = [len(values) for values in rows.values()]
    if sorted(rows) != list("ACGT") or len(set(widths)) > 1:
        said = ", ".join(f"{letter}: {len(values)}" for letter, values in rows.items()) or "none"
        raise fail(f"motif {name[:60]!r} has not one row each of A C G T, of one width ({said})", line)
    return Found(line, name, " ".join(alternate.split()), [rows[letter] for letter in "ACGT"])


def _transfac(source: Lines, fail: Fail) -> Iterator[Found]:
    begun, order, table = 0, "", False
    said: dict[str, str] = {}
    places: list[list[float]] = []
    for number, line in source:
        key, _, rest = line.partition("\t") if "\t" in line[:4] else line.partition(" ")
        if key in ("AC", "ID", "NA"):
            begun = begun or number
            said.setdefault(key, rest.strip())
        elif key in ("P0", "PO"):
            order, table = "".join(rest.split()).upper().replace("U", "T"), True
            if sorted(order) != list("ACGT") or places:
                raise fail(f"{line[:60]!r} is not the first to name four letters A C G T", number)
        elif table and key.isascii() and key.isdigit():
            words = rest.split()
            if len(words) not in (4, 5) or (len(words) == 5 and _is_number(words[4])):
                raise fail(f"{line[:60]!r} is not a place's four numbers", number)
            values = _numbers(words[:4], number, fail)
            places.append([values[order.index(letter)] for letter in "ACGT"])
        elif key == "//":
            if said:
                yield _record(begun, said, places, fail)
            begun, said, order, places, table = 0, {}, "", [], False
        else:
            table = table and not line
    if said or places:
        raise fail("its last motif does not end by '//': cut short?", begun)


def _record(line: int, said: dict[str, str], places: list[list[float]], fail: Fail) -> Found:
    name = next((said[key] for key in ("AC", "ID", "NA") if said.get(key)), "")
    alternate = next((said[key] for key in ("NA", "ID") if said.get(key) and said[key] != name), "")
    if not places:
        raise fail(f"motif {name[:60]!r} has no table (P0 A C G T, then its places)", line)
    return Found(line, name, alternate, [list(row) for row in zip(*places, strict=True)])


def _meme(source: Lines, fail: Fail) -> Iterator[Found]:
    background: Four | None = None
    title: tuple[int, str] | None = None
    known = False
    for number, line in source:
        if line.startswith("MEME version"):
            known = True
        elif line.startswith("ALPHABET"):
            if line.partition("=")[2].strip().strip('"') not in ("ACGT", "ACGU"):
                raise fail(f"{line[:60]!r} is not the alphabet of DNA (ALPHABET= ACGT)", number)
        elif line.startswith("Background letter frequencies"):
            background = _background(source, number, fail)
        elif line.split(maxsplit=1)[:1] == ["MOTIF"]:
            if title:
                raise fail(f"motif {title[1][:60]!r} has no letter-probability matrix", title[0])
            title = number, WIDTH.split(line)[0][5:].strip()
        elif line.startswith("letter-probability matrix"):
            if title is None:
                raise fail("a letter-probability matrix follows no MOTIF of its own", number)
            name, alternate = [*title[1].split(), "", ""][:2]
            sites, places = _matrix(line, source, number, fail)
            rows = [list(row) for row in zip(*places, strict=True)]
            yield Found(title[0], name, alternate, rows, True, sites, background)
            title = None
    if not known:
        raise fail("no line of it says 'MEME version'")
    if title:
        raise fail(f"motif {title[1][:60]!r} has no letter-probability matrix: cut short?", title[0])


def _background(source: Lines, number: int, fail: Fail) -> Four:
    """The four frequencies of `A 0.3 C 0.2 G 0.2 T 0.3`, on one line or several."""
    words: list[str] = []
    for _, line in itertools.islice(source, 8):
        words += line.split()
        if len(words) >= 8:
            break
    if "".join(words[::2]).upper().replace("U", "T") != "ACGT" or len(words) != 8:
        raise fail(f"{' '.join(words)[:60]!r} are not the frequencies of A C G T", number + 1)
    a, c, g, t = _numbers(words[1::2], number + 1, fail)
    return a, c, g, t


def _matrix(line: str, source: Lines, number: int, fail: Fail) -> tuple[float, list[list[float]]]:
    """The sites and the rows, one a place, as many as the line says or till they end."""
    options: dict[str, Any] = dict(OPTION.findall(line))
    if options.get("alength", "4") != "4":
        raise fail(f"alength= {options['alength'][:20]} is not that of DNA, 4", number)
    said = options.get("w")
    if said is not None and not (said.isascii() and said.isdigit() and len(said) < 6 and int(said) > 0):
        raise fail(f"w= {said[:20]} is not a motif's width", number)
    (sites,) = _numbers([options.get("nsites", "0")], number, fail)
    places: list[list[float]] = []
    for number, row in source:
        words = row.split()
        if said is None and not (words and _is_number(words[0])):
            break
        if len(words) != 4:
            raise fail(f"{row[:60]!r} is not row {len(places) + 1} of {said or 'four numbers each'}", number)
        places.append(_numbers(words, number, fail))
        if len(places) == int(said or 0):
            break
    if not places or len(places) < int(said or 0):
        raise fail(f"the matrix has {len(places)} rows of {said or 'one at least'}: cut short?", number)
    return sites, places
