"""Hits: where motifs match, as arrays and as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sigconv.kernels import rows

Format = Literal["tsv", "bed"]
DIGITS = 4  # of a score, after the point


@dataclass(frozen=True, eq=False)
class Hits:
    """Matches in the order of sequences, then by start, motif and strand: arrays of one length, and what they number.

    motif int32 and sequence int64 are indices into motifs and sequences (names); start int64 counts from 0 on the +
    strand, whichever strand matches; strand int8 is 1 or -1; score float64, in bits. widths are those of the motifs.
    """

    motif: np.ndarray
    sequence: np.ndarray
    start: np.ndarray
    strand: np.ndarray
    score: np.ndarray
    motifs: Sequence[str]
    sequences: Sequence[str]
    widths: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def __iter__(self) -> Iterator[tuple[str, str, int, str, float]]:
        """Rows of motif, sequence, start, strand, score."""
        arrays = (self.motif, self.sequence, self.start, self.strand, self.score)
        for motif, sequence, start, strand, score in zip(*(array.tolist() for array in arrays), strict=True):
            yield self.motifs[motif], self.sequences[sequence], start, "+" if strand > 0 else "-", score

    def lines(self, format: Format = "tsv") -> bytes:  # noqa: A002
        """A line each: motif, sequence, start, strand, score (tsv), or BED's six columns with the score in bits.

        >>> one = [np.array([n]) for n in (0, 0, 7, 1)]
        >>> Hits(*one, np.array([11.25]), ["MA1"], ["chr1"], np.array([6])).lines("bed")
        b'chr1\\t7\\t13\\tMA1\\t11.2500\\t+\\n'
        """
        present, place = np.unique(self.sequence, return_inverse=True)
        words = rows.Words.of(["-", "+", *self.motifs, *(self.sequences[number] for number in present)])
        motif, sequence = rows.word(self.motif + 2), rows.word(place + 2 + len(self.motifs))
        strand, score = rows.word(self.strand > 0), rows.decimal(self.score, DIGITS)
        start = rows.decimal(self.start, 0)
        if format == "tsv":
            return rows.text([motif, sequence, start, strand, score], words)
        end = rows.decimal(self.start + self.widths[self.motif], 0)
        return rows.text([sequence, start, end, motif, score, strand], words)
