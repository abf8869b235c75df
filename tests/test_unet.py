"""U-Nets: any size and ndim in, as many answers out; the counts published; tiles that equal the whole."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from strategies import examples
from torch import nn

import sigconv as sc
from sigconv import models
from sigconv.blocks.norms import NORMS, ChannelNorm, InstanceNorm, normalizer
from sigconv.models import unet


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def net(variant="near", seed=0, **options):
    torch.manual_seed(seed)
    return unet.build(variant, **{"width": 1 / 4} | options).double().eval()


def count(model):
    return sum(p.numel() for p in model.parameters())


# What it is


def doubles(before, channels, taps, halves=True):
    """Weights and biases of an encoder and a decoder of pairs of convolutions, by the papers' figures."""
    total = 0
    for n in channels:
        middle = n if halves else n // 2
        total += before * middle * taps + middle + middle * n * taps + n
        before = n
    for n in reversed(channels[:-1]):
        up = n if halves else before
        total += before * up * 2 ** (2 if taps == 9 else 3) + (up if halves else 0)
        total += (n + up) * n * taps + n + n * n * taps + n
        before = n
    return total


def test_the_published_nets_have_the_published_counts():
    with torch.device("meta"):
        old, cubic = unet.build("2015"), unet.build("2016", norm="none")
    assert count(old) == doubles(1, (64, 128, 256, 512, 1024), 9) + 64 * 2 + 2 == 31_030_658
    assert count(cubic) == doubles(3, (64, 128, 256, 512), 27, halves=False) + 64 * 3 + 3 == 19_069_955  # Çiçek 2016


def test_the_usual_net_for_scans_has_fewer_than_two_million_parameters():
    for options in ({}, {"residual": True}, {"depthwise": True, "residual": True}, {"norm": "instance"}):
        assert count(unet.build("small", classes=3, **options)) < 2_000_000


@examples(40)
@given(st.data())
def test_every_size_and_ndim_gives_answers_of_its_size(data):
    ndim = data.draw(st.integers(1, 4))
    levels = data.draw(st.integers(1, 3))
    size = [data.draw(st.integers(1, (40, 17, 9, 6)[ndim - 1])) for _ in range(ndim)]
    each = st.tuples(*[st.integers(1, 3)] * ndim)
    options = {
        "strides": [data.draw(each) for _ in range(levels - 1)],
        "residual": data.draw(st.booleans()),
        "depthwise": data.draw(st.booleans()),
        "norm": data.draw(st.sampled_from(sorted(NORMS))),
        "kernel_size": data.draw(st.tuples(*[st.sampled_from([1, 3, 5])] * ndim)),
    }
    model = net("small", ndim=ndim, in_channels=2, classes=3, channels=4, levels=levels, width=1, **options)
    x = drawn(2, 2, *size)
    y = model(x)
    assert y.shape == (2, 3, *size)
    assert torch.isfinite(y).all()
    model.output = "average"
    torch.testing.assert_close(model(x), y.flatten(2).mean(2))


def test_residual_blocks_add_to_what_they_are_given():
    block = unet.Double(
        3, 3, 3, ndim=2, kernel_size=3, norm="none", residual=True, depthwise=False, activation="identity"
    )
    with torch.no_grad():
        for name, p in block.named_parameters():
            if "conv2" in name:
                p.zero_()
    x = drawn(1, 3, 5, 4, dtype=torch.float32)
    assert torch.equal(block(x), x)


def test_depthwise_blocks_filter_each_channel_by_itself_but_raw_input_densely():
    model = unet.build("small", depthwise=True, ndim=3, in_channels=16)  # as many as the first maps have
    kinds = [type(layer) for block in [*model.down, *model.merge] for layer in (block.conv1, block.conv2)]
    assert kinds[0] is sc.Conv
    assert set(kinds[1:]) == {sc.SeparableConv}


