"""Blocks: each against what torch, a loop or arithmetic says it is."""

import itertools

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.nn import functional as F

from sigconv import Conv, blocks, nd
from sigconv.pooling import max_pool

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
SPACE = {1: (9,), 2: (7, 6), 3: (5, 4, 6), 4: (3, 4, 3, 2)}


def wide(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def count(module):
    return sum(p.numel() for p in module.parameters())


# Local response normalization


def by_loop(x, size, alpha, beta, k):
    """The formula of Krizhevsky et al. 2012, section 3.3, for odd sizes, channel by channel."""
    y = torch.empty_like(x)
    for i in range(x.shape[1]):
        low, high = max(0, i - size // 2), min(x.shape[1] - 1, i + size // 2)
        energy = sum(x[:, j] ** 2 for j in range(low, high + 1))
        y[:, i] = x[:, i] / (k + alpha * energy) ** beta
    return y


@pytest.mark.parametrize("ndim", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 3, 5, 11])
def test_ac2_lrn_is_the_papers_formula_in_any_ndim(ndim, size):
    x = wide((2, 7, *SPACE.get(ndim, ())))
    ours = blocks.local_response_norm(x, size, alpha=0.3, beta=0.75, k=2.0)
    torch.testing.assert_close(ours, by_loop(x, size, 0.3, 0.75, 2.0), rtol=1e-12, atol=1e-14)


@settings(max_examples=40)
@given(
    st.integers(1, 3), st.integers(1, 9), st.integers(1, 6), st.floats(1e-4, 2), st.floats(0.1, 1.5), st.floats(0.5, 3)
)
def test_ac2_lrn_equals_torchs_when_told_to_take_the_mean(ndim, channels, size, alpha, beta, k):
    x = wide((2, channels, *SPACE[ndim]))
    ours = blocks.LocalResponseNorm(size, alpha=alpha, beta=beta, k=k, mean=True)(x)
    torch.testing.assert_close(ours, nn.LocalResponseNorm(size, alpha, beta, k)(x), rtol=1e-11, atol=1e-13)


def test_ac2_lrn_defaults_are_the_papers_and_do_not_divide_alpha():
    x = 100 * wide((1, 9, 4))
    torch.testing.assert_close(blocks.LocalResponseNorm()(x), by_loop(x, 5, 1e-4, 0.75, 2.0))
    torch.testing.assert_close(blocks.LocalResponseNorm()(x), nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)(x))
    assert not torch.allclose(blocks.LocalResponseNorm()(x), nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)(x))


def test_ac2_lrn_gradients_half_precision_numpy_and_refusals():
    x = wide((2, 4, 3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: blocks.local_response_norm(x, 3, alpha=0.5), x)
    assert torch.autograd.gradgradcheck(lambda x: blocks.local_response_norm(x, 3, alpha=0.5), x)
    large = torch.full((1, 3, 2), 1000.0)  # its square is beyond float16
    half = blocks.local_response_norm(large.half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), blocks.local_response_norm(large), rtol=1e-3, atol=0)
    assert type(blocks.local_response_norm(wide((1, 3, 2)).numpy())).__module__ == "numpy"
    with pytest.raises(ValueError, match=r"\(3,\).*expected floats"):
        blocks.local_response_norm(torch.zeros(3))
    with pytest.raises(ValueError, match="size 0"):
        blocks.LocalResponseNorm(0)


# Stages


ORDERS = ["conv", "conv-act", "conv-act-pool", "conv-pool-act", "bn-act-conv", "pool-conv-act", "act-pool-bn-conv"]


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize("order", ORDERS)
def test_ac3_ac4_a_stage_has_its_parts_in_the_order_asked_for_each_visible(order, ndim):
    stage = blocks.Stage(3, 5, 3, ndim=ndim, order=order, padding=1).double()
    assert [name for name, _ in stage.named_children()] == order.split("-")
    x, over = wide((2, 3, *SPACE[ndim])), (0, *range(2, 2 + ndim))
    parts = {
        "conv": stage.conv,
        "act": F.relu,
        "pool": lambda x: max_pool(x, 2),
        "bn": lambda x: (x - x.mean(over, keepdim=True)) / (x.var(over, keepdim=True, correction=0) + 1e-5).sqrt(),
    }
    expected = x
    for part in order.split("-"):
        expected = parts[part](expected)
    torch.testing.assert_close(stage(x), expected)
    assert (stage.conv.bias is None) == ("bn" in order)


