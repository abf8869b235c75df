"""Haar in both meanings: the wavelet against its laws and PyWavelets, rectangle features against loops and skimage."""

import itertools

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import LAYOUTS, examples, laid_out
from torch.testing import assert_close

from sigconv.filters import haar
from sigconv.kernels import haar as kernel

PYWT = {
    "zeros": "zero",
    "replicate": "constant",
    "symmetric": "symmetric",
    "reflect": "reflect",
    "circular": "periodic",
}
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def drawn(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def flat(coefficients):
    """All arrays of nested coefficients, in one order."""
    if isinstance(coefficients, dict):
        return [piece for key in sorted(coefficients) for piece in flat(coefficients[key])]
    return [p for c in coefficients for p in flat(c)] if isinstance(coefficients, list | tuple) else [coefficients]


def energy(coefficients):
    return sum(float((torch.as_tensor(piece).abs() ** 2).sum()) for piece in flat(coefficients))


@st.composite
def transforms(draw, most=9, least=2):
    """A shape of 1 to 4 axes, some of them in some order, as many levels as they bear, a border for each."""
    ndim = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(least, most if ndim < 4 else 5)) for _ in range(ndim))
    axes = tuple(draw(st.permutations(range(ndim)))[: draw(st.integers(1, ndim))])
    level = draw(st.integers(1, max(min(shape[a] for a in axes).bit_length() - 1, 1)))
    modes = tuple(draw(st.sampled_from(sorted(PYWT))) for _ in axes)
    return shape, axes, level, modes


# ---- the wavelet: laws


@examples(60)
@given(case=transforms(), layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 99))
def test_fb4_the_inverse_is_perfect_for_every_size_border_and_axes(case, layout, seed):
    shape, axes, level, modes = case
    x = laid_out(torch.from_numpy(drawn(shape, seed=seed)), layout)
    before = x.clone()
    sizes = [shape[a] for a in axes]
    assert_close(haar.idwt(haar.dwt(x, level, axes, modes), axes, sizes), x, **CLOSE)
    assert_close(haar.ipackets(haar.packets(x, level, axes, modes), axes, sizes), x, **CLOSE)
    assert_close(haar.iswt(haar.swt(x, level, axes, padding_mode=modes), axes, padding_mode=modes), x, **CLOSE)
    assert torch.equal(x, before)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4, 5])
def test_fb4_energy_is_kept_and_there_are_2_to_the_n_subbands(ndim):
    x = torch.from_numpy(drawn((8, 4, 12, 4, 4)[:ndim]))
    coefficients, leaves = haar.dwt(x, 2), haar.packets(x, 2)
    assert [len(details) for details in coefficients[1:]] == [2**ndim - 1] * 2
    assert len(leaves) == 2 ** (2 * ndim)
    undecimated = haar.swt(x, 2, trim_approx=True, norm=True)
    assert len(flat(undecimated)) == 2 * (2**ndim - 1) + 1
    for found in (coefficients, leaves, undecimated):
        assert energy(found) == pytest.approx(energy([x]), rel=1e-13)


@examples(30)
@given(case=transforms(), steps=st.integers(-9, 9))
def test_fb4_the_stationary_transform_moves_with_its_input(case, steps):
    shape, axes, level, _ = case
    x = torch.from_numpy(drawn(shape))
    for whole, moved in zip(
        flat(haar.swt(x, level, axes)), flat(haar.swt(x.roll(steps, axes[0]), level, axes)), strict=True
    ):
        assert torch.equal(whole.roll(steps, axes[0]), moved)


def test_the_transform_is_linear_and_a_constant_has_no_details():
    x, y = (torch.from_numpy(drawn((6, 7), seed=seed)) for seed in (1, 2))
    for transform in (haar.dwt, haar.swt, haar.packets):
        sums = [2 * a - b for a, b in zip(flat(transform(x, 2)), flat(transform(y, 2)), strict=True)]
        assert_close(flat(transform(2 * x - y, 2)), sums, **CLOSE)
    for details in haar.dwt(torch.full((5, 6, 7), 0.1), 2)[1:]:
        assert all((piece == 0).all() for piece in details.values())


# ---- the wavelet: PyWavelets


