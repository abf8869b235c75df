"""Categories seen, from fMRI: learned, four axes at once, runs apart, front ends beside none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fmri_runs import made
from safetensors.torch import load_file

from sigconv import console
from sigconv.readers import nifti
from sigconv.recipes import visual_category as module
from sigconv.recipes.visual_category import visual_category
from sigconv.train import run

SMALL = ["--series", "tiny", "--members", "1", "--channels", "4", "--epochs", "20"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return made(tmp_path_factory.mktemp("data"))


def start(root, out, *words):
    return run(visual_category, ["--data-root", str(root), "--out", str(out), *SMALL, *words])


def test_every_run_is_tested_by_networks_that_have_not_seen_it(root, tmp_path, capfd):
    record = start(root, tmp_path, "--epochs", "60", "--channels", "8")
    found = record["metrics"]
    assert record["test_size"] == 8
    assert found["block_accuracy"] >= 0.875
    assert found["block_accuracy_linear"] == 1.0
    assert found["errors_above_chance"] > 2
    assert "linear 1.000" in capfd.readouterr().err


def test_cv10_the_kernels_span_space_and_time_and_the_weights_are_kept(root, tmp_path):
    record = start(root, tmp_path, "--test-runs", "task001_run001,4")
    assert record["test_size"] == 4
    weights = load_file(f"{record['run_folder']}/model.safetensors")
    assert weights["conv.weight"].shape == (4, 1, 3, 3, 2, 3)
    assert weights["answer.weight"].shape == (2, 4, 5, 4, 2, 1)


@pytest.mark.parametrize(
    ("front_end", "learned", "members"), [("gabor", False, 2), ("haar", True, 1), ("motion", False, 1)]
)
def test_front_ends_stand_before_the_network_and_beside_none(root, tmp_path, front_end, learned, members):
    words = ["--front-end", front_end, "--epochs", "1", "--test-runs", "2", *(["--learned"] if learned else [])]
    words += ["--members", str(members)]
    found = start(root, tmp_path, *words)["metrics"]
    assert {"block_accuracy", "block_accuracy_without", "block_accuracy_linear"} <= set(found)
    assert ("block_accuracy_one_member" in found) == (members > 1), "one network without the bank, one with it"


def test_what_cannot_be_meant_is_one_line(root, tmp_path):
    for words, error, message in (
        (["--test-runs", "9"], console.UsageError, "--test-runs '9' is not one of task001_run000, "),
        (["--test-runs", "[]"], console.UsageError, r"--test-runs '\[\]' names no run"),
        (["--test-runs", "1,2,3,4"], ValueError, "4 runs cannot be split into 4 to test on"),
        (["--learned"], ValueError, "learned is for a front end"),
        (["--front-end", "fft"], ValueError, "front_end 'fft' is not one of"),
    ):
        with pytest.raises(error, match=message):
            start(root, tmp_path, *words)


def test_noise_stays_inside_the_head():
    x = torch.zeros(2, 1, 3, 3, 1, 6)
    x[:, :, 1, 1] = 1.0
    y = module.noisy(x, [torch.Generator().manual_seed(n) for n in range(2)])
    assert np.count_nonzero((y - x).abs().amax((0, 1, 5))) == 1
    assert not torch.equal(y[0], y[1])


def test_the_run_to_choose_by_is_none_that_is_tested_on():
    assert [module.after([n], 4) for n in range(4)] == [1, 2, 3, 0]
    assert module.after([0, 3], 4) == 1


@pytest.mark.parametrize("text", ["2,3", "[2, 3]", "(3,2)", "b,'c'", '["b", 3]'])
def test_runs_are_named_as_a_list_or_without_brackets(text):
    assert module.chosen(text, ("a", "b", "c")) == [1, 2]


def test_voxels_that_are_no_numbers_are_told_of_in_the_log(tmp_path):
    made(tmp_path)
    path = sorted(tmp_path.rglob("bold_tiny.nii.gz"))[0]
    scan = nifti.read(path)
    scan.data[0, 0, 0] = np.nan
    nifti.write(path, scan.data, scan.affine, like=scan)
    record = start(tmp_path, tmp_path / "runs", "--epochs", "1", "--test-runs", "[2]")
    assert record["test_size"] == 2
    log = Path(record["run_folder"], "log.txt").read_text()
    assert "1 of 40 voxels, NaN or infinite somewhere, are left out." in log
