"""Which known motifs are like one that was found: alignments with P values, as Tomtom has them.

A query column is compared with all columns of all targets. How likely chance makes a sum of such scores over a run of
query columns is computed from these very scores, exactly, in whole steps: by convolution of their distributions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sigconv import nd
from sigconv.readers.motif import Motif

STEPS = 100  # between the least and the greatest score of a query's columns
WIDEST = 200  # columns of a query: the work grows with the cube
PSEUDOCOUNT = 0.025  # of each letter: a tenth of a site, as Tomtom has it


class Match(NamedTuple):
    """A target's best alignment with a query: how likely chance makes one as good, and how they lie.

    evalue is how many targets so like the query chance would make; qvalue the share of false ones among the matches up
    to this one. offset is the place of the target, read on its strand, that lies under the query's first (negative: the
    query begins before it); overlap columns lie on each other.
    """

    query: str
    target: str
    pvalue: float
    evalue: float
    qvalue: float
    offset: int
    strand: str
    overlap: int


def matches(
    queries: Sequence[Any],
    targets: Sequence[Any],
    *,
    distance: str = "euclidean",
    weigh: bool = True,
    reverse: bool = True,
    overlap: int = 5,
    pseudocount: float = PSEUDOCOUNT,
    most: int | None = None,
) -> list[Match]:
    """The best alignment of every query with every target, the likest targets of each query first.

    queries       motifs, or the patterns of explain.patterns; so are targets
    distance      of two columns: "euclidean", "pearson" (correlation), or "sandelin" (2 less the squared distance)
    weigh         each query column's scores count by its information, 0 to 2 bits: that columns which could be anything
                  are like others of that kind proves nothing. False is Tomtom's own
    reverse       whether the reverse complement of a target is looked at as well
    overlap       columns that must lie on each other at least, or all of a shorter motif
    pseudocount   added to every count
    most          only so many matches of each query

    An alignment scores what its columns are above the median of their kind, so that those with none on them count for
    nothing. A match's P value is the probability that any of its alignments scores as much as the best, were the
    targets' columns drawn at random from all of them, and alignments independent; the Q value is Benjamini and
    Hochberg's, over the targets of a query. The targets are the null: a few of them make no meaningful P values. Scores
    are rounded to hundredths of their range, as Tomtom's are; for those the probabilities are exact. ValueError for a
    query wider than 200 columns, no targets, and an unknown distance.
    Sources: Gupta et al. 2007, doi:10.1186/gb-2007-8-2-r24; Tanaka et al. 2011, doi:10.1093/bioinformatics/btr257.

    >>> known = [Motif(f"M{i}", "", np.random.default_rng(i).dirichlet([0.2] * 4, 8).T, False) for i in range(50)]
    >>> best = matches([known[7].reversed()], known, most=1)[0]
    >>> best.target, best.strand, best.offset, best.overlap, best.qvalue < 0.001
    ('M7', '-', 0, 8, True)
    """
    score = DISTANCES[nd.one_of(distance, tuple(DISTANCES), "distance")]
    overlap = nd.count(overlap, "overlap")
    queries, targets = ([getattr(one, "motif", one) for one in many] for many in (queries, targets))
    most = None if most is None else nd.count(most, "most")
    if not targets:
        raise ValueError("there are no targets to match")
    forward = [target.probabilities(pseudocount) for target in targets]
    sides = [forward, [p[::-1, ::-1] for p in forward]] if reverse else [forward]
    columns = np.concatenate([p for side in sides for p in side], axis=1)
    widths = np.array([p.shape[1] for p in forward] * len(sides))
    found = []
    for query in queries:
        if query.width > WIDEST:
            raise ValueError(f"motif {query.name} has {query.width} columns: expected {WIDEST} at most")
        p = query.probabilities(pseudocount)
        steps = _rounded(score(p, columns) * (_information(p)[:, None] if weigh else 1.0))
        found += _ranked(query, targets, _aligned(steps, widths, len(sides), overlap), len(sides))[:most]
    return found


def _information(p: np.ndarray) -> np.ndarray:
    """Bits of each column."""
    return np.asarray((p * np.log2(np.where(p > 0, 4 * p, 1))).sum(0))


class _Alignments(NamedTuple):
    """Of every target (rows), by strand and offset, score and columns on each other; the P value of the best."""

    score: np.ndarray
    overlap: np.ndarray
    pvalue: np.ndarray


def _rounded(scores: np.ndarray) -> np.ndarray:
    """Scores (query columns, target columns) as whole steps from 0."""
    least = scores.min()
    return np.rint((scores - least) * (STEPS / max(scores.max() - least, 1e-30))).astype(np.int64)


def _aligned(steps: np.ndarray, widths: np.ndarray, sides: int, overlap: int) -> _Alignments:
    """All offsets of all targets on each strand; widths are those of the targets, for each strand anew."""
    middle = np.rint(np.median(steps, axis=1)).astype(np.int64)
    score, first, last = (
        part.reshape(sides, len(widths) // sides, -1).swapaxes(0, 1).reshape(len(widths) // sides, -1)
        for part in _laid(steps - middle[:, None], widths)
    )
    least = np.minimum(np.minimum(widths[: len(score)], len(steps)), overlap)
    counted = last - first >= least[:, None]
    score[~counted] = np.iinfo(np.int64).min
    best = np.broadcast_to(score.max(1, keepdims=True), score.shape)
    tails = np.zeros(score.shape)
    tails[counted] = _tails(steps, middle, first[counted], last[counted], best[counted])
    with np.errstate(divide="ignore"):
        pvalue = -np.expm1(np.log1p(-tails).sum(1))
    return _Alignments(score, np.where(counted, last - first, 0), pvalue)


def _laid(steps: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each target and offset the score, and the query columns, first up to last, that lie on the target.

    At the first offset the query's last column lies on the target's first.
    """
    width, rows = len(steps), np.repeat(np.arange(len(widths)), widths)
    places = np.concatenate([np.arange(w) for w in widths]) + width - 1
    before = width - 1 - np.arange(widths.max() + width - 1)  # query columns before the target
    score = np.zeros((len(widths), len(before)), np.int64)
    for column, row in enumerate(steps):
        score[rows, places - column] += row
    first, last = np.maximum(before, 0), np.minimum(widths[:, None] + before, width)
    return score, np.broadcast_to(first, score.shape), last


