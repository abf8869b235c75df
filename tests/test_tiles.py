"""Tiling of banks: whatever is read, held or sent at a time, the same bits, and untiled's within the promise."""

import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

import sigconv as sc
from sigconv import tiles
from sigconv.filters import gabor, gaussian, haar, laws, riesz, wavelet
from sigconv.filters._respond import METHODS, respond
from sigconv.nd import PADDING_MODES
from sigconv.tiles import _grid, _memory, _regions, _run, _sources

EPS = torch.finfo(torch.float32).eps
BANKS = {
    1: lambda: gabor.pyramid(1, wavelengths=(4, 9), directions=1),
    2: lambda: gabor.pyramid(2, wavelengths=(4,), directions=2),
    3: lambda: gabor.pyramid(3, wavelengths=(4,), directions=2, bandwidth=2.0),
}


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few samples, so that small signals have many."""
    monkeypatch.setattr(_grid, "BLOCKS", {1: 64, 2: 24, 3: 12, 4: 8})
    monkeypatch.setattr(_grid, "LONGER", 1)
    monkeypatch.setattr(_grid, "SPARSE", 1)


def noise(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def close(one, other, taps=1000):
    """Within what two methods may differ by."""
    scale = max(np.abs(other).max(), 1e-30)
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    assert np.abs(one - other).max() <= 4 * EPS * np.sqrt(taps) * scale


@examples(30)
@given(st.data())
def test_tiled_banks_equal_untiled_whatever_border_stride_and_tile(data):
    draw = data.draw
    ndim = draw(st.integers(1, 3))
    bank = BANKS[ndim]()
    half = [k // 2 for k in bank.kernel_size]
    most = {1: 400, 2: 70, 3: 26}[ndim]
    size = draw(st.tuples(*[st.integers(1, most)] * ndim))
    modes = draw(st.tuples(*[st.sampled_from(PADDING_MODES)] * ndim))
    stride = draw(st.tuples(*[st.integers(1, 4)] * ndim))
    output = draw(st.sampled_from(["complex", "real", "imag", "magnitude", "energy", "auto"]))
    options = {"padding_mode": modes, "stride": stride, "value": 0.5, "output": output}
    x = noise(draw(st.integers(1, 2)), *size, seed=draw(st.integers(0, 99)))
    whole = bank(x[None], **options)[0]
    blocks = {n: 2 * max(half) for n in (1, 2, 3)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_grid, "BLOCKS", blocks)
        patch.setattr(_grid, "LONGER", 1)
        patch.setattr(_grid, "SPARSE", 1)
        found = [tiles.apply(bank, x, tile=t, **options) for t in (1, draw(st.integers(1, most)), 10**6)]
    close(found[0], whole)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@examples(10)
@given(st.data())
def test_answers_of_whole_windows_equal_those_cut_out(data):
    """inside=True: no border, no halo's responses; by every way the same as cropping afterwards."""
    draw = data.draw
    ndim = draw(st.integers(1, 3))
    bank = draw(st.sampled_from([BANKS[ndim](), gaussian.bank(1.0, ndim), laws.bank("L5E5S5"[: 2 * ndim])]))
    size = [k + draw(st.integers(0, {1: 9000, 2: 200, 3: 12}[ndim])) for k in bank.kernel_size]
    stride = draw(st.tuples(*[st.integers(1, 3)] * ndim))
    kind = draw(st.sampled_from([torch.float32, torch.complex64, torch.float64]))
    x = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(1), dtype=kind)
    cut = (..., *[slice(k // 2, n - k // 2, s) for k, n, s in zip(bank.kernel_size, size, stride, strict=True)])
    ways = [m for m in METHODS if m != "separable" or (bank.separable and ndim > 1)]
    whole = bank(x, output="complex")[cut]
    for method in ("auto", *ways):
        part = respond(bank, x, output="complex", stride=stride, method=method, inside=True)
        assert part.shape == whole.shape
        assert (part - whole).abs().max() <= 1e-5 * whole.abs().max()
    spoilt = x.clone()
    spoilt[(0, 0, *[n // 2 for n in size])] = torch.nan
    touched = bank(spoilt, output="complex")[cut].isnan()
    assert torch.equal(respond(bank, spoilt, output="complex", stride=stride, inside=True).isnan(), touched)


def test_whole_windows_of_less_than_one_and_of_endless_kernels_are_refused():
    with pytest.raises(ValueError, match="none is whole"):
        respond(BANKS[1](), torch.zeros(1, 1, 3), inside=True)
    with pytest.raises(ValueError, match="no window of it is whole"):
        respond(riesz.simoncelli(1, ndim=1), torch.zeros(1, 1, 3), inside=True)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("mode", ["zeros", "symmetric", "reflect", "replicate"])
def test_banks_with_a_border_at_every_stage_tile(mode):
    bank, x = wavelet.bank("db2", "all", 2, ndim=2), noise(90, 71)
    whole = bank(x[None, None], padding_mode=mode, stride=2)[0]
    found = tiles.apply(bank, x, padding_mode=mode, stride=2, tile=1)
    close(found, whole)
    assert np.array_equal(found, tiles.apply(bank, x, padding_mode=mode, stride=2, tile=80))
    with pytest.raises(ValueError, match="'circular' joins the ends at every stage of Wavelet"):
        tiles.apply(bank, x, padding_mode="circular")


@pytest.mark.usefixtures("small_blocks")
def test_other_families_and_four_axes_tile():
    x = noise(3, 20, 18)
    close(tiles.apply(haar.bank(3, 1), x, tile=1), haar.bank(3, 1)(x[None, None])[0])
    x4, bank = noise(11, 10, 9, 20), gaussian.bank(0.7, 4, truncate=2)
    close(tiles.apply(bank, x4, tile=1), bank(x4[None, None])[0])


@pytest.mark.usefixtures("small_blocks")
def test_what_goes_in_comes_out_arrays_tensors_batches_and_dtypes():
    bank, x = BANKS[1](), noise(2, 500)
    whole = bank(x[None])[0]
    found = tiles.apply(bank, torch.from_numpy(x))
    assert isinstance(found, torch.Tensor)
    close(found.numpy(), whole)
    assert tiles.apply(bank, x.astype(np.float64)).dtype == np.complex128
    assert tiles.apply(bank, torch.from_numpy(x).bfloat16(), output="real").dtype == torch.bfloat16
    close(tiles.apply(bank, x[0]), whole[: len(bank)])
    batch = tiles.apply(bank, np.stack([x, 2 * x]))
    close(batch, bank(np.stack([x, 2 * x])))
    steps = (100 * x).astype(">i2")
    close(tiles.apply(bank, steps), bank(steps.astype(np.float32)[None])[0])
    assert tiles.apply(bank, steps.astype("int32")).dtype == np.complex128  # which float32 would not hold
    assert tiles.apply(bank, steps.astype("int32"), dtype="float32").dtype == np.complex64
    backwards = x[:, ::-1]
    close(tiles.apply(bank, backwards), bank(np.ascontiguousarray(backwards)[None])[0])
    out = np.zeros_like(whole)
    assert tiles.apply(bank, x, out) is out
    close(out, whole)


@pytest.mark.usefixtures("small_blocks")
def test_nothing_at_all_has_no_positions():
    bank = BANKS[2]()
    assert tiles.apply(bank, noise(0, 5)).shape == (len(bank), 0, 5)
    assert tiles.apply(bank, noise(0, 4, 5)).shape == (0, 4, 5)


@pytest.mark.usefixtures("small_blocks")
def test_nan_spreads_as_far_as_untiled():
    bank, x = BANKS[1](), noise(1, 200)
    x[0, [3, 120]] = np.nan, np.inf
    found = tiles.apply(bank, x, output="magnitude", tile=1)
    assert np.array_equal(np.isnan(found), np.isnan(bank(x[None], output="magnitude")[0]))


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        ({"op": torch.relu}, TypeError, "op is a builtin_function_or_method: expected a FilterBank"),
        ({"source": "a.txt"}, ValueError, "is none that is tiled"),
        ({"source": [1.0]}, TypeError, "source is a list"),
        ({"source": np.zeros((1, 1, 1, 9))}, ValueError, r"expected 1 axes of space, or channels"),
        ({"source": np.zeros(9, object)}, TypeError, "source is object"),
        ({"source": np.ma.zeros(9)}, TypeError, "masked"),
        ({"source": np.zeros(3), "out": "a.npz"}, ValueError, r"expected \.zarr, \.npy, \.nii"),
        ({"out": "a.nii"}, ValueError, "has no affine"),
        ({"out": np.zeros(3)}, ValueError, "out has shape"),
        ({"out": np.zeros((2, 30), int)}, ValueError, "out holds int64, which the answer, torch.complex64, does not"),
        ({"out": torch.zeros((2, 30), dtype=torch.int32)}, ValueError, "out holds torch.int32, which the answer"),
        ({"output": "phase"}, ValueError, "output 'phase' is not one of"),
        ({"stride": 0}, ValueError, "stride 0 must be at least 1"),
        ({"padding_mode": "wrap"}, ValueError, "padding_mode 'wrap' is not one of"),
        ({"value": np.nan}, ValueError, "finite"),
        ({"tile": 0}, ValueError, "tile 0 must be at least 1"),
        ({"memory": "lots"}, ValueError, "memory 'lots' is not a number of bytes"),
        ({"blend": 1.0}, ValueError, "blend 1.0 is not a part"),
        ({"dtype": "int8"}, TypeError, "dtype int8 is not one that is computed with"),
        ({"dtype": "flot32"}, TypeError, "dtype flot32 is not one that is computed with"),
        ({"dtype": torch.float8_e5m2}, TypeError, "dtype torch.float8_e5m2 is not one that is computed with"),
        ({"out": ""}, ValueError, r"out '' is no name of a file: expected one that ends in \.zarr, \.npy, \.nii or"),
        ({"out": "", "blend": 0.5}, ValueError, r"out '' is no name of a file"),
        ({"out": b"a.npy"}, TypeError, "out is a bytes: expected a path, or an array that is filled"),
        ({"out": b"a.npy", "blend": 0.5}, TypeError, "out is a bytes: expected a path"),
        ({"out": "a.zarr", "blend": 0.5}, ValueError, "out 'a.zarr': blended answers go to .npy or .nii"),
        ({"op": riesz.simoncelli(1, ndim=1)}, ValueError, "made in frequency.*blend="),
        ({"op": gaussian.bank(1.0, 1), "output": "imag"}, ValueError, "nothing but zeros"),
        ({"op": torch.nn.ReLU().eval(), "stride": 2}, ValueError, "stride 2 is a bank's option"),
    ],
)
def test_bad_asks_are_one_line(ask, error, words):
    asked = {"op": BANKS[1](), "source": np.zeros(30, np.float32)} | ask
    with pytest.raises(error, match=words) as caught:
        tiles.apply(asked.pop("op"), asked.pop("source"), **asked)
    assert "\n" not in str(caught.value)


@examples(60)
@given(st.data())
def test_regions_are_what_padding_would_give(data):
    ndim = data.draw(st.integers(1, 3))
    size = data.draw(st.tuples(*[st.integers(1, 9)] * ndim))
    modes = data.draw(st.tuples(*[st.sampled_from(PADDING_MODES)] * ndim))
    box = [tuple(sorted(data.draw(st.tuples(st.integers(-20, 30), st.integers(-20, 30))))) for _ in size]
    x = torch.arange(1.0, 1 + np.prod(size)).reshape(1, *size)
    border = _regions.Border(modes, 7.0)
    parts = _regions.pieces(box, size, border)
    for read in (lambda cut: x[(slice(None), *cut)], lambda cut: x[(slice(None), *cut)].numpy()):
        values = [read(part.source) for part in parts if part.source is not None]
        found = _regions.assembled(parts, values, torch.empty(1, *[b - a for a, b in box]))
        wide = sc.nd.pad(x, tuple((20, 30) for _ in size), modes, 7.0)
        assert torch.equal(found, wide[(slice(None), *[slice(a + 20, b + 20) for a, b in box])])


@examples(60)
@given(st.data())
def test_tiles_of_a_grid_hold_every_block_once(data):
    ndim = data.draw(st.integers(1, 3))
    draw = lambda most: data.draw(st.tuples(*[st.integers(1, most)] * ndim))
    grid = _grid.Grid(draw(50), draw(20))
    order = data.draw(st.permutations(range(ndim)))
    found = [block for box in grid.tiles(draw(5), order) for block in _grid.blocks(box)]
    assert sorted(found) == sorted(np.ndindex(*grid.counts))
    covered = np.zeros(grid.positions, int)
    for block in found:
        covered[tuple(slice(*grid.span(a, i, i + 1)) for a, i in enumerate(block))] += 1
    assert (covered == 1).all()
    box = tuple((0, n) for n in grid.counts)
    assert sorted(b for half in _grid.halves(box) or [box] for b in _grid.blocks(half)) == sorted(found)


class Failing:
    """An allocator that fails at the calls named, as a CPU does in torch's words."""

    def __init__(self, failing, error=None):
        self.calls, self.failing, self.real = 0, failing, _run.answered
        self.error = error or RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")

    def __call__(self, *args):
        self.calls += 1
        if self.failing(self.calls):
            raise self.error
        return self.real(*args)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("error", [None, MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_f9_out_of_memory_halves_the_tile_to_the_same_bits(monkeypatch, error):
    bank, x = BANKS[2](), noise(130, 90)
    whole = tiles.apply(bank, x)
    failing = Failing(lambda call: call in (1, 2, 4), error)
    monkeypatch.setattr(_run, "answered", failing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(tiles.apply(bank, x, tile=1000), whole)
    assert failing.calls > 5


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("out", [None, "zarr"])
def test_f9_n28_a_block_that_does_not_fit_is_computed_in_parts(monkeypatch, out, tmp_path):
    bank, x = BANKS[2](), noise(60, 40)
    whole = bank(x[None, None], padding_mode="reflect")[0]
    alive = Failing(lambda call: call in (1, 2))
    monkeypatch.setattr(_run, "answered", alive)
    with pytest.warns(UserWarning, match="memory ran out at blocks of"):
        found = tiles.apply(bank, x, out and tmp_path / "a.zarr", padding_mode="reflect", tile=1)
    if out:
        import zarr

        found = zarr.open_array(store=found, mode="r")[:]
    close(found, whole)


@pytest.mark.usefixtures("small_blocks")
def test_f9_where_nothing_fits_the_error_has_sizes(monkeypatch, tmp_path):
    monkeypatch.setattr(_run, "answered", Failing(lambda call: True))
    with (
        pytest.warns(UserWarning, match="memory ran out"),
        pytest.raises(MemoryError, match=r"too little memory even for \(\d+, \d+\)"),
    ):
        tiles.apply(BANKS[2](), noise(60, 40), tmp_path / "a.npy")
    assert not list(tmp_path.iterdir())


def test_another_error_is_not_taken_for_want_of_memory(monkeypatch):
    monkeypatch.setattr(_run, "answered", Failing(lambda call: True, RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        tiles.apply(BANKS[1](), noise(60))


def test_memory_sets_the_tile_and_then_the_block():
    bank = BANKS[3]()
    with pytest.raises(ValueError, match=r"takes 2\d+ bytes, more than memory '100 MB': name an out"):
        tiles.apply(bank, np.broadcast_to(np.float32(0), (512, 512, 512)), memory="100 MB")
    with pytest.raises(MemoryError, match="memory '70 MB' is too little: blocks of"):
        tiles.apply(bank, noise(40, 20, 20), memory="70 MB")
    grid, need = _grid.Grid((1000, 1000), (100, 100)), lambda grid, tile: int(np.prod(tile)) * 1000
    assert _memory.chosen(grid, (0, 1), 4000, need) == (1, 4)
    assert _memory.chosen(grid, (1, 0), 4000, need) == (4, 1)
    assert _memory.chosen(grid, (0, 1), 25_000, need) == (2, 10)
    halved = lambda grid, tile: grid.block[0] * grid.block[1]
    with pytest.warns(UserWarning, match=r"does not do for blocks of \(100, 100\)"):
        assert _memory.fitting(grid, 2600, halved, "2.6 kB").block == (50, 50)


@pytest.mark.usefixtures("small_blocks")
def test_blend_is_the_approximate_way_for_what_sees_everything(tmp_path):
    bank, x = riesz.simoncelli(1, ndim=2), noise(100, 40)
    whole = bank(x[None, None])[0]
    near = tiles.apply(bank, x, blend=0.5, tile=32)
    assert np.abs(near - whole)[:, 16:-16, 16:-16].max() < 0.1 * np.abs(whole).max()
    flat = torch.nn.Identity().eval()
    assert np.abs(tiles.apply(flat, x[None], blend=0.3, tile=(17, 11))[0] - x).max() < 1e-6  # the weights add up to one
    path = tiles.apply(bank, x, tmp_path / "a.npy", blend=0.5, tile=32)
    assert np.array_equal(np.load(path, allow_pickle=False), near)
    filled = np.empty((1, *x.shape), np.float32)
    assert np.array_equal(tiles.apply(flat, x[None], filled, blend=0.3), tiles.apply(flat, x[None], blend=0.3))
    with pytest.raises(ValueError, match="blend= wants as many"):
        tiles.apply(torch.nn.MaxPool2d(2).eval(), x, blend=0.5)
    with pytest.raises(ValueError, match=r"out has shape \(3, 100, 40\), and the answer \(1, 100, 40\)"):
        tiles.apply(flat, x[None], np.empty((3, *x.shape)), blend=0.3)
    with pytest.raises(ValueError, match="memory '2 GB' is not held to by blend="):
        tiles.apply(flat, x[None], blend=0.3, memory="2 GB")


@pytest.mark.parametrize(("blend", "count"), [(0.5, 4 * 4), (0.99, 12 * 10)])
def test_blended_windows_step_by_a_sample_at_least_and_each_is_told(blend, count):
    x, told = noise(1, 20, 18), []
    flat = torch.nn.Identity().eval()
    found = tiles.apply(flat, x, blend=blend, tile=9, report=lambda *numbers: told.append(numbers))
    assert np.abs(found - x).max() < 1e-6
    assert told == [(n, count) for n in range(1, count + 1)]


@pytest.mark.parametrize("options", [{}, {"blend": 0.5}], ids=["exact", "blended"])
@pytest.mark.parametrize("filled", [False, True])
def test_what_a_dtype_does_not_hold_becomes_infinite_as_the_bank_itself_has_it(options, filled):
    bank, x = gaussian.bank(1.0, 1), np.array([1.0, 1e300, -1e300, 2.0] * 20)
    whole = bank(torch.from_numpy(x).float()[None, None])[0].numpy()
    assert not np.isfinite(whole).all()
    out = np.zeros((1, 80), np.float32) if filled else None
    found = tiles.apply(bank, x, out, dtype="float32", tile=40, **options)
    assert np.array_equal(np.isfinite(found), np.isfinite(whole))
    kept = np.empty((1, 80), np.float32)
    tiles.apply(torch.nn.Identity().eval(), x[None], kept)
    assert np.array_equal(kept[0], torch.from_numpy(x).float().numpy())


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", [torch.bfloat16, "bfloat16"])
def test_bfloat16_of_numpy_s_is_answered_as_float32_which_holds_it(tmp_path, dtype):
    bank, x = BANKS[1](), noise(300)
    whole = tiles.apply(bank, torch.from_numpy(x), output="real", dtype=torch.bfloat16)
    assert whole.dtype == torch.bfloat16
    for source in (x, x.astype(">f8")):
        found = tiles.apply(bank, source, output="real", dtype=dtype)
        assert found.dtype == np.float32
        assert np.array_equal(found, whole.float().numpy())
    path = tiles.apply(bank, x, tmp_path / "y.npy", output="real", dtype=dtype)
    assert np.array_equal(np.load(path, allow_pickle=False), whole.float().numpy())
    model = torch.nn.Conv1d(1, 2, 3).bfloat16().eval()
    found = tiles.apply(model, x[None], blend=None)
    assert np.array_equal(found, tiles.apply(model, torch.from_numpy(x)[None]).float().numpy())


@pytest.mark.parametrize("shape", [(40, 7), (3, 5, 6), (3, 0)])
def test_a_digest_reads_little_at_a_time_and_is_that_of_the_values_in_c_order(monkeypatch, shape):
    x, read = noise(*shape), []

    class Lazy:
        ndim, dtype = x.ndim, x.dtype

        def __getitem__(self, index):
            read.append(x[index].nbytes)
            return x[index]

    lazy = Lazy()
    lazy.shape = x.shape
    whole = _sources.Source(np.asfortranarray(x), 1, "array").digest() if x.ndim < 3 else None
    monkeypatch.setattr(_sources, "AT_ONCE", 40)
    digests = {_sources.Source(v, x.ndim - 1, "array").digest() for v in (lazy, x, np.asfortranarray(x))}
    assert digests == {_sources.Source(torch.from_numpy(x), x.ndim - 1, "tensor").digest()}
    assert whole is None or digests == {whole}
    assert max(read, default=0) <= 40


def test_progress_is_told_in_blocks(small_blocks):
    told = []
    tiles.apply(BANKS[1](), noise(300), tile=1, report=lambda done, count: told.append((done, count)))
    assert told == [(n, 5) for n in range(1, 6)]


def test_the_room_is_public():
    assert sc.tiles is tiles
    assert json.loads(json.dumps(tiles.__all__)) == ["apply"]
