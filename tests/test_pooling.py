"""Pooling: torch's in one to three dimensions, windows in any."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import numpy_pad

import sigconv as sc
from sigconv import nd, pooling
from sigconv.pooling import _windows
from sigconv.pooling._bins import bins

OVER_WINDOWS = [sc.max_pool, sc.avg_pool]


@st.composite
def pools(draw, ndims=(1, 4)):
    ndim = draw(st.integers(*ndims))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(ndim))
    kernel = each(1, 3)
    options = {
        "kernel_size": kernel,
        "stride": draw(st.one_of(st.none(), st.just(each(1, 3)))),
        "padding": tuple(draw(st.integers(0, k // 2)) for k in kernel),
        "ceil_mode": draw(st.booleans()),
    }
    x = torch.randn(
        draw(st.integers(1, 2)), 2, *each(3, 6), generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))
    )
    return x.double(), options


@pytest.fixture(params=["torch", "windows"])
def way(request, monkeypatch):
    """Both ways through a pooling: torch's own function, and our windows, its twin."""
    if request.param == "windows":
        for name in ("maximum", "average"):
            monkeypatch.setattr(f"sigconv.pooling.{name}.torch_does", lambda x, windows: None)
    return request.param


def both_ways(check):
    """Run a sampled check through torch's function and through the windows."""
    for does in (_windows.torch_does, lambda x, windows: None):
        with pytest.MonkeyPatch.context() as patch:
            for name in ("maximum", "average"):
                patch.setattr(f"sigconv.pooling.{name}.torch_does", does)
            check()


@given(pools(ndims=(1, 3)), st.booleans())
def test_pl1_n25_max_and_average_are_those_of_torch(drawn, include):
    x, options = drawn
    plain = {"stride": options["stride"], "padding": options["padding"], "ceil_mode": options["ceil_mode"]}
    kernel, ndim = options["kernel_size"], x.ndim - 2

    def check():
        mine, where = sc.max_pool(x, return_indices=True, **options)
        theirs, there = nd.primitive("max_pool", ndim)(x, kernel, return_indices=True, **plain)
        assert torch.equal(mine, theirs)
        assert torch.equal(where, there)
        mine = sc.avg_pool(x, count_include_pad=include, **options)
        theirs = nd.primitive("avg_pool", ndim)(x, kernel, count_include_pad=include, **plain)
        torch.testing.assert_close(mine, theirs)

    both_ways(check)


@given(pools(ndims=(1, 5)), st.sampled_from(nd.PADDING_MODES))
def test_pl1_pooling_reduces_the_windows_of_a_padded_input(drawn, mode):
    x, options = drawn
    options |= {"ceil_mode": False, "padding_mode": mode}
    stride = options["stride"] or options["kernel_size"]
    padded = numpy_pad(x.numpy(), [(p, p) for p in options["padding"]], mode)
    axes = tuple(range(2, x.ndim))
    seen = np.lib.stride_tricks.sliding_window_view(padded, options["kernel_size"], axes)
    seen = seen[(slice(None), slice(None), *(slice(None, None, s) for s in stride))]
    inside = tuple(range(x.ndim, seen.ndim))
    np.testing.assert_array_equal(sc.max_pool(x.numpy(), **options), seen.max(inside))
    np.testing.assert_allclose(sc.avg_pool(x.numpy(), **options), seen.mean(inside), atol=1e-12)


def test_c9_the_seven_by_seven_example_pooled(way):
    from test_convolution import S1

    thrice = [[7, 7, 5, 5, 5], [7, 7, 5, 5, 7], [8, 8, 5, 5, 7], [8, 8, 6, 6, 7], [8, 8, 6, 6, 6]]
    assert sc.max_pool(S1, 3, 1)[0, 0].tolist() == thrice
    assert sc.max_pool(S1, 3, 2)[0, 0].tolist() == [[7, 5, 5], [8, 5, 7], [8, 6, 6]]


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_pl15_max_sends_the_gradient_to_one_sample_and_average_to_all(ndim, way):
    x = torch.randn(1, 2, *[3] * ndim, dtype=torch.float64, requires_grad=True)
    for pool in OVER_WINDOWS:
        assert torch.autograd.gradcheck(lambda x, pool=pool: pool(x, 2, 1, padding=1), x)
    tied = torch.zeros(1, 1, *[2] * ndim, requires_grad=True)
    sc.max_pool(tied, 2).sum().backward()
    assert tied.grad.flatten().tolist() == [1.0] + [0.0] * (2**ndim - 1)


def test_indices_point_at_the_maximum_whatever_stands_beyond_the_border():
    x = torch.randn(2, 3, 5, 4)
    for mode in (None, "replicate", "symmetric", "reflect", "circular"):
        largest, where = sc.max_pool(x, 3, 1, padding=1, padding_mode=mode, return_indices=True)
        assert torch.equal(x.flatten(2).gather(2, where.flatten(2)).view_as(largest), largest)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4, 5, 6])
def test_pl11_global_pooling_leaves_one_value_a_channel(ndim):
    x = torch.randn(2, 3, *[2] * ndim)
    torch.testing.assert_close(sc.global_pool(x), x.flatten(2).mean(2))
    assert torch.equal(sc.GlobalMaxPool()(x), x.flatten(2).amax(2))
    assert torch.equal(sc.GlobalAvgPool()(x), sc.global_pool(x, "avg"))


