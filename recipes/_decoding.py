"""From scores of states, frame by frame, to the likeliest phones; and how many of them are wrong.

Each phone is states from left to right, each of which may last; after the last comes the next phone, as likely as a
bigram says. Scores are natural logarithms throughout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

PRIOR = 5.0  # a phone's successors are counted beside so many of the usual ones


class Bigram(NamedTuple):
    """What phone comes first (n,), what comes after each (n, n), and after which a sentence ends (n,): logarithms."""

    first: np.ndarray
    after: np.ndarray
    last: np.ndarray


def bigram(sentences: Iterable[Sequence[int]], n: int) -> Bigram:
    """Estimated from sentences of phones 0 to n - 1, each smoothed towards how often phones occur at all.

    >>> np.exp(bigram([[0, 1], [0, 1]], 2).after[0]).round(2).tolist()
    [0.24, 0.52]
    """
    counts = np.zeros((n + 1, n + 1))  # the last row is the beginning, the last column the end
    for sentence in sentences:
        path = [n, *sentence, n]
        np.add.at(counts, (path[:-1], path[1:]), 1)
    usual = (counts.sum(0) + 1) / (counts.sum() + n + 1)
    shares = counts + PRIOR * usual
    shares = np.log(shares / shares.sum(1, keepdims=True))
    return Bigram(shares[n, :n], shares[:n, :n], shares[:n, n])


class Chain(NamedTuple):
    """States as Viterbi takes them: first (S,), step (S from, S to), last (S,): logarithms."""

    first: np.ndarray
    step: np.ndarray
    last: np.ndarray


def chain(model: Bigram, durations: np.ndarray, weight: float) -> Chain:
    """Phones of several states in a row: state s of phone p is p · states + s. durations (phones, states) in frames,
    the mean; weight multiplies the bigram's logarithms. ValueError for fewer than two states a phone: to last and to be
    said again would be one.
    """
    phones, states = durations.shape
    if states < 2:
        raise ValueError(f"durations of shape {durations.shape}: expected two states a phone or more")
    leave = 1 / np.maximum(durations, 1.0 + 1e-3)
    stay, go = np.log1p(-leave).flatten(), np.log(leave).flatten()
    size = phones * states
    step = np.full((size, size), -np.inf)
    np.fill_diagonal(step, stay)
    inner = np.flatnonzero(np.arange(size) % states < states - 1)
    step[inner, inner + 1] = go[inner]
    begins, ends = np.arange(0, size, states), np.arange(states - 1, size, states)
    between = go[ends][:, None] + weight * model.after
    step[np.ix_(ends, begins)] = between
    first, last = np.full(size, -np.inf), np.full(size, -np.inf)
    first[begins], last[ends] = weight * model.first, go[ends] + weight * model.last
    return Chain(first, step, last)


def viterbi(scores: np.ndarray, states: Chain) -> tuple[np.ndarray, float]:
    """The likeliest path through frames: scores (frames, S) -> the state of each frame (frames,), and its score.

    ValueError where no path leads through: fewer frames than the states of one phone.

    >>> states = Chain(np.zeros(2), np.log([[0.9, 0.1], [0.1, 0.9]]), np.zeros(2))
    >>> viterbi(np.log([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]]), states)[0].tolist()
    [0, 0, 0]
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or not len(scores) or scores.shape[1] != len(states.first):
        raise ValueError(f"scores of shape {scores.shape}: expected (frames, {len(states.first)}), one frame at least")
    arriving = np.ascontiguousarray(states.step.T)  # (to, from): the search runs along memory
    rows = np.arange(len(arriving))
    best = states.first + scores[0]
    came = np.zeros(scores.shape, np.int64)
    for frame in range(1, len(scores)):
        ways = arriving + best
        came[frame] = ways.argmax(1)
        best = ways[rows, came[frame]] + scores[frame]
    best = best + states.last
    end = int(best.argmax())
    if best[end] == -np.inf:
        raise ValueError(f"no path of whole phones leads through {len(scores)} frames")
    path = [end]
    for frame in range(len(scores) - 1, 0, -1):
        path.append(int(came[frame, path[-1]]))
    return np.array(path[::-1]), float(best[end])


def phones_of(path: np.ndarray, states: int) -> list[int]:
    """The phones a path goes through: a new one wherever a first state is entered.

    >>> phones_of(np.array([0, 1, 2, 0, 1, 2, 2, 3, 4, 5]), 3)
    [0, 0, 1]
    """
    entered = np.concatenate([[True], path[1:] != path[:-1]]) & (path % states == 0)
    return (path[entered] // states).tolist()


def edit_distance(said: Sequence[object], wanted: Sequence[object]) -> int:
    """Fewest insertions, deletions and substitutions between two sequences (Levenshtein).

    >>> edit_distance("kitten", "sitting")
    3
    """
    row = list(range(len(wanted) + 1))
    for i, one in enumerate(said, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(wanted, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (one != other))
    return row[-1]


def error_rate(said: Sequence[Sequence[object]], wanted: Sequence[Sequence[object]]) -> float:
    """Edits over all sentences, as a share of all that was wanted; above 1 where much is inserted.

    >>> error_rate(["ab", "c"], ["ab", "dc"])
    0.25
    """
    total = sum(map(len, wanted))
    if not total:
        raise ValueError("an error rate of no phones at all: expected sentences with one at least")
    return sum(edit_distance(one, other) for one, other in zip(said, wanted, strict=True)) / total
