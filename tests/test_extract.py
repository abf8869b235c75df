"""Features of many files: the tree, the formats, what is told, what is done again; kinds, banks, pooling."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import extraction_trees as made
import numpy as np
import pytest
import torch
from extraction_trees import BANK
from test_recipes import command

import sigconv as sc
from sigconv import console, extraction, models
from sigconv.benchmarks import _trees
from sigconv.benchmarks import extraction as racing
from sigconv.cli import extract as verb
from sigconv.extraction import _inputs, _kinds, _work
from sigconv.filters import gabor, gaussian
from sigconv.readers import fasta, nifti, npy, npz, wav


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return made.small(tmp_path_factory.mktemp("in"))


@pytest.fixture(scope="module")
def out(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert verb.main([BANK, str(root), "-o", str(out), "--json"]) == 3
    return out


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def bank_of(ndim, fs):
    return gaussian.bank(2, ndim, fs=fs)


def main(*words):
    return console.guarded(lambda: verb.main([str(word) for word in words]))


def test_the_tree_is_mirrored_and_every_input_has_a_line(root, out):
    manifest, failures = lines(out / "manifest.jsonl"), lines(out / "failures.jsonl")
    assert [line["path"] for line in manifest] == sorted(line["path"] for line in manifest)
    good = [line for line in manifest if line["error"] is None]
    assert {line["output"] for line in good} == {
        str(path.relative_to(out)) for path in out.rglob("*") if path.suffix in (".npy", ".npz", ".gz", ".nii")
    }
    assert (out / "speech" / "s1" / "w001.npy").is_file()
    assert {Path(line["path"]).name for line in failures} == {"cut.wav", "torn.nii.gz"}
    assert all(set(line) == {"path", "kind", "reason"} and line["path"] in line["reason"] for line in failures)
    assert [line["path"] for line in manifest if line["error"]] == [line["path"] for line in failures]
    sound = next(line for line in good if line["path"].endswith("w001.wav"))
    path = root / "speech" / "s1" / "w001.wav"
    assert sound["sha256"] == _inputs.digest(str(path))
    assert sound["size"] == path.stat().st_size
    assert (sound["shape"], sound["axes"], sound["units"], sound["fs"]) == ([2, 600], ["filter", "time"], ["s"], 8000.0)
    assert len(json.loads((out / "extraction.json").read_text())["banks"][sound["bank"]]["filters"]) == 1
    assert {path.name for path in out.iterdir() if path.is_file()} == {
        *(".lock", "dna.npz", "manifest.jsonl", "failures.jsonl", "extraction.json")
    }


def test_the_numbers_are_the_banks_own(root, out):
    x, fs = wav.read(root / "speech" / "s1" / "w001.wav")
    expected = bank_of(1, float(fs))(x[None], output="magnitude", padding_mode="symmetric")[0]
    found = npy.read(out / "speech" / "s1" / "w001.npy")
    assert found.dtype == np.float32
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)
    records = npz.read(out / "dna.npz")
    assert json.loads(records["names"].tobytes()) == ["one", "two"]
    assert records["r0"].shape == (4, 12)
    assert fasta.read(root / "dna.fa")[1][1] == "GGGTTTAACC"


def test_scans_keep_their_place_and_have_filters_last(root, tmp_path):
    scans = root / "scans"
    assert (
        main(BANK, scans / "sub-01.nii.gz", scans / "sub-02.nii", "-o", tmp_path, "--stride", "2", "--format", "nifti")
        == 0
    )
    volume, source = nifti.read(tmp_path / "sub-01.nii.gz"), nifti.read(scans / "sub-01.nii.gz")
    assert volume.data.dtype == np.float32
    assert volume.data.shape == (4, 4, 5, 1)
    assert np.array_equal(volume.affine, nifti.strided(source.affine, 2))
    bank = bank_of(3, nifti.rates(source))
    expected = bank(source.data[None, None], output="magnitude", stride=2, padding_mode="symmetric")[0]
    assert np.allclose(np.moveaxis(volume.data, -1, 0), expected, rtol=1e-5, atol=1e-6)
    assert nifti.read(tmp_path / "sub-02.nii").data.shape == (4, 4, 5, 2), "times are channels"
    line = lines(tmp_path / "manifest.jsonl")[0]
    assert np.array_equal(line["affine"], volume.affine)


def test_four_axes_of_space_are_there_for_the_asking(root, tmp_path):
    result = sc.extract(BANK, root / "scans" / "sub-02.nii", tmp_path, ndim=4, stride=(1, 1, 1, 2))
    (line,) = lines(result.manifest)
    assert (line["shape"], line["axes"]) == ([1, 7, 8, 9, 1], ["filter", "x", "y", "z", "time"])
    assert nifti.read(tmp_path / "sub-02.nii").data.shape == (7, 8, 9, 1, 1)


def test_a_second_run_writes_nothing_loads_no_torch_and_ends_alike(root, out):
    before = made.times(out)
    code = f"""import sys, sigconv.cli.extract as verb
