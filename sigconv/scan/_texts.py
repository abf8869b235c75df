"""Sequences laid end to end in texts of tokens, an unknown letter between two, each with what begins in the next."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from sigconv.readers import bed, fasta
from sigconv.transforms.dna import UNKNOWN, encode

LENGTH = 1 << 18  # letters of a text: long records are cut, short ones collected
Regions = Mapping[str, tuple[np.ndarray, np.ndarray]]  # of each sequence: starts and ends, rising and apart


class Text(NamedTuple):
    """Tokens; how many starts, and letters, are this text's own; of each segment where it lies and what it is of."""

    tokens: np.ndarray
    own: int
    letters: int
    offsets: np.ndarray  # (segments,) in the tokens
    sequences: np.ndarray  # (segments,) their numbers
    starts: np.ndarray  # (segments,) in their sequences


def texts(pieces: Iterable[Any], reach: int, names: list[str], regions: Regions | None) -> Iterator[Text]:
    """Texts of pieces (name, start, letters, last), letters as text or tokens; names hears of each new sequence.

    Every start is one text's own, and the reach letters after it stand in that text too where the sequence has them.
    """
    parts: list[np.ndarray] = []
    marks: list[tuple[int, int, int]] = []
    size = 0
    for name, start, letters, last in pieces:
        if start == 0:
            names.append(name)
            marks.append((size, len(names) - 1, 0))
        tokens = letters if isinstance(letters, np.ndarray) else encode(letters).numpy()
        parts.append(tokens if regions is None else _masked(tokens, start, regions.get(name)))
        size += len(tokens)
        if last:
            parts.append(np.full(1, UNKNOWN, np.uint8))
            size += 1
        own = size if last else size - reach
        if size < LENGTH or own <= marks[-1][0]:
            continue
        text = np.concatenate(parts)
        yield Text(text, own, own - len(marks) + (not last), *np.array(marks).T)
        offset, number, begun = marks[-1]
        parts, size = [text[own:]], len(text) - own
        marks = [] if last else [(0, number, begun + own - offset)]
    if marks:
        yield Text(np.concatenate(parts), size, size - len(marks), *np.array(marks).T)


def pieces(source: Any) -> Iterator[Any]:
    """Pieces of a FASTA file by its path, or of (name, sequence) pairs, or of a dict of such: text or tokens."""
    if isinstance(source, str | os.PathLike):
        return fasta.pieces(source, LENGTH)
    pairs = source.items() if isinstance(source, Mapping) else source
    return (piece for name, sequence in pairs for piece in _cut(str(name), sequence))


def _cut(name: str, sequence: Any) -> Iterator[tuple[str, int, Any, bool]]:
    if not isinstance(sequence, str | bytes):
        sequence = np.asarray(sequence)
        if sequence.ndim != 1 or sequence.dtype.kind not in "iu":
            raise ValueError(
                f"sequence {name!r}: {sequence.dtype} of shape {sequence.shape} is no row of integer tokens"
            )
        sequence = np.where((sequence >= 0) & (sequence < UNKNOWN), sequence, UNKNOWN).astype(np.uint8)
    for start in range(0, max(len(sequence), 1), LENGTH):
        yield name, start, sequence[start : start + LENGTH], start + LENGTH >= len(sequence)


def regions_of(path: str | os.PathLike[str], source: Any) -> Regions:
    """The regions of a BED file, those that overlap or touch put together; all must lie in the sequences of source."""
    lengths: dict[str, int] = {}
    for name, start, letters, _ in pieces(source):
        lengths[name] = start + len(letters)
    places: dict[str, list[tuple[int, int]]] = {}
    for interval in bed.read(path, lengths):
        places.setdefault(interval.chrom, []).append((interval.start, interval.end))
    return {name: _joined(found) for name, found in places.items()}


def _joined(places: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    starts, ends = np.array(sorted(places)).T
    ends = np.maximum.accumulate(ends)
    fresh = np.concatenate([[True], starts[1:] > ends[:-1]])
    return starts[fresh], ends[np.concatenate([fresh[1:], [True]])]


def _masked(tokens: np.ndarray, start: int, places: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """The tokens, unknown outside the regions."""
    kept = np.full_like(tokens, UNKNOWN)
    if places is not None:
        first, last = np.searchsorted(places[1], start, "right"), np.searchsorted(places[0], start + len(tokens))
        for begin, end in zip(*(np.maximum(edges[first:last] - start, 0) for edges in places), strict=True):
            kept[begin:end] = tokens[begin:end]
    return kept
