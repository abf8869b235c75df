"""Scores of motifs and their P values: Biopython's scores, and distributions counted word by word."""

import itertools

import numpy as np
import pytest
from Bio import motifs as bio
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import motif as motif_files
from sigconv.transforms.dna import _scores as scores
from sigconv.transforms.dna import encode

LETTERS = np.frombuffer(b"ACGT", np.uint8)


@st.composite
def matrices(draw, most=5):
    """Counts, small and with ties, sometimes skewed; a background, a pseudocount."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    counts = rng.integers(0, draw(st.sampled_from([3, 30])), (4, draw(st.integers(1, most)))).astype(float)
    counts[rng.integers(4), counts.sum(0) == 0] = 1
    base = rng.dirichlet([5] * 4) if draw(st.booleans()) else None
    return counts, base, draw(st.sampled_from([0.0, 0.25, 1.0]))


def enumerated(one, base):
    """Every word's score and probability, the best first."""
    base = np.full(4, 0.25) if base is None else base
    words = np.array(list(itertools.product(range(4), repeat=one.shape[1])))
    total = sum(one[words[:, column], column] for column in range(one.shape[1]))
    order = np.argsort(-total, kind="stable")
    return total[order], base[words].prod(1)[order]


def chance(total, p, score):
    """P(score or more), what differs by rounding taken for the same."""
    return p[total >= score - 1e-12].sum()


@given(matrices())
def test_log_odds_and_scores_are_biopythons_on_both_strands(case):
    counts, base, pseudocount = case
    background = dict(zip("ACGT", [0.25] * 4 if base is None else base, strict=True))
    theirs = bio.Motif(counts=dict(zip("ACGT", counts.tolist(), strict=True)))
    table = theirs.counts.normalize(pseudocount).log_odds(background)
    ours = scores.log_odds(counts, base, pseudocount)
    assert np.array_equal(ours, scores.log_odds(motif_files.Motif("m", "", counts), base, pseudocount))
    np.testing.assert_allclose(ours, [table[letter] for letter in "ACGT"], rtol=1e-12)
    tokens = np.random.default_rng(0).integers(0, 5, 60)
    sequence = Seq("".join("ACGTN"[token] for token in tokens))
    for one, other in ((ours, table), (ours[::-1, ::-1], table.reverse_complement())):
        expected = np.atleast_1d(other.calculate(sequence))
        found = scores.match_scores(tokens, one)
        assert np.array_equal(np.isnan(found), np.isnan(expected))
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_scores_are_biopythons_for_all_of_jaspar(data_root):
    path = next((data_root / "jaspar").glob("*_jaspar.txt"))
    sequence = LETTERS[np.random.default_rng(0).integers(0, 4, 2000)].tobytes().decode()
    tokens, found = encode(sequence).numpy(), motif_files.read(path)
    with open(path) as file:
        theirs = list(bio.parse(file, "jaspar"))
    assert [motif.name for motif in found] == [motif.matrix_id for motif in theirs]
    assert len(found) == 879
    for ours, their in zip(found, theirs, strict=True):
        one, table = scores.log_odds(ours, pseudocount=0.5), their.counts.normalize(0.5).log_odds()
        for matrix, other in ((one, table), (one[::-1, ::-1], table.reverse_complement())):
            np.testing.assert_allclose(scores.match_scores(tokens, matrix), other.calculate(sequence), atol=1e-4)


@given(matrices(), st.floats(1e-4, 1))
def test_p_values_and_thresholds_are_those_of_counting_every_word(case, pvalue):
    counts, base, pseudocount = case
    one = scores.log_odds(counts, base, pseudocount)
    total, p = enumerated(one, base)
    finite = np.isfinite(total)
    tried = np.concatenate([total[finite], [total[0] + 1, total[finite][-1] - 1]])
    expected = [chance(total, p, score) for score in tried]
    np.testing.assert_allclose(scores.pvalue(one, tried, base), expected, rtol=1e-9)
    least = scores.threshold(one, pvalue, base)
    assert chance(total, p, least) <= pvalue * (1 + 1e-9)
    below = total[finite & (total < least)]
    if below.size:
        assert chance(total, p, below[0]) > pvalue * (1 - 1e-9), "a lower score is rare enough too"
    assert np.isinf(least) == (chance(total, p, total[0]) > pvalue * (1 + 1e-12))


