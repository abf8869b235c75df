"""What fails now and may not another time: memory, time and room; it is tried anew, and ends no other input's work."""

import json
import os
import shutil

import extraction_trees as made
import nibabel as nib
import numpy as np
import pytest
import torch
from extraction_trees import BANK

import sigconv as sc
from sigconv import files
from sigconv.extraction import _config, _kinds, _run, _work
from sigconv.readers import child, npy, zarr
from sigconv.tiles import _scans


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def odd(path, shape):
    """A zarr array of any shape that has no chunks."""
    path.mkdir(parents=True)
    grid = {"name": "regular", "configuration": {"chunk_shape": [1 << 16]}}
    told = {"zarr_format": 3, "node_type": "array", "shape": list(shape), "data_type": "float32", "chunk_grid": grid}
    told |= {"chunk_key_encoding": {"name": "default"}, "fill_value": 0.0, "codecs": [{"name": "bytes"}]}
    told["codecs"][0]["configuration"] = {"endian": "little"}
    (path / "zarr.json").write_text(json.dumps(told | {"attributes": {}}))


@pytest.mark.parametrize("chunk", [0, 4 << 16])
def test_an_array_that_claims_what_it_has_not_costs_itself_alone(tmp_path, chunk):
    odd(tmp_path / "in" / "odd.zarr", [1 << 44])
    if chunk:
        (tmp_path / "in" / "odd.zarr" / "c").mkdir()
        (tmp_path / "in" / "odd.zarr" / "c" / "0").write_bytes(bytes(chunk))
    made.array(tmp_path / "in" / "a.npy", (300,))
    result = sc.extract(BANK, tmp_path / "in", tmp_path / "out", ndim=1, pool="mean")
    assert (result.done, result.failed) == (1, 1)
    assert f"claims {4 << 44} bytes, and its chunks hold {chunk}: too few" in result.failures[0]["reason"]


def test_maps_that_the_disk_has_no_room_for_cost_their_input_alone(tmp_path, monkeypatch):
    made.array(tmp_path / "in" / "large.npy", (30_000,))
    made.array(tmp_path / "in" / "small.npy", (300,))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=100_000))
    monkeypatch.setattr(_work, "KEPT", 1 << 60)
    result = sc.extract(BANK, tmp_path / "in", tmp_path / "out", ndim=1, pool="q50")
    assert (result.done, result.failed) == (1, 1)
    assert ", and 100000 are free in" in result.failures[0]["reason"]
    (bad,) = [line for line in lines(result.manifest) if line["error"]]
    assert bad["lasting"] is False


@pytest.mark.parametrize("lasting", [False, True])
def test_what_passes_is_tried_anew(tmp_path, monkeypatch, lasting):
    made.sound(tmp_path / "in" / "x.wav")
    error = (ValueError if lasting else files.PassingError)("no room, or no sense")
    with monkeypatch.context() as patched:
        patched.setattr(_work, "applied", lambda *_: (_ for _ in ()).throw(error))
        assert sc.extract(BANK, tmp_path / "in", tmp_path / "out").failed == 1
    again = sc.extract(BANK, tmp_path / "in", tmp_path / "out")
    assert (again.failed, again.unchanged) == ((1, 1) if lasting else (0, 0))


def test_a_decoder_without_time_or_memory_says_that_it_passes(tmp_path):
    odd(tmp_path / "a.zarr", [1 << 27])
    with child.Decoder(memory=1 << 28) as decoder, pytest.raises(files.PassingError, match="memory|allowed|room"):
        decoder.read("zarr", tmp_path / "a.zarr")
    with child.Decoder(seconds=1e-3) as decoder, pytest.raises(files.PassingError, match="seconds"):
        decoder.read("zarr", tmp_path / "a.zarr")
    (tmp_path / "b.npy").write_text("no array")
    with child.Decoder() as decoder, pytest.raises(ValueError, match="npy") as caught:
        decoder.read("npy", tmp_path / "b.npy")
    assert not isinstance(caught.value, files.PassingError)


