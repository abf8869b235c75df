"""Inputs that say what a network looks for: fantasies, strongest patches, nearest neighbours, tuning curves."""

import inspect
import itertools
import math

import numpy as np
import pytest
import strategies
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import sigconv as sc
from sigconv import explain
from sigconv.filters import gabor, gaussian


def drawn(model, seed=0):
    """The model with parameters drawn anew by a seed, in float64."""
    generator = torch.Generator().manual_seed(seed)
    for p in model.double().parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def linear(size, classes=3, seed=0):
    return drawn(nn.Sequential(nn.Flatten(), nn.Linear(math.prod(size), classes)), seed)


def variation(x, ndim):
    """The sum of absolute differences of neighbours, by hand."""
    x = x.numpy()
    return sum(np.abs(np.diff(x, axis=axis)).sum() for axis in range(x.ndim - ndim, x.ndim))


def worth(model, x, target, penalty, total_variation=0.0):
    """J of one input."""
    with torch.no_grad():
        score = model.eval()(x[None])[0, target].item()
    return score - penalty * x.square().sum().item() - total_variation * variation(x, x.ndim - 1)


@pytest.fixture(scope="module")
def trained():
    """A small network that tells apart in which quarter of a field a bright row lies, and its data."""
    x, y = 0.3 * noise(200, 1, 12, 12, dtype=torch.float32), torch.arange(200) % 4
    for row, place in enumerate(y.tolist()):
        x[row, 0, 3 * place + 1] += 1
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(), nn.Linear(128, 4))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model, x, y


@pytest.mark.parametrize("size", [(2, 5), (1, 4, 3), (2, 3, 2, 2), (1, 2, 3, 2, 2)], ids=str)
@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_vz4_a_linear_models_fantasy_is_its_weight_over_twice_the_penalty(size, penalty):
    model = linear(size)
    found = explain.fantasy(model, size, [2, 0], penalty, steps=60)
    expected = model[1].weight.detach()[[2, 0]].view(2, *size) / (2 * penalty)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_vz4_a_fantasy_is_what_its_class_likes_best_of_all(trained):
    model, x, y = trained
    found = explain.fantasy(model, (1, 12, 12), [0, 1, 2, 3], 0.02)
    assert found.shape == (4, 1, 12, 12)
    with torch.no_grad():
        logits = model.eval()(found)
        assert logits.argmax(1).tolist() == [0, 1, 2, 3]
        assert (logits.diag() > model(x).amax(0)).all()
    for target in range(4):
        start = 0.01 * noise(1, 12, 12).float()
        best = max(worth(model, one, target, 0.02) for one in x[y == target])
        assert worth(model, found[target], target, 0.02) > max(best, worth(model, start, target, 0.02))


def test_vz4_more_steps_are_never_worse_and_each_class_climbs_by_itself(trained):
    model, _, _ = trained
    values = [worth(model, explain.fantasy(model, (1, 12, 12), 1, steps=n), 1, 0.01) for n in (1, 4, 16, 64)]
    assert values == sorted(values)
    both = explain.fantasy(model, (1, 12, 12), [3, 1], steps=10)
    torch.testing.assert_close(both[1], explain.fantasy(model, (1, 12, 12), 1, steps=10), rtol=1e-4, atol=1e-4)


def test_vz4_total_variation_smooths_a_fantasy_and_rises_above_one_without(trained):
    model, _, _ = trained
    rough, smooth = (explain.fantasy(model, (1, 12, 12), 2, 0.05, total_variation=w, steps=100) for w in (0.0, 0.05))
    assert variation(smooth, 2) < 0.5 * variation(rough, 2)
    assert worth(model, smooth, 2, 0.05, 0.05) > worth(model, rough, 2, 0.05, 0.05)


