"""DNA as material: letters and tokens, the other strand, words, shuffles, negatives like the positives."""

import itertools
from collections import Counter

import numpy as np
import pytest
import strategies
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import sigconv as sc
from sigconv.transforms import dna

LETTERS = st.text("ACGTNacgtnRYKMSWBDHVU", max_size=40)
TOKENS = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(lambda row: torch.tensor(row, dtype=torch.uint8))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def doublets(row):
    return Counter(itertools.pairwise(row.tolist()))


@given(LETTERS)
@strategies.examples(50)
def test_letters_come_back_unknown_ones_as_n(letters):
    known = letters.upper().replace("U", "T")
    assert dna.decode(dna.encode(letters)) == "".join(c if c in "ACGT" else "N" for c in known)


@given(LETTERS)
@strategies.examples(50)
def test_the_other_strand_is_biopythons_and_the_same_of_letters_tokens_and_channels(letters):
    from Bio.Seq import Seq

    assert dna.reverse_complement(letters.upper()) == str(Seq(letters.upper().replace("U", "T")).reverse_complement())
    tokens = dna.encode(letters)
    turned = dna.reverse_complement(tokens)
    assert torch.equal(turned, dna.encode(dna.reverse_complement(letters)))
    assert torch.equal(dna.reverse_complement(turned), tokens)
    assert torch.equal(dna.reverse_complement(dna.one_hot(tokens)), dna.one_hot(turned))


@pytest.mark.parametrize("unknown", ["mean", "zero"])
def test_convolution_makes_the_same_of_tokens_and_of_channels(unknown):
    tokens = torch.randint(0, 5, (3, 50), generator=generator()).to(torch.uint8)
    weight = torch.randn(6, 4, 9, generator=generator(), dtype=torch.float64)
    told = sc.conv(tokens, weight, unknown=unknown)
    expected = sc.conv(dna.one_hot(tokens, unknown=unknown, dtype=torch.float64), weight)
    torch.testing.assert_close(told, expected, rtol=0, atol=1e-13)


def test_letters_that_are_none_are_named():
    with pytest.raises(ValueError, match="letter 'E' at 2 of sequence 1 is no letter of DNA"):
        dna.encode(["ACGT", "ACET"])
    with pytest.raises(ValueError, match="sequences of 2 to 3 letters have no one length: give length="):
        dna.encode(["AC", "ACG"])
    with pytest.raises(ValueError, match=r"x of shape \(3, 5\) has no four channels"):
        dna.reverse_complement(torch.zeros(3, 5))
    assert dna.decode(dna.encode(["A", "ACGTA"], length=3)) == ["NAN", "CGT"]


@given(TOKENS, st.integers(1, 4))
@strategies.examples(50)
def test_words_are_counted_as_by_hand_and_alike_on_both_strands(tokens, k):
    letters = dna.decode(tokens)
    by_hand = Counter(letters[i : i + k] for i in range(len(letters) - k + 1))
    counts = dna.kmer_counts(tokens[None], k, canonical=False)[0]
    assert {name: int(n) for name, n in zip(dna.kmer_names(k, canonical=False), counts, strict=True) if n} == {
        word: n for word, n in by_hand.items() if "N" not in word
    }
    both = dna.kmer_counts(tokens[None], k)
    assert torch.equal(both, dna.kmer_counts(dna.reverse_complement(tokens)[None], k))
    assert both.sum() == counts.sum()


def test_there_are_2080_words_of_six_letters_on_two_strands():
    assert [len(dna.kmer_names(k)) for k in (1, 2, 5, 6)] == [2, 10, 512, 2080]
    with pytest.raises(ValueError, match="k 13 is more than 12"):
        dna.kmers(torch.zeros(20, dtype=torch.uint8), 13)
    for call in (dna.dinucleotide_shuffle, lambda x: dna.kmers(x, 2)):
        with pytest.raises(ValueError, match="tokens are float32: expected integers"):
            call(torch.zeros(2, 9))


@given(TOKENS, st.integers(0, 99))
@strategies.examples(100)
def test_a_shuffle_keeps_every_pair_and_both_ends(tokens, seed):
    shuffled = dna.dinucleotide_shuffle(tokens, generator(seed))
    assert doublets(shuffled) == doublets(tokens)
    assert shuffled[0] == tokens[0]
    assert shuffled[-1] == tokens[-1]
    assert shuffled.dtype == tokens.dtype