def _tails(steps: np.ndarray, middle: np.ndarray, first: np.ndarray, last: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The probability that query columns first to last, drawn from their scores, are so far above their medians."""
    single = np.stack([np.bincount(row, minlength=STEPS + 1) for row in steps]) / steps.shape[1]
    order = np.lexsort((last, first))
    runs, begins = np.unique(first[order] * (len(steps) + 1) + last[order], return_index=True)
    found, start, done = np.empty(len(score)), -1, 0
    chance: np.ndarray = np.ones(1)
    for run, picked in zip(runs.tolist(), np.split(order, begins[1:]), strict=True):
        a, b = divmod(run, len(steps) + 1)
        if a != start:
            start, done, chance = a, a, np.ones(1)
        for column in range(done, b):
            chance = np.convolve(chance, single[column])
        done = b
        tails = np.append(np.cumsum(chance[::-1])[::-1], 0.0)
        found[picked] = tails[np.clip(score[picked] + middle[a:b].sum(), 0, len(chance))]
    return np.minimum(found, 1.0)


def _ranked(query: Motif, targets: Sequence[Motif], found: _Alignments, sides: int) -> list[Match]:
    """The matches of one query, the likest first."""
    p, score = found.pvalue, found.score
    best = np.where(score == score.max(1, keepdims=True), found.overlap, 0).argmax(1)
    order = np.argsort(p, kind="stable")
    q = np.minimum.accumulate((p[order] * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1].clip(max=1)
    side, offset = np.divmod(best, score.shape[1] // sides)
    return [
        Match(
            query.name,
            targets[i].name,
            float(p[i]),
            float(p[i] * len(p)),
            float(share),
            int(offset[i]) - query.width + 1,
            "+-"[side[i]],
            int(found.overlap[i, best[i]]),
        )
        for i, share in zip(order.tolist(), q, strict=True)
    ]


def _euclidean(queries: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return -np.sqrt(_squares(queries, targets))


def _sandelin(queries: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return 2 - _squares(queries, targets)


def _squares(queries: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.asarray(sum((q[:, None] - t) ** 2 for q, t in zip(queries, targets, strict=True)))


def _pearson(queries: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Correlations; 0 with a column of four equal probabilities."""
    queries, targets = (p - p.mean(0) for p in (queries, targets))
    size = np.sqrt((queries**2).sum(0))[:, None] * np.sqrt((targets**2).sum(0))
    return np.divide(queries.T @ targets, size, out=np.zeros_like(size), where=size > 1e-12)


DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "euclidean": _euclidean,
    "pearson": _pearson,
    "sandelin": _sandelin,
}
