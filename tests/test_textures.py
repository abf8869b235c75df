"""Texture patches and their recipe, on small volumes made here."""

import numpy as np
import pytest
import torch

from sigconv.datasets import texture_patches as data
from sigconv.readers import nifti
from sigconv.recipes import texture_features as recipe
from sigconv.train import run

WAVES = ["--wavelengths", "[4.0]", "--directions", "3"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two textures of the same mean and variance, and one that is constant; a head with two tissues."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    phantoms, head = root / "volumes" / "ibsi2" / "digital_phantom", root / "volumes" / "mni152"
    phantoms.mkdir(parents=True)
    head.mkdir(parents=True)
    x = np.arange(48)
    noise = lambda: rng.normal(size=(48, 48, 48)) * 0.3
    for name, wave in {"rows": x[:, None, None], "columns": x[None, :, None], "empty": None}.items():
        volume = np.zeros((48, 48, 48)) if wave is None else np.cos(2 * np.pi * wave / 4) + noise()
        nifti.write(phantoms / f"{name}_image.nii.gz", volume.astype("float32"), np.eye(4))
    grey = np.zeros((48, 48, 48), "float32")
    grey[:24] = 1
    volume = grey * 2 + (1 - grey) * (1 + np.cos(2 * np.pi * x / 4)) + noise()
    for kind, held in {"t1": volume, "gm": grey, "wm": 1 - grey}.items():
        nifti.write(head / f"made_{kind}_tal.nii.gz", held.astype("float32"), np.eye(4))
    return root


@pytest.mark.parametrize("source", data.SOURCES)
def test_cubes_of_one_part_are_in_no_other(root, source):
    parts = data.load(root, source=source)
    rows = [{x.numpy().tobytes() for x in part.x} for part in parts]
    assert len(rows[0] | rows[1] | rows[2]) == sum(map(len, rows))
    assert parts.train.classes == (
        ("columns", "rows") if source == "phantoms" else ("grey matter", "white matter", "border")
    )
    assert parts.train.x.shape[1:] == (1, 8, 8, 8)
    assert parts.train.x.dtype == torch.float32
    few = data.load(root, source=source, most=5, seed=1)
    assert max(few.train.y.bincount()) == 5
    x, y = parts.train.item(0)
    assert x.shape == (1, 8, 8, 8)
    assert int(y) == 0


def test_a_cube_seen_in_training_is_not_tested_on(root, tmp_path):
    phantoms = tmp_path / "volumes" / "ibsi2" / "digital_phantom"
    phantoms.mkdir(parents=True)
    rng = np.random.default_rng(0)
    tiles = np.indices((48, 48, 48)).sum(0) % 4  # the same in every cube
    half = np.where(np.indices((48, 48, 48))[0] < 24, tiles, rng.normal(size=(48, 48, 48)))
    for name, volume in {"noise": rng.normal(size=(48, 48, 48)), "half": half}.items():
        nifti.write(phantoms / f"{name}_image.nii.gz", volume.astype("float32"), np.eye(4))
    rows = [[x.numpy().tobytes() for x in part.x] for part in data.load(tmp_path)]
    assert len(set(rows[0])) < len(rows[0]), "the tiles are trained on, as often as they stand there"
    assert not (set(rows[1]) | set(rows[2])) & set(rows[0])
    assert not set(rows[1]) & set(rows[2])
    assert all(len(set(part)) == len(part) for part in rows[1:])


def test_energies_tell_waves_apart_that_voxels_do_not(root, tmp_path):
    record = run(recipe.texture_features, ["--data-root", str(root), "--out", str(tmp_path), *WAVES])
    metrics = record["metrics"]
    assert metrics["accuracy"] == 1.0
    assert metrics["accuracy"] > metrics["accuracy_statistics"]
    assert metrics["features"] == 4
    assert record["test_size"] > 10
    again = run(recipe.texture_features, ["--data-root", str(root), "--out", str(tmp_path), *WAVES])
    assert again["metrics"] == metrics
    tissue = run(
        recipe.texture_features, ["--data-root", str(root), "--source", "tissue", "--out", str(tmp_path), *WAVES]
    )
    assert tissue["metrics"]["accuracy"] > tissue["metrics"]["chance"]


def test_what_is_not_there_is_one_line(root, tmp_path, monkeypatch):
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="give --data-root, or set SIGCONV_DATA"):
        data.load()
    with pytest.raises(FileNotFoundError, match="no data set 'volumes/mni152' under"):
        data.load(tmp_path, source="tissue")
    with pytest.raises(ValueError, match="source 'x' is not one of"):
        data.load(root, source="x")
    with pytest.raises(ValueError, match="without cubes|has no cubes"):
        data.load(root, size=20)