@given(ndim=st.integers(1, 4), weight=st.floats(0.05, 3), seed=st.integers(0, 99))
@strategies.examples(10)
def test_vz4_with_total_variation_a_linear_models_fantasy_is_the_best_there_is(ndim, weight, seed):
    size = (1, *(4, 3, 3, 2)[:ndim])
    model = linear(size, 1, seed)
    found = explain.fantasy(model, size, 0, 0.5, total_variation=weight, steps=25)
    best = worth(model, found, 0, 0.5, weight)
    for number, far in enumerate((1.0, 0.1, 0.03) * 10):  # J is concave: what is best nearby is best of all
        assert worth(model, found + far * noise(*size, seed=number), 0, 0.5, weight) < best + 1e-3
    assert worth(model, torch.zeros_like(found), 0, 0.5, weight) <= best + 1e-3


def test_vz4_jitter_lowers_the_variation_of_a_linear_fantasy():
    model = linear((1, 10, 10))
    still, moved = (explain.fantasy(model, (1, 10, 10), 0, jitter=n, steps=40) for n in (0, 3))
    assert variation(moved, 2) < variation(still, 2)
    assert not torch.equal(still, moved)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_vz4_a_channels_fantasy_is_the_closed_form_of_its_mean(ndim):
    model = drawn(nn.Sequential(sc.Conv(2, 3, 2, ndim=ndim), nn.ReLU(inplace=True)))
    size = (2, *[4] * ndim)
    found = explain.fantasy(model, size, [1], 0.1, steps=60, node="0")
    x = torch.zeros(1, *size, dtype=torch.float64, requires_grad=True)
    model[0](x)[:, 1].mean().backward()
    torch.testing.assert_close(found, x.grad / 0.2, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid()], ids=lambda m: type(m).__name__)
def test_vz4_the_score_is_taken_before_a_last_softmax(last):
    model = linear((1, 6))
    found = explain.fantasy(nn.Sequential(model, last), (1, 6), 1, steps=30)
    assert torch.equal(found, explain.fantasy(model, (1, 6), 1, steps=30))