@examples(80)
@given(case=transforms(), dtype=st.sampled_from(["float32", "float64", "complex128", "int16", "bool"]))
def test_e19_dwt_is_that_of_pywavelets(case, dtype):
    shape, axes, level, modes = case
    x = (4 * drawn(shape)).astype(dtype) if dtype != "complex128" else drawn(shape) + 1j * drawn(shape, seed=1)
    theirs = pywt.wavedecn(x, "haar", mode=[PYWT[mode] for mode in modes], level=level, axes=axes)
    ours = haar.dwt(x, level, axes, modes)
    assert [sorted(part) for part in ours[1:]] == [sorted(part) for part in theirs[1:]]
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else CLOSE
    for mine, their in zip(flat(ours), flat(theirs), strict=True):
        assert mine.dtype == their.dtype
        np.testing.assert_allclose(mine, their, **close)
    back = pywt.waverecn(theirs, "haar", axes=axes)
    np.testing.assert_allclose(haar.idwt(theirs, axes), back, **close)


@examples(30)
@given(data=st.data(), level=st.integers(1, 2), trim=st.booleans(), norm=st.booleans())
def test_swt_is_that_of_pywavelets_and_so_is_the_way_back_from_changed_coefficients(data, level, trim, norm):
    ndim = data.draw(st.integers(1, 3))
    x = drawn(tuple(data.draw(st.sampled_from([4, 8, 12])) for _ in range(ndim)))
    axes = tuple(data.draw(st.permutations(range(ndim)))[: data.draw(st.integers(1, ndim))])
    options = {"axes": axes, "trim_approx": trim, "norm": norm}
    ours, theirs = haar.swt(x, level, **options), pywt.swtn(x, "haar", level, **options)
    for mine, their in zip(flat(ours), flat(theirs), strict=True):
        np.testing.assert_allclose(mine, their, **CLOSE)
    changed = [
        {key: np.tanh(piece) for key, piece in part.items()} if isinstance(part, dict) else np.tanh(part)
        for part in ours
    ]
    theirs = pywt.iswtn(changed, "haar", axes=axes, norm=norm)
    np.testing.assert_allclose(haar.iswt(changed, axes, norm=norm), theirs, **CLOSE)


@pytest.mark.parametrize("shape", [(9,), (8, 5), (4, 6, 5)])
@pytest.mark.parametrize("mode", sorted(PYWT))
def test_packets_are_the_leaves_of_pywavelets(shape, mode):
    x = drawn(shape)
    tree = pywt.WaveletPacketND(x, "haar", PYWT[mode], maxlevel=2)
    theirs = {node.path: node.data for node in tree.get_level(2)}
    ours = haar.packets(x, 2, padding_mode=mode)
    assert set(ours) == set(theirs)
    for path, leaf in ours.items():
        np.testing.assert_allclose(leaf, theirs[path], **CLOSE)


def test_missing_details_are_zeros_as_in_pywavelets():
    approximation, coarse, fine = pywt.wavedecn(drawn((8, 12)), "haar", level=2)
    for some in ([approximation, {"ad": coarse["ad"]}, fine], [approximation, coarse, {}]):
        np.testing.assert_allclose(haar.idwt(some), pywt.waverecn(some, "haar"), **CLOSE)
    leaves = haar.packets(torch.arange(8.0), 1)
    assert_close(haar.ipackets({"a": leaves["a"]}), haar.idwt([leaves["a"], {}]))


# ---- the wavelet: kinds, kernel, derivatives


@examples(60)
@given(
    case=transforms(most=11, least=1),
    lead=st.integers(0, 2),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    gap=st.integers(1, 9),
)
def test_the_kernel_equals_its_twin(case, lead, dtype, gap):
    shape, axes, _, modes = case
    x = torch.from_numpy(drawn((lead, *shape))).to(dtype)
    modes = modes + ("zeros",) * (len(shape) - len(axes))
    size = shape[len(shape) - len(modes) :]
    low, details = kernel.analysis(x, modes)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else CLOSE
    assert_close((low, details), kernel.twin(x, modes), **close)
    assert_close(kernel.synthesis(low, details.unbind(0), size), kernel.twin_back(low, details, size), **close)
    assert_close(kernel.analysis(x, modes, gap), kernel.twin(x, modes, gap), **close)
    apart = [piece.clone() for piece in details]
    assert torch.equal(kernel.synthesis(low, apart, size), kernel.synthesis(low, details.unbind(0), size))


