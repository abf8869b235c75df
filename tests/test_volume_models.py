"""Networks for volumes, runs of volumes and video: 3-D residual nets, space and time as one, two streams."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from torch import nn

import sigconv as sc
from sigconv import models
from sigconv.models import c3d, resnet, spacetime, two_stream

META = torch.device("meta")


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def count(model):
    return sum(p.numel() for p in model.parameters())


def taught(model, x, y, steps=40, lr=1e-2):
    """The share of items that a model has right after a few steps on all of them."""
    optimizer = torch.optim.Adam(model.parameters(), lr)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model.train()(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return (model.eval()(x).argmax(1) == y).float().mean().item()


# Residual nets of three axes


MED3D = {"10": 14.36, "18": 32.99, "34": 63.31, "50": 46.21, "101": 85.31, "152": 117.51}  # millions, Chen et al. 2019


@pytest.mark.parametrize("layers", MED3D)
def test_b6_residual_nets_of_three_axes_have_med3ds_counts(layers):
    with META:
        model = resnet.build(
            layers, ndim=3, in_channels=1, stem="large", shortcut="A" if layers in ("18", "34") else "B"
        )
    encoder = [v.numel() for name, v in model.state_dict().items() if not name.startswith("fc") and v.ndim]
    assert round(sum(encoder) / 1e6, 2) == MED3D[layers], "with the running statistics, as theirs are counted"


@pytest.mark.parametrize(
    ("stem", "size", "maps"),
    [
        ("small", (28, 28, 28), [(28,) * 3, (14,) * 3, (7,) * 3, (4,) * 3]),
        ("large", (28, 28, 28), [(7,) * 3, (4,) * 3, (2,) * 3, (1,) * 3]),
        ("video", (16, 112, 112), [(8, 28, 28), (4, 14, 14), (2, 7, 7), (1, 4, 4)]),
    ],
)
def test_b6_stems_say_how_fine_the_maps_are(stem, size, maps):
    with META:
        model, seen = resnet.build("18", ndim=3, in_channels=1, classes=2, stem=stem).eval(), []
        for i in range(1, 5):
            model.get_submodule(f"layer{i}").register_forward_hook(lambda m, x, y: seen.append(tuple(y.shape[2:])))
        assert model(torch.zeros(1, 1, *size)).shape == (1, 2)
    assert seen == maps
    assert ("maxpool" in dict(model.named_children())) == (stem != "small")


def test_b6_large_is_imagenets_stem_by_another_name_and_others_are_refused():
    with META:
        one, other = (resnet.build("10", ndim=3, stem=stem, width=1 / 8) for stem in ("large", "imagenet"))
    assert str(one) == str(other)
    with pytest.raises(ValueError, match="stem 'tiny' is not one of"):
        resnet.build(stem="tiny")


# Space and time as one


def test_kernels_are_of_space_and_time_at_once():
    model = spacetime.build()
    assert model.stage1.conv.weight.ndim == model.stage2.conv.weight.ndim == 2 + 4
    shapes = {
        variant: [tuple(p.shape[2:]) for p in spacetime.build(variant).parameters() if p.ndim == 6]
        for variant in spacetime.VARIANTS
    }
    assert set(shapes["joint"]) == {(3, 3, 3, 3)}
    assert set(shapes["split"]) == {(3, 3, 3, 1), (1, 1, 1, 3)}
    assert set(shapes["still"]) == {(3, 3, 3, 1)}


@examples(40)
@given(st.integers(1, 64), st.integers(1, 64), st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_space_then_time_has_as_many_weights_and_no_more(into, out, taps):
    taps = tuple(taps)
    between = spacetime.middle(into, out, taps)
    each = math.prod(taps[:-1]) * into + taps[-1] * out
    whole = math.prod(taps) * into * out
    assert between * each <= max(whole, each)
    assert (between + 1) * each > whole


@examples(25)
@given(st.data())
def test_any_number_of_axes_of_any_length(data):
    ndim = data.draw(st.integers(1, 4))
    size = [data.draw(st.integers(1, 7)) for _ in range(ndim)]
    variant = data.draw(st.sampled_from(spacetime.VARIANTS))
    model = spacetime.build(variant, ndim=ndim, in_channels=2, classes=3, width=1 / 4).eval()
    y = model(drawn(2, 2, *size))
    assert y.shape == (2, 3)
    assert torch.isfinite(y).all()


def test_a_still_network_does_not_know_the_order_of_volumes_and_the_others_do():
    x = drawn(2, 1, 5, 4, 3, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    for variant in spacetime.VARIANTS:
        torch.manual_seed(0)
        model = spacetime.build(variant).double().eval()
        same = torch.allclose(model(x.double()), model(x.double()[..., order]), rtol=1e-9)
        assert same == (variant == "still")


def fading(n):
    """Runs that brighten or fade, and whose volumes, without their order, are alike: (n, 1, 4, 4, 1, 8)."""
    ramp = torch.linspace(0, 1, 8)
    y = torch.arange(n) % 2
    x = torch.where(y[:, None] == 1, ramp, ramp.flip(0))[:, None, None, None, None, :].expand(-1, 1, 4, 4, 1, -1)
    return x + 0.05 * drawn(n, 1, 4, 4, 1, 8), y


@pytest.mark.parametrize(("variant", "least", "most"), [("joint", 0.95, 1), ("split", 0.95, 1), ("still", 0, 0.9)])
def test_what_only_time_tells_is_learned_by_kernels_that_see_time(variant, least, most):
    torch.manual_seed(0)
    (x, y), model = fading(24), spacetime.build(variant, classes=2, channels=(4, 8), positions=1)
    assert least <= taught(model, x, y, 25) <= most


def test_where_something_happens_is_told_apart():
    y = torch.arange(16) % 2
    x = 0.1 * drawn(16, 1, 8, 4, 1, 4)
    x[y == 0, :, :3] += 1
    x[y == 1, :, 5:] += 1
    torch.manual_seed(0)
    assert taught(spacetime.build(classes=2, channels=(4, 8)), x, y, 25) == 1


# Two streams


def drifting(n, frames=16, size=24, seed=0):
    """Noise that moves one sample a frame, onwards or back: (n, 1, frames, size), and which. A frame alone is noise."""
    wide = drawn(n, size + frames, seed=seed)
    wide = torch.nn.functional.avg_pool1d(wide, 5, 1, 2)
    y = torch.arange(n) % 2
    starts = [range(frames) if way == 0 else range(frames, 0, -1) for way in y.tolist()]
    x = torch.stack([torch.stack([row[s : s + size] for s in start]) for row, start in zip(wide, starts, strict=True)])
    return x[:, None], y


def test_the_answer_is_the_mean_of_both_streams_probabilities():
    torch.manual_seed(0)
    model = two_stream.build(width=1 / 4, classes=5).double().eval()
    x = drawn(2, 3, 6, 16, 16).double()
    parts = [stream(x).softmax(1) for stream in model.stream.values()]
    torch.testing.assert_close(model(x).exp(), sum(parts) / 2)
    for name in ("frames", "motion"):
        alone = two_stream.build(name, width=1 / 4, classes=5)
        assert list(alone.stream) == [name]
        assert count(alone) == count(model.stream[name])


def test_frames_do_not_know_their_order_and_motion_does():
    torch.manual_seed(0)
    model = two_stream.build(ndim=2, in_channels=1, width=1 / 4, classes=3).double().eval()
    x, _ = drifting(2)
    there, back = ({k: s(v.double()) for k, s in model.stream.items()} for v in (x, x.flip(2)))
    torch.testing.assert_close(there["frames"], back["frames"])
    assert not torch.allclose(there["motion"], back["motion"], rtol=1e-3)


@pytest.mark.parametrize("ndim", [2, 3])
def test_motion_of_a_mirrored_scene_is_the_mirrored_motion_whatever_the_contrast(ndim):
    layer = two_stream.Motion(ndim, (1.0,), 2 * (ndim - 1), None, False).double()
    x = drawn(1, 2, 12, *[16] * (ndim - 1)).double()
    y = layer(x)
    mirrored = layer(x.flip(-1)).flip(-1)
    turned = (mirrored + y).abs().amax((0, *range(2, 2 + ndim))) < 1e-9
    assert turned.sum() == 1, "the direction along the mirrored axis changes its sign"
    torch.testing.assert_close(mirrored[:, ~turned], y[:, ~turned])
    torch.testing.assert_close(layer(1000 * x), layer(100 * x), rtol=0, atol=1e-4)
    assert y.abs().max() <= 1


def test_the_stream_of_motion_learns_directions_that_no_frame_shows():
    (x, y), (fresh, truth) = drifting(48), drifting(48, seed=1)
    found = {}
    for name in ("motion", "frames"):
        torch.manual_seed(0)
        model = two_stream.build(name, ndim=2, in_channels=1, classes=2, width=1 / 4, channels=(16, 16))
        taught(model, x, y, 30)
        with torch.no_grad():
            found[name] = (model.eval()(fresh).argmax(1) == truth).float().mean().item()
    assert found["motion"] >= 0.95
    assert abs(found["frames"] - 0.5) <= 3 * 0.5 / 48**0.5


def test_over_time_alone_it_is_flicker_and_learned_filters_learn():
    assert two_stream.build(ndim=1, in_channels=2, classes=3)(drawn(2, 2, 20)).shape == (2, 3)
    model = two_stream.build("motion", ndim=2, in_channels=1, classes=2, width=1 / 8, learned=True)
    model(drifting(2)[0])[:, 0].sum().backward()
    moving = [p for name, p in model.named_parameters() if "cells" in name]
    assert moving
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in moving)
    fixed = two_stream.build("motion", ndim=2)
    assert not any(p.requires_grad for name, p in fixed.named_parameters() if "cells" in name)


def test_words_and_numbers_that_do_not_fit_are_told():
    for build, options, told in (
        (spacetime.build, {"variant": "both"}, "spacetime variant 'both' is not one of"),
        (spacetime.build, {"channels": ()}, r"channels \(\) must name at least one stage"),
        (spacetime.build, {"positions": (2, 2)}, r"positions \(2, 2\) has 2 entries for 4 spatial axes"),
        (spacetime.build, {"norm": "group"}, "norm 'group' is not one of"),
        (spacetime.build, {"classes": 0}, "classes 0 must be at least 1"),
        (spacetime.build, {"in_channels": 0}, "in_channels 0 must be at least 1"),
        (c3d.build, {"classes": 0}, "classes 0 must be at least 1"),
        (c3d.build, {"in_channels": 0}, "in_channels 0 must be at least 1"),
        (two_stream.build, {"variant": "late"}, "two_stream variant 'late' is not one of"),
        (two_stream.build, {"channels": ()}, r"channels \(\) must name at least one convolution"),
        (two_stream.build, {"directions": 3}, "directions 3 is odd"),
    ):
        with pytest.raises(ValueError, match=told):
            build(**options)


def test_models_of_volumes_are_described_and_come_back_from_their_files(tmp_path):
    for spec in ("spacetime:split", "two_stream:both", "resnet:10:stem=small"):
        model = models.build(spec, ndim=3, width=1 / 16, classes=3).eval()
        rows = sc.describe(model, models.input_shape(spec, ndim=3, smallest=True))
        assert rows.parameters == count(model)
        again = models.from_pretrained(models.save_pretrained(model, tmp_path / spec.partition(":")[0])).eval()
        x = drawn(*models.input_shape(spec, ndim=3, batch=2, smallest=True))
        assert torch.equal(again(x), model(x))
