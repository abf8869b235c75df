"""The operations beside conv: transposed, SciPy's pair, patches, matrices, masks, and the layers made of them."""

import itertools
import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import cases, examples
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

import sigconv as sc
from sigconv import nd

count = lambda layer: sum(p.numel() for p in layer.parameters())

# ---- conv_transpose


@examples(300)
@given(case=cases(ndims=(1, 4)), method=st.sampled_from(["auto", "direct", "fft", "overlap", "windows"]))
def test_st7_conv_transpose_is_the_adjoint_for_every_border_stride_dilation_and_group(case, method):
    u, weight, _ = case.tensors()
    y = sc.conv(u, weight, **case.options)
    x = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(case.seed))
    back = sc.conv_transpose(x, weight, **case.options, output_size=tuple(u.shape[2:]), method=method)
    assert back.shape == u.shape
    assert_close((y * x).sum(), (u * back).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_conv_transpose_is_torchs_where_torch_has_it(ndim, stride):
    for groups, dilation, padding, rest in itertools.product((1, 2), (1, 2), (0, 1), (0, 1)):
        if rest >= max(stride, dilation):
            continue
        x = torch.randn(2, 2 * groups, *[4] * ndim, dtype=torch.float64)
        weight = torch.randn(2 * groups, 3, *[3] * ndim, dtype=torch.float64)
        bias = torch.randn(3 * groups, dtype=torch.float64)
        theirs = getattr(F, f"conv_transpose{ndim}d")(x, weight, bias, stride, padding, rest, groups, dilation)
        options = {"stride": stride, "padding": padding, "output_padding": rest, "groups": groups, "dilation": dilation}
        for method in ("auto", "fft", "windows"):
            assert_close(sc.conv_transpose(x, weight, bias, **options, method=method), theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64])
def test_conv_transpose_of_other_kinds(dtype):
    x = torch.randn(2, 3, 6, dtype=torch.float64).to(dtype)
    weight = torch.randn(3, 2, 4, dtype=torch.float64).to(dtype)
    for stride in (1, 2):
        y = sc.conv_transpose(x, weight, stride=stride)
        wide = torch.complex128 if dtype.is_complex else torch.float64
        assert y.dtype == dtype
        assert_close(y.to(wide), F.conv_transpose1d(x.to(wide), weight.to(wide), stride=stride), rtol=2e-2, atol=1e-1)


def test_st7_each_input_feeds_three_outputs_and_the_size_doubles():
    weight = torch.ones(1, 1, 3)
    one = torch.zeros(1, 1, 4)
    one[..., 1] = 1
    y = sc.conv_transpose(one, weight, stride=2, padding=1, output_padding=1)
    assert y.shape[-1] == 8
    assert y.count_nonzero() == 3
    down = sc.to_dense(sc.Conv1d(1, 1, 3, stride=2, padding=1, bias=False), (8,)).weight
    layer = sc.Conv1d(1, 1, 3, stride=2, padding=1, bias=False)
    layer.weight.data.fill_(1)
    assert_close(y.flatten(), sc.to_dense(layer, (8,)).weight.mT @ one.flatten())
    assert down.shape == (4, 8)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_the_transposed_layer_is_torchs(ndim):
    theirs = getattr(nn, f"ConvTranspose{ndim}d")(4, 6, 3, 2, 1, 1, 2)
    torch.manual_seed(0)
    theirs.reset_parameters()
    torch.manual_seed(0)
    ours = sc.ConvTranspose(4, 6, 3, 2, 1, 1, 2, ndim=ndim)
    assert_close(ours.weight, theirs.weight)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 4, *[5] * ndim)
    assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    assert_close(ours(x, output_size=(9,) * ndim), theirs(x, output_size=(9,) * ndim), rtol=1e-4, atol=1e-5)


# ---- SciPy's pair


arrays = st.integers(1, 3).flatmap(lambda n: st.tuples(*[st.tuples(*[st.integers(1, 6)] * n)] * 2))


@examples(300)
@given(
    shapes=arrays,
    mode=st.sampled_from(["full", "same", "valid"]),
    name=st.sampled_from(["convolve", "correlate"]),
    kind=st.sampled_from("fdFDil"),
    seed=st.integers(0, 99),
)
def test_cv3_cv8_cv9_convolve_and_correlate_are_scipys(shapes, mode, name, kind, seed):
    rng = np.random.default_rng(seed)
    x, h = (rng.integers(-9, 9, shape) for shape in shapes)
    if kind in "FD":
        x, h = x + 1j * rng.integers(-9, 9, shapes[0]), h - 1j * rng.integers(-9, 9, shapes[1])
    x, h = x.astype(kind), h.astype(kind)
    valid = all(a >= b for a, b in zip(*shapes, strict=True)) or all(a <= b for a, b in zip(*shapes, strict=True))
    assume(mode != "valid" or valid)
    ours, theirs = getattr(sc, name)(x, h, mode), getattr(scipy.signal, name)(x, h, mode, method="direct")
    assert ours.dtype == (np.int64 if kind in "il" else np.result_type(kind))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-5)
    ours = getattr(sc, name)(torch.from_numpy(x), torch.from_numpy(h), mode)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("axes", [0, (1,), (0, 2), (-1, 0), None])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_axes_are_oaconvolves_and_the_others_broadcast(axes, mode):
    rng = np.random.default_rng(0)
    x, h = rng.normal(size=(6, 5, 7)), rng.normal(size=(3, 2, 4))
    for kept in itertools.product((True, False), repeat=3):
        named = range(3) if axes is None else [a % 3 for a in np.atleast_1d(axes)]
        small = h[tuple(slice(None) if a in named else (slice(0, 1) if kept[a] else 0) for a in range(3))]
        small = small.reshape([h.shape[a] if a in named else 1 for a in range(3)])
        if not all(kept):
            full = np.broadcast_to(small, [small.shape[a] if a in named else x.shape[a] for a in range(3)]).copy()
            small = full * rng.normal(size=[1 if a in named else x.shape[a] for a in range(3)])
        np.testing.assert_allclose(
            sc.convolve(x, small, mode, axes=axes),
            scipy.signal.fftconvolve(x, small, mode, axes=axes),
            rtol=1e-9,
            atol=1e-10,
        )