@pytest.mark.parametrize("letters", ["ACAGCAATC", "AACCATTACA", "ANCANGCN", "ACCCGGGTTTA"])
def test_every_sequence_with_these_pairs_is_as_likely_as_any_other(letters):
    tokens = dna.encode(letters)
    middle = sorted(tokens[1:-1].tolist())
    ends = tokens[0].item(), tokens[-1].item()
    possible = {(ends[0], *m, ends[1]) for m in _arrangements(middle)}
    wanted = doublets(tokens)
    possible = {row for row in possible if Counter(itertools.pairwise(row)) == wanted}
    draws = 400 * len(possible)
    seen = Counter(map(tuple, dna.dinucleotide_shuffle(tokens.expand(draws, -1), generator(1)).tolist()))
    assert set(seen) == possible
    if len(possible) > 1:
        assert stats.chisquare([seen[row] for row in possible]).pvalue > 1e-3


def _arrangements(items):
    """Every distinct order of some items."""
    if not items:
        yield ()
    for first in dict.fromkeys(items):
        rest = list(items)
        rest.remove(first)
        yield from ((first, *others) for others in _arrangements(rest))


def test_rare_ways_between_letters_are_found_at_once():
    tokens = torch.cat([torch.full((900,), letter, dtype=torch.uint8) for letter in range(4)])
    assert torch.equal(dna.dinucleotide_shuffle(tokens, generator()), tokens)  # there is no other


def test_each_sequence_is_a_function_of_its_own_generator():
    tokens = torch.randint(0, 4, (5, 60), generator=generator()).to(torch.uint8)
    together = dna.dinucleotide_shuffle(tokens, [generator(seed) for seed in range(5)])
    alone = [dna.dinucleotide_shuffle(row, generator(seed)) for seed, row in enumerate(tokens)]
    assert torch.equal(together, torch.stack(alone))
    with pytest.raises(ValueError, match="2 generators for 5 sequences"):
        dna.dinucleotide_shuffle(tokens, [generator(), generator()])
    with pytest.raises(ValueError, match="tokens from 0 to 7 are not all in 0 … 4"):
        dna.dinucleotide_shuffle(torch.tensor([0, 7, 1]))


def test_negatives_match_in_length_and_in_g_and_c():
    rng = generator(4)
    share, pool = torch.rand(200, generator=rng), torch.rand(3000, generator=rng)
    sizes, others = torch.randint(90, 93, (200,), generator=rng), torch.randint(90, 93, (3000,), generator=rng)
    chosen = dna.matched(share, pool, lengths=(sizes, others), generator=rng)
    found = chosen[chosen >= 0]
    assert len(found) > 190
    assert len(found.unique()) == len(found)
    assert torch.equal(others[found], sizes[chosen >= 0])
    assert ((pool[found] - share[chosen >= 0]).abs() < 1 / 20).all()


def test_windows_of_a_genome_are_like_those_given_and_none_of_them():
    rng = np.random.default_rng(0)
    genome = {
        "one": "".join(rng.choice(list("ACGT"), 5000)),
        "two": "N" * 500 + "".join(rng.choice(list("acgt"), 2000)),
    }
    like = [("one", 100, 150), ("one", 2000, 2050), ("two", 700, 750)]
    found = dna.matched_windows(genome, like, within=0.05, generator=generator())
    for (chrom, start, end), (name, first, last) in zip(found, like, strict=True):
        letters = genome[chrom][start:end].upper()
        assert end - start == last - first
        assert "N" not in letters
        share = [sum(c in "GC" for c in text) / 50 for text in (letters, genome[name][first:last].upper())]
        assert abs(share[0] - share[1]) <= 0.05
        assert not any(chrom == c and start < e and b < end for c, b, e in like)
    with pytest.raises(ValueError, match="no window of 50 letters"):
        dna.matched_windows({"one": "A" * 500 + "C" * 50}, [("one", 500, 550)])


def test_jitter_takes_windows_from_everywhere_each_by_its_own_generator():
    tokens = torch.arange(4)[None].expand(300, -1)
    windows = dna.jitter(tokens, 2, [generator(seed) for seed in range(300)])
    assert set(map(tuple, windows.tolist())) == {(0, 1), (1, 2), (2, 3)}
    with pytest.raises(ValueError, match="length 5 is more than the 4 letters"):
        dna.jitter(tokens, 5, [])
