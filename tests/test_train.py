"""Training: the loop learns, chooses, resumes to the bit; metrics are scikit-learn's; checkpoints notice damage."""

import json
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sigconv.datasets._parts import Arrays
from sigconv.train import Job, batches, devices, evaluate, feeding, fit, metrics, predict, seeds
from sigconv.transforms import augment
from sigconv.transforms.augment import collected


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
        fit(nn.Linear(2, 3), blobs(), epochs=1, job=Job(folder=tmp_path / "new" / "run", resuming=True))
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
        ({"job": Job(strategy="dp")}, "strategy 'dp' is not one of"),
        ({"job": Job(strategy="fsdp")}, "strategy 'fsdp' shares a model among processes: start them by torchrun"),
        ({"job": Job(precision="bf32")}, "precision 'bf32' is not one of"),
        ({"job": Job(precision="16", device="cpu")}, "precision '16' needs a CUDA device"),
        ({"job": Job(workers=-1)}, "workers -1 must be at least 0"),
        ({"accumulate": 0}, "accumulate 0 must be at least 1"),
        ({"bad_steps": -1}, "bad_steps -1 must be at least 0"),
        ({"clip": float("inf")}, "clip inf must be a finite number"),
        ({"label_smoothing": 1.0}, "label_smoothing 1.0 must be"),
        ({"label_smoothing": 0.1, "loss": nn.MSELoss()}, "label_smoothing 0.1 is for the usual loss"),
    ],
)
def test_options_that_cannot_be_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit(net(), blobs(), **options)


def test_fabric_trains_to_the_bits_of_torch_alone(monkeypatch):
    def train():
        model = net()
        fit(model, blobs(), blobs(30, 1), **OPTIONS)
        return model.state_dict()

    alone = train()
    assert isinstance(Job().fabric(), devices.StandIn)
    fabric = pytest.importorskip("lightning_fabric").Fabric(accelerator="cpu", devices=1)
    monkeypatch.setattr(devices, "fabric", lambda *options: fabric)
    with_fabric = train()
    assert all(torch.equal(with_fabric[key], alone[key]) for key in alone)


@pytest.mark.parametrize("parts", [2, 3, 16])
def test_a_step_in_parts_is_the_step(parts):
    def weights(**options):
        model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3)).double()
        torch.manual_seed(0)
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        data = Arrays(blobs().x.double(), blobs().y, "abc")
        fit(model, data, epochs=2, lr=0.1, batch_size=16, optimizer="sgd", **options)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    torch.testing.assert_close(weights(accumulate=parts), weights(), atol=1e-13, rtol=1e-12)


def test_clip_keeps_the_norm_of_the_gradients_below_it():
    model = nn.Linear(2, 3)
    before = [p.detach().clone() for p in model.parameters()]
    fit(model, blobs(), epochs=1, lr=1.0, batch_size=60, optimizer="sgd", clip=1e-3)
    moved = torch.cat([(p - q).flatten() for p, q in zip(model.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_label_smoothing_is_torchs():
    rows = [
        fit(net(), blobs(), blobs(), epochs=2, **options)[-1]
        for options in ({"label_smoothing": 0.2}, {"loss": nn.CrossEntropyLoss(label_smoothing=0.2)})
    ]
    assert rows[0]["valid_loss"] == rows[1]["valid_loss"]


def test_a_compiled_model_trains_as_the_model_does():
    def losses(compiled):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3))
        return [row["valid_loss"] for row in fit(model, blobs(), blobs(30, 1), job=Job(compile=compiled), **OPTIONS)]

    assert losses(True) == pytest.approx(losses(False), rel=1e-3)


def test_bfloat16_on_the_cpu_learns_and_answers_in_float32():
    model = net()
    rows = fit(model, blobs(), blobs(30, 1), job=Job(precision="bf16"), **OPTIONS)
    assert rows[-1]["valid_accuracy"] > 0.8
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32, torch.int64}


def test_profile_leaves_a_trace_and_says_what_took_longest(tmp_path):
    job = Job(folder=tmp_path, profile=True)
    fit(net(), blobs(), epochs=8, batch_size=16, job=job)
    trace = json.loads((tmp_path / "trace_model.json").read_text())
    assert any("addmm" in event.get("name", "") for event in trace["traceEvents"])
    assert "addmm" in (tmp_path / "log.txt").read_text()
    assert not list(tmp_path.glob(".*tmp"))