@given(matrices(), st.floats(1e-3, 1), st.integers(4, 11))
def test_on_a_grid_p_values_are_never_too_small_and_thresholds_off_by_the_error_told(case, pvalue, digits):
    counts, base, pseudocount = case
    one = scores.log_odds(counts, base, pseudocount)
    total, p = enumerated(one, base)
    exact = scores.threshold(one, pvalue, base)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "MOST", 0)
        patch.setattr(scores, "COARSE", digits)
        error = scores.distribution(one, base).error
        assert error == one.shape[1] / 2 ** (digits + 1)
        finite = total[np.isfinite(total)]
        found = scores.pvalue(one, finite, base)
        least = scores.threshold(one, pvalue, base)
    lower, upper = ([chance(total, p, score - off) for score in finite] for off in (0, 2 * error + 1e-9))
    assert (found >= np.array(lower) * (1 - 1e-9)).all()
    assert (found <= np.array(upper) * (1 + 1e-9)).all()
    assert chance(total, p, least) <= pvalue * (1 + 1e-9)
    assert chance(total, p, least) >= chance(total, p, exact + 2 * error + 1e-8), "more is lost than the error explains"


@examples(20)
@given(st.integers(0, 2**31), st.sampled_from([8, 11, 14]), st.floats(1e-6, 1e-2))
def test_a_wider_motifs_p_values_are_those_of_its_halves_counted_and_put_together(seed, width, pvalue):
    rng = np.random.default_rng(seed)
    one = scores.log_odds(rng.dirichlet([0.4] * 4, width).T * 40)
    (left, p), (right, q) = (enumerated(half, None) for half in np.split(one, [width // 2], 1))
    tails = np.concatenate([[0], np.cumsum(q)])
    counted = lambda score: (p * tails[np.searchsorted(-right, left - score + 1e-11, side="right")]).sum()
    least = scores.threshold(one, pvalue)
    assert counted(least) <= pvalue * (1 + 1e-9)
    error = scores.distribution(one, floor=least - 1 if np.isfinite(least) else one.max(0).sum()).error
    for score in (least, least - 0.5, one.max(0).sum() - 3):
        assert counted(score) * (1 - 1e-9) <= scores.pvalue(one, score) <= counted(score - 2 * error) * (1 + 1e-9)


def test_a_hostile_width_and_range_stay_in_memory():
    one = np.zeros((4, 300))
    one[1:] = -1e5 * np.random.default_rng(0).random((3, 300))
    found = scores.distribution(one, floor=-1e8)
    assert len(found.values) <= scores.LONGEST + 300
    assert found.tails[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: scores.log_odds(np.ones((3, 5))), "four rows"),
        (lambda: scores.log_odds(np.ones((4, 0))), "at least one column"),
        (lambda: scores.log_odds([[1, 0], [1, 0], [1, 0], [1, 0]]), "no counts in column 2"),
        (lambda: scores.log_odds(np.full((4, 2), -1.0)), "negative"),
        (lambda: scores.log_odds(np.full((4, 2), np.inf)), "not finite"),
        (lambda: scores.log_odds(np.ones((4, 2)), pseudocount=-1), "pseudocount -1"),
        (lambda: scores.log_odds(np.ones((4, 2)), [0.5, 0.5, 0.5, 0.5]), "sum to 1"),
        (lambda: scores.log_odds(np.ones((4, 2)), [1, 0, 0, 0]), "above 0"),
        (lambda: scores.threshold(np.zeros((4, 2)), 0), "pvalue 0"),
        (lambda: scores.threshold(np.full((4, 2), -np.inf), 0.1), "finite one in each column"),
        (lambda: scores.pvalue(np.zeros((4, 2)), np.nan), "no number"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