def test_cv3_convolution_commutes_and_cv13_correlation_turns_over():
    f, h = torch.randn(2, 9, dtype=torch.float64)
    h = h[:5]
    assert_close(sc.convolve(f, h), sc.convolve(h, f))
    assert_close(sc.correlate(h, f), sc.correlate(f, h).flip(0))
    assert not torch.allclose(sc.correlate(h, f), sc.correlate(f, h))


@pytest.mark.parametrize("mode", ["full", "same"])
@pytest.mark.parametrize("border", nd.PADDING_MODES)
def test_borders_of_convolve_are_those_of_a_padded_array(mode, border):
    x, h = torch.randn(6, 5, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    margins = ((2, 2), (3, 3)) if mode == "full" else ((1, 1), (2, 1))
    padded = nd.pad(x, margins, border, 2.0)
    assert_close(sc.convolve(x, h, mode, padding_mode=border, value=2.0), sc.convolve(padded, h, "valid"))


def test_a_constant_beyond_the_border_may_be_complex_and_numbers_may_be_numpys():
    x, h = np.ones(4) + 1j, np.array([1.0, 2.0])
    padded = np.pad(x, 1, constant_values=2j)
    np.testing.assert_allclose(sc.convolve(x, h, padding_mode="constant", value=2j), np.convolve(padded, h, "valid"))
    real = sc.convolve(np.ones(4), h, axes=np.int64(0), padding_mode="constant", value=np.float32(2))
    np.testing.assert_allclose(real, np.convolve(np.pad(np.ones(4), 1, constant_values=2), h, "valid"))


def test_integers_of_two_kinds_are_one_int64():
    for one, other in itertools.product((np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.bool_), repeat=2):
        y = sc.convolve(np.ones(3, one), np.ones(2, other))
        assert y.dtype == np.int64
        assert y.tolist() == [1, 2, 2, 1]


def test_n7_n8_integers_are_exact_or_refused_never_wrapped():
    for kind in (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.bool_):
        top = np.iinfo(kind).max if kind is not np.bool_ else 1
        x, h = np.array([min(int(top), 2**40)] * 3).astype(kind), np.array([1, 1]).astype(kind)
        exact = np.convolve(x.astype(object), h.astype(object))
        y = sc.convolve(x, h)
        assert y.dtype == np.int64
        assert y.tolist() == exact.tolist(), kind
    big = np.array([2**61, 1, 3])
    assert sc.convolve(big, np.array([1, 2])).tolist() == np.convolve(big.astype(object), [1, 2]).tolist(), (
        "beyond 2**53"
    )
    assert sc.convolve(np.array([2**61, 5]), np.array([3])).tolist() == [3 * 2**61, 15]
    for x, h in (([2**62], [2]), ([2**61], [2, 2]), ([-(2**63)], [1])):
        with pytest.raises(OverflowError, match="more than int64 holds"):
            sc.convolve(np.array(x), np.array(h))
    with pytest.raises(OverflowError, match="above 2"):
        sc.convolve(np.array([2**63], np.uint64), np.array([1], np.uint64))
    with pytest.raises(TypeError, match=r"conv takes floating or complex"):
        sc.conv(torch.ones(1, 1, 5, dtype=torch.uint8), torch.ones(1, 1, 3))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kernel", range(1, 10))
def test_n10_an_impulse_lands_where_scipy_and_where_torch_put_it(kernel):
    """convolve's same is SciPy's (the earlier of two middles); conv's same is torch's (the extra sample after)."""
    impulse, h = np.zeros(15), np.arange(1.0, kernel + 1)
    impulse[7] = 1
    np.testing.assert_array_equal(sc.convolve(impulse, h, "same"), np.convolve(impulse, h, "same"))
    np.testing.assert_array_equal(sc.correlate(impulse, h, "same"), scipy.signal.correlate(impulse, h, "same"))
    if kernel % 2:
        np.testing.assert_array_equal(
            sc.convolve(impulse, h, "same"), scipy.ndimage.convolve1d(impulse, h, mode="constant")
        )
    x, w = torch.from_numpy(impulse)[None, None], torch.from_numpy(h)[None, None]
    for dilation in (1, 2, 3):
        theirs = F.conv1d(x, w, padding="same", dilation=dilation)
        assert_close(sc.conv(x, w, padding="same", dilation=dilation), theirs)


WRONG = [
    (lambda: sc.convolve(np.ones(3), np.ones((2, 2))), "x has 1 axes and h 2"),
    (lambda: sc.convolve(np.ones(3), np.ones(2), "middle"), "mode 'middle' is not one of"),
    (lambda: sc.convolve(np.ones((3, 2)), np.ones((2, 3)), "valid"), "for 'valid' one must be the larger"),
    (lambda: sc.convolve(np.ones((3, 2)), np.ones((2, 3)), axes=0), "do not broadcast"),
    (lambda: sc.convolve(np.ones(3), np.ones(0)), "nothing to convolve"),
    (lambda: sc.convolve(np.ones(3), np.ones(2), axes=1), "axes 1 are not axes"),
    (lambda: sc.convolve(np.ones((3, 3)), np.ones((2, 2)), axes=(0, -2)), "name one axis twice"),
    (lambda: sc.convolve(np.ones(3), np.ones(2), "valid", padding_mode="reflect"), "no meaning for mode 'valid'"),
    (lambda: sc.convolve(torch.ones(3), np.ones(2)), "h is a ndarray and x a tensor"),
    (lambda: sc.convolve(np.ones(3), np.ones(2), value=1j), "value 1j is not a real number"),
    (lambda: sc.conv_transpose(torch.ones(1, 2, 5), torch.ones(3, 1, 3)), "in whole groups"),
    (
        lambda: sc.conv_transpose(torch.ones(1, 1, 5), torch.ones(1, 1, 3), output_padding=1),
        "output_padding .* smaller than stride",
    ),
    (
        lambda: sc.conv_transpose(torch.ones(1, 1, 5), torch.ones(1, 1, 3), stride=2, output_size=13),
        "not between .11,. and .12,.",
    ),
    (lambda: sc.conv_transpose(torch.ones(1, 1, 2), torch.ones(1, 1, 3), padding=3), "leaves -2 samples on axis 0"),
    (lambda: sc.conv_transpose(torch.ones(1, 1, 2), torch.ones(1, 1, 3), torch.ones(2)), "bias has shape"),
    (lambda: sc.conv(torch.ones(1, 1, 3), torch.ones(1, 1, 1), torch.ones(1) * 1j), "no place for it"),
    (
        lambda: sc.conv_transpose(torch.ones(1, 1, 3), torch.ones(1, 1, 1), torch.ones(1).double()),
        "bias is torch.float64",
    ),
    (lambda: sc.fold(torch.ones(1, 4, 3), (3,), 2), "expected .batch, channels x 2 taps, 2 positions"),
    (lambda: sc.fold(torch.ones(1, 4, 3), 3, 2), "one number per axis"),
    (lambda: sc.unfold(torch.ones(1, 4), 2), "needs axes of space"),
    (lambda: sc.toeplitz(torch.ones(3), 2, "valid"), "kernel 3 is larger"),
    (lambda: sc.toeplitz(torch.ones(3), 5, padding_mode="constant"), "no matrix adds a constant"),
    (lambda: sc.toeplitz(torch.ones(3, dtype=torch.int64), 5), "expected floating or complex"),
    (lambda: sc.factorize(torch.ones(1, 1, 3), 2), "tol 2 must lie between"),
    (lambda: sc.factorize(torch.full((1, 1, 3), torch.nan)), "NaN or infinite"),
    (lambda: sc.factorize(torch.ones(3)), "must be a real floating tensor"),
    (lambda: sc.Factors(torch.ones(1, 1), torch.ones(1, 2), (torch.ones(3, 1),)), "all of one rank"),
    (lambda: sc.masked_conv(torch.ones(1, 1, 5), torch.ones(1, 1, 3), torch.ones(4)), r"mask \(4,\) does not fit"),
    (lambda: sc.LocalConv(1, 1, (3,), (8,))(torch.ones(1, 1, 9)), "as this layer was made for"),
    (lambda: sc.FactorizedConv(1, 1, (3, 3), parts=((0,),)), "must name each of the axes"),
    (lambda: sc.to_conv(nn.Linear(10, 2), (3, 4)), "has 12 values, and the layer takes 10"),
    (
        lambda: sc.conv(torch.ones(1, 9, dtype=torch.int64), torch.ones(1, 4, 3), padding=1, padding_mode="constant"),
        "no meaning for tokens",
    ),
    (lambda: sc.conv(torch.ones(1, 9, dtype=torch.int64), torch.ones(2, 4, 3), groups=2), "no meaning for tokens"),
    (
        lambda: sc.conv(torch.ones(1, 9, dtype=torch.int64), torch.ones(2, 4, 3), unknown="n"),
        "unknown 'n' is not one of",
    ),
    (
        lambda: sc.conv(torch.ones(1, 1, 9), torch.ones(1, 1, 3), memory="lots"),
        "memory 'lots' is not a number of bytes",
    ),
    (lambda: sc.conv(torch.ones(1, 1, 9), torch.ones(1, 1, 3), memory=0), "memory 0 must be at least one byte"),
    (lambda: sc.masked_conv(torch.tensor([[0, 1]]), torch.ones(1, 2, 1)), "masked_conv takes floating"),
    (
        lambda: sc.masked_conv(torch.ones(1, 1, 5), torch.ones(1, 1, 3), torch.tensor([1.0, -5, 1, 7, 0])),
        "expected 0 to 1",
    ),
    (lambda: sc.masked_conv(torch.ones(1, 1, 5), torch.ones(1, 1, 3), [1, 0, 1, 0, 1]), "mask is list"),
    (lambda: sc.to_dense(sc.ConvTranspose(2, 2, 3, ndim=1), (4,)), "layer is a ConvTranspose"),
    (lambda: sc.to_dense(sc.MaskedConv(2, 2, 3, ndim=1), (4,)), "layer is a MaskedConv"),
    (lambda: sc.to_conv(None, (1, 4)), "linear is a NoneType"),
    (lambda: sc.conv(np.ma.masked_array(np.ones((1, 1, 3)), np.ones((1, 1, 3))), np.ones((1, 1, 1))), "masked array"),
    (lambda: sc.conv(torch.tensor([[0, 1]]), torch.zeros(1, 0, 2)), "has no symbols"),
    (lambda: sc.toeplitz(torch.tensor([math.inf, 1.0]), 3), "must hold finite taps"),
    (lambda: sc.is_toeplitz(torch.eye(4), rows="a", columns="b"), "rows 'a' are not sizes whose product is 4"),
    (lambda: sc.conv_max(torch.ones(1, 1, 3) * 1j, torch.ones(1, 1, 1)), "complex ones have no largest"),
    (lambda: sc.conv(torch.ones(1, 1, 9).to_sparse(), torch.ones(1, 1, 3)), "lies in memory as torch.sparse"),
    (
        lambda: sc.conv(torch.ones(1, 1, 9).to(torch.float8_e5m2), torch.ones(1, 1, 3).to(torch.float8_e5m2)),
        "float8_e5m2, which is not computed with",
    ),
    (
        lambda: sc.conv(torch.ones(1, 1, 9), torch.ones(1, 1, 3), groups=np.array([2])),
        r"groups array\(\[2\]\) is not a whole",
    ),
    (lambda: sc.Conv(1, 1, (3,), value="a"), "value 'a' is not a number"),
    (lambda: sc.LocalConv(1, 1, (3,), (8,))(np.ones((1, 1, 8))), "x is ndarray: expected a tensor"),
    (lambda: sc.factorize(torch.ones(1, 1, 3), "a"), "tol 'a' must lie between"),
    (lambda: sc.factorize(torch.ones(0, 1, 3)), "holds no values"),
    (lambda: sc.convolve(np.ones(1000, int), np.ones(700, int), method="toeplitz"), "would need a matrix of"),
    (lambda: sc.conv(torch.ones(2, 3, 20), torch.ones(4, 3, 5), padding=10**12), "would have .* values"),
    (lambda: sc.conv(torch.ones(1, 1, 9), torch.ones(1, 1, 3), method="lookup"), "'lookup' takes tokens"),
    (lambda: sc.conv(torch.ones(1, 1, 9), torch.ones(1, 1, 3), padding=2**60), "would have .* values"),
    (lambda: sc.conv(torch.ones(1, 1, 9000), torch.ones(1, 1, 3), method="toeplitz"), "would need a matrix of"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_n12_errors_carry_value_name_and_remedy_in_one_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---- patches and matrices


@given(case=cases(ndims=(1, 4)))
def test_mx7_columns_times_weights_are_the_convolution_and_fold_is_the_adjoint(case):
    x, weight, _ = case.tensors()
    options = {
        "stride": case.stride,
        "padding": case.padding,
        "padding_mode": case.padding_mode,
        "dilation": case.dilation,
    }
    columns = sc.unfold(x, case.kernel_size, **options)
    if case.groups == 1 and not case.flip:
        y = sc.conv(x, weight, **options)
        assert_close((weight.flatten(1) @ columns).reshape(y.shape), y, rtol=1e-10, atol=1e-10)
    back = sc.fold(torch.ones_like(columns), case.size, case.kernel_size, **options)
    other = torch.randn_like(columns)
    assert_close(
        (sc.unfold(x, case.kernel_size, **options) * other).sum(),
        (x * sc.fold(other, case.size, case.kernel_size, **options)).sum(),
    )
    assert back.shape == x.shape


def test_unfold_and_fold_are_torchs_in_two_dimensions():
    x = torch.randn(2, 3, 8, 9)
    options = {"dilation": 2, "padding": 1, "stride": 2}
    columns = sc.unfold(x, (2, 3), **options)
    assert torch.equal(columns, F.unfold(x, (2, 3), 2, 1, 2))
    assert_close(sc.fold(columns, (8, 9), (2, 3), **options), F.fold(columns, (8, 9), (2, 3), 2, 1, 2))
    assert torch.equal(sc.unfold(x.to(torch.uint8), 2), F.unfold(x.to(torch.uint8).float(), 2).to(torch.uint8))


@given(
    shapes=arrays,
    mode=st.sampled_from(["full", "same", "valid"]),
    border=st.sampled_from([m for m in nd.PADDING_MODES if m != "constant"]),
    stride=st.integers(1, 3),
)
def test_mx1_mx5_the_matrix_is_the_convolution_with_constant_diagonals_in_blocks(shapes, mode, border, stride):
    n, m = shapes
    assume(mode != "valid" or all(a >= b for a, b in zip(n, m, strict=True)))
    border = "zeros" if mode == "valid" else border
    f, h = torch.randn(n, dtype=torch.float64), torch.randn(m, dtype=torch.float64)
    matrix = sc.toeplitz(h, n, mode, padding_mode=border)
    y = sc.convolve(f, h, mode, padding_mode=border)
    assert_close(matrix @ f.flatten(), y.flatten(), rtol=1e-10, atol=1e-10)
    strided = sc.toeplitz(h, n, mode, padding_mode=border, stride=stride)
    rows = torch.arange(y.numel()).reshape(y.shape)[(slice(None, None, stride),) * len(n)]
    several = 0 if border == "zeros" else 1e-14  # taps of a border meet in one entry, summed in any order
    assert_close(strided, matrix[rows.flatten()], rtol=several, atol=several)
    if border == "zeros":
        assert sc.is_toeplitz(matrix, rows=tuple(y.shape), columns=n)
    if border == "circular" and mode == "same":
        assert sc.is_circulant(matrix, rows=n, columns=n)


def test_mx1_mx2_mx3_the_band_matrix_of_full_convolution():
    n, m = 20, 4
    h = torch.randn(m, dtype=torch.float64)
    matrix = sc.toeplitz(h, n)
    assert matrix.shape == (n + m - 1, n)
    assert matrix.count_nonzero() == n * m, "MX3: n·m entries, m of them free"
    assert matrix.unique().numel() == m + 1
    diagonals = {int(i - j) for i, j in matrix.nonzero()}
    assert diagonals == set(range(m)), "MX2: H_ij = c_{i-j}"
    np.testing.assert_array_equal(matrix, scipy.linalg.convolution_matrix(h.numpy(), n))
    assert not sc.is_toeplitz(matrix + torch.eye(n + m - 1)[:, :n] * torch.arange(n))


def test_mx4_circulant_exactly_when_circular():
    h = torch.tensor([1.0, 2.0, 3.0])
    for border in nd.PADDING_MODES:
        if border != "constant":
            assert sc.is_circulant(sc.toeplitz(h, 7, "same", padding_mode=border)) == (border == "circular"), border
    for mode in ("full", "valid"):
        assert not sc.is_circulant(sc.toeplitz(h, 7, mode))


def test_mx5_mx6_six_inputs_six_units_are_36_weights_of_which_three_are_free():
    layer = sc.Conv1d(1, 1, 3, padding="same", bias=False)
    dense = sc.to_dense(layer, (6,))
    assert dense.weight.numel() == 36
    assert count(layer) == 3
    assert dense.weight.count_nonzero() == 16
    assert dense.weight.detach().unique().numel() == 4
    x = torch.randn(5, 1, 6)
    assert_close(dense(x.flatten(1)), layer(x).flatten(1))


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_mx6_a_dense_layer_does_what_the_convolution_does(ndim):
    layer = sc.Conv(2, 4, (3,) * ndim, 2, "same", groups=2, padding_mode="symmetric", flip=True, dtype=torch.float64)
    x = torch.randn(3, 2, *[4] * ndim, dtype=torch.float64)
    assert_close(sc.to_dense(layer, 4)(x.flatten(1)), layer(x).flatten(1))


def test_st5_st6_a_classifier_becomes_a_map_that_equals_sliding_it():
    torch.manual_seed(0)
    features = sc.Conv2d(1, 3, 3)
    head = nn.Linear(3 * 6 * 6, 10)
    classify = nn.Sequential(features, nn.ReLU(), nn.Flatten(), head)
    everywhere = nn.Sequential(features, nn.ReLU(), sc.to_conv(head, (3, 6, 6)))
    image = torch.randn(1, 1, 11, 10)
    slid = torch.stack(
        [torch.stack([classify(image[..., i : i + 8, j : j + 8])[0] for j in range(3)], -1) for i in range(4)], -2
    )
    assert_close(everywhere(image)[0], slid)


# ---- masks


def masked_by_loops(x, w, mask, padding):
    x, mask = np.pad(np.where(mask, x, 0), padding), np.pad(mask.astype(float), padding)
    y = np.zeros(len(x) - len(w) + 1)
    for p in range(len(y)):
        met = (mask[p : p + len(w)] * abs(w)).sum()
        y[p] = (x[p : p + len(w)] * mask[p : p + len(w)] * w).sum() * abs(w).sum() / met if met > 0 else 0
    return y


@given(st.integers(0, 1000))
def test_masked_conv_is_normalised_by_what_it_met(seed):
    rng = np.random.default_rng(seed)
    x, w, mask = rng.normal(size=12), rng.normal(size=5), rng.random(12) > 0.5
    y, met = sc.masked_conv(x[None, None], w[None, None], mask, padding=2, return_weight=True)
    np.testing.assert_allclose(y[0, 0], masked_by_loops(x, w, mask, 2), rtol=1e-9, atol=1e-12)
    assert ((met >= 0) & (met <= 1 + 1e-12)).all()
    missing = np.where(mask, x, np.nan)
    np.testing.assert_allclose(sc.masked_conv(missing[None, None], w[None, None], padding=2)[0, 0], y[0, 0])


@pytest.mark.parametrize("method", ["fft", "overlap", "windows"])
def test_what_meets_nothing_is_invalid_by_every_method(method):
    x = torch.full((1, 1, 3000), torch.nan)
    x[..., :1000] = 1
    _, met = sc.masked_conv(x, torch.rand(1, 1, 101), padding="same", return_weight=True, method=method)
    assert (met == 0).sum() == 1950


def test_a_smoothed_constant_stays_constant_whatever_is_missing():
    x = torch.full((1, 2, 7, 8, 6), 3.0)
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.7] = torch.nan
    weight = torch.rand(2, 1, 5, 5, 5, generator=torch.Generator().manual_seed(1))
    weight = weight / weight.sum((1, 2, 3, 4), keepdim=True)
    y, met = sc.masked_conv(x, weight, groups=2, padding="same", return_weight=True)
    assert_close(y[met > 0], torch.full_like(y[met > 0], 3.0))
    layer = sc.MaskedConv(2, 2, 5, groups=2, padding="same", ndim=3)
    layer.weight.data, layer.bias.data[:] = weight, 0
    assert_close(layer(x), y)
    assert layer(x, torch.zeros(1, dtype=torch.bool)).abs().max() == 0, "nothing valid: 0"


# ---- layers


def test_st8_st9_depthwise_and_separable_layers_and_what_they_save():
    depthwise = sc.DepthwiseConv(16, 3, padding=1, ndim=2, bias=False)
    x = torch.randn(2, 16, 9, 8)
    each = [F.conv2d(x[:, c : c + 1], depthwise.weight[c : c + 1], padding=1) for c in range(16)]
    assert_close(depthwise(x), torch.cat(each, 1))
    for ndim in (1, 2, 3, 4):
        separable = sc.SeparableConv(16, 24, 3, padding="same", ndim=ndim, bias=False)
        dense = sc.Conv(16, 24, 3, ndim=ndim, bias=False)
        assert count(separable) / count(dense) == pytest.approx(1 / 24 + 1 / 3**ndim), "ST9"
        assert separable(torch.zeros(1, 16, *[4] * ndim)).shape == (1, 24, *[4] * ndim)


def test_st10_an_axis_at_a_time_is_the_outer_product():
    layer = sc.FactorizedConv(1, 1, (3, 5, 2), (1, 2, 1), padding="same", bias=False, dtype=torch.float64)
    one = sc.Conv(1, 1, (3, 5, 2), (1, 2, 1), padding="same", bias=False, dtype=torch.float64)
    u, v, w = (step.weight.flatten() for step in layer)
    one.weight.data = torch.einsum("a,b,c->abc", u, v, w)[None, None].detach()
    x = torch.randn(2, 1, 6, 7, 5, dtype=torch.float64)
    assert_close(layer(x), one(x))
    video = sc.FactorizedConv(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), parts=((1, 2), (0,)), mid_channels=45, bias=False)
    assert count(video) == 3 * 45 * 49 + 45 * 64 * 3, "the stem of R(2+1)D"


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_st13_untied_weights_and_limited_weight_sharing(ndim):
    size = (7,) * ndim
    layer = sc.LocalConv(2, 4, 3, size, 2, 1, groups=2, ndim=ndim, padding_mode="reflect", dtype=torch.float64)
    x = torch.randn(3, 2, *size, dtype=torch.float64)
    y = layer(x)
    for p in itertools.product(range(4), repeat=ndim):
        tied = sc.conv(
            x, layer.weight[(..., *p)], layer.bias[(..., *p)], stride=2, padding=1, padding_mode="reflect", groups=2
        )
        assert_close(y[(..., *p)], tied[(..., *p)])
    shared = sc.LocalConv(
        2, 4, 3, size, 2, 1, groups=2, share=4, ndim=ndim, padding_mode="reflect", dtype=torch.float64
    )
    assert_close(
        shared(x),
        sc.conv(
            x,
            shared.weight[(..., *[0] * ndim)],
            shared.bias[(..., *[0] * ndim)],
            stride=2,
            padding=1,
            padding_mode="reflect",
            groups=2,
        ),
    )
    assert sc.LocalConv(1, 80, 8, (40,), share=3, ndim=1).weight.shape[-1] == 11


# ---- what the lectures say, by requirement ID


def test_cv1_cv4_convolution_is_the_integral_operator_whose_kernel_shifts():
    """(T f)(u) = Σ_t H(u, t) f(t) with H(u, t) = h(u - t): H(u - s, t - s) = H(u, t)."""
    h, f = torch.randn(4, dtype=torch.float64), torch.randn(9, dtype=torch.float64)
    operator = sc.toeplitz(h, 9)
    assert_close(torch.stack([(operator[u] * f).sum() for u in range(12)]), sc.convolve(f, h))
    assert torch.equal(operator[1:, 1:], operator[:-1, :-1])


@given(case=cases(ndims=(1, 4)), a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_cv5_linearity(case, a, b):
    f, weight, _ = case.tensors()
    g = torch.randn(f.shape, dtype=torch.float64)
    run = lambda x: sc.conv(x, weight, **case.options)
    assert_close(run(a * f + b * g), a * run(f) + b * run(g), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_cv7_a_linear_shift_invariant_map_is_convolution_with_its_impulse_response(ndim):
    size = (6,) * ndim
    axes = tuple(range(ndim))
    operator = lambda f: 0.5 * f.roll(1, 0) - 2 * f.roll((1,) * ndim, axes) + f  # something linear and invariant
    impulse = torch.zeros(size, dtype=torch.float64)
    impulse[(0,) * ndim] = 1
    h, f = operator(impulse), torch.randn(size, dtype=torch.float64)
    circular = sc.conv(f[None, None], h[None, None], padding=((5, 0),) * ndim, padding_mode="circular", flip=True)
    assert_close(circular[0, 0], operator(f))


def test_cv12_the_switch_between_convolution_and_correlation_learns_the_same_up_to_a_flip():
    x, target = torch.randn(4, 1, 30, dtype=torch.float64), torch.randn(1, 1, 5, dtype=torch.float64)
    y = sc.conv(x, target)
    learned = {}
    for flip in (False, True):
        layer = sc.Conv1d(1, 1, 5, bias=False, flip=flip, dtype=torch.float64)
        solver = torch.optim.LBFGS(layer.parameters(), max_iter=100, tolerance_grad=1e-12)

        def closure(layer=layer, solver=solver):
            solver.zero_grad()
            loss = (layer(x) - y).square().mean()
            loss.backward()
            return loss

        solver.step(closure)
        learned[flip] = layer.weight.detach()
    assert_close(learned[False], learned[True].flip(2), rtol=1e-4, atol=1e-4)
    assert_close(learned[False], target, rtol=1e-4, atol=1e-4)


def test_cv15_finite_support_makes_the_sum_finite():
    f, h = torch.zeros(101), torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    f[50:] = 1
    y = sc.convolve(f, h, "same")
    assert torch.equal(y[52:98], torch.ones(46))
    assert torch.equal(y[48:52] * 16, torch.tensor([1.0, 5.0, 11.0, 15.0])), "only samples within the window count"


def test_cv16_cv17_a_layer_is_a_linear_map_over_all_channels_of_a_window():
    layer = sc.Conv2d(3, 5, 3, bias=False, dtype=torch.float64)
    matrix = layer.weight.reshape(5, 3 * 3**2)  # k x (d · r^N)
    x = torch.randn(1, 3, 6, 6, dtype=torch.float64)
    assert_close(layer(x)[0, :, 2, 1], matrix @ x[0, :, 2:5, 1:4].flatten())


def test_cv18_cv19_units_of_one_and_two_dimensions_written_out():
    layer = sc.Conv1d(1, 1, 3)
    assert count(layer) == 4, "3 weights, 1 bias"
    x = torch.randn(1, 1, 8)
    (w,), beta = layer.weight[0], layer.bias[0]
    unit = torch.sigmoid(beta + w[0] * x[0, 0, 2] + w[1] * x[0, 0, 3] + w[2] * x[0, 0, 4])
    assert_close(torch.sigmoid(layer(x))[0, 0, 2], unit)
    layer, x = sc.Conv2d(1, 1, 3), torch.randn(1, 1, 5, 5)
    total = sum(layer.weight[0, 0, m, n] * x[0, 0, 1 + m, 2 + n] for m in range(3) for n in range(3))
    assert_close(layer(x)[0, 0, 1, 2], layer.bias[0] + total)


def test_cv20_shuffling_the_axis_breaks_equivariance():
    x, weight = torch.randn(1, 1, 12), torch.randn(1, 1, 3)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    run = lambda x: sc.conv(x, weight, padding="same", padding_mode="circular")
    assert_close(run(x.roll(3, 2)), run(x).roll(3, 2))
    assert not torch.allclose(run(x[..., order]), run(x)[..., order])


def test_cv22_a_filter_larger_than_its_input_or_of_another_depth_is_refused():
    with pytest.raises(ValueError, match="larger than the padded input 4"):
        sc.conv(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 5, 5))
    with pytest.raises(ValueError, match="3 channels does not fit"):
        sc.conv(torch.zeros(1, 3, 9), torch.zeros(1, 2, 3))


def test_cv23_the_same_weights_run_on_any_size():
    layer = sc.Conv(1, 2, (3, 3, 3))
    for size in ((3, 3, 3), (5, 9, 4), (7, 3, 12)):
        assert layer(torch.zeros(1, 1, *size)).shape == (1, 2, *(n - 2 for n in size))


def test_cv24_a_sharpening_filter_keeps_a_constant_and_lifts_an_edge():
    sharpen = torch.tensor([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]])[None, None]
    image = torch.zeros(1, 1, 8, 8)
    image[..., 4:] = 1
    y = sc.conv(image, sharpen, padding="same", padding_mode="replicate", flip=True)
    assert y[0, 0, 3].tolist() == [0, 0, 0, -1, 2, 1, 1, 1]
    assert sharpen.sum() == 1


def test_pd1_pd2_pd3_what_each_padding_makes_of_the_size():
    for f, (n, b) in itertools.product((1, 3, 5, 7), ((9, 12), (32, 32))):
        x, w = torch.zeros(1, 1, n, b), torch.zeros(1, 1, f, f)
        assert sc.conv(x, w).shape[2:] == (n - f + 1, b - f + 1), "PD1"
        assert sc.conv(x, w, padding="half").shape[2:] == (n, b), "PD2"
        assert sc.conv(x, w, padding="full").shape[2:] == (n + f - 1, b + f - 1), "PD3"


def test_pd6_pd7_strides_floor_or_are_strict_and_start_at_the_first_position():
    x, w = torch.arange(10.0)[None, None], torch.ones(1, 1, 3)
    assert sc.conv(x, w, stride=2).shape[-1] == (10 - 3) // 2 + 1
    with pytest.raises(ValueError, match="stride 2 does not divide 7"):
        sc.conv(x, w, stride=2, strict=True)
    assert_close(sc.conv(x, w, stride=2), sc.conv(x, w)[..., ::2])
    assert sc.conv(torch.zeros(1, 1, 40), w, stride=2).shape[-1] == 19, "E8: the MNIST-1D net"


def test_pd9_shapes_of_a_whole_pipeline_without_running_it():
    net = nn.Sequential(
        sc.Conv2d(3, 96, 11, 4, 2, device="meta"),
        nn.ReLU(),
        sc.MaxPool(3, 2),
        sc.Conv2d(96, 256, 5, 1, 2, device="meta"),
    )
    assert net(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 256, 27, 27)


def test_st1_st2_a_stride_is_convolving_and_keeping_every_other_and_stands_in_for_pooling():
    x, w = torch.randn(1, 2, 11, 9, dtype=torch.float64), torch.randn(3, 2, 3, 3, dtype=torch.float64)
    assert_close(sc.conv(x, w, stride=(2, 3)), sc.conv(x, w)[..., ::2, ::3])
    assert sc.conv(x, w, stride=2, padding=1).shape == sc.max_pool(sc.conv(x, w, padding=1), 3, 2, padding=1).shape, (
        "ST2"
    )


def test_st11_a_network_slid_over_the_map_is_convolutions_of_size_one():
    mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    slid = nn.Sequential(sc.to_conv(mlp[0], (4, 1, 1)), nn.ReLU(), sc.to_conv(mlp[2], (8, 1, 1)))
    x = torch.randn(2, 4, 5, 6)
    assert_close(slid(x), mlp(x.movedim(1, -1)).movedim(-1, 1))


def test_st12_three_dimensional_convolution_is_first_class():
    x, w = (
        np.random.default_rng(0).normal(size=(2, 6, 6, 6))[:, None],
        np.random.default_rng(1).normal(size=(1, 1, 3, 3, 3)),
    )
    for b in range(2):
        theirs = scipy.ndimage.correlate(x[b, 0], w[0, 0], mode="mirror")
        np.testing.assert_allclose(sc.conv(x, w, padding="same", padding_mode="reflect")[b, 0], theirs, rtol=1e-10)


@pytest.mark.parametrize("method", ["auto", "fft", "overlap", "windows", "direct"])
def test_n12_a_stride_or_dilation_beyond_the_input_leaves_one_position(method):
    x, weight = torch.randn(2, 3, 20), torch.randn(4, 3, 5)
    assert_close(sc.conv(x, weight, stride=2**40, method=method), sc.conv(x, weight)[..., :1], rtol=1e-4, atol=1e-4)
    one = weight[..., :1]
    assert_close(sc.conv(x, one, dilation=2**62, padding="full", method=method), sc.conv(x, one), rtol=1e-4, atol=1e-4)


def test_factors_of_large_weights_stay_in_range():
    weight = torch.full((2, 1, 3, 3, 3), 1e38)
    assert torch.isfinite(sc.factorize(weight).dense()).all()
    assert_close(sc.factorize(weight).dense(), weight)


def test_c7_sizes_of_transposed_convolution():
    for n, k, s, p, d, rest in itertools.product((3, 5), (2, 3), (1, 2, 3), (0, 1), (1, 2), (0, 1)):
        if rest < max(s, d) and (n - 1) * s - 2 * p + d * (k - 1) + rest + 1 > 0:
            y = sc.conv_transpose(
                torch.ones(1, 1, n), torch.ones(1, 1, k), stride=s, padding=p, dilation=d, output_padding=rest
            )
            assert y.shape[-1] == (n - 1) * s - 2 * p + d * (k - 1) + rest + 1
    assert math.prod(nd.output_size((227, 227), (11, 11), (4, 4), (1, 1), ((0, 0), (0, 0)))) == 55**2
