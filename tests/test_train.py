"""Training: the loop learns, chooses, resumes to the bit; metrics are scikit-learn's; checkpoints notice damage."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from torch import nn

from sigconv.datasets._parts import Arrays
from sigconv.train import Job, batches, checkpoint, devices, evaluate, fit, metrics, predict, seeds
from sigconv.transforms import augment


def blobs(n=60, seed=0):
    """Three classes of two numbers, easily told apart."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    centres = torch.tensor([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
    return Arrays(centres[y] + 0.7 * torch.randn(n, 2, generator=generator), y, "abc")


class Items:
    """The least a data set must have: len, classes and item."""

    classes = ("a", "b", "c")

    def __init__(self, whole):
        self.whole = whole

    def __len__(self):
        return len(self.whole)

    def item(self, index, generator):
        x, y = self.whole.item(index)
        return x + 0.1 * torch.randn(2, generator=generator), y


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


OPTIONS = {"epochs": 6, "lr": 0.02, "batch_size": 16, "schedule": "one-cycle", "average": 0.9, "weight_decay": 0.01}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", lambda parameters: torch.optim.RMSprop(parameters, 1e-2)])
def test_fit_learns_and_keeps_the_best_weights_by_the_validation_part(optimizer):
    model = net()
    rows = fit(
        model,
        blobs(),
        blobs(30, 1),
        epochs=12,
        lr=0.05,
        batch_size=16,
        optimizer=optimizer,
        watch={"test": blobs(30, 2)},
    )
    best = max(rows, key=lambda row: (row["valid_accuracy"], -row["valid_loss"]))
    found = evaluate(model, blobs(30, 1))
    assert found["accuracy"] == best["valid_accuracy"] > 0.8
    assert found["loss"] == pytest.approx(best["valid_loss"])
    assert {"epoch", "step", "lr", "train_loss", "test_accuracy", "seconds"} <= set(rows[0])


def test_without_a_validation_part_the_last_weights_stay():
    model = net()
    rows = fit(model, blobs(), epochs=3, batch_size=16, watch={"train": blobs()}, every=2)
    assert [row["epoch"] for row in rows] == [2, 3]
    assert evaluate(model, blobs())["loss"] == pytest.approx(rows[-1]["train_loss"])


def test_an_optimizer_of_ones_own_keeps_its_learning_rates():
    model = net()
    made = lambda parameters: torch.optim.SGD([{"params": list(parameters), "lr": 0.5}])
    rows = fit(model, blobs(), blobs(30, 1), epochs=2, optimizer=made, schedule="constant")
    assert rows[-1]["lr"] == 0.5


def test_weights_that_two_layers_share_are_kept(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 3))
    model[1].weight = model[0].weight
    fit(model, blobs(), epochs=1, job=Job(folder=tmp_path))
    assert (tmp_path / "model.safetensors").exists()


def test_a_model_or_labels_that_do_not_fit_are_named_with_their_shapes(tmp_path):
    narrow = nn.Linear(2, 2)
    with pytest.raises(
        ValueError, match=r"gives \(16, 2\) for targets \(16,\) of torch.int64 from 0 to 2: they do not fit"
    ):
        fit(narrow, blobs(), batch_size=16)
    fit(net(), blobs(), epochs=1, job=Job(folder=tmp_path / "new" / "run"))
    (tmp_path / "new" / "run" / "checkpoints" / ".model-9.dead.tmp").mkdir()
    with pytest.raises(ValueError, match="is another model's: .*size mismatch|is another model's: .*Missing") as caught:
        fit(nn.Linear(2, 3), blobs(), job=Job(folder=tmp_path / "new" / "run", resuming=True))
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "new" / "run" / "checkpoints").glob(".*"))


def test_any_loss_and_scores_may_choose():
    model = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    data = Arrays(blobs().x, (blobs().y == 0).float(), ["no", "yes"])
    options = {"loss": nn.BCEWithLogitsLoss(), "scores": {"auroc": metrics.auroc}, "select": "auroc"}
    rows = fit(model, data, data, epochs=4, lr=0.1, **options)
    assert max(row["valid_auroc"] for row in rows) == pytest.approx(metrics.auroc(model, data))


