"""Every method of convolution against the definition, for every dtype, layout and border: values, masks, promises."""

import math
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import LAYOUTS, Case, allowed, cases, definition, examples, inputs, laid_out, taken
from torch.nn import functional as F

import sigconv as sc
from sigconv import methods, nd
from sigconv.methods import _call, _guard, _plan, _prices, _regions, direct
from sigconv.methods._calibrate import fit

METHODS = sorted(methods.METHODS)
DENSE = [name for name in METHODS if name not in ("lookup", "separable")]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128]


@pytest.fixture
def cheap_spectra(monkeypatch):
    """A machine on which the planner takes spectra wherever they may be taken."""
    price = lambda method, work, *_: 0.0 if method in ("overlap", "fft") else 0.5 if "shifted_call" in work else 1.0
    monkeypatch.setattr(_prices, "seconds", price)
    _plan._plan.cache_clear()
    yield
    _plan._plan.cache_clear()


def check(case, method, dtype):
    method = taken(case, method, dtype)
    x, weight, bias, seen, dense, case = inputs(case, method, dtype)
    before = x.clone()
    y = sc.conv(x, weight, bias, method=method, **case.options)
    exact = definition(seen, dense, bias, case)
    assert y.shape == exact.shape
    assert y.dtype == dtype
    assert torch.equal(x, before), "the input was written to (N26)"
    y = y.to(torch.complex128 if dtype.is_complex else torch.float64).numpy()
    error = np.maximum(abs((y - exact).real), abs((y - exact).imag))
    bound = allowed(case, seen, dense, bias, dtype, method)
    assert (error <= bound).all(), f"worst {np.max(error / bound)} of the gate"


@examples(1200)
@given(case=cases(), method=st.sampled_from(["auto", *METHODS]), dtype=st.sampled_from(DTYPES))
def test_every_method_dtype_and_layout_equals_the_definition(case, method, dtype):
    check(case, method, dtype)


@examples(100)
@given(case=cases(ndims=(5, 6)), method=st.sampled_from(["auto", *METHODS]), dtype=st.sampled_from(DTYPES[:2]))
def test_cv10_five_and_six_dimensions_are_nothing_special(case, method, dtype):
    check(case, method, dtype)


@examples(500)
@given(
    case=cases(ndims=(1, 4)),
    method=st.sampled_from(["auto", *DENSE]),
    dtype=st.sampled_from(DTYPES[:2]),
    bad=st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([np.nan, np.inf, -np.inf])), min_size=1, max_size=5),
)
def test_n2_the_mask_of_non_finite_outputs_is_the_definitions(case, method, dtype, bad):
    x, weight, bias = case.tensors(dtype)
    if x.numel() == 0:
        return
    x = x.contiguous().clone()
    for where, value in bad:
        x.view(-1)[where % x.numel()] = value
    y = sc.conv(x, weight, bias, method=method, **case.options)
    with np.errstate(invalid="ignore"):
        expected = definition(x, weight, bias, case)
    assert np.array_equal(np.isfinite(y.numpy()), np.isfinite(expected))


