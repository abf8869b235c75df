"""A FASTA file entered anywhere by its index, as samtools and pyfaidx write it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from sigconv import files
from sigconv.readers import _letters, _lines

MOST_AT_ONCE = 1 << 30  # letters
MOST_TITLE = 1 << 16  # bytes
MOST_INDEX = 1 << 28


class Genome:
    """A FASTA file, plain or packed by bgzip, whose letters are fetched from anywhere; needs pyfaidx.

    The index FILE.fai (and FILE.gzi of a packed one) is made where it is missing or older than the file, and left
    beside it where that folder may be written. The rules are fasta's, and stricter as an index needs them: no record is
    empty, its lines are of one length but the last, and there are no blank lines and no mark of UTF-8. Raises OSError
    where there is no regular file, ValueError, naming the file, where it or its index is not usable, ImportError
    without pyfaidx. A Genome may be used after a fork and sent to another process.

    >>> path = Path(tempfile.mkdtemp()) / "a.fa"
    >>> _ = path.write_text(">chr1\\nACGTA\\nCNN\\n>chr2\\nrtt\\n")
    >>> with Genome(path) as genome:
    ...     print(genome.lengths, genome.fetch("chr1", 3, 6), genome.fetch("chr1", 3, 6, strand="-"))
    {'chr1': 8, 'chr2': 3} TAC GTA
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._size = files.size_of(path, _lines.MOST_BYTES)
        self._packed = self._is_packed()
        self._open()

    @property
    def lengths(self) -> dict[str, int]:
        """Letters of every chromosome by its name, in the file's order."""
        return dict(self._lengths)

    def fetch(self, name: str, start: int = 0, end: int | None = None, strand: str = "+") -> str:
        """The letters from start (from 0) up to end, which is not one of them, in capitals with T for U.

        On strand "-" they are the other strand's, read its own way. Raises ValueError for a chromosome that is not
        there, for places beyond its ends, and for letters that are none of DNA.
        """
        if name not in self._lengths:
            raise ValueError(f"{self.path!r} has no chromosome {name!r}: it has {listed(self._lengths)}")
        length = self._lengths[name]
        end = length if end is None else end
        if not 0 <= start <= end <= length or end - start > MOST_AT_ONCE:
            raise ValueError(f"{name}:{start}-{end} is not within the {length} letters of {name!r} in {self.path!r}")
        if strand not in ("+", "-"):
            raise ValueError(f"strand {strand!r} must be '+' or '-'")
        if self._process != os.getpid():  # after a fork the place in an open file is shared
            self._index.close()
            self._open()
        letters = self._fetched(name, start, end)
        return (_letters.complement(letters) if strand == "-" else letters).decode()

    def close(self) -> None:
        """Close the file."""
        self._index.close()

    def __enter__(self) -> Genome:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return Genome, (self.path,)

    def __repr__(self) -> str:
        return f"Genome({self.path!r}): {listed(self._lengths)}"

    def _fetched(self, name: str, start: int, end: int) -> bytes:
        if start == end:
            return b""
        try:
            text = self._index.fetch(name, start + 1, end).encode()
        except Exception as error:  # whatever pyfaidx and what it stands on make of a damaged file
            raise self._fail(f"{name}:{start}-{end} cannot be read ({_said(error)})") from None
        letters = _letters.capitals(text)
        if letters is None:
            raise self._fail(f"{name}:{start}-{end}: {_letters.wrong(text)[1]} (or {self.path}.fai is not its index)")
        if len(letters) != end - start:
            raise self._fail(f"{name}:{start}-{end} has {len(letters)} letters: {self.path}.fai is not its index")
        return letters

    def _fail(self, why: str) -> ValueError:
        return _lines.failing(self.path, "FASTA")(why)

    def _is_packed(self) -> bool:
        """Whether by bgzip, which the name must say too: pyfaidx goes by that."""
        with open(self.path, "rb") as file:
            head = file.read(18)
        packed = head.startswith(_lines.GZIP)
        if packed and head[12:16] != _lines.BGZIP:
            raise self._fail("it is packed by gzip, which cannot be entered anywhere: gunzip it, then bgzip it")
        if packed != str(self.path).lower().endswith((".gz", ".bgz")):
            raise self._fail(f"it is {'packed' if packed else 'plain text'}, and its name says otherwise: rename it")
        return packed

    def _open(self) -> None:
        beside = [Path(f"{self.path}.fai"), *([Path(f"{self.path}.gzi")] if self._packed else [])]
        made = os.stat(self.path).st_mtime
        if all(path.is_file() and path.stat().st_mtime >= made for path in beside):
            for path in beside:
                files.size_of(path, MOST_INDEX)
            self._index = self._indexed(beside, f"{beside[0]} is not its index: delete that")
        else:
            with tempfile.TemporaryDirectory() as folder:
                fresh = [Path(folder) / path.name for path in beside]
                self._index = self._indexed(fresh)
                for new, path in zip(fresh, beside, strict=True):
                    if path.is_symlink():  # its target is no index of ours to write
                        continue
                    with contextlib.suppress(OSError), files.writing(path) as file:  # a folder may be closed to us
                        file.write(new.read_bytes())
        self._lengths = {name: record.rlen for name, record in self._index.index.items()}
        self._process = os.getpid()

    def _indexed(self, places: list[Path], wrong: str | None = None) -> Any:
        """pyfaidx's index, its numbers held against the file; of one that was there already, what to say if it lies."""
        try:
            import pyfaidx
        except ImportError:
            raise ImportError("a Genome needs pyfaidx: pip install 'sigconv[dna]'") from None
        fai, gzi = (*places, None)[:2]
        try:
            index = pyfaidx.Faidx(self.path, indexname=fai, gzi_indexname=gzi, as_raw=True, strict_bounds=True)
        except Exception as error:  # of many classes, as the file and its index may be wrong in many ways
            raise self._fail(wrong or _said(error)) from None
        if not self._holds(index.index):
            index.close()
            raise self._fail(wrong or "a record is empty, or its lines end by CR alone, which no index can tell")
        return index

    def _holds(self, records: Any) -> bool:
        """Whether an index may be the file's: every line of it true, and no letters behind the last record."""
        with open(self.path, "rb") as file:
            if not all(self._true(name, record, file) for name, record in records.items()):
                return False
            if not self._packed:
                file.seek(max((record.bend for record in records.values()), default=0))
            return bool(records) and (self._packed or not file.read(MOST_TITLE).strip())

    def _true(self, name: str, record: Any, file: BinaryIO) -> bool:
        """Whether a line of the index can be; of a plain file, whether its title is there, and as many letters."""
        ends = record.lenb - record.lenc
        if not (record.rlen > 0 and record.lenc > 0 and 0 <= ends <= 2 and 0 <= record.prev_bend < record.offset):
            return False
        if self._packed:
            return True
        file.seek(record.prev_bend)
        title = file.read(min(record.offset - record.prev_bend, MOST_TITLE)).split()[:2]
        named = title[:1] == [b">" + name.encode()] or title == [b">", name.encode()]
        return named and record.bend - ends <= self._size


def listed(lengths: dict[str, int]) -> str:
    """The names of some chromosomes, the first few of many.

    >>> listed({"chr1": 9, "chr2": 8})
    'chr1, chr2'
    """
    names = list(lengths)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _said(error: Exception) -> str:
    return " ".join(f"{error}".split())[:200] or type(error).__name__