@pytest.mark.parametrize("data", [blobs, lambda: Items(blobs()), lambda: augment.Augmented(blobs(), jitter)])
def test_same_seed_same_bits_and_other_seed_other_bits(data):
    def weights(seed):
        seeds.everything(0)
        model = net()
        fit(model, data(), blobs(30, 1), job=Job(seed=seed), **OPTIONS)
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def jitter(x, generators):
    return x + 0.1 * augment.normals(generators, x)


@pytest.mark.parametrize("stops", [[1], [2, 3], [1, 2, 3, 4, 5]])
def test_f1_f4_a_run_resumed_any_number_of_times_has_the_bits_of_one_never_stopped(tmp_path, monkeypatch, stops):
    monkeypatch.setattr("sigconv.train.state.SAVE_EVERY", 0.0)

    class KilledError(Exception):
        pass

    def train(folder, resuming, stop_after=None):
        folder.mkdir(exist_ok=True)
        seeds.everything(5)
        job, model = Job(seed=5, folder=folder, resuming=resuming), net()
        if stop_after is not None:
            save = job.checkpoint
            monkeypatch.setattr(job, "checkpoint", lambda name, epoch, state: (save(name, epoch, state), stop(epoch)))

            def stop(epoch):
                if epoch == stop_after:
                    raise KilledError

        rows = fit(model, augment.Augmented(blobs(), jitter), blobs(30, 1), job=job, **OPTIONS)
        return model.state_dict(), [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

    whole, rows = train(tmp_path / "whole", False)
    for place, stop_after in enumerate(stops):
        with pytest.raises(KilledError):
            train(tmp_path / "cut", place > 0, stop_after)
    again, rows_again = train(tmp_path / "cut", True)
    assert rows_again == rows
    assert all(torch.equal(whole[key], again[key]) for key in whole)
    written = (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in written] == list(range(1, 7))
    assert len(list((tmp_path / "cut" / "checkpoints").iterdir())) == 2


def test_f13_a_broken_checkpoint_is_passed_over_and_all_broken_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sigconv.train.state.SAVE_EVERY", 0.0)
    fit(net(), blobs(), blobs(30, 1), job=Job(folder=tmp_path), **OPTIONS)
    newest = tmp_path / "checkpoints" / "model-6" / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:-7])
    fit(net(), blobs(), blobs(30, 1), job=Job(folder=tmp_path, resuming=True), **OPTIONS)
    said = capsys.readouterr().err
    assert "warning: checkpoint" in said
    assert "going on after epoch 5" in said
    for path in (tmp_path / "checkpoints").glob("*/commit.json"):
        path.write_text("{}")
    with pytest.raises(ValueError, match="none of the 2 checkpoints of model"):
        fit(net(), blobs(), blobs(30, 1), job=Job(folder=tmp_path, resuming=True), **OPTIONS)


def test_f16_a_loss_that_is_no_number_stops_the_run():
    data = blobs()
    data.x[7] = float("nan")
    with pytest.raises(ValueError, match=r"the loss of model became nan in epoch 1: lower lr=0\.001"):
        fit(net(), data, epochs=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adm"}, "optimizer 'adm' is not one of"),
        ({"schedule": "onecycle"}, "schedule 'onecycle' is not one of"),
        ({"select": "acuracy"}, "select 'acuracy' is not one of"),
        ({"epochs": -1}, "epochs -1 must be at least 0"),
        ({"every": 0}, "every 0 must be at least 1"),
        ({"lr": float("nan")}, "lr nan must be a finite number above 0"),
        ({"average": 2.0}, "average 2.0 must be"),
        ({"name": "../x"}, "name '../x' must be one a file can have"),
        ({"watch": {"valid": None}}, "watch 'valid'"),
        ({"batch_size": 0}, "batch_size 0 must be at least 1"),
        ({"job": Job(device="gpu")}, "device 'gpu' is not one of"),
    ],
)
def test_options_that_cannot_be_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit(net(), blobs(), **options)


