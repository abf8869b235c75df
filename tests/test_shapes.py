"""Recipes of small volumes: classes told apart, front ends beside none, mirrors only where they leave the class."""

import numpy as np
import pytest
import torch

from sigconv.datasets import medmnist3d
from sigconv.recipes import _banks, _shapes
from sigconv.recipes.adrenal_shape import adrenal_shape
from sigconv.recipes.medmnist3d import medmnist3d as recipe
from sigconv.train import run
from sigconv.train.intervals import wilson


def balls(n, size, seed):
    """Balls, and balls with a hole: about as many voxels of each."""
    rng = np.random.default_rng(seed)
    axis = np.indices((size,) * 3).astype(float)
    x, y = np.zeros((n, size, size, size), np.uint8), np.arange(n) % 2
    for i in range(n):
        middle = size / 2 + rng.uniform(-1, 1, 3)
        distance = np.sqrt(((axis - middle[:, None, None, None]) ** 2).sum(0))
        radius = rng.uniform(0.25, 0.32) * size
        inside = distance < radius
        if y[i]:
            inside = (distance < 1.08 * radius) & (distance > 0.55 * radius)
        x[i] = 255 * inside
    return x, y[:, None].astype(np.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    arrays = {}
    for part, n in (("train", 48), ("val", 16), ("test", 24)):
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = balls(n, 28, n)
    for name in ("adrenal", "organ"):
        np.savez_compressed(place / f"{name}mnist3d.npz", **arrays)
    return place


SMALL = ["--size", "14", "--width", "0.0625", "--batch-size", "16", "--members", "1", "--epochs", "25", "--lr", "1e-2"]


def test_ap4_shapes_are_told_apart_and_a_run_says_how_surely(root, tmp_path):
    record = run(adrenal_shape, ["--data-root", str(root), "--out", str(tmp_path), *SMALL])
    found = record["metrics"]
    assert found["accuracy"] > 0.9
    assert found["auroc_low"] <= found["auroc"] <= found["auroc_high"]
    assert (found["accuracy_low"], found["accuracy_high"]) == wilson(round(24 * found["accuracy"]), 24)
    assert "accuracy_low_voxels" not in found
    assert {"accuracy_voxels", "auroc_voxels", "accuracy_profiles"} <= set(found)
    assert record["test_size"] == 24


@pytest.mark.parametrize(("front_end", "learned"), [("gabor", True), ("haar", False), ("motion", False)])
def test_front_ends_stand_before_the_network_and_beside_none(root, tmp_path, front_end, learned):
    words = ["--data-root", str(root), "--out", str(tmp_path), "--front-end", front_end, "--set", "organ"]
    short = [*SMALL[:-4], "--epochs", "1", "--size", "8"]
    found = run(recipe, [*words, *short, *(["--learned"] if learned else [])])["metrics"]
    assert {"accuracy_without_front_end", "auroc_without_front_end"} <= set(found)


def test_what_would_be_ignored_is_refused(root, tmp_path):
    with pytest.raises(ValueError, match="learned is for a front end"):
        run(adrenal_shape, ["--learned", "--out", str(tmp_path)])
    with pytest.raises(ValueError, match="front_end 'fourier' is not one of"):
        run(adrenal_shape, ["--front-end", "fourier", "--out", str(tmp_path)])
    assert not list(tmp_path.glob("*/*"))


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_of_one_class_is_refused_before_training(root, tmp_path, part, monkeypatch):
    with np.load(root / "adrenalmnist3d.npz", allow_pickle=False) as found:
        arrays = dict(found)
    arrays[f"{part}_labels"] = np.ones_like(arrays[f"{part}_labels"])
    np.savez_compressed(tmp_path / "adrenalmnist3d.npz", **arrays)
    monkeypatch.setattr(_shapes, "fit", None)
    with pytest.raises(
        ValueError, match=f"volumes of adrenal's {part} part are of class 'hyperplasia': two are needed"
    ):
        run(adrenal_shape, ["--data-root", str(tmp_path), "--out", str(tmp_path)])


def test_mirror_images_are_made_only_where_they_are_of_the_same_class():
    x = torch.zeros(40, 1, 14, 14, 14)
    x[:, :, 9:12, 4:10, 4:10] = 1.0  # it has a side
    place = torch.arange(14.0)[:, None, None]

    def lower(mirrored):
        seen = _shapes.moved(mirrored)(x, [torch.Generator().manual_seed(n) for n in range(40)])
        return (seen * place).sum((1, 2, 3, 4)) / seen.sum((1, 2, 3, 4)) < 6.5

    assert not lower(False).any()
    assert 10 <= int(lower(True).sum()) <= 30
    assert medmnist3d.sided("organ")


def test_figures_of_many_classes_are_the_mean_of_each_against_all():
    shares = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4], [0.5, 0.3, 0.2]])
    test = medmnist3d.Bytes(torch.zeros(4, 1, 2, 2, 2), torch.tensor([0, 1, 2, 2]), ("a", "b", "c"))
    found = _shapes.figures(shares, test)
    assert found["accuracy"] == 0.75
    assert found["auroc"] == pytest.approx((1 + 1 + 1) / 3)


@pytest.mark.parametrize("kind", _banks.KINDS)
@pytest.mark.parametrize("time", [0, -1])
def test_a_bank_answers_in_real_channels_of_the_same_size_whichever_axis_is_time(kind, time):
    bank = _banks.Responses(kind, 3, time=time)
    x = torch.randn(2, 1, 9, 8, 7)
    y = bank(x)
    assert y.shape == (2, bank.filters, 9, 8, 7)
    assert not y.is_complex()
    if kind == "motion":
        turned = _banks.Responses(kind, 3, time=0)(x.movedim(2 + time % 3, 2)).movedim(2, 2 + time % 3)
        torch.testing.assert_close(y, turned)
