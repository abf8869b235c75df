"""What holds for every bank of every family: one definition, three ways, units, state, gradients, errors."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

import sigconv as sc
from sigconv import filters, nd
from sigconv.filters import FilterBank, auditory, gabor, haar

FAMILIES = filters.families()
DTYPE = torch.float64
SIZES = {1: (61,), 2: (17, 14), 3: (9, 8, 10), 4: (6, 5, 7, 6)}


def served(family, ndim):
    """Why a family has no bank in so many dimensions; "" where it has."""
    try:
        FAMILIES[family].default(ndim)
    except ValueError as error:
        return str(error)
    return ""


def made(family, ndim):
    return FAMILIES[family].default(ndim)


def defined(bank, x, stride=1, padding_mode="zeros", value=0.0):
    """True convolution with .kernels, written out: the border laid around, windows, sums."""
    size = bank.kernel_size
    margins = tuple((k // 2, k // 2) for k in size)
    rows = nd.pad(x.flatten(0, 1), margins, padding_mode, value)
    windows = nd.windows(rows, size, nd.ntuple(stride, bank.ndim, "stride"), (1,) * bank.ndim)
    turned = bank.kernels.detach().flip(tuple(range(1, bank.ndim + 1))).flatten(1)
    kind = torch.promote_types(turned.dtype, rows.dtype)
    y = windows.flatten(1 + bank.ndim).to(kind) @ turned.mT.to(kind)
    return y.movedim(-1, 1).reshape(x.shape[0], -1, *windows.shape[1 : 1 + bank.ndim])


REFUSED = {(name, ndim): served(name, ndim) for name in sorted(FAMILIES) for ndim in SIZES}
family_in_dimension = pytest.mark.parametrize(("family", "ndim"), [pair for pair, why in REFUSED.items() if not why])


def test_fb1_a_family_that_has_not_all_dimensions_says_which():
    for (family, ndim), why in REFUSED.items():
        assert not why or (family in why and str(ndim) in why and "\n" not in why)
    assert all(not REFUSED["gabor", ndim] for ndim in SIZES)
    assert len({family for (family, _), why in REFUSED.items() if not why}) == len(FAMILIES) >= 8


@family_in_dimension
def test_a_default_bank_filters_every_channel_and_says_what_it_is(family, ndim):
    bank = made(family, ndim)
    assert isinstance(bank, FilterBank)
    assert len(set(bank.names)) == len(bank.names) == len(bank) > 0
    x = torch.randn(2, 3, *SIZES[ndim], generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    y = bank(x, padding_mode="symmetric")
    assert y.shape == (2, 3 * len(bank), *SIZES[ndim])
    assert y.is_complex() == bank.complex
    torch.testing.assert_close(y[1:, len(bank) :][:, : len(bank)], bank(x[1:, 1:2], padding_mode="symmetric"))
    torch.testing.assert_close(bank(2 * x - x.flip(0)), 2 * bank(x) - bank(x.flip(0)), rtol=1e-9, atol=1e-9)
    as_numpy = bank(x.float().numpy(), output="energy")
    assert isinstance(as_numpy, np.ndarray)
    assert as_numpy.dtype == np.float32
    table = bank.table()
    assert [row["name"] for row in table] == bank.names
    assert len(str(table).splitlines()) == len(bank) + 1
    assert bank.names[0] in str(table)
    assert "filters" in repr(bank)


@family_in_dimension
def test_kernels_are_the_response_to_an_impulse(family, ndim):
    bank = made(family, ndim)
    if bank.kernel_size is None:
        size = tuple(n + n % 2 for n in SIZES[ndim])
        impulse = torch.zeros(1, 1, *size, dtype=DTYPE)
        impulse[(0, 0, *(n // 2 for n in size))] = 1
        y = bank(impulse, padding_mode="circular")[0]
        torch.testing.assert_close(y, bank.kernels_for(size).to(y.dtype), rtol=1e-9, atol=1e-12)
        with pytest.raises(ValueError, match="made in frequency"):
            _ = bank.kernels
        return
    assert bank.kernels.shape == (len(bank), *bank.kernel_size)
    assert bank.kernels.dtype in (torch.float64, torch.complex128)
    size = tuple(k + 2 for k in bank.kernel_size)
    if np.prod(size) * len(bank) > 3e7:
        size = tuple(min(k, 15) for k in bank.kernel_size)
    impulse = torch.zeros(1, 1, *size, dtype=DTYPE)
    impulse[(0, 0, *(n // 2 for n in size))] = 1
    y = bank(impulse)[0]
    whole = bank.kernels.to(y.dtype)
    cut = tuple(
        slice(max(k // 2 - n // 2, 0), k // 2 - n // 2 + n) for k, n in zip(bank.kernel_size, size, strict=True)
    )
    inside = tuple(
        slice(max(n // 2 - k // 2, 0), n // 2 + k // 2 + 1) for k, n in zip(bank.kernel_size, size, strict=True)
    )
    torch.testing.assert_close(y[(slice(None), *inside)], whole[(slice(None), *cut)], rtol=1e-9, atol=1e-12)


@family_in_dimension
def test_a_stride_keeps_every_so_manyth_position(family, ndim):
    bank = made(family, ndim)
    x = torch.randn(1, 2, *SIZES[ndim], generator=torch.Generator().manual_seed(1), dtype=DTYPE)
    stride = (2, 3, 1, 2)[:ndim]
    kept = (..., *(slice(None, None, s) for s in stride))
    for padding_mode in ("zeros", "circular", "reflect"):
        dense = bank(x, padding_mode=padding_mode)
        torch.testing.assert_close(bank(x, stride=stride, padding_mode=padding_mode), dense[kept], rtol=1e-9, atol=1e-9)


@family_in_dimension
def test_state_is_parameters_only_and_comes_back(family, ndim):
    bank = made(family, ndim)
    assert set(bank.state_dict()) == {name for name, _ in bank.named_parameters()}
    assert not any(p.requires_grad for p in bank.parameters())
    other = copy.deepcopy(bank)
    for p in other.parameters():
        p.data.mul_(1.01)
    other.load_state_dict(bank.state_dict())
    x = torch.randn(1, 1, *SIZES[ndim], dtype=DTYPE)
    assert torch.equal(other(x), bank(x))


@family_in_dimension
def test_nothing_but_what_a_nan_touches_is_nan_n1(family, ndim):
    bank = made(family, ndim)
    if bank.kernel_size is None:
        x = torch.randn(2, 1, *SIZES[ndim], dtype=DTYPE)
        x[0].flatten()[3] = torch.nan
        y = bank(x)
        assert y[0].isnan().all(), "a kernel as large as the signal sees it everywhere"
        assert torch.isfinite(y[1]).all()
        return
    size = tuple(min(k + 6, 40) for k in bank.kernel_size)
    x = torch.randn(1, 1, *size, dtype=DTYPE)
    x[(0, 0, *[0] * ndim)] = torch.inf
    for stride in (1, 2):
        y = bank(x, stride=stride)
        wanted = torch.ones(tuple(-(-n // stride) for n in size), dtype=torch.bool)
        reach = tuple(slice(0, k // 2 // stride + 1) for k in bank.kernel_size)
        wanted[reach] = False
        assert torch.equal(torch.isfinite(y).all(1)[0], wanted)


@family_in_dimension
def test_gradients_reach_the_signal(family, ndim):
    bank = made(family, ndim)
    size = tuple(min(n, 5) for n in SIZES[ndim])
    if ndim > 2:
        size = tuple(min(n, 3) for n in size)
    x = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(2), dtype=DTYPE, requires_grad=True)
    work = lambda x: torch.view_as_real(y) if (y := bank(x, stride=2)).is_complex() else y
    assert torch.autograd.gradcheck(work, x, fast_mode=True)


@family_in_dimension
def test_a_default_bank_scales_with_the_sampling_rate(family, ndim):
    one, fine = made(family, ndim), FAMILIES[family].default(ndim, fs=4.0)
    assert fine.fs == (4.0,) * ndim
    taken = lambda bank: bank.kernels_for(12) if bank.kernel_size is None else bank.kernels
    torch.testing.assert_close(taken(fine), taken(one), rtol=1e-9, atol=1e-9)
    mixed = FAMILIES[family].default(ndim, fs=(4.0, 2.0, 1.0, 3.0)[:ndim])
    assert len(mixed) == len(one)


def test_autocast_leaves_a_banks_precision_alone():
    bank, x = gabor.default(1), torch.randn(1, 1, 200)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = bank(x, method="direct")
    assert torch.equal(y, bank(x, method="direct"))


@st.composite
def banks(draw):
    """Gabor banks of any shape, and a signal and options for them."""
    ndim = draw(st.integers(1, 3))
    count = draw(st.integers(1, 3))
    numbers = np.random.default_rng(draw(st.integers(0, 2**16)))
    fs = tuple(draw(st.sampled_from([1.0, 0.5, 2.0])) for _ in range(ndim))
    waves = numbers.uniform(-0.45, 0.45, (count, ndim)) * np.array(fs)
    widths = numbers.uniform(0.6, 1.5, (count, ndim) if draw(st.booleans()) else count) / min(fs)
    options = {"dc_free": draw(st.booleans()), "phase": numbers.uniform(-3, 3, count)}
    options |= {"normalize": draw(st.sampled_from(["peak", "l2", "area", "none"])), "truncate": 2.0}
    bank = gabor.bank(waves, widths, fs=fs, **options)
    size = tuple(draw(st.integers(1, 24 if ndim < 3 else 9)) for _ in range(ndim))
    x = torch.from_numpy(numbers.normal(size=(draw(st.integers(1, 2)), draw(st.integers(1, 2)), *size)))
    if draw(st.booleans()):
        x = torch.complex(x, x.flip(-1))
    mode = lambda: draw(st.sampled_from(["zeros", "replicate", "reflect", "symmetric", "circular", "constant"]))
    call = {"stride": tuple(draw(st.integers(1, 4)) for _ in range(ndim)), "padding_mode": tuple(mode() for _ in size)}
    call["value"] = draw(st.sampled_from([0.0, 0.5]))
    return bank, x, call


OUTPUTS = {
    "complex": lambda y: y,
    "real": lambda y: y.real,
    "imag": lambda y: y.imag,
    "magnitude": lambda y: y.abs(),
    "energy": lambda y: y.abs().square(),
}


@examples(300)
@given(
    drawn=banks(),
    method=st.sampled_from(["auto", "direct", "separable", "spectral"]),
    output=st.sampled_from([*OUTPUTS]),
)
def test_fb1_every_way_and_output_is_the_definition(drawn, method, output):
    bank, x, call = drawn
    if method == "separable" and (not bank.separable or ("constant" in call["padding_mode"] and call["value"])):
        method = "auto"
    wanted = OUTPUTS[output](defined(bank, x, **call))
    y = bank(x, method=method, output=output, **call)
    scale = max(float(wanted.abs().max()), 1.0)
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-12 * scale)
    single = bank(x.to(torch.complex64 if x.is_complex() else torch.float32), method=method, output=output, **call)
    assert single.dtype == (torch.complex64 if output == "complex" else torch.float32)
    torch.testing.assert_close(single.to(wanted.dtype), wanted, rtol=0, atol=3e-5 * scale)


BORDERS = st.sampled_from(["zeros", "replicate", "reflect", "symmetric", "circular", "constant"])


@examples(12)
@given(
    drawn=banks(), size=st.integers(8300, 10000), stride=st.integers(1, 7), modes=st.tuples(BORDERS, BORDERS, BORDERS)
)
def test_long_signals_go_in_blocks_as_if_whole(drawn, size, stride, modes):
    bank = drawn[0]
    long, modes = (size, *[2] * (bank.ndim - 1)), modes[: bank.ndim]
    x = torch.randn(2, 1, *long, generator=torch.Generator().manual_seed(size), dtype=DTYPE)
    y = bank(x, method="spectral", stride=stride, padding_mode=modes, value=0.7)
    wanted = defined(bank, x, stride, modes, 0.7)
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-11 * float(wanted.abs().max()))


def test_a_stride_longer_than_any_block():
    bank, x = gabor.bank([0.1], 2.0), torch.randn(1, 1, 20_000, dtype=DTYPE)
    for method in ("auto", "direct", "spectral"):
        torch.testing.assert_close(bank(x, stride=5000, method=method), defined(bank, x, 5000))


def test_auto_takes_only_what_serves_the_border():
    bank, x = gabor.default(3), torch.randn(1, 1, 24, 22, 20, dtype=DTYPE)
    y = bank(x, padding_mode="constant", value=1.5)
    torch.testing.assert_close(y, bank(x, padding_mode="constant", value=1.5, method="direct"))
    with pytest.raises(ValueError, match="takes no constant border other than 0: use 'spectral'"):
        bank(x, padding_mode="constant", value=1.5, method="separable")


def test_loud_signals_are_summed_where_transforms_would_overflow():
    bank = gabor.bank([[0.1] * 3], 1.0)
    y = bank(torch.full((1, 1, 16, 16, 16), 1e35), output="magnitude")
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("method", ["direct", "separable", "spectral"])
def test_fb6_parameters_are_transformed_as_tensors_are(method):
    bank = gabor.bank([[0.1, 0.2], [0.3, 0.05]], [1.0, 1.3])
    given = {name: value.detach() for name, value in bank.named_parameters()}
    x = torch.randn(1, 1, 14, 11, dtype=DTYPE)
    run = lambda values: torch.func.functional_call(bank, values, (x,), {"method": method, "output": "energy"})
    _, along = torch.func.jvp(run, (given,), (given,))
    step = 1e-6
    moved = [run({n: v * (1 + s * step) for n, v in given.items()}) for s in (1, -1)]
    torch.testing.assert_close(along, (moved[0] - moved[1]) / (2 * step), rtol=1e-4, atol=1e-7)
    both = {name: torch.stack([value, 1.1 * value]) for name, value in given.items()}
    each = [run({name: value[n] for name, value in both.items()}) for n in (0, 1)]
    torch.testing.assert_close(torch.vmap(run)(both), torch.stack(each))


@pytest.mark.parametrize(
    "make",
    [
        lambda: gabor.bank([[0.1, 0.2]], 2.0, dc_free=True, learnable=True),
        lambda: gabor.log_gabor([[0.1, 0.2]], learnable=True),
        lambda: auditory.spectro_temporal([4.0], [0.5], fs=(8, 100), learnable=True),
        lambda: auditory.gammatone(4, 80, 3000, 8000, learnable=True),
    ],
)
@pytest.mark.parametrize("value", [0.0, 1e6, -1e6, 7.3])
def test_fb6_no_step_however_far_makes_a_bank_nan(make, value):
    bank = make()
    with torch.no_grad():
        for p in bank.parameters():
            p.fill_(value)
    y = bank(torch.randn(1, 1, *[24] * bank.ndim), output="energy")
    assert torch.isfinite(y).all()
    y.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in bank.parameters() if p.grad is not None)


def test_an_exported_bank_takes_any_batch():
    bank = gabor.default(1)
    batch = torch.export.Dim("batch", min=2, max=64)
    exported = torch.export.export(bank, (torch.randn(3, 1, 64),), dynamic_shapes={"x": {0: batch}}).module()
    x = torch.randn(5, 1, 64)
    torch.testing.assert_close(exported(x), bank(x))


def test_what_filters_share_is_computed_once(monkeypatch):
    from sigconv.filters import _passes

    calls = []
    times = _passes._times
    monkeypatch.setattr(_passes, "_times", lambda *a: calls.append(a[2]) or times(*a))
    waves = [[fx, fy] for fx in (0.1, 0.2) for fy in (-0.1, 0.0, 0.1)]
    bank = gabor.bank(waves, 2.0, normalize="none")
    x = torch.randn(1, 1, 20, 20, dtype=DTYPE)
    y = bank(x, method="separable")
    assert calls.count(1) == 4, "six filters, two of them different along the first axis, a product and its parts each"
    assert calls.count(2) == 6
    torch.testing.assert_close(y, defined(bank, x))


@pytest.mark.parametrize("method", ["direct", "separable", "spectral"])
def test_memory_is_kept_to_and_changes_nothing(method):
    bank = gabor.pyramid(2, wavelengths=(4, 6, 8), directions=6)
    x = torch.randn(1, 1, 64, 64)
    free = bank(x, method=method, output="energy")
    for room in (4_000_000, "5 MB"):
        torch.testing.assert_close(bank(x, method=method, output="energy", memory=room), free, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="memory 100000 is too little: the responses"):
        bank(x, method=method, output="energy", memory=100_000)


def test_half_precision_is_computed_in_single():
    bank = gabor.default(2)
    x = torch.randn(1, 1, 16, 16)
    for dtype in (torch.float16, torch.bfloat16):
        y = bank(x.to(dtype), output="energy")
        assert y.dtype == dtype
        torch.testing.assert_close(y, bank(x.to(dtype).float(), output="energy").to(dtype))
        assert bank(x.to(dtype)).dtype == torch.complex64


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("part", ["real", "imag", "complex"])
def test_fb6_a_bank_as_a_layer_starts_as_the_bank_and_trains_every_tap(ndim, part):
    bank = gabor.default(ndim)
    x = torch.randn(2, 3, *SIZES[ndim])
    layer = bank.as_conv(3, padding_mode="reflect")
    assert layer.weight.requires_grad
    wanted = bank(x, padding_mode="reflect", output=part)
    got = layer(x)
    torch.testing.assert_close(got if part == "complex" else getattr(got, part), wanted, rtol=1e-4, atol=1e-5)
    log = gabor.log_gabor([[0.2] + [0.0] * (ndim - 1)])
    assert log.as_conv(size=9).weight.shape == (1, 1, *[9] * ndim)


def test_fb7_masks_of_3_5_and_7_are_tied_over_the_layer():
    for taps in (3, 5, 7):
        bank = gabor.bank([[0.2, 0.1]], 0.8, size=taps)
        assert bank.kernels.shape == (1, taps, taps)
        impulse = torch.zeros(1, 1, 20, 20, dtype=DTYPE)
        impulse[0, 0, 5, 6] = impulse[0, 0, 14, 13] = 1
        y = bank(impulse)[0, 0]
        h = taps // 2
        torch.testing.assert_close(y[5 - h : 6 + h, 6 - h : 7 + h], y[14 - h : 15 + h, 13 - h : 14 + h])


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_compiled_and_exported_banks_are_eager_ones(family):
    bank = made(family, next(ndim for ndim in (2, 1) if not REFUSED[family, ndim]))
    x = torch.randn(1, 1, *SIZES[bank.ndim], generator=torch.Generator().manual_seed(3), dtype=DTYPE)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: bank(x, output="energy", stride=2), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), bank(x, output="energy", stride=2), rtol=1e-9, atol=1e-9)
    exported = torch.export.export(bank, (x,)).module()
    torch.testing.assert_close(exported(x), bank(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["direct", "separable", "spectral"])
def test_every_way_compiles_in_one_graph_gradients_too(method):
    for shape in ((1, 2, 20, 17), (1, 1, 9000)):
        if len(shape) == 3:
            bank = gabor.bank([0.1, 0.2], 4.0, dc_free=True, learnable=True)
        else:
            bank = gabor.pyramid(2, wavelengths=(5,), directions=2, learnable=True)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(4), requires_grad=True)
        wanted = [x, *bank.parameters()]
        run = lambda x, bank=bank: bank(x, output="energy", stride=2, method=method, padding_mode="reflect").mean()
        torch._dynamo.reset()
        compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), run(x), rtol=1e-5, atol=1e-7)
        ours, eager = (torch.autograd.grad(work(x), wanted) for work in (compiled, run))
        torch.testing.assert_close(ours, eager, rtol=1e-4, atol=1e-7)


def test_vmap_jvp_and_meta_are_those_of_a_plain_call():
    bank = gabor.default(2)
    x = torch.randn(3, 1, 1, 12, 11, dtype=DTYPE)
    run = lambda x: bank(x, output="energy")
    torch.testing.assert_close(torch.vmap(run)(x), torch.stack([run(one) for one in x]))
    _, along = torch.func.jvp(run, (x[0],), (x[1],))
    step = 1e-6
    torch.testing.assert_close(
        along, (run(x[0] + step * x[1]) - run(x[0] - step * x[1])) / (2 * step), rtol=1e-5, atol=1e-7
    )
    assert bank.to("meta")(x[0].to("meta")).shape == (1, 8, 12, 11)


def test_empty_batches_have_their_shape():
    assert gabor.default(2)(torch.zeros(0, 2, 8, 8)).shape == (0, 16, 8, 8)
    assert gabor.default(1)(torch.zeros(2, 1, 0)).shape == (2, 2, 0)


def test_a_bank_is_a_scikit_learn_transformer():
    from sklearn.base import clone
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline

    bank = gabor.default(2)
    waves = np.cos(2 * np.pi * 0.25 * np.arange(24))
    rng = np.random.default_rng(0)
    x = np.stack([(waves[:, None] if n % 2 else waves) + rng.normal(size=(24, 24)) for n in range(40)])
    y = np.arange(40) % 2
    features = bank.transformer(pool=("mean", "max"))
    pipeline = make_pipeline(clone(features), RidgeClassifier())
    assert pipeline.fit(x[:20], y[:20]).score(x[20:], y[20:]) == 1.0
    found = features.fit_transform(x)
    names = features.get_feature_names_out()
    assert found.shape == (40, len(names)) == (40, 16)
    assert list(names[:2]) == ["mean_4_d0", "mean_4_d1"]
    one = bank(torch.from_numpy(x[:1, None]), output="magnitude", padding_mode="symmetric")[0]
    np.testing.assert_allclose(found[0, :8], one.mean((1, 2)), rtol=1e-9)
    assert features.set_params(pool="rms").fit_transform(x[:, None].repeat(2, 1)).shape == (40, 16)
    assert features.get_feature_names_out()[8] == "rms_c1_4_d0"
    with pytest.raises(ValueError, match=r"X has shape \(5,\): expected"):
        features.transform(np.zeros(5))
    with pytest.raises(ValueError, match="pool 'median' is not one of"):
        bank.transformer(pool="median").fit_transform(x)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_fb3_fb5_pictures_of_kernels_spectra_and_feature_maps(family, tmp_path):
    from sigconv import plot
    from sigconv.filters import _pictures

    for ndim in (1, 2, 3):
        if REFUSED[family, ndim]:
            continue
        bank = made(family, ndim)
        x = np.random.default_rng(0).normal(size=SIZES[ndim])
        for figure, _ in (bank.plot(), _pictures.spectra(bank), _pictures.responses(bank, x)):
            assert plot.png(figure, dpi=40).startswith(b"\x89PNG")


BANK = gabor.default(2)
MISTAKES = [
    (
        lambda: BANK(torch.zeros(1, 1, 8)),
        ValueError,
        r"x has shape \(1, 1, 8\), and the bank 2 axes of space: expected 4",
    ),
    (lambda: BANK(torch.zeros(1, 1, 8, 8).long()), TypeError, "x is torch.int64: a bank filters floating"),
    (lambda: BANK([[1.0]]), TypeError, "takes a tensor or a NumPy array, not list"),
    (lambda: BANK(torch.zeros(1, 1, 8, 8), output="power"), ValueError, "output 'power' is not one of"),
    (lambda: BANK(torch.zeros(1, 1, 8, 8), method="fft"), ValueError, "method 'fft' is not one of"),
    (lambda: BANK(torch.zeros(1, 1, 8, 8), stride=0), ValueError, "stride 0 must be at least 1"),
    (lambda: BANK(torch.zeros(1, 1, 8, 8), padding_mode="mirror"), ValueError, "padding_mode 'mirror' is not one of"),
    (lambda: BANK(torch.zeros(1, 1, 8, 8), memory="lots"), ValueError, "memory 'lots' is not a number of bytes"),
    (lambda: BANK.kernels_for(9), ValueError, r"size \(9, 9\) is smaller than the kernels, \(37, 37\)"),
    (lambda: filters.build("gabour"), ValueError, "bank 'gabour' is not one of"),
    (lambda: filters.build("gabor.pyramid", 2), ValueError, "needs wavelengths, directions"),
    (
        lambda: filters.build("gabor.log_gabor:wave=3", 2),
        ValueError,
        "option 'wave=3': bank gabor.log_gabor takes freq",
    ),
    (lambda: filters.build("gabor.circle", 2), ValueError, "gabor makes banks by"),
    (lambda: filters.build("gabor.directions:n=3", 2), ValueError, "gabor makes banks by .'bank'"),
    (lambda: BANK(3), TypeError, "bank takes a tensor or a NumPy array, not int"),
    (lambda: BANK(torch.zeros(1, 1, 8, 8).to_sparse()), TypeError, "x lies in memory as torch.sparse_coo"),
    (
        lambda: BANK(torch.zeros(1, 1, 8, 8).to(torch.float8_e4m3fn)),
        TypeError,
        "x is torch.float8_e4m3fn, which is not computed with",
    ),
    (lambda: BANK.as_conv(dtype=torch.int32), TypeError, "dtype torch.int32 is not a floating one"),
    (lambda: BANK.kernels_for((10**6, 10**6)), ValueError, "more than memory holds: take a smaller size"),
    (lambda: haar.bank(40, 1), ValueError, "ndim=40 with levels=1 has more"),
    (lambda: haar.bank(2, 40), ValueError, "ndim=2 with levels=40 has more"),
    (lambda: BANK.transformer(batch_size=-1).fit(np.zeros((2, 8, 8))), ValueError, "batch_size -1 must be at least 1"),
]


@pytest.mark.parametrize(("call", "kind", "message"), MISTAKES)
def test_mistakes_end_in_one_line(call, kind, message):
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_bank_named_by_one_word():
    assert len(filters.build("gabor", 3)) == len(gabor.default(3))
    bank = filters.build("gabor.pyramid:wavelengths=4,8:directions=5:dc-free=true", 2, 0.5)
    assert (len(bank), bank.fs, bank.dc_free) == (10, (0.5, 0.5), True)
    assert sc.filters.FilterBank is FilterBank


PEAKS = """
import json, torch
from sigconv.benchmarks._race import _peak
from sigconv.filters import gabor

