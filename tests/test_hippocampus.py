"""The segmentation recipe, on scans made here and a few real ones: metrics, label maps, laws of its parts."""

import json
import math
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from test_segmentation import study

from sigconv import console
from sigconv.readers import nifti
from sigconv.recipes import _segmented, _segments, _voxels, hippocampus
from sigconv.train import run
from sigconv.train.job import Job
from sigconv.transforms import augment

TINY = ["--width", "0.25", "--epochs", "12", "--batch-size", "2", "--lr", "0.01"]
NAMES = [f"h{n}" for n in range(15)]


def tried(root, out, *words):
    return run(hippocampus.hippocampus, ["--data-root", str(root), *TINY, *words, "--out", str(out)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("scans")
    study(home / "known", NAMES)
    study(home / "new", ["one", "two.b"], seed=5, turned=True)
    study(home / "bare", ["z"], labels=None, seed=6)
    words = ("--test-root", str(home / "new"), "--mirrored", "true", "--flips", "true", "--epochs", "20")
    return home, tried(home / "known", home / "runs", *words)


def test_it_learns_and_says_dice_of_each_label(finished):
    _, record = finished
    metrics = record["metrics"]
    assert record["test_size"] == 2
    assert metrics["dice_anterior"] > 0.7
    assert metrics["dice_posterior"] > 0.7
    assert metrics["dice"] == pytest.approx((metrics["dice_anterior"] + metrics["dice_posterior"]) / 2)
    assert metrics["dice_worst_case"] <= metrics["dice"]
    assert 0 <= metrics["hausdorff95_anterior"] < 10
    assert 0 < metrics["dice_mean_map"] < 1
    assert 0 < metrics["dice_linear"] < 1
    assert metrics["parameters"] < 2_000_000
    assert metrics["bad_cases"] == 0


def test_label_maps_lie_where_the_scans_do_under_the_same_names(finished):
    nibabel = pytest.importorskip("nibabel")
    home, record = finished
    folder = Path(record["run_folder"])
    assert sorted(path.name for path in (folder / "predictions").iterdir()) == ["one.nii.gz", "two.b.nii.gz"]
    for path in (folder / "predictions").iterdir():
        made, scan = nibabel.load(path), nibabel.load(home / "new" / "images" / path.name)
        assert made.shape == scan.shape
        np.testing.assert_allclose(made.affine, scan.affine)
        assert made.header.get_zooms() == scan.header.get_zooms()
        assert made.header.get_intent()[0] == "label"
        truth = np.asarray(nibabel.load(home / "new" / "labels" / path.name).dataobj)
        values = np.asarray(made.dataobj)
        assert set(np.unique(values)) <= {0, 1, 2}
        assert np.mean(values == truth) > 0.9, "whichever way its axes run"
    rows = (folder / "cases.tsv").read_text().splitlines()
    assert rows[0].split("\t")[:2] == ["case", "dice_anterior"]
    assert len(rows) == 3
    assert {"worst_case.png", "best_case.png"} <= {path.name for path in (folder / "plots").iterdir()}


def test_scans_without_label_maps_are_predicted_and_larger_ones_patch_by_patch(finished):
    home, _ = finished
    words = ("--test-root", str(home / "bare"), "--window", "[10,10,10]", "--epochs", "1")
    record = tried(home / "known", home / "runs", *words)
    assert not [key for key in record["metrics"] if key.startswith("dice")]
    made = nifti.read(Path(record["run_folder"], "predictions", "z.nii.gz"))
    assert made.data.shape == nifti.read(home / "bare" / "images" / "z.nii.gz").data.shape


def test_the_same_seed_gives_the_same_figures_and_what_is_bad_is_told(tmp_path):
    study(tmp_path / "data", NAMES[:6])
    (tmp_path / "data" / "images" / "torn.nii.gz").write_bytes(b"torn")
    (tmp_path / "data" / "labels" / "torn.nii.gz").write_bytes(b"torn")
    found = [tried(tmp_path / "data", tmp_path / "runs", "--epochs", "1", "--seed", "3") for _ in range(2)]
    assert found[0]["metrics"] == found[1]["metrics"]
    assert found[0]["metrics"]["bad_cases"] == 1
    assert found[0]["test_size"] == 2
    assert "torn was left out" in Path(found[0]["run_folder"], "log.txt").read_text()


def test_a_run_goes_on_from_its_folder(tmp_path, monkeypatch):
    study(tmp_path / "data", NAMES[:6])
    words = ("--epochs", "2", "--window", "[16,16,16]", "--spacing", "[1,1,1]")
    whole = tried(tmp_path / "data", tmp_path / "whole", *words)
    plainly = Job.record

    def stopping(self, row, epochs):
        plainly(self, row, epochs)
        if row["epoch"] == 1:
            raise console.Stopped(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Job, "record", stopping)
        with pytest.raises(console.Stopped):
            tried(tmp_path / "data", tmp_path / "cut", *words)
    (cut,) = (tmp_path / "cut" / "hippocampus").iterdir()
    assert run(hippocampus.hippocampus, ["--resume", str(cut)])["metrics"] == whole["metrics"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--window", "[8,8]"], r"--window \[8, 8\] is not 3 numbers"),
        (["--window", "[100000,100000,100000]"], r"has 1000000000000000 voxels: expected 134217728 at most"),
        (["--width", "0"], "--width 0.0 must be above 0"),
        (["--norm", "layer"], "--norm 'layer' is not one of batch, channel, instance"),
        (["--overlap", "1"], "--overlap 1.0 must be at least 0, and below 1"),
        (["--flips", "true"], "--flips asks a network about mirrored scans"),
    ],
)
def test_wrong_words_are_refused_in_one_line(tmp_path, words, message):
    with pytest.raises(console.UsageError, match=message):
        run(hippocampus.hippocampus, ["--data-root", str(tmp_path), *words, "--out", str(tmp_path)])


@given(st.integers(0, 999))
def test_the_loss_is_the_definition(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, 4, 5, generator=generator)
    y = torch.randint(0, 3, (2, 4, 5), generator=generator)
    shares, total = x.softmax(1), []
    for one, truth in zip(shares, y, strict=True):
        for n in (1, 2):
            both = one[n][truth == n].sum()
            total.append((2 * both + 1) / (one[n].sum() + (truth == n).sum() + 1))
    wanted = 1 - sum(total) / 4 + torch.nn.functional.cross_entropy(x, y)
    torch.testing.assert_close(_segments.dice_and_cross_entropy(x, y), wanted)
    halves = [_segments.dice_and_cross_entropy(x[n : n + 1], y[n : n + 1]) for n in range(2)]
    torch.testing.assert_close(sum(halves) / 2, wanted, msg="a mean over scans")


@given(st.integers(0, 999))
def test_overlaps_are_the_definition(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 4, (2, 3, 4, 5))
    for n, found in enumerate(_segments.overlaps(one, other, 5), start=1):
        either = (one == n).sum() + (other == n).sum()
        wanted = 2 * ((one == n) & (other == n)).sum() / either if either else math.nan
        assert found == pytest.approx(wanted, nan_ok=True)


@examples(30)
@given(st.integers(0, 999), st.tuples(*[st.floats(0.5, 3)] * 3))
def test_hausdorff_is_the_definition(seed, spacing):
    rng = np.random.default_rng(seed)
    masks = rng.random((2, 4, 5, 4)) < rng.uniform(0.1, 0.6)
    rims = []
    for mask in masks:
        around = np.pad(mask, 1)
        hidden = np.logical_and.reduce([np.roll(around, s, a) for a in range(3) for s in (-1, 1)])[1:-1, 1:-1, 1:-1]
        rims.append(np.argwhere(mask & ~hidden) * spacing)
    far = np.linalg.norm(rims[0][:, None] - rims[1][None], axis=-1)
    wanted = max(np.percentile(far.min(1), 95), np.percentile(far.min(0), 95))
    assert _segments.hausdorff(*masks, spacing) == pytest.approx(wanted)
    assert _segments.hausdorff(masks[1], masks[0], spacing) == pytest.approx(wanted)
    assert _segments.hausdorff(masks[0], masks[0], spacing) == 0
    assert math.isnan(_segments.hausdorff(masks[0], np.zeros_like(masks[0]), spacing))


@given(st.tuples(*[st.integers(3, 12)] * 3), st.tuples(*[st.integers(4, 9)] * 3))
def test_windows_to_choose_by_hold_what_is_labelled(shape, size):
    y = torch.zeros(shape, dtype=torch.uint8)
    y[shape[0] // 2, -1, 0] = 1
    x = y[None].float()
    one, labels = _segments.Whole(_Pairs([(x, y)]), size).item(0)
    assert one.shape == (1, *size)
    assert labels.shape == size
    assert labels.sum() == 1
    assert torch.equal(one[0], labels.float())
    if all(n <= m for n, m in zip(shape, size, strict=True)):
        padded = augment.Crop(size).vary(x, y, torch.Generator())[0]
        assert torch.equal(one, padded), "as training fills up"


class _Pairs(list):
    classes = ("background", "1")

    def item(self, index, generator=None):
        return self[index]


def test_answers_to_mirrored_scans_are_averaged():
    class Half(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

        def forward(self, x):
            return torch.cat([x * self.scale * torch.arange(x.shape[2])[:, None, None], -x], 1)

    net, x = Half(), torch.rand(1, 6, 5, 4)
    plain = _segments.shares_of(net, x, (6, 5, 4), 0.5)
    torch.testing.assert_close(plain, net(x[None])[0].softmax(0))
    both = _segments.shares_of(net, x, (6, 5, 4), 0.5, (0,))
    turned = net(x.flip(1)[None])[0].softmax(0).flip(1)
    torch.testing.assert_close(both, (plain + turned) / 2)


def test_the_mean_map_of_alike_scans_is_their_map():
    y = torch.zeros(4, 6, 8, dtype=torch.uint8)
    y[1:3, 2:4] = 1
    found = _segments.mean_map(_Pairs([(y[None].float(), y)] * 3), (4, 6, 8))
    assert torch.equal(found.argmax(0), y.long())
    assert torch.equal(found.sum(0), torch.ones(4, 6, 8))


def test_more_windows_than_anyone_waits_for_are_refused_before_training(tmp_path, monkeypatch):
    study(tmp_path / "data", NAMES[:4])
    monkeypatch.setattr(hippocampus, "MOST_WINDOWS", 50)
    monkeypatch.setattr(hippocampus, "fit", None)
    with pytest.raises(console.UsageError, match=r"--overlap 0.99999 makes \d+ windows of 9 x 9 x 9 of '") as caught:
        tried(tmp_path / "data", tmp_path / "runs", "--window", "[9,9,9]", "--overlap", "0.99999")
    assert "a smaller overlap, or a larger --window" in str(caught.value)


def test_labels_of_any_numbers_and_names_are_told_apart_and_written_as_they_came(tmp_path):
    study(tmp_path / "data", NAMES[:6])
    for path in (tmp_path / "data" / "labels").iterdir():
        one = nifti.read(path)
        nifti.write(path, np.array([0, 7, 200], np.uint8)[one.data], one.affine)
    told = {"labels": {"0": "background", "7": "T1+", "200": "T1-"}}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(told))
    record = tried(tmp_path / "data", tmp_path / "runs", "--epochs", "6")
    assert {"dice_t1_7", "dice_t1_200", "hausdorff95_t1_7"} <= set(record["metrics"])
    assert record["metrics"]["dice"] == pytest.approx(
        (record["metrics"]["dice_t1_7"] + record["metrics"]["dice_t1_200"]) / 2
    )
    folder = Path(record["run_folder"])
    assert (folder / "cases.tsv").read_text().split("\t")[1:3] == ["dice_t1_7", "dice_t1_200"]
    found = {n for path in (folder / "predictions").iterdir() for n in np.unique(nifti.read(path).data)}
    assert 0 in found <= {0, 7, 200}
    assert record["metrics"]["dice"] > 0.2, "held against the truth in its own numbers"


def test_names_within_metrics():
    assert _segmented.called("Anterior") == "anterior"
    assert _segmented.keys({0: "background", 1: "worst case", 2: "b"}) == ["worst_case_1", "b_2"]
    assert _segmented.called("2") == "2"
    assert hippocampus.usual([(4, 4, 4)]) == (16, 16, 16)


@examples(20)
@given(st.tuples(*[st.integers(5, 12)] * 3), st.sampled_from([0, 1, 2]), st.integers(0, 99))
def test_energies_of_boxes_know_no_left_and_right(shape, axis, seed):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found, names = _voxels.energies(x, (1, 1, 1), "haar", (3.0,))
    turned, _ = _voxels.energies(x.flip(axis), (1, 1, 1), "haar", (3.0,))
    assert len(names) == len(found) == 21
    torch.testing.assert_close(turned, found.flip(axis + 1), rtol=1e-9, atol=1e-9)


@examples(10)
@given(st.integers(0, 12), st.integers(0, 2), st.tuples(*[st.floats(0.8, 3.0)] * 3))
def test_waves_are_found_by_their_millimetres_whatever_the_grid(direction, which, spacing):
    lengths = _voxels.wavelengths(3.0)
    ways = _voxels.gabor.directions(13, 3)
    wave = ways[direction] / lengths[which]
    grid = torch.stack(torch.meshgrid(*[s * torch.arange(48 // s) for s in spacing], indexing="ij"))
    x = torch.cos(2 * math.pi * torch.einsum("a,axyz->xyz", wave.double(), grid.double()))
    found, names = _voxels.energies(x.float(), spacing, "gabor", lengths)
    middle = found[(slice(None), *[n // 2 for n in x.shape])]
    assert names[int(middle.argmax())] == f"gabor_{lengths[which]:.3g}mm_d{direction}"


@given(st.integers(0, 99))
def test_ridge_weighs_both_kinds_alike(seed):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(60, 3)))
    y = torch.from_numpy(rng.random(60) < 0.3)
    y[0], y[1] = True, False
    weights = _voxels.ridge(x, y)
    many = torch.cat([x, x[y].repeat(4, 1)]), torch.cat([y, y[y].repeat(4)])
    scores, again = _voxels.scored(x, weights), _voxels.scored(x, _voxels.ridge(*many))
    assert torch.corrcoef(torch.stack([scores, again]))[0, 1] > 0.999, "however many of one there are"
    assert scores[y].mean() > scores[~y].mean()


def test_a_few_real_scans_are_learned(data_root, tmp_path):
    home = data_root / "volumes" / "hippocampus"
    for path in sorted((home / "images").iterdir())[:12]:
        for folder in ("images", "labels"):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(home / folder / path.name, tmp_path / folder)
    words = ("--epochs", "20", "--window", "[24,24,24]", "--width", "0.5", "--overlap", "0.25")
    metrics = tried(tmp_path, tmp_path / "runs", *words)["metrics"]
    assert metrics["dice"] > 0.4, "twenty rounds of seven scans"
    assert metrics["dice_mean_map"] > 0.5
    assert metrics["dice_linear"] > 0.3
