"""The tumour recipe, on patients made here and on real ones: areas by patient, tables, maps that lie where scans do."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from test_sarcoma import clinic

from sigconv import console
from sigconv.datasets import sarcoma
from sigconv.readers import nifti
from sigconv.recipes import _patients, tumour_texture
from sigconv.train import run

SMALL = ["--wavelengths", "[7,10]", "--directions", "5", "--drawn", "300", "--margin", "6"]


def tried(root, out, *words):
    return run(tumour_texture.tumour_texture, ["--data-root", str(root), *words, "--out", str(out)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("clinic")
    clinic(home, ["p1", "P 2", "ü", "p4"])
    return home, tried(home, home / "runs", *SMALL)


def test_texture_tells_what_brightness_cannot(finished):
    _, record = finished
    metrics = record["metrics"]
    assert record["test_size"] == metrics["patients"] == 4
    assert metrics["features"] == 10
    assert metrics["auroc"] > 0.8
    assert metrics["auroc_low"] <= metrics["auroc"] <= metrics["auroc_high"]
    assert metrics["gain_over_intensity"] == pytest.approx(metrics["auroc"] - metrics["auroc_intensity"])
    plots = {path.name for path in Path(record["run_folder"], "plots").iterdir()}
    assert plots == {"worst_patient.png", "best_patient.png", "best_patient_energy.png"}
    assert 0 <= metrics["auroc_blurred"] <= 1
    assert 0 <= metrics["auroc_place"] <= 1


def test_a_table_of_features_is_left_as_radiomics_has_it(finished):
    home, record = finished
    text = Path(record["run_folder"], "features.tsv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t"))
    patients, _ = sarcoma.everyone(home)
    assert [row["patient"] for row in rows] == [patient.name for patient in patients]
    assert list(rows[0])[:4] == ["patient", "modality", "voxels", "volume_ml"]
    assert len(rows[0]) == 4 + 11 * len(_patients.STATISTICS)
    for row, patient in zip(rows, patients, strict=True):
        assert float(row["intensity_mean"]) == pytest.approx(float(patient.x[patient.mask].mean()), rel=1e-5)
        assert float(row["volume_ml"]) == pytest.approx(int(patient.mask.sum()) * 3 / 1000, rel=1e-4)
        assert math.isfinite(float(row["gabor_7mm_d4_kurtosis"]))


def test_maps_lie_where_the_scans_do(finished):
    nibabel = pytest.importorskip("nibabel")
    home, record = finished
    folder = Path(record["run_folder"], "maps")
    assert json.loads((folder / "features.json").read_text())["last axis"] == ["7mm", "10mm"]
    for patient in sarcoma.everyone(home)[0]:
        made = {kind: nibabel.load(folder / f"{patient.name}_{kind}.nii.gz") for kind in ("features", "score", "mask")}
        assert made["features"].shape == (*made["mask"].shape, 2)
        assert made["score"].shape == made["mask"].shape
        assert [made[kind].header.get_intent()[0] for kind in ("score", "mask")] == ["none", "label"]
        mask = np.asarray(made["mask"].dataobj)
        assert mask.sum() == int(patient.mask.sum())
        points = nibabel.affines.apply_affine(made["mask"].affine, np.argwhere(mask))
        wanted = nibabel.affines.apply_affine(patient.affine, np.argwhere(patient.mask.numpy()))
        np.testing.assert_allclose(np.sort(points, 0), np.sort(wanted, 0), atol=1e-4)
    scored = np.asarray(nibabel.load(folder / "p1_score.nii.gz").dataobj)
    inside = np.asarray(nibabel.load(folder / "p1_mask.nii.gz").dataobj) > 0
    assert scored[inside].mean() > scored[~inside].mean()


@pytest.mark.parametrize("words", [["--front-end", "haar"], ["--modality", "pet", "--maps", "all"], ["--maps", "none"]])
def test_either_front_end_and_modality_runs_and_gives_the_same_again(finished, tmp_path, words, monkeypatch):
    home, _ = finished
    monkeypatch.setattr(tumour_texture, "_drawn", lambda *_: None)  # the pictures are above
    given = ["--drawn", "100", "--directions", "3", *words]
    found = [tried(home, tmp_path, *given) for _ in range(2)]
    assert found[0]["metrics"] == found[1]["metrics"]
    assert all(math.isfinite(value) for value in found[0]["metrics"].values())
    maps = sorted(path.name for path in Path(found[0]["run_folder"]).glob("maps/*"))
    assert len(maps) == (0 if "none" in words else 13)
    if "all" in words:
        assert nifti.header(Path(found[0]["run_folder"], "maps", "p1_features.nii.gz")).shape[3] == 9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--front-end", "laws"], "--front-end 'laws' is not one of gabor, haar"),
        (["--maps", "some"], "--maps 'some' is not one of none, mean, all"),
        (["--drawn", "0"], "--drawn 0 must be at least 1"),
        (["--margin", "0.5"], "--margin 0.5 must be at least 1"),
        (["--wavelengths", "[0]"], r"--wavelengths \[0.0\] must be mm above 0"),
        (
            ["--wavelengths", "[7,0.05]", "--front-end", "haar"],
            r"\[7.0, 0.05\] must be mm above 6, two of the coarsest",
        ),
        (
            ["--wavelengths", "[1e6]"],
            r"\[1000000.0\] must be mm above 6, .* and 30 at most, the smallest scan's length",
        ),
    ],
)
def test_wrong_words_are_refused_in_one_line(finished, tmp_path, words, message):
    with pytest.raises(console.UsageError, match=message):
        tried(finished[0], tmp_path, *words)


def test_who_has_nothing_around_the_tumour_is_told_and_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(tumour_texture, "_drawn", lambda *_: None)
    clinic(tmp_path / "data", ["a", "b", "c", "in air"], kinds=("PET",))
    scan, mask = (nifti.read(tmp_path / "data" / "in air" / f"PET_{part}.nii.gz") for part in ("image", "mask"))
    nifti.write(tmp_path / "data" / "in air" / "PET_image.nii.gz", scan.data * mask.data, scan.affine)
    words = ["--modality", "pet", "--drawn", "50", "--directions", "2", "--maps", "none"]
    record = tried(tmp_path / "data", tmp_path / "runs", *words)
    assert (record["metrics"]["patients"], record["metrics"]["left_out"], record["test_size"]) == (3, 1, 3)
    log = Path(record["run_folder"], "log.txt").read_text()
    assert "in air was left out: patient 'in air' has no tissue within 20 mm of the tumour: a larger --margin" in log


def test_too_few_patients_are_refused(tmp_path):
    clinic(tmp_path, ["a", "b"], kinds=("PET",))
    with pytest.raises(ValueError, match="2 patients are too few to leave one out"):
        tried(tmp_path, tmp_path / "runs", "--modality", "pet")


@examples(20)
@given(st.integers(0, 999))
def test_a_patient_has_no_part_in_its_own_classifier(seed):
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(4):
        x = torch.randn(40, 3, generator=generator, dtype=torch.float64)
        rows.append(_patients.Rows({"texture": x}, x[:, 0] + torch.randn(40, generator=generator) > 0))
    _, weights = _patients.left_out(rows, "texture")
    turned = [rows[0]._replace(tumour=~rows[0].tumour), *rows[1:]]
    _, again = _patients.left_out(turned, "texture")
    assert torch.equal(weights[0], again[0])
    assert not torch.equal(weights[1], again[1])


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20))
def test_intervals_are_scipys(numbers):
    from scipy import stats

    middle, low, high = _patients.interval(numbers)
    assert middle == pytest.approx(np.mean(numbers))
    if np.std(numbers) > 1e-6:
        wanted = stats.t.interval(0.95, len(numbers) - 1, np.mean(numbers), stats.sem(numbers))
        assert (low, high) == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    assert math.isnan(_patients.interval(numbers[:1])[1])


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=30))
def test_statistics_are_scipys(numbers):
    from scipy import stats

    x = np.array(numbers, float)
    found = dict(zip(_patients.STATISTICS, _patients.statistics(torch.from_numpy(x)), strict=True))
    assert found["mean"] == pytest.approx(x.mean())
    assert found["std"] == pytest.approx(x.std())
    if x.std():
        assert found["skewness"] == pytest.approx(stats.skew(x), abs=1e-9)
        assert found["kurtosis"] == pytest.approx(stats.kurtosis(x), abs=1e-9)
    assert found["median"] == pytest.approx(np.median(x))


@examples(20)
@given(st.floats(1, 12), st.integers(0, 99))
def test_surroundings_are_as_near_as_said_and_no_air(margin, seed):
    rng = np.random.default_rng(seed)
    mask = torch.from_numpy(rng.random((7, 6, 5)) < 0.05)
    mask[3, 3, 2] = True
    x = torch.from_numpy(rng.choice([0.0, 100.0], (7, 6, 5)))
    x[mask] = 100
    spacing = (1.0, 1.5, 3.3)
    patient = sarcoma.Patient("a", x, mask, np.eye(4), spacing, Path("a"))
    points = np.argwhere(np.ones(mask.shape, bool)) * spacing
    far = np.linalg.norm(points[:, None] - (np.argwhere(mask.numpy()) * spacing)[None], axis=-1).min(1)
    wanted = (far.reshape(mask.shape) <= margin) & ~mask.numpy() & (x.numpy() > 0)
    if wanted.any():
        assert np.array_equal(_patients.surroundings(patient, margin).numpy(), wanted)
    else:
        with pytest.raises(ValueError, match="patient 'a' has no tissue within"):
            _patients.surroundings(patient, margin)


def test_real_patients(data_root, tmp_path, monkeypatch):
    monkeypatch.setattr(tumour_texture, "_drawn", lambda *_: None)
    for name in ("STS_002", "STS_018", "STS_025", "STS_042"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(data_root / "volumes" / "sts" / name)
    words = ("--modality", "pet", "--directions", "6", "--drawn", "300")
    metrics = tried(tmp_path / "data", tmp_path / "runs", *words)["metrics"]
    assert metrics["patients"] == 4
    assert metrics["auroc_intensity"] > 0.8, "a tumour takes up more"
    assert metrics["auroc"] > 0.6