def test_the_mean_of_the_weights_is_torchs():
    from torch.optim.swa_utils import AveragedModel

    from sigconv.train.steps import Average

    model = net()
    ours = Average(model, 0.9)
    follow = lambda mean, value, n: torch.lerp(mean, value, float(1 - min(0.9, (1 + n) / (10 + n))))
    theirs = AveragedModel(model, avg_fn=follow)
    for step in range(30):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step)))
        ours.follow()
        theirs.update_parameters(model)
    for name, value in theirs.module.named_parameters():
        torch.testing.assert_close(ours.means[name], value, atol=1e-6, rtol=1e-6)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with ours.inside():
        assert torch.equal(model[0].weight, ours.means["0.weight"])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores, on purpose
@pytest.mark.parametrize("workers", [1, 4])
def test_n27_workers_change_no_bit_and_draw_nothing_twice(workers):
    def seen(workers):
        made = batches.Batches(Items(blobs()), 16, seed=3, shuffle=True, workers=workers)
        return [torch.cat([x for ((x, _, _),) in made.epoch(epoch)]) for epoch in (1, 2, 3)]

    before = torch.get_rng_state()
    found = seen(workers)
    assert torch.equal(torch.get_rng_state(), before), "workers draw nothing from the training's own generator"
    assert all(torch.equal(one, other) for one, other in zip(found, seen(0), strict=True))
    assert len(torch.cat(found).unique(dim=0)) == 3 * 60


def test_batches_on_their_way_to_a_device_keep_their_order_and_pass_errors_on(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    pairs = [(torch.full((2,), float(n)), torch.tensor([n, n])) for n in range(20)]
    found = [*feeding._moved(iter(pairs), torch.device("cpu"))]
    assert [int(y[0]) for _, y in found] == list(range(20))

    def failing():
        yield pairs[0]
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        [*feeding._moved(failing(), torch.device("cpu"))]


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
    together, _ = collected(data, torch.tensor([5, 2]), seeds.Generators(0, 4, [5, 2]))
    assert torch.equal(together, torch.stack(one_by_one))


def test_batches_cover_an_epoch_once_and_leave_no_batch_of_one():
    whole = Arrays(torch.arange(33), torch.arange(33), "a")
    made = batches.Batches(whole, 16, shuffle=True)
    sizes = [len(x) for ((x, _, _),) in made.epoch(1)]
    assert sizes == [16, 17]
    assert len(made) == 2
    assert sorted(torch.cat([x for ((x, _, _),) in made.epoch(2)]).tolist()) == list(range(33))
    assert torch.equal(next(made.epoch(2, first=1))[0].x, [*made.epoch(2)][1][0].x)
    with pytest.raises(ValueError, match="the data set is empty"):
        batches.Batches(whole.subset(torch.arange(0)), 4)


@pytest.mark.parametrize(("numbers", "most"), [(1, 512), (1 << 14, 64), (1 << 21, 1)])
def test_predict_answers_few_large_items_at_a_time_and_all_of_them_in_order(numbers, most):
    x = torch.arange(700 if numbers == 1 else 130 if most > 1 else 3).float()[:, None].expand(-1, numbers)
    seen = []

    class Firsts(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x[:, :1]

    outputs, targets = predict(Firsts(), Arrays(x, x[:, 0].long(), ()))
    assert max(seen) == most
    assert sum(seen) == len(x)
    assert torch.equal(outputs[:, 0], x[:, 0])
    assert torch.equal(targets, x[:, 0].long())
    with pytest.raises(ValueError, match="batch_size 0 must be at least 1"):
        predict(Firsts(), Arrays(x, x[:, 0].long(), ()), batch_size=0)


def test_predict_leaves_a_model_in_the_mode_it_was():
    model = net().train()
    outputs, targets = predict(model, blobs())
    assert model.training
    assert outputs.shape == (60, 3)
    assert torch.equal(targets, blobs().y)


def test_every_fit_of_a_run_has_a_name_of_its_own(tmp_path):
    job = Job(folder=tmp_path)
    fit(net(), blobs(), epochs=1, job=job, name="fold[1]")
    for name in ("fold[1]", "model"):
        with pytest.raises(ValueError, match=f"has trained '{re.escape(name)}' already|name 'model' is the file of"):
            fit(net(), blobs(), epochs=1, job=job, name=name)
    fit(net(), blobs(), epochs=1, job=job, name="fold[2]")
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {"model.safetensors", "fold[2].safetensors"}
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_a_part_of_a_step_has_two_items_at_least():
    made = batches.Batches(blobs(7), 5, parts=4, shuffle=True)
    assert [[len(batch.x) for batch in step] for step in made.epoch(1)] == [[3, 2], [2]]
    assert all(sum(batch.share for batch in step) == pytest.approx(1) for step in made.epoch(1))
    fit(net(), blobs(), epochs=1, batch_size=16, accumulate=16)  # its batch norm needs two


def test_items_are_made_in_full_precision_whatever_the_model_runs_in():
    seen = set()

    class Filtered(Items):
        def item(self, index, generator):
            x, y = super().item(index, generator)
            x = torch.eye(2) @ x
            seen.add(x.dtype)
            return x, y

    fit(net(), Filtered(blobs()), Filtered(blobs(30, 1)), epochs=1, job=Job(precision="bf16"))
    assert seen == {torch.float32}


def test_a_loss_with_parameters_and_an_optimizer_of_many_looks_are_refused():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, outputs, targets):
            return self.scale * nn.functional.cross_entropy(outputs, targets)

    with pytest.raises(ValueError, match="loss Scaled has parameters of its own: make them a part of the model"):
        fit(net(), blobs(), epochs=1, loss=Scaled())
    with pytest.raises(ValueError, match="optimizer LBFGS asks for the loss many times a step"):
        fit(net(), blobs(), epochs=1, optimizer=lambda parameters: torch.optim.LBFGS(parameters))


def test_sparse_gradients_and_complex_weights_are_trained_and_averaged():
    table = nn.Sequential(nn.EmbeddingBag(5, 3, sparse=True))
    data = Arrays(torch.arange(20)[:, None] % 5, torch.arange(20) % 3, "abc")
    before = table[0].weight.detach().clone()
    fit(table, data, epochs=1, optimizer=lambda parameters: torch.optim.SparseAdam(list(parameters), lr=0.1))
    assert not torch.equal(table[0].weight, before)

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(2, 3, dtype=torch.complex64))

        def forward(self, x):
            return (x.to(torch.complex64) @ self.weight).abs()

    models = []
    for average in (0.0, 0.9):
        torch.manual_seed(0)
        models.append(Turned())
        fit(models[-1], blobs(), blobs(30, 1), epochs=2, lr=0.1, batch_size=16, average=average)
    assert not torch.equal(models[0].weight, models[1].weight)


