r"""Sequences with what binds them: DeepBind's `.seq.gz`, and the train.data and test.data of Zeng's folders.

The two are told apart by the first line. DeepBind's is `FoldID EventID seq Bound`, and four columns parted by tabs
follow. Zeng's has no such line, and three columns, parted by tabs or blanks: a name (with or without `>`), a sequence,
what binds. Letters are FASTA's: IUPAC, small or capital, U for T. A sequence is never empty, blank lines are passed
over, a file without rows is an error.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from sigconv.readers import _letters, _lines
from sigconv.readers._lines import Fail

HEADER = ["foldid", "eventid", "seq", "bound"]
MOST_LINE = 1 << 20


class Row(NamedTuple):
    """A sequence in capitals, its fold ("" where there is none) and name, and whether or how strongly it is bound."""

    fold: str
    event: str
    sequence: str
    bound: bool | float


def read(path: str | os.PathLike[str]) -> list[Row]:
    r"""The rows of a DeepBind or Zeng file, plain or packed by gzip, in the file's order.

    bound is bool where the file has 0 and 1 only, else float in every row. Raises OSError where there is no regular
    file, ValueError, naming file and line, where a rule of this module is broken. Sources: Alipanahi et al. 2015,
    DeepBind; Zeng et al. 2016, Bioinformatics 32:i121.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.seq"
    >>> _ = path.write_text("FoldID\tEventID\tseq\tBound\nA\tseq_00001_peak\tTGCCAtn\t1\n")
    >>> read(path)
    [Row(fold='A', event='seq_00001_peak', sequence='TGCCATN', bound=True)]
    >>> _ = path.write_text(">chr20:42901189-42901289 CAGTT 1\n>chr9:120407047-120407147_shuf ACGGC 0\n")
    >>> [(row.event, row.bound) for row in read(path)]
    [('chr20:42901189-42901289', True), ('chr9:120407047-120407147_shuf', False)]
    """
    fail = _lines.failing(path, "sequence")
    rows: list[Row] = []
    header: bool | None = None
    for line, text in _lines.lines(path, fail, MOST_LINE):
        if not text.strip():
            continue
        if header is None:
            header = [word.lower() for word in text.split()] == HEADER
            if header:
                continue
        rows.append(_row(text, header, line, fail))
    if not rows:
        raise fail("it has no rows")
    if all(row.bound in (0.0, 1.0) for row in rows):
        return [row._replace(bound=bool(row.bound)) for row in rows]
    return rows


def _row(text: str, deepbind: bool, line: int, fail: Fail) -> Row:
    words = _lines.words(text)
    wanted = "a fold, a name, a sequence and what binds" if deepbind else "a name, a sequence and what binds"
    if len(words) != (4 if deepbind else 3):
        hint = "" if deepbind else ", nor the line FoldID EventID seq Bound that begins a file of DeepBind"
        raise fail(f"{text[:60]!r} is not {wanted}{hint}", line)
    fold, event, sequence, bound = words if deepbind else ("", words[0].removeprefix(">"), *words[1:])
    if not f"{fold}{event}".isprintable() or not event:
        raise fail(f"{event[:60]!r} is not a name", line)
    letters = _letters.capitals(sequence.encode())
    if letters is None:
        raise fail(_letters.wrong(sequence.encode())[1], line)
    if not letters:
        raise fail(f"the sequence of {event[:60]!r} is empty", line)
    value = _lines.number(bound)
    if value is None:
        raise fail(f"{bound[:40]!r} does not say what binds (1 or 0, or a number)", line)
    return Row(fold, event, letters.decode(), value)