def test_words_and_numbers_that_do_not_fit_are_told():
    cases = [
        ({"norm": "layer"}, "norm 'layer' is not one of"),
        ({"output": "sum"}, "output 'sum' is not one of"),
        ({"channels": (4, 8), "levels": 3}, r"channels \(4, 8\) are for 2 levels: expected 3"),
        ({"strides": [2], "levels": 3}, r"strides \[2\] name 1 poolings: expected 2, between 3 levels"),
        ({"strides": [2, 0], "levels": 3}, "strides 0 must be at least 1"),
        ({"classes": 0}, "classes 0 must be at least 1"),
        ({"in_channels": 0}, "in_channels 0 must be at least 1"),
    ]
    for options, told in cases:
        with pytest.raises(ValueError, match=told):
            unet.build(**options)
    with pytest.raises(ValueError, match=r"x has shape \(1, 1, 8, 8\): expected"):
        unet.build(ndim=3)(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"x of shape \(1, 1, 3, 8\) leaves one value a channel at the coarsest size"):
        unet.build(ndim=2, width=1 / 16).train()(torch.zeros(1, 1, 3, 8))
    assert unet.build(ndim=2, width=1 / 16).train()(torch.zeros(2, 1, 3, 8)).shape == (2, 2, 3, 8)


# Normalization


@examples(30)
@given(st.integers(1, 4), st.integers(2, 6), st.integers(0, 9))
def test_channel_norm_is_layer_norm_at_each_position_and_instance_norm_torchs(ndim, channels, seed):
    x = drawn(2, channels, *range(2, 2 + ndim), seed=seed)
    ours, theirs = ChannelNorm(channels).double(), nn.LayerNorm(channels).double()
    with torch.no_grad():
        for ours_p, theirs_p in zip(ours.parameters(), theirs.parameters(), strict=True):
            ours_p.copy_(drawn(channels, seed=seed + 1))
            theirs_p.copy_(ours_p)
    torch.testing.assert_close(ours(x), theirs(x.movedim(1, -1)).movedim(-1, 1))
    y = InstanceNorm(channels).double()(x)
    torch.testing.assert_close(y, nn.functional.instance_norm(x.flatten(2)).reshape(x.shape))


def test_norms_keep_half_precision_and_refuse_other_channels():
    for name in ("channel", "instance"):
        layer = normalizer(name, 4)
        x = 300 * drawn(2, 4, 5, 5, dtype=torch.float32)
        assert layer.half()(x.half()).dtype == torch.float16
        torch.testing.assert_close(layer.half()(x.half()).float(), layer.float()(x), rtol=1e-2, atol=1e-2)
        with pytest.raises(ValueError, match=r"x has shape \(2, 3, 5\): expected \(batch, 4, \*space\)"):
            layer(torch.zeros(2, 3, 5))


# Tiles


def test_the_near_variant_sees_44_samples_and_no_more_than_64():
    for ndim in (1, 2, 3):
        model = unet.build("near", ndim=ndim)
        field = sc.receptive_field(model, input_shape=(1, 1, *[64] * ndim))
        assert field.size == (44,) * ndim
        assert all(44 <= 2 * halo <= 64 for halo in model.halo)


