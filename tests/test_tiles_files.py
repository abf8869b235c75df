"""Tiles from and to files: mapped, zarr and scans; killed, resumed, sent to workers: the same bytes."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc

import numpy as np
import pytest
import torch
import zarr
from conftest import ROOT

from sigconv import files, tiles
from sigconv.filters import gabor, gaussian
from sigconv.readers import _voxels, nifti
from sigconv.tiles import _dask, _grid, _memory, _run, _scans, _sinks, _sources, _start, _zarr

BANK = gabor.pyramid(2, wavelengths=(4,), directions=2)
OPTIONS = {"output": "magnitude", "padding_mode": "reflect"}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_grid, "BLOCKS", {1: 64, 2: 24, 3: 12, 4: 8})
    monkeypatch.setattr(_grid, "LONGER", 1)
    monkeypatch.setattr(_grid, "SPARSE", 1)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def tree(folder):
    """Every file's name and digest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.mark.usefixtures("small_blocks")
def test_mapped_and_zarr_sources_and_sinks_agree_to_the_bit(tmp_path):
    x = noise(3, 90, 71)
    whole = tiles.apply(BANK, x, **OPTIONS)
    np.save(tmp_path / "x.npy", x)
    z = zarr.create_array(store=str(tmp_path / "x.zarr"), shape=x.shape, chunks=(2, 30, 71), dtype="float32")
    z[:] = x
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r", allow_pickle=False)
    for place, source in enumerate([x, mapped, tmp_path / "x.npy", tmp_path / "x.zarr", z, np.asfortranarray(x)]):
        assert np.array_equal(tiles.apply(BANK, source, tile=30, **OPTIONS), whole), place
    assert tiles.apply(BANK, mapped, tmp_path / "y.npy", tile=1, **OPTIONS) == str(tmp_path / "y.npy")
    assert np.array_equal(np.load(tmp_path / "y.npy", allow_pickle=False), whole)
    with pytest.raises(ValueError, match=r"x\.npy' is the source, which it would be written over"):
        tiles.apply(BANK, tmp_path / "x.npy", tmp_path / "." / "x.npy", **OPTIONS)
    path = tiles.apply(BANK, tmp_path / "x.npy", tmp_path / "y.zarr", **OPTIONS)
    found = zarr.open_array(store=path, mode="r")
    assert np.array_equal(found[:], whole)
    assert found.attrs["complete"] is True
    assert found.attrs["axes"] == ["channel", "axis0", "axis1"]
    assert found.attrs["source_sha256"] == hashlib.sha256((tmp_path / "x.npy").read_bytes()).hexdigest()
    assert found.attrs["op"]["class"].endswith("Gabor")
    assert sorted(os.listdir(path)) == ["c", "zarr.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npy", "x.zarr", "y.npy", "y.zarr"]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(20, 15, 40), (20, 15, 40, 3)])
def test_scans_go_through_slices_and_come_out_in_their_place(tmp_path, ending, shape):
    bank = gaussian.bank(1.0, 3)
    steps = (100 * noise(*shape)).astype("int16")
    affine = np.diag([2.0, 1, 3, 1])
    path = tmp_path / f"x{ending}"
    nifti.write(path, steps, affine)
    x = steps.astype(np.float32)
    x = np.moveaxis(x, -1, 0) if x.ndim == 4 else x
    whole = tiles.apply(bank, np.ascontiguousarray(x), stride=(2, 1, 2))
    assert np.array_equal(tiles.apply(bank, path, stride=(2, 1, 2), tile=8), whole)
    outs = [tmp_path / f"{n}{ending}" for n in "ab"]
    for out, tile in zip(outs, (1, 1000), strict=True):
        tiles.apply(bank, path, out, stride=(2, 1, 2), tile=tile)
    volume = nifti.read(outs[0])
    assert np.array_equal(np.moveaxis(volume.data, -1, 0), whole)
    assert volume.data.dtype == np.float32
    assert volume.affine.diagonal().tolist() == [4.0, 1.0, 6.0, 1.0]
    assert outs[0].read_bytes() == outs[1].read_bytes()
    found = zarr.open_array(store=tiles.apply(bank, path, tmp_path / "y.zarr", stride=(2, 1, 2)), mode="r")
    assert np.array_equal(found[:], whole)
    assert found.attrs["axes"] == ["channel", "x", "y", "z"]
    assert np.diag(found.attrs["affine"]).tolist() == [4.0, 1.0, 6.0, 1.0]
    assert np.allclose(found.attrs["fs"], [0.25, 1.0, 1 / 6])
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".tmp")]


