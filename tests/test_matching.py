"""Motifs like others: alignments by loops, P values by enumerating what chance could draw."""

import itertools

import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sigconv import explain
from sigconv.explain import _matching
from sigconv.readers import motif as reader
from sigconv.readers.motif import Motif

DISTANCES = {
    "euclidean": lambda a, b: -np.linalg.norm(a - b),
    "sandelin": lambda a, b: 2 - ((a - b) ** 2).sum(),
    "pearson": lambda a, b: np.corrcoef(a, b)[0, 1],
}


def made(n, widths, seed=0, sharp=0.3):
    """Motifs of random columns."""
    rng = np.random.default_rng(seed)
    return [Motif(f"M{i}", "", rng.dirichlet([sharp] * 4, rng.integers(*widths)).T, False) for i in range(n)]


def enumerated(query, targets, distance, weigh, reverse, overlap):
    """Of each target the P value and the alignments that score best, from the words of matches' docstring."""
    pseudocount = _matching.PSEUDOCOUNT
    p = [m.probabilities(pseudocount) for m in targets]
    sides = [("+", p), ("-", [x[::-1, ::-1] for x in p])] if reverse else [("+", p)]
    columns = [x[:, j] for _, side in sides for x in side for j in range(x.shape[1])]
    q = query.probabilities(pseudocount)
    bits = 2 + (q * np.log2(q)).sum(0) if weigh else np.ones(query.width)
    score = lambda i, column: bits[i] * DISTANCES[distance](q[:, i], column)
    raw = np.array([[score(i, column) for column in columns] for i in range(query.width)])
    low, high = raw.min(), raw.max()
    steps = np.rint((raw - low) * (100 / (high - low)))
    steps -= np.rint(np.median(steps, axis=1, keepdims=True))
    number = iter(range(len(columns)))
    place = {(side, t, j): next(number) for side, x in sides for t in range(len(p)) for j in range(x[t].shape[1])}
    for t, target in enumerate(targets):
        found, chances = [], []
        for side, _ in sides:
            for offset in range(1 - query.width, target.width):
                on = [i for i in range(query.width) if 0 <= i + offset < target.width]
                if len(on) >= min(overlap, query.width, target.width):
                    total = sum(steps[i, place[side, t, i + offset]] for i in on)
                    found.append((total, len(on), offset, side))
                    chances.append(np.array([sum(c) for c in itertools.product(*steps[on])]))
        best = max(total for total, *_ in found)
        yield 1 - np.prod([1 - (chance >= best).mean() for chance in chances]), {f for f in found if f[0] == best}


@given(
    seed=st.integers(0, 1000),
    distance=st.sampled_from(sorted(DISTANCES)),
    weigh=st.booleans(),
    reverse=st.booleans(),
    overlap=st.integers(1, 4),
)
@strategies.examples(25)
def test_a_p_value_is_the_share_of_all_columns_chance_could_draw_that_score_as_much(
    seed, distance, weigh, reverse, overlap
):
    (query,), targets = made(1, (1, 4), seed), made(4, (1, 5), seed + 1)
    options = {"distance": distance, "weigh": weigh, "reverse": reverse, "overlap": overlap}
    found = {match.target: match for match in explain.matches([query], targets, **options)}
    for target, (pvalue, best) in zip(targets, enumerated(query, targets, **options), strict=True):
        match = found[target.name]
        assert match.pvalue == pytest.approx(pvalue, rel=1e-9, abs=1e-12)
        widest = max(size for _, size, *_ in best)
        assert match.overlap == widest
        assert (match.offset, match.strand) in {(offset, side) for _, size, offset, side in best if size == widest}
        assert match.evalue == pytest.approx(4 * match.pvalue)


@given(seed=st.integers(0, 1000), start=st.integers(0, 4), turned=st.booleans())
@strategies.examples(20)
def test_part_of_a_motif_is_found_where_it_was_cut(seed, start, turned):
    known = made(60, (9, 14), seed, sharp=0.1)
    part = Motif("part", "", known[17].matrix[:, start : start + 8], False)
    match = explain.matches([part.reversed() if turned else part], known, most=1)[0]
    assert (match.target, match.strand, match.overlap) == (
        "M17",
        "-" if turned else "+",
        min(8, known[17].width - start),
    )
    end = known[17].width - start - match.overlap
    assert match.offset == (end if turned else start)
    assert match.qvalue < 1e-3


