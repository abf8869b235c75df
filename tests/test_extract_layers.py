"""Features by trained layers: their own strides are told, and a bank's options are refused."""

import json

import extraction_trees as made
import numpy as np
import pytest
import torch
from torch import nn

import sigconv as sc
from sigconv.readers import nifti, npy


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Conv3d(1, 2, 3, stride=(2, 1, 3), padding=1).eval()


@pytest.mark.parametrize(("name", "value"), [("stride", 2), ("padding_mode", "zeros")])
def test_a_banks_options_are_refused_for_a_layer(tmp_path, layer, name, value):
    made.scan(tmp_path / "in" / "s.nii")
    with pytest.raises(ValueError, match=f"{name} .* is a filter bank's: a layer has its own"):
        sc.extract(layer, tmp_path / "in", tmp_path / "out", output="real", **{name: value})
    assert sc.extract(layer, tmp_path / "in", tmp_path / "out", output="real").code == 0


def test_a_layers_own_stride_is_told_and_has_its_place(tmp_path, layer):
    made.scan(tmp_path / "in" / "s.nii", (8, 9, 12))
    source = nifti.read(tmp_path / "in" / "s.nii")
    sc.extract(layer, tmp_path / "in", tmp_path / "out", output="real")
    (line,) = lines(tmp_path / "out" / "manifest.jsonl")
    assert line["stride"] == [2, 1, 3]
    expected = nifti.strided(source.affine, (2, 1, 3))
    assert np.allclose(line["affine"], expected)
    assert np.allclose(line["fs"], [1 / 2, 1 / 2, 1 / 4.5])
    found = nifti.read(tmp_path / "out" / "s.nii")
    assert np.allclose(found.affine, expected)
    with torch.no_grad():
        y = layer(torch.from_numpy(np.asarray(source.data, np.float32))[None, None])[0]
    assert np.allclose(np.moveaxis(found.data, -1, 0), y, atol=1e-4)


def test_a_mask_is_taken_at_a_layers_own_positions(tmp_path, layer):
    made.scan(tmp_path / "in" / "s.nii", (8, 9, 12))
    inside = np.random.default_rng(0).random((8, 9, 12)) > 0.5
    np.save(tmp_path / "mask.npy", inside)
    sc.extract(layer, tmp_path / "in", tmp_path / "maps", output="real", format="npy")
    options = {"output": "real", "pool": "mean", "mask": tmp_path / "mask.npy"}
    sc.extract(layer, tmp_path / "in", tmp_path / "out", **options)
    y = npy.read(tmp_path / "maps" / "s.npy")
    names, row = (tmp_path / "out" / "features.tsv").read_text().splitlines()
    assert names.split("\t")[1:] == ["mean_f0", "mean_f1"]
    assert np.allclose([float(v) for v in row.split("\t")[1:]], y[:, inside[::2, :, ::3]].mean(1), rtol=1e-4)
    valid = nn.Conv3d(1, 2, 3).eval()
    result = sc.extract(valid, tmp_path / "in", tmp_path / "valid", **options)
    assert "the layer answers with (6, 7, 10)" in result.failures[0]["reason"]


def test_nodes_that_do_not_say_how_many_maps_they_make_are_pooled(tmp_path):
    made.array(tmp_path / "in" / "a.npy", (3, 20, 30))
    made.array(tmp_path / "in" / "b.npy", (2, 20, 30))
    result = sc.extract(nn.MaxPool2d(2), tmp_path / "in", tmp_path / "out", ndim=2, output="real", pool=["mean", "max"])
    assert result.code == 0
    names, first, second = ((tmp_path / "out" / "features.tsv").read_text() + "").splitlines()
    assert names.split("\t")[1:] == ["mean_f0", "mean_f1", "mean_f2", "max_f0", "max_f1", "max_f2"]
    assert first.split("\t").count("") == 0
    assert second.split("\t").count("") == 2
