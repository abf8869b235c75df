"""Both strands: what layers say of the reverse complement is what they said of the sequence, turned, to the bit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from torch import nn
from torch.nn import functional as F

import sigconv as sc
from sigconv.blocks import BothStrands, ReverseComplementBatchNorm, ReverseComplementConv, StrandPool, other_strand


def turned(x):
    return x.flip(1, 2)


def hot(tokens):
    """Unknown letters are a quarter of each."""
    return torch.cat([torch.eye(4), torch.full((1, 4), 0.25)])[tokens.long()].mT.double()


def letters(generator, batch=2, n=60):
    return torch.randint(0, 5, (batch, n), generator=generator).to(torch.uint8)


@st.composite
def convolutions(draw, channels=None):
    """A convolution both strands agree about, and an x for it."""
    pairs, taps, dilation, stride = (draw(st.integers(1, top)) for top in (3, 9, 3, 4))
    inside, span = channels or 2 * draw(st.integers(1, 3)), dilation * (taps - 1) + 1
    words = ["valid", "full", 0, 2] + (["same", "half"] if span % 2 else [])
    padding = draw(st.sampled_from(words))
    mode = draw(st.sampled_from(["zeros", "reflect", "circular", "replicate", "symmetric"]))
    margin = sc.nd.margins(padding, (taps,), (dilation,))[0][0]
    n = span + draw(st.integers(0, 12)) * stride - 2 * margin
    while n < max(margin + 1, 1):
        n += stride
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    torch.manual_seed(draw(st.integers(0, 99)))
    layer = ReverseComplementConv(
        inside, 2 * pairs, taps, stride, padding, dilation=dilation, padding_mode=mode, bias=draw(st.booleans())
    )
    return layer.double(), torch.randn(2, inside, n, generator=generator, dtype=torch.float64)


@examples(150)
@given(convolutions())
def test_paired_convolution_is_equivariant_and_both_strands_run_to_the_bit(drawn):
    layer, x = drawn
    y = layer(x)
    assert torch.equal(layer(turned(x)), turned(y))
    assert torch.equal(y, torch.cat([layer.conv(x), turned(layer.conv(turned(x)))], 1))
    assert torch.equal(y, BothStrands(layer.conv, reduce=None)(x))
    weight, bias = layer.dense()
    options = layer.conv.options
    torch.testing.assert_close(sc.conv(x, weight, bias, **options), y, rtol=1e-12, atol=1e-12)
    assert torch.equal(turned(weight).flip(0), weight)


@examples(60)
@given(convolutions(channels=4), st.integers(0, 99))
def test_tokens_and_one_hot_channels_say_the_same(drawn, seed):
    layer, x = drawn
    tokens = letters(torch.Generator().manual_seed(seed), n=x.shape[2])
    torch.testing.assert_close(layer(tokens), layer(hot(tokens)), rtol=1e-12, atol=1e-12)
    assert torch.equal(layer(other_strand(tokens)), turned(layer(tokens)))
    assert torch.equal(hot(other_strand(tokens)), turned(hot(tokens)))
    assert torch.equal(other_strand(other_strand(tokens)), tokens)


def stack():
    torch.manual_seed(0)
    layers = [ReverseComplementConv(4, 12, 9, padding="same"), ReverseComplementBatchNorm(12), nn.ReLU()]
    layers += [sc.MaxPool(3), ReverseComplementConv(12, 10, 4, dilation=2), nn.GELU()]
    return nn.Sequential(*layers, ReverseComplementConv(10, 6, 1)).double()


def test_a_stack_is_equivariant_to_the_bit_and_its_pool_invariant():
    model, tokens = stack().eval(), letters(torch.Generator().manual_seed(0), n=63)
    model[1].norm.running_mean.normal_(), model[1].norm.running_var.uniform_(1, 2)
    for x, other in ((tokens, other_strand(tokens)), (hot(tokens), turned(hot(tokens)))):
        y = model(x)
        assert torch.equal(model(other), turned(y))
        for reduce in ("max", "mean"):
            pooled = StrandPool(6, reduce)(y)
            assert torch.equal(StrandPool(6, reduce)(model(other)), pooled.flip(2))
            assert pooled.shape == (2, 3, y.shape[2])
        best = lambda y: StrandPool(6)(sc.global_pool(y, "max"))
        assert torch.equal(best(model(other)), best(y))


def test_gradients_of_both_strands_are_those_of_one_convolution_with_tied_weights():
    layer, x = ReverseComplementConv(4, 6, 5).double(), hot(letters(torch.Generator().manual_seed(1)))
    g = torch.randn(2, 6, 56, dtype=torch.float64)
    ours = torch.autograd.grad(layer(x), list(layer.parameters()), g)
    tied = torch.autograd.grad(F.conv1d(x, *layer.dense()), list(layer.parameters()), g)
    torch.testing.assert_close(ours, tied, rtol=1e-10, atol=1e-10)
    turned_about = torch.autograd.grad(layer(turned(x)), list(layer.parameters()), turned(g))
    torch.testing.assert_close(turned_about, ours, rtol=1e-12, atol=1e-12)


def test_batch_norm_of_pairs_is_that_of_both_strands_as_one_batch():
    norm, x = ReverseComplementBatchNorm(6, momentum=1.0).double(), torch.randn(3, 6, 7, dtype=torch.float64)
    y = norm(x)
    torch.testing.assert_close(norm(turned(x)), turned(y), rtol=1e-12, atol=1e-12)
    both = torch.cat([x[:, :3], x[:, 3:].flip(1)])
    torch.testing.assert_close(norm.norm.running_mean, both.mean((0, 2)))
    torch.testing.assert_close(norm.norm.running_var, both.var((0, 2)))
    torch.testing.assert_close(y[:, 0], (x[:, 0] - both[:, 0].mean()) / (both[:, 0].var(correction=0) + 1e-5).sqrt())


# ---- BothStrands


def test_batch_norms_of_a_layer_in_training_see_both_strands_together():
    norm, x = nn.BatchNorm1d(4, momentum=1.0).double(), torch.randn(2, 4, 9, dtype=torch.float64)
    y = BothStrands(norm, reduce=None)(x)
    both = torch.cat([x, turned(x)])
    torch.testing.assert_close(norm.running_mean, both.mean((0, 2)))
    torch.testing.assert_close(y[:, 0], (x[:, 0] - both[:, 0].mean()) / (both[:, 0].var(correction=0) + 1e-5).sqrt())


@pytest.mark.parametrize("reduce", ["max", "mean", None])
@pytest.mark.parametrize("positions", [True, False])
def test_any_layer_on_both_strands_is_the_two_answers_put_together(reduce, positions):
    torch.manual_seed(2)
    layers = [sc.Conv(4, 6, 8, ndim=1), nn.ReLU()]
    layer = nn.Sequential(*layers, *([] if positions else [sc.GlobalMaxPool(), nn.Linear(6, 3)])).double()
    model, tokens = BothStrands(layer, reduce).eval(), letters(torch.Generator().manual_seed(3))
    for x in (tokens, hot(tokens)):
        one, other = layer(x), layer(other_strand(x))
        other = other.flip(2) if positions else other
        wanted = {
            "max": lambda one, other: torch.maximum(one, other),
            "mean": lambda one, other: (one + other) / 2,
            None: lambda one, other: torch.cat([one, other.flip(1)], 1),
        }
        y = model(x)
        assert torch.equal(y, wanted[reduce](one, other))
        torch.testing.assert_close(model.train()(x), y, rtol=1e-12, atol=1e-12)
        model.eval()
        turn = [1] * (reduce is None) + [2] * positions
        assert torch.equal(model(other_strand(x)), y.flip(turn))


def test_the_best_match_of_both_strands():
    torch.manual_seed(0)
    best = sc.ConvMax(4, 5, 7, ndim=1)
    model, x = BothStrands(best).eval(), letters(torch.Generator().manual_seed(0))
    conv = sc.Conv(4, 5, 7, ndim=1)
    conv.load_state_dict(best.state_dict())
    y = model(x)
    torch.testing.assert_close(y, sc.global_pool(BothStrands(conv)(x).relu(), "max"))
    assert torch.equal(model(other_strand(x)), y)
    y.sum().backward()
    assert best.weight.grad.abs().sum() > 0


def test_other_strands_of_tokens_of_any_kind_leave_unknown_ones():
    for dtype in (torch.uint8, torch.int8, torch.int64):
        x = torch.tensor([[0, 1, 2, 3, 4, 100]]).to(dtype)
        assert other_strand(x).tolist() == [[100, 4, 0, 1, 2, 3]]
        assert other_strand(x).dtype == dtype
    assert other_strand(torch.tensor([[-1, 5, 0]]), symbols=6).tolist() == [[5, 0, -1]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ReverseComplementConv(4, 5, 3), "out_channels=5 is odd"),
        (lambda: ReverseComplementConv(4, 6, 4, padding="same"), "1 before and 2 after"),
        (lambda: ReverseComplementConv(4, 6, 3, padding="causal"), "2 before and 0 after"),
        (lambda: ReverseComplementConv(4, 6, 3, ndim=2), "a strand has one axis"),
        (lambda: ReverseComplementConv(4, 6, 3, stride=2)(torch.zeros(1, 4, 10)), "stride 2 leaves 1 of 10 samples"),
        (lambda: ReverseComplementConv(4, 6, 3)(torch.zeros(1, 3, 10)), r"x has shape \(1, 3, 10\): expected"),
        (lambda: ReverseComplementConv(4, 6, 3)(torch.zeros(1, 1, 3, dtype=torch.long)), "expected tokens"),
        (lambda: ReverseComplementConv(4, 6, 9)(torch.zeros(1, 4, 3)), "kernel 9 is larger"),
        (lambda: ReverseComplementBatchNorm(3), "channels=3 is odd"),
        (lambda: ReverseComplementBatchNorm(4)(torch.zeros(1, 6, 3)), r"expected \(batch, 4, n\)"),
        (lambda: StrandPool(4, "sum"), "reduce 'sum' is not one of"),
        (lambda: StrandPool(4)(torch.zeros(1, 6, 3)), r"expected \(batch, 4\)"),
        (lambda: BothStrands(nn.Identity(), "least"), "reduce 'least' is not one of"),
        (lambda: BothStrands(nn.Unflatten(1, (2, 2)))(torch.zeros(1, 4, 3)), "Unflatten answers with shape"),
        (lambda: BothStrands(nn.Identity())(torch.zeros(4, 3)), r"x has shape \(4, 3\)"),
    ],
)
def test_what_cannot_be_turned_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