@pytest.mark.parametrize("blend", [None, 0.5])
def test_endings_are_taken_in_capitals_too(tmp_path, blend):
    x, bank = noise(9, 8, 7), gaussian.bank(1.0, 3)
    nifti.write(tmp_path / "x.nii", x, np.eye(4))
    whole = tiles.apply(bank, x, blend=blend)
    ask = {"blend": blend, "tile": 8}
    for ending in ("npy", "nii", "nii.gz"):
        for name in (f"y.{ending}", f"Y.{ending.upper()}"):
            tiles.apply(bank, tmp_path / "x.nii", tmp_path / name, **ask)
        assert (tmp_path / f"y.{ending}").read_bytes() == (tmp_path / f"Y.{ending.upper()}").read_bytes()
    assert np.array_equal(np.load(tmp_path / "Y.NPY", allow_pickle=False), tiles.apply(bank, x, **ask))
    assert nifti.read(tmp_path / "Y.NII.GZ").data.shape[:3] == whole.shape[1:]
    np.save(tmp_path / "z.npy", tiles.apply(bank, x, **ask))
    assert (tmp_path / "Y.NPY").read_bytes() == (tmp_path / "z.npy").read_bytes()


def test_scaled_scans_are_read_as_the_reader_reads_them(tmp_path):
    import nibabel

    image = nibabel.Nifti1Image(noise(9, 8, 7), np.eye(4))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "a.nii")
    bank = gaussian.bank(1.0, 3)
    data = nifti.read(tmp_path / "a.nii").data.astype(np.float32)
    found = tiles.apply(bank, tmp_path / "a.nii")
    assert found.dtype == np.float32
    assert np.array_equal(found, tiles.apply(bank, data))


def test_a_packed_run_is_not_held_whole_and_leaves_no_file(tmp_path, monkeypatch):
    shape, temporary = (20, 18, 16, 60), tmp_path / "temporary"
    nifti.write(tmp_path / "a.nii.gz", noise(*shape), np.eye(4))
    nifti.write(tmp_path / "a.nii", noise(*shape), np.eye(4))
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(_voxels, "AT_ONCE", 1 << 12)
    packed, plain = (_scans.Scan(str(tmp_path / name), 3) for name in ("a.nii.gz", "a.nii"))
    box, bytes_ = (slice(None), slice(2, 5), slice(0, 4), slice(3, 6)), noise(*shape).nbytes
    tracemalloc.start()
    found = packed[box]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found, plain[box])
    assert np.array_equal(packed[(slice(None),) * 4], plain[(slice(None),) * 4])
    assert peak < bytes_ / 4
    assert not list(temporary.iterdir())
    assert packed.bytes_beside((3, 4, 3)) == 2 * bytes_ // 60
    assert plain.bytes_beside((3, 4, 3)) == 0