def test_the_stand_in_trains_as_fabric_does(monkeypatch):
    def train():
        model = net()
        fit(model, blobs(), blobs(30, 1), **OPTIONS)
        return model.state_dict()

    with_fabric = train()
    monkeypatch.setattr(devices, "_fabric_class", lambda: None)
    devices.fabric.cache_clear()
    alone = train()
    assert isinstance(devices.fabric(), devices.StandIn)
    devices.fabric.cache_clear()
    assert all(torch.equal(with_fabric[key], alone[key]) for key in alone)


def test_n27_randomness_is_a_function_of_seed_epoch_and_index_alone():
    draws = {
        (s, e, i): torch.rand(1, generator=seeds.generator(s, e, i)).item()
        for s in range(3)
        for e in range(3)
        for i in range(40)
    }
    assert len(set(draws.values())) == len(draws)
    data = Items(blobs())
    one_by_one = [data.item(i, seeds.generator(0, 4, i))[0] for i in (5, 2)]
    together, _ = batches.collect(data, torch.tensor([5, 2]), seeds.Generators(0, 4, [5, 2]))
    assert torch.equal(together, torch.stack(one_by_one))


def test_batches_cover_an_epoch_once_and_leave_no_batch_of_one():
    whole = Arrays(torch.arange(33), torch.arange(33), "a")
    made = batches.Batches(whole, 16, shuffle=True)
    sizes = [len(x) for x, _ in made.epoch(1)]
    assert sizes == [16, 17]
    assert len(made) == 2
    assert sorted(torch.cat([x for x, _ in made.epoch(2)]).tolist()) == list(range(33))
    with pytest.raises(ValueError, match="the data set is empty"):
        batches.Batches(whole.subset(torch.arange(0)), 4)


def test_predict_leaves_a_model_in_the_mode_it_was():
    model = net().train()
    outputs, targets = predict(model, blobs())
    assert model.training
    assert outputs.shape == (60, 3)
    assert torch.equal(targets, blobs().y)


# ---- metrics


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_rankings_are_those_of_scikit_learn_ties_included(pairs):
    from sklearn.metrics import average_precision_score, roc_auc_score

    scores, targets = np.array([p[0] for p in pairs]) / 5, np.array([p[1] for p in pairs]).astype(int)
    if targets.min() == targets.max():
        with pytest.raises(ValueError, match="all targets are of one class"):
            metrics.auroc(scores, targets)
        return
    assert metrics.auroc(scores, targets) == pytest.approx(roc_auc_score(targets, scores))
    assert metrics.auprc(scores, targets) == pytest.approx(average_precision_score(targets, scores))
    both = torch.stack([torch.zeros(len(scores)), torch.from_numpy(scores).float()], 1)
    assert metrics.auroc(both, targets) == pytest.approx(roc_auc_score(targets, scores), abs=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_labels_are_counted_as_scikit_learn_does(pairs):
    from sklearn.metrics import confusion_matrix, f1_score

    labels, targets = (torch.tensor([p[i] for p in pairs]) for i in (0, 1))
    n = int(max(labels.max(), targets.max())) + 1
    assert metrics.confusion(labels, targets).tolist() == confusion_matrix(targets, labels, labels=range(n)).tolist()
    assert metrics.f1(labels, targets) == pytest.approx(f1_score(targets, labels, average="macro"))
    assert metrics.accuracy(labels, targets) == pytest.approx((labels == targets).float().mean().item())


@pytest.mark.parametrize(
    ("metric", "scores", "targets", "message"),
    [
        (metrics.accuracy, [0.9, 0.1], [1, 0], r"scores of shape \(2,\) \(torch.float32\) for targets \(2,\)"),
        (metrics.accuracy, [[0.9], [0.1]], [1, 0], r"scores of shape \(2, 1\)"),
        (metrics.accuracy, [[1], [0]], [1, 0], r"scores of shape \(2, 1\)"),
        (metrics.auroc, [0.1, float("nan")], [1, 0], "1 of 2 scores are NaN"),
        (metrics.confusion, [-1, 0], [0, 1], "label -1 is not one of 2 classes"),
    ],
)
def test_scores_that_do_not_fit_are_refused_not_broadcast(metric, scores, targets, message):
    with pytest.raises(ValueError, match=message):
        metric(torch.tensor(scores), torch.tensor(targets))


def test_dice_of_label_maps():
    a, b = torch.zeros(1, 4, 4, dtype=torch.long), torch.zeros(1, 4, 4, dtype=torch.long)
    a[0, :2], b[0, 1:3] = 1, 1
    assert metrics.dice(a, b) == {1: 0.5}
    with pytest.raises(ValueError, match="accuracy of 3 scores for 2 targets"):
        metrics.accuracy(torch.zeros(3), torch.zeros(2))


# ---- checkpoints

STATE = {
    "weights": {"a": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), "empty": torch.zeros(0, 2)},
    "half": torch.ones(2, dtype=torch.bfloat16),
    "flag": torch.tensor(True),
    "list": [1, 2.5, "text", None, True, float("inf")],
    3: {"step": torch.tensor(7)},
}


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b and type(a) is type(b)


