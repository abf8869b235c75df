"""Scans with label maps: pairs by name, held against each other, split whatever their names, restored."""

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.datasets import _known, _pairs, segmentation
from sigconv.readers import nifti
from sigconv.transforms import augment, volume

PLACE = np.array([[1.0, 0, 0, -7], [0, 1.0, 0, 3], [0, 0, 1.0, 5], [0, 0, 0, 1]])


def scan(rng, size):
    """A bright ellipsoid whose front half is label 1 and whose back half, darker, is label 2, amid noise."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij"))
    shape = np.array([0.7, 0.8, 0.6]) * rng.uniform(0.85, 1.15, 3)
    inside = (((grid - rng.uniform(-0.1, 0.1, (3, 1, 1, 1))) / shape[:, None, None, None]) ** 2).sum(0) < 1
    labels = np.where(inside, np.where(grid[1] > 0, 1, 2), 0).astype(np.uint8)
    brightness = np.array([20.0, 100.0, 70.0])[labels]
    return (brightness + 4 * rng.normal(size=size)).astype(np.float32), labels


def study(root, names, *, images="images", labels="labels", ending=".nii.gz", least=12, seed=0, turned=False):
    """Small scans of unequal sizes in the layout of the real ones."""
    rng = np.random.default_rng(seed)
    codes = ["RAS", "LPS", "PIR", "SLA"]
    for folder in filter(None, (images, labels)):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for n, name in enumerate(names):
        x, y = scan(rng, tuple(int(k) for k in rng.integers(least, least + 5, 3)))
        if turned:
            (x, place), (y, _) = (volume.reorient(part, PLACE, codes[n % len(codes)]) for part in (x, y))
        else:
            place = PLACE
        nifti.write(root / images / f"{name}{ending}", np.ascontiguousarray(x), place)
        if labels:
            nifti.write(root / labels / f"{name}{ending}", np.ascontiguousarray(y), place)
    return root


NAMES = [f"case {n}-é" for n in range(9)]


@pytest.mark.parametrize("layout", ["volumes", "named", "bare", "decathlon"])
def test_pairs_are_found_in_any_layout_under_any_name(tmp_path, layout):
    home = {"volumes": tmp_path / "volumes" / "hippocampus", "named": tmp_path / "hippocampus"}.get(layout, tmp_path)
    folders = {"images": "imagesTr", "labels": "labelsTr"} if layout == "decathlon" else {}
    study(home, NAMES, **folders)
    (home / folders.get("images", "images") / "._case 0-é.nii.gz").write_bytes(b"left by a mac")
    train, valid, test = segmentation.load(tmp_path)
    assert sorted(train.names + valid.names + test.names) == sorted(NAMES)
    assert (len(train), len(valid), len(test)) == (5, 1, 3)
    assert train.classes == ("background", "1", "2")
    assert train.bad == []
    x, y = train.item(0)
    assert x.shape[1:] == y.shape
    assert (x.dtype, y.dtype) == (torch.float32, torch.uint8)
    torch.testing.assert_close(x.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(correction=0), torch.tensor(1.0), atol=1e-4, rtol=0)
    assert len({train.item(n)[0].shape for n in range(len(train))}) > 1, "sizes are their own"
    assert train.item(0)[0] is x, "kept in memory"


@given(st.integers(3, 60), st.integers(0, 2**31 - 1), st.booleans())
def test_every_case_is_in_one_part_and_the_seed_alone_draws_which(n, seed, tested):
    one = segmentation.split([f"a{k:03}" for k in range(n)], seed, tested=tested)
    other = segmentation.split([f"sub-{k:03}_T1w" for k in range(n)], seed, tested=tested)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True)), "whatever their names"
    assert sorted(torch.cat(one).tolist()) == list(range(n))
    third = round(n / 3) if tested else 0
    assert [len(part) for part in one] == [n - third - max((n - third) // 10, 1), max((n - third) // 10, 1), third]


@given(st.lists(st.integers(0, 9), min_size=6, max_size=40), st.integers(0, 99))
def test_scans_of_one_subject_stay_together(subjects, seed):
    names = sorted(f"sub-{s}_run-{n}_T1w" for n, s in enumerate(subjects))
    if len(set(subjects)) < 3:
        with pytest.raises(ValueError, match="subjects cannot be split"):
            segmentation.split(names, seed)
        return
    parts = [{names[i].split("_")[0] for i in part.tolist()} for part in segmentation.split(names, seed)]
    assert all(not a & b for a, b in itertools.combinations(parts, 2))
    assert parts[0]


def test_what_does_not_fit_is_left_out_and_told_with_both_names(tmp_path):
    study(tmp_path, NAMES)
    images, labels = tmp_path / "images", tmp_path / "labels"
    x, y = scan(np.random.default_rng(1), (12, 13, 14))
    spoilt = {
        "alone": (x, PLACE, None, PLACE),
        "larger": (x, PLACE, np.pad(y, 1), PLACE),
        "moved": (x, PLACE, y, volume.crop_pad(np.zeros((9, 9, 9)), PLACE, shape=5)[1]),
        "grey": (x, PLACE, y * np.float32(0.5), PLACE),
        "negative": (x, PLACE, -y.astype(np.int16), PLACE),
        "three hundred": (x, PLACE, y.astype(np.int16) * 200, PLACE),
    }
    for name, (image, place, label, other) in spoilt.items():
        nifti.write(images / f"{name}.nii", image, place)
        if label is not None:
            nifti.write(labels / f"{name}.nii.gz", label, other)
    nifti.write(labels / "no image.nii", y, PLACE)
    nifti.write(labels / "torn.nii.gz", y, PLACE)
    nifti.write(images / "torn.nii.gz", x, PLACE)
    (images / "torn.nii.gz").write_bytes((images / "torn.nii.gz").read_bytes()[:-50])
    parts = segmentation.load(tmp_path)
    assert sorted(name for part in parts for name in part.names) == sorted(NAMES)
    told = dict(parts.train.bad)
    assert set(told) == {*spoilt, "no image", "torn"}
    assert all("\n" not in why for why in told.values())
    for name in ("larger", "moved"):
        assert f"images/{name}.nii'" in told[name]
        assert f"labels/{name}.nii.gz'" in told[name]
    assert "shapes (12, 13, 14) and (14, 15, 16)" in told["larger"]
    assert "lie 3.46 voxels apart" in told["moved"]  # two along each axis
    assert "labels are whole numbers" in told["grey"]
    assert "holds -2 to 0" in told["negative"]
    assert "holds 0 to 400" in told["three hundred"]
    assert "has no image beside it" in told["no image"]


def test_affines_that_differ_by_rounding_agree(tmp_path):
    study(tmp_path, NAMES[:3])
    x = nifti.read(tmp_path / "labels" / f"{NAMES[0]}.nii.gz")
    nifti.write(tmp_path / "labels" / f"{NAMES[0]}.nii.gz", x.data, x.affine + 1e-3 * np.eye(4) * [1, 1, 1, 0])
    assert segmentation.load(tmp_path).train.bad == []


def test_a_test_folder_of_ones_own_with_labels_and_without(tmp_path):
    study(tmp_path / "known", NAMES)
    study(tmp_path / "new", ["x", "y"], seed=3)
    study(tmp_path / "bare", ["z"], labels=None, images="imagesTs", seed=4)
    train, valid, test = segmentation.load(tmp_path / "known", test_root=tmp_path / "new")
    assert (len(train), len(valid), test.names) == (8, 1, ["x", "y"])
    assert test.truth(1).max() == 2
    test = segmentation.load(tmp_path / "known", test_root=tmp_path / "bare").test
    assert test.names == ["z"]
    assert test.truth(0) is None
    assert set(test.item(0)[1].unique().tolist()) == {segmentation.UNKNOWN}


def test_labels_are_called_as_dataset_json_says(tmp_path):
    study(tmp_path, NAMES)
    assert segmentation.load(tmp_path, labels=("a", "b")).train.classes == ("background", "a", "b")
    assert segmentation.load(tmp_path, labels=("a",)).train.classes == ("background", "1", "2")
    for labels in ({"0": "background", "1": "Anterior", "2": "P"}, {"background": 0, "Anterior": 1, "P": 2}):
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
        assert segmentation.load(tmp_path, labels=("a", "b")).train.classes == ("background", "Anterior", "P")
    (tmp_path / "dataset.json").write_text('{"labels": {"0": [')
    with pytest.raises(ValueError, match=r"dataset.json' does not name labels"):
        segmentation.load(tmp_path)


@pytest.mark.parametrize("codes", ["".join(c) for c in ("RAS", "LPS", "PIR", "SLA", "AIL", "IRP")])
def test_items_are_in_ras_and_restored_to_the_grid_of_their_file(tmp_path, codes):
    rng = np.random.default_rng(0)
    for n in range(3):
        x, y = scan(rng, (9, 11, 10 + n))
        for folder, part in (("images", x), ("labels", y)):
            (tmp_path / folder).mkdir(exist_ok=True)
            turned, place = volume.reorient(part, PLACE, codes)
            nifti.write(tmp_path / folder / f"{n}.nii", np.ascontiguousarray(turned), place)
    train, _, _ = segmentation.load(tmp_path)
    x, y = train.item(0)
    assert (y == 1).nonzero()[:, 1].min() > (y == 2).nonzero()[:, 1].max(), "label 1 is in front"
    assert train.shapes[0] == y.shape
    shares = torch.nn.functional.one_hot(y.long(), 3).movedim(-1, 0)
    assert np.array_equal(train.restored(0, shares), train.truth(0))


@examples(20)
@given(st.data())
def test_scans_of_other_spacings_are_resampled_and_labels_come_back(tmp_path_factory, data):
    steps = np.array(data.draw(st.tuples(*[st.floats(0.6, 1.6)] * 3)))
    root = study(tmp_path_factory.mktemp("data"), "abc", least=14)
    for folder in ("images", "labels"):
        path = root / folder / "b.nii.gz"
        nifti.write(path, nifti.read(path).data, PLACE @ np.diag([*steps, 1]))
    train, valid, test = segmentation.load(root, spacing=(1, 1, 1))
    part = next(part for part in (train, valid, test) if part.names == ["b"])
    x, y = part.item(0)
    shape = nifti.header(root / "images" / "b.nii.gz").shape
    assert x.shape[1:] == y.shape == part.shapes[0]
    if np.abs(steps - 1).max() > 2 * _known.ALIKE:
        assert np.abs(np.array(y.shape) - shape * steps).max() <= 0.5 + 1e-5, "as many as fit best"
    shares = torch.nn.functional.one_hot(y.long(), 3).movedim(-1, 0)
    back, truth = part.restored(0, shares), part.truth(0)
    assert back.shape == truth.shape
    overlap = 2 * ((back == truth) & (truth > 0)).sum() / ((back > 0).sum() + (truth > 0).sum())
    assert overlap > 0.8, "two resamplings move a surface by less than a voxel"


def test_channels_are_last_on_disk_and_first_in_memory(tmp_path):
    study(tmp_path, "abc")
    for name in "abc":
        path = tmp_path / "images" / f"{name}.nii.gz"
        one = nifti.read(path)
        nifti.write(path, np.stack([one.data, -one.data]), one.affine, channels=True)
    train, _, _ = segmentation.load(tmp_path)
    x, _ = train.item(0)
    assert train.channels == 2
    torch.testing.assert_close(x[0], -x[1], atol=1e-5, rtol=0)


def spoilt(root, name, change):
    """A scan with other values."""
    path = root / "images" / f"{name}.nii.gz"
    one = nifti.read(path)
    nifti.write(path, change(one.data), one.affine)


def test_broken_values_become_numbers_and_scans_that_show_nothing_are_left_out(tmp_path):
    study(tmp_path, "abcdefg")

    def infinite(data):
        data[0, 0, 0], data[1, 1, 1] = np.inf, np.nan
        return data

    spoilt(tmp_path, "a", infinite)
    spoilt(tmp_path, "f", lambda data: data.round().astype(np.int16))
    spoilt(tmp_path, "b", lambda data: np.full_like(data, np.nan))
    spoilt(tmp_path, "c", lambda data: infinite(np.full_like(data, 7)))
    spoilt(tmp_path, "d", lambda data: data * (1 + 1j))
    labels = nifti.read(tmp_path / "labels" / "e.nii.gz")
    nifti.write(tmp_path / "labels" / "e.nii.gz", labels.data.astype(np.complex64), labels.affine)
    parts = segmentation.load(tmp_path)
    assert sorted(name for part in parts for name in part.names) == ["a", "f", "g"]
    assert all(part.item(0)[0].isfinite().all() for part in parts)
    told = dict(parts.train.bad)
    assert told.pop("b").endswith("images/b.nii.gz' has no voxel that is a number")
    assert told.pop("c").endswith("images/c.nii.gz' holds 7 everywhere: there is nothing to see")
    assert told.pop("d").endswith("images/d.nii.gz' is complex: write its magnitude")
    assert told.pop("e").endswith("labels/e.nii.gz' is complex: labels are whole numbers from 0 to 254")
    assert not told


def placed(root, name, steps):
    """A case whose header has other steps."""
    for folder in ("images", "labels"):
        path = root / folder / f"{name}.nii.gz"
        nifti.write(path, nifti.read(path).data, np.diag([*steps, 1.0]))


def test_a_case_whose_spacing_cannot_be_is_left_out_by_its_name(tmp_path):
    study(tmp_path, "abcdef")
    placed(tmp_path, "b", (1000.0, 1000.0, 1000.0))
    placed(tmp_path, "d", (1.0, 1.0, 1e-9))
    parts = segmentation.load(tmp_path)
    assert sorted(name for part in parts for name in part.names) == ["a", "c", "e", "f"]
    assert parts.train.spacing == (1.0, 1.0, 1.0)
    told = dict(parts.train.bad)
    assert "images/b.nii.gz' has voxels of 1e+03 x 1e+03 x 1e+03 mm, others of 1 x 1 x 1 mm" in told["b"]
    assert "images/d.nii.gz' has voxels of 1 x 1 x 1e-09 mm" in told["d"]
    with pytest.raises(
        ValueError, match=r"has 0 usable pairs, 6 that are not: .* at a spacing of 0.001 x 0.001 x 0.001"
    ):
        segmentation.load(tmp_path, spacing=(0.001, 0.001, 0.001))
    study(tmp_path / "new", "xy", seed=4)
    placed(tmp_path / "new", "x", (30.0, 30.0, 30.0))
    test = segmentation.load(tmp_path, test_root=tmp_path / "new").test
    assert test.names == ["y"]
    assert test.bad[0][0] == "x"


def test_scans_that_are_tested_on_set_no_spacing(tmp_path):
    study(tmp_path, NAMES)
    tested = segmentation.load(tmp_path, seed=1).test.names
    for name in NAMES:
        if name not in tested[1:]:
            placed(tmp_path, name, (3.0, 2.0, 4.0) if name in tested else (1.0, 1.5, 1.0))
    parts = segmentation.load(tmp_path, seed=1)
    assert parts.test.names == tested
    assert parts.train.spacing == (1.0, 1.5, 1.0)


def test_scans_of_the_test_folder_are_not_trained_with(tmp_path):
    study(tmp_path / "known", ["a", "b", "c", "d", "sub-1_T1w", "sub-2_T1w"])
    for folder in ("images", "labels"):
        (tmp_path / "new" / folder).mkdir(parents=True)
        for name, other in (("a", "a"), ("b", "another name")):
            path = tmp_path / "known" / folder / f"{name}.nii.gz"
            (tmp_path / "new" / folder / f"{other}.nii.gz").write_bytes(path.read_bytes())
    study(tmp_path / "new", ["c", "sub-2_run-1_T1w"], seed=8)
    train, valid, test = segmentation.load(tmp_path / "known", test_root=tmp_path / "new")
    assert len(test) == 4
    assert sorted(train.names + valid.names) == ["c", "d", "sub-1_T1w"], "c is another scan of the same name"
    told = dict(train.bad)
    assert "images/a.nii.gz' is the same scan as " in told["a"]
    assert told["b"].endswith("images/another name.nii.gz', which is tested on")
    assert "is of one subject with " in told["sub-2_T1w"]
    with pytest.raises(ValueError, match=r"0 usable pairs, 6 that are not: .* is the same scan as .*; 3 are needed"):
        segmentation.load(tmp_path / "known", test_root=tmp_path / "known")


def test_pairs_of_files_are_the_same_by_their_voxels_not_by_their_headers(tmp_path):
    for home, values in (("one", b"abcd"), ("other", b"efgh")):
        (tmp_path / home).mkdir()
        (tmp_path / home / "x.hdr").write_bytes(b"alike")
        (tmp_path / home / "x.img").write_bytes(values)
    cases = [_pairs.Case("x", tmp_path / home / "x.hdr", None) for home in ("one", "other")]
    assert _known.apart(cases[:1], cases[1:]) == (cases[:1], [])
    assert [name for name, _ in _known.apart(cases[:1], cases[:1])[1]] == ["x"]


def test_labels_of_any_numbers_are_classes_one_after_the_other(tmp_path):
    study(tmp_path, NAMES)
    for name in NAMES:
        path = tmp_path / "labels" / f"{name}.nii.gz"
        one = nifti.read(path)
        nifti.write(path, np.array([0, 17, 200], np.uint8)[one.data], one.affine)
    train, _, test = segmentation.load(tmp_path, labels=("a", "b"))
    assert train.values == (0, 17, 200)
    assert train.classes == ("background", "17", "200")
    _, y = test.item(0)
    assert y.unique().tolist() == [0, 1, 2]
    shares = torch.nn.functional.one_hot(y.long(), 3).movedim(-1, 0)
    assert np.array_equal(test.restored(0, shares), test.truth(0)), "in the numbers of the files"
    study(tmp_path / "new", ["x"], seed=4)
    with pytest.raises(ValueError, match=r"no case to test on: .*x\.nii\.gz' has a label 1: expected 0, 17, 200"):
        segmentation.load(tmp_path, test_root=tmp_path / "new")


def test_a_study_without_a_label_is_refused(tmp_path):
    study(tmp_path, "abcd")
    for name in "abcd":
        path = tmp_path / "labels" / f"{name}.nii.gz"
        one = nifti.read(path)
        nifti.write(path, 0 * one.data, one.affine)
    with pytest.raises(ValueError, match="has no label in the maps of the 2 scans to train with: all are 0"):
        segmentation.load(tmp_path)


def test_items_are_kept_in_memory_by_the_size_they_come_to(tmp_path, monkeypatch):
    study(tmp_path, "abcd")
    voxels = sum(np.prod(shape) for shape in segmentation.load(tmp_path).train.shapes)
    monkeypatch.setattr(segmentation, "HELD", 5 * int(voxels))
    assert segmentation.load(tmp_path).train.memory is not None
    assert segmentation.load(tmp_path, spacing=(0.9, 1, 1)).train.memory is None


def test_augmented_crops_of_unequal_cases_are_one_size(tmp_path):
    train = segmentation.load(study(tmp_path, NAMES)).train
    varied = augment.AugmentedMaps(train, augment.Chain(augment.Rotate(10, fs=train.fs), augment.Crop((12, 16, 12))))
    sizes = {varied.item(n, torch.Generator().manual_seed(n))[0].shape for n in range(len(train))}
    assert sizes == {(1, 12, 16, 12)}


def test_where_nothing_is_found_one_line_says_what_was_expected(tmp_path, monkeypatch):
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="no scans at hand: give --data-root"):
        segmentation.load()
    with pytest.raises(FileNotFoundError, match="expected images/ and labels/"):
        segmentation.load(tmp_path)
    study(tmp_path, "ab")
    with pytest.raises(ValueError, match="2 usable pairs, 0 that are not; 3 are needed"):
        segmentation.load(tmp_path)
    study(tmp_path, "abc")
    (tmp_path / "empty" / "images").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="holds no scans"):
        segmentation.load(tmp_path, test_root=tmp_path / "empty")
    with pytest.raises(ValueError, match="spacing \\[1, 0, 1\\] is not 3 numbers"):
        segmentation.load(tmp_path, spacing=[1, 0, 1])


@given(st.tuples(*[st.integers(1, 9)] * 3), st.integers(0, 99))
def test_corners_are_the_farthest_apart(shape, seed):
    rng = np.random.default_rng(seed)
    one, other = np.eye(4), np.eye(4)
    other[:3] += 0.1 * rng.normal(size=(3, 4))
    grid = np.stack([*np.meshgrid(*map(np.arange, shape), indexing="ij"), np.ones(shape)], -1)
    far = np.linalg.norm(grid @ (one - other).T, axis=-1).max()
    assert _pairs.farthest(shape, one, other) == pytest.approx(far)


def test_the_real_set(data_root):
    train, valid, test = segmentation.load(data_root, labels=("anterior", "posterior"), check=False)
    assert len(train) + len(valid) + len(test) == 200
    assert len(test) == 67
    assert train.classes == ("background", "anterior", "posterior")
    assert train.bad == []
    assert train.spacing == (1.0, 1.0, 1.0)
    x, y = test.item(0)
    assert x.shape[1:] == y.shape
    shares = torch.nn.functional.one_hot(y.long(), 3).movedim(-1, 0)
    assert np.array_equal(test.restored(0, shares), test.truth(0))