torch.set_num_threads(2)
volume, sound = torch.randn(1, 1, 64, 64, 64), torch.randn(1, 1, 1_000_000)
round = gabor.pyramid(3, wavelengths=(4, 8), directions=6)
oriented = gabor.bank(round.value("frequency").tolist(), [[2.0, 3.0, 3.0]] * 12, truncate=2.5)
line = gabor.bank([0.05, 0.1, 0.2, 0.3] * 5, [40.0, 20.0, 10.0, 8.0] * 5)
logarithmic = gabor.log_gabor([[0.1, 0.02 * n] for n in range(20)])
flat = gabor.pyramid(2, wavelengths=(4, 8, 16), directions=10)
coarse, scan = gabor.pyramid(3, wavelengths=(2.5,), directions=13), torch.randn(1, 1, 128, 128, 128)
tall = torch.randn(1, 1, 1200, 64, 24)
answers = []
for name, bank, x, method, room, stride in (
    ("round", round, volume, "separable", 3.0, 1),
    ("round", round, volume, "spectral", 5.0, 1),
    ("oriented", oriented, volume, "spectral", 5.0, 1),
    ("line", line, sound, "spectral", 1.5, 1),
    ("line", line, sound, "direct", 2.5, 1),
    ("line", line, torch.where(torch.arange(1_000_000) == 5, torch.nan, sound), "spectral", 1.5, 1),
    ("line", line, sound.half(), "spectral", 1.6, 1),
    ("logarithmic", logarithmic, torch.randn(1, 1, 512, 512), "spectral", 7.0, 1),
    ("flat", flat, torch.randn(1, 1, 512, 512), "separable", 2.0, 1),
    ("coarse", coarse, scan, "auto", 0.4, 2),  # too little for spectra: that is found out before they are made
    ("coarse", coarse, scan, "auto", 0.25, 4),
    ("coarse", coarse, torch.where(scan > 4.5, torch.nan, scan), "auto", 0.3, 4),
    ("coarse", coarse, tall, "auto", 0.25, 4),
):
    work = lambda memory=None: bank(x, method=method, output="energy", stride=stride, memory=memory)
    work()  # what is loaded and compiled once
    cap = int(room * x.element_size() * len(bank) * x.numel()) + (8 << 20)
    answers.append([name, method, stride, _peak(lambda: work(cap)), cap])
print(json.dumps(answers))
"""


def test_the_peak_of_memory_is_below_the_cap():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the system does not tell a process's peak memory")
    exact = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}  # or what libc keeps blurs what is taken
    done = subprocess.run(
        [sys.executable, "-c", PEAKS], capture_output=True, text=True, timeout=300, check=False, env=exact
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == 13
    assert not [row for row in answers if row[3] > row[4]]
