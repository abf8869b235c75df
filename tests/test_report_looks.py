"""What a report shows of what a network looks at: the weights, crops and maps it says it shows, and no run is lost."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import sigconv as sc
from sigconv import explain, plot
from sigconv.datasets import drawn_shapes
from sigconv.recipes._study import spreads
from sigconv.train import Job, looks, pictures


def net(ndim, space, channels=1, padding=0, between=nn.ReLU):
    """Two convolutions, of which the second sees at most nine samples along an axis."""
    torch.manual_seed(0)
    first = sc.Conv(channels, 4, (3,) * ndim, padding=padding)
    second = sc.Conv(4, 5, (3,) * ndim, padding=padding)
    layers = nn.Sequential(first, between(), sc.MaxPool(2, 2), second, between(), nn.Flatten())
    with torch.no_grad():
        features = layers(torch.zeros(1, channels, *(space,) * ndim)).shape[1]
    return nn.Sequential(*layers, nn.Linear(features, 3))


class Part:
    """Items of noise."""

    classes = ("one", "two", "three")

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def item(self, index, generator=None):
        return self.x[index], torch.tensor(0)


def noise(ndim, space, n=20, channels=1):
    return torch.randn(n, channels, *(space,) * ndim, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("ndim", "space"), [(1, 12), (1, 40), (2, 9), (3, 9)])
def test_vz7_maps_are_cut_as_the_crops_are(ndim, space, padding):
    model, x = net(ndim, space, padding=padding), noise(ndim, space)
    patches = [found[0] for found in explain.top_patches(model, x, "3", k=1)]
    for patch in patches:
        of = x[patch.item].numpy()
        assert_array_equal(patch.cut(of), patch.crop)


def test_vz7_a_triptych_is_of_the_deepest_layer_that_sees_a_part():
    model, x = net(2, 12).double(), noise(2, 12).double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    figure = looks.strongest_inputs(model.train(), x)
    assert model[1].training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    patches = [found[0] for found in explain.top_patches(model, x, "3", k=1)]
    best = sorted(patches, key=lambda patch: -patch.value)
    assert "layer 3: the strongest inputs of 5 channels" in figure._suptitle.get_text()
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == [f"channel {patch.channel}" for patch in best]
    for n, patch in enumerate(best):
        crop, _, guided = (np.asarray(ax.images[0].get_array()) for ax in figure.axes[3 * n : 3 * n + 3])
        assert_array_equal(crop, patch.crop[0])
        signed = explain.saliency(looks.Channels(model, "3"), x[patch.item][None], patch.channel, "guided")[0]
        assert_allclose(guided, signed[(0, *patch.where)], atol=1e-12)
    assert looks.strongest_inputs(model[:3], x) is None, "one layer"
    whole = nn.Sequential(sc.Conv2d(1, 2, 3), nn.ReLU(), sc.Conv2d(2, 2, 12, padding=2), nn.ReLU())
    assert looks.strongest_inputs(whole.double(), x) is None, "the second sees more than all"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("ndim", "space"), [(1, 12), (2, 9), (3, 9)])
def test_vz5_a_second_layers_weights_are_drawn(ndim, space, channels):
    model = net(ndim, space, channels)
    (ax,) = pictures.second_layer(model).axes
    assert ax.get_title().startswith(f"layer 3: 5 filters of {' x '.join(['3'] * ndim)} taps")
    (wanted,) = plot.weights(model[3].weight.detach())[0].axes
    assert len(ax.images) == len(wanted.images) == (5 if ndim == 1 else 20)
    for one, other in zip(ax.images, wanted.images, strict=True):
        assert_array_equal(one.get_array(), other.get_array())
    assert pictures.second_layer(model[:3]) is None


def test_vz4_a_fantasy_is_scored_higher_than_any_input_and_needs_loud_noise():
    model, x = net(1, 12), noise(1, 12)
    with torch.no_grad():
        model[3].bias.fill_(-1.0)  # nothing passes the second ReLU when all is faint
    made = explain.fantasy(model, (1, 12), [0, 1, 2], steps=looks.STEPS)
    assert float(made.std(0).max()) < 1e-3, "deaf to faint noise: all classes are alike"
    (ax,) = looks.fantasies(model, x, Part.classes).axes
    drawn = [line.get_ydata() for line in ax.lines[1::2]]
    assert len(drawn) == 3
    assert max(float(np.abs(a - b).max()) for a in drawn for b in drawn) > 0.1


@pytest.mark.parametrize(("ndim", "channels"), [(2, 1), (3, 1), (2, 3), (2, 2)])
def test_vz4_fantasies_are_drawn_in_any_number_of_axes_and_channels(ndim, channels):
    (ax,) = looks.fantasies(net(ndim, 9, channels), noise(ndim, 9, channels=channels), Part.classes).axes
    assert len(ax.images) == (6 if channels == 2 else 3)
    assert np.asarray(ax.images[0].get_array()).shape[1] == (29 if ndim == 3 else 9)


def test_spreads_are_drawn_from_the_least_to_the_most():
    found = {"ours": [(0.1, 0.2, 0.4), (0.5, 0.5, 0.5)], "ridge": [(0.3, 0.3, 0.3), (0.0, 0.6, 1.0)]}
    (ax,) = spreads(["one", "two"], found, "accuracy").axes
    assert spreads(["one"], {"rounded": [(0.5 + 1e-16, 0.5 - 1e-16, 0.5)]}, "accuracy") is not None
    for bar, values in zip(ax.containers, found.values(), strict=True):
        dots, _, (lines,) = bar.lines
        assert dots.get_ydata().tolist() == [middle for _, middle, _ in values]
        ends = [segment[:, 1].tolist() for segment in lines.get_segments()]
        assert_allclose(ends, [[low, high] for low, _, high in values])
        assert [round(x) for x in dots.get_xdata()] == [0, 1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(found)


def test_a_report_shows_what_the_network_looks_at(tmp_path):
    job = Job("asked", {}, 0, "cpu", tmp_path)
    looks.looks(job, net(2, 12), Part(noise(2, 12)))
    assert list(job.pictures) == ["second_layer", "strongest_inputs", "fantasies"]
    assert all((tmp_path / "plots" / f"{name}.png").stat().st_size > 1000 for name in job.pictures)


def test_a_run_is_not_lost_by_its_pictures(tmp_path, monkeypatch):
    job = Job("asked", {}, 0, "cpu", tmp_path)
    looks.looks(job, net(2, 12, between=nn.Tanh), Part(noise(2, 12)))
    assert list(job.pictures) == ["second_layer", "fantasies"]
    assert "strongest_inputs was not drawn: rule 'deconvnet' is for ReLU" in (tmp_path / "log.txt").read_text()

    def broken(*words, **options):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(explain, "fantasy", broken)
    looks.looks(job, net(2, 12), Part(noise(2, 12)))
    assert "fantasies was not drawn: two lines" in (tmp_path / "log.txt").read_text()
    without = Job()
    looks.looks(without, net(2, 12), Part(noise(2, 12)))
    assert not without.pictures


def test_items_are_looked_through_up_to_some(tmp_path, monkeypatch):
    taken = []
    part = drawn_shapes.load(size=16, train=20, valid=20, test=30).test
    plainly = type(part).item
    monkeypatch.setattr(type(part), "item", lambda self, n, *rest: taken.append(n) or plainly(self, n, *rest))
    monkeypatch.setattr(looks, "MOST_ITEMS", 12)
    looks.looks(Job("asked", {}, 0, "cpu", tmp_path), net(2, 16), part)
    assert taken[1:] == list(range(12))
    monkeypatch.setattr(looks, "MOST_SAMPLES", 3 * 256)
    looks.looks(Job("asked", {}, 0, "cpu", tmp_path), net(2, 16), part)
    assert taken[14:] == [0, 1, 2]


def test_items_of_unequal_sizes_cost_the_pictures_and_not_the_run(tmp_path):
    class Uneven:
        classes = ("a", "b")

        def __len__(self):
            return 4

        def item(self, n):
            return torch.zeros(1, 16 + n), 0

    job = Job("asked", {}, 0, "cpu", tmp_path)
    looks.looks(job, net(2, 16), Uneven())
    assert "strongest_inputs was not drawn: stack expects" in (tmp_path / "log.txt").read_text()
