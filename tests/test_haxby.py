"""fMRI blocks: windows where the events are, trends out, runs never split, both layouts, bad tables in one line."""

import shutil

import numpy as np
import pytest
import torch
from fmri_runs import KINDS, made

from sigconv.datasets import haxby
from sigconv.readers import nifti
from sigconv.transforms import volume


@pytest.mark.parametrize("bids", [False, True])
def test_blocks_are_cut_where_the_events_are(tmp_path, bids):
    study = haxby.everything(made(tmp_path, bids=bids), series="tiny")
    blocks = study.blocks
    assert blocks.x.shape == (8, 1, 5, 4, 2, 13)  # 5 s before, 12 of the block, 7.5 after: 24.5 s, of 2 s each
    assert study.before == 3
    assert blocks.classes == KINDS
    assert blocks.runs.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert blocks.y.tolist() == [0, 1, 1, 0, 0, 1, 1, 0]
    seen = blocks.x[:, 0, 1, 1, 0, study.before : study.before + 6].mean(1)
    assert (seen[blocks.y == 0] > 1).all()
    assert (seen[blocks.y == 1] < 0.5).all()


def test_trends_are_taken_out_and_voxels_are_of_one_deviation(tmp_path):
    run = haxby._run(*haxby._runs(haxby._subject(made(tmp_path), None), "tiny")[0])
    np.testing.assert_allclose(run.x.std(-1), 1, rtol=1e-3)
    for power in range(haxby.TRENDS):
        slope = run.x @ np.linspace(-1, 1, 40) ** power
        np.testing.assert_allclose(slope, 0, atol=1e-2)


def test_runs_are_never_split(tmp_path):
    train, valid, test = haxby.load(made(tmp_path), series="tiny")
    runs = [set(part.runs.tolist()) for part in (train, valid, test)]
    assert runs == [{0, 1}, {2}, {3}]
    study = haxby.everything(tmp_path, series="tiny")
    parts = haxby.split(study, [0, 1], [3])
    assert [set(study.blocks.runs[p].tolist()) for p in parts] == [{2}, {3}, {0, 1}]
    with pytest.raises(ValueError, match="4 runs cannot be split into 4 to test on"):
        haxby.split(study, [0, 1, 2, 3], [0])


def test_pictures_one_by_one_are_blocks_and_rest_is_none(tmp_path):
    rows = "".join(f"{8 + 2 * n}\t1\tface\n" for n in range(6)) + "20\t10\trest\n" + "40\t12\thouse\n"
    study = haxby.everything(made(tmp_path, table="onset\tduration\ttrial_type\n" + rows), series="tiny")
    assert len(study.blocks) == 8
    assert study.blocks.classes == KINDS


BAD = {
    "no columns": ("onset,duration,trial_type\n1,2,face\n", "line 2: expected onset, duration"),
    "beyond": ("onset\tduration\ttrial_type\n900\t2\tface\n", "line 2: a block at 900 s of 2 s, in a run of 80"),
    "nan": ("onset\tduration\ttrial_type\nnan\t2\tface\n", "line 2: a block at nan"),
    "none": ("onset\tduration\ttrial_type\n", "names no blocks"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_ends_in_one_line(tmp_path, case):
    table, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        haxby.everything(made(tmp_path, table=table), series="tiny")
    assert "bold_events.tsv" in str(caught.value)


def test_runs_of_one_category_are_refused_before_anything_is_learned(tmp_path):
    made(tmp_path, table="onset\tduration\ttrial_type\n8\t12\tface\n")
    with pytest.raises(ValueError, match="sub007': the runs' events name 'face' only: two categories are needed"):
        haxby.everything(tmp_path, series="tiny")


def test_what_is_not_there_is_said(tmp_path):
    made(tmp_path)
    with pytest.raises(ValueError, match="subject 'sub999' is not one of sub007"):
        haxby.everything(tmp_path, subject="sub999", series="tiny")
    with pytest.raises(FileNotFoundError, match=r"has 0 runs of bold_1slice\.nii\.gz"):
        haxby.everything(tmp_path)
    with pytest.raises(FileNotFoundError, match="no fMRI runs under"):
        haxby.everything(tmp_path / "fmri" / "haxby2001" / "sub007" / "BOLD")


def changed(path, change):
    """A run's file with other values or another place."""
    scan = nifti.read(path)
    data, place = change(scan.data, scan.affine)
    nifti.write(path, np.ascontiguousarray(data), place, like=scan)


def scans(root):
    return sorted(root.rglob("bold_tiny.nii.gz"))


def test_a_voxel_that_is_no_number_counts_as_outside_and_is_told(tmp_path):
    made(tmp_path / "whole")
    made(tmp_path / "holed")

    def holed(data, place):
        data[0, 0, 0, :], data[4, 3, 1, 7] = np.nan, np.inf
        return data, place

    changed(scans(tmp_path / "holed")[1], holed)
    whole, found = (haxby.everything(tmp_path / name, series="tiny") for name in ("whole", "holed"))
    assert whole.notes == ()
    assert found.notes == ("2 of 40 voxels, NaN or infinite somewhere, are left out.",)
    wanted = whole.blocks.x.clone()
    wanted[:, :, 0, 0, 0] = wanted[:, :, 4, 3, 1] = 0.0
    assert torch.equal(found.blocks.x, wanted)


def test_a_run_without_a_number_is_refused_by_its_name(tmp_path):
    made(tmp_path)
    changed(scans(tmp_path)[2], lambda data, place: (np.full_like(data, np.nan), place))
    with pytest.raises(ValueError, match=r"run002/bold_tiny\.nii\.gz' has no voxel that is a number"):
        haxby.everything(tmp_path, series="tiny")


def test_runs_stored_the_other_way_round_are_turned_and_runs_elsewhere_refused(tmp_path):
    plain = haxby.everything(made(tmp_path), series="tiny")
    path = scans(tmp_path)[1]
    changed(path, lambda data, place: volume.reorient(data, place, "PLS", axes=(0, 1, 2)))
    turned = haxby.everything(tmp_path, series="tiny")
    assert torch.equal(turned.blocks.x, plain.blocks.x)
    changed(path, lambda data, place: (data, place + np.array([[0, 0, 0, 6.0], *[[0] * 4] * 3])))
    with pytest.raises(ValueError, match="run 'task001_run001' lies 2 voxels from 'task001_run000' by its affine"):
        haxby.everything(tmp_path, series="tiny")


def test_a_bids_run_in_two_formats_counts_once(tmp_path):
    wanted = haxby.everything(made(tmp_path, bids=True)).runs
    place = tmp_path / "sub-07" / "func"
    for scan in list(place.glob("*.nii")):
        one = nifti.read(scan)
        nifti.write(f"{scan}.gz", one.data, one.affine, like=one)
        (place / f"{scan.name}.bak").write_bytes(scan.read_bytes())
        (place / f"._{scan.name}").write_bytes(b"left by a mac")
    assert haxby.everything(tmp_path).runs == wanted
    (place / "again").mkdir()
    for part in ("bold.nii", "events.tsv"):
        shutil.copy(place / f"sub-07_task-see_run-0_{part}", place / "again")
    with pytest.raises(ValueError, match="are one run by their names: remove one"):
        haxby.everything(tmp_path)


def test_the_runs_at_hand(data_root):
    study = haxby.everything(data_root)
    assert study.blocks.x.shape == (80, 1, 40, 20, 1, 14)
    assert study.blocks.y.bincount().tolist() == [10] * 8
    assert torch.isfinite(study.blocks.x).all()
