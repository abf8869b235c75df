"""Drawn shapes, and the recipes on them: three classes, localize, reconstruct (AR2, AR18, AR19, AP5)."""

import numpy as np
import pytest
import torch

from sigconv import console
from sigconv.blocks import ACTIVATIONS
from sigconv.datasets import drawn_shapes as data
from sigconv.models.localizer import Objects, peaks
from sigconv.recipes import _boxes, localize, reconstruct, three_classes
from sigconv.train import run


@pytest.mark.parametrize("task", data.TASKS)
def test_ar2_a_drawing_is_a_function_of_seed_and_index(task):
    first, again = (data.draw(3, 7, size=(32, 40), task=task) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert first.image.shape == (32, 40)
    assert first.image.dtype == np.float32
    assert not np.array_equal(first.image, data.draw(4, 7, size=(32, 40), task=task).image)
    assert not np.array_equal(first.image, data.draw(3, 8, size=(32, 40), task=task).image)
    few, more = (data.load(task=task, size=24, train=n, valid=2, test=3, seed=1) for n in (3, 5))
    assert torch.equal(more.train.x[:3], few.train.x), "a larger set begins as a smaller one"
    assert torch.equal(more.test.x, few.test.x)
    x, _ = few.train.item(0)
    assert x.shape == (1, 24, 24)
    assert few.train.classes == ("car", "truck", "van")


@pytest.mark.parametrize("name", data.CLASSES)
def test_ar18_the_box_is_where_the_silhouette_is(name):
    cover = data._cover(name, np.array([20.0, 26.0]), 12.0, 0.0, 1.0, (40, 50))
    top, left, bottom, right = data._box(cover) * np.array([40, 50, 40, 50])
    assert abs((left + right) / 2 - 26.5) <= 1
    assert abs(right - left - 24) <= 2, "an object is two half widths wide"
    rows, columns = np.nonzero(cover > 0.5)
    assert (top, bottom) == (rows.min(), rows.max() + 1)
    assert (left, right) == (columns.min(), columns.max() + 1)
    assert ((cover > 0) & (cover < 1)).mean() < 0.2, "only the rim is between"
    mirrored = data._cover(name, np.array([20.0, 24.5]), 12.0, 0.0, -1.0, (40, 50))
    straight = data._cover(name, np.array([20.0, 24.5]), 12.0, 0.0, 1.0, (40, 50))
    np.testing.assert_allclose(mirrored, straight[:, ::-1], atol=1e-9)


def test_ap5_objects_are_whole_and_clear_of_one_another():
    train, _, _ = data.load(task="several", size=64, train=60, valid=1, test=1)
    there = train.y[..., 0] >= 0
    assert set(there.sum(1).tolist()) == {1, 2, 3, 4}
    assert set(train.y[there][:, 0].tolist()) == {0, 1, 2}
    boxes = train.y[there][:, 1:]
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    for row, mask in zip(train.y, there, strict=True):
        mine = row[mask][:, 1:]
        assert (_boxes.overlap(mine[:, None], mine[None]) - torch.eye(len(mine))).abs().max() == 0
        assert torch.all(row[~mask] == -1)
    one = data.load(task="box", size=32, train=9, valid=1, test=1).train
    assert one.y.shape == (9, 5)
    assert one.y[:, 0].tolist() == [0, 1, 2] * 3
    with pytest.raises(ValueError, match="task 'boxes' is not one of"):
        data.draw(0, 0, task="boxes")
    with pytest.raises(ValueError, match="size"):
        data.draw(0, 0, size=8)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_ap5_overlap_equals_counting_cells(ndim):
    random = np.random.default_rng(ndim)
    for _ in range(20):
        boxes = np.sort(random.integers(0, 9, (2, 2, ndim)), 1)
        filled = np.zeros((2, *[8] * ndim), bool)
        for n, (start, stop) in enumerate(boxes):
            filled[n][tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
        union = (filled[0] | filled[1]).sum()
        found = _boxes.overlap(*torch.from_numpy(boxes / 8).flatten(1))
        assert found.item() == pytest.approx((filled[0] & filled[1]).sum() / max(union, 1))


def test_ap5_a_perfect_heat_map_costs_little_and_finds_everything():
    y = data.load(task="several", size=64, train=20, valid=1, test=1).train.y
    heat, places, fractions, present = _boxes.asked(y, 3, (16, 16))
    assert (heat == 1).sum() == present.sum(), "a peak an object"
    flat = torch.full((20, 4, 256), 0.5)
    for i, j in present.nonzero():
        flat[i, :, places[i, j]] = fractions[i, j]
    perfect = torch.cat([torch.logit(heat.clamp(1e-4, 1 - 1e-4)), flat.unflatten(2, (16, 16))], 1)
    assert _boxes.heat_loss(perfect, y) < 0.2
    assert _boxes.heat_loss(torch.zeros_like(perfect), y) > 10
    found = peaks(perfect, 3, threshold=0.9)
    assert _boxes.matched(found, y) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    blank = [Objects(*(part[:0] for part in one)) for one in found]
    assert _boxes.matched(blank, y) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    twice = [Objects(*(torch.cat([part, part]) for part in one)) for one in found]
    assert _boxes.matched(twice, y)["precision"] == 0.5, "an object counts once"
    wrong = [one._replace(labels=(one.labels + 1) % 3) for one in found]
    assert _boxes.matched(wrong, y)["f1"] == 0
    assert _boxes.matched(wrong, y, by_class=False)["f1"] == 1


def test_ar2_three_classes_runs_and_says_what_it_did(tmp_path):
    words = ["--size", "24", "--samples", "60", "--epochs", "1", "--out", str(tmp_path)]
    record = run(three_classes.three_classes, words)
    assert {"accuracy", "accuracy_pixels", "parameters", "parameters_pixels"} == set(record["metrics"])
    assert record["test_size"] == 30
    assert record["metrics"]["parameters_pixels"] == 3 * 24 * 24 + 3
    again = run(three_classes.three_classes, words)
    assert again["metrics"] == record["metrics"]


@pytest.mark.parametrize("pool", three_classes.POOLS)
def test_ar2_ac1_convolution_and_pooling_alternate_with_any_activation(pool):
    for activation in ACTIVATIONS if pool == "max" else ("relu",):
        model = three_classes.network(24, activation, pool)
        assert model(torch.randn(2, 1, 24, 24)).shape == (2, 3)
        kinds = [type(module).__name__ for module in model[:9]]
        assert [kinds[i] for i in (0, 3, 6)] == ["Conv2d"] * 3 or pool == "stride"
        assert pool == "stride" or len({kinds[i] for i in (2, 5, 8)}) == 1


def test_ar2_what_a_pixel_cannot_tell_a_small_net_begins_to(tmp_path):
    train, _, test = data.load(size=24, train=600, valid=1, test=300)
    torch.manual_seed(0)
    model = three_classes.network(24)
    steps = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(8):
        for rows in torch.randperm(600).split(50):
            steps.zero_grad()
            torch.nn.functional.cross_entropy(model(train.x[rows]), train.y[rows]).backward()
            steps.step()
    with torch.no_grad():
        accuracy = (model.eval()(test.x).argmax(1) == test.y).double().mean()
    assert accuracy > 0.45, "chance is a third"


def test_ar18_localize_trains_two_heads_one_after_the_other(tmp_path):
    record = run(localize.localize, ["--samples", "60", "--width", "0.125", "--epochs", "1", "--out", str(tmp_path)])
    metrics = record["metrics"]
    assert {"accuracy", "mean_iou", "iou_above_half", "mean_iou_mean_box", "mean_iou_ridge"} <= set(metrics)
    assert record["test_size"] == 20
    from safetensors.torch import load_file

    whole, first = (load_file(f"{record['run_folder']}/{name}.safetensors") for name in ("model", "box"))
    assert all(torch.equal(whole[name], first[name]) for name in whole), "the run's weights are those of both heads"


def test_ap5_localize_finds_several_by_a_heat_map(tmp_path):
    words = ["--objects", "several", "--samples", "45", "--width", "0.125", "--epochs", "1", "--out", str(tmp_path)]
    metrics = run(localize.localize, words)["metrics"]
    assert {"precision", "recall", "f1", "f1_any_class", "f1_any_class_blobs", "threshold"} <= set(metrics)


@pytest.mark.parametrize("source", reconstruct.SOURCES)
def test_ar19_reconstruct_pretrains_and_fine_tunes(tmp_path, source, monkeypatch):
    small = {"mnist1d": reconstruct.mnist1d.load(), "shapes": data.load(size=24, train=60, valid=20, test=20)}
    few = [part.subset(torch.arange(min(len(part), 80))) for part in small[source]]
    module = reconstruct.mnist1d if source == "mnist1d" else reconstruct.drawn_shapes
    monkeypatch.setattr(module, "load", lambda **options: data.Parts(*few))
    words = ["--source", source, "--labels", "20", "--repeats", "2", "--width", "0.125", "--pretraining", "1"]
    record = run(reconstruct.reconstruct, [*words, "--epochs", "2", "--tied", "--out", str(tmp_path)])
    metrics = record["metrics"]
    assert {"accuracy", "accuracy_scratch", "accuracy_frozen", "gain", "gain_standard_error"} <= set(metrics)
    assert metrics["gain"] == pytest.approx(metrics["accuracy"] - metrics["accuracy_scratch"])
    assert metrics["unexplained_variance"] > 0


def test_ar19_few_labels_are_of_all_classes():
    train = reconstruct.mnist1d.load().train
    few = reconstruct._few(train, 50, seed=2)
    assert few.y.bincount().tolist() == [5] * 10
    assert not torch.equal(few.x, reconstruct._few(train, 50, seed=3).x)


@pytest.mark.parametrize(
    ("recipe", "words", "message"),
    [
        (three_classes.three_classes, ["--pool", "min"], "--pool 'min' is not one of max"),
        (three_classes.three_classes, ["--size", "20"], "--size 20 must be 16, 24, 32"),
        (three_classes.three_classes, ["--activation", "rely"], "--activation 'rely' is not one of relu"),
        (localize.localize, ["--objects", "two"], "--objects 'two' is not one of one, several"),
        (localize.localize, ["--width", "0"], "--width 0.0 must be above 0"),
        (reconstruct.reconstruct, ["--source", "x"], "--source 'x' is not one of mnist1d, shapes"),
        (reconstruct.reconstruct, ["--labels", "5"], "--labels 5 10 to"),
    ],
)
def test_wrong_words_are_refused_in_one_line(tmp_path, recipe, words, message):
    with pytest.raises(console.UsageError, match=message):
        run(recipe, [*words, "--out", str(tmp_path)])
