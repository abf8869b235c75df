"""Calls that meet in one folder: whose features stay, which go, and what a killed call leaves."""

import json
import os
from pathlib import Path

import extraction_trees as made
import numpy as np
import pytest
from extraction_trees import BANK

import sigconv as sc
from sigconv import files
from sigconv.extraction import _desk, _folder, _leftovers
from sigconv.filters import laws, riesz, wavelet
from sigconv.readers import nifti, npy


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def kept(out):
    """What there is of features, and what the manifest says of it."""
    told = {line["output"] for line in lines(out / "manifest.jsonl") if line["output"]}
    own = {".lock", "extraction.json", "manifest.jsonl", "failures.jsonl"}
    assert set(made.tree(out)) - own == told, "a line for each, and none for what is not there"
    return told


def test_an_input_that_is_not_given_now_keeps_its_features(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    made.sound(root / "b.wav")
    made.array(root / "b.npy", (1, 40))
    sc.extract(BANK, root / "b.wav", out, ndim=1)
    before = made.tree(out)
    with pytest.raises(ValueError, match=r"holds 'b\.npy' of .*b\.wav.*give both at once, or another -o"):
        sc.extract(BANK, root / "b.npy", out, ndim=1)
    assert made.tree(out) == before
    assert sc.extract(BANK, root / "b.wav", out, ndim=1).unchanged == 1


def test_features_under_an_old_name_go_when_inputs_are_renamed(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    made.sound(root / "b.wav")
    sc.extract(BANK, root, out, ndim=1)
    assert kept(out) == {"b.npy"}
    made.array(root / "b.npy", (1, 40))
    sc.extract(BANK, root, out, ndim=1)
    assert kept(out) == {"b.wav.npy", "b.npy.npy"}
    sc.extract(BANK, root, tmp_path / "clean", ndim=1)
    assert made.tree(out) == made.tree(tmp_path / "clean")
    (root / "b.wav").write_bytes(b"no sound any more")
    sc.extract(BANK, root, out, ndim=1)
    assert kept(out) == {"b.npy.npy"}, "what was made of what it held before is not its features"


def test_features_stay_where_their_input_could_not_be_read_this_time(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    made.sound(root / "a.wav")
    made.sound(root / "b.wav")
    sc.extract(BANK, root, out)
    (root / "b.wav").rename(tmp_path / "b.wav")
    (root / "b.wav").symlink_to("away")
    result = sc.extract(BANK, root, out)
    assert (result.done, result.failed) == (1, 1)
    assert (out / "b.npy").is_file()


def test_a_name_that_has_another_owner_now_is_not_deleted(tmp_path):
    made.sound(tmp_path / "in" / "a" / "x.wav")
    made.array(tmp_path / "in2" / "a" / "x.npy", (1, 50))
    out = tmp_path / "out"
    sc.extract(BANK, tmp_path / "in", out, ndim=1)
    result = sc.extract(BANK, [tmp_path / "in" / "a" / "x.wav", tmp_path / "in2"], out, ndim=1)
    assert result.code == 0
    assert kept(out) == {"a/x.npy", "x.npy"}
    assert npy.read(out / "a" / "x.npy").shape == (1, 50)
    with pytest.raises(ValueError, match="give both at once"):
        sc.extract(BANK, tmp_path / "in", out, ndim=1)


def test_a_line_whose_features_were_written_over_is_not_believed_after_a_kill(tmp_path):
    made.sound(tmp_path / "in" / "a" / "x.wav")
    made.array(tmp_path / "in2" / "a" / "x.npy", (1, 600), seed=3)
    out, other = tmp_path / "out", tmp_path / "other"
    sc.extract(BANK, tmp_path / "in", out, ndim=1)
    sc.extract(BANK, tmp_path / "in2", other, ndim=1)
    (out / "journal.jsonl").write_text((other / "manifest.jsonl").read_text())  # as a killed call leaves it
    (out / "a" / "x.npy").write_bytes((other / "a" / "x.npy").read_bytes())
    both = [tmp_path / "in" / "a" / "x.wav", tmp_path / "in2"]
    assert sc.extract(BANK, both, out, ndim=1).unchanged == 1
    assert kept(out) == {"a/x.npy", "x.npy"}


def test_f7_failures_of_another_configuration_are_not_believed_after_a_kill(tmp_path, monkeypatch):
    made.array(tmp_path / "in" / "x.npy", (20, 30, 40, 2))
    out = tmp_path / "out"
    assert sc.extract(BANK, tmp_path / "in", out, ndim=2).code == 3

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_folder.Folder, "note", killed)
        patched.setattr(_folder.Folder, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            sc.extract(BANK, tmp_path / "in", out, ndim=3)
    assert sc.extract(BANK, tmp_path / "in", out, ndim=3).unchanged == 0, "that failure was of two axes"
    assert kept(out) == {"x.npy"}


def test_f11_stopped_between_a_file_and_its_line_no_line_is_without_its_file(tmp_path):
    class Stopping(list):
        def extend(self, pending):
            raise KeyboardInterrupt

    noted = []
    desk = _desk.Desk(type("Folder", (), {"path": tmp_path, "note": noted.extend})(), 1, 1, False, None)
    desk._group.pending = Stopping()
    with pytest.raises(KeyboardInterrupt):
        desk.take({"path": "x", "error": None, "output": "x.npy"}, [("a", "b")])
    desk.rescue()
    assert noted == []


def test_f3_what_is_swept_is_ours_and_nothing_else(tmp_path):
    zarr = pytest.importorskip("zarr")
    source = zarr.create_array(tmp_path / "in" / "a" / "z.zarr", shape=(20, 30), chunks=(20, 30), dtype="float32")
    source[:] = 1.0
    made.sound(tmp_path / "in" / "a" / "x.wav")
    out = tmp_path / "out"
    ours = ["a/.x.npy.abcd1234.tmp", ".manifest.jsonl.abcd1234.tmp", "a/z.zarr/.zarr.json.abcd1234.tmp"]
    mark = _leftovers._mark("z.zarr")
    ours += [f"a/{mark}{os.getpid()}.abcd1234.tmp/c/0", ".maps.abcd1234.tmp/maps.npy"]
    theirs = ["mine/.draft.tmp", "a/.draft.tmp", "a/.mine.npy.abcd1234.tmp", "other/a/.x.npy.abcd1234.tmp"]
    theirs += ["mine/.maps.abcd1234.tmp/x", "a/.x.npy.tmp"]
    made.sound(tmp_path / "in" / "other" / "a" / "x.wav")
    sc.extract(BANK, tmp_path / "in", out)
    for name in (*ours, *theirs):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("half")
    (out / "other" / "extraction.json").write_text("{}")
    (out / "journal.jsonl").write_text("")
    sc.extract(BANK, tmp_path / "in", out)
    there = made.tree(out)
    assert [name for name in theirs if name not in there] == []
    assert [name for name in ours if name in there] == []


def test_a_damaged_line_is_passed_over(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "in" / "z.zarr", shape=(20, 30), chunks=(20, 30), dtype="float32")[:] = 1.0
    made.sound(tmp_path / "in" / "x.wav")
    out = tmp_path / "out"
    sc.extract(BANK, tmp_path / "in", out)
    whole, good = (out / "manifest.jsonl").read_text(), lines(out / "manifest.jsonl")
    for line in good:
        for key in line:
            damaged = {name: value for name, value in line.items() if name != key}
            rest = [other for other in good if other is not line]
            (out / "manifest.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (damaged, *rest)))
            sc.extract(BANK, tmp_path / "in", out)
    (out / "z.zarr" / "zarr.json").write_text("{}")
    sc.extract(BANK, tmp_path / "in", out)
    assert (out / "manifest.jsonl").read_text() == whole
    table = tmp_path / "table"
    sc.extract(BANK, tmp_path / "in" / "x.wav", table, pool="mean")
    (line,) = lines(table / "manifest.jsonl")
    (table / "manifest.jsonl").write_text(json.dumps({key: line[key] for key in line if key != "rows"}) + "\n")
    assert sc.extract(BANK, tmp_path / "in" / "x.wav", table, pool="mean").unchanged == 0


def test_a_chunk_that_is_missing_is_noticed(tmp_path):
    zarr = pytest.importorskip("zarr")
    source = zarr.create_array(tmp_path / "in" / "z.zarr", shape=(20, 30), chunks=(20, 30), dtype="float32")
    source[:] = np.arange(600).reshape(20, 30)
    out = tmp_path / "out"
    sc.extract(BANK, tmp_path / "in", out)
    assert "bytes" not in lines(out / "manifest.jsonl")[0], "of a folder they say nothing"
    before = made.tree(out)
    next(path for path in (out / "z.zarr" / "c").rglob("*") if path.is_file()).unlink()
    assert sc.extract(BANK, tmp_path / "in", out).unchanged == 0
    assert made.tree(out) == before


def test_f5_a_journal_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    made.sound(tmp_path / "in" / "x.wav")
    original = _folder.Folder.begun

    def full(folder):
        original(folder)
        (folder.path / "journal.jsonl").symlink_to("/dev/full")

    monkeypatch.setattr(_folder.Folder, "begun", full)
    with pytest.raises(OSError, match=r"No space left.*journal\.jsonl"):
        sc.extract(BANK, tmp_path / "in", tmp_path / "out")


def test_folders_that_are_new_are_synced_up_to_the_top(tmp_path, monkeypatch):
    synced = []
    original = files.synced
    monkeypatch.setattr(files, "synced", lambda paths: original(synced.extend(found := list(paths)) or found))
    monkeypatch.setattr(files, "sync_folder", lambda folder: synced.append(str(folder)))
    made.sound(tmp_path / "in" / "a" / "b" / "x.wav")
    sc.extract(BANK, tmp_path / "in", tmp_path / "out")
    assert {str(tmp_path / "out" / place).rstrip("/") for place in ("", "a", "a/b")} <= set(synced)


def test_a_folder_of_a_familys_name_is_no_run(tmp_path, monkeypatch):
    made.sound(tmp_path / "in" / "x.wav")
    monkeypatch.chdir(tmp_path)
    sc.extract("gabor", "in", "gabor")
    assert sc.extract("gabor", "in", "gabor").unchanged == 1
    os.mkdir("neither")
    for word in ("neither", "./gabor", "gabor:node=x"):
        with pytest.raises(ValueError, match="without a trained network"):
            sc.extract(word, "in", "out")


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_the_image_of_a_pair_is_read_by_its_header(tmp_path, packed):
    nib = pytest.importorskip("nibabel")
    (tmp_path / "in").mkdir()
    x = np.random.default_rng(0).normal(size=(7, 8, 9)).astype("float32")
    nib.save(nib.Nifti1Pair(x, np.eye(4)), tmp_path / "in" / f"s.img{packed}")
    named = tmp_path / "in" / f"s.img{packed}"
    for paths in (named, [named, tmp_path / "in"]):
        result = sc.extract(BANK, paths, tmp_path / "out")
        assert (result.inputs, result.failures) == (1, [])
    (line,) = lines(tmp_path / "out" / "manifest.jsonl")
    assert line["shape"] == [1, 7, 8, 9]
    assert Path(line["path"]).name.startswith("s.hdr")


def test_no_input_is_written_over_by_its_own_features(tmp_path):
    made.array(tmp_path / "in" / "a.npy", (1, 40))
    before = (tmp_path / "in" / "a.npy").read_bytes()
    for paths in (tmp_path / "in", tmp_path / "in" / "a.npy"):
        with pytest.raises(ValueError, match=r"a\.npy' is read, and features would be written over it"):
            sc.extract(BANK, paths, tmp_path / "in", ndim=1)
    assert (tmp_path / "in" / "a.npy").read_bytes() == before


def test_what_is_no_extractions_is_not_written_over(tmp_path):
    made.array(tmp_path / "in" / "a.npy", (1, 40))
    out = tmp_path / "out"
    for name, kind in (("a.npy", "auto"), ("a.zarr", "zarr")):
        (out / name).mkdir(parents=True) if name.endswith("zarr") else made.array(out / name, (1, 3))
        with pytest.raises(ValueError, match=r"is there already, and no features of an extraction"):
            sc.extract(BANK, tmp_path / "in", out, ndim=1, format=kind)
        assert (out / name).exists()


def test_banks_that_print_alike_and_differ_are_told_apart(tmp_path):
    made.array(tmp_path / "in" / "a.npy", (1, 40, 40))
    pairs = [
        (wavelet.bank("db3", "LH", level=1), wavelet.bank("coif1", "LH", level=1)),
        (laws.bank("E5L5"), laws.bank("S5R5")),
        (riesz.simoncelli(1, ndim=2), riesz.simoncelli(2, ndim=2)),
    ]
    for number, (one, other) in enumerate(pairs):
        out = tmp_path / str(number)
        assert sc.extract(one, tmp_path / "in", out, output="real").done == 1
        with pytest.raises(ValueError, match="another configuration .*bank"):
            sc.extract(other, tmp_path / "in", out, output="real")


def test_a_link_to_itself_is_one_failure_and_a_trailing_slash_no_other_name(tmp_path):
    made.array(tmp_path / "in" / "sub" / "a.npy", (1, 40))
    (tmp_path / "in" / "loop.npy").symlink_to(tmp_path / "in" / "loop.npy")
    result = sc.extract(BANK, f"{tmp_path / 'in'}{os.sep}", tmp_path / "out", ndim=1, pool="mean", format="npy")
    assert (result.done, result.failed) == (1, 1)
    assert (tmp_path / "out" / "sub" / "a.npy").is_file()


def test_a_mask_lies_where_its_input_lies_and_holds_numbers(tmp_path):
    scan = np.random.default_rng(0).normal(size=(8, 9, 7)).astype("float32")
    (tmp_path / "in").mkdir()
    nifti.write(tmp_path / "in" / "a.nii", scan, np.eye(4))
    inside = (scan > 0).astype("float32")
    nifti.write(tmp_path / "away.nii", inside, np.diag([9.0, 9, 9, 1]))
    nifti.write(tmp_path / "torn.nii", np.where(inside, 1, np.nan).astype("float32"), np.eye(4))
    for mask, words in (("away.nii", "lies elsewhere"), ("torn.nii", "holds what is no number")):
        result = sc.extract(
            "gaussian.bank:sigma=1", tmp_path / "in", tmp_path / mask[:4], pool="mean", mask=tmp_path / mask
        )
        assert words in result.failures[0]["reason"]
