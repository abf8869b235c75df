"""BIDS names: taken apart and put together again; derivatives lie where the standard has them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigconv.readers import bids

BOLD = "sub-01/ses-02/func/sub-01_ses-02_task-rest_run-1_bold.nii.gz"
labels = st.text("abcXYZ019+", min_size=1, max_size=6)
indices = st.integers(0, 999).map(str)
KEYS = ["ses", "task", "acq", "dir", "run", "echo", "part", "space", "res", "label"]


@st.composite
def names(draw):
    """A name of the standard: entities in its order, a suffix, an extension."""
    keys = [key for key in KEYS if draw(st.booleans())]
    values = {key: draw(indices if key in ("run", "echo") else labels) for key in keys}
    return bids.Name({"sub": draw(labels), **values}, draw(st.sampled_from(["bold", "T1w", "dseg"])), ".nii.gz")


@given(name=names())
def test_a_name_is_taken_apart_and_put_together(name):
    assert bids.parse(str(name)) == name
    assert bids.parse(f"folder.d/sub-2_T1w.nii/{name}") == name
    assert list(bids.parse(str(name)).entities) == ["sub", *[key for key in KEYS if key in name.entities]]


def test_the_parts_of_a_name():
    name = bids.parse("/data/sub-01_ses-02_task-rest_run-1_desc-x_bold.nii.gz")
    assert list(name.entities.items()) == [("sub", "01"), ("ses", "02"), ("task", "rest"), ("run", "1"), ("desc", "x")]
    assert (name.suffix, name.extension) == ("bold", ".nii.gz")


@pytest.mark.parametrize(
    "name",
    [
        "hippocampus_001.nii.gz",  # no entity
        "bold.nii.gz",
        "sub-01.nii.gz",  # no suffix
        "sub-01_bold",  # no extension
        "task-rest_sub-01_bold.nii.gz",  # another entity first
        "sub-01_task-rest_task-rest_bold.nii.gz",  # one twice
        "sub-01_task-re st_bold.nii.gz",
        "sub-01_task-rest-more_bold.nii.gz",
        "sub-_bold.nii.gz",
        "sub-01__bold.nii.gz",
        "sub-01_run-one_bold.nii.gz",  # an index
        "sub-01_Task-rest_bold.nii.gz",
        "sub-01_bo-ld.nii.gz",
        "sub-é_bold.nii.gz",
        "sub-०१_bold.nii.gz",  # digits, but not of ASCII
        "sub-01_bold.nii.gz\n",
        ".sub-01_bold.nii.gz",
        "",
    ],
)
def test_other_files_are_plain_files(name):
    assert bids.parse(name) is None
    assert bids.derivative(name, "/data", desc="gabor", suffix="features") is None


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (BOLD, "sub-01/ses-02/func/sub-01_ses-02_task-rest_run-1_desc-gabor_features.nii.gz"),
        (
            "elsewhere/sub-01_ses-02_task-rest_run-1_bold.nii.gz",
            "sub-01/ses-02/func/sub-01_ses-02_task-rest_run-1_desc-gabor_features.nii.gz",
        ),
        ("sub-7/anat/sub-7_T1w.nii", "sub-7/anat/sub-7_desc-gabor_features.nii"),
        ("sub-7/anat/sub-7_desc-preproc_T1w.nii.gz", "sub-7/anat/sub-7_desc-gabor_features.nii.gz"),
        ("sub-7/pet/sub-7_odd.nii.gz", "sub-7/pet/sub-7_desc-gabor_features.nii.gz"),
        ("sub-7_odd.nii.gz", "sub-7/sub-7_desc-gabor_features.nii.gz"),
    ],
)
def test_a_derivative_lies_in_its_folders(path, wanted):
    found = bids.derivative(path, "/data", desc="gabor", suffix="features")
    assert found == Path("/data/derivatives/sigconv") / wanted
    assert bids.derivative(path, "/data", desc="gabor", suffix="features", pipeline=None) == Path("/data") / wanted


def test_a_derivative_may_be_of_another_kind_and_pipeline():
    found = bids.derivative(BOLD, "d", desc="gabor", suffix="features", extension=".zarr", pipeline="mine-1.0")
    assert found == Path("d/derivatives/mine-1.0/sub-01/ses-02/func") / (
        "sub-01_ses-02_task-rest_run-1_desc-gabor_features.zarr"
    )
    assert bids.sidecar(found).name == "sub-01_ses-02_task-rest_run-1_desc-gabor_features.json"
    assert bids.sidecar("a/sub-01_T1w.nii.gz") == Path("a/sub-01_T1w.json")
    assert bids.sidecar("a/plain.v2.nii.gz") == Path("a/plain.v2.json")


def test_scans_that_differ_in_their_suffix_alone_are_told_apart_by_an_entity_more():
    made = [
        bids.derivative(f"sub-1_ses-2_echo-1_{kind}.nii", "d", desc="x", suffix="y", entities={"mod": kind}).name
        for kind in ("T1w", "T2w")
    ]
    assert made == [f"sub-1_ses-2_mod-{kind}_echo-1_desc-x_y.nii" for kind in ("T1w", "T2w")]
    for wrong in ({"mod": "T1-w"}, {"Mod": "T1w"}, {"run": "one"}):
        with pytest.raises(ValueError, match="make no name of the standard"):
            bids.derivative("sub-1_T1w.nii", "d", desc="x", suffix="y", entities=wrong)


@given(name=names(), desc=labels)
def test_no_two_sources_share_a_derivative(name, desc):
    """What differs in an entity other than desc differs after; the name made is one of the standard again."""
    found = bids.derivative(str(name), "d", desc=desc, suffix="features")
    again = bids.parse(found)
    assert {**again.entities} == {**name.entities, "desc": desc}
    assert list(again.entities)[-1] == "desc"
    assert again.suffix == "features"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"desc": "gabor-1"}, "desc 'gabor-1' is no label: letters and digits"),
        ({"desc": ""}, "desc '' is no label"),
        ({"suffix": "a_b"}, "suffix 'a_b' is no suffix: letters and digits"),
        ({"extension": "nii"}, "extension 'nii' does not begin with a point"),
        ({"extension": ".a/b"}, "extension '.a/b'"),
        ({"pipeline": "../elsewhere"}, "pipeline '../elsewhere' is no name of a folder"),
        ({"pipeline": ".."}, "pipeline '..' is no name of a folder"),
        ({"pipeline": ""}, "pipeline '' is no name of a folder"),
    ],
)
def test_a_derivative_cannot_leave_its_folder(options, message):
    with pytest.raises(ValueError, match=message):
        bids.derivative(BOLD, "d", **{"desc": "gabor", "suffix": "features", **options})


def test_a_folder_of_derivatives_is_described_once(tmp_path):
    folder = tmp_path / "derivatives" / "sigconv"
    path = bids.described(folder, "sigconv", "0.1.0")
    assert path == folder / "dataset_description.json"
    told = json.loads(path.read_text())
    assert told["DatasetType"] == "derivative"
    assert told["Name"]
    assert told["BIDSVersion"].count(".") == 2
    assert told["GeneratedBy"] == [{"Name": "sigconv", "Version": "0.1.0"}]
    path.write_text(json.dumps({**told, "Name": "ours"}))
    bids.described(folder, "sigconv", "0.2.0")
    assert json.loads(path.read_text())["Name"] == "ours", "what is there stays"


@pytest.mark.parametrize("content", ["no json", "[]", "{}", '{"Name": 1}', "[" * 5000, "\xff"])
def test_a_description_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "dataset_description.json").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=r"dataset_description\.json.* is no description of a BIDS data set") as caught:
        bids.described(tmp_path, "sigconv", "0.1.0")
    assert "\n" not in str(caught.value)
