"""The lectures' experiments and exercises (EX) that are small enough to be run as they stand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import sigconv as sc
from sigconv import models
from sigconv.datasets import mnist1d
from sigconv.recipes import mnist1d as recipe
from sigconv.train import evaluate, fit
from sigconv.train.devices import threads


def test_ex1_forty_samples_in_ten_classes_out_four_thousand_to_train_with():
    train, valid, test = mnist1d.load()
    assert (len(train) + len(valid), len(test), train.x.shape[1:]) == (4000, 1000, (1, 40))
    with torch.no_grad():
        answer = models.build("mnist1d")(train.x[:2])
    assert answer.softmax(1).sum(1).tolist() == pytest.approx([1, 1])
    assert answer.shape == (2, 10)


def test_ex2_the_dense_baseline_learns_its_data_by_heart_and_errs_on_others():
    train, _, test = mnist1d.load()
    torch.manual_seed(0)
    model = models.build("mnist1d:mlp")
    with threads(1):
        rows = fit(model, train, epochs=150, lr=0.1, batch_size=100, optimizer="sgd", every=150)
    assert rows[-1]["step"] == 150 * 36  # 3,600 samples: a tenth is held back
    assert evaluate(model, train)["accuracy"] > 0.95
    assert 0.5 < evaluate(model, test)["accuracy"] < 0.7


class Captured(Exception):  # noqa: N818
    """What a recipe would have trained with."""


def test_ex3_ex4_ex5_the_full_run_is_the_lectures(monkeypatch):
    """100,000 steps of SGD without momentum, lr 0.01, batch 100, on all 4,000; both nets, train and test watched."""
    seen = []

    def capture(model, train, valid, **options):
        seen.append((model, train, valid, options))
        return []

    monkeypatch.setattr(recipe, "fit", capture)
    monkeypatch.setattr(recipe, "evaluate", lambda *args, **options: {"accuracy": 0.0})
    monkeypatch.setattr(sc.train.Job, "picture", lambda *args: None)
    recipe.lecture(sc.train.Job(), True, "relu", {})
    for (_, train, valid, options), parameters in zip(seen, (2_050, 59_065, 2_050), strict=True):
        assert sum(p.numel() for p in _.parameters()) == parameters
        assert (len(train), valid) == (4000, None)
        assert options["epochs"] * len(train) / options["batch_size"] == 100_000
        assert (options["optimizer"], options["lr"], options["momentum"]) == ("sgd", 0.01, 0.0)
        assert set(options["watch"]) == {"train", "test"}


def test_ex14_a_squared_error_stalls_where_cross_entropy_does_not():
    """A confident mistake: behind a saturated unit the squared error's gradient vanishes, cross-entropy's does not."""
    score = torch.tensor([[10.0, -10.0]], requires_grad=True)
    target = torch.tensor([1])
    squared = F.mse_loss(torch.sigmoid(score), F.one_hot(target, 2).float())
    (slow,) = torch.autograd.grad(squared, score)
    (fast,) = torch.autograd.grad(F.cross_entropy(score, target), score)
    assert slow.abs().max() < 1e-4
    assert fast.abs().max() > 0.99
    train, valid, _ = mnist1d.load()
    loss = lambda outputs, y: F.mse_loss(outputs, F.one_hot(y, 10).float())  # Gaussian noise
    rows = fit(models.build("mnist1d"), train, valid, epochs=2, lr=0.01, loss=loss)
    assert rows[-1]["valid_loss"] < rows[0]["valid_loss"]


def test_ex16_a_kernel_over_four_direction_maps_shows_the_shape_it_looks_for():
    """Its weights are near 1 in the map of the direction drawn at a place, near -1 in the others: argmax reads it."""
    generator = torch.Generator().manual_seed(0)
    shape = torch.tensor([[0, 1, 1, 1, 3], [0, 1, 2, 3, 3], [0, 0, 2, 2, 3], [1, 0, 2, 3, 3], [1, 1, 0, 2, 2]])
    drawn = F.one_hot(shape, 4).movedim(-1, 0).float()[None]
    others = F.one_hot(torch.randint(0, 4, (400, 5, 5), generator=generator), 4).movedim(-1, 1).float()
    nearly = drawn.expand(400, -1, -1, -1).clone()  # the shape with some places turned
    turned = torch.rand(400, 1, 5, 5, generator=generator) < 0.2
    nearly = torch.where(turned, others, nearly)
    layer = sc.Conv2d(4, 1, 5)
    steps = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(500):
        kernel = torch.tanh(layer.weight)  # between -1 and 1
        scores = 0.1 * torch.cat([sc.conv(x, kernel, layer.bias).flatten() for x in (nearly, others)])
        loss = F.binary_cross_entropy_with_logits(scores, torch.arange(800).lt(400).float())
        steps.zero_grad()
        loss.backward()
        steps.step()
    kernel = torch.tanh(layer.weight.detach())[0]
    assert torch.equal(kernel.argmax(0), shape)
    assert kernel.gather(0, shape[None]).min() > 0.8
    assert kernel.scatter(0, shape[None], -1.0).max() < 0


def nearest(rows, labels, queries):
    """The label of the row nearest to each query."""
    return labels[torch.cdist(queries.flatten(1), rows.flatten(1)).argmin(1)]


def test_ex17_neighbours_by_learned_features_are_of_a_kind_and_a_head_learns_to_measure_from_them():
    """What a net learned by naming serves a nearest neighbour far better than pixels, and a new head: how large?"""
    train, valid, test = mnist1d.load()
    torch.manual_seed(0)
    with threads(1):
        model = nn.Sequential(*models.build("mnist1d", width=2))
        fit(model, train, valid, epochs=40, lr=5e-3, batch_size=100, schedule="one-cycle")
    trunk = model[:-1].requires_grad_(False)
    seen, asked = trunk(train.x), trunk(test.x)
    by_features = (nearest(seen, train.y, asked) == test.y).float().mean()
    by_samples = (nearest(train.x, train.y, test.x) == test.y).float().mean()
    assert by_features > by_samples + 0.15
    loudness = lambda x: x.std((1, 2), keepdim=True)[:, 0]
    head = nn.Linear(seen.shape[1], 1)
    steps = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(300):
        steps.zero_grad()
        F.mse_loss(head(seen), loudness(train.x)).backward()
        steps.step()
    left = F.mse_loss(head(asked), loudness(test.x)) / loudness(test.x).var()
    assert left < 0.6  # of the variance


def test_ac4_stages_stand_in_any_order():
    pooled_first = nn.Sequential(sc.Conv2d(1, 3, 3), sc.MaxPool(2), nn.ReLU())
    relu_first = nn.Sequential(pooled_first[0], nn.ReLU(), pooled_first[1])
    x = torch.randn(1, 1, 9, 9)
    torch.testing.assert_close(pooled_first(x), relu_first(x))  # a maximum commutes with what rises
    mean_first = nn.Sequential(pooled_first[0], sc.AvgPool(2), nn.ReLU())
    assert not torch.allclose(mean_first(x), nn.Sequential(pooled_first[0], nn.ReLU(), sc.AvgPool(2))(x))