def test_ac3_an_activation_keeps_maps_and_size():
    for name in blocks.ACTIVATIONS:
        x = torch.randn(2, 3, 4, 5)
        assert blocks.activation(name, 3, 2)(x).shape == x.shape


@pytest.mark.parametrize("order", ["act-pool", "conv-conv", "conv-relu", ""])
def test_ac4_orders_that_make_no_stage_are_refused_with_their_words(order):
    with pytest.raises(ValueError, match="order"):
        blocks.Stage(3, 5, 3, order=order)


# Inception


def reference_inception(x, block, five, ndim):
    """The four branches by torch's own functions."""
    pool = getattr(F, f"max_pool{ndim}d")
    conv = lambda x, s, pad: F.relu(CONV[ndim](x, s.conv.weight, s.conv.bias, padding=pad))
    through = lambda branch, pad: conv(conv(x, branch[0], 0), branch[1], pad)
    return torch.cat(
        [
            conv(x, block.branch1, 0),
            through(block.branch2, 1),
            through(block.branch3, five // 2),
            conv(pool(x, 3, 1, 1), block.branch4[1], 0),
        ],
        1,
    )


@pytest.mark.parametrize("five", [3, 5])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_ar11_inception_with_reductions_is_its_branches_side_by_side(ndim, five):
    block = blocks.Inception(6, 3, 4, 5, 2, 3, 2, ndim=ndim, five=five).double()
    x = wide((2, 6, *SPACE[ndim]))
    y = block(x)
    assert y.shape == (2, block.out_channels, *SPACE[ndim])
    torch.testing.assert_close(y, reference_inception(x, block, five, ndim))


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_ar10_naive_inception_has_no_1x1_reductions_and_passes_the_maximum_on(ndim):
    block = blocks.Inception(6, 3, 4, 5, 2, 3, 2, ndim=ndim, naive=True).double()
    assert [m.kernel_size[0] for m in block.modules() if isinstance(m, Conv)] == [1, 3, 5]
    x = wide((1, 6, *SPACE[ndim]))
    y = block(x)
    assert y.shape[1] == block.out_channels == 3 + 5 + 3 + 6
    padded = nd.pad(x, ((1, 1),) * ndim, "constant", -torch.inf)
    shifts = itertools.product(range(3), repeat=ndim)
    cells = [padded[(..., *(slice(s, s + n) for s, n in zip(shift, SPACE[ndim], strict=True)))] for shift in shifts]
    assert torch.equal(y[:, -6:], torch.stack(cells).amax(0))


def test_ar10_ar11_reductions_save_what_the_paper_says():
    with torch.device("meta"):
        reduced = blocks.Inception(192, 64, 96, 128, 16, 32, 32)
        naive = blocks.Inception(192, 64, 96, 128, 16, 32, 32, naive=True)
    assert count(reduced) == 163_696  # inception (3a): 159 K in table 1 of the paper
    assert count(naive) == 192 * (64 + 9 * 128 + 25 * 32) + 64 + 128 + 32
    assert (reduced.out_channels, naive.out_channels) == (256, 416)


def test_ar11_an_inception_of_other_kernels_is_refused():
    with pytest.raises(ValueError, match="five '7'"):
        blocks.Inception(6, 3, 4, 5, 2, 3, 2, five=7)


# Residual blocks


def reference_residual(x, block, stride, ndim, version):
    """He et al.'s equations by torch's functions, in training."""
    conv = lambda x, c, stride=1: CONV[ndim](x, c.weight, None, stride, c.weight.shape[2] // 2)
    norm = lambda x: F.batch_norm(x, None, None, training=True)
    if hasattr(block, "conv3"):
        first, second = (stride, 1) if version == "v1" else (1, stride)
        y = F.relu(norm(conv(x, block.conv1, first)))
        y = F.relu(norm(conv(y, block.conv2, second)))
        y = norm(conv(y, block.conv3))
    else:
        y = norm(conv(F.relu(norm(conv(x, block.conv1, stride))), block.conv2))
    if isinstance(block.downsample, nn.Sequential):
        x = norm(conv(x, block.downsample[0], stride))
    elif block.downsample is not None:
        x = x[(..., *[slice(None, None, stride)] * ndim)]
        x = torch.cat([x, x.new_zeros(len(x), y.shape[1] - x.shape[1], *x.shape[2:])], 1)
    return F.relu(x + y)


@pytest.mark.parametrize("version", ["v1", "v1.5"])
@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", ["BasicBlock", "Bottleneck"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_ar13_residual_blocks_are_their_equations(ndim, kind, stride, shortcut, version):
    options = {"version": version} if kind == "Bottleneck" else {}
    block = getattr(blocks, kind)(4, 6, stride, ndim=ndim, shortcut=shortcut, **options).double()
    x = wide((3, 4, *SPACE[ndim]))
    y = block(x)
    assert y.shape == (3, 6 * block.expansion, *(-(-n // stride) for n in SPACE[ndim]))
    torch.testing.assert_close(y, reference_residual(x, block, stride, ndim, version))


def test_ar13_the_projection_is_a_1x1_convolution_of_stride_2_and_only_where_shapes_differ():
    block = blocks.BasicBlock(64, 128, 2)
    assert block.downsample[0].kernel_size == (1, 1)
    assert block.downsample[0].stride == (2, 2)
    assert blocks.BasicBlock(64, 64).downsample is None
    assert blocks.Bottleneck(256, 64).downsample is None
    assert count(blocks.skip(64, 128, 2, ndim=2, option="A")) == 0
    assert count(block.downsample) == 64 * 128 + 2 * 128


def test_ar13_names_are_torchvisions():
    layers = lambda *names: {f"{n}.{p}" for n in names for p in ("weight", "bias") if "conv" not in n or p == "weight"}
    basic = layers("conv1", "bn1", "conv2", "bn2", "downsample.1") | {"downsample.0.weight"}
    assert {name for name, _ in blocks.BasicBlock(4, 8, 2).named_parameters()} == basic
    assert {name for name, _ in blocks.Bottleneck(4, 8, 2).named_parameters()} == basic | layers("conv3", "bn3")


def test_ar13_unknown_words_and_shrinking_zeros_are_refused():
    with pytest.raises(ValueError, match="shortcut 'C'"):
        blocks.BasicBlock(4, 8, 2, shortcut="C")
    with pytest.raises(ValueError, match="version 'v2'"):
        blocks.Bottleneck(4, 8, version="v2")
    with pytest.raises(ValueError, match="out_channels=4 are fewer than in_channels=8"):
        blocks.BasicBlock(8, 4, shortcut="A")


# Across channels


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_st4_squeeze_is_one_linear_layer_at_every_position(ndim):
    block = blocks.Squeeze(8, 3, ndim=ndim, bias=True).double()
    linear = nn.Linear(8, 3).double()
    linear.weight.data, linear.bias.data = block.conv.weight.data.reshape(3, 8), block.conv.bias.data
    x = wide((2, 8, *SPACE[ndim]))
    torch.testing.assert_close(block(x), F.relu(linear(x.movedim(1, -1))).movedim(-1, 1))
    assert count(blocks.Squeeze(8, 3, ndim=ndim)) == 8 * 3  # W in R^(m x k)


def test_st4_a_squeeze_to_more_channels_is_refused():
    with pytest.raises(ValueError, match="out_channels=9 are more than in_channels=8"):
        blocks.Squeeze(8, 9)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_st11_mlpconv_is_a_perceptron_slid_over_the_map(ndim, last):
    block = blocks.MLPConv(2, (5, 4, 3), 3, ndim=ndim, last=last).double()
    layers = []
    for conv in (m for m in block if isinstance(m, Conv)):
        linear = nn.Linear(conv.weight[0].numel(), conv.out_channels).double()
        linear.weight.data, linear.bias.data = conv.weight.data.flatten(1), conv.bias.data
        layers += [linear, nn.ReLU()]
    perceptron = nn.Sequential(*layers[: len(layers) - (not last)])
    x = wide((2, 2, *SPACE[ndim]))
    seen = nd.windows(x, (3,) * ndim, (1,) * ndim, (1,) * ndim)  # batch, channels, positions, taps
    seen = seen.movedim(1, 1 + ndim).flatten(1 + ndim)
    torch.testing.assert_close(block(x), perceptron(seen).movedim(-1, 1))


def test_st11_mlpconv_without_layers_is_refused():
    with pytest.raises(ValueError, match="widths"):
        blocks.MLPConv(2, (), 3)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_st8_st9_depthwise_separable_is_its_two_convolutions_and_saves_as_told(ndim, stride):
    block = blocks.DepthwiseSeparable(4, 8, stride=stride, ndim=ndim).double()
    norm = lambda x: F.batch_norm(x, None, None, training=True)
    x = wide((3, 4, *SPACE[ndim]))
    y = F.relu(norm(CONV[ndim](x, block.depthwise.weight, None, stride, 1, 1, 4)))
    torch.testing.assert_close(block(x), F.relu(norm(CONV[ndim](y, block.pointwise.weight))))
    ours = block.depthwise.weight.numel() + block.pointwise.weight.numel()
    assert ours / (4 * 8 * 3**ndim) == pytest.approx(1 / 8 + 1 / 3**ndim)


# Partial connections


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_ar4_partial_convolution_is_a_masked_dense_one(ndim):
    table = [(0, 2), (1,), (3, 0, 1)]
    layer = blocks.PartialConv(4, table, 2, ndim=ndim, padding="same").double()
    dense = Conv(4, 3, 2, ndim=ndim, padding="same").double()
    kernels = iter(layer.weight.detach())
    with torch.no_grad():
        dense.weight.zero_()
        dense.bias.copy_(layer.bias)
        for row, inputs in enumerate(table):
            for column in inputs:
                dense.weight[row, column] = next(kernels)
    x = wide((2, 4, *SPACE[ndim]))
    torch.testing.assert_close(layer(x), dense(x))
    layer(x).sum().backward()
    assert layer.weight.grad.abs().amin() > 0
    assert count(layer) == 6 * 2**ndim + 3


@pytest.mark.parametrize("table", [[(0, 4)], [(0,), ()], [(1, 1)]])
def test_ar4_a_table_of_channels_that_are_not_there_is_refused(table):
    with pytest.raises(ValueError, match="table row"):
        blocks.PartialConv(4, table, 3, ndim=2)


# Initial values


def test_ex15_he_keeps_the_variance_of_rectified_signals():
    torch.manual_seed(0)
    layers = [
        m for i in range(6) for m in (Conv(64, 64, 3, padding="same", padding_mode="circular", ndim=2), nn.ReLU())
    ]
    net = blocks.he(nn.Sequential(*layers))
    y = net(torch.randn(4, 64, 12, 12))
    assert 0.5 < y.square().mean() < 2  # torch's own initial values would leave 1e-5 of it
    conv = blocks.he(Conv(8, 32, 3, ndim=3), "fan_out")
    assert conv.weight.std().item() == pytest.approx((2 / (32 * 27)) ** 0.5, rel=0.05)
    assert conv.bias.abs().max() == 0
    norm = blocks.he(blocks.BatchNorm(3))
    assert norm.weight.tolist() == [1, 1, 1]


def test_ac1_scaled_tanh_is_one_at_one_and_bends_most_there():
    act = blocks.activation("scaled_tanh")
    x = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(act(x), x, rtol=0, atol=1e-4)
    grid = torch.linspace(0.2, 2, 1801, dtype=torch.float64)
    bend = torch.diff(act(grid), n=2).abs()
    assert grid[1:-1][bend.argmax()].item() == pytest.approx(1, abs=0.02)
