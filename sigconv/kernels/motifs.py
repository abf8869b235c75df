"""Motifs found along letters: every window whose score reaches its motif's threshold, for many motifs at once.

A score is a sum over the letters of a window, S = Σ_c M[letter_c, c], and few windows in ten thousand reach t. What a
window lacks of the best score is a sum too. In units of (best - t)/254, rounded down, it is summed in bytes that stop
at 255, two or three letters to a lookup, 16 to 64 windows to an instruction (kernels/_lookups): a window at 255 cannot
reach t. The few others are summed again in float64, first column to last, and only that sum decides: the hits are those
of `twin`, to the bit.

A block of letters stays in the first cache while all motifs go round. An unknown letter stands for a chance one in the
lookups, so that long runs of N make no candidates, and for NaN in the sum.

Roofline, one thread: the lookups of 10 million letters and JASPAR's 879 motifs, 10 letters wide in the mean, fill 0.2 s
of a Xeon's AVX-512. Measured at p < 1e-4, with 725,000 hits: 0.45 s; by AVX2 0.57, by SSSE3 0.83. On CUDA
_motif_triton.py goes the same way, tables and all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from sigconv.kernels import _lookups
from sigconv.kernels._numba import compiled, numba_at_hand

BLOCK = 1 << 14  # starts looked at together: their letters and indices stay in the first cache
ROOM = 1 << 20  # hits held at once; where there are more, blocks are halved
UNKNOWN = 4
SLACK = 1e-9  # bits for a bit: float64 sums round by far less


class Found(NamedTuple):
    """Hits by start, then by matrix: start int64, matrix int32, score float64, all of one length."""

    start: np.ndarray
    matrix: np.ndarray
    score: np.ndarray


class Plan(NamedTuple):
    """Matrices laid out for the search: tables of what pairs or triples of letters lack, and the scores themselves."""

    matrices: tuple[np.ndarray, ...]
    thresholds: np.ndarray  # (matrices,)
    widths: np.ndarray  # (matrices,)
    rows: np.ndarray  # (matrices,) where each begins in cells
    cells: np.ndarray  # (columns, 8) float64: A C G T, then NaN
    tables: np.ndarray  # (tables, 4^letters) uint8
    firsts: np.ndarray  # (matrices,) where each begins in tables
    counts: np.ndarray  # (matrices,) its tables; 0 where no window can reach the threshold


def plan(matrices: Sequence[np.ndarray], thresholds: Sequence[float] | np.ndarray) -> Plan:
    """Lay out score matrices (4, width), float64, rows A C G T (-inf where a letter may not be), with their thresholds.

    ValueError for a matrix of another shape, for NaN, and for a threshold that is no number or -inf.

    >>> plan([np.eye(4)], [3.0]).widths
    array([4])
    """
    found = tuple(np.ascontiguousarray(matrix, np.float64) for matrix in matrices)
    bounds = np.asarray(thresholds, np.float64)
    for number, matrix in enumerate(found):
        if matrix.ndim != 2 or len(matrix) != 4 or not matrix.shape[1] or not (matrix < np.inf).all():
            raise ValueError(f"matrix {number} of shape {matrix.shape} is not (4, width) scores below infinity")
    if bounds.shape != (len(found),) or not (bounds > -np.inf).all():
        raise ValueError(f"thresholds {thresholds} are not {len(found)} numbers above -inf")
    letters = _lookups.way().letters if numba_at_hand() else 3
    tables = [_tables(matrix, bound, letters) for matrix, bound in zip(found, bounds, strict=True)]
    widths, count = (np.array([len(part) for part in parts], np.int64) for parts in ([m.T for m in found], tables))
    cells = np.full((widths.sum(), 8), np.nan)
    cells[:, :4] = np.concatenate([np.empty((4, 0)), *found], 1).T
    packed = np.concatenate([np.empty((0, 4**letters), np.uint8), *tables])
    return Plan(found, bounds, widths, widths.cumsum() - widths, cells, packed, count.cumsum() - count, count)


def find(plan: Plan, letters: np.ndarray, count: int | None = None) -> Iterator[Found]:
    """All hits that begin at the first `count` of letters (all of them, by default), a block of starts after the other.

    letters: tokens (length,) uint8, A C G T = 0 1 2 3, anything else unknown. A window that holds an unknown letter, or
    reaches beyond the last, is no hit. Memory is bounded whatever is found.

    >>> [found.start.tolist() for found in find(plan([np.eye(4)], [4.0]), np.array([2, 0, 1, 2, 3, 3], np.uint8))]
    [[1]]
    """
    letters = _tokens(letters)
    count = len(letters) if count is None else count
    for first in range(0, count, BLOCK):
        last = min(first + BLOCK, count)
        if len(plan.widths) and (letters[first:last] < UNKNOWN).any():
            yield from _block(plan, letters, first, last)
        else:
            yield Found(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0))


def usable(device: str) -> bool:
    """Whether motifs can be looked for there: on a CPU always, elsewhere where Triton builds kernels."""
    import torch

    from sigconv.kernels import _triton

    return device == "cpu" or (_triton.at_hand() and _triton.takes(torch.empty(0, device=device)))


def finder(plan: Plan, device: str = "cpu") -> Callable[[np.ndarray, int], Iterator[Found]]:
    """What finds the hits of this plan, as find, from letters and count: on "cpu", or on "cuda", where it is laid once.

    >>> [found.start.tolist() for found in finder(plan([np.eye(4)], [4.0]))(np.array([0, 1, 2, 3], np.uint8), 4)]
    [[0]]
    """
    if device == "cpu":
        return partial(find, plan)
    from sigconv.kernels import _motif_triton

    if not usable(device):
        raise ValueError(f"device {device!r} needs Triton, and a C compiler for it: pip install triton, or take 'cpu'")
    there = _motif_triton.placed(plan, device, ROOM)
    return lambda letters, count: (Found(*rows) for rows in _motif_triton.find(there, _tokens(letters), count))


def _tokens(letters: np.ndarray) -> np.ndarray:
    if letters.dtype != np.uint8:
        raise TypeError(f"letters are {letters.dtype}: expected tokens of uint8")
    return np.ascontiguousarray(letters)


def twin(plan: Plan, letters: np.ndarray, count: int | None = None) -> Found:
    """The same hits by their definition, in NumPy: all scores of all matrices, and those that reach the threshold."""
    count = len(letters) if count is None else count
    room = np.full(max(plan.widths, default=1) - 1, UNKNOWN)
    padded = np.concatenate([np.minimum(letters, UNKNOWN), room])
    starts, scores = [], []
    for matrix, bound in zip(plan.matrices, plan.thresholds, strict=True):
        total = window_scores(matrix, padded)[:count]
        starts.append(np.flatnonzero(total >= bound))
        scores.append(total[starts[-1]])
    which = np.repeat(np.arange(len(starts), dtype=np.int32), [len(start) for start in starts])
    start, score = (np.concatenate([np.empty(0, kind), *p]) for kind, p in ((np.int64, starts), (float, scores)))
    order = np.argsort(start, kind="stable")
    return Found(start[order], which[order], score[order])


def window_scores(matrix: np.ndarray, letters: np.ndarray) -> np.ndarray:
    """The score of every window of letters (..., length), 4 for unknown: float64 (..., length - width + 1).

    Summed from the first column to the last; NaN where a letter is unknown.
    """
    rows = np.vstack([matrix, np.full(matrix.shape[1], np.nan)])
    windows = max(letters.shape[-1] - matrix.shape[1] + 1, 0)
    total = np.zeros((*letters.shape[:-1], windows))
    for column, row in enumerate(rows.T):
        total += row[letters[..., column : column + windows]]
    return total


def _tables(matrix: np.ndarray, bound: float, letters: int) -> np.ndarray:
    """What so many letters together lack, in bytes: (tables, 4^letters), the first letter in the lowest bits."""
    best, none = matrix.max(0), np.empty((0, 4**letters), np.uint8)
    if np.isinf(best).any() or np.isinf(bound):
        return none
    room = best.sum() - bound + SLACK * (1 + np.abs(best).sum() + abs(bound))
    if room < 0:
        return none
    lost = np.pad(best - matrix, ((0, 0), (0, -matrix.shape[1] % letters)))
    total = np.zeros((lost.shape[1] // letters, 1))
    for place in range(letters):
        column = lost[:, place::letters].T
        total = (column[:, :, None] + total[:, None, :]).reshape(len(column), -1)
    return np.minimum(np.floor(total * (254 / room)), 255).astype(np.uint8)


def _block(plan: Plan, letters: np.ndarray, first: int, last: int) -> Iterator[Found]:
    """The hits that begin in [first, last), in halves if they are too many to hold."""
    if not numba_at_hand():
        start, matrix, score = twin(plan, letters[first : last + max(plan.widths)], last - first)
        yield Found(start + first, matrix, score)
        return
    group = _lookups.way().group
    reach = 3 * max(plan.counts) + max(plan.widths)  # of what is looked up, and of what is summed
    seen = np.full(-(-(last - first) // group) * group + reach, UNKNOWN, np.uint8)
    near = letters[first : first + len(seen)]
    seen[: len(near)] = np.minimum(near, UNKNOWN)
    room = max(min(ROOM, (last - first) * len(plan.widths)), len(plan.widths))
    start, matrix, score = np.empty(room, np.uint16), np.empty(room, np.int32), np.empty(room)
    n = compiled(_search, fused=False)(
        seen, last - first, *plan[2:], plan.thresholds, _lookups.way().letters, group, start, matrix, score
    )
    if n < 0:
        middle = (first + last) // 2
        yield from _block(plan, letters, first, middle)
        yield from _block(plan, letters, middle, last)
        return
    order = np.argsort(start[:n], kind="stable")  # of 16 bits: by counting
    yield Found(start[order].astype(np.int64) + first, matrix[order], score[order])


survivors = _lookups.survivors


def _search(letters, n, widths, rows, cells, tables, firsts, counts, bounds, packed, group, start, matrix, score):
    """Fill in the hits that begin in the first n letters, by matrix; their number, or -1 if there is no room."""
    index, masks = np.empty(letters.size, np.uint8), np.empty(group // 64, np.uint64)
    beyond = np.uint8(48 if packed == 3 else 0)
    for i in range(letters.size):
        chance = np.uint32(i) * np.uint32(0x9E3779B1)
        chance = (chance ^ (chance >> np.uint32(15))) * np.uint32(0x85EBCA77)
        index[i] = letters[i] if letters[i] < 4 else chance >> np.uint32(30)
    for i in range(letters.size - 2):
        index[i] |= (index[i + 1] & 3) << 2 | (index[i + 2] & 3) << 4 & beyond
    found = 0
    for m in range(widths.size):
        width, row, bound = widths[m], rows[m], bounds[m]
        for p in range(0, n if counts[m] else 0, group):
            if survivors(index, p, tables, firsts[m], counts[m], group, masks) == 0:
                continue
            for word in range(group // 64):
                mask, at = masks[word], p + 64 * word
                while mask and at < n:
                    if mask & np.uint64(255) == 0:
                        mask >>= np.uint64(8)
                        at += 8
                        continue
                    if mask & np.uint64(1):
                        total = 0.0
                        for c in range(width):
                            total += cells[row + c, letters[at + c]]
                        if total >= bound:
                            if found == start.size:
                                return -1
                            start[found], matrix[found], score[found] = at, m, total
                            found += 1
                    mask >>= np.uint64(1)
                    at += 1
    return found
