"""Nearest neighbours by learned features: the recipe on few images, and what it is asked wrongly."""

import pytest
import torch

from sigconv.recipes import nearest as recipe
from sigconv.train import run


@pytest.fixture
def few(monkeypatch, data_root):
    """MNIST, a tenth of it."""
    whole = recipe.data.load(data_root)
    part = type(whole)(*(some.subset(torch.arange(n)) for some, n in zip(whole, (6000, 1000, 800), strict=True)))
    monkeypatch.setattr(recipe.data, "load", lambda root, seed: part)


def test_ex17_neighbours_by_features_are_of_ones_own_kind_more_often_than_by_pixels(few, tmp_path):
    record = run(recipe.nearest, ["--epochs", "4", "--draws", "2", "--out", str(tmp_path)])
    found = record["metrics"]
    assert found["accuracy"] > 0.8
    assert found["least_gain"] > 0.1
    assert found["gain"] == pytest.approx(found["accuracy"] - found["accuracy_raw"])
    again = run(recipe.nearest, ["--epochs", "4", "--draws", "2", "--out", str(tmp_path)])["metrics"]
    assert again == found


def test_digits_that_were_never_seen_are_the_only_ones_looked_up(few, tmp_path):
    record = run(recipe.nearest, ["--unseen", "5", "--epochs", "2", "--draws", "1", "--out", str(tmp_path)])
    assert 0 < record["test_size"] < 500
    assert record["metrics"]["accuracy"] > 0.6


@pytest.mark.parametrize("words", [["--unseen", "1"], ["--unseen", "9"], ["--labels", "0"], ["--labels", "5000"]])
def test_what_cannot_be_meant_is_said(few, tmp_path, words, capsys):
    with pytest.raises(ValueError, match=words[0].strip("-")):
        run(recipe.nearest, [*words, "--epochs", "1", "--out", str(tmp_path), "--debug"])