def test_untrusted_zarr_keeps_its_rate(tmp_path):
    made_of = pytest.importorskip("zarr")
    source = made_of.create_array(tmp_path / "in" / "a.zarr", shape=(40, 50), chunks=(16, 16), dtype="float32")
    source[:] = np.random.default_rng(0).normal(size=(40, 50)).astype("float32")
    source.attrs["fs"] = 4.0
    source.attrs["note"] = {"deep": [1]}
    sc.extract("gabor", tmp_path / "in", tmp_path / "out")
    sc.extract("gabor", tmp_path / "in", tmp_path / "apart", untrusted=True)
    assert lines(tmp_path / "apart" / "manifest.jsonl")[0]["fs"] == 4.0
    assert made.tree(tmp_path / "out") == made.tree(tmp_path / "apart")
    whole, said = zarr.read(tmp_path / "in" / "a.zarr", attributes=["fs", "note", "none"])
    assert (whole.shape, said) == ((40, 50), {"fs": 4.0})


@pytest.mark.parametrize(("jobs", "memory"), [(1, "64MB"), (1, "200 MB"), (8, "2GB"), (256, "4 GB")])
def test_memory_that_does_not_do_for_every_job_is_refused_before_work(tmp_path, jobs, memory):
    made.sound(tmp_path / "in" / "x.wav")
    with pytest.raises(ValueError, match=f"memory '{memory}' is too little: .* each of jobs {jobs}"):
        sc.extract(BANK, tmp_path / "in", tmp_path / "out", jobs=jobs, memory=memory)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("jobs", [1, 32, 256])
@pytest.mark.parametrize("least", [False, True])
def test_memory_of_each_job_does_for_a_bank_in_three_axes(tmp_path, monkeypatch, jobs, least):
    heard = []
    monkeypatch.setattr(_run, "_work", lambda setup, *_: heard.append(setup))
    made.array(tmp_path / "in" / "v.npy", (70, 70, 70))
    memory = jobs * _config.LEAST if least else None
    sc.extract("gabor", tmp_path / "in", tmp_path / "out", jobs=jobs, memory=memory)
    assert heard[0]["memory"] >= (_config.LEAST if least else _config.EACH)


def test_the_least_memory_does(tmp_path):
    made.array(tmp_path / "in" / "v.npy", (40, 40, 40))
    assert sc.extract("gabor", tmp_path / "in", tmp_path / "out", memory=_config.LEAST, pool="mean").code == 0