@pytest.mark.parametrize("shape", [(70_001,), (3, 9_001), (300, 301), (33, 34, 35)])
def test_the_kernel_equals_its_twin_where_threads_share_it_in_tiles(shape, monkeypatch):
    monkeypatch.setattr(kernel, "SMALL", 0)
    x, modes = torch.from_numpy(drawn(shape)), ["reflect"] * len(shape)
    low, details = kernel.analysis(x, modes)
    assert_close((low, details), kernel.twin(x, modes), **CLOSE)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert all(torch.equal(a, b) for a, b in zip(kernel.analysis(x, modes), (low, details), strict=True))
        assert_close(kernel.analysis(x, modes, 8), kernel.twin(x, modes, 8), **CLOSE)
        assert_close(kernel.synthesis(low, details.unbind(0), shape), x, **CLOSE)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.int64, torch.uint8])
def test_n7_kinds_stay_what_they_are_and_integers_become_float64(dtype):
    x = (40 * torch.from_numpy(drawn((2, 6, 8)))).abs().to(dtype)
    kept = torch.float64 if not dtype.is_floating_point and not dtype.is_complex else dtype
    wide = torch.complex128 if dtype.is_complex else torch.float64
    for transform, back in ((haar.dwt, haar.idwt), (haar.swt, haar.iswt), (haar.packets, haar.ipackets)):
        found = transform(x, 1)
        for piece, exact in zip(flat(found), flat(transform(x.to(wide), 1)), strict=True):
            assert piece.dtype == kept
            assert_close(piece.to(wide), exact, rtol=1e-2, atol=1.0 if kept.itemsize == 2 else 1e-4)
        assert_close(back(found).to(wide), x.to(wide), rtol=2e-2, atol=1.0 if kept.itemsize == 2 else 1e-4)


def test_n5_halves_are_rounded_once_at_the_end():
    x = torch.from_numpy(drawn((32, 32)) + 300).half()
    for transform in (haar.dwt, haar.swt, haar.packets):
        for piece, exact in zip(flat(transform(x / 8, 4)), flat(transform(x.float() / 8, 4)), strict=True):
            assert_close(piece, exact.half(), rtol=1e-3, atol=1e-3)
    assert_close(haar.idwt(haar.dwt(x / 8)), x / 8, rtol=2e-3, atol=2e-2)
    big = torch.full((4, 4), 30_000.0, dtype=torch.float16)
    assert haar.dwt(big, 1)[0].isfinite().all()


def test_n2_nan_stays_in_the_blocks_that_hold_it():
    x = torch.from_numpy(drawn((9, 8)))
    x[3, 5], x[8, 0] = torch.nan, torch.inf
    low, details = haar.dwt(x, 1)
    holds = torch.zeros(5, 4, dtype=torch.bool)
    holds[1, 2] = holds[4, 0] = True
    for piece in (low, *details.values()):
        assert torch.equal(~piece.isfinite(), holds)


def test_n13_empty_batches_and_single_samples():
    found = haar.dwt(torch.zeros(0, 4, 6), 1, (1, 2))
    assert found[1]["dd"].shape == (0, 2, 3)
    assert haar.idwt(found, (1, 2)).shape == (0, 4, 6)
    (alone,) = haar.dwt(torch.tensor([3.0]))
    assert alone == 3.0
    x = torch.ones(4)
    assert haar.dwt(x, 0)[0].data_ptr() != x.data_ptr()
    assert list(haar.packets(x, 0)) == [""]