def test_vz4_the_same_seed_gives_the_same_bits_and_the_model_is_left_as_it_was(trained):
    model, x, _ = trained
    model.train()
    model[3].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    made = [explain.fantasy(model, (1, 12, 12), 0, jitter=2, steps=5, seed=seed) for seed in (3, 3, 4)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert torch.equal(torch.get_rng_state(), state)
    explain.top_patches(model, x[:20], "3", k=2)
    explain.features(model, x[:20], "3")
    explain.tuning_curve(model, x[:20], "3")
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.requires_grad == (name != "3.weight") for name, p in model.named_parameters())
    model[3].weight.requires_grad_(True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_vz4_a_start_is_begun_with_and_not_written_to():
    model, start = linear((1, 5)), noise(1, 5).numpy()
    kept = start.copy()
    found = explain.fantasy(model, (1, 5), 0, 1e3, lr=1e-9, steps=1, start=start)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, start, atol=1e-5)
    assert not np.shares_memory(found, start)
    assert np.array_equal(start, kept)
    with torch.inference_mode():
        assert explain.fantasy(model, (1, 5), 0, steps=2).shape == (1, 5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"penalty": -1}, "penalty -1 must"),
        ({"lr": 0}, "lr 0 must"),
        ({"total_variation": math.nan}, "total_variation nan"),
        ({"target": 7}, "target 7"),
        ({"target": []}, "names no class"),
        ({"start": np.zeros(3)}, "start has shape"),
        ({"node": "nine"}, "node 'nine'"),
        ({"start": np.full((1, 5), np.nan)}, "not finite"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_a_fantasy_that_cannot_be_is_said_in_one_line(options, said):
    with pytest.raises(ValueError, match=said) as caught:
        explain.fantasy(linear((1, 5)), (1, 5), **{"target": 0, **options})
    assert "\n" not in str(caught.value)


class Branched(nn.Module):
    """Two strands that see unlike much, joined: one of them in steps, then both pooled."""

    def __init__(self, ndim):
        super().__init__()
        self.first = sc.Conv(2, 3, 3, ndim=ndim, stride=2)
        self.wide, self.narrow = sc.Conv(3, 2, 3, ndim=ndim), sc.Conv(3, 2, 1, ndim=ndim)
        self.norm = nn.Identity()
        self.pool = sc.MaxPool(2, 1)

    def forward(self, x):
        x = self.first(x).relu_()
        narrow = self.narrow(x)[(..., *[slice(1, -1)] * (x.ndim - 2))]
        return self.pool(self.norm(torch.cat([self.wide(x), narrow], 1)))


@pytest.mark.parametrize(("ndim", "size"), [(1, 21), (2, 15), (3, 12), (4, 11)])
@pytest.mark.parametrize("node", ["first", "wide", "norm", "pool", ""])
def test_vz6_a_crop_alone_is_answered_with_its_value(ndim, size, node):
    model, x = drawn(Branched(ndim)), noise(5, 2, *[size] * ndim)
    found = explain.top_patches(model, x, node, k=3, batch_size=2)
    inside = dict(model.named_modules())[node]
    seen = []
    handle = inside.register_forward_hook(lambda module, given, out: seen.append(out.detach().clone()))
    with torch.no_grad():
        model(x)
        whole = seen.pop()
        for channel, patches in enumerate(found):
            best = whole[:, channel].flatten(1).amax(1)
            order = best.argsort(descending=True)[:3]
            assert [p.item for p in patches] == order.tolist()
            for patch in patches:
                assert patch.channel == channel
                assert patch.value == pytest.approx(best[patch.item].item(), abs=1e-12)
                assert torch.equal(patch.crop, x[(patch.item, slice(None), *patch.where)])
                try:
                    model(patch.crop[None])
                except (ValueError, RuntimeError):  # behind the layer asked for, a crop may be too small
                    assert node in ("first", "wide", "norm")
                again = seen.pop()
                assert again.shape[2:] == (1,) * ndim
                assert again[0, channel].item() == pytest.approx(patch.value, rel=1e-10, abs=1e-10)
    handle.remove()


def test_vz6_what_lies_beyond_the_ends_is_zero_in_a_crop_and_not_in_where():
    model = drawn(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False)))
    model[0].weight.data = torch.tensor([[[[0.0, 0, 0], [0, 1, 0], [0, 2, 0]]]], dtype=torch.float64)
    x = torch.zeros(1, 1, 5, 6, dtype=torch.float64)
    x[0, 0, 0, 5], x[0, 0, 1, 5], x[0, 0, 1, 4] = 3, 4, 1
    ((patch,),) = explain.top_patches(model, x, "0", k=4)
    assert patch == (0, 0, 11.0, (slice(0, 2), slice(4, 6)), patch.crop, ((1, 0), (0, 1)))
    assert torch.equal(patch.cut(x[0]), patch.crop)
    assert patch.crop.tolist() == [[[0, 0, 0], [0, 3, 0], [1, 4, 0]]]
    assert model(patch.crop[None])[0, 0, 1, 1].item() == patch.value