@examples(25)
@given(st.data())
def test_nothing_beyond_the_halo_changes_an_answer(data):
    model, tile = _one_axis(data)
    (step,), (halo,) = model.step, model.halo
    tile = -(-tile // step) * step
    x = drawn(1, 1, 3 * tile + 2 * halo)
    start = halo + tile + (-halo - tile) % step
    y = model(x)[..., start : start + tile]
    other = drawn(1, 1, x.shape[-1], seed=1)
    other[..., start - halo : start + tile + halo] = x[..., start - halo : start + tile + halo]
    torch.testing.assert_close(model(other)[..., start : start + tile], y, rtol=1e-9, atol=1e-12)


def _one_axis(data):
    strides = data.draw(st.lists(st.integers(1, 3), max_size=3))
    options = {"levels": len(strides) + 1, "strides": strides, "kernel_size": data.draw(st.sampled_from([1, 3, 4, 5]))}
    options |= {"residual": data.draw(st.booleans()), "norm": data.draw(st.sampled_from(["channel", "none", "batch"]))}
    return net(ndim=1, channels=3, width=1, **options), data.draw(st.integers(1, 30))


@examples(25)
@given(st.data())
def test_tiles_equal_the_whole_for_every_size_of_both(data):
    model, tile = _one_axis(data)
    x = drawn(2, 1, data.draw(st.integers(1, 150)))
    torch.testing.assert_close(unet.tiled(model, x, tile), model(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("ndim", "size"), [(2, (70, 61)), (3, (41, 30, 37)), (4, (13, 14, 9, 11))])
def test_tiles_equal_the_whole_in_every_ndim(ndim, size):
    levels = 3 if ndim < 4 else 2
    strides = [(2,) * (ndim - 1) + (1,)] * (levels - 1)
    model = net(ndim=ndim, width=1 / 8, levels=levels, strides=strides)
    x = drawn(1, 1, *size)
    whole = model(x)
    torch.testing.assert_close(unet.tiled(model, x, 16 if ndim < 4 else 8), whole, rtol=1e-9, atol=1e-12)
    assert not unet.tiled(model, x.requires_grad_()).requires_grad


def test_tiles_of_an_array_are_an_array():
    net, x = unet.build("near", ndim=1, width=1 / 4, dropout=0.5).eval(), drawn(1, 1, 200, dtype=torch.float32)
    assert np.array_equal(unet.tiled(net, x.numpy(), 32), unet.tiled(net, x, 32).numpy())
    with pytest.raises(TypeError, match="takes a tensor or a NumPy array, not list"):
        unet.tiled(net, x.tolist(), 32)


def test_statistics_over_space_cannot_be_tiled_and_it_is_said():
    x = drawn(1, 1, 40, dtype=torch.float32)
    for options, told in (({"norm": "instance"}, "norm 'instance'"), ({"norm": "batch"}, "norm 'batch' in training")):
        with pytest.raises(ValueError, match=f"a U-Net with {told}, output 'map' cannot be tiled"):
            unet.tiled(unet.build("near", ndim=1, **options), x)
    with pytest.raises(ValueError, match="norm 'channel', dropout 0.5 in training, output 'map' cannot be tiled"):
        unet.tiled(unet.build("near", ndim=1, dropout=0.5).train(), x)
    with pytest.raises(ValueError, match="output 'average' cannot be tiled"):
        unet.tiled(unet.build("near", ndim=1, output="average"), x)
    with pytest.raises(ValueError, match=r"x has shape \(1, 1, 40, 3\): expected"):
        unet.tiled(unet.build("near", ndim=1), torch.zeros(1, 1, 40, 3))


def test_moving_the_input_by_a_whole_step_moves_the_answers():
    model = net(ndim=2)
    x = torch.zeros(1, 1, 96, 96, dtype=torch.float64)
    x[..., 40:52, 40:52] = drawn(12, 12)
    moved = model(torch.roll(x, (4, 8), (2, 3)))
    inner = (..., slice(24, 72), slice(28, 68))
    torch.testing.assert_close(torch.roll(moved, (-4, -8), (2, 3))[inner], model(x)[inner], rtol=1e-9, atol=1e-12)


# Which axes to halve


@examples(60)
@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0.2, 5)), min_size=1, max_size=4), st.integers(1, 6))
def test_fitting_halves_long_axes_until_the_spacings_are_alike(axes, levels):
    size, spacing = zip(*axes, strict=True)
    strides = unet.fitting(size, levels, spacing=spacing)
    assert len(strides) == levels - 1
    left, gaps = np.array(size), np.array(spacing)
    for step in strides:
        long = left >= 8
        finest = min(gaps[long], default=0)
        assert list(step) == [2 if a and g < 2 * finest else 1 for a, g in zip(long, gaps, strict=True)]
        left, gaps = -(-left // step), gaps * step
    assert (left >= np.minimum(size, 4)).all()


def test_fitting_for_thick_slices_builds_a_net_that_halves_the_fine_axes_first():
    strides = unet.fitting((128, 128, 16), 4, spacing=(0.5, 0.5, 3.0))
    assert strides == ((2, 2, 1), (2, 2, 1), (2, 2, 2))
    model = net("small", strides=strides, channels=4, width=1)
    assert model.step == (8, 8, 2)
    assert model(drawn(1, 1, 20, 17, 5)).shape == (1, 2, 20, 17, 5)
    with pytest.raises(ValueError, match="spacing 0 must be above 0"):
        unet.fitting((8, 8), 2, spacing=0)


# A life


def test_it_learns_to_draw_what_it_sees_and_comes_back_from_its_file(tmp_path):
    torch.manual_seed(0)
    model = unet.build("small", ndim=2, channels=8, levels=3, classes=2)
    x = torch.randn(8, 1, 22, 19)
    wide = nn.functional.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
    target = (wide[:, 0] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(x).argmax(1) == target).float().mean() > 0.9
    again = models.from_pretrained(models.save_pretrained(model.eval(), tmp_path / "net"))
    assert torch.equal(again.eval()(x), model(x))