CALLS = {
    "dwt": lambda x: flat(haar.dwt(x, 1, padding_mode="reflect")),
    "dwt zeros": lambda x: flat(haar.dwt(x, 1, (1, 0), padding_mode=("zeros", "symmetric"))),
    "there and back": lambda x: haar.idwt(
        [p.tanh() if isinstance(p, torch.Tensor) else {k: v**2 for k, v in p.items()} for p in haar.dwt(x, 1)],
        size=x.shape,
    ),
    "swt": lambda x: flat(haar.swt(x, 1)),
    "swt reflect": lambda x: flat(haar.swt(x, axes=(1, 0), padding_mode=("reflect", "zeros"), norm=True)),
    "iswt": lambda x: haar.iswt([{k: v**2 for k, v in p.items()} for p in haar.swt(x, 1)], padding_mode="reflect"),
    "packets": lambda x: haar.ipackets({k: v**2 for k, v in haar.packets(x, 1).items()}),
    "boxes": lambda x: haar.boxes(x, EDGES, stride=2),
    "normalized": lambda x: haar.boxes(x, EDGES, normalize=True),
}
EDGES = [[(1, (0, 0), (2, 1)), (-1, (0, 1), (2, 2))], [(0.5, (0, 0), (1, 2))]]


@pytest.mark.parametrize("name", CALLS)
def test_n15_first_and_second_derivatives_forward_and_batched(name):
    x = torch.from_numpy(drawn((3, 4))).requires_grad_()
    run = lambda x: tuple(found) if isinstance(found := CALLS[name](x), list) else found
    assert torch.autograd.gradcheck(run, x, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(run, x)


@pytest.mark.parametrize("name", CALLS)
def test_n17_vmap_jvp_and_compile_agree_with_eager(name):
    run = lambda x: torch.cat([piece.flatten() for piece in flat(CALLS[name](x))])
    x, t = (torch.from_numpy(drawn((2, 5, 6), seed=seed)) for seed in (1, 2))
    assert_close(torch.vmap(run)(x), torch.stack([run(row) for row in x]), **CLOSE)
    slope = (run(x[0] + 1e-6 * t[0]) - run(x[0] - 1e-6 * t[0])) / 2e-6
    assert_close(torch.func.jvp(run, (x[0],), (t[0],))[1], slope, rtol=1e-6, atol=1e-7)
    if name not in ("boxes", "normalized"):  # their features are read outside of the graph: compiled below
        assert_close(torch.compile(run, backend="aot_eager", fullgraph=True)(x[0]), run(x[0]), **CLOSE)
    meta = run(x[0].to("meta")) if "normal" not in name else None
    assert meta is None or meta.shape == run(x[0]).shape


@pytest.mark.parametrize("modes", ["zeros symmetric", "circular reflect"])
def test_the_ops_keep_torchs_rules(modes):
    x = torch.from_numpy(drawn((3, 4))).requires_grad_()
    for gap in (0, 2):
        torch.library.opcheck(torch.ops.sigconv.haar_analysis.default, (x, modes, gap))
    low, details = kernel.analysis(x.detach(), modes.split())
    arguments = (low.requires_grad_(), details.requires_grad_(), [3, 4])
    torch.library.opcheck(torch.ops.sigconv.haar_synthesis.default, arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: haar.dwt(torch.ones(6, 9), 3), "level 3 is above 2, the halvings that the 6 samples of axis -2 have"),
        (lambda: haar.swt(torch.ones(5), 3), "level 3 is above 2"),
        (lambda: haar.swt(torch.ones(1)), "expected at least 1"),
        (lambda: haar.dwt(torch.ones(0, 3)), "no samples on axis -2"),
        (lambda: haar.dwt(torch.tensor(1.0)), "there is none to transform"),
        (lambda: haar.dwt(torch.ones(4), 1, axes=1), "axes 1 are not axes of an array that has 1"),
        (lambda: haar.dwt(torch.ones(4, 4), 1, axes=(0, -2)), "name one axis twice"),
        (lambda: haar.dwt(torch.ones(4), 1, padding_mode="periodic"), "padding_mode 'periodic' is not one of"),
        (lambda: haar.dwt(torch.ones(4), 1, padding_mode="constant"), "use 'zeros' or 'replicate'"),
        (lambda: haar.idwt(haar.dwt(torch.ones(6)), size=9), r"size \(9,\) has not \(3,\) pairs"),
        (lambda: haar.idwt([torch.ones(3), {"x": torch.ones(3)}]), "subband 'x' is not named by 1 letters"),
        (lambda: haar.idwt([torch.ones(3), {"d": torch.ones(5)}]), r"details \(5,\) do not fit"),
        (lambda: haar.iswt([{"a": torch.ones(3)}]), "subband 'd' is missing"),
        (lambda: haar.ipackets({"a": torch.ones(2), "ad": torch.ones(2)}), "of more than one level"),
        (lambda: haar.boxes(torch.ones(3, 3), [[(1, (0, 0), (4, 1))]]), "larger than the padded input 3"),
        (lambda: haar.boxes(torch.ones(3, 3), [[(1, (0, 1), (2, 1))]]), "is empty or begins before the window"),
        (lambda: haar.boxes(torch.ones(3, 3), []), "features are empty"),
        (lambda: haar.boxes(torch.ones(3, 3), [[(1, (0,), (2,))], [(1, (0, 0), (2, 2))]]), "different dimension"),
        (lambda: haar.boxes(torch.ones(3, 3, 3), EDGES), r"expected \(\*space\) or \(batch, channels"),
        (lambda: haar.boxes(torch.ones(3, 3), EDGES, size=1), "smaller than what the boxes reach"),
        (lambda: haar.viola_jones(4, ["corner"]), "kind 'corner' is not one of"),
        (lambda: haar.viola_jones((9,), ["diagonal"]), r"size \(9,\) holds none of \('diagonal',\)"),
        (lambda: haar.viola_jones(1), "holds none of"),
        (lambda: haar.boxes(torch.ones(4, 4), haar.viola_jones(2)[:0]), "features are empty"),
    ],
)
def test_n12_errors_are_one_line_with_the_value_and_the_remedy(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


# ---- the bank


@pytest.mark.parametrize(("ndim", "levels"), [(1, 1), (1, 4), (2, 2), (3, 2), (4, 1)])
def test_fb4_the_bank_is_the_stationary_transform(ndim, levels):
    bank = haar.bank(ndim, levels)
    assert len(bank) == levels * (2**ndim - 1) + 1
    x = torch.from_numpy(drawn((2, 3, *(17, 9, 7, 6)[:ndim])))
    y = bank(x, padding_mode="circular").unflatten(1, (3, len(bank)))
    axes = range(2, 2 + ndim)
    approximation, *details = haar.swt(x, levels, axes, trim_approx=True, norm=True)
    found = {f"{'a' * ndim}{levels}": approximation}
    for level, pieces in zip(range(levels, 0, -1), details, strict=True):
        found |= {f"{word}{level}": piece for word, piece in pieces.items()}
    assert list(found) == bank.names
    for number, piece in enumerate(found.values()):
        assert_close(y[:, :, number], piece, rtol=1e-9, atol=1e-9)
    assert len(haar.default(ndim, fs=2.0)) == 2 * (2**ndim - 1) + 1


# ---- rectangles


def looped(x, features, stride, size, normalize=False):
    """The definition: (*space) -> (features, *positions), a sum at a time."""
    positions = [range(0, n - w + 1, s) for n, w, s in zip(x.shape, size, stride, strict=True)]
    cut = lambda p, start, stop: x[tuple(slice(q + a, q + b) for q, a, b in zip(p, start, stop, strict=True))]
    whole = lambda p: cut(p, (0,) * x.ndim, size)
    rows = []
    for feature in features:
        sums = [sum(w * cut(p, a, b).sum() for w, a, b in feature) for p in itertools.product(*positions)]
        if normalize:
            spread = [whole(p).std() if np.ptp(whole(p)) else 1 for p in itertools.product(*positions)]
            sums = np.divide(sums, spread)
        rows.append(np.reshape(sums, [len(p) for p in positions]))
    return np.stack(rows)


@st.composite
def rectangles(draw):
    ndim = draw(st.integers(1, 4))
    space = tuple(draw(st.integers(2, 7 if ndim < 3 else 4)) for _ in range(ndim))
    window = tuple(draw(st.integers(1, n)) for n in space)
    features = []
    for _ in range(draw(st.integers(1, 3))):
        feature = []
        for _ in range(draw(st.integers(1, 3))):
            start = tuple(draw(st.integers(0, w - 1)) for w in window)
            stop = tuple(draw(st.integers(a + 1, w)) for a, w in zip(start, window, strict=True))
            feature.append((draw(st.integers(-3, 3)), start, stop))
        features.append(feature)
    stride = tuple(draw(st.integers(1, 2)) for _ in range(ndim))
    return space, features, stride, window


@examples(60)
@given(case=rectangles(), seed=st.integers(0, 99), normalize=st.booleans())
def test_fb4_boxes_are_their_definition_in_any_dimension(case, seed, normalize):
    space, features, stride, window = case
    x = np.round(8 * drawn((2, 2, *space), seed=seed)) / 8  # deviations are 0, or far from it
    options = {"stride": stride, "size": window, "normalize": normalize}
    wanted = np.stack([np.concatenate([looped(c, features, stride, window, normalize) for c in image]) for image in x])
    np.testing.assert_allclose(haar.boxes(x, features, **options), wanted, rtol=1e-8, atol=1e-8)
    y = haar.boxes(x[0, 0].astype("float32"), features, **options)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, wanted[0, : len(features)], rtol=1e-3, atol=1e-3)


