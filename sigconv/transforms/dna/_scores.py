"""Log-odds of motifs, their sums along a sequence, and how often chance alone makes as much: exact P values.

The score of a window is a sum over its letters, so its distribution under independent letters is built up a letter at a
time. Every score attained is kept apart while these are few; where they grow too many they fall on a grid, whose error
is told and always counted against the motif: a P value may come out too large, never too small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sigconv.kernels.motifs import window_scores

Background = Sequence[float] | np.ndarray
UNIFORM = (0.25, 0.25, 0.25, 0.25)
PSEUDOCOUNT = 0.25  # of each letter in each column: one more site that could be anything
FINE = 32  # binary digits of a bit of score: what differs by less is one score
COARSE = 11  # of the grid on which scores fall where more than MOST are attained
ROUGH = 5  # of the grid that tells about where a threshold lies
MOST = 1 << 14
LONGEST = 1 << 20  # steps of a grid
ROUNDED = 1 + 1e-12  # P values are sums in float64


def log_odds(motif: Any, background: Background | None = None, pseudocount: float = PSEUDOCOUNT) -> np.ndarray:
    """The score of each letter in each column: log2 of its probability there over that in the background.

    motif: a Motif of the readers, or counts (4, width), rows A C G T. pseudocount is added to every cell; with 0 a
    letter never seen scores -inf. background: probabilities of A C G T, uniform by default. Returns (4, width) float64,
    in bits; the other strand's is `[::-1, ::-1]` of it. ValueError for no column, a column without counts, negative or
    infinite ones, a pseudocount below 0.
    Equals Biopython's `counts.normalize(pseudocount).log_odds(background)`.

    >>> log_odds([[8, 0], [0, 0], [0, 8], [0, 0]], pseudocount=0)[:, 0]
    array([  2., -inf, -inf, -inf])
    """
    base = frequencies(background)
    if not 0 <= pseudocount < np.inf:
        raise ValueError(f"pseudocount {pseudocount} must be 0 or more, and finite")
    name = getattr(motif, "name", "")
    counts = np.asarray(getattr(motif, "matrix", motif), np.float64)
    fail = lambda why: ValueError(f"motif {name} {why}".replace("  ", " "))
    if counts.ndim != 2 or len(counts) != 4 or counts.shape[1] == 0:
        raise fail(f"of shape {counts.shape} has not four rows A C G T and at least one column")
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise fail("has a cell that is no count: negative or not finite")
    if (empty := np.flatnonzero(counts.sum(0) == 0)).size:
        raise fail(f"has no counts in column {empty[0] + 1} of {counts.shape[1]}")
    if hasattr(motif, "probabilities"):
        p = np.asarray(motif.probabilities(pseudocount), np.float64)
    else:
        p = (counts + pseudocount) / (counts + pseudocount).sum(0)
    with np.errstate(divide="ignore"):
        return np.log2(p / base[:, None])


def frequencies(background: Background | None) -> np.ndarray:
    """The background's probabilities (4,), A C G T, float64; uniform for None. Sums off 1 by rounding are mended.

    >>> frequencies([0.3, 0.2, 0.2, 0.3])
    array([0.3, 0.2, 0.2, 0.3])
    """
    p = np.asarray(UNIFORM if background is None else background, np.float64)
    if p.shape != (4,) or not (p > 0).all() or not abs(p.sum() - 1) < 0.01:
        raise ValueError(f"background {background} is not four probabilities of A C G T above 0 that sum to 1")
    return p / p.sum()


def match_scores(tokens: Any, scores: np.ndarray) -> np.ndarray:
    """The score of every window of tokens (..., length): float64 (..., length - width + 1), NaN where one is unknown.

    Summed from the first column to the last. `match_scores(tokens, scores[::-1, ::-1])` are those of the other strand,
    by where they begin on this one. Of length 0 where the motif is longer. Equals Biopython's
    PositionSpecificScoringMatrix.calculate, which has float32.

    >>> match_scores(np.array([0, 2, 4, 1]), log_odds([[8, 0], [0, 0], [0, 8], [0, 0]], pseudocount=0))
    array([ 4., nan, nan])
    """
    tokens = np.asarray(tokens)
    return window_scores(np.asarray(scores, np.float64), np.where((tokens >= 0) & (tokens < 4), tokens, 4))


class Distribution(NamedTuple):
    """Scores that chance attains, falling, and how often it makes as much: tails[i] = P(score >= values[i]).

    A value stands for scores that differ from it by error at most, in bits.
    """

    values: np.ndarray
    tails: np.ndarray
    error: float


def distribution(scores: np.ndarray, background: Background | None = None, floor: float = -np.inf) -> Distribution:
    """All scores from the best down to floor that a window of independent letters may have, with their P values.

    scores: (4, width) bits, as log_odds gives them; letters that score -inf never count. Exact, to 1e-9 bits, where at
    most 16,384 scores are attained above floor; else to width/4096 bits, or less finely where they span more than 512.
    Source: Staden 1989, CABIOS 5:89.

    >>> distribution(np.array([[1.0, 1.0], [0, 0], [0, 0], [0, 0]])).tails
    array([0.0625, 0.4375, 1.    ])
    """
    base, (lost, best) = frequencies(background), _lost(scores)
    room = best - min(max(floor, best - lost[np.isfinite(lost)].sum()), best)
    apart = _apart(lost, base, room)
    found = _gridded(lost, base, room, COARSE) if apart is None else (*apart, FINE)
    return _falling(best, lost.shape[1], *found)


def threshold(scores: np.ndarray, pvalue: float, background: Background | None = None) -> float:
    """The least score that chance reaches at a place with probability pvalue at most, in bits; inf if none is so rare.

    scores, background: as for distribution. `score >= threshold(...)` has a probability of pvalue or less, and with the
    next lower score it would have more: exactly so where distribution is exact, else to twice its error.

    >>> round(threshold(log_odds([[8, 0], [0, 0], [0, 8], [0, 0]], pseudocount=1), 0.07), 3)
    3.17
    """
    if not 0 < pvalue <= 1:
        raise ValueError(f"pvalue {pvalue} must be more than 0 and at most 1")
    base, (lost, best) = frequencies(background), _lost(scores)
    rough = _falling(best, lost.shape[1], *_gridded(lost, base, lost[np.isfinite(lost)].sum(), ROUGH))
    often = int(np.searchsorted(rough.tails, pvalue * ROUNDED, side="right"))  # the first that chance makes too often
    floor = rough.values[often] - rough.error if often < len(rough.values) else -np.inf
    values, tails, error = distribution(scores, background, floor)
    often = int(np.searchsorted(tails, pvalue * ROUNDED, side="right"))
    if often == 0:
        return np.inf
    least = values[often - 1] - error
    return float(least if often == len(values) else max(least, np.nextafter(values[often] + error, np.inf)))


def pvalue(scores: np.ndarray, score: Any, background: Background | None = None) -> Any:
    """The probability that a window of independent letters scores as much or more: of a number, or of each of an array.

    scores, background: as for distribution, and as exact; where that is on a grid, an upper bound.

    >>> float(pvalue(np.array([[1.0, 1.0], [0, 0], [0, 0], [0, 0]]), 1.0))
    0.4375
    """
    score = np.asarray(score, np.float64)
    if np.isnan(score).any():
        raise ValueError("a score that is no number (NaN) has no P value")
    found = distribution(scores, background, float(score.min(initial=np.inf)))
    rank = np.searchsorted(-found.values, -(score - found.error), side="right")
    return np.concatenate([[0.0], found.tails])[rank]


def _lost(scores: np.ndarray) -> tuple[np.ndarray, float]:
    """What each letter falls short of the best of its column, (4, width), and the best score."""
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or len(scores) != 4 or np.isnan(scores).any() or not np.isfinite(scores.max(0)).all():
        raise ValueError(f"scores of shape {scores.shape} are not (4, width) with a finite one in each column")
    return scores.max(0) - scores, float(scores.max(0).sum())


def _apart(lost: np.ndarray, base: np.ndarray, room: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Losses up to room, each for itself, with their probabilities; None if they are more than MOST."""
    if room * 2**FINE > 2**62:
        return None
    seen: np.ndarray = np.zeros(1, np.int64)
    p: np.ndarray = np.ones(1)
    most = math.ceil(room * 2**FINE) + lost.shape[1]
    for column in sorted(lost.T, key=lambda column: -np.minimum(column, room).sum()):  # what prunes most comes first
        kept = column <= room
        steps = np.rint(column[kept] * 2**FINE).astype(np.int64)
        sums, weights = (seen[:, None] + steps).ravel(), (p[:, None] * base[kept]).ravel()
        inside = sums <= most
        seen, place = np.unique(sums[inside], return_inverse=True)
        if len(seen) > MOST:
            return None
        p = np.bincount(place, weights[inside], len(seen))
    return seen, p


def _gridded(lost: np.ndarray, base: np.ndarray, room: float, digits: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Losses up to room on a grid, with their probabilities; the grid's digits, fewer where it would be too long."""
    digits = min(digits, math.floor(math.log2(LONGEST / max(room, 1.0))))
    most = math.ceil(room * 2.0**digits) + lost.shape[1]
    p: np.ndarray = np.ones(1)
    for column in lost.T:
        steps = [(round(step), share) for step, share in zip(column * 2.0**digits, base, strict=True) if step <= most]
        total = np.zeros(min(len(p) + max(step for step, _ in steps), most + 1))
        for step, share in steps:
            part = total[step : step + len(p)]
            part += share * p[: len(part)]
        p = total
    places = np.flatnonzero(p)
    return places, p[places], digits


def _falling(best: float, width: int, seen: np.ndarray, p: np.ndarray, digits: int) -> Distribution:
    return Distribution(best - seen / 2.0**digits, np.cumsum(p), width / 2.0 ** (digits + 1))