class Items:
    """A data set as sigconv's are: item(index, generator) -> (x, y)."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def item(self, index, generator=None):
        assert isinstance(generator, torch.Generator)
        return self.x[index], torch.tensor(0)


def test_vz6_data_may_be_anything_that_gives_inputs():
    model, x = drawn(Branched(2)), noise(7, 2, 14, 13)
    ways = [x, x.numpy(), Items(x), list(x), iter(x.numpy()), [(one, 1) for one in x]]
    kept = x.clone()
    found = [explain.top_patches(model, way, "wide", [1, 0], k=4, batch_size=3) for way in ways]
    assert [[p.channel for p in patches] for patches in found[0]] == [[1] * 4, [0] * 4]
    assert isinstance(found[1][0][0].crop, np.ndarray)
    for other in found[1:]:
        for mine, theirs in zip(itertools.chain(*found[0]), itertools.chain(*other), strict=True):
            assert mine[:2] == theirs[:2]
            assert mine.value == pytest.approx(theirs.value, abs=1e-12)
            assert torch.equal(mine.crop, torch.as_tensor(theirs.crop))
    assert torch.equal(x, kept)
    assert explain.features(model, Items(x), "wide").shape == explain.features(model, x, "wide").shape == (7, 2 * 4 * 4)


def test_vz6_sizes_may_differ_equals_keep_their_order_and_nan_is_no_answer():
    model = nn.Sequential(nn.Identity())
    data = [torch.full((1, n), v) for n, v in ((3, 1.0), (5, 2.0), (5, math.nan), (5, 2.0), (2, 1.0))]
    (found,) = explain.top_patches(model, data, "0", k=9, batch_size=2)
    assert [p.item for p in found] == [1, 3, 0, 4]
    assert [p.where[0].stop - p.where[0].start for p in found] == [1] * 4
    (first,) = explain.top_patches(model, [torch.ones(1, 3)] * 5, "0", k=2, batch_size=2)
    assert [p.item for p in first] == [0, 1]


def test_vz6_a_dense_layer_sees_the_whole_input():
    model, x = drawn(nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(12, 3))), noise(4, 1, 8)
    found = explain.top_patches(model, x, "2", k=1)
    for channel, (patch,) in enumerate(found):
        assert patch.where == (slice(0, 8),)
        assert model(patch.crop[None])[0, channel].item() == pytest.approx(patch.value, abs=1e-12)


def test_vz6_patches_that_cannot_be_are_said_in_one_line():
    model, x = drawn(Branched(1)), noise(2, 2, 15)
    for data, options, said in [
        (x, {"channels": [2]}, "channel 2"),
        (x[:0], {}, "no items"),
        (x.long(), {}, "int64"),
        (x, {"node": "firts"}, "did you mean first"),
    ]:
        with pytest.raises(ValueError, match=said):
            explain.top_patches(model, data, **{"node": "wide", **options})


@pytest.mark.parametrize("inplace", [False, True])
def test_ex17_features_are_what_the_layer_answers_whatever_follows_in_place(inplace):
    model = drawn(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=inplace), nn.Flatten()))
    x = noise(5, 1, 6, 5)
    found = explain.features(model, x.numpy(), "0", batch_size=2)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, model[0](x).detach().flatten(1).numpy(), atol=1e-12)
    assert found.min() < 0


def searched(features, queries, k, metric):
    """Brute force in float64, with loops."""
    features, queries = features.astype(np.float64), queries.astype(np.float64)
    distances = np.empty((len(queries), len(features)))
    for i, query in enumerate(queries):
        for j, one in enumerate(features):
            if metric == "euclidean":
                distances[i, j] = np.sqrt(np.sum((query - one) ** 2))
            else:
                size = np.sqrt(query @ query) * np.sqrt(one @ one)
                distances[i, j] = 1 - query @ one / size if size else 1
    order = np.argsort(distances, 1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@given(
    n=st.integers(1, 30),
    m=st.integers(0, 6),
    width=st.integers(1, 7),
    seed=st.integers(0, 99),
    block=st.integers(1, 60),
)
@strategies.examples(30)
def test_ex17_neighbours_are_those_of_brute_force_in_blocks_of_any_size(metric, n, m, width, seed, block):
    from sigconv.explain import _neighbours

    features, queries = noise(n, width, seed=seed).numpy(), noise(m, width, seed=seed + 1).numpy()
    features[n // 2] = 0
    k = seed % n + 1
    before = _neighbours.BLOCK
    _neighbours.BLOCK = block
    try:
        distances, indices = explain.neighbours(features, queries, k, metric)
    finally:
        _neighbours.BLOCK = before
    expected, order = searched(features, queries, k, metric)
    np.testing.assert_allclose(distances, expected, atol=1e-12)
    gaps = np.diff(expected, axis=1) if k > 1 else np.ones((m, 1))
    if (gaps > 1e-9).all():
        assert np.array_equal(indices, order)
    assert indices.dtype == np.int64


def test_ex17_of_equal_distances_the_lower_index_comes_first_and_near_ones_are_not_lost():
    grid = torch.randint(0, 2, (500, 3), generator=torch.Generator().manual_seed(0)).float() + 1000
    distances, indices = explain.neighbours(grid, grid[:20], 40)
    expected, order = searched(grid.numpy(), grid[:20].numpy(), 40, "euclidean")
    assert np.array_equal(indices.numpy(), order)
    assert np.array_equal(distances.numpy(), expected.astype(np.float32))
    close = torch.tensor([[1e8, 1.0], [1e8, 0.5], [1e8, 0.0]], dtype=torch.float64)
    assert explain.neighbours(close, close[:1] + 0, 3)[1].tolist() == [[0, 1, 2]]
    assert explain.neighbours(np.arange(6, dtype=np.uint8)[:, None] * 50, np.array([[255]]), 2)[1].tolist() == [[5, 4]]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_ex17_neighbours_are_those_of_scikit_learn(metric):
    neighbors = pytest.importorskip("sklearn.neighbors")
    features, queries = noise(300, 20).numpy(), noise(40, 20, seed=1).numpy()
    peer = neighbors.NearestNeighbors(n_neighbors=7, metric=metric, algorithm="brute").fit(features)
    theirs, order = peer.kneighbors(queries)
    distances, indices = explain.neighbours(features, queries, 7, metric)
    assert np.array_equal(indices, order)
    np.testing.assert_allclose(distances, theirs, atol=1e-10)


def test_ex17_the_nearest_by_features_are_of_ones_own_kind_more_often_than_by_pixels(trained):
    model, x, y = trained
    moved = x.roll(1, 2) + 0.3 * noise(*x.shape, seed=9, dtype=torch.float32)  # no pixel of a row is where it was
    right = {}
    for name, one, other in [
        ("pixels", x.flatten(1), moved.flatten(1)),
        ("features", explain.features(model, x, "7"), explain.features(model, moved, "7")),
    ]:
        _, indices = explain.neighbours(one, other, 1)
        right[name] = (y[indices[:, 0]] == y).float().mean().item()
    assert right["features"] > right["pixels"] + 0.1


def test_ex17_neighbours_that_cannot_be_are_said_in_one_line():
    x = np.zeros((3, 2))
    for features, queries, options, said in [
        (x, x, {"k": 4}, "k 4 is more"),
        (x, np.zeros((3, 1)), {"k": 1}, "1 columns"),
        (x, x, {"metric": "cosinus"}, "metric 'cosinus'"),
        (x + np.nan, x, {"k": 1}, "not finite"),
        (x[0], x, {"k": 1}, "float64 \\(2,\\)"),
    ]:
        with pytest.raises(ValueError, match=said):
            explain.neighbours(features, queries, **options)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_rf5_the_best_stimulus_of_a_linear_filter_is_its_own_matched_filter(ndim):
    conv = drawn(sc.Conv(2, 5, 3, ndim=ndim, bias=False))
    weight = conv.weight.detach()
    stimuli = torch.cat([noise(20, *weight.shape[1:], seed=4), weight.flip(0), -weight])
    stimuli = stimuli / stimuli.flatten(1).norm(dim=1).view(-1, *[1] * (ndim + 1))
    found = explain.best_stimulus(conv, stimuli)
    assert found.tolist() == [24, 23, 22, 21, 20]
    curve = explain.tuning_curve(nn.Sequential(conv), stimuli.numpy(), "0", batch_size=7)
    np.testing.assert_allclose(curve.max(0), weight.flatten(1).norm(dim=1).numpy(), atol=1e-12)
    assert explain.best_stimulus(conv, stimuli.numpy(), target=2) == 22
    assert explain.tuning_curve(conv, stimuli, target=2).shape == (30,)


def test_rf5_a_ganglion_cell_likes_light_where_it_excites_and_darkness_around_less():
    x = torch.zeros(3, 1, 31, 31)
    radius = (torch.arange(31.0) - 15)[:, None].hypot(torch.arange(31.0) - 15)
    for row, within in enumerate((1.0, 2.3, 14.0)):  # a spot inside the centre, all of it, and the surround as well
        x[row, 0][radius <= within] = 1
    on, off = gaussian.on_centre(2.0, 2), gaussian.off_centre(2.0, 2)
    assert explain.best_stimulus(on, x).item() == 1
    assert explain.best_stimulus(off, -x).item() == 1
    assert explain.tuning_curve(on, x).amax() > 0 > explain.tuning_curve(off, x).amin()


@pytest.mark.parametrize(("ndim", "n"), [(2, 8), (3, 9), (4, 4)])
def test_rf7_a_gabors_tuning_peaks_at_its_own_direction_whatever_the_phase(ndim, n):
    units = gabor.directions(n, ndim)
    bank = gabor.bank(0.2 * units, 1.8)
    size = (17,) * ndim
    curve = explain.tuning_curve(bank, explain.gratings(size, 0.2, units, phases=(0, 1, 2)))
    curve = curve.view(n, 3, n)
    assert torch.equal(curve.argmax(0), torch.arange(n).expand(3, n))
    torch.testing.assert_close(curve[:, 0], curve[:, 2], atol=0.02, rtol=0)


def test_rf7_a_bar_detector_and_an_even_gabor_peak_at_the_angle_of_the_bar():
    shown = explain.bars((41, 41), 1.5, 12)
    detectors = gaussian.bar(12, 1.5, 2)
    assert explain.best_stimulus(detectors, shown).tolist() == list(range(12))
    across = gabor.bank(0.15 * gabor.directions(12, 2), 2.5)  # a wave's bars lie across it, six steps of 15 degrees on
    assert explain.best_stimulus(across, shown).tolist() == [(k + 6) % 12 for k in range(12)]
    curve = explain.tuning_curve(detectors, shown)[:, 3]
    assert (curve[3:9].diff() < 0.05 * curve[3]).all()
    assert curve[3] > 2 * curve[9].abs()


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_rf7_gratings_are_the_waves_of_their_formula(ndim):
    size, rng = tuple(range(4, 4 + ndim)), np.random.default_rng(0)
    directions = rng.normal(size=(2, ndim))
    found = explain.gratings(size, 0.3, directions, phases=[0.5, 1.5]).numpy()
    assert found.shape == (4, 1, *size)
    for number in range(4):
        unit = directions[number // 2] / np.linalg.norm(directions[number // 2])
        for place in np.ndindex(size):
            along = sum(u * (p - (n - 1) / 2) for u, p, n in zip(unit, place, size, strict=True))
            expected = math.cos(2 * math.pi * 0.3 * along + (0.5, 1.5)[number % 2])
            assert found[(number, 0, *place)] == pytest.approx(expected, abs=1e-6)


def test_stimuli_that_cannot_be_are_said_in_one_line():
    for call, said in [
        (lambda: explain.gratings(5, 0.1, 4), "size 5 is one number"),
        (lambda: explain.gratings((5, 5), 0.6, 4), "frequency 0.6"),
        (lambda: explain.gratings((5, 5), 0.1, [[0, 0]]), "other than 0"),
        (lambda: explain.bars((5, 5), 0, 4), "width 0"),
        (lambda: explain.tuning_curve(nn.Identity(), torch.zeros(0, 1, 4)), "no stimuli"),
        (lambda: explain.tuning_curve(nn.Identity(), torch.zeros(1, 1, 4), target=1), "target 1"),
    ]:
        with pytest.raises(ValueError, match=said):
            call()


def test_every_function_is_at_the_door_and_says_where_it_comes_from():
    for name in (
        "fantasy",
        "top_patches",
        "features",
        "neighbours",
        "tuning_curve",
        "best_stimulus",
        "gratings",
        "bars",
    ):
        assert inspect.getdoc(getattr(explain, name)).count(">>>")
        assert name in explain.__all__