def test_every_pooling_function_has_a_layer_with_its_options():
    assert {"max_pool", "avg_pool", "global_pool", "MaxPool", "AvgPool", "GlobalAvgPool"} <= set(pooling.__all__)
    x = torch.randn(1, 1, 6, 6)
    layer = sc.MaxPool(3, stride=2, padding=1)
    assert torch.equal(layer(x), sc.max_pool(x, 3, 2, padding=1))
    assert repr(layer) == "MaxPool(kernel_size=3, stride=2, padding=1)"
    with pytest.raises(TypeError, match="MaxPool: .*'strid'"):
        sc.MaxPool(3, strid=2)


def test_integers_and_halves():
    x = torch.tensor([[[1, 9, 3, 200]]], dtype=torch.uint8)
    assert sc.max_pool(x, 2).tolist() == [[[9, 200]]]
    ones = torch.full((1, 1, 4096, 2), 200.0, dtype=torch.float16)
    assert sc.avg_pool(ones, (4096, 2), padding=((0, 0), 0)).item() == 200
    assert sc.avg_pool(ones[..., :1].flatten(2), 4096, dilation=1, padding_mode="symmetric").item() == 200


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: sc.max_pool(x[0], 2), r"x has shape \(2, 6\): expected \(batch, channels, \*space\)"),
        (lambda x: sc.max_pool(x, 7), "kernel 7 is larger than the padded input 6 on axis 0"),
        (
            lambda x: sc.max_pool(x, 2, padding=2),
            r"padding \(2, 2\) on axis 0 leaves windows of 2 samples wholly outside",
        ),
        (lambda x: sc.avg_pool(x.int(), 2), "avg_pool takes floating or complex"),
        (lambda x: sc.avg_pool(x, 2, padding_mode="mirror"), "padding_mode 'mirror' is not one of"),
        (lambda x: sc.avg_pool(x, 2, padding=2, count_include_pad=False), "wholly outside"),
        (lambda x: sc.avg_pool(x, 2, padding_mode="reflect", count_include_pad=False), "choose one"),
        (lambda x: sc.max_pool(x > 0, 2), "x is torch.bool: max_pool takes real numbers"),
        (lambda x: sc.max_pool(x, 3, padding=1, padding_mode="zeros", return_indices=True), "has no index to return"),
        (lambda x: sc.global_pool(x.int()), "x is torch.int32: there is no avg of it"),
        (lambda x: sc.global_pool(x, "median"), "kind 'median' is not one of"),
        (lambda x: sc.global_pool(x[..., :0]), "none of space empty"),
        (lambda x: sc.avg_pool(x.to_sparse(), 2), "x lies in memory as torch.sparse_coo"),
        (lambda x: sc.max_pool(x.to(torch.float8_e5m2), 2), "x is torch.float8_e5m2, which is not computed with"),
        (lambda x: sc.lp_pool(torch.nested.as_nested_tensor([x, x], layout=torch.jagged), 2, 2), "to_padded_tensor"),
        (lambda x: sc.avg_pool(x, 2, padding=10**12), r"padded input .* would have 4.0e\+12 values"),
        (lambda x: sc.unfold(x, 2, padding=10**12), "padded input .* would have"),
        (lambda x: sc.adaptive_avg_pool(x, 10**12), r"the output \(1, 2, 1000000000000\) would have"),
        (lambda x: sc.pyramid_pool(x, (1, 10**12)), "check output_size"),
        (lambda x: sc.upsample(x, 10**12), "check scale_factor and size"),
        (lambda x: sc.max_unpool(x, torch.zeros(1, 2, 6, dtype=torch.long), 2, 10**12), "check kernel_size and stride"),
    ],
)
def test_errors_say_what_was_expected(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(torch.zeros(1, 2, 6))


@given(n=st.integers(1, 300), m=st.integers(1, 300))
def test_pl11_adaptive_bins_are_as_long_as_their_longest(n, m):
    samples, counts = bins(n, m, "cpu")
    longest = max(-(-(j + 1) * n // m) - j * n // m for j in range(m))
    assert samples.shape == (m, longest)
    assert int(counts.max()) == longest


def test_strides_beyond_32_bits_are_strides():
    x = torch.arange(6.0).view(1, 1, 6)
    for pool in (sc.max_pool, sc.avg_pool):
        torch.testing.assert_close(pool(x, 2, 10**12), pool(x, 2, 6))


@pytest.mark.parametrize(
    "pool", [lambda x: sc.adaptive_avg_pool(x, 3), lambda x: sc.adaptive_max_pool(x, (None, 3, 3, 2)), sc.pyramid_pool]
)
def test_n16_bins_of_sizes_that_are_symbols(pool):
    torch._dynamo.reset()
    compiled = torch.compile(pool, backend="aot_eager", fullgraph=True)
    for n in (5, 6, 9):
        x = torch.randn(1, 1, 4, 4, 4, n)
        torch.testing.assert_close(compiled(x), pool(x))


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_halves_of_complex_numbers_are_not_told_to_be_real():
    with pytest.raises(TypeError, match=r"convert it, for example by x.to\(torch.complex64\)"):
        sc.unfold(torch.zeros(1, 1, 6, dtype=torch.complex32), 2)


def test_what_pads_nothing_may_be_of_any_size():
    large = torch.empty(4096, 64, 1024, 1024, device="meta")
    assert sc.plan(large, torch.empty(1, 64, 3, 3, device="meta")).method == "direct"
    assert sc.max_pool(torch.empty(2**20, 2**18, 4, 4, 4, 4, device="meta"), 2, padding=1).shape[2:] == (3, 3, 3, 3)
    assert sc.unfold(torch.zeros(1, 1, 1).expand(1, 1, 2**38), 1, stride=2**37).shape == (1, 1, 2)
