"""conv and its layers as torch, NumPy and the lectures have them; test_methods holds every method to the definition."""

import numpy as np
import pytest
import torch
from hypothesis import given
from strategies import cases
from torch import nn
from torch.nn import functional as F

import sigconv as sc
from sigconv import nd

S1 = torch.tensor(  # the 7x7 example printed in lecture S1, and its kernel (C.9)
    [
        [6, 3, 4, 4, 5, 0, 3],
        [4, 7, 4, 0, 4, 0, 4],
        [7, 0, 2, 3, 4, 5, 2],
        [3, 7, 5, 0, 3, 0, 7],
        [5, 8, 1, 2, 5, 4, 2],
        [8, 0, 1, 0, 6, 0, 0],
        [6, 4, 1, 3, 0, 4, 5],
    ],
    dtype=torch.float64,
)[None, None]
S1_KERNEL = torch.tensor([[1, 0, 1], [1, 0, 0], [0, 0, 2]], dtype=torch.float64)[None, None]


@given(case=cases(ndims=(1, 3)))
def test_equals_torch_where_torch_has_it(case):
    x, weight, bias = case.tensors()
    if case.flip:
        weight = weight.flip(tuple(range(2, weight.ndim)))
    ours = sc.conv(x, weight, bias, **case.options | {"flip": False})
    padded = nd.pad(x, nd.margins(case.padding, case.kernel_size, case.dilation), case.padding_mode)
    torchs = nd.primitive("conv", case.ndim)(padded, weight, bias, case.stride, 0, case.dilation, case.groups)
    torch.testing.assert_close(ours, torchs, rtol=1e-12, atol=1e-12)


def test_numpy_in_numpy_out_of_any_memory_order():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 3, 9)), rng.normal(size=(4, 3, 2))
    y = sc.conv(x, weight, padding="same")
    assert isinstance(y, np.ndarray)
    assert y.dtype == np.float64
    np.testing.assert_allclose(sc.conv(x[..., ::-1], weight[..., ::-1], padding=1)[..., :-1], y[..., ::-1], rtol=1e-12)
    x.flags.writeable = False
    np.testing.assert_allclose(sc.conv(x.astype(">f8"), weight, padding="same"), y)
    layer = sc.Conv1d(3, 4, 2, dtype=torch.float64)
    assert isinstance(layer(x), np.ndarray)


# ---- what the lectures say, by requirement ID


def test_cv21_the_seven_by_seven_example_of_lecture_s1():
    valid = [[18, 20, 21, 14, 16], [25, 7, 16, 3, 26], [14, 14, 21, 16, 13], [15, 15, 21, 2, 15], [16, 16, 7, 14, 23]]
    flipped = [[25, 9, 18, 16, 20], [18, 24, 20, 5, 20], [25, 10, 13, 12, 22], [16, 16, 22, 4, 14], [18, 23, 9, 11, 15]]
    assert sc.conv(S1, S1_KERNEL)[0, 0].tolist() == valid
    assert sc.conv(S1, S1_KERNEL, flip=True)[0, 0].tolist() == flipped
    assert sc.conv(S1, S1_KERNEL, padding=3).shape[2:] == (11, 11), "7 + 2·3 - 3 + 1"


def test_cv14_the_binomial_gaussian_sums_to_one_and_keeps_a_constant():
    h = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=torch.float64) / 16
    impulse = torch.zeros(1, 1, 9, dtype=torch.float64)
    impulse[..., 4] = 1
    assert torch.equal(sc.conv(impulse, h[None, None], padding="same", flip=True)[0, 0, 2:7], h)
    constant = torch.full((1, 1, 8), 3.0, dtype=torch.float64)
    assert torch.equal(sc.conv(constant, h[None, None], padding="same", padding_mode="symmetric"), constant)


def test_cv8_pd3_full_true_convolution_is_that_of_numpy():
    f, h = np.random.default_rng(0).normal(size=(2, 20))
    y = sc.conv(f[None, None], h[None, None, :7], padding="full", flip=True)
    np.testing.assert_allclose(y[0, 0], np.convolve(f, h[:7]), rtol=1e-12, atol=1e-12)