def test_what_a_packed_scan_keeps_is_counted(tmp_path):
    nifti.write(tmp_path / "a.nii.gz", noise(30, 30, 60), np.eye(4))
    bank, asked = gaussian.bank(1.0, 3), []
    source = _sources.opened(tmp_path / "a.nii.gz", 3)
    plan = _start._plan(_start._work(bank, source, dict(_start.PLAIN), torch.float32), source, torch.float32)
    grid = plan.grid._replace(block=(30, 30, 10))
    for one in (source, _sources.opened(noise(30, 30, 60), 3)):
        asked.append(_memory.needed(plan.work, one, torch.float32, (1, torch.float32))(grid, (1, 1, 1)))
    slices = 10 + 2 * (bank.kernel_size[2] // 2)  # held along z; and twice what is decoded at a time, here the whole
    assert asked[0] - asked[1] == 30 * 30 * 4 * (slices + 2 * 60)


class StoppedError(Exception):
    """Somebody pulled the plug."""


def stopping(after):
    def told(done, count):
        if done >= after:
            raise StoppedError

    return told


@pytest.mark.usefixtures("small_blocks")
def test_f3_a_stopped_call_goes_on_to_the_same_bytes(tmp_path):
    x, places = noise(90, 71), [tmp_path / "whole", tmp_path / "parts"]
    tiles.apply(BANK, x, places[0], **OPTIONS)
    for tile, after in ((1, 2), (50, 5), (1, 7)):  # whatever the tile was before
        with pytest.raises(StoppedError):
            tiles.apply(BANK, x, places[1], tile=tile, report=stopping(after), **OPTIONS)
        with open(places[1] / _zarr.DONE, "ab") as file:
            file.write(b'{"blocks": [[0, ')  # a line cut off by the kill
    chunk = places[1] / "c" / "0" / "3" / "2"
    chunk.parent.mkdir(parents=True, exist_ok=True)
    chunk.write_bytes(b"half a chunk")
    tiles.apply(BANK, x, places[1], **OPTIONS)
    assert tree(places[0]) == tree(places[1])


@pytest.mark.usefixtures("small_blocks")
def test_a_finished_answer_is_not_touched_and_another_is_refused_by_name(tmp_path):
    x, out = noise(60, 50), tmp_path / "a.zarr"
    tiles.apply(BANK, x, out, **OPTIONS)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert tiles.apply(BANK, x, out, tile=1, **OPTIONS) == str(out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    other = gabor.pyramid(2, wavelengths=(4.5,), directions=2)
    asks = {
        r"options\.output \(magnitude, now energy\)": (BANK, x, OPTIONS | {"output": "energy"}),
        r"source\.sha256": (BANK, x + 1, OPTIONS),
        r"source\.dtype \(float32, now float64\)": (BANK, x.astype(float), OPTIONS),
        r"op\.": (other, x, OPTIONS),
    }
    for words, (bank, source, options) in asks.items():
        with pytest.raises(ValueError, match=f"made from something else: .*{words}"):
            tiles.apply(bank, source, out, **options)
    with pytest.raises(ValueError, match=r"something else: dtype \(float32, now float64\)"):
        tiles.apply(BANK, x, out, dtype="float64", **OPTIONS)
    assert tiles.apply(BANK, x, out, dtype="float32", **OPTIONS) == str(out)


def test_what_is_there_already_is_not_written_over(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="is there already and is no zarr array"):
        tiles.apply(BANK, noise(9, 9), tmp_path / "folder")
    zarr.create_array(store=str(tmp_path / "b.zarr"), shape=(3,), dtype="float32")
    with pytest.raises(ValueError, match="was not made here"):
        tiles.apply(BANK, noise(9, 9), tmp_path / "b.zarr")
    (tmp_path / "c.npy").mkdir()
    with pytest.raises(OSError, match="is a folder"):
        tiles.apply(BANK, noise(9, 9), tmp_path / "c.npy")


@pytest.mark.usefixtures("small_blocks")
def test_f10_two_at_one_array_are_refused(tmp_path):
    x, out = noise(60, 50), tmp_path / "a.zarr"
    with pytest.raises(StoppedError):
        tiles.apply(BANK, x, out, tile=1, report=stopping(1), **OPTIONS)
    with files.locked(out), pytest.raises(OSError, match="in use by this very process"):
        tiles.apply(BANK, x, out, **OPTIONS)


@pytest.mark.parametrize("folder", [False, True])
def test_f3_temporaries_of_the_dead_go_even_where_their_number_is_this_process_own(tmp_path, folder, monkeypatch):
    out, own = tmp_path / "a.npy", os.getpid()
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    with monkeypatch.context() as patch:
        patch.setattr(_sinks.socket, "gethostname", lambda: "elsewhere")
        other = _sinks.begun(out, folder)
    _sinks.ended(other)
    left = _sinks.begun(out, folder)
    _sinks.ended(left)  # by a process of this number, before
    older = tmp_path / left.name.replace(str(_sinks._host() << 32 | own), dead.stdout.decode().strip())
    older.touch()
    under_way = _sinks.begun(out, folder)
    assert set(tmp_path.iterdir()) == {other, under_way}
    last = _sinks.begun(out, folder)
    assert set(tmp_path.iterdir()) == {other, under_way, last}
    for path in (under_way, last):
        _sinks.ended(path)


@pytest.mark.parametrize("ending", [".npy", ".zarr"])
def test_no_temporary_name_is_kept_when_a_call_ends(tmp_path, ending):
    def stopped(done, count):
        raise StoppedError

    for number, report in enumerate((None, stopped)):
        out = tmp_path / f"{number}{ending}"
        with contextlib.suppress(StoppedError):
            tiles.apply(BANK, noise(20, 20), out, report=report)
    assert not _sinks._under_way


def test_a_bfloat16_answer_is_written_as_float32(tmp_path):
    x = torch.from_numpy(noise(20, 20)).bfloat16()
    found = zarr.open_array(store=tiles.apply(BANK, x, tmp_path / "b.zarr", output="magnitude"), mode="r")
    assert found.dtype == np.float32
    assert np.array_equal(found[:], tiles.apply(BANK, x, output="magnitude").float().numpy())


def test_a_write_of_part_of_a_chunk_is_a_mistake_that_is_noticed(tmp_path):
    _zarr.begun(str(tmp_path / "a"), (4, 20), torch.float32, (8,), {})
    store = _zarr.Store(str(tmp_path / "a"))
    store.write((slice(0, 4), slice(16, 20)), torch.zeros(4, 4))
    for place in ((slice(0, 4), slice(0, 4)), (slice(0, 4), slice(4, 12))):
        with pytest.raises(AssertionError, match="no whole chunks"):
            store.write(place, torch.zeros(4, place[1].stop - place[1].start))


CHILD = """
import json, re, sys
from pathlib import Path
from sigconv import tiles
from sigconv.filters import gabor
folder, memory, filters = sys.argv[1], sys.argv[2], int(sys.argv[3])
bank = gabor.pyramid(3, wavelengths=(4, 8), directions=filters // 2)
status = Path("/proc/self/status")  # ru_maxrss would begin with what the process had that started this one
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+) kB", status.read_text())[1]) * 1024
before = peak()
cap = {"memory": memory} if memory != "any" else {}
tiles.apply(bank, folder + "/x.npy", f"{folder}/{memory}.npy", output="magnitude", **cap)
print(json.dumps([before, peak()]))
"""


def _children(folder, n, filters, *memories):
    """What each process had at its most before the call, and after it."""
    made = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (n, n, n))
    for i in range(n):
        made[i] = noise(n, n, seed=i)
    made.flush()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    runs = [[sys.executable, "-c", CHILD, str(folder), memory, str(filters)] for memory in memories]
    with contextlib.ExitStack() as ending:
        children = [ending.enter_context(subprocess.Popen(run, **given)) for run in runs]
        said = [child.communicate(timeout=3000) for child in children]
    assert not any(child.returncode for child in children), said
    return [json.loads(out) for out, _ in said]


def test_memory_is_honoured_as_measured_and_equals_a_crop(tmp_path, request):
    """512³ through 20 filters under 2 GB with --thorough; else smaller, and under less than it takes where none is."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("the system does not tell what a process had at its most")
    thorough = request.config.getoption("--thorough")
    n, cap, filters = (512, 2_000_000_000, 20) if thorough else (160, 260_000_000, 4)
    if thorough:
        [(_, peak)] = _children(tmp_path, n, filters, str(cap))
        assert peak < cap
    else:
        (before, peak), (free_before, free) = _children(tmp_path, n, filters, str(cap), "any")
        assert peak - before < cap < free - free_before
    found, x = (np.load(tmp_path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in (cap, "x"))
    bank = gabor.pyramid(3, wavelengths=(4, 8), directions=filters // 2)
    half, side = bank.kernel_size[0] // 2, 160 if thorough else 64
    for low in (0, n - side):
        cut = (slice(low, low + side),) * 3
        crop = bank(np.ascontiguousarray(x[cut])[None, None], output="magnitude")[0]
        inner = slice(0, side - half) if low == 0 else slice(half, side)
        part = np.asarray(found[(slice(None), *cut)])
        assert np.abs(part - crop)[(slice(None), *[inner] * 3)].max() < 1e-5 * crop.max()


@pytest.mark.usefixtures("small_blocks")
def test_dask_arrays_are_answered_lazily(tmp_path):
    import dask.array as da

    x = noise(2, 70, 45)
    whole = tiles.apply(BANK, x, **OPTIONS)
    lazy = tiles.apply(BANK, da.from_array(x, chunks=(1, 30, 45)), tile=30, **OPTIONS)
    assert type(lazy).__module__.startswith("dask")
    assert lazy.shape == whole.shape
    assert np.array_equal(lazy.compute(scheduler="synchronous"), whole)
    path = tiles.apply(BANK, da.from_array(x, chunks=(1, 30, 45)), tmp_path / "a.zarr", **OPTIONS)
    assert np.array_equal(zarr.open_array(store=path, mode="r")[:], whole)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_client_computes_the_same_bytes(tmp_path):
    """Workers in this process: quick. Those that die: --thorough."""
    import dask.array as da
    from distributed import Client

    x = noise(80, 45)
    np.save(tmp_path / "x.npy", x)
    whole = tiles.apply(BANK, x, **OPTIONS)
    tiles.apply(BANK, tmp_path / "x.npy", tmp_path / "a.zarr", **OPTIONS)
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        told = []
        ask = OPTIONS | {"client": client, "tile": 1}
        tiles.apply(BANK, tmp_path / "x.npy", tmp_path / "b.zarr", report=lambda *n: told.append(n), **ask)
        lazy = da.from_array(x, chunks=(30, 45))
        for source, out in ((lazy, "c.zarr"), (x, "d.zarr")):
            tiles.apply(BANK, source, tmp_path / out, **ask)
        assert np.array_equal(tiles.apply(BANK, x, **ask), whole)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "b.zarr")
    for out in ("c.zarr", "d.zarr"):
        assert np.array_equal(zarr.open_array(store=str(tmp_path / out), mode="r")[:], whole)
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))


@pytest.fixture
def client():
    """Two workers in this process."""
    from distributed import Client

    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        yield client


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_f8_a_plan_that_is_lost_with_all_who_held_it_is_sent_again(tmp_path, client, monkeypatch):
    from distributed import Future

    x, gone = noise(80, 45), []

    def told(done, count):
        if not gone:
            gone.extend(client.futures)
            client.cancel([Future(key, client) for key in gone], force=True)

    np.save(tmp_path / "x.npy", x)
    for source, out in ((x, None), (tmp_path / "x.npy", tmp_path / "y.zarr")):
        gone.clear()
        found = tiles.apply(BANK, source, out, tile=1, client=client, report=told, **OPTIONS)
        assert len(gone) > 2
        found = found if out is None else zarr.open_array(store=found, mode="r")[:]
        assert np.array_equal(found, tiles.apply(BANK, x, **OPTIONS))
    monkeypatch.setattr(_dask, "TRIES", 0)
    gone.clear()
    with pytest.raises(RuntimeError, match=r"the tile at .* was lost with its workers 1 times"):
        tiles.apply(BANK, x, tile=1, client=client, report=told, **OPTIONS)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_two_calls_share_the_names_of_their_tasks(client, monkeypatch):
    names, submit = [], type(client).submit

    def noted(self, *words, **options):
        future = submit(self, *words, **options)
        names.append(future.key)
        return future

    monkeypatch.setattr(type(client), "submit", noted)
    monkeypatch.setattr(_dask, "id", lambda thing: 1, raising=False)  # an address is free to be another's later
    for _ in range(2):
        tiles.apply(BANK, noise(80, 45), tile=1, client=client, **OPTIONS)
    assert len(set(names)) == len(names) > 8


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("mapped", [False, True])
def test_f9_workers_halve_what_they_have_no_memory_for(tmp_path, client, monkeypatch, mapped):
    x, real, most = noise(100, 90), _run.answered, [1 << 30]
    whole = tiles.apply(BANK, x, **OPTIONS)

    def answered(plan, tile, region, write):
        if region.numel() > most[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(plan, tile, region, write)

    monkeypatch.setattr(_run, "answered", answered)
    np.save(tmp_path / "x.npy", x)
    ask = OPTIONS | {"tile": 1000, "client": client}
    source = tmp_path / "x.npy" if mapped else x
    most[0] = 2000  # a tile of one block
    assert np.array_equal(tiles.apply(BANK, source, **ask), whole)
    found = tiles.apply(BANK, source, tmp_path / "y.zarr", **ask)
    assert np.array_equal(zarr.open_array(store=found, mode="r")[:], whole)
    most[0] = 1000  # half a block
    with pytest.warns(UserWarning, match="memory ran out at blocks of") as told:
        found = tiles.apply(BANK, source, **ask)
    assert len(told) == 1
    assert np.abs(found - whole).max() < 1e-5 * whole.max()
    most[0] = 0
    with pytest.raises(MemoryError, match="too little memory even for"):
        tiles.apply(BANK, source, **ask)


def test_f5_a_chunk_that_is_not_there_is_no_chunk_of_zeros(tmp_path):
    _zarr.begun(str(tmp_path / "a"), (1, 16), torch.float32, (8,), {})
    store = _zarr.Store(str(tmp_path / "a"))
    store.write((slice(0, 1), slice(0, 16)), torch.cat([torch.zeros(1, 8), torch.ones(1, 8)], 1))
    assert not (tmp_path / "a" / "c" / "0" / "0").exists()
    store.synced((slice(0, 1), slice(0, 16)))
    (tmp_path / "a" / "c" / "0" / "1").unlink()
    with pytest.raises(OSError, match="a chunk was written and is not there"):
        store.synced((slice(0, 1), slice(8, 16)))


@pytest.mark.usefixtures("small_blocks")
def test_f3_what_zarr_had_begun_to_write_is_swept(tmp_path):
    def stopped(done, count):
        if done >= 1:
            raise KeyboardInterrupt

    x = noise(3, 90, 71)
    with pytest.raises(KeyboardInterrupt):
        tiles.apply(BANK, x, tmp_path / "y.zarr", tile=1, report=stopped, **OPTIONS)
    chunk = next((tmp_path / "y.zarr" / "c").rglob("0"))
    torn = chunk.with_name(f"{chunk.name}.0123456789abcdef.partial")
    torn.write_bytes(b"half a chunk")
    tiles.apply(BANK, x, tmp_path / "y.zarr", tile=1, **OPTIONS)
    assert not list(tmp_path.rglob("*.partial"))


def test_f3_a_tile_counts_when_all_folders_above_its_chunks_are_synced(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(files, "synced", lambda paths: told.append({os.path.realpath(path) for path in paths}))
    _zarr.begun(str(tmp_path / "a"), (2, 16, 16), torch.float32, (8, 8), {})
    (begun,) = told
    assert {os.path.basename(path) for path in begun} >= {"zarr.json", _zarr.DONE}
    assert {os.path.dirname(path) for path in begun if not path.endswith(".tmp")} < begun
    store = _zarr.Zarr(str(tmp_path / "a"))
    store.write((slice(0, 2), slice(8, 16), slice(0, 8)), torch.ones(2, 8, 8))
    store.written(((1, 2), (0, 1)))
    chunk = tmp_path / "a" / "c" / "0" / "1" / "0"
    assert told[1] == {str(path) for path in [chunk, *chunk.parents[:4]]}


KILLED = """
import os, signal, sys, threading, time
import numpy as np
from distributed import Client, LocalCluster
from sigconv import tiles
from sigconv.filters import gabor

def main():
    folder, workers = sys.argv[1], int(sys.argv[2])
    bank = gabor.pyramid(3, wavelengths=(4, 8), directions=4)
    options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=workers, **options) as cluster, Client(cluster) as client:
        killed = []
        def told(done, count):
            if not killed:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)
        tiles.apply(bank, folder + "/x.npy", folder + "/y.zarr", tile=1, client=client, report=told)
        print(len(killed))

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_f8_a_worker_that_is_killed_changes_no_bit(tmp_path, request, workers):
    if not request.config.getoption("--thorough"):
        pytest.skip("starts a cluster of processes: --thorough")
    x = noise(260, 140, 130)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "run.py").write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = [sys.executable, str(tmp_path / "run.py"), str(tmp_path), str(workers)]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert done.stdout.strip().endswith("1"), done.stderr
    bank = gabor.pyramid(3, wavelengths=(4, 8), directions=4)
    tiles.apply(bank, tmp_path / "x.npy", tmp_path / "z.zarr")
    assert tree(tmp_path / "y.zarr") == tree(tmp_path / "z.zarr")


