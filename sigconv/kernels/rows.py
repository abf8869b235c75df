"""Tables as lines of text: words by their number, integers and decimals, tabs between; a million lines take .15 s."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sigconv.kernels._numba import compiled, numba_at_hand

WORD = -1
MOST_DIGITS = 20


class Words(NamedTuple):
    """Words by number: their bytes on end, and where each begins, with the end of the last."""

    letters: np.ndarray
    edges: np.ndarray

    @classmethod
    def of(cls, words: Sequence[str]) -> Words:
        """Lay them out."""
        coded = [word.encode() for word in words]
        edges = np.cumsum([0, *map(len, coded)])
        return cls(np.frombuffer(b"".join(coded), np.uint8), edges)


class Column(NamedTuple):
    """Integers that are numbers of words (digits -1), or values in units of 10^-digits."""

    values: np.ndarray
    digits: int


def word(numbers: Any) -> Column:
    """A column of words."""
    return Column(np.asarray(numbers, np.int64), WORD)


def decimal(values: Any, digits: int) -> Column:
    """A column of numbers with so many digits after the point, rounded, halves to even."""
    if digits == 0:
        return Column(np.asarray(values, np.int64), 0)
    return Column(np.rint(np.asarray(values, np.float64) * 10.0**digits).astype(np.int64), digits)


def text(columns: Sequence[Column], words: Words) -> bytes:
    """The table's lines, one for each row.

    >>> text([word([0, 1]), decimal([12, 3], 0), decimal([-0.125, 20], 1)], Words.of(["a", "b"]))
    b'a\\t12\\t-0.1\\nb\\t3\\t20.0\\n'
    """
    values = np.stack([column.values for column in columns])
    digits = np.array([column.digits for column in columns])
    if not numba_at_hand():
        return twin(values, digits, words)
    sizes = np.diff(words.edges)
    room = sum(
        int(sizes[v].sum()) if d == WORD else (MOST_DIGITS + 2) * v.size for v, d in zip(values, digits, strict=True)
    )
    out = np.empty(room + values.size, np.uint8)
    return out[: compiled(_fill, fused=False)(out, values, digits, words.letters, words.edges)].tobytes()


def twin(values: np.ndarray, digits: np.ndarray, words: Words) -> bytes:
    """The same lines in plain Python."""
    pairs = itertools.pairwise(words.edges)
    shown = lambda v, d: f"{'-' if v < 0 else ''}{abs(v) // 10**d}{f'.{abs(v) % 10**d:0{d}d}' if d else ''}"
    names = [words.letters[first:last].tobytes().decode() for first, last in pairs]
    kinds = zip(values.tolist(), digits.tolist(), strict=True)
    cells = [[names[v] if d == WORD else shown(v, d) for v in row] for row, d in kinds]
    return "".join("\t".join(row) + "\n" for row in zip(*cells, strict=True)).encode()


def _fill(out, values, digits, letters, edges):
    """Write all cells, each with its tab or line's end; the bytes written. Compiled by numba."""
    at, columns = 0, values.shape[0]
    for row in range(values.shape[1]):
        for column in range(columns):
            value, places = values[column, row], digits[column]
            if places < 0:
                for i in range(edges[value], edges[value + 1]):
                    out[at] = letters[i]
                    at += 1
            else:
                if value < 0:
                    out[at], at, value = 45, at + 1, -value
                power, shown = 1, 1
                while shown <= places or value // power >= 10:
                    power, shown = power * 10, shown + 1
                while shown:
                    if shown == places:
                        out[at], at = 46, at + 1
                    digit = value // power
                    out[at], at = 48 + digit, at + 1
                    value, power, shown = value - digit * power, power // 10, shown - 1
            out[at], at = 10 if column == columns - 1 else 9, at + 1
    return at
