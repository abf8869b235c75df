"""Pictures of layers hold the weights and maps they are of; triptychs hold crops and maps; curves have bands."""

import io
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from PIL import Image
from strategies import examples
from torch import nn

from sigconv import explain, plot
from sigconv.plot import _flat


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def held(image):
    """What an image is of, NaN where nothing is."""
    return np.ma.filled(np.ma.masked_invalid(image.get_array()), np.nan)


def seen(figure):
    """A figure's pixels, (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(plot.png(figure, dpi=40))).convert("RGB")).astype(int)


def names(ax):
    return [text.get_text() for text in ax.texts]


# Weights


@pytest.mark.parametrize("size", [(5, 4), (3, 5, 4), (2, 3, 5, 4)])
def test_vz5_a_first_layer_of_one_channel_is_its_filters_side_by_side(size):
    weight = drawn(6, 1, *size)
    figure, ax = plot.weights(weight)
    assert names(ax) == list("012345")
    for image, kernel in zip(ax.images, weight[:, 0], strict=True):
        assert_allclose(np.sort(held(image)[np.isfinite(held(image))]), np.sort(kernel.ravel()))
        assert_allclose(image.get_clim(), (-np.abs(kernel).max(), np.abs(kernel).max()))
    assert np.ptp(seen(figure)) > 200


def test_vz5_a_first_layer_of_signals_is_traces():
    weight = drawn(5, 1, 9)
    figure, ax = plot.weights(weight, ["a", "b", "c"])
    assert names(ax) == ["a", "b", "c", "3", "4"]
    for line, kernel in zip(ax.lines[1::2], weight[:, 0], strict=True):
        assert_allclose(np.diff(line.get_ydata()), np.diff(0.36 * kernel / np.abs(kernel).max()))
    assert np.ptp(seen(figure)) > 200


@pytest.mark.parametrize("size", [(5, 4), (3, 5, 4)])
def test_vz5_three_channels_are_colours_about_grey(size):
    weight = drawn(4, 3, *size)
    weight[2] = 0
    figure, ax = plot.weights(weight)
    assert len(ax.images) == 4
    for image, kernel in zip(ax.images, weight, strict=True):
        picture = np.asarray(image.get_array())
        first = picture[: size[-2], : size[-1]]
        part = np.moveaxis(kernel if len(size) == 2 else kernel[:, 0], 0, -1)
        assert_allclose(first, 0.5 + 0.5 * part / max(np.abs(kernel).max(), 1e-30))
        if len(size) == 3:
            assert (picture[:, size[-1]] == 1).all(), "white between slices"
    assert np.ptp(seen(figure)) > 150


@pytest.mark.parametrize("size", [(3, 3), (2, 3, 3), (2, 2, 3, 3)])
def test_vz5_a_second_layer_is_a_grid_of_outputs_and_inputs(size):
    weight = drawn(5, 4, *size)
    weight[1] *= 10
    figure, ax = plot.weights(weight, title="second")
    assert len(ax.images) == 20
    for n, image in enumerate(ax.images):
        out, into = divmod(n, 4)
        assert_allclose(np.sort(held(image)[np.isfinite(held(image))]), np.sort(weight[out, into].ravel()))
        assert_allclose(image.get_clim()[1], np.abs(weight[out]).max(), err_msg="a row has one scale")
    assert names(ax) == [*"0123", *"01234"]
    assert np.ptp(seen(figure)) > 200
    rows = [image.get_extent()[3] for image in ax.images]
    columns = [image.get_extent()[0] for image in ax.images]
    assert rows == sorted(rows)
    assert columns[:4] * 5 == columns


def test_vz5_of_many_outputs_and_inputs_the_strongest_are_drawn():
    weight = drawn(40, 30, 3, 3) * 0.01
    for n in (5, 17, 33):
        weight[n, [2, 8, 21]] += 1
    _, ax = plot.weights(weight, most=3)
    assert names(ax) == ["2", "8", "21", "5", "17", "33"]
    assert_allclose(held(ax.images[4]), weight[17, 8])
    assert len(plot.weights(weight)[1].images) == 12 * 12
    assert len(plot.weights(drawn(70, 1, 3, 3))[1].images) == 64
    assert len(plot.weights(drawn(4, 3, 3, 3), colour=False)[1].images) == 12


def test_vz5_a_later_layer_of_signals_is_a_picture_for_each_output():
    weight = drawn(3, 4, 7)
    figure, ax = plot.weights(weight)
    for image, one in zip(ax.images, weight, strict=True):
        assert_allclose(held(image), one)
    assert np.ptp(seen(figure)) > 200


def test_vz5_the_layers_of_a_network_are_drawn_as_they_are():
    net = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Conv2d(4, 6, 3))
    for layer, count in ((net[0], 4), (net[2], 24)):
        assert len(plot.weights(layer.weight.detach())[1].images) == count
    with torch.no_grad():
        found = net(torch.randn(1, 3, 16, 16))[0]
    _, ax = plot.maps(found)
    for image, one in zip(ax.images, found, strict=True):
        assert_allclose(held(image), one)


# Maps


@pytest.mark.parametrize("size", [(6, 7), (4, 6, 7), (3, 4, 5, 6)])
@pytest.mark.parametrize("common", [False, True])
def test_vz5_feature_maps_are_drawn_on_scales_of_their_own_or_one(size, common):
    for features in (drawn(3, *size) * np.array([1, 5, 2]).reshape(3, *[1] * len(size)), np.abs(drawn(3, *size))):
        signed = features.min() < 0
        figure, ax = plot.maps(features, ["a", "b", "c"], common=common)
        assert names(ax) == ["a", "b", "c"]
        for image, one in zip(ax.images, features, strict=True):
            np.testing.assert_array_equal(held(image), _flat.flat(one))
            if common:
                top = np.abs(features).max()
                assert_allclose(image.get_clim(), (-top if signed else features.min(), top))
            elif signed:
                reach = np.nanmax(np.abs(_flat.flat(one)))
                assert_allclose(image.get_clim(), (-reach, reach))
        assert len(figure.axes) == 1 + common, "a bar tells a common scale"
        assert np.ptp(seen(figure)) > 200


@pytest.mark.parametrize("common", [False, True])
def test_vz5_feature_maps_of_signals_are_traces(common):
    features = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 4.0]])
    _, ax = plot.maps(features, ["a", "b"], common=common, columns=1)
    heights = [np.ptp(line.get_ydata()) for line in ax.lines[1::2]]
    assert_allclose(heights, [0.09 if common else 0.36, 0.36])


@examples(15)
@given(st.lists(st.integers(1, 5), min_size=3, max_size=5))
def test_a_volume_lies_flat_as_its_middle_slices_or_maxima(size):
    volume = drawn(*size)
    for how in ("middle", "max"):
        picture = _flat.flat(volume, how)
        left = 0
        for keep in list(itertools.combinations(range(volume.ndim), 2))[::-1]:  # every axis is seen
            lost = tuple(a for a in range(volume.ndim) if a not in keep)
            part = volume[tuple(slice(None) if a in keep else size[a] // 2 for a in range(volume.ndim))]
            part = volume.max(lost) if how == "max" else part
            np.testing.assert_array_equal(picture[: part.shape[0], left : left + part.shape[1]], part)
            assert np.isnan(picture[part.shape[0] :, left : left + part.shape[1]]).all()
            left += part.shape[1] + 1
        assert picture.shape[1] == left - 1


# Triptychs


def panels(ax):
    return held(ax.images[0]) if ax.images else np.asarray(ax.lines[-1].get_ydata())


@pytest.mark.parametrize("size", [(9,), (6, 7), (4, 6, 7)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_vz7_a_triptych_is_a_crop_and_two_signed_maps(size, channels):
    crops, one, two = (drawn(2, channels, *size, seed=n) for n in range(3))
    figure, grid = plot.triptychs(crops, one, two, ["first", "second"], title="triptychs")
    assert grid.shape == (2, 3)
    assert [ax.get_title() for ax in grid[0]] == ["crop", "deconvnet", "guided"]
    assert [row[0].get_ylabel() for row in grid] == ["first", "second"]
    for n, row in enumerate(grid):
        for ax, part in zip(row[1:], (one, two), strict=True):
            reach = np.abs(part[n]).max()
            if len(size) == 1 and channels == 1:
                assert_allclose(ax.get_ylim(), (-1.08 * reach, 1.08 * reach))
                assert_allclose(panels(ax), part[n, 0])
            elif len(size) > 1 and channels == 3:
                wanted = np.stack([_flat.flat(c) for c in part[n]], -1)
                shown = panels(ax)
                there = np.isfinite(wanted)
                assert_allclose(shown[there], (0.5 + 0.5 * wanted / np.nanmax(np.abs(wanted)))[there])
                assert (shown[~there] == 1).all()
            else:
                assert_allclose(ax.images[0].get_clim(), (-reach, reach))
    pixels = seen(figure)
    assert np.ptp(pixels) > 150
    other, _ = plot.triptychs(crops, -one, two, ["first", "second"], title="triptychs")
    differs = (seen(other) != pixels).any((0, 2))
    third = len(differs) // 3
    assert differs[third : 2 * third].any()
    assert not differs[2 * third + 12 :].any(), "the third panel is the same"


def test_vz7_the_strongest_of_many_channels_keeps_its_sign():
    one = np.zeros((1, 4, 2, 2))
    one[0, :, 0, 0], one[0, :, 1, 1] = (1, -5, 2, 0), (0, 0, 3, -1)
    _, grid = plot.triptychs(one, one, -one)
    np.testing.assert_array_equal(panels(grid[0, 1]), [[-5, 0], [0, 3]])
    np.testing.assert_array_equal(panels(grid[0, 2]), [[5, 0], [0, -3]])


def test_vz7_a_colour_crop_is_shown_in_its_own_colours():
    crop = np.random.default_rng(0).uniform(size=(1, 3, 4, 5))
    _, grid = plot.triptychs(crop, crop, crop)
    assert_allclose(panels(grid[0, 0]), np.moveaxis(crop[0], 0, -1))
    _, grid = plot.triptychs(crop * 255, crop, crop)
    wanted = (crop - crop.min()) / np.ptp(crop)
    assert_allclose(panels(grid[0, 0]), np.moveaxis(wanted[0], 0, -1))


class Strongest(nn.Module):
    """A channel's strongest answer."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x).flatten(2).amax(2)