@examples(40)
@given(case=rectangles(), dtype=st.sampled_from(["uint8", "int16", "int64", "bool"]))
def test_n7_boxes_of_integers_are_exact(case, dtype):
    space, features, stride, window = case
    x = (100 * drawn(space)).astype(dtype)
    y = haar.boxes(x, features, stride=stride, size=window)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, looped(x.astype(object), features, stride, window).astype(np.int64))


def test_n7_prefix_sums_may_wrap_but_answers_do_not():
    x = torch.full((2000,), 2**61)
    assert haar.boxes(x, [[(1, (0,), (1,)), (-1, (2,), (3,))]], stride=3).eq(0).all()
    assert (haar.boxes(x, [[(3, (1,), (2,))]]) == 3 * 2**61).all()
    with pytest.raises(OverflowError, match="sums may reach 2305843009213693952 x 4, more than int64 holds"):
        haar.boxes(x, [[(1, (0,), (4,))]])
    huge = np.array([1, 2, 2**62, 2**63 + 1], dtype=np.uint64)
    assert haar.boxes(huge[:3], [[(1, (0,), (1,))]]).tolist() == [[1, 2, 2**62]]
    with pytest.raises(OverflowError, match="more than int64 holds"):
        haar.boxes(huge, [[(1, (0,), (1,))]])


