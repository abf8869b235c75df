"""One convolution: every method against the definition, torch and numpy, in one to six dimensions."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import LAYOUTS, Case, cases, definition, examples, laid_out
from torch import nn
from torch.nn import functional as F

import sigconv as sc
from sigconv import methods, nd

METHODS = sorted(methods.METHODS)
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


def gate(case, x, weight, dtype, method):
    """The error promised for each output: see DESIGN's promises and numerics, section 3."""
    eps = torch.finfo(dtype).eps
    taps = max(weight[0].numel(), 1)
    if not methods.METHODS[method].EXACT:
        size = np.array(x.shape[2:]) + [sum(m) for m in nd.margins(case.padding, case.kernel_size, case.dilation)]
        padded = np.linalg.norm(definition_norm(x, case))
        return max(0.1 * np.log2(size.prod()), 2.5) * eps * padded * np.linalg.norm(weight.double().flatten())
    return eps * np.sqrt(taps)


def definition_norm(x, case):
    from strategies import numpy_pad

    margins = nd.margins(case.padding, case.kernel_size, case.dilation)
    return numpy_pad(np.asarray(x.double()), margins, case.padding_mode).ravel()


def check(case, dtype, method):
    x, weight, bias = case.tensors(dtype)
    before = x.clone()
    y = sc.conv(x, weight, bias, method=method, **case.options)
    exact = definition(x, weight, bias, case)
    scale = definition(x, weight, bias, case, absolute=True)
    allowed = gate(case, x, weight, dtype, method)
    allowed = allowed * scale if methods.METHODS[method].EXACT else allowed + torch.finfo(dtype).eps * scale
    assert y.shape == exact.shape
    assert y.dtype == dtype
    assert torch.equal(x, before), "the input was written to (N26)"
    error = np.abs(y.double().numpy() - exact)
    assert (error <= allowed + np.finfo(np.float64).tiny).all(), f"worst {np.max(error - allowed)} above the gate"


