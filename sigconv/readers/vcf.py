r"""VCF: variants of a genome, plain or packed by gzip or bgzip, one at a time.

The rules: the first line says `##fileformat=VCFv4…`, the header line begins `#CHROM POS ID REF ALT`, and every line has
as many columns, parted by tabs. POS is a whole number from 1; REF is letters, as FASTA has them; ALT is, for each
allele, letters, `*` (lost with an overlapping deletion), a symbol like `<DEL>`, or a breakend like `A[chr2:321[`; `.`
says that there is none. Only the first five columns are looked at. A file may have no variants.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from sigconv.readers import _letters, _lines
from sigconv.readers._lines import Fail

MOST_LINE = 1 << 26  # thousands of people stand on one
MOST_RATIO = 100  # and most of them have the same letters
HEADER = ["#CHROM", "POS", "ID", "REF", "ALT"]
PLACE = re.compile(r"[0-9]{1,15}")
SYMBOL = re.compile(r"\*|<[^<>\s,]{1,1000}>|(\w*[\[\]][^\[\]\s,]{1,1000}[\[\]]\w*)|\.[A-Za-z]+|[A-Za-z]+\.")


class Variant(NamedTuple):
    """One allele: at start (from 0) of chrom, letters ref become alt; name is its ID, or "" where it has none."""

    chrom: str
    start: int
    name: str
    ref: str
    alt: str

    @property
    def symbolic(self) -> bool:
        """Whether alt is no sequence of letters, but `*`, a symbol or a breakend, as the file has it."""
        return not self.alt.isalpha()


def read(path: str | os.PathLike[str]) -> Iterator[Variant]:
    r"""The variants of a VCF file in the file's order, one for each allele of ALT, in constant memory.

    Letters are capitals. That there is a regular file is seen at once (OSError); ValueError, naming file and line, is
    raised at the line where a rule of this module is broken. Source: Danecek et al. 2011; the VCF 4.3 specification.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.vcf"
    >>> text = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t10\trs1\tA\tg,<DEL>\n"
    >>> _ = path.write_text(text)
    >>> for variant in read(path):
    ...     print(*variant, variant.symbolic)
    chr1 9 rs1 A G False
    chr1 9 rs1 A <DEL> True
    """
    fail = _lines.failing(path, "VCF")
    return _read(_lines.split(_lines.blocks(path, fail, ratio=MOST_RATIO), fail, MOST_LINE), fail)


def _read(lines: Iterator[tuple[int, str]], fail: Fail) -> Iterator[Variant]:
    columns, begun = 0, False
    for number, text in lines:
        if not begun and not text.startswith("##fileformat=VCFv"):
            raise fail(f"{text[:60]!r} is not ##fileformat=VCFv4…", number)
        begun = True
        if columns:
            if text.count("\t") + 1 != columns:
                raise fail(f"it has {text.count(chr(9)) + 1} columns parted by tabs, its header {columns}", number)
            yield from _variants(text.split("\t", 5)[:5], number, fail)
        elif text.startswith("##"):
            continue
        elif text.split("\t")[:5] == HEADER:
            columns = text.count("\t") + 1
        else:
            raise fail(f"{text[:60]!r} is not the header #CHROM POS ID REF ALT …, parted by tabs", number)
    if not columns:
        raise fail("it has no header (#CHROM POS ID REF ALT …)" if begun else "it is empty")


def _variants(words: list[str], line: int, fail: Fail) -> Iterator[Variant]:
    chrom, place, name, ref, alts = words
    if not chrom.isprintable() or len(chrom.split()) != 1 or not name.isprintable():
        raise fail(f"chromosome {chrom[:60]!r} or ID {name[:60]!r} is none that can be printed", line)
    if not PLACE.fullmatch(place) or int(place) == 0:
        raise fail(f"POS {place[:40]!r} is not a place (a whole number from 1)", line)
    before = _sequence(ref)
    if not before:
        raise fail(f"REF {ref[:60]!r} is not letters of DNA", line)
    for alt in [] if alts == "." else alts.split(","):
        after = _sequence(alt) or (alt if SYMBOL.fullmatch(alt) else "")
        if not after:
            raise fail(f"ALT {alt[:60]!r} is neither letters of DNA nor *, a symbol <…> or a breakend", line)
        yield Variant(chrom, int(place) - 1, "" if name == "." else name, before, after)


def _sequence(text: str) -> str:
    """Letters in capitals; nothing where they are none of DNA."""
    return "" if " " in text else (_letters.capitals(text.encode()) or b"").decode()