def test_a_checkpoint_holds_what_was_put_in(tmp_path):
    assert same(checkpoint.load(checkpoint.save(tmp_path / "c-1", STATE)), STATE)
    checkpoint.save(tmp_path / "c-1", {"other": 1})
    assert checkpoint.load(tmp_path / "c-1") == {"other": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c-1"]
    with pytest.raises(TypeError, match="not set"):
        checkpoint.save(tmp_path / "c-2", {"bad": {1, 2}})
    assert [path.name for path in tmp_path.iterdir()] == ["c-1"]


@examples(200)
@given(st.data())
def test_r17_any_flipped_bit_is_noticed(tmp_path_factory, data):
    path = checkpoint.save(tmp_path_factory.mktemp("flip") / "c-1", STATE)
    file = path / data.draw(st.sampled_from(["state.safetensors", "commit.json"]))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint '.*c-1' cannot be used") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


def test_f14_f18_checkpoints_are_ordered_by_number_and_a_newer_format_is_said_to_be_one(tmp_path, monkeypatch):
    for number in (9, 10, 1):
        checkpoint.save(tmp_path / f"cnn-{number}", {})
    checkpoint.save(tmp_path / "cnn-two-3", {})
    assert [path.name for path in checkpoint.numbered(tmp_path, "cnn")] == ["cnn-10", "cnn-9", "cnn-1"]
    monkeypatch.setattr(checkpoint, "VERSION", 2)
    checkpoint.save(tmp_path / "cnn-11", {})
    monkeypatch.setattr(checkpoint, "VERSION", 1)
    with pytest.raises(ValueError, match="a newer sigconv wrote it"):
        checkpoint.load(tmp_path / "cnn-11")


@pytest.mark.parametrize("call", range(12))
def test_f2_a_save_that_fails_anywhere_leaves_the_old_or_the_new(tmp_path, monkeypatch, call):
    import os

    checkpoint.save(tmp_path / "c-1", {"generation": 1})
    calls = iter(range(100))
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def failing(*args, real=real):
            if next(calls) == call:
                raise OSError(28, "No space left on device")
            return real(*args)

        monkeypatch.setattr(os, name, failing)
    try:
        checkpoint.save(tmp_path / "c-2", {"generation": 2})
    except OSError:
        assert not (tmp_path / "c-2").exists() or checkpoint.load(tmp_path / "c-2") == {"generation": 2}
    monkeypatch.undo()
    assert checkpoint.load(tmp_path / "c-1") == {"generation": 1}
    assert not list(tmp_path.glob("*.tmp"))