@examples(40)
@given(case=rectangles(), bad=st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1, max_size=3))
def test_n3_nan_reaches_the_boxes_that_hold_it_and_no_others(case, bad):
    space, features, stride, window = case
    x = drawn((1, 2, *space))
    generator = np.random.default_rng(len(bad))
    for value in bad:
        x[(0, 0, *(generator.integers(n) for n in space))] = value
    with np.errstate(invalid="ignore"):
        wanted = np.concatenate([looped(c, features, stride, window) for c in x[0]])[None]
    y = haar.boxes(x, features, stride=stride, size=window)
    np.testing.assert_array_equal(~np.isfinite(y), ~np.isfinite(wanted))
    np.testing.assert_allclose(y[np.isfinite(wanted)], wanted[np.isfinite(wanted)], **CLOSE)


def test_n3_a_compiled_graph_masks_without_looking():
    x = torch.from_numpy(drawn((6, 7)))
    x[2, 3] = torch.nan
    run = lambda x: haar.boxes(x, EDGES, normalize=True)
    assert_close(torch.compile(run, backend="aot_eager")(x), run(x), equal_nan=True, **CLOSE)


def test_n4_a_large_mean_costs_no_digits():
    x = 1e6 + drawn(200_000)
    y = haar.boxes(x, [[(1, (0,), (9,))], [(1, (0,), (4,)), (-1, (4,), (8,))]], size=9)
    wanted = np.lib.stride_tricks.sliding_window_view(x, 9)
    np.testing.assert_allclose(y[0], wanted.sum(-1), rtol=1e-14)
    np.testing.assert_allclose(y[1], wanted[:, :4].sum(-1) - wanted[:, 4:8].sum(-1), atol=1e-8)


def test_windows_of_one_value_are_left_as_they_are_when_normalized():
    x = torch.tensor([[0.1] * 12 + [5.0, 3.0, 9.0]])
    y = haar.boxes(x, [[(1, (0, 0), (1, 2)), (-1, (0, 2), (1, 4))]], normalize=True)
    assert_close(y[0, 0, :9], torch.zeros(9), rtol=0, atol=1e-6)
    assert y.isfinite().all()


