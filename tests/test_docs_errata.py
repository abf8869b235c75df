"""What the lectures get wrong and the page puts right: each truth as a law, by a sum that is written out here."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

import sigconv as sc
from sigconv import explain
from sigconv.recipes import mnist, mnist1d
from sigconv.train import Job, fit

EPS = np.finfo(np.float64).eps


def drawn(*sizes):
    """Float64 arrays of these sizes."""
    generator = np.random.default_rng(0)
    return [generator.normal(size=size) for size in sizes]


def band(h, rows, columns, first):
    """H[u, t] = h[u + first − t], entry by entry; 0 outside the kernel."""
    at = lambda k: h[k] if 0 <= k < len(h) else 0.0
    return np.array([[at(u + first - t) for t in range(columns)] for u in range(rows)])


@pytest.mark.parametrize(("mode", "rows", "first"), [("full", 9, 0), ("same", 7, 1), ("valid", 5, 2)])
def test_e3_e16_only_the_circular_matrix_is_circulant_and_full_is_not_same(mode, rows, first):
    (h,) = drawn(3)
    matrix = sc.toeplitz(torch.from_numpy(h), 7, mode).numpy()
    assert np.array_equal(matrix, band(h, rows, 7, first)), "9 rows, n + m - 1, are the full convolution"
    turned = lambda one: np.array_equal(one, np.stack([np.roll(one[0], u) for u in range(one.shape[1])]))
    assert not turned(matrix)
    around = sc.toeplitz(torch.from_numpy(h), 7, "same", padding_mode="circular").numpy()
    assert turned(around)
    assert np.array_equal(around[1:-1], sc.toeplitz(torch.from_numpy(h), 7, "same").numpy()[1:-1])


def test_e5_the_sum_over_two_axes_that_the_slides_leave_out():
    f, h = drawn((4, 5), (3, 2))
    wanted = np.zeros((6, 6))
    for u, v in np.ndindex(wanted.shape):
        for s, t in np.ndindex(f.shape):
            if 0 <= u - s < 3 and 0 <= v - t < 2:
                wanted[u, v] += f[s, t] * h[u - s, v - t]
    bound = 6 * EPS * np.abs(f).max() * np.abs(h).sum()
    assert np.abs(sc.convolve(f, h) - wanted).max() < bound


def test_e6_convolution_commutes_and_cross_correlation_does_not():
    f, h = drawn(8, 3)
    bound = 8 * EPS * np.abs(f).max() * np.abs(h).sum()
    assert np.abs(sc.convolve(f, h) - sc.convolve(h, f)).max() < bound
    one, other = sc.correlate(f, h), sc.correlate(h, f)
    assert np.abs(one - other).max() > 0.1
    assert np.abs(one - other[::-1]).max() < bound


def test_e13_no_single_network_of_the_recipe_is_given_the_vote_of_five():
    published = [rung.published for rung in mnist.RUNGS.values()]
    assert max(published) == 0.9960 < 0.9967


def test_e17_the_usual_loss_is_cross_entropy_over_the_classes_not_one_of_each():
    x, y = torch.randn(40, 3), torch.arange(40) % 4
    net, some = nn.Linear(3, 4), TensorDataset(x, y)
    with torch.no_grad():
        chances = net(x).double().exp()
    chances /= chances.sum(1, keepdim=True)
    wanted = float(-chances[torch.arange(40), y].log().mean())
    each = float(F.binary_cross_entropy(chances, F.one_hot(y, 4).double()))
    assert abs(wanted - each) > 0.1
    (row,) = fit(net, some, some, epochs=1, lr=1e-9, job=Job(seed=0))
    assert (row["train_loss"], row["valid_loss"]) == (pytest.approx(wanted, rel=1e-5),) * 2


def test_e17_a_dense_layer_of_d_squared_weights_sums_over_all_d():
    layer = nn.Linear(5, 5, dtype=torch.float64)
    assert sc.describe(layer, (1, 5)).parameters == 5 * 5 + 5
    (x,) = drawn((2, 5))
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    wanted = np.array([[sum(weight[i, j] * row[j] for j in range(5)) + bias[i] for i in range(5)] for row in x])
    assert np.abs(layer(torch.from_numpy(x)).detach().numpy() - wanted).max() < 6 * EPS * np.abs(wanted).max() + 1e-14


def test_e18_stochastic_pooling_draws_by_shares_and_zeros_stay_zero():
    window = torch.tensor([[[1.0, 3.0, 0.0, 4.0, -2.0]]], dtype=torch.float64)
    share = np.array([1, 3, 0, 4, 0]) / 8  # what is negative counts as 0
    draws = 20_000
    generator = torch.Generator().manual_seed(0)
    found = sc.stochastic_pool(window.expand(draws, 1, 5), 5, generator=generator).flatten().numpy()
    for value, p in zip((1.0, 3.0, 4.0), share[[0, 1, 3]], strict=True):
        assert abs((found == value).mean() - p) < 5 * np.sqrt(p * (1 - p) / draws)
    assert set(found) == {1.0, 3.0, 4.0}
    mean = sc.stochastic_pool(window, 5, training=False)
    assert float(mean) == pytest.approx((1 + 9 + 16) / 8, rel=4 * EPS)
    for training in (True, False):
        zeros = torch.zeros(2, 1, 6, dtype=torch.float64, requires_grad=True)
        answer = sc.stochastic_pool(zeros, 3, training=training)
        (back,) = torch.autograd.grad(answer.sum(), zeros)
        assert answer.eq(0).all()
        assert back.eq(0).all()


def test_e20_around_a_circle_every_linear_map_that_does_not_mind_shifts_is_a_convolution():
    """Any matrix, averaged over all shifts before and their undoing after, is such a map; there is no other."""
    (any_map, f) = drawn((7, 7), 7)
    invariant = sum(np.roll(any_map, (s, s), (0, 1)) for s in range(7)) / 7
    h = invariant[:, 0]  # its answer to an impulse at 0
    wanted = np.array([sum(f[t] * h[(u - t) % 7] for t in range(7)) for u in range(7)])
    assert np.abs(invariant @ f - wanted).max() < 50 * EPS
    x, w = torch.from_numpy(f)[None, None], torch.from_numpy(h)[None, None]
    found = sc.conv(x, w, padding=(6, 0), padding_mode="circular", flip=True)[0, 0].numpy()
    assert np.abs(found - wanted).max() < 50 * EPS
    assert np.abs(any_map @ f - wanted).max() > 0.1, "one that minds is no convolution"


def test_e21_the_integrals_of_two_bells_are_at_the_sum_and_the_difference_of_their_places():
    """∫ f(t − τ) g(τ) dτ of Gaussians is one of the summed places and variances; ∫ f(t + τ) g(τ) dτ of f's less g's."""
    step = 1 / 64
    time = np.arange(-8, 8, step)
    bell = lambda t, place, width: np.exp(-((t - place) ** 2) / (2 * width**2)) / (width * np.sqrt(2 * np.pi))
    f, g = bell(time, 1.0, 0.5), bell(time, 0.5, 0.4)
    width = np.hypot(0.5, 0.4)
    lags = np.arange(-len(time) + 1, len(time)) * step
    convolved = sc.convolve(f, g) * step
    assert np.abs(convolved - bell(lags - step, 1.5, width)).max() < 1e-9  # both grids begin at −8, so −16
    correlated = sc.correlate(f, g) * step
    assert np.abs(correlated - bell(lags, 0.5, width)).max() < 1e-9


def test_e22_what_allows_shared_weights_is_stationary_and_need_not_be_ergodic():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 1, 40, generator=generator, dtype=torch.float64)
    near = F.avg_pool1d(F.pad(noise, (4, 0), mode="circular"), 5, 1)
    levels = 3 * torch.randn(200, 1, 1, generator=generator, dtype=torch.float64)
    level = near + levels  # each item's mean over time is its own: stationary, and not ergodic
    assert level.mean(2).std() > 2
    assert explain.suitability(level).suited
    ramp = torch.linspace(0, 4, 40, dtype=torch.float64)
    place = ramp * near + 2 * ramp  # how much there is to be seen hangs on the place
    assert not explain.suitability(place).suited


def test_e24_the_full_run_is_the_lectures_and_not_the_notebooks(monkeypatch):
    asked = []

    def captured(net, train, valid, **options):
        asked.append(options | {"size": len(train)})
        return []

    monkeypatch.setattr(mnist1d, "fit", captured)
    monkeypatch.setattr(mnist1d, "evaluate", lambda *some, **options: {"accuracy": 0.0})
    monkeypatch.setattr(sc.train.Job, "picture", lambda *some: None)
    mnist1d.lecture(Job(), True, "relu", {})
    assert len(asked) == 3
    for options in asked:
        assert (options["optimizer"], options["lr"], options["momentum"]) == ("sgd", 0.01, 0.0), "not 0.05 with 0.9"
        assert options.get("schedule") in (None, "constant"), "no rate that is halved"
        assert options["epochs"] * options["size"] / options["batch_size"] == 100_000, "not 100 epochs"