def test_cv25_a_block_with_itself_is_a_triangle():
    block = torch.ones(1, 1, 4)
    assert sc.conv(block, block, padding="full", flip=True)[0, 0].tolist() == [1, 2, 3, 4, 3, 2, 1]


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_cv6_a_circular_shift_of_the_input_is_one_of_the_output(ndim):
    x, weight = torch.randn(1, 2, *[5] * ndim, dtype=torch.float64), torch.randn(3, 2, *[3] * ndim, dtype=torch.float64)
    axes = tuple(range(2, 2 + ndim))
    run = lambda x: sc.conv(x, weight, padding="same", padding_mode="circular")
    torch.testing.assert_close(run(x.roll([2] * ndim, axes)), run(x).roll([2] * ndim, axes))


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_cv11_cross_correlation_is_convolution_with_the_kernel_turned_over(ndim):
    x, weight = torch.randn(1, 1, *[7] * ndim), torch.randn(1, 1, *[3] * ndim)
    turned = weight.flip(tuple(range(2, 2 + ndim)))
    assert torch.equal(sc.conv(x, weight, flip=True), sc.conv(x, turned))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("n", [5, 8, 9])
def test_n11_strided_same_is_every_stride_th_output_of_stride_one(n, kernel, stride):
    x, weight = torch.randn(1, 1, n), torch.randn(1, 1, kernel)
    y = sc.conv(x, weight, padding="same", stride=stride)
    torch.testing.assert_close(y, sc.conv(x, weight, padding="same")[..., ::stride])
    assert y.shape[-1] == -(-n // stride)
    if stride == 1:
        torch.testing.assert_close(y, F.conv1d(x, weight, padding="same"))


def test_st3_a_dilated_kernel_is_one_with_zeros_between_its_taps():
    x, weight = torch.randn(1, 1, 9, 9, dtype=torch.float64), torch.randn(1, 1, 3, 3, dtype=torch.float64)
    stuffed = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    stuffed[..., ::2, ::2] = weight
    torch.testing.assert_close(sc.conv(x, weight, dilation=2), sc.conv(x, stuffed))


def test_st4_a_one_by_one_convolution_is_a_linear_layer_at_every_position():
    layer, linear = sc.Conv2d(5, 3, 1), nn.Linear(5, 3)
    layer.weight.data, layer.bias.data = linear.weight.data[..., None, None], linear.bias.data
    x = torch.randn(2, 5, 4, 6)
    torch.testing.assert_close(layer(x), linear(x.movedim(1, -1)).movedim(-1, 1))


def test_pc7_pc4_a_layer_has_the_parameters_the_lectures_count():
    count = lambda layer: sum(p.numel() for p in layer.parameters())
    assert count(sc.Conv2d(3, 25, 5)) == 1900
    assert count(sc.Conv2d(1, 8, 5, bias=False)) == 200
    assert count(sc.Conv2d(384, 384, 3, groups=2, bias=False)) == 663_552


# ---- layers


@pytest.mark.parametrize(("ours", "torchs"), [(sc.Conv1d, nn.Conv1d), (sc.Conv2d, nn.Conv2d), (sc.Conv3d, nn.Conv3d)])
def test_layers_are_drop_in_for_those_of_torch(ours, torchs):
    arguments = (4, 6, 3, 2, 1, 1, 2)
    torch.manual_seed(0)
    mine = ours(*arguments)
    torch.manual_seed(0)
    theirs = torchs(*arguments)
    x = torch.randn(2, 4, *[7] * mine.ndim)
    torch.testing.assert_close(mine(x), theirs(x))
    assert list(mine.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(mine.state_dict())
    for word in ("same", "valid"):
        torch.testing.assert_close(ours(4, 6, 3, padding=word).ndim, mine.ndim)


def test_a_layer_prints_what_it_is():
    layer = sc.Conv(2, 4, (3, 5), padding="same", padding_mode="reflect", dilation=2, bias=False)
    options = "padding='same', padding_mode='reflect', dilation=(2, 2), bias=False"
    assert repr(layer) == f"Conv(2, 4, kernel_size=(3, 5), stride=(1, 1), {options})"


ERRORS = [
    (lambda x, w: sc.conv(x[0], w), r"x has shape \(3, 10\).*expected \(batch, in_channels, \*space\)"),
    (lambda x, w: sc.conv(x[:, :2], w), r"x with 2 channels does not fit weight \(4, 3, 3\)"),
    (lambda x, w: sc.conv(x, w, groups=3), "groups=3"),
    (lambda x, w: sc.conv(x.int(), w), r"x is torch.int32: conv takes floating or complex values, or integer tokens"),
    (lambda x, w: sc.conv(x, w.double()), "weight is torch.float64 and x is torch.float32"),
    (lambda x, w: sc.conv(x, w, torch.zeros(3)), r"bias has shape \(3,\): expected \(4,\)"),
    (lambda x, w: sc.conv(x, w, padding="smae"), "padding 'smae' is not one of"),
    (lambda x, w: sc.conv(x, w, padding_mode="mirror"), "padding_mode 'mirror' is not one of"),
    (lambda x, w: sc.conv(x, w, method="fast"), "method 'fast' is not one of .*'auto'"),
    (lambda x, w: sc.conv(x, w, dilation=9), "kernel 3 dilated to 19 is larger than the padded input 10"),
    (lambda x, w: sc.conv(x, w, stride=2, strict=True), "stride 2 does not divide 7"),
    (lambda x, w: sc.conv(x, w[..., :0]), "empty kernel"),
    (lambda x, w: sc.conv([1, 2], w), "takes a tensor or a NumPy array, not list"),
    (lambda x, w: sc.conv(x, w, groups="1"), "groups '1' is not a whole number"),
    (lambda x, w: sc.conv(x, w, groups=True), "groups True is not a whole number"),
    (lambda x, w: sc.conv(x, w, stride=10**30), "is more than any axis has"),
    (lambda x, w: sc.conv(x, w, value="a"), "value 'a' is not a number"),
    (lambda x, w: sc.conv(x, w.numpy()), "weight is a ndarray and x a tensor"),
    (lambda x, w: sc.conv(x, w, padding=((0, 0), 0)), "has 2 entries for 1 spatial axes"),
    (lambda x, w: sc.Conv(1, 1, ()), "number of axes of kernel_size"),
    (lambda x, w: sc.Conv(1.5, 1, (3,)), "in_channels 1.5 is not a whole number"),
    (lambda x, w: sc.Conv(4, 16, 24), "kernel_size=24 is one number: give ndim="),
    (lambda x, w: sc.Conv1d(4, 16, (3, 3)), "has 2 entries for 1 spatial axes"),
    (lambda x, w: sc.Conv2d(4, 16, 3, ndim=3), "Conv2d has 2 axes, not ndim=3"),
    (lambda x, w: sc.Conv1d(3, 4, 3, groups=2), "must be divisible by groups=2"),
    (lambda x, w: sc.Conv1d(3, 4, 3, padding="smae"), "padding 'smae'"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[message[:40] for _, message in ERRORS])
def test_errors_carry_value_name_and_remedy_in_one_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call(torch.zeros(2, 3, 10), torch.zeros(4, 3, 3))
    assert "\n" not in str(caught.value)


def test_n16_sizes_that_are_symbols_are_no_numbers():
    """make_fx is no compiler to torch.compiler.is_compiling."""
    from torch.fx.experimental.proxy_tensor import make_fx

    x, weight = torch.randn(1, 2, 9), torch.randn(3, 2, 3)
    for _ in range(2):
        traced = make_fx(lambda x, w: sc.conv(x, w, padding=1), tracing_mode="symbolic")(x, weight)
        torch.testing.assert_close(traced(x, weight), sc.conv(x, weight, padding=1))