@examples(20)
@given(case=rectangles())
def test_looked_up_and_shifted_volumes_answer_alike(case):
    space, features, stride, window = case
    x = torch.from_numpy((9 * drawn(space)).astype("int64"))
    many = features * 400  # more features than positions
    y = haar.boxes(x, many, stride=stride, size=window)
    assert torch.equal(y[: len(features)], haar.boxes(x, features, stride=stride, size=window))
    assert torch.equal(y[: len(features)], y[-len(features) :])


def test_e19_the_classical_set_has_162336_features():
    features = haar.viola_jones(24)
    assert len(features) == 162_336
    counts = dict(zip(*np.unique(features.names, return_counts=True), strict=True))
    wanted = {"edge 0": 43_200, "edge 1": 43_200, "line 0": 27_600, "line 1": 27_600, "diagonal 0 1": 20_736}
    assert counts == wanted
    x = torch.randint(0, 256, (1, 3, 24, 24), generator=torch.Generator().manual_seed(0))
    y = haar.boxes(x, features)
    assert y.shape == (1, 3 * 162_336, 1, 1)
    some = features[::9973]
    assert list(some) == [features[i] for i in range(0, len(features), 9973)]
    np.testing.assert_array_equal(
        y[0, :162_336:9973].flatten(), looped(x[0, 0].numpy(), some, (1, 1), (24, 24)).ravel()
    )


@pytest.mark.parametrize("window", [(9,), (4, 5), (4, 3, 6), (2, 3, 2, 3)])
def test_the_classical_set_in_any_dimension_answers_zero_to_a_constant(window):
    features = haar.viola_jones(window)
    ways = lambda n, parts: sum(n - parts * box + 1 for box in range(1, n // parts + 1))
    count = lambda parts: int(np.prod([ways(n, p) for n, p in zip(window, parts, strict=True)]))
    patterns = [
        p
        for p in itertools.product((1, 2, 3), repeat=len(window))
        if sorted(p, reverse=True)[:2] in ([2, 1], [3, 1], [2, 2], [2], [3])
    ]
    patterns = [p for p in patterns if sum(q > 1 for q in p) < 3]
    assert len(features) == sum(map(count, patterns))
    assert (haar.boxes(np.ones(window, int), features) == 0).all()


SKIMAGE = {
    "type-2-x": ("edge 1", (-1, 1)),
    "type-2-y": ("edge 0", (-1, 1)),
    "type-3-x": ("line 1", (-1, 1, -1)),
    "type-3-y": ("line 0", (-1, 1, -1)),
    "type-4": ("diagonal 0 1", (-1, 1, 1, -1)),
}


@pytest.mark.parametrize("kind", SKIMAGE)
def test_e19_the_features_are_those_of_skimage_but_for_their_signs(kind):
    skimage = pytest.importorskip("skimage.feature")
    image = np.random.default_rng(0).integers(0, 256, (7, 8))
    table = np.pad(image.cumsum(0).cumsum(1), 0)
    theirs = skimage.haar_like_feature(table, 0, 0, 8, 7, kind)
    places, _ = skimage.haar_like_feature_coord(8, 7, kind)
    name, signs = SKIMAGE[kind]
    features = haar.viola_jones((7, 8))
    ours = [feature for feature, its in zip(features, features.names, strict=True) if its == name]
    assert len(ours) == len(theirs)
    corners = lambda place: tuple(sorted(((*a,), (b[0] + 1, b[1] + 1)) for a, b in place))
    order = {tuple(sorted((start, stop) for _, start, stop in f)): number for number, f in enumerate(ours)}
    numbers = [order[corners(place)] for place in places]
    theirs_weighted = [[(s, a, b) for s, (_, a, b) in zip(signs, f, strict=True)] for f in ours]
    np.testing.assert_array_equal(haar.boxes(image, theirs_weighted, size=(7, 8))[numbers, 0, 0], theirs)
    if not kind.startswith("type-3"):
        np.testing.assert_array_equal(-haar.boxes(image, ours, size=(7, 8))[numbers, 0, 0], theirs)
