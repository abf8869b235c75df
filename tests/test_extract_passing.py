"""What fails now and may not another time: memory, time and room; it is tried anew, and ends no other input's work."""

import json

import extraction_trees as made
import numpy as np
import pytest
from extraction_trees import BANK

import sigconv as sc
from sigconv import files
from sigconv.extraction import _config, _run, _work
from sigconv.readers import child, zarr


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


def test_an_array_that_claims_what_it_has_not_costs_itself_alone(tmp_path):
    odd(tmp_path / "in" / "odd.zarr", [1 << 44])
    made.array(tmp_path / "in" / "a.npy", (300,))
    result = sc.extract(BANK, tmp_path / "in", tmp_path / "out", ndim=1, pool="mean")
    assert (result.done, result.failed) == (1, 1)
    assert "has no chunks" in result.failures[0]["reason"]


def test_maps_that_the_disk_has_no_room_for_cost_their_input_alone(tmp_path, monkeypatch):
    odd(tmp_path / "in" / "odd.zarr", [1 << 44])
    (tmp_path / "in" / "odd.zarr" / "c").mkdir()
    (tmp_path / "in" / "odd.zarr" / "c" / "0").write_bytes(bytes(4 << 16))
    made.array(tmp_path / "in" / "a.npy", (300,))
    result = sc.extract(BANK, tmp_path / "in", tmp_path / "out", ndim=1, pool="mean")
    assert (result.done, result.failed) == (1, 1)
    assert "are free in" in result.failures[0]["reason"]
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