@pytest.mark.parametrize("padding", ["valid", "full", "same"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("what", ["noise", "quiet", "silence", "spike", "nan", "half-band", "stride", "impulse"])
def test_n1_auto_keeps_the_direct_gate_whatever_the_range(what, dtype, padding, cheap_spectra):
    """Long kernels go through spectra; beside a loud stretch every quiet output must keep its digits."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 40_000, generator=generator, dtype=torch.float64).to(dtype)
    weight = torch.randn(2, 1, 1001, generator=generator, dtype=torch.float64).to(dtype)
    if what in ("quiet", "silence"):
        x[..., 12_000:20_000] *= 1e-9 if what == "quiet" else 0
    elif what == "spike":
        x[..., 100] = 1e12
    elif what == "impulse":
        x.zero_()[..., 20_000] = 1
    elif what == "nan":
        x[..., 30_000], x[..., 5] = torch.nan, torch.inf
    elif what == "half-band":
        weight[..., ::2] = 0
    options = {"padding": padding, "stride": 3 if what == "stride" else 1}
    assert sc.plan(x, weight, **options).method in ("fft", "overlap")
    y = sc.conv(x, weight, **options)
    exact = sc.conv(x.double(), weight.double(), method="direct", **options)
    scale = sc.conv(x.double().abs(), weight.double().abs(), method="direct", **options)
    finite = torch.isfinite(exact)
    assert torch.equal(torch.isfinite(y), finite)
    gate = torch.finfo(dtype).eps * math.sqrt(1001) * scale * (2 if dtype == torch.float64 else 1)  # two in the ring
    assert ((y.double() - exact).abs() <= gate)[finite].all()


def test_n1_numbers_whose_squares_vanish_are_not_trusted(cheap_spectra):
    x = torch.randn(1, 1, 9000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1e-170
    weight = torch.randn(1, 1, 1001, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.equal(sc.conv(x, weight), sc.conv(x, weight, method="direct"))


@pytest.mark.parametrize("scale", ["tiny weight", "tiny item", "huge"])
def test_n1_float64_at_the_ends_of_its_range(scale, cheap_spectra):
    x = torch.randn(2, 1, 9000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.randn(1, 1, 1001, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x[..., 4000:4100] *= 1e12
    if scale == "tiny weight":
        weight *= 1e-165
    elif scale == "tiny item":
        x[1] *= 1e-180
    else:
        x *= 1e280
    exact, size = (sc.conv(a, b, method="direct") for a, b in ((x, weight), (x.abs(), weight.abs())))
    error = (sc.conv(x, weight) - exact).abs()
    assert (error <= 2 * torch.finfo(torch.float64).eps * math.sqrt(1001) * size).all()


def test_n2_an_infinity_stays_one_and_does_not_become_nan(cheap_spectra):
    x, weight = torch.randn(1, 1, 20_000), torch.randn(1, 1, 1001)
    x[..., 777] = math.inf
    auto, direct = (sc.conv(x, weight, method=method) for method in ("auto", "direct"))
    assert torch.equal(auto.isinf(), direct.isinf())
    assert not auto.isnan().any()


@pytest.mark.parametrize(
    "shapes",
    [((2, 16, 64), (16, 16, 3), 1), ((1, 32, 9, 9), (32, 1, 3, 3), 32), ((1, 2, 4, 4, 4, 4), (2, 2, 3, 3, 3, 3), 1)],
)
def test_n2_an_infinite_weight_meets_the_margins_zeros_by_every_method(shapes):
    x, weight = torch.randn(shapes[0]), torch.randn(shapes[1])
    weight.view(-1)[0] = math.inf
    masks = [
        torch.isfinite(sc.conv(x, weight, padding=1, groups=shapes[2], method=m)) for m in ("auto", "direct", "windows")
    ]
    assert torch.equal(masks[0], masks[2])
    assert torch.equal(masks[1], masks[2])


def test_a_token_selects_and_what_it_does_not_select_may_be_infinite():
    weight = torch.randn(4, 4, 6)
    weight[0, 2, 3] = -math.inf
    tokens = torch.tensor([[0, 1, 3, 3, 1, 0, 0, 1, 3, 0, 1, 1]])
    for method in ("auto", *DENSE, "lookup"):
        assert torch.isfinite(sc.conv(tokens, weight, unknown="zero", method=method)).all(), method


def test_a_row_of_outputs_that_sees_only_the_margin_of_another_axis_is_zero():
    y = sc.conv(torch.ones(1, 8, 1, 20_000), torch.ones(1, 8, 1, 15), padding=(1, 0))
    assert y[0, 0, :, 0].tolist() == [0, 120, 0]
    y = sc.conv(torch.ones(1, 1, 1, 100_000), torch.ones(1, 1, 1, 15), padding=((8, 7), (0, 0)))
    assert y[0, 0].sum(1).count_nonzero() == 1


def test_threads_that_call_at_once_keep_torchs_number(monkeypatch):
    import threading

    from sigconv.kernels import _threads

    monkeypatch.setattr(_threads, "_pools", {})
    before, seen, gate = torch.get_num_threads(), [], threading.Barrier(4)
    torch.set_num_threads(2)

    def call():
        torch.get_num_threads()  # a thread takes torch's number when it first asks for it
        gate.wait()
        sc.conv(torch.randn(1, 1, 2**18), torch.randn(1, 1, 31))
        seen.append(torch.get_num_threads())

    try:
        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    finally:
        torch.set_num_threads(before)
    assert seen == [2] * 4


@pytest.mark.parametrize("loud", [10.0**p for p in range(9)])
def test_n1_a_sweep_of_loudness_beside_quiet(loud, cheap_spectra):
    x = torch.randn(1, 1, 9000, generator=torch.Generator().manual_seed(0))
    x[..., 4500] = loud
    weight = torch.randn(1, 1, 501, generator=torch.Generator().manual_seed(1))
    exact, scale = (F.conv1d(a.double(), b.double()) for a, b in ((x, weight), (x.abs(), weight.abs())))
    for method in ("auto", "direct", "overlap"):
        error = (sc.conv(x, weight, method=method).double() - exact).abs()
        assert (error <= torch.finfo(torch.float32).eps * math.sqrt(501) * scale).all(), method


def test_n1_in_three_dimensions_with_borders_of_a_volume_cut_out_of_nothing(cheap_spectra):
    x = torch.zeros(1, 1, 40, 44, 36)
    x[:, :, 8:30, 10:40, 6:30] = torch.randn(22, 30, 24, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(2, 1, 15, 15, 15, generator=torch.Generator().manual_seed(1))
    for padding in ("same", "full", "valid"):
        y, exact = (
            sc.conv(a, b, padding=padding, method=m)
            for a, b, m in ((x, weight, "auto"), (x.double(), weight.double(), "direct"))
        )
        scale = sc.conv(x.double().abs(), weight.double().abs(), padding=padding, method="direct")
        assert ((y - exact).abs() <= torch.finfo(torch.float32).eps * math.sqrt(15**3) * scale).all(), padding


@examples(200)
@given(st.data())
def test_the_guards_bound_is_never_above_what_it_bounds(data):
    ndim = data.draw(st.integers(1, 2))
    kernel = tuple(data.draw(st.integers(2, 40 if ndim == 1 else 9)) for _ in range(ndim))
    size = tuple(k + data.draw(st.integers(0, 60 if ndim == 1 else 12)) for k in kernel)
    cell = tuple(data.draw(st.sampled_from([c for c in (1, 2, 4, 8) if 2 * c <= k or c == 1])) for k in kernel)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    x = torch.randn(1, 2, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(3, 2, *kernel, generator=generator, dtype=torch.float64)
    if data.draw(st.booleans()):  # one sample alone: its cell's norm is its size, and the bound has no room to spare
        place = tuple(data.draw(st.integers(0, n - 1)) for n in size)
        alone = torch.zeros_like(x)
        alone[(..., *place)] = 1
        x = alone
    guard = _guard.Guard(x, weight, 1, (1,) * ndim, exact=True)
    guard.cell, guard.least = cell, _guard._least(weight.abs(), cell)
    dense = [n - k + 1 for n, k in zip(size, kernel, strict=True)]
    wanted = [-(-n // s) for n, s in zip(dense, cell, strict=True)]
    whole = nd.pad(x, tuple((0, -n % s) for n, s in zip(size, cell, strict=True)))
    cells = _guard._norms(whole, cell)[:, :, None]
    bound = guard._bound(cells, cells.flatten(1).norm(dim=1).reshape(1, 1, 1, 1), wanted)[:, :, 0]
    for axis, s in enumerate(cell, start=2):
        bound = bound.repeat_interleave(s, axis).narrow(axis, 0, dense[axis - 2])
    true = sc.conv(x.abs(), weight.abs(), method="direct")
    assert (bound <= true * (1 + 1e-12)).all()
    if max(cell) == 1:
        torch.testing.assert_close(bound.double(), true, rtol=1e-5, atol=1e-4)  # by float32 where taps are many


def test_under_guard_the_gradient_is_that_of_the_direct_sum_where_nothing_is_seen_it_is_zero(cheap_spectra):
    x = torch.randn(1, 1, 20_000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.randn(1, 1, 1001, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert sc.plan(x, weight).method in ("fft", "overlap")
    g = torch.zeros(1, 1, 19_000)
    g[..., 5000:5010] = 1
    auto = torch.autograd.grad(sc.conv(x, weight), (x, weight), g)
    direct = torch.autograd.grad(F.conv1d(x, weight), (x, weight), g)
    for ours, theirs in zip(auto, direct, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    assert auto[0][..., :5000].count_nonzero() == 0, "BP4: outside the windows there is nothing"
    assert auto[0][..., 6010:].count_nonzero() == 0


@pytest.mark.parametrize("method", ["auto", *DENSE])
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
    for taps in (1, 2049, 4096):
        ones = sc.conv(torch.ones(1, 1, taps, dtype=dtype), torch.ones(1, 1, taps, dtype=dtype), method=method)
        assert ones.item() == torch.tensor(float(taps)).to(dtype).item()


@pytest.mark.parametrize("method", DENSE)
@pytest.mark.parametrize("kinds", ["complex with complex", "complex with real", "real with complex"])
def test_n22_complex_values_are_neither_dropped_nor_conjugated(method, kinds):
    case = Case(2, 2, (2, 3), (7, 6), (3, 2), (2, 1), (1, 2), "same", "reflect", True, False, "contiguous", 3)
    x, weight, bias = (torch.complex(t, t.flip(0)) for t in case.tensors())
    x, weight = (x.real if kinds.startswith("real") else x), (weight.real if kinds.endswith("real") else weight)
    y = sc.conv(x, weight, bias, method=method, **case.options)
    np.testing.assert_allclose(y.numpy(), definition(x, weight, bias, case), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["auto", *DENSE])
@pytest.mark.parametrize(
    ("x", "weight", "shape"),
    [
        ((0, 2, 5), (3, 2, 3), (0, 3, 3)),
        ((2, 0, 5), (3, 0, 3), (2, 3, 3)),
        ((2, 2, 0), (3, 2, 3), (2, 3, 2)),
        ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
        ((2, 0, 4, 4), (3, 0, 3, 3), (2, 3, 2, 2)),
        ((2, 2, 5), (0, 2, 3), (2, 0, 3)),
        ((1, 2, 2, 2, 2, 0), (3, 2, 1, 1, 1, 1), (1, 3, 2, 2, 2, 2)),
    ],
)
def test_n13_zero_sizes_follow_the_formula_and_hold_the_bias(method, x, weight, shape):
    bias = torch.arange(1.0, weight[0] + 1)
    padding = 2 if x[2] == 0 else ((0, 0), (0, 0), (0, 0), (1, 1)) if len(x) == 6 else 0
    y = sc.conv(torch.ones(x), torch.ones(weight), bias, padding=padding, method=method)
    assert y.shape == shape
    if 0 in x:
        torch.testing.assert_close(y, bias.view(-1, *[1] * (len(shape) - 2)).expand(shape))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("method", ["auto", *DENSE])
def test_n9_the_layout_in_memory_does_not_matter(layout, method):
    x = torch.randn(3, 4, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))[:1].expand(
        3, -1, -1, -1
    )
    weight = torch.randn(2, 4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = sc.conv(x.contiguous(), weight, method=method)
    torch.testing.assert_close(sc.conv(laid_out(x, layout), weight, method=method), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("limit", [1, 100, 1000])
def test_n14_what_has_too_many_elements_is_done_in_parts(monkeypatch, limit):
    case = Case(3, 2, (2, 2), (9, 17), (3, 4), (2, 1), (1, 2), ((2, 1), "same"), "zeros", True, False, "contiguous", 0)
    x, weight, bias = case.tensors()
    whole = sc.conv(x, weight, bias, **case.options)
    monkeypatch.setattr(_call, "MOST", limit)
    torch.testing.assert_close(sc.conv(x, weight, bias, **case.options), whole, rtol=1e-13, atol=1e-13)


def test_n14_more_than_two_to_the_31_samples(request):
    if not request.config.getoption("--thorough"):
        pytest.skip("takes 20 GB of memory: --thorough")
    x = torch.zeros(1, 1, 2**31 + 100)
    x[..., 0], x[..., 2**30], x[..., -1] = 1, 2, 3
    y = sc.conv(x, torch.ones(1, 1, 1))
    assert (y[..., 0], y[..., 2**30], y[..., -1], y[..., -2]) == (1, 2, 3, 0)
    with pytest.raises(ValueError, match="would have 2.8e.14 values"):
        sc.conv(torch.zeros(1, 1, 1).expand(1, 1, 2**48), torch.ones(1, 1, 1))


@pytest.mark.parametrize("method", ["auto", "direct", "overlap", "fft"])
@pytest.mark.parametrize("memory", ["40 MB", 3_000_000, "1.0MiB"])
def test_n28_in_parts_under_a_memory_cap_is_the_whole(method, memory):
    x = torch.randn(2, 3, 200_000, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(6, 1, 301, generator=torch.Generator().manual_seed(1))
    options = {"stride": 2, "padding": "same", "groups": 3}
    whole = sc.conv(x, weight, **options, method=method)
    parts = sc.conv(x, weight, **options, method=method, memory=memory)
    scale = sc.conv(x.abs(), weight.abs(), **options)
    assert ((whole - parts).abs() <= 2 * torch.finfo(torch.float32).eps * math.sqrt(301) * scale).all()


@pytest.mark.parametrize(
    ("batch", "memory", "rows"),
    [(64, 4 << 20, [32, 32]), (64, 1 << 20, [9] * 7 + [1]), (3, 130 << 10, [1] * 3), (1, 50 << 10, [1] * 2)],
)
def test_n28_parts_are_as_many_rows_as_the_memory_holds(monkeypatch, batch, memory, rows):
    whole, seen, held = _call._whole, [], []

    def watched(x, *rest):
        assert not any(part() is not None for part in held), "one part is let go before the next is made"
        seen.append(len(x))
        part = whole(x, *rest)
        held.append(weakref.ref(part))
        return part

    monkeypatch.setattr(_call, "_whole", watched)
    monkeypatch.setattr(methods.METHODS["windows"], "memory", lambda problem: problem.batch * (100 << 10))
    x, weight = torch.randn(batch, 1, 40), torch.randn(1, 1, 3)
    y = sc.conv(x, weight, method="windows", memory=memory)
    assert seen == rows
    torch.testing.assert_close(y, F.conv1d(x, weight))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_n20_the_number_of_threads_changes_no_bit_of_the_kernel(threads):
    x, weight = torch.randn(1, 2, 50_000), torch.randn(4, 1, 31)
    one = sc.conv(x, weight, groups=2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert torch.equal(sc.conv(x, weight, groups=2), one)
        assert torch.equal(sc.conv(x, weight, groups=2), one), "MX11: and again"
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("method", ["auto", *DENSE])
def test_n21_denormals_are_numbers(method):
    x = torch.full((1, 1, 64), 1e-40)
    y = sc.conv(x, torch.ones(1, 1, 4), method=method)
    torch.testing.assert_close(
        y.double(), torch.full_like(y, 4, dtype=torch.float64) * float(x[0, 0, 0]), rtol=1e-4, atol=0
    )


def test_n18_autocast_gives_every_method_the_lower_precision(cheap_spectra):
    x, weight = torch.randn(1, 2, 50), torch.randn(3, 2, 5)
    long = torch.randn(1, 1, 30_000), torch.randn(1, 1, 1001).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        answers = [sc.conv(x, weight, method=method) for method in ["auto", *DENSE]]
        guarded = sc.conv(*long)
    guarded.float().sum().backward()
    assert long[1].grad.dtype == torch.float32
    assert {y.dtype for y in [*answers, guarded]} == {torch.bfloat16}
    for y in answers:
        torch.testing.assert_close(y.float(), F.conv1d(x, weight), atol=0.1, rtol=0.05)


def test_n18_under_autocast_what_is_not_cast_keeps_its_precision():
    x, weight = (torch.randn(2, 8, n, dtype=torch.complex64) for n in (500, 9))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sc.conv(x, weight), sc.conv(x.clone(), weight))
        y = sc.conv(x, weight)
    torch.testing.assert_close(y, sc.conv(x, weight))


def test_vectorised_jacobians_go_by_the_direct_sum(cheap_spectra):
    x = torch.randn(1, 1, 3000)
    run = lambda x: sc.conv(x, torch.ones(1, 1, 1001))[..., :3]
    one, other = (torch.autograd.functional.jacobian(run, x, vectorize=v) for v in (True, False))
    torch.testing.assert_close(one, other)


# ---- tokens and factors


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("unknown", ["mean", "zero"])
def test_tokens_are_their_one_hot_channels_and_unknown_ones_mean_or_nothing(dtype, unknown):
    tokens = torch.tensor([[0, 1, 2, 3, 9, 3, 2, 1, 100 if dtype == torch.uint8 else -1]]).to(dtype)
    weight, bias = torch.randn(5, 4, 3, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    seen = torch.zeros(1, 4, 9, dtype=torch.float64)
    for place, token in enumerate(tokens[0].tolist()):
        if 0 <= token < 4:
            seen[0, token, place] = 1
        elif unknown == "mean":
            seen[0, :, place] = 0.25
    expected = F.conv1d(seen, weight, bias, 2, 2)
    for method in ("auto", *DENSE, "lookup"):
        y = sc.conv(tokens, weight, bias, stride=2, padding=2, unknown=unknown, method=method)
        torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)


def test_conv_max_is_the_best_match_and_its_gradient_goes_there():
    tokens = torch.tensor([[0, 1, 2, 3, 0, 0, 1, 2]])
    weight = torch.randn(3, 4, 3, dtype=torch.float64, requires_grad=True)
    y = sc.conv_max(tokens, weight)
    slow = F.conv1d(F.one_hot(tokens, 4).movedim(-1, 1).double(), weight).relu().amax(2)
    torch.testing.assert_close(y, slow)
    ours, theirs = (torch.autograd.grad(v.sum(), weight)[0] for v in (y, slow))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("shape", [(1, 1, 9), (1, 1, 5, 7), (4, 3, 3, 3), (1, 1, 5, 5, 5), (3, 1, 3, 2, 3, 2)])
def test_st10_factors_are_within_the_tolerance_asked_for(shape):
    weight = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for tol in (0.5, 1e-3, 1e-10):
        factors = sc.factorize(weight, tol)
        assert (factors.dense() - weight).norm() <= tol * weight.norm()
        assert torch.equal(factors.dense(), sc.factorize(weight, tol).dense())
    x = torch.randn(2, shape[1], *[8] * (len(shape) - 2), dtype=torch.float64)
    torch.testing.assert_close(
        sc.conv(x, factors, padding="same"), sc.conv(x, weight, padding="same"), rtol=1e-7, atol=1e-8
    )


def test_st10_a_separable_kernel_has_rank_one_and_auto_takes_it_an_axis_at_a_time():
    bump = torch.exp(-(torch.linspace(-2, 2, 15).double() ** 2))
    factors = sc.factorize((bump[:, None, None] * bump[:, None] * bump)[None, None].float())
    assert factors.rank == 1
    assert sc.plan(torch.empty(1, 1, 64, 64, 64, device="meta"), factors.to("meta")).method == "separable"
    with pytest.raises(ValueError, match="takes a weight given as factors"):
        sc.conv(torch.zeros(1, 1, 9), torch.zeros(1, 1, 3), method="separable")


# ---- the planner


def test_mx10_short_kernels_are_summed_and_long_ones_transformed():
    chosen = lambda n, k, **o: (
        sc.plan(torch.empty(1, 1, n, device="meta"), torch.empty(1, 1, k, device="meta"), **o).method
    )
    assert chosen(10**6, 5) == "direct"
    assert chosen(10**6, 4095) in ("overlap", "fft")
    assert chosen(10**6, 401, dilation=2) == "direct", "no bound for dilated kernels"


def test_the_plan_reads_shapes_only_and_prints_a_table():
    x, weight = torch.empty(8, 16, 64, 64, device="meta"), torch.empty(32, 16, 3, 3, device="meta")
    plan = sc.plan(x, weight, padding="same")
    assert plan.method == "direct"
    assert {row.method for row in plan.candidates} == set(METHODS)
    assert set(plan.seconds) <= set(METHODS)
    text = str(plan)
    assert "direct" in text
    assert "MiB" in text
    assert methods.table()[1] in text
    assert sc.conv(x, weight, padding="same").shape == (8, 32, 64, 64)
    capped = sc.plan(x, weight, padding="same", memory="1 MB")
    assert capped.parts > 1
    assert "parts" in str(capped)


def test_a_local_cost_table_stands_in_and_a_broken_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    for text, hint in (
        ("{", "Expecting"),
        ('{"version": 2}', "version 1"),
        ('{"version": 1, "seconds": {"cpu": {"float32": {"direct": {"call": -1}}}}}', "cpu.float32.direct.call is -1"),
    ):
        (tmp_path / "costs.json").write_text(text)
        _prices.table.cache_clear()
        with pytest.warns(UserWarning, match=hint):
            assert _prices.table()[0] == _prices._read(_prices.shipped())[0]
    _prices.table.cache_clear()


def test_a_section_is_what_a_regions_outputs_see():
    x = torch.randn(1, 1, 12, 9, dtype=torch.float64)
    weight = torch.randn(1, 1, 5, 3, dtype=torch.float64)
    margins, stride = ((4, 1), (0, 2)), (2, 1)
    options = {"stride": stride, "margins": margins, "dilation": (1, 1), "groups": 1}
    whole = methods.METHODS["direct"].correlate(x, weight, None, **options)
    for region in (((0, 2), (0, 9)), ((3, 7), (4, 8)), ((1, 2), (8, 9))):
        seen, rest = _regions.section(x, region, (5, 3), stride, margins)
        part = methods.METHODS["direct"].correlate(seen, weight, None, **(options | {"margins": rest}))
        torch.testing.assert_close(part, whole[(..., *(slice(a, b) for a, b in region))])


def test_the_fourier_convention_is_that_of_lecture_s2_cv2():
    """(F f)(u) = Σ e^{-2πi t u / n} f(t): an impulse at t has the phase -2π t u / n; products are convolutions."""
    n, t = 16, 3
    impulse = torch.zeros(n, dtype=torch.float64)
    impulse[t] = 1
    spectrum = torch.fft.fft(impulse)
    torch.testing.assert_close(spectrum, torch.exp(-2j * math.pi * t * torch.arange(n, dtype=torch.float64) / n))
    f, h = torch.randn(2, 9, dtype=torch.float64)
    product = torch.fft.irfft(torch.fft.rfft(f, 17) * torch.fft.rfft(h, 17), 17)
    torch.testing.assert_close(sc.convolve(f, h, method="fft"), product, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_mx9_products_of_spectra_are_linear_not_circular(ndim):
    x, weight = torch.randn(1, 1, *[6] * ndim, dtype=torch.float64), torch.randn(1, 1, *[4] * ndim, dtype=torch.float64)
    torch.testing.assert_close(
        sc.conv(x, weight, padding="full", method="fft"),
        sc.conv(x, weight, padding="full", method="windows"),
        rtol=1e-11,
        atol=1e-11,
    )
    assert nd.output_size((6,), (4,), (1,), (1,), ((3, 3),)) == (9,)


FAST = {"many channels": ((8, 64, 56, 56), 3), "a sequence": ((4, 256, 1000), 9), "small maps": ((1, 256, 28, 28), 3)}
SLOW = {
    "few channels": ((1, 3, 512, 512), 7),
    "long filters": ((8, 16, 20_000), 63),
    "large maps": ((2, 32, 64, 64, 64), 3),
}


@pytest.mark.parametrize(("size", "taps"), [*FAST.values(), *SLOW.values()], ids=[*FAST, *SLOW])
def test_a_filter_to_each_channel_goes_to_torch_where_that_has_a_kernel_for_it(size, taps):
    """As measured: three times quicker than shifted sums in the first, up to sixteen times slower in the others."""
    weight = torch.empty(size[1], 1, *[taps] * (len(size) - 2))
    options = {"stride": (1,) * (len(size) - 2), "margins": ((0, 0),) * (len(size) - 2)}
    shape = direct._Shape.of(
        torch.empty(size, device="meta"), weight, **options, dilation=options["stride"], groups=size[1]
    )
    assert shape.by_taps() == ((size, taps) in SLOW.values())


def test_a_calls_own_price_is_that_of_the_quickest():
    rows = [({"call": 1, "mac": n}, 2e-5 + 1e-9 * n * factor) for n, factor in ((0, 1), (10**6, 3), (10**7, 1))]
    assert fit(rows)["call"] == 2e-5
    assert fit([({"other_call": 1}, 2.0)]) == {"other_call": 2.0}
