"""Planted motifs: they are planted as said, and the oracle is the likelihood ratio, which nothing beats."""

import itertools
import math

import numpy as np
import pytest
import torch

from sigconv.datasets import planted_motif
from sigconv.readers.motif import Motif
from sigconv.train.metrics import auroc
from sigconv.transforms import dna


def test_the_oracle_is_the_ratio_of_the_two_chances_of_every_sequence():
    rng = np.random.default_rng(0)
    columns = rng.dirichlet([1, 1, 1, 1], 3).T
    motif, background, length = Motif("m", "", columns, counts=False), np.array([0.3, 0.2, 0.1, 0.4]), 5
    x = torch.tensor(list(itertools.product(range(4), repeat=length)), dtype=torch.uint8)
    plain = background[x.numpy()].prod(1)
    planted = np.zeros(len(x))
    for start in range(length - 3 + 1):
        for row in (columns, columns[::-1, ::-1]):
            inside = np.prod([row[x[:, start + i].numpy(), i] for i in range(3)], 0)
            outside = np.delete(background[x.numpy()], np.s_[start : start + 3], 1).prod(1)
            planted += inside * outside / 6
    assert math.isclose(planted.sum(), 1)
    told = planted_motif.oracle(x, motif, background)
    np.testing.assert_allclose(told.numpy(), np.log(planted / plain), rtol=0, atol=1e-12)


def test_sequences_are_a_function_of_their_arguments_and_hold_the_motif_on_both_strands():
    sure = planted_motif.consensus("AACCGTA", 0.999999)
    x, y = planted_motif.generate(400, motif=sure, length=40, seed=2)
    assert torch.equal(x, planted_motif.generate(400, motif=sure, length=40, seed=2)[0])
    assert not torch.equal(x, planted_motif.generate(400, motif=sure, length=40, seed=3)[0])
    letters = dna.decode(x)
    strands = [
        ["AACCGTA" in text for text, bound in zip(letters, y, strict=True) if bound],
        ["TACGGTT" in text for text, bound in zip(letters, y, strict=True) if bound],
    ]
    assert all(one or other for one, other in zip(*strands, strict=True))
    assert 60 < sum(strands[0]) < 140
    starts = [text.find("AACCGTA") for text in letters[::2] if "AACCGTA" in text]
    assert min(starts) < 5
    assert max(starts) > 28


def test_no_score_orders_them_better():
    x, y = planted_motif.generate(4000, seed=1)
    best = auroc(planted_motif.oracle(x), y)
    scores = dna.log_odds(planted_motif.USUAL.probabilities(), pseudocount=0.0)
    strongest = [torch.as_tensor(dna.match_scores(x, one.copy())).amax(1) for one in (scores, scores[::-1, ::-1])]
    assert 0.8 < best < 0.99
    assert auroc(torch.maximum(*strongest), y) <= best + 0.005
    assert abs(auroc(planted_motif.oracle(dna.reverse_complement(x)), y) - best) < 1e-12


def test_what_cannot_be_planted_is_said():
    with pytest.raises(ValueError, match="length 5 is less than the motif's 10 letters"):
        planted_motif.generate(4, length=5)
    with pytest.raises(ValueError, match="background .* is not four probabilities"):
        planted_motif.generate(4, background=[1, 1, 1, 1])
    with pytest.raises(ValueError, match="letter 'N' is not one of"):
        planted_motif.consensus("ANA")
    train, valid, test = planted_motif.load(samples=100)
    assert [len(part) for part in (train, valid, test)] == [100, 10, 10_000]