RESUMED = """
import sys
import numpy as np
from sigconv import tiles
from sigconv.filters import gabor
from sigconv.tiles import _grid
_grid.BLOCKS[2] = 24
print("ready", flush=True)
bank = gabor.pyramid(2, wavelengths=(4,), directions=2)
tiles.apply(bank, sys.argv[1] + "/x.npy", sys.argv[1] + "/y.zarr", tile=1, output="magnitude", padding_mode="reflect")
"""


def test_f3_killed_at_any_instant_it_goes_on_to_the_same_bytes(tmp_path, request, monkeypatch):
    kills = 20 if request.config.getoption("--thorough") else 2
    monkeypatch.setattr(_grid, "BLOCKS", {2: 24})
    np.save(tmp_path / "x.npy", noise(400, 300))
    run = [sys.executable, "-c", RESUMED, str(tmp_path)]
    delays, done, lines = np.random.default_rng(0), tmp_path / "y.zarr" / _zarr.DONE, []
    for number in range(kills):
        with subprocess.Popen(run, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}) as child:
            child.stdout.readline()
            while number == 0 and child.poll() is None and not (done.exists() and done.stat().st_size):
                time.sleep(0.001)  # the first is killed where there is something to go on from
            time.sleep(delays.uniform(0, 0.8) if number else 0)
            child.send_signal(signal.SIGKILL)
        lines.append(len(done.read_bytes().splitlines()) if done.exists() else 0)
    assert max(lines) > 0
    tiles.apply(BANK, tmp_path / "x.npy", tmp_path / "y.zarr", **OPTIONS)
    tiles.apply(BANK, tmp_path / "x.npy", tmp_path / "z.zarr", **OPTIONS)
    assert tree(tmp_path / "y.zarr") == tree(tmp_path / "z.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npy", "y.zarr", "z.zarr"]
