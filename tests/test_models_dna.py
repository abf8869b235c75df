"""DNA models: counts, what they see, tokens and channels alike, both strands, the loss of a profile."""

import pytest
import torch

import sigconv as sc
from sigconv import models
from sigconv.convolution import Conv, ConvMax
from sigconv.models.dna import profile_loss
from sigconv.transforms import dna


def sequences(n, letters, seed=0):
    return torch.randint(0, 5, (n, letters), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


@pytest.mark.parametrize("kernels", [1, 16, 32, 64, 128, 256])
def test_ap2_zengs_family_has_the_published_counts(kernels):
    expected = {1: 227, 16: 2162, 32: 4226, 64: 8354, 128: 16610, 256: 33122}
    model = models.build("dna:zeng", kernels=kernels)
    assert sum(p.numel() for p in model.parameters()) == expected[kernels]


@pytest.mark.parametrize(
    "spec", ["dna:zeng", "dna:zeng:window=11", "dna:zeng:layers=3", "dna:deepbind", "dna:residual", "dna:bpnet"]
)
def test_ap2_tokens_and_channels_are_answered_alike(spec):
    torch.manual_seed(0)
    model = models.build(spec).double().eval()
    x = sequences(3, 101)
    told = model(x)
    expected = model(dna.one_hot(x, dtype=torch.float64))
    torch.testing.assert_close(told, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("variant", ["deepbind", "residual"])
def test_ap2_both_strands_are_answered_alike_to_the_bit(variant):
    model = models.build(f"dna:{variant}", mean=True, dropout=0.3).double().eval()
    x = sequences(4, 60)
    assert torch.equal(model(x), model(dna.reverse_complement(x)))
    single = models.build(f"dna:{variant}", strands=False).eval()
    assert not torch.allclose(single(x), single(dna.reverse_complement(x)))


def test_ap2_deepbinds_detectors_learn_their_thresholds_and_flanks_are_unknown_letters():
    torch.manual_seed(1)
    model = models.build("dna:deepbind", strands=False, hidden=0).eval()
    x = sequences(2, 30)
    flanked = torch.nn.functional.pad(dna.one_hot(x), (23, 23), value=0.25)
    with torch.no_grad():
        model[1].bias.uniform_(-0.1, 0.1)  # minus the thresholds
        by_hand = torch.nn.functional.conv1d(flanked, model[1].weight) + model[1].bias[:, None]
        expected = model[-1](by_hand.relu().amax(2))
    torch.testing.assert_close(model(x), expected)
    model(x).sum().backward()
    assert model[1].bias.grad.abs().sum() > 0


def test_ap2_local_windows_keep_where_a_motif_is():
    whole, local = models.build("dna:zeng"), models.build("dna:zeng", window=11, size=101)
    assert local[-4].in_features == 16 * 10
    assert whole[-4].in_features == 16
    x = torch.zeros(1, 4, 101)
    x[0, 0, 40:60] = 1
    moved = x.roll(25, 2)
    torch.testing.assert_close(whole.eval()(x), whole(moved))
    assert not torch.allclose(local.eval()(x), local(moved))


def test_ap2_bpnet_sees_1034_letters_to_either_side():
    model = models.build("dna:bpnet", width=1 / 16, output="profile")
    trunk = torch.nn.Sequential(*list(model)[:-1])
    assert sc.describe(trunk, (1, 4, 3000))[-1].receptive_field == (2069,)
    profile, counts = models.build("dna:bpnet", width=1 / 16, layers=2)(torch.rand(2, 4, 50))
    assert profile.shape == (2, 8, 50)
    assert counts.shape == (2, 8)
    assert models.build("dna:bpnet", width=1 / 16, output="counts")(torch.rand(2, 4, 50)).shape == (2, 8)


def test_ap2_the_loss_of_a_profile_is_the_multinomials():
    torch.manual_seed(2)
    logits = torch.randn(3, 2, 7, dtype=torch.float64, requires_grad=True)
    numbers = torch.randn(3, 2, dtype=torch.float64)
    reads = torch.randint(0, 6, (3, 2, 7)).double()
    by_torch = torch.stack(
        [
            -torch.distributions.Multinomial(int(r.sum()), logits=row, validate_args=False).log_prob(r)
            for row, r in zip(logits.reshape(-1, 7), reads.reshape(-1, 7), strict=True)
        ]
    ).mean()
    squares = (numbers - (reads.sum(2) + 1).log()).square().mean()
    torch.testing.assert_close(profile_loss((logits, numbers), reads, 3.0), by_torch + 3 * squares)
    profile_loss((logits, numbers), reads).backward()
    assert torch.isfinite(logits.grad).all()


def test_words_say_what_is_wrong():
    with pytest.raises(ValueError, match="dna variant 'danq' is not one of"):
        models.build("dna:danq")
    with pytest.raises(ValueError, match="option window=3: dna:deepbind takes"):
        models.build("dna:deepbind", window=3)
    with pytest.raises(ValueError, match="size 100 is too small: basset takes 168 samples"):
        models.build("dna:basset", size=100)
    with pytest.raises(ValueError, match="output 'reads' is not one of"):
        models.build("dna:bpnet", output="reads")
    with pytest.raises(TypeError, match=r"kernels 2\.5 is not a whole number"):
        models.build("dna:zeng", kernels=2.5)


@pytest.mark.parametrize("spec", ["dna:zeng", "dna:zeng:layers=2", "dna:deepbind"])
def test_a_rectified_best_match_is_taken_in_one_go_and_is_what_the_layers_in_a_row_say(spec):
    torch.manual_seed(0)
    model = models.build(spec).double().eval()
    x = sequences(3, 101)
    conv = next(part for part in model.modules() if isinstance(part, ConvMax))
    seen = []
    conv.register_forward_hook(lambda module, given, out: seen.append((given[0], out)))
    model(x)
    for given, out in seen:
        torch.testing.assert_close(Conv.forward(conv, given).relu().amax(2), out)
    assert seen
