"""MedMNIST 3-D: published split and sizes, larger volumes averaged, other sets of the same kind, bad files."""

import numpy as np
import pytest
import torch

from sigconv.datasets import medmnist3d


def made(path, size=28, classes=3, **changes):
    rng = np.random.default_rng(size)
    arrays = {}
    for part, n in (("train", 7), ("val", 3), ("test", 4)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (n, size, size, size)).astype(np.uint8)
        arrays[f"{part}_labels"] = (np.arange(n) % classes)[:, None].astype(np.uint8)
    np.savez_compressed(path, **(arrays | changes))
    return arrays | changes


def test_a_set_is_read_as_it_is(tmp_path):
    arrays = made(tmp_path / "organmnist3d.npz")
    train, valid, test = medmnist3d.load(tmp_path, name="organ")
    assert (len(train), len(valid), len(test)) == (7, 3, 4)
    assert train.classes[:2] == ("liver", "kidney right")
    x, y = train.item(2)
    assert x.dtype == torch.float32
    np.testing.assert_array_equal((x[0] * 255).round().numpy(), arrays["train_images"][2])
    assert int(y) == 2


def test_the_smallest_file_that_is_large_enough_is_taken_and_averaged(tmp_path):
    place = tmp_path / "volumes" / "medmnist3d"
    place.mkdir(parents=True)
    arrays = made(place / "nodulemnist3d_64.npz", 64, 2)
    test = medmnist3d.load(tmp_path, name="nodule", size=32).test
    blocks = arrays["test_images"].reshape(4, 32, 2, 32, 2, 32, 2).astype(float).mean((2, 4, 6))
    np.testing.assert_allclose(test.x[:, 0].numpy(), blocks, atol=0.5)
    assert medmnist3d.load(tmp_path, name="nodule").test.x.shape == (4, 1, 28, 28, 28)
    made(place / "nodulemnist3d.npz", 28, 2)
    direct = medmnist3d.load(tmp_path, name="nodule").test.x
    assert not torch.equal(direct, medmnist3d.load(tmp_path, name="nodule", size=27).test.x)


def test_a_set_of_another_name_in_the_same_layout_works(tmp_path):
    made(tmp_path / "liversmnist3d.npz", classes=2)
    assert medmnist3d.load(tmp_path, name="livers").train.classes == ("0", "1")


BAD = {
    "float": ({"train_images": np.zeros((7, 28, 28, 28))}, "of float64"),
    "flat": ({"test_images": np.zeros((4, 28, 28), np.uint8)}, "are not volumes"),
    "fewer labels": ({"val_labels": np.zeros((2, 1), np.uint8)}, "are not volumes"),
    "huge": ({"test_labels": np.full((4, 1), 2**62)}, "test: label 4611686018427387904 is no class: expected 0 to 999"),
    "none": ({"val_images": np.zeros((0, 28, 28, 28), np.uint8), "val_labels": np.zeros((0, 1), int)}, "at least 1"),
    "negative": ({"val_labels": np.full((3, 1), -1)}, "label -1 is no class"),
    "small": ({"val_images": np.zeros((3, 9, 28, 28), np.uint8)}, "smaller than size 28"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_such_set_is_said_in_one_line(tmp_path, case):
    changes, message = BAD[case]
    made(tmp_path / "organmnist3d.npz", **changes)
    with pytest.raises(ValueError, match=message) as caught:
        medmnist3d.load(tmp_path, name="organ")
    assert "organmnist3d.npz" in str(caught.value)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no organmnist3d.npz and no organmnist3d_64.npz under"):
        medmnist3d.load(tmp_path, name="organ")
    with pytest.raises(ValueError, match="size 65 is more than the 64"):
        medmnist3d.load(tmp_path, name="organ", size=65)


def test_the_set_at_hand_has_the_published_counts(data_root):
    train, valid, test = medmnist3d.load(data_root, name="adrenal")
    assert [part.y.bincount().tolist() for part in (train, valid, test)] == [[929, 259], [76, 22], [229, 69]]
    assert train.x.shape == (1188, 1, 28, 28, 28)