SCANS = {
    "volume.nii": ((20, 19, 18), "float32"),
    "packed.nii.gz": ((20, 19, 18), "int16"),
    "run.nii.gz": ((9, 8, 7, 5), "int16"),
    "surfer.mgz": ((9, 8, 7), "float32"),
    "flat.nii": ((20, 19), "uint8"),
    "vectors.nii": ((9, 8, 7, 1, 3), "float32"),
}
WAYS = {
    "maps": (BANK, {"stride": 2}),
    "chunks": (BANK, {"format": "zarr"}),
    "numbers": (BANK, {"pool": ["mean", "q50"]}),
    "time": (BANK, {"ndim": 4}),
    "frequency": ("riesz", {}),
    "layer": (torch.nn.Conv3d(1, 2, 3), {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_large_scans_are_read_slice_by_slice_and_give_the_same_bytes(tmp_path, monkeypatch, way):
    for name, (shape, dtype) in SCANS.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        nib.save(image(name, np.random.default_rng(1).integers(0, 200, shape).astype(dtype)), tmp_path / "in" / name)
    bank, options = WAYS[way]
    whole = sc.extract(bank, tmp_path / "in", tmp_path / "whole", **options)
    read, slices = [], _scans.Scan.__init__
    monkeypatch.setattr(
        _scans.Scan, "__init__", lambda scan, path, ndim: (read.append(path), slices(scan, path, ndim))[1]
    )
    monkeypatch.setattr(_kinds, "LARGE", 1)
    sliced = sc.extract(bank, tmp_path / "in", tmp_path / "sliced", **options)
    assert sliced.done == whole.done >= 2
    assert {os.path.basename(path) for path in read} >= ({"run.nii.gz"} if way == "time" else {"volume.nii"})
    whole, sliced = (made.tree(tmp_path / name) for name in ("whole", "sliced"))
    for name in [name for name in whole if name.endswith("zarr.json")]:  # tells a file by its bytes, an array by values
        del whole[name], sliced[name]
    assert whole == sliced


def image(name, values):
    """A scan; its integers stand for other numbers."""
    if name.endswith(".mgz"):
        return nib.MGHImage(values, np.eye(4))
    made_of = nib.Nifti1Image(values, np.diag([1, 2, 1.5, 1]))
    if values.dtype.kind != "f":
        made_of.header.set_slope_inter(0.037, -3)
    return made_of


def test_a_scan_that_turns_out_damaged_at_its_end_has_no_features_when_read_slice_by_slice(tmp_path, monkeypatch):
    monkeypatch.setattr(_kinds, "LARGE", 1)
    made.scan(tmp_path / "x.nii.gz", (9, 8, 40))
    content = bytearray((tmp_path / "x.nii.gz").read_bytes())
    content[-6] ^= 1  # of its checksum
    (tmp_path / "x.nii.gz").write_bytes(content)
    for form in ("auto", "zarr"):
        (line,) = sc.extract(BANK, tmp_path / "x.nii.gz", tmp_path / form, format=form).failures
        assert "cannot be unpacked" in line["reason"]
        assert sorted(made.tree(tmp_path / form)) == [".lock", "extraction.json", "failures.jsonl", "manifest.jsonl"]


def test_a_large_scan_of_foreign_byte_order_goes_through_a_bank_that_sees_all(tmp_path, monkeypatch):
    values = np.random.default_rng(1).normal(size=(9, 8, 7)).astype(">f4")
    nib.save(nib.Nifti1Image(values, np.eye(4), nib.Nifti1Header(endianness=">")), tmp_path / "x.nii")
    whole = sc.extract("riesz", tmp_path / "x.nii", tmp_path / "whole", format="npy")
    monkeypatch.setattr(_kinds, "LARGE", 1)
    sliced = sc.extract("riesz", tmp_path / "x.nii", tmp_path / "sliced", format="npy")
    assert (whole.failures, sliced.failures) == ([], [])
    assert np.array_equal(npy.read(tmp_path / "whole" / "x.npy"), npy.read(tmp_path / "sliced" / "x.npy"))


def test_what_follows_the_voxels_is_heard_of_in_a_mapped_scan_too(tmp_path, monkeypatch):
    made.scan(tmp_path / "x.nii")
    with open(tmp_path / "x.nii", "ab") as file:
        file.write(b"more")
    for large in (1 << 30, 1):
        monkeypatch.setattr(_kinds, "LARGE", large)
        (line,) = sc.extract(BANK, tmp_path / "x.nii", tmp_path / f"out{large}").failures
        assert "more follows its voxels" in line["reason"]


def test_a_run_that_temporary_files_have_no_room_for_costs_itself_alone(tmp_path, monkeypatch):
    made.scan(tmp_path / "in" / "run.nii.gz", (9, 8, 7, 5))
    made.array(tmp_path / "in" / "x.npy")
    monkeypatch.setattr(_kinds, "LARGE", 1)
    monkeypatch.setattr(_scans.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 100})())
    result = sc.extract(BANK, tmp_path / "in", tmp_path / "out", format="npy")
    assert (result.done, result.failed) == (1, 1)
    assert "100 are free" in result.failures[0]["reason"]
    monkeypatch.undo()
    assert sc.extract(BANK, tmp_path / "in", tmp_path / "out", format="npy").done == 2


def test_a_complex_scan_is_not_halved_in_silence_by_a_real_layer(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((9, 8, 7), np.complex64), np.eye(4)), tmp_path / "x.nii")
    (line,) = sc.extract(torch.nn.Conv3d(1, 2, 3), tmp_path / "x.nii", tmp_path / "out").failures
    assert "source is complex" in line["reason"]


def test_a_folder_that_bears_the_records_name_hides_nothing(tmp_path):
    made.array(tmp_path / "in" / "a" / "extraction.json" / "x.npy")
    made.array(tmp_path / "in" / "a" / "y.npy")
    assert sc.extract(BANK, tmp_path / "in", tmp_path / "out").done == 2


def test_strict_with_processes_leaves_no_file_that_waits(tmp_path, monkeypatch):
    worked = _run._work

    def working(*asked):
        waiting = tmp_path / "out" / f"{files.waiting('a09.npy')}abcdefgh.tmp"  # of a process ended in its midst
        try:
            worked(*asked)
        finally:
            waiting.write_bytes(b"half")

    monkeypatch.setattr(_run, "_work", working)
    for number in range(12):
        made.array(tmp_path / "in" / f"a{number:02}.npy", (300, 300), seed=number)
    (tmp_path / "in" / "a05.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="a05"):
        sc.extract(BANK, tmp_path / "in", tmp_path / "out", jobs=2, strict=True)
    assert not list((tmp_path / "out").rglob("*.tmp"))