@pytest.mark.parametrize("method", METHODS)
@given(case=cases(), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_every_method_equals_the_definition(method, case, dtype):
    check(case, dtype, method)


@pytest.mark.parametrize("method", METHODS)
@examples(15)
@given(case=cases(ndims=(5, 6)))
def test_cv10_five_and_six_dimensions_are_nothing_special(method, case):
    check(case, torch.float64, method)


@given(case=cases(ndims=(1, 3)))
def test_equals_torch_where_torch_has_it(case):
    x, weight, bias = case.tensors()
    if case.flip:
        weight = weight.flip(tuple(range(2, weight.ndim)))
    ours = sc.conv(x, weight, bias, **case.options | {"flip": False})
    padded = nd.pad(x, nd.margins(case.padding, case.kernel_size, case.dilation), case.padding_mode)
    torchs = nd.primitive("conv", case.ndim)(padded, weight, bias, case.stride, 0, case.dilation, case.groups)
    torch.testing.assert_close(ours, torchs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@examples(25)
@given(case=cases(ndims=(1, 4), most=2))
def test_n15_first_and_second_derivatives(method, case):
    x, weight, bias = case.tensors()
    leaves = tuple(t.contiguous().clone().requires_grad_() for t in (x, weight, bias) if t is not None)
    assume(0 < sum(leaf.numel() for leaf in leaves) <= 150)
    run = lambda x, weight, bias=None: sc.conv(x, weight, bias, method=method, **case.options)
    assert torch.autograd.gradcheck(run, leaves, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(run, leaves)


@pytest.mark.parametrize("method", METHODS)
@examples(30)
@given(case=cases(ndims=(1, 4)))
def test_n17_meta_shapes_and_vmap_are_those_of_a_plain_call(method, case):
    x, weight, bias = case.tensors()
    run = lambda x, weight: sc.conv(x, weight, bias, method=method, **case.options)
    y = run(x, weight)
    with_meta = sc.conv(
        *(None if t is None else t.to("meta") for t in (x, weight, bias)), method=method, **case.options
    )
    assert with_meta.shape == y.shape
    assert with_meta.dtype == y.dtype
    each = torch.vmap(run, in_dims=(0, None))(torch.stack([x, 2 * x]), weight)
    torch.testing.assert_close(each, torch.stack([y, run(2 * x, weight)]), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("ndim", [1, 2, 4])
@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_n16_compiled_in_one_graph_is_eager_twice_over(ndim, method):
    x, weight = torch.randn(2, 2, *[5] * ndim), torch.randn(2, 2, *[3] * ndim)
    options = {"padding": "same", "padding_mode": "symmetric", "method": method}
    torch._dynamo.reset()
    compiled = torch.compile(lambda x, w: sc.max_pool(sc.conv(x, w, **options), 2), backend="aot_eager", fullgraph=True)
    eager = sc.max_pool(sc.conv(x, weight, **options), 2)
    first, second = compiled(x, weight), compiled(x, weight)
    torch.testing.assert_close(first, eager)
    assert torch.equal(first, second)


def test_n17_a_layer_exports_with_a_length_left_open():
    model = nn.Sequential(sc.Conv1d(1, 4, 5, padding="same", padding_mode="reflect"), nn.ReLU(), sc.AvgPool(2))
    length = torch.export.Dim("length", min=16, max=4096)
    exported = torch.export.export(model, (torch.randn(2, 1, 100),), dynamic_shapes=({2: 2 * length},))
    x = torch.randn(2, 1, 64)
    torch.testing.assert_close(exported.module()(x), model(x))


@pytest.mark.parametrize("method", METHODS)
@examples(60)
@given(case=cases(ndims=(1, 3)), bad=st.sampled_from([np.nan, np.inf, -np.inf]), where=st.integers(0, 10**6))
def test_n2_the_mask_of_non_finite_outputs_is_the_definitions(method, case, bad, where):
    x, weight, bias = case.tensors(torch.float32)
    if x.numel() == 0:
        return
    x = x.contiguous().clone()
    x.view(-1)[where % x.numel()] = bad
    y = sc.conv(x, weight, bias, method=method, **case.options)
    expected = sc.conv(x, weight, bias, method="windows", **case.options)
    assert torch.equal(torch.isfinite(y), torch.isfinite(expected))


@pytest.mark.parametrize("method", ["auto", *METHODS])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_n5_half_precision_is_summed_in_float32_and_rounded_once(method, dtype):
    generator = torch.Generator().manual_seed(0)
    x = (200 * torch.randn(2, 8, 300, generator=generator)).to(dtype)
    weight = torch.randn(4, 8, 25, generator=generator).to(dtype)
    y = sc.conv(x, weight, method=method)
    exact = F.conv1d(x.double(), weight.double())
    scale = F.conv1d(x.double().abs(), weight.double().abs())
    assert y.dtype == dtype
    assert ((y.double() - exact).abs() <= 0.51 * torch.finfo(dtype).eps * scale + 2**-25).all()
    ones = sc.conv(torch.ones(1, 1, 4096, dtype=dtype), torch.ones(1, 1, 4096, dtype=dtype), method=method)
    assert ones.item() == 4096


@pytest.mark.parametrize("method", METHODS)
def test_n22_complex_values_are_neither_dropped_nor_conjugated(method):
    case = Case(2, 1, (2, 3), (7, 6), (3, 2), (2, 1), (1, 2), "same", "reflect", True, False, "contiguous", 3)
    x, weight, bias = (torch.complex(t, t.flip(0)) for t in case.tensors())
    y = sc.conv(x, weight, bias, method=method, **case.options)
    np.testing.assert_allclose(y.numpy(), definition(x, weight, bias, case), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["auto", *METHODS])
@pytest.mark.parametrize(
    ("x", "weight", "shape"),
    [
        ((0, 2, 5), (3, 2, 3), (0, 3, 3)),
        ((2, 0, 5), (3, 0, 3), (2, 3, 3)),
        ((2, 2, 0), (3, 2, 3), (2, 3, 2)),
        ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
        ((2, 0, 4, 4), (3, 0, 3, 3), (2, 3, 2, 2)),
        ((2, 2, 5), (0, 2, 3), (2, 0, 3)),
    ],
)
def test_n13_zero_sizes_follow_the_formula_and_hold_the_bias(method, x, weight, shape):
    bias = torch.arange(1.0, weight[0] + 1)
    padding = 2 if x[2] == 0 else 0
    y = sc.conv(torch.ones(x), torch.ones(weight), bias, padding=padding, method=method)
    assert y.shape == shape
    if 0 in x:
        torch.testing.assert_close(y, bias.view(-1, *[1] * (len(shape) - 2)).expand(shape))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("method", METHODS)
def test_n9_the_layout_in_memory_does_not_matter(layout, method):
    x = torch.randn(3, 4, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))[:1].expand(
        3, -1, -1, -1
    )
    weight = torch.randn(2, 4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = sc.conv(x.contiguous(), weight, method=method)
    torch.testing.assert_close(sc.conv(laid_out(x, layout), weight, method=method), expected, rtol=1e-13, atol=1e-13)


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


def test_autocast_gives_every_method_the_lower_precision():
    x, weight = torch.randn(1, 2, 50), torch.randn(3, 2, 5)
    with torch.autocast("cpu", torch.bfloat16):
        answers = [sc.conv(x, weight, method=method) for method in METHODS]
    assert {y.dtype for y in answers} == {torch.bfloat16}
    for y in answers:
        torch.testing.assert_close(y.float(), F.conv1d(x, weight), atol=0.1, rtol=0.05)


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
    (lambda x, w: sc.conv(x.int(), w), r"x is torch.int32: conv takes floating or complex"),
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


def test_the_plan_reads_shapes_only_and_prints_a_table():
    x, weight = torch.empty(8, 16, 64, 64, device="meta"), torch.empty(32, 16, 3, 3, device="meta")
    plan = sc.plan(x, weight, padding="same")
    assert plan.method == "direct"
    assert set(plan.seconds) == set(METHODS)
    assert "direct" in str(plan)
    assert sc.conv(x, weight, padding="same").shape == (8, 32, 64, 64)