def test_vz7_crops_deconvnet_and_guided_maps_of_a_networks_channels():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.ReLU())
    x = torch.randn(12, 1, 16, 16)
    patches = [found[0] for found in explain.top_patches(net, x, "2", k=1)]
    model, parts = Strongest(*net), {"deconvnet": [], "guided": []}
    for patch in patches:
        for rule, found in parts.items():
            signed = explain.saliency(model, x[patch.item][None], patch.channel, rule)[0]
            found.append(signed[:, *patch.where].numpy())
            outside = signed.clone()
            outside[:, *patch.where] = 0
            assert not outside.any(), "nothing beyond the crop has a say"
    crops = [patch.crop.numpy() for patch in patches]
    figure, grid = plot.triptychs(crops, parts["deconvnet"], parts["guided"], [f"channel {p.channel}" for p in patches])
    assert grid.shape == (3, 3)
    for n, row in enumerate(grid):
        assert_allclose(panels(row[0]), crops[n][0])
        assert_allclose(panels(row[2]), parts["guided"][n][0])
    assert np.ptp(seen(figure)) > 200


# Bands


def test_curves_have_bands_in_their_colours():
    x = np.arange(5)
    runs = drawn(4, 5)
    mean, spread = runs.mean(0), runs.std(0, ddof=1)
    lines = {"ours": (x, mean), "theirs": (x, mean + 3)}
    figure, ax = plot.curves(lines, bands={"ours": (mean - spread, mean + spread)})
    (band,) = ax.collections
    corners = {(float(a), float(b)) for a, b in band.get_paths()[0].vertices}
    assert corners == {(float(n), float(v)) for n in x for v in (mean[n] - spread[n], mean[n] + spread[n])}
    assert band.get_facecolor()[0][:3] == pytest.approx(plt_rgb(ax.lines[0].get_color()))
    assert (seen(figure) != seen(plot.curves(lines)[0])).any()
    with pytest.raises(
        ValueError, match=r"bands \['mine'\] are of no curve: expected names among \['ours', 'theirs'\]"
    ):
        plot.curves(lines, bands={"mine": (mean, mean)})