def test_f16_a_validation_loss_that_is_no_number_stops_the_training_and_is_told():
    spoilt = blobs(30, 1)
    spoilt.x[7] = math.nan
    with pytest.raises(
        ValueError, match=r"validation loss of model is no number in epoch 1, .* look at the validation"
    ):
        fit(net(), blobs(), spoilt, epochs=1, lr=0.1, batch_size=16)


def test_torchs_own_data_sets_and_lists_of_pairs_will_do(tmp_path):
    whole = blobs()
    losses = []
    for data in (
        whole,
        torch.utils.data.TensorDataset(whole.x, whole.y),
        [*zip(whole.x, whole.y.tolist(), strict=True)],
    ):
        losses.append(
            [row["valid_loss"] for row in fit(net(), data, data, job=Job(folder=tmp_path / str(len(losses))))]
        )
    assert losses[0] == losses[1] == losses[2]
    for wrong, kinds in (([(whole.x[0], None)] * 3, "Tensor, NoneType"), ([{"x": 1}] * 3, "dict")):
        with pytest.raises(ValueError, match=f"is .*{kinds}.*: expected .x, y., two tensors or numbers"):
            fit(net(), wrong, epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": nn.CrossEntropyLoss(reduction="sum"), "accumulate": 2}, "needs a plain mean over its items"),
        ({"loss": nn.CrossEntropyLoss(weight=torch.ones(3)), "accumulate": 2}, "needs a plain mean over its items"),
        ({"optimizer": lambda p: torch.optim.SGD([*p, nn.Parameter(torch.ones(1))], 0.1)}, "that are not the model's"),
        ({"batch_size": 2.5}, "batch_size 2.5 must be a whole number"),
        ({"epochs": 1.5}, "epochs 1.5 must be a whole number"),
        ({"lr": "fast"}, "lr 'fast' must be a number"),
        ({"name": "x" * 300}, "must be one a file can have"),
        ({"name": "a\0b"}, "must be one a file can have"),
    ],
)
def test_what_would_go_wrong_later_is_refused_first(options, message):
    with pytest.raises(ValueError, match=message):
        fit(net(), blobs(), **options)
    frozen = net().requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter of the model is to be trained"):
        fit(frozen, blobs())


def test_a_profile_of_too_few_steps_says_so(tmp_path, capsys):
    fit(net(), blobs(), epochs=1, batch_size=16, job=Job(folder=tmp_path, profile=True))
    assert "no trace of model: it took fewer than 22 steps" in capsys.readouterr().err


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
