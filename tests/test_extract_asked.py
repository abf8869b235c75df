"""What an extraction is asked for: values that cannot be meant are said before anything is read, in one line."""

import os

import extraction_trees as made
import numpy as np
import pytest
import torch
from extraction_trees import BANK
from test_extract_faults import main

import sigconv as sc
from sigconv.extraction import _names, _table
from sigconv.filters import gaussian
from sigconv.tiles import _identity


@pytest.fixture
def place(tmp_path):
    made.array(tmp_path / "in" / "x.npy")
    return tmp_path / "in"


WRONG = [
    ({"stride": 1.5}, "stride 1.5 must be a whole number"),
    ({"stride": 0}, "stride 0 must be a whole number of 1 to"),
    ({"stride": []}, "stride [] is empty"),
    ({"stride": [1, True]}, "stride True must be a whole number"),
    ({"ndim": 2.7}, "ndim 2.7 must be a whole number of 1 to 16"),
    ({"ndim": 17}, "ndim 17 must be"),
    ({"jobs": 1.9}, "jobs 1.9 must be a whole number of 1 to 256"),
    ({"jobs": "two"}, "jobs 'two' must be"),
    ({"fs": "fast"}, "fs 'fast' must be a number above 0"),
    ({"fs": [1.0, -1.0]}, "fs -1.0 must be"),
    ({"fs": np.inf}, "fs inf must be"),
]


@pytest.mark.parametrize(("options", "said"), WRONG, ids=lambda value: None if isinstance(value, dict) else value)
def test_what_is_no_such_number_is_refused_and_not_rounded(place, tmp_path, options, said):
    with pytest.raises(ValueError) as error:
        sc.extract(BANK, place, tmp_path / "out", **options)
    assert str(error.value).startswith(said)
    assert not (tmp_path / "out").exists()


def test_numbers_may_be_numpys(place, tmp_path):
    made_of = {"stride": np.array([2, 1]), "fs": np.float32(2), "ndim": np.int64(2), "jobs": np.int8(1)}
    assert sc.extract(BANK, place, tmp_path / "a", **made_of).done == 1
    assert sc.extract(BANK, place, tmp_path / "b", stride=[2, 1], fs=2.0, ndim=2).done == 1
    assert made.tree(tmp_path / "a") == made.tree(tmp_path / "b")


UNKNOWN = [
    (["nope"], "bank 'nope' is not one of"),
    (["gaussian", "--pool", "meen"], "pool 'meen' is not one of"),
    (["gaussian", "--device", "cuda:63"], "device 'cuda:63' cannot be had here"),
    (["gabor.bank"], "needs frequency"),
]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("words", "said"), UNKNOWN, ids=lambda value: value[:8] if isinstance(value, str) else None)
def test_what_there_is_not_exits_2_by_any_number_of_processes_and_leaves_nothing(
    place, tmp_path, capsys, words, said, jobs
):
    out = tmp_path / "out"
    for _ in range(2):  # and says the same again
        assert main(*words, place, "-o", out, "--jobs", jobs) == 2
        told = capsys.readouterr().err
        assert said in told
        assert len(told.splitlines()) == 1
        assert {path.name for path in out.iterdir()} <= {".lock"}


def test_a_bank_that_no_input_has_is_an_error_each_time_and_one_that_some_have_is_not(tmp_path, capsys):
    for name, rate in (("low", 4000), ("high", 16000)):
        made.sound(tmp_path / "in" / f"{name}.wav", fs=rate)
    mel = "auditory.bank:kind=mel:n=4:fmin=50:fmax="
    for _ in range(2):
        assert main(f"{mel}99000", tmp_path / "in", "-o", tmp_path / "none") == 2
        assert main(f"{mel}7000", tmp_path / "in", "-o", tmp_path / "some") == 3
    assert "1 of 2 files failed" in capsys.readouterr().err
    with pytest.raises(ValueError, match="99000"):
        sc.extract(f"{mel}99000", tmp_path / "in", tmp_path / "none")


def test_complex_maps_have_no_statistics(place, tmp_path):
    result = sc.extract("gabor.bank:frequency=0.1:sigma=4", place, tmp_path / "out", output="auto", pool="mean", ndim=1)
    assert [line["reason"] for line in result.failures] == [
        "maps are complex, and have no statistics: take output magnitude, energy, real or imag"
    ]


def test_a_module_is_left_as_it_was(place, tmp_path):
    layer = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
    layer[1].eval()
    before = _identity.of_op(layer)
    sc.extract(layer, place, tmp_path / "out")
    assert [part.training for part in layer.modules()] == [True, True, False]
    assert _identity.of_op(layer) == before


def test_folders_that_bear_the_names_of_its_own_files_get_others(tmp_path):
    for name in _names.OWN:
        made.array(tmp_path / "in" / name / "x.npy")
        made.array(tmp_path / "in" / name / "y.npy", seed=1)
    result = sc.extract(BANK, tmp_path / "in", tmp_path / "out")
    assert (result.done, result.code) == (2 * len(_names.OWN), 0)
    assert len(list((tmp_path / "out").glob("*-????????/x.npy"))) == len(_names.OWN)
    assert sc.extract(BANK, tmp_path / "in", tmp_path / "out").unchanged == result.done


def test_parquet_without_its_library_is_said_before_the_work(place, tmp_path, monkeypatch, capsys):
    def missing():
        raise ImportError("format 'parquet' needs pyarrow: pip install pyarrow")

    monkeypatch.setattr(_table, "library", missing)
    assert main(BANK, place, "-o", tmp_path / "out", "--pool", "mean", "--format", "parquet") == 1
    assert "needs pyarrow" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_description_that_says_something_twice_is_refused(place, tmp_path, capsys):
    (tmp_path / "bank.yaml").write_text("bank: gaussian.bank\nsigma: 1\nsigma: 2\n")
    assert main(tmp_path / "bank.yaml", place, "-o", tmp_path / "out") == 2
    assert "it says 'sigma' twice" in capsys.readouterr().err


def test_a_single_number_is_nothing_to_filter(tmp_path):
    np.save(tmp_path / "one.npy", np.float32(1))
    (line,) = sc.extract(gaussian.bank(1.0, ndim=2), tmp_path / "one.npy", tmp_path / "out").failures
    assert line["reason"] == f"{os.fspath(tmp_path / 'one.npy')!r} holds one number, which has no axes: " + (
        "there is nothing to filter"
    )
