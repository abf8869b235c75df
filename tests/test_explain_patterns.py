"""What letters add to an answer, and the motifs that whole networks look at."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sigconv import explain, models
from sigconv.explain import _contributions
from sigconv.readers.motif import Motif
from sigconv.transforms import dna
from tests import strategies

SITES = ("TGACTCAGCA", "AGATAAGCAC")


def drawn(n, length=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 4, (n, length), generator=generator, dtype=torch.uint8)


def planted(n, sites, seed=0):
    """Sequences that each hold one of the sites, every second on the other strand; which site it is."""
    x, generator = drawn(n, 60, seed), torch.Generator().manual_seed(seed + 1)
    letters = dna.encode(list(sites))
    which = torch.randint(0, len(sites), (n,), generator=generator)
    at = torch.randint(10, 40, (n,), generator=generator)
    for row in range(n):
        site = letters[which[row]]
        x[row, at[row] : at[row] + site.numel()] = dna.reverse_complement(site[None])[0] if row % 2 else site
    return x, which


class Seeker(nn.Module):
    """Adds up, with weights, a steep function of the best match of each site on either strand: a network that has
    learned them, spread over two layers."""

    def __init__(self, sites, weights, strands=2):
        super().__init__()
        filters = []
        for site in sites:
            hot = dna.one_hot(dna.encode([site]), dtype=torch.float32)[0]
            filters += [hot, hot.flip(0, 1)][:strands]
        self.conv = nn.Conv1d(4, len(filters), len(sites[0]), bias=False)
        self.conv.weight.data = torch.stack(filters)
        self.register_buffer("weights", torch.tensor(weights).repeat_interleave(strands))

    def forward(self, x):
        steep = (self.conv(x) - 4).relu().square()
        return (steep.amax(2) * self.weights).sum(1)


def answers_beyond_shuffles(net, x, references, seed):
    """What a network answers beyond its mean answer to the shuffles that contributions draws."""
    hot, others = lambda tokens: dna.one_hot(tokens, dtype=torch.float64), []
    with torch.no_grad():
        for number in range(references):
            lots = [_contributions._lot(seed, row, number) for row in range(len(x))]
            others.append(net(hot(dna.between_flanks(x, lots))))
        return (net(hot(x)) - torch.stack(others).mean(0))[:, 0]


@given(seed=st.integers(0, 1000), length=st.integers(2, 30), unknown=st.booleans())
@strategies.examples(30)
def test_contributions_of_a_linear_model_are_exactly_what_it_answers_beyond_shuffles(seed, length, unknown):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4 * length, 1)).double()
    x = drawn(5, length, seed)
    x[0, 0] = dna.UNKNOWN if unknown else 0
    found = explain.contributions(net, x, references=3, seed=seed)
    torch.testing.assert_close(found.sum(1), answers_beyond_shuffles(net, x, 3, seed), rtol=1e-10, atol=1e-10)
    assert (found[:, 0] == 0).all(), "a shuffle begins as its sequence does: nothing is added there"


def test_contributions_add_up_to_the_answer_of_a_network_too_the_nearer_the_more_references():
    torch.manual_seed(0)
    net, x = models.build("dna:zeng", classes=1).eval().double(), drawn(16, 40)
    off = []
    for references in (2, 200):
        expected = answers_beyond_shuffles(net, x, references, 1)
        found = explain.contributions(net, x, references=references, seed=1).sum(1)
        off.append(float((found - expected).square().mean().sqrt()))
    assert off[1] < 0.3 * off[0]
    assert off[1] < 0.2 * float(expected.abs().max())


def test_contributions_of_text_tokens_and_channels_are_the_same_and_repeat():
    net = models.build("dna:deepbind").train()
    x = drawn(4, 40)
    expected = explain.contributions(net, x)
    assert net.training
    assert expected.shape == x.shape
    assert torch.equal(explain.contributions(net, x), expected)
    assert torch.equal(explain.contributions(net, dna.decode(x)), expected)
    assert torch.equal(explain.contributions(net, dna.one_hot(x)), expected)
    as_array = explain.contributions(net, x.numpy())
    np.testing.assert_array_equal(as_array, expected)
    assert not torch.equal(explain.contributions(net, x, seed=1), expected)
    assert all(p.grad is None for p in net.parameters())


def test_contributions_of_a_sequence_hang_on_nothing_that_is_asked_beside_it():
    torch.manual_seed(0)
    net, x = models.build("dna:deepbind"), drawn(12, 40)
    whole = explain.contributions(net, x)
    close = {"rtol": 1e-4, "atol": 1e-5}  # float32, sums in another order
    torch.testing.assert_close(explain.contributions(net, x[:5]), whole[:5], **close)
    torch.testing.assert_close(explain.contributions(net, x, batch_size=5), whole, **close)
    with torch.inference_mode():
        torch.testing.assert_close(explain.contributions(net, x), whole, **close)


def test_unknown_letters_around_a_sequence_add_nothing():
    net, x = Seeker(SITES, [1.0, 3.0]), planted(20, SITES)[0]
    amid = torch.full((20, 100), dna.UNKNOWN, dtype=torch.uint8)
    amid[:, 20:80] = x
    found = explain.contributions(net, amid)
    assert (found[:, :20] == 0).all()
    assert (found[:, 80:] == 0).all()
    assert found.abs().sum() > 0


def test_patterns_are_the_planted_sites_the_heavier_first_on_either_strand():
    x, which = planted(300, SITES)
    light, heavy = (int((which == n).sum()) for n in (0, 1))
    found = explain.patterns(Seeker(SITES, [1.0, 3.0]), x)
    assert [pattern.motif.name for pattern in found[:2]] == ["pattern_0", "pattern_1"]
    for pattern, site, sites in zip(found, reversed(SITES), (heavy, light), strict=False):
        known = Motif("known", "", 10 * dna.one_hot(dna.encode([site]))[0].numpy())
        (match,) = explain.matches([pattern.motif], [known])
        assert match.pvalue < 1e-5
        assert match.overlap >= 9
        assert pattern.motif.sites >= 0.9 * sites, "and runs that are nearly such sites"
    shares = [pattern.share for pattern in found]
    assert shares == sorted(shares, reverse=True)
    assert 0.7 < shares[0] < sum(shares) <= 1 + 1e-6
    assert [p.motif.name for p in explain.patterns(Seeker(SITES, [1.0, 3.0]), x, top=1)] == ["pattern_0"]
    assert explain.matches(found, found) == explain.matches(*[[p.motif for p in found]] * 2)


def test_patterns_of_several_networks_are_those_they_have_between_them():
    x, _ = planted(300, SITES)
    one, other = Seeker(SITES, [2.0, 0.0]), Seeker(SITES, [0.0, 2.0])
    both = explain.patterns([one, other], x)
    mean = explain.patterns(Seeker(SITES, [1.0, 1.0]), x)
    for ours, theirs in zip(both[:2], mean[:2], strict=True):
        np.testing.assert_array_equal(ours.motif.matrix, theirs.motif.matrix)
    assert explain.patterns(one, x, top=1)[0].motif.consensus in ("TGACTCAGCA", "TGCTGAGTCA")


def test_patterns_of_one_strand_keep_both_readings_apart():
    x, _ = planted(300, SITES[1:])
    together, apart = (explain.patterns(Seeker(SITES[1:], [1.0]), x, reverse=reverse) for reverse in (True, False))
    assert together[0].motif.sites >= 280
    assert together[0].share > 0.9
    assert 130 <= apart[1].motif.sites <= apart[0].motif.sites <= 200
    assert {pattern.motif.consensus for pattern in apart[:2]} == {"AGATAAGCAC", "GTGCTTATCT"}


def test_sequences_shorter_than_a_run_are_runs_themselves():
    x = dna.encode(["TTAGATAAGCAC", "CAGATAAGCACT", "GGTGCTTATCTG"] * 4)
    (found,) = explain.patterns(Seeker(SITES[1:], [1.0]), x)[:1]
    assert any("AGATAAGCAC" in one.consensus for one in (found.motif, found.motif.reversed()))
    assert found.motif.sites == 12
    with pytest.raises(ValueError, match="there are no sequences"):
        explain.patterns(Seeker(SITES[1:], [1.0]), x[:0])


def test_a_model_that_looks_at_nothing_has_no_patterns():
    assert explain.patterns(Seeker(SITES, [0.0, 0.0]), drawn(50)) == []


@given(seed=st.integers(0, 1000))
@strategies.examples(5)
def test_what_is_no_motif_is_not_told_as_one(seed):
    torch.manual_seed(seed)
    found = explain.patterns(models.build("dna:deepbind"), drawn(100, 60, seed), least=2)
    for number, pattern in enumerate(found):
        assert pattern.motif.name == f"pattern_{number}"
        assert pattern.motif.width >= 4
        assert pattern.share > 0


def test_no_models_are_said():
    for explained in (
        explain.patterns,
        explain.detectors,
        lambda nets, x: next(iter(explain.effects(nets, [], {}, length=9))),
    ):
        with pytest.raises(ValueError, match="there is no model to answer"):
            explained([], drawn(5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 14}, "width 14, .* odd"),
        ({"likeness": 1.0}, "likeness 1.0"),
        ({"least": 0}, "least 0"),
        ({"references": 0}, "references 0"),
        ({"target": 3}, "target 3 is not one"),
    ],
)
def test_what_cannot_be_meant_is_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        explain.patterns(Seeker(SITES, [1.0, 1.0]), drawn(30), **options)
    assert "\n" not in str(caught.value)
