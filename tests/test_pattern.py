"""Networks from a word: what every token becomes, and where a wrong one stands."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import nn

from sigconv import Conv, blocks, models, pooling
from sigconv.models import _pattern

from_pattern = models.from_pattern


def kinds(net):
    return [type(layer).__name__ for layer in net]


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("pattern", ["CRCRP", "CRCRCRP"])
def test_ar1_the_lectures_patterns_compile(pattern, ndim):
    net = from_pattern(pattern, 3, ndim=ndim, channels=4)
    names = {"C": "Conv", "R": "ReLU", "P": "MaxPool"}
    assert kinds(net) == [names[letter] for letter in pattern]
    assert net(torch.zeros(2, 3, *[4] * ndim)).shape == (2, 4, *[2] * ndim)
    classifier = from_pattern(pattern, 3, 5, ndim=ndim, channels=4)
    assert kinds(classifier)[-2:] == ["GlobalAvgPool", "Linear"]
    assert classifier(torch.zeros(2, 3, *[4] * ndim)).shape == (2, 5)


def test_ar1_every_token_becomes_its_layer():
    net = from_pattern("C5S2D6 B R N A3S1Z1 D C3D8X2 M3S2U G F7 B R D", 3, 2, ndim=2, dropout=0.3)
    assert kinds(net) == [
        *("Conv", "BatchNorm", "ReLU", "LocalResponseNorm", "AvgPool", "Dropout", "Conv", "MaxPool", "GlobalAvgPool"),
        *("Linear", "BatchNorm", "ReLU", "Dropout", "Linear"),
    ]
    names = "conv1 bn1 act1 lrn1 pool1 drop1 conv2 pool2 gap fc1 bn2 act2 drop2 out"
    assert " ".join(name for name, _ in net.named_children()) == names
    first, second = net.conv1, net.conv2
    assert (first.kernel_size, first.stride, first.out_channels) == ((5, 5), (2, 2), 6)
    assert (second.groups, second.weight.shape) == (2, (8, 3, 3, 3))
    assert (net.fc1.out_features, net.out.out_features, net.drop1.p) == (7, 2, 0.3)
    x = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        y = net.pool1(net.conv1(x))
        assert y.shape == (2, 6, 6, 6)
        assert net.pool2(y).shape == (2, 6, 3, 3)  # the last window hangs over
        assert net(x).shape == (2, 2)


def test_e1_c3d64_is_a_3x3_convolution_of_depth_64_and_c1d256_a_1x1():
    for ndim in (1, 2, 3):
        three, one = from_pattern("C3D64 C1D256", 3, ndim=ndim)
        assert three.weight.shape == (64, 3, *[3] * ndim)
        assert one.weight.shape == (256, 64, *[1] * ndim)


@pytest.mark.parametrize(
    "pattern", ["(CRP)*2", "(CRP)\u00d72", "CRP CRP", "CRP,CRP", "(CR P )*2", "C3RP2-C3RP2", "((C)*1 RM)*2"]
)
def test_e2_repetitions_brackets_and_gaps_are_one_pattern(pattern):
    assert kinds(from_pattern(pattern, 1)) == ["Conv", "ReLU", "MaxPool"] * 2


def test_e2_a_repetition_takes_the_token_before_it():
    assert [t.numbers.get("D") for t in _pattern.parse("C3D64 C3D128*3 M")] == [64, 128, 128, 128, None]


@given(st.lists(st.sampled_from(["C", "C3D4", "C1S2D6", "R", "B", "N", "D", "P", "P3S2U", "A"]), max_size=12))
def test_ar1_any_order_of_tokens_is_read_back(tokens):
    for gap in (" ", ", "):
        seen = _pattern.parse(gap.join(tokens))
        assert [t.kind for t in seen] == [t[0] for t in tokens]
    text = gap.join(tokens)
    assert all(text[t.position] == t.kind for t in seen)


@pytest.mark.parametrize("pattern", ["CRP", "CPR", "RCP", "PCR", "CBRP", "CRBP"])
def test_ac4_stages_stand_in_the_order_written(pattern):
    torch.manual_seed(0)
    net = from_pattern(pattern, 3, channels=4, ndim=1).eval()
    x = y = torch.randn(2, 3, 8)
    for letter in pattern:
        if letter == "C":
            y = nn.functional.conv1d(y, net.conv1.weight, net.conv1.bias, padding=1)
        y = {"R": torch.relu, "P": lambda y: nn.functional.max_pool1d(y, 2)}.get(letter, lambda y: y)(y)
    torch.testing.assert_close(net(x), y, rtol=1e-4, atol=1e-5)  # bn at its start is the identity but for its eps


def test_ar1_a_depth_asked_for_is_never_rounded():
    assert [m.out_channels for m in from_pattern("C3D5 C3D6 C3D8X2", 1)] == [5, 6, 8]


def test_ar3_channels_double_where_space_halves_or_are_as_given():
    depth = lambda net: [m.out_channels for m in net if isinstance(m, Conv)]
    assert depth(from_pattern("CRCRP CRP CR", 3, channels=8)) == [8, 8, 16, 32]
    assert depth(from_pattern("CRCRP CRP CR", 3, channels=(5, 6, 7, 8))) == [5, 6, 7, 8]
    assert depth(from_pattern("CRC3D9RP CRP", 3, channels=(5, 6))) == [5, 9, 6]


def test_ar16_a_standard_stack_and_global_average_on_a_large_image():
    with torch.device("meta"):
        net = from_pattern("(CRCRP)*5 G", 3, 1000, channels=32)
        assert net(torch.empty(1, 3, 1024, 768)).shape == (1, 1000)
        assert net(torch.empty(1, 3, 224, 224)).shape == (1, 1000)
    assert isinstance(net.gap, pooling.GlobalAvgPool)
    assert net.out.in_features == 32 * 16  # as many features as the last maps are deep


def test_ar5_the_neocognitron_as_a_pattern():
    """S-cells match features behind a rectifier, C-cells blur where they stood: three times, in one and two axes."""
    net = from_pattern("(C5R A2)*3", 1, 10, channels=12, ndim=2)
    assert net(torch.rand(1, 1, 16, 16)).shape == (1, 10)
    assert [type(m).__name__ for m in net][:6] == ["Conv", "ReLU", "AvgPool"] * 2


def test_ar2_fully_connected_behind_stages_needs_the_size():
    net = from_pattern("CRP CRP F32 R D F16", 3, 4, ndim=3, channels=4, size=(8, 12, 5))
    assert net.fc1.in_features == 8 * 2 * 3 * 1
    assert net(torch.zeros(2, 3, 8, 12, 5)).shape == (2, 4)
    with pytest.raises(ValueError, match=r"'CRP F32' at position 4: F needs size="):
        from_pattern("CRP F32", 3, 4)


@pytest.mark.parametrize(
    ("pattern", "at"),
    [
        *(("CRXP", 2), ("CRP(CR", 3), ("CR)P", 2), ("*2CR", 0), ("CR*", 2), ("C3D", None), ("CFP", 1), ("CR 7", 3)),
        *(
            ("C*0", 1),
            ("C*99999999999", 1),
            ("crp", 0),
            ("C P3Q2", 4),
            ("CGC", 2),
            ("C*2*3", 3),
            ("CR\n?", 3),
            ("()*2", 2),
        ),
    ],
)
def test_ar1_a_bad_token_is_named_with_its_position(pattern, at):
    if at is None:  # a convolution, then dropout
        assert kinds(from_pattern(pattern, 1)) == ["Conv", "Dropout"]
        return
    with pytest.raises(ValueError, match=f"at position {at}: ") as caught:
        from_pattern(pattern, 3, 2)
    assert "\n" not in str(caught.value)
    assert repr(pattern) in str(caught.value)


def test_ar1_too_few_channels_and_depths_of_nothing_are_refused():
    with pytest.raises(ValueError, match="none is left for the C at position 2"):
        from_pattern("CRC", 3, channels=(4,))
    with pytest.raises(ValueError, match="depth 0"):
        from_pattern("C3D0", 3)
    with pytest.raises(TypeError, match=r"pattern 3\.5"):
        from_pattern(3.5, 3)


def test_ac1_the_activation_is_chosen_and_ex15_weights_are_hes():
    torch.manual_seed(0)
    net = from_pattern("C3D64 R C3D64 R", 64, activation="leaky_relu")
    assert kinds(net)[1] == "LeakyReLU"
    assert net.conv1.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)
    assert isinstance(from_pattern("CN", 3).lrn1, blocks.LocalResponseNorm)