code = verb.main([{BANK!r}, {str(root)!r}, "-o", {str(out)!r}, "--jobs", "2", "--json"])
print(code, sorted({{"torch", "numpy"}} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    *_, record, last = done.stdout.splitlines()
    assert last == "3 []"
    assert json.loads(record)["unchanged"] == json.loads(record)["inputs"]
    assert made.times(out) == before


def test_f19_what_has_changed_or_is_gone_is_done_anew_and_nothing_else(tmp_path):
    root, out = made.small(tmp_path / "in", 6, bad=False), tmp_path / "out"
    sc.extract(BANK, root, out)
    before = made.times(out)
    changed, touched, gone = (root / "speech" / "s0" / name for name in ("w000.wav", "w003.wav", "w000.wav"))
    made.sound(changed, seed=77)
    os.utime(touched, (1, 1))
    (out / "arrays" / "a.npy").unlink()
    (root / "speech" / "s1" / "w001.wav").unlink()
    result = sc.extract(BANK, root, out)
    assert result.inputs - result.unchanged == 2
    rewritten = {Path(path).name for path, when in made.times(out).items() if before.get(path) != when}
    assert rewritten == {"w000.npy", "a.npy", "manifest.jsonl"}
    assert gone == changed
    assert (out / "speech" / "s1" / "w001.npy").is_file(), "features of an input that is gone stay, and their line"
    assert any(line["path"].endswith("w001.wav") for line in lines(result.manifest))
    clean = sc.extract(BANK, changed.parent, tmp_path / "clean")
    assert npy.read(tmp_path / "clean" / "w000.npy").tobytes() == npy.read(out / "speech" / "s0" / "w000.npy").tobytes()
    assert clean.code == 0


def test_f17_another_configuration_is_refused_naming_what_differs(root, out, capsys):
    assert main(BANK, root, "-o", out, "--stride", 2, "--output", "energy") == 2
    said = capsys.readouterr().err
    assert 'output "magnitude", now "energy"' in said
    assert "stride 1, now 2" in said
    assert main("gaussian.bank:sigma=3", root, "-o", out) == 2
    assert "sigma=3" in capsys.readouterr().err


def test_another_tree_does_not_overwrite_what_is_there(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        made.sound(tmp_path / name / "x.wav", seed=seed)
    sc.extract(BANK, tmp_path / "a", tmp_path / "out")
    with pytest.raises(ValueError, match=r"holds 'x\.npy' of .*a/x\.wav.*give both at once"):
        sc.extract(BANK, tmp_path / "b", tmp_path / "out")
    result = sc.extract(BANK, [tmp_path / "a", tmp_path / "b"], tmp_path / "two")
    assert {line["output"] for line in lines(result.manifest)} == {"a/x.npy", "b/x.npy"}


def test_strict_stops_at_the_first_also_the_second_time(root, tmp_path, capsys):
    for _ in range(2):
        assert main(BANK, root, "-o", tmp_path, "--strict") == 1
        assert "torn.nii.gz" in capsys.readouterr().err
    with pytest.raises(extraction.StrictError, match=r"torn\.nii\.gz"):
        sc.extract(BANK, root, tmp_path, strict=True)
    assert main(BANK, root, "-o", tmp_path) == 3, "and goes on without"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gabr"], "bank 'gabr' is not one of"),
        (["gabor:foo=1"], "has no option 'foo'|option 'foo=1'"),
        (["gabor.pyramid:wavelengths=4"], "needs directions"),
        ([BANK, "--output", "loud"], "output 'loud' is not one of"),
        ([BANK, "--padding-mode", "mirror"], "padding_mode 'mirror'"),
        ([BANK, "--pool", "mode"], "pool 'mode' is not one of"),
        ([BANK, "--format", "tsv"], "give pool too"),
        ([BANK, "--mask", "m.nii"], "give pool too"),
        ([BANK, "--memory", "lots"], "memory 'lots'"),
        ([BANK, "--jobs", "0"], "jobs 0"),
        ([BANK, "--stride", "0"], "stride 0"),
        ([BANK, "--dask", "there"], "dask 'there'"),
        ([BANK, "--device", "tpu"], "--device 'tpu'"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_2(root, tmp_path, capsys, words, said):
    assert main(*words, root, "-o", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line), line
    assert main(BANK, root / "speech" / "s0" / "w000.wav", "-o", tmp_path / "out") == 0, "a word mended is no other one"


@pytest.mark.parametrize("words", [[], [BANK], [BANK, "-o", "out"], [BANK, "nowhere", "-o", "out"], [BANK, "."]])
def test_usage(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(*words) == 2
    assert not (tmp_path / "out").exists()
    capsys.readouterr()
    assert main("--help") == 0
    assert "sigconv extract gabor" in capsys.readouterr().out


def test_a_folder_without_inputs_is_usage_and_a_named_file_of_no_kind_a_failure(root, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(BANK, tmp_path / "empty", "-o", tmp_path / "out") == 2
    assert main(BANK, root / "notes.txt", root / "dna.fa", "-o", tmp_path / "out") == 3
    assert "is of no kind that is read" in lines(tmp_path / "out" / "failures.jsonl")[0]["reason"]
    assert "notes.txt" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["npy", "npz", "zarr", "nifti"])
def test_formats_hold_the_same_numbers_and_say_what_they_are(root, tmp_path, form):
    paths = [root / "scans" / "sub-01.nii.gz", root / "dna.fa"]
    result = sc.extract(BANK, paths, tmp_path, format=form, stride=2)
    assert result.code == 0
    (name,) = [line["output"] for line in lines(result.manifest) if line["kind"] == "scan"]
    sc.extract(BANK, root / "scans" / "sub-01.nii.gz", tmp_path / "plain", format="npy", stride=2)
    expected = npy.read(tmp_path / "plain" / "sub-01.npy")
    attributes = {}
    if form == "npy":
        found = npy.read(tmp_path / name)
    elif form == "npz":
        read = npz.read(tmp_path / name)
        found, attributes = read["features"], json.loads(read["attributes"].tobytes())
        assert {member.date_time for member in zipfile.ZipFile(tmp_path / name).infolist()} == {(1980, 1, 1, 0, 0, 0)}
    elif form == "nifti":
        found = np.moveaxis(nifti.read(tmp_path / name).data, -1, 0)
    else:
        import zarr

        store = zarr.open(tmp_path / name, mode="r")
        found, attributes = store[:], dict(store.attrs)
    assert found.tobytes() == expected.tobytes()
    if attributes:
        assert attributes["sigconv_version"] == sc.__version__
        assert attributes["source_sha256"] == _inputs.digest(str(root / "scans" / "sub-01.nii.gz"))
        assert attributes["bank"]["word"] == BANK
        assert np.allclose(attributes["affine"], np.diag([2, 4, 3, 1]))
    before = made.tree(tmp_path)
    assert (
        sc.extract(BANK, [root / "scans" / "sub-01.nii.gz", root / "dna.fa"], tmp_path, format=form, stride=2).unchanged
        == 2
    )
    assert made.tree(tmp_path) == before


def test_arrays_have_channels_where_they_have_an_axis_more(tmp_path):
    made.array(tmp_path / "in" / "a.npy", (3, 20, 30), dtype="int16")
    made.array(tmp_path / "in" / "b.npy", (20, 30), dtype="float64")
    result = sc.extract(BANK, tmp_path / "in", tmp_path / "out", ndim=2, fs=0.5)
    assert [line["shape"] for line in lines(result.manifest)] == [[3, 20, 30], [1, 20, 30]]
    assert {line["fs"] for line in lines(result.manifest)} == {0.5}
    assert npy.read(tmp_path / "out" / "b.npy").dtype == np.float32
    laws = sc.extract("laws.bank:names=E5L5", tmp_path / "in", tmp_path / "laws", output="real")
    assert [line["shape"] for line in lines(laws.manifest)] == [[3, 20, 30], [1, 20, 30]], "a bank of two axes alone"


def test_zarr_in_zarr_out_and_its_rate(tmp_path):
    import zarr

    source = zarr.create_array(tmp_path / "in" / "a.zarr", shape=(2, 40, 50), chunks=(1, 16, 16), dtype="float32")
    source[:] = np.random.default_rng(0).normal(size=(2, 40, 50)).astype("float32")
    source.attrs["fs"] = 4.0
    result = sc.extract("gabor", tmp_path / "in", tmp_path / "out", ndim=2)
    (line,) = lines(result.manifest)
    assert (line["output"], line["kind"], line["fs"]) == ("a.zarr", "zarr", 4.0)
    found = zarr.open(tmp_path / "out" / "a.zarr", mode="r")
    expected = gabor.default(2, fs=4.0)(source[:][None], output="magnitude", padding_mode="symmetric")[0]
    assert np.allclose(found[:], expected, rtol=1e-4, atol=1e-5)
    assert dict(found.attrs)["complete"] is True
    before = made.times(tmp_path / "out")
    assert sc.extract("gabor", tmp_path / "in", tmp_path / "out", ndim=2).unchanged == 1
    assert made.times(tmp_path / "out") == before
    source[0, 0, 0] = 9.0
    assert sc.extract("gabor", tmp_path / "in", tmp_path / "out", ndim=2).unchanged == 0
    expected = gabor.default(2, fs=4.0)(source[:][None], output="magnitude", padding_mode="symmetric")[0]
    assert np.allclose(zarr.open(tmp_path / "out" / "a.zarr", mode="r")[:], expected, rtol=1e-4, atol=1e-5)


def test_pictures_videos_and_flac_are_read(tmp_path):
    av, soundfile, pillow = (pytest.importorskip(name) for name in ("av", "soundfile", "PIL.Image"))
    from sigconv.readers import video

    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    pillow.fromarray(rng.integers(0, 255, (20, 30), dtype=np.uint8)).save(tmp_path / "in" / "a.png")
    video.write(tmp_path / "in" / "b.mkv", rng.integers(0, 255, (3, 6, 16, 18), dtype=np.uint8), 25)
    soundfile.write(tmp_path / "in" / "c.flac", rng.normal(size=500) / 10, 8000)
    result = sc.extract(BANK, tmp_path / "in", tmp_path / "out")
    assert not result.failures
    shapes = {line["kind"]: (line["shape"], line["fs"]) for line in lines(result.manifest)}
    assert shapes["picture"] == ([1, 20, 30], 1.0)
    assert shapes["video"] == ([1, 6, 16, 18], [25.0, 1.0, 1.0])
    assert shapes["sound"] == ([1, 500], 8000.0)
    assert av


def test_pooled_features_are_one_table_by_name(root, tmp_path):
    result = sc.extract("gabor", root / "speech", tmp_path, pool=["mean", "energy", "q50"], stride=2)
    text = (tmp_path / "features.tsv").read_text().splitlines()
    header, *rows = [line.split("\t") for line in text]
    assert len(rows) == result.done
    bank = gabor.default(1, fs=8000.0)
    x = wav.read(root / "speech" / "s1" / "w001.wav")[0]
    maps = bank(torch.from_numpy(x)[None], output="magnitude", padding_mode="symmetric", stride=2)[0]
    row = dict(zip(header, next(row for row in rows if row[0].endswith("w001.wav")), strict=True))
    names = [f"c{c}_{name}" for c in range(2) for name in bank.names]
    assert np.allclose([float(row[f"mean_{name}"]) for name in names], maps.mean(-1), rtol=1e-4)
    assert np.allclose([float(row[f"energy_{name}"]) for name in names], maps.square().mean(-1), rtol=1e-4)
    assert np.allclose([float(row[f"q50_{name}"]) for name in names], maps.quantile(0.5, -1), rtol=1e-4)
    assert row[f"mean_{bank.names[0]}"] == "", "of one channel there is no such column"
    again = made.times(tmp_path)
    assert sc.extract("gabor", root / "speech", tmp_path, pool=["mean", "energy", "q50"], stride=2).code == 3
    assert made.times(tmp_path) == again
    (tmp_path / "features.tsv").unlink()
    sc.extract("gabor", root / "speech", tmp_path, pool=["mean", "energy", "q50"], stride=2)
    assert (tmp_path / "features.tsv").read_text().splitlines() == text, "the table is made from the manifest"


def test_pooling_inside_a_mask_at_the_strides_own_voxels(tmp_path):
    made.scan(tmp_path / "in" / "s1" / "x.nii.gz")
    mask = np.random.default_rng(1).random((7, 8, 9)) > 0.5
    (tmp_path / "masks" / "s1").mkdir(parents=True)
    volume = nifti.read(tmp_path / "in" / "s1" / "x.nii.gz")
    nifti.write(tmp_path / "masks" / "s1" / "x.nii", mask.astype("uint8"), volume.affine)
    options = {"pool": ["mean", "max"], "stride": 2}
    bank = bank_of(3, nifti.rates(volume))
    maps = bank(volume.data[None, None], output="magnitude", stride=2, padding_mode="symmetric")[0]
    inside = maps[:, mask[::2, ::2, ::2]]
    for place in (tmp_path / "masks", tmp_path / "masks" / "s1" / "x.nii"):
        out = tmp_path / f"out-{place.name}"
        assert sc.extract(BANK, tmp_path / "in", out, mask=place, **options).code == 0
        row = (out / "features.tsv").read_text().splitlines()[1].split("\t")
        assert np.allclose([float(cell) for cell in row[1:]], [*inside.mean(-1), *inside.max(-1)], rtol=1e-5)
    nifti.write(tmp_path / "masks" / "s1" / "x.nii", (~mask).astype("uint8"), np.eye(4))
    assert sc.extract(BANK, tmp_path / "in", tmp_path / "out-masks", mask=tmp_path / "masks", **options).unchanged == 0
    with pytest.raises(ValueError, match="mask"):
        sc.extract(BANK, tmp_path / "in", tmp_path / "out-x.nii", mask=tmp_path / "masks" / "s1" / "x.nii", **options)
    nifti.write(tmp_path / "masks" / "s1" / "x.nii", np.ones((7, 8, 8), "uint8"), np.eye(4))
    failed = sc.extract(BANK, tmp_path / "in", tmp_path / "out-masks", mask=tmp_path / "masks", **options)
    assert "has shape" in failed.failures[0]["reason"]


def test_records_of_dna_have_a_row_each(root, tmp_path):
    sc.extract(BANK, root / "dna.fa", tmp_path, pool="mean")
    header, *rows = [line.split("\t") for line in (tmp_path / "features.tsv").read_text().splitlines()]
    assert header[:2] == ["path", "record"]
    assert [row[1] for row in rows] == ["one", "two"]
    sc.extract(BANK, root / "dna.fa", tmp_path / "npz", pool="mean", format="npz")
    assert npz.read(tmp_path / "npz" / "dna.npz")["features"].shape == (2, 4)


def test_parquet_holds_the_same_table(root, tmp_path):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    sc.extract(BANK, root / "speech", tmp_path / "a", pool="mean", format="parquet")
    sc.extract(BANK, root / "speech", tmp_path / "b", pool="mean")
    names = (tmp_path / "b" / "features.tsv").read_text().splitlines()[0].split("\t")
    assert parquet.read_table(tmp_path / "a" / "features.parquet").column_names == names


def test_banks_come_from_files_of_plain_options(root, tmp_path, capsys):
    place, sound = tmp_path / "bank.yaml", root / "speech" / "s0" / "w000.wav"
    place.write_text("bank: gabor.bank\nfrequency: [[1000.0], [2000.0]]\nsigma: 0.001\n")
    result = sc.extract(place, sound, tmp_path / "out")
    assert lines(result.manifest)[0]["shape"] == [2, 600]
    for text, said in [
        ("bank: gabor.bank\nfrequency: [1]\nsigma: 1\nfoo: 2\n", "no option 'foo'"),
        ("- 1", "expected `bank"),
        ("bank: !!python/object/apply:os.system [ls]", "is no description"),
        ("bank: gabor\na: &x [1]\nb: *x\n", "repeats parts"),
        ("bank: " + "[" * 5000, "is no description"),
    ]:
        place.write_text(text)
        assert main(place, sound, "-o", tmp_path / "bad") == 2
        assert said in capsys.readouterr().err


def test_banks_come_from_trained_runs(root, tmp_path):
    torch.manual_seed(0)
    net = models.build("mnist1d")
    run = models.save_pretrained(net, tmp_path / "run" / "network")
    layer = next(module for module in net.modules() if getattr(module, "weight", None) is not None)
    sound = root / "speech" / "s0" / "w000.wav"
    result = sc.extract(tmp_path / "run", sound, tmp_path / "out", output="real")
    (line,) = lines(result.manifest)
    found = npy.read(tmp_path / "out" / line["output"])
    with torch.no_grad():
        expected = layer.eval()(torch.from_numpy(wav.read(sound)[0])[None])[0]
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    name = next(name for name, module in net.named_modules() if module is layer)
    sc.extract(f"{tmp_path / 'run'}:node={name}", sound, tmp_path / "node", output="real")
    assert npy.read(tmp_path / "node" / line["output"]).tobytes() == found.tobytes()
    with pytest.raises(ValueError, match="has no node 'nothing'"):
        sc.extract(f"{tmp_path / 'run'}:node=nothing", sound, tmp_path / "none")
    assert run


def test_a_bank_of_ones_own_works_in_this_process(root, tmp_path):
    sound = root / "speech" / "s0" / "w000.wav"
    bank = gaussian.bank(0.001, 1, fs=8000.0)
    sc.extract(bank, sound, tmp_path / "out")
    with pytest.raises(ValueError, match="jobs=1"):
        sc.extract(bank, sound, tmp_path / "two", jobs=2)
    with pytest.raises(ValueError, match="another configuration"):
        sc.extract(gaussian.bank(0.002, 1, fs=8000.0), sound, tmp_path / "out")
    assert sc.extract(gaussian.bank(0.001, 1, fs=8000.0), sound, tmp_path / "out").unchanged == 1


def test_a_bank_made_in_frequency_sees_all_of_a_signal(root, tmp_path):
    sound = root / "speech" / "s0" / "w000.wav"
    bank = gabor.log_gabor([1000.0, 2000.0], fs=8000.0)
    assert bank.kernel_size is None
    sc.extract("gabor.log_gabor:frequency=1000,2000", sound, tmp_path / "out")
    expected = bank(wav.read(sound)[0][None], output="magnitude", padding_mode="symmetric")[0]
    assert np.allclose(npy.read(tmp_path / "out" / "w000.npy"), expected, rtol=1e-4, atol=1e-5)


def test_maps_larger_than_their_share_of_memory_have_the_same_bits(tmp_path, monkeypatch):
    made.array(tmp_path / "in" / "a.npy", (600, 700))
    made.scan(tmp_path / "in" / "b.nii.gz", (40, 30, 35))
    sc.extract("gabor", tmp_path / "in", tmp_path / "roomy")
    monkeypatch.setattr(_work, "KEPT", 500)
    mapped, original = [], _work.Work._mapped
    monkeypatch.setattr(_work.Work, "_mapped", lambda *given: mapped.append(1) or original(*given))
    result = sc.extract("gabor", tmp_path / "in", tmp_path / "narrow", memory="1 GB")
    assert len(mapped) == 2
    assert not result.failures
    assert made.tree(tmp_path / "roomy") == made.tree(tmp_path / "narrow")


def test_complex_features(root, tmp_path):
    sc.extract("gabor", root / "speech" / "s0" / "w000.wav", tmp_path, output="complex")
    assert npy.read(tmp_path / "w000.npy").dtype == np.complex64


def test_untrusted_files_are_read_elsewhere_and_give_the_same(root, out, tmp_path):
    assert sc.extract(BANK, root, tmp_path, untrusted=True).code == 3
    theirs, ours = made.tree(tmp_path), made.tree(out)
    different = {name for name in ours if ours[name] != theirs[name]}
    assert set(ours) == set(theirs)
    assert different <= {"failures.jsonl", "manifest.jsonl"}, "an error's words may be others"


def test_a_tree_of_all_kinds_gives_what_a_plain_loop_gives_and_lists_every_bad_file(tmp_path):
    """The tree and the loop of `sigconv bench extraction`: the race is one of equal work."""
    bad = {str(path) for path in _trees.small(tmp_path / "in", 120, bad=7)}
    result = sc.extract("gabor", tmp_path / "in", tmp_path / "out")
    assert (result.inputs, result.code, result.passed) == (120, 3, 0)
    assert {line["path"] for line in result.failures} == bad
    assert all(line["path"] in line["reason"] for line in result.failures)
    good = [line for line in lines(result.manifest) if line["error"] is None]
    endings = {_kinds.ending_of(line["path"]) for line in good}
    assert endings == {end for end in _trees.SHARES if _trees.written(end)}
    assert racing.plain(tmp_path / "in", tmp_path / "plain", "cpu") == result.done == 120 - len(bad)
    for line in good:
        ours, plain = (_values(tmp_path / place / line["output"]) for place in ("out", "plain"))
        assert np.allclose(ours, plain, rtol=1e-4, atol=1e-4 * np.abs(plain).max()), line["path"]
    before = made.times(tmp_path / "out")
    assert sc.extract("gabor", tmp_path / "in", tmp_path / "out").unchanged == 120
    assert made.times(tmp_path / "out") == before


def _values(path):
    """All features in a file, one after the other."""
    from sigconv.readers import zarr

    if path.suffix == ".npz":
        found = npz.read(path)
        return np.concatenate([found[name].ravel() for name in ("r0", "r1")])
    reader = {".npy": npy, ".zarr": zarr}.get(path.suffix, nifti)
    found = reader.read(path)
    return (found.data if reader is nifti else found).ravel()


def test_every_kind_says_how_it_is_kept():
    for name, kind in _kinds.KINDS.items():
        assert kind.usual in kind.formats, name
        assert kind.endings == tuple(ending.lower() for ending in kind.endings), name
    assert len(_kinds.ENDINGS) == sum(len(kind.endings) for kind in _kinds.KINDS.values())


def test_progress_is_told(root, tmp_path):
    heard = []
    sc.extract(BANK, root / "speech", tmp_path, report=heard.append)
    assert [now.done for now in heard][-1] == heard[-1].total == 21
    assert heard[-1].failed == 1
    assert heard[-1].bytes > 0


def test_the_command_is_found_and_runs(root, tmp_path):
    done = command("extract", BANK, root / "dna.fa", "-o", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.splitlines()[-1])
    assert (record["done"], record["failed"], record["bank"]) == (1, 0, BANK)