def test_the_other_strand_of_all_targets_and_their_order_change_nothing():
    queries, known = made(5, (5, 12), 1), made(40, (6, 15), 2)
    plain = {(m.query, m.target): m for m in explain.matches(queries, known)}
    turned = {(m.query, m.target): m for m in explain.matches(queries, [m.reversed() for m in known[::-1]])}
    for key, match in plain.items():
        assert turned[key].pvalue == pytest.approx(match.pvalue, rel=1e-9)
        assert turned[key].qvalue == pytest.approx(match.qvalue, rel=1e-9)


def test_matches_come_likest_first_with_benjamini_and_hochbergs_q_values():
    queries, known = made(3, (5, 12), 1), made(50, (6, 15), 2)
    found = explain.matches(queries, known)
    assert len(found) == 150
    for query in queries:
        rows = [match for match in found if match.query == query.name]
        p = [match.pvalue for match in rows]
        assert p == sorted(p)
        np.testing.assert_allclose([match.qvalue for match in rows], stats.false_discovery_control(p), rtol=1e-12)
        assert explain.matches([query], known, most=2) == rows[:2]
    with pytest.raises(ValueError, match="most 0 must be at least 1"):
        explain.matches(known[:1], known, most=0)


def test_chance_matches_are_as_rare_as_their_p_values_say():
    known = made(300, (8, 16), 3)
    columns = np.concatenate([m.matrix for m in known], axis=1)
    rng = np.random.default_rng(4)
    queries = [Motif(f"Q{i}", "", columns[:, rng.integers(0, columns.shape[1], 10)], False) for i in range(20)]
    p = np.array([match.pvalue for match in explain.matches(queries, known)])
    for level in (0.01, 0.05, 0.2):  # the bound is 4 standard errors, of 20 independent queries at the worst
        assert (p < level).mean() < level + 4 * np.sqrt(level * (1 - level) / 20 / 15)


def test_columns_that_could_be_anything_prove_nothing():
    rng = np.random.default_rng(5)
    flat = rng.dirichlet([200] * 4, 30).T
    known = [*made(200, (8, 14), 6, sharp=0.1), Motif("flat", "", flat, False)]
    query = Motif("Q", "", np.concatenate([np.eye(4)[:, [0, 1, 2, 3, 1]], flat[:, ::-1][:, :12]], axis=1), False)
    plain, weighed = (
        {match.target: match.pvalue for match in explain.matches([query], known, weigh=weigh)}
        for weigh in (False, True)
    )
    assert plain["flat"] == min(plain.values())
    assert plain["flat"] < 1e-6
    assert weighed["flat"] > 0.05


def test_counts_and_their_probabilities_match_alike():
    counts = Motif("C", "", np.random.default_rng(0).integers(1, 90, (4, 8)))
    match = explain.matches([counts], [*made(50, (8, 12)), counts], most=1)[0]
    assert (match.target, match.offset, match.overlap) == ("C", 0, 8)


def test_what_cannot_be_matched_is_one_line():
    known = made(3, (4, 6))
    with pytest.raises(ValueError, match="there are no targets"):
        explain.matches(known, [])
    with pytest.raises(ValueError, match="distance 'cosine' is not one of"):
        explain.matches(known, known, distance="cosine")
    with pytest.raises(ValueError, match="motif W has 201 columns: expected 200 at most"):
        explain.matches([Motif("W", "", np.full((4, 201), 0.25), False)], known)
    assert explain.matches([], known) == []


def test_every_motif_of_jaspar_is_most_like_itself(data_root):
    (path,) = (data_root / "jaspar").glob("*_jaspar.txt")
    known = reader.read(path)
    for match in explain.matches(known[::40], known, most=1):
        assert match.pvalue < 1e-6
        width = next(motif.width for motif in known if motif.name == match.query)
        if match.target == match.query:
            assert (match.strand, match.offset, match.overlap) == ("+", 0, width)
