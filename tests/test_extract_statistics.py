"""Statistics of maps as blocks of them are made: as of whole maps, whatever the order, without keeping them."""

import itertools

import extraction_trees as made
import numpy as np
import pytest
from extraction_trees import BANK

import sigconv as sc
from sigconv.extraction import _statistics, _work
from sigconv.readers import npy

NAMES = ["mean", "std", "rms", "energy", "max"]


def maps(seed=0, shape=(3, 50, 40)):
    """Maps far from zero: what is squared before its mean is taken away loses all digits there."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 3000 * np.arange(shape[0]).reshape(-1, 1, 1)).astype(np.float32)


def filled(y, names, mask=None, seed=0, size=16):
    """Statistics of blocks that come in any order, some maps at a time."""
    running = _statistics.Statistics(names).running(y.shape, mask, [1] * (y.ndim - 1))
    blocks = list(itertools.product(*(range(0, n, size) for n in y.shape[1:]), (slice(0, 2), slice(2, None))))
    np.random.default_rng(seed).shuffle(blocks)
    for *starts, rows in blocks:
        place = (
            slice(*rows.indices(len(y))[:2]),
            *(slice(a, min(a + size, n)) for a, n in zip(starts, y.shape[1:], strict=True)),
        )
        running[place] = y[place]
    return running.found()


def oracle(y, mask=None):
    """In float64, of all values at once."""
    values = y.astype(np.float64).reshape(len(y), -1) if mask is None else y.astype(np.float64)[:, mask]
    squares = (values**2).mean(1)
    return np.stack([values.mean(1), values.std(1), np.sqrt(squares), squares, values.max(1)])


@pytest.mark.parametrize("masked", [False, True])
def test_statistics_of_blocks_are_those_of_whole_maps(masked):
    y = maps()
    mask = None
    if masked:
        mask = np.random.default_rng(1).random(y.shape[1:]) < 0.3
        mask[:16, :16] = False  # a block outside
    found = filled(y, NAMES, mask).reshape(5, -1)
    np.testing.assert_allclose(found, oracle(y, mask), rtol=3e-7)
    assert np.array_equal(filled(y, ["std"], mask), found[1])


def test_a_spread_of_few_ulps_about_a_large_mean_is_told():
    rng = np.random.default_rng(0)
    y = (30000 + rng.integers(0, 3, (3, 40, 40)) * np.spacing(np.float32(30000))).astype(np.float32)
    np.testing.assert_allclose(filled(y, ["std"]), oracle(y)[1], rtol=1e-6)


def test_the_order_of_blocks_leaves_no_trace(monkeypatch):
    y = maps(2)
    y[:, :16], y[:, 16:32] = 1e15, -1e15  # sums that cancel, and swallow what was added in between
    first = filled(y, NAMES, seed=1)
    assert all(np.array_equal(first, filled(y, NAMES, seed=seed)) for seed in range(2, 6))
    monkeypatch.setattr(_statistics, "AT_ONCE", 1)  # a map at a time
    assert np.array_equal(first, filled(y, NAMES))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_shows_in_its_own_map_alone(bad):
    y = maps()
    y[1, 20, 3] = bad
    found = filled(y, NAMES).reshape(5, -1)
    assert not np.isfinite(found[:, 1]).any()
    assert np.array_equal(np.delete(found, 1, 1), np.delete(filled(maps(), NAMES).reshape(5, -1), 1, 1))


def test_complex_maps_have_no_statistics():
    running = _statistics.Statistics(["mean"]).running((1, 4), None, [1])
    with pytest.raises(ValueError, match="maps are complex"):
        running[slice(0, 1), slice(0, 4)] = np.zeros((1, 4), np.complex64)


def test_maps_are_kept_for_quantiles_alone(tmp_path, monkeypatch):
    made.array(tmp_path / "in" / "x.npy", (90, 80))
    kept, original = [], _work.Work._maps
    monkeypatch.setattr(_work.Work, "_maps", lambda *given: kept.append(1) or original(*given))
    given = {"format": "npy", "output": "magnitude"}
    few = sc.extract(BANK, tmp_path / "in", tmp_path / "few", pool=["mean", "std"], **given)
    assert (few.done, kept) == (1, [])
    more = sc.extract(BANK, tmp_path / "in", tmp_path / "more", pool=["mean", "std", "q50"], **given)
    assert (more.done, kept) == (1, [1])
    two, three = (npy.read(tmp_path / name / "x.npy") for name in ("few", "more"))
    np.testing.assert_allclose(two, three[: len(two)], rtol=1e-5)


def test_the_memory_leaves_no_trace_in_statistics(tmp_path):
    made.array(tmp_path / "in" / "x.npy", (700, 900))
    for memory in ("270 MB", "2 GB"):
        done = sc.extract(BANK, tmp_path / "in", tmp_path / memory, pool=NAMES, memory=memory)
        assert done.failures == []
    one, other = ((tmp_path / memory / "features.tsv").read_bytes() for memory in ("270 MB", "2 GB"))
    assert one == other


@pytest.mark.filterwarnings("error")
def test_quantiles_of_maps_on_disk_come_without_a_warning(tmp_path, monkeypatch):
    made.array(tmp_path / "in" / "x.npy", (90, 80))
    monkeypatch.setattr(_work, "KEPT", 1 << 30)
    done = sc.extract(BANK, tmp_path / "in", tmp_path / "out", pool=["q50"], output="magnitude")
    assert (done.done, done.failures) == (1, [])
