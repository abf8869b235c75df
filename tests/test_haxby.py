"""fMRI blocks: windows where the events are, trends out, runs never split, both layouts, bad tables in one line."""

import numpy as np
import pytest
import torch
from fmri_runs import KINDS, made

from sigconv.datasets import haxby


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


def test_what_is_not_there_is_said(tmp_path):
    made(tmp_path)
    with pytest.raises(ValueError, match="subject 'sub999' is not one of sub007"):
        haxby.everything(tmp_path, subject="sub999", series="tiny")
    with pytest.raises(FileNotFoundError, match=r"has 0 runs of bold_1slice\.nii\.gz"):
        haxby.everything(tmp_path)
    with pytest.raises(FileNotFoundError, match="no fMRI runs under"):
        haxby.everything(tmp_path / "fmri" / "haxby2001" / "sub007" / "BOLD")


def test_the_runs_at_hand(data_root):
    study = haxby.everything(data_root)
    assert study.blocks.x.shape == (80, 1, 40, 20, 1, 14)
    assert study.blocks.y.bincount().tolist() == [10] * 8
    assert torch.isfinite(study.blocks.x).all()