def plt_rgb(colour):
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


WRONG = [
    (
        lambda: plot.weights(drawn(3, 4)),
        r"weight has shape \(3, 4\) of float64: expected real numbers \(out, in, \*size",
    ),
    (lambda: plot.weights(drawn(3, 0, 4)), r"weight has shape \(3, 0, 4\)"),
    (lambda: plot.weights(drawn(3, 1, 4) * np.nan), "weight holds 12 numbers that are not finite"),
    (lambda: plot.weights(drawn(3, 1, 4), most=0), "most 0 must be at least 1"),
    (
        lambda: plot.weights(drawn(3, 4, 2, 2), colour=True),
        r"colour=True with weight of shape \(3, 4, 2, 2\): expected 3",
    ),
    (lambda: plot.maps(drawn(4)), r"features has shape \(4,\) of float64: expected real numbers \(channels, \*space\)"),
    (lambda: plot.triptychs(*[drawn(2, 3)] * 3), r"crops has shape \(2, 3\)"),
    (
        lambda: plot.triptychs(drawn(2, 1, 4), drawn(2, 1, 4), drawn(2, 1, 5)),
        r"guided has shape \(2, 1, 5\): expected that of the crops, \(2, 1, 4\)",
    ),
]


@pytest.mark.parametrize(("call", "told"), WRONG)
def test_what_cannot_be_drawn_of_layers_is_told_in_one_line(call, told):
    with pytest.raises(ValueError, match=told) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_all_zeros_are_drawn_without_a_word(recwarn):
    for size in ((4,), (4, 4), (3, 4, 4)):
        blank = np.zeros((2, 2, *size))
        seen(plot.weights(blank)[0])
        seen(plot.maps(blank[0], common=True)[0])
        seen(plot.triptychs(blank, blank, blank)[0])
    assert not recwarn.list
