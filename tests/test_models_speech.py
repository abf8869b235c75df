"""Speech models: sharing along the bands against loops, counts by formula, who looks ahead, what is saved."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from strategies import examples
from torch import nn

import sigconv as sc
from sigconv import models
from sigconv.blocks import SectionConv, SectionPool
from sigconv.models import speech

TIME = {1: (), 2: (5,), 3: (4, 3)}


def wide(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def count(model):
    return sum(p.numel() for p in model.parameters())


def by_loop(layer, x):
    """Every section by itself: its samples through a convolution of its own weights."""
    parts = []
    for k in range(layer.sections):
        seen = x[:, :, k * layer.step : k * layer.step + layer.share + layer.kernel_size[0] - 1]
        options = {"stride": layer.stride, "padding": layer.margins}
        parts.append(sc.conv(seen, layer.weight[k], layer.bias[k], **options, method="windows"))
    return torch.cat(parts, 2)


@examples(30)
@given(
    ndim=st.integers(1, 3),
    taps=st.integers(1, 4),
    share=st.integers(1, 4),
    step=st.integers(1, 4),
    extra=st.integers(0, 6),
    padding=st.sampled_from(["same", "causal", "valid", 1]),
    stride=st.integers(1, 2),
)
def test_ap1_sections_equal_a_loop_over_them(ndim, taps, share, step, extra, padding, stride):
    size, frames = taps + share - 1 + extra, (3, 2)[: ndim - 1]
    layer = SectionConv(
        2, 3, (taps, *frames), size, stride, padding, share=share, step=step, ndim=ndim, dtype=torch.float64
    )
    x = wide(2, 2, size, *TIME[ndim])
    ours, wanted = layer(x), by_loop(layer, x)
    assert ours.shape == wanted.shape
    assert layer.sections == extra // step + 1
    torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_ap1_limited_sharing_with_all_sections_tied_is_full_sharing(ndim):
    x = wide(2, 3, 40, *TIME[ndim])
    limited = SectionConv(3, 4, (8, *[3] * (ndim - 1)), 40, share=6, step=2, dtype=torch.float64)
    padding = (0, *["same"] * (ndim - 1))
    full = sc.Conv(3, 4, limited.kernel_size, padding=padding, dtype=torch.float64)
    with torch.no_grad():
        limited.weight.copy_(full.weight.expand_as(limited.weight))
        limited.bias.copy_(full.bias.expand_as(limited.bias))
    for kind in ("max", "softmax"):
        pools = [SectionPool(6, 2, kind=kind, sections=side).double() for side in (True, False)]
        ours, wanted = pools[0](limited(x)), pools[1](full(x))
        assert ours.shape == (2, 4, 14, *TIME[ndim])
        torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("share", "size"), [(1, 12), (3, 13)])
def test_st13_sections_side_by_side_are_a_local_convolution(share, size):
    """LocalConv's positions of one section lie in a row, and none in two: what step = share says."""
    local = sc.LocalConv(2, 3, (5,), (size,), share=(share,), dtype=torch.float64)
    ours = SectionConv(2, 3, (5,), size, share=share, step=share, dtype=torch.float64)
    with torch.no_grad():
        ours.weight.copy_(local.weight.movedim(-1, 0))
        ours.bias.copy_(local.bias.movedim(-1, 0))
    x = wide(2, 2, size)
    assert count(ours) == count(local)
    torch.testing.assert_close(ours(x), local(x)[:, :, : ours.sections * share], rtol=1e-12, atol=1e-13)


def test_ap1_geometry_and_counts_are_the_papers():
    layer = SectionConv(45, 150, 8, 40, share=6, step=2, ndim=1)
    assert (layer.sections, layer.span) == (14, 13)
    full = sc.Conv(45, 150, 8, ndim=1)
    assert count(layer) == 14 * count(full), "of 14 sections each has the weights of full sharing"
    assert full(torch.zeros(1, 45, 40)).shape[2] == 33
    assert count(SectionConv(45, 150, 8, 40, ndim=1)) == 33 * count(full)
    assert SectionPool(6, 2)(torch.zeros(1, 1, 33)).shape[2] == 14


@pytest.mark.parametrize("kind", ["max", "softmax"])
def test_bp_gradients_of_sections_and_their_pooling(kind):
    layer = SectionConv(2, 2, (3, 2), 7, 2, "causal", share=2, step=2, dtype=torch.float64)
    pool = SectionPool(2, 2, kind=kind, sections=True).double()

    def f(x, *values):
        names = [f"0.{name}" for name, _ in layer.named_parameters()] + [f"1.{n}" for n, _ in pool.named_parameters()]
        return torch.func.functional_call(nn.Sequential(layer, pool), dict(zip(names, values, strict=True)), x)

    values = [p.detach().clone().requires_grad_() for p in (*layer.parameters(), *pool.parameters())]
    assert torch.autograd.gradcheck(f, (wide(1, 2, 7, 4).requires_grad_(), *values))


def test_pl4_softmax_pooling_begins_plain_and_its_weights_say_which_positions_count():
    x = wide(2, 3, 33, 4)
    pool = SectionPool(6, 2, kind="softmax").double()
    torch.testing.assert_close(pool(x), sc.softmax_pool(x, (6, 1), (2, 1), beta=1.0), rtol=1e-12, atol=1e-13)
    with torch.no_grad():
        pool.weight.copy_(torch.tensor([-1e3, 0.0, 0.0, -1e3, -1e3, -1e3]))
    narrow = sc.softmax_pool(x[:, :, 1:], (2, 1), (2, 1), beta=1.0)[:, :, :14]
    torch.testing.assert_close(pool(x), narrow, rtol=1e-12, atol=1e-13)
    with torch.no_grad():
        pool.weight.zero_()
        pool.beta.fill_(1e4)
    torch.testing.assert_close(pool(x), SectionPool(6, 2)(x), rtol=0, atol=1e-3)


def test_sections_refuse_what_they_were_not_made_for():
    layer = SectionConv(3, 4, 8, 40, share=6, step=2, ndim=2)
    with pytest.raises(ValueError, match=r"\(1, 3, 41, 5\): expected \(batch, 3, 40, \*time\)"):
        layer(torch.zeros(1, 3, 41, 5))
    with pytest.raises(ValueError, match="kernel 13 is larger than the padded input 12"):
        SectionConv(3, 4, 8, 12, share=6, ndim=1)
    with pytest.raises(ValueError, match="share 0"):
        SectionConv(3, 4, 8, 40, share=0, ndim=1)
    with pytest.raises(ValueError, match="pooling 'mean' is not one of"):
        SectionPool(6, 2, kind="mean")


# What each model is made of


def affine(inside, out, bias=True, norm=False):
    return inside * out + bias * out + 2 * norm * out


HEAD = affine(1000, 1000) + affine(1000, 183)
SPACES = [(1, 3200), (80, 983), (60, 326), (60, 107)]  # channels and positions that SincNet normalizes
FORMULAS = {
    "full": 360 * (8 * 45 + 1) + affine(14 * 360, 1000) + HEAD,
    "limited": 14 * 150 * (8 * 45 + 1) + affine(14 * 150, 1000) + HEAD,
    "none": 33 * 150 * (8 * 45 + 1) + affine(14 * 150, 1000) + HEAD,
    "limited:pooling=softmax": 14 * 150 * (8 * 45 + 1) + affine(14 * 150, 1000) + HEAD + 6 + 1,
    "dense": affine(40 * 45, 2000) + affine(2000, 1000) + HEAD,
    "tdnn": sum(
        affine(i, o, bias=False, norm=True)
        for i, o in ((5 * 40, 512), (3 * 512, 512), (3 * 512, 512), (512, 512), (512, 1500), (3000, 512), (512, 512))
    )
    + affine(512, 183),
    "tdnn:statistics=mean": 4_606_575 - 1500 * 512,
    "m5": sum(affine(i, o, False, True) for i, o in ((80, 128), (3 * 128, 128), (3 * 128, 256), (3 * 256, 512)))
    + affine(512, 10),
    "m3": affine(80, 256, False, True) + affine(3 * 256, 256, False, True) + affine(256, 10),
    "sincnet": 160
    + sum(2 * channels * n for channels, n in SPACES)
    + affine(5 * 80, 60)
    + affine(5 * 60, 60)
    + 2 * 6420
    + affine(6420, 2048, False, True)
    + 2 * affine(2048, 2048, False, True)
    + affine(2048, 462),
}
ROUNDED = {"m3": 0.2, "m5": 0.5, "m11": 1.8, "m18": 3.7}  # millions, as the paper's table has them


@pytest.mark.parametrize("variant", FORMULAS)
def test_ap1_b1_b2_parameters_by_formula(variant):
    with torch.device("meta"):
        model = models.build(f"speech:{variant}")
    assert count(model) == FORMULAS[variant]
    shape = models.input_shape(f"speech:{variant}")
    assert model.eval()(torch.empty(shape, device="meta")).shape == (1, model[-1].out_features)


@pytest.mark.parametrize("variant", ROUNDED)
def test_b2_plain_wave_networks_have_the_tables_sizes(variant):
    with torch.device("meta"):
        model = speech.build(variant)
    assert abs(count(model) / 1e6 - ROUNDED[variant]) < 0.1
    rows = sc.describe(model, (1, 1, 32000))
    assert sum(row.kind in ("Conv", "Linear") for row in rows) == int(variant[1:]), "its name counts its layers"
    lengths = [row.shape[2] for row in rows if row.kind == "MaxPool"]
    assert lengths == [2000, 500, 125, 32][: len(lengths)]


def test_b2_sincnet_begins_with_160_numbers_and_answers_as_convolution_without_padding():
    model = speech.build("sincnet", hidden=(8,), classes=3).double()
    front = model.conv1
    assert count(front) == 160
    x = wide(2, 1, 3200)
    kernels = front.bank.kernels.unsqueeze(1)
    wanted = nn.functional.conv1d(x, kernels.flip(-1)).abs()
    assert wanted.shape[2] == 2950
    gap = (front(x) - wanted).abs().max()
    assert gap <= 2.5 * torch.finfo(torch.float64).eps * x.norm() * kernels.norm() * 3  # fft's gate, ours and torch's
    answer = model(x)
    answer.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_b2_sincnets_normalization_is_by_channel_and_sample():
    x = wide(2, 3, 4, 5)
    norm = speech._waves.SpaceNorm(3, (4, 5)).double()
    with torch.no_grad():
        norm.weight.copy_(wide(3, 4, 5, seed=1))
        norm.bias.copy_(wide(3, 4, 5, seed=2))
    mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
    torch.testing.assert_close(norm(x), (x - mean) / (var + 1e-6).sqrt() * norm.weight + norm.bias)


def test_b2_statistics_are_mean_and_deviation_and_one_frame_has_a_gradient():
    x = wide(2, 3, 4, 5)
    got = speech._delays.StatisticsPool()(x)
    wanted = torch.cat([x.mean((2, 3)), x.var((2, 3), unbiased=False).add(1e-5).sqrt()], 1)
    torch.testing.assert_close(got, wanted)
    one = wide(2, 3, 1).requires_grad_()
    speech._delays.StatisticsPool()(one).sum().backward()
    assert one.grad.isfinite().all()


def test_the_small_network_is_the_one_of_the_digits_with_the_same_first_weights():
    torch.manual_seed(3)
    layers = []
    for i, (inside, out) in enumerate(zip((1, 24, 48, 96, 128), (24, 48, 96, 128, 128), strict=True)):
        kernel, padding = ((5, 1), 0) if i == 4 else (3, "same")
        layers += [nn.Conv2d(inside, out, kernel, padding=padding, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if i < 3 else []
    twin = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(128, 10)).eval()
    torch.manual_seed(3)
    ours = speech.build("cnn").eval()
    for a, b in zip(ours.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    x = torch.randn(2, 1, 40, 57)
    torch.testing.assert_close(ours(x), twin(x), rtol=1e-4, atol=1e-5)


# In time


@pytest.mark.parametrize("variant", ["full", "limited", "none", "dense"])
def test_ap1_in_two_dimensions_every_frame_gets_the_papers_network(variant):
    """bands x frames with context 1 is one network a frame; the answer is the mean over frames."""
    options = {"classes": 5, "in_channels": 3, "width": 1 / 16}
    torch.manual_seed(0)
    frame = speech.build(variant, ndim=1, **options).double()
    words = speech.build(variant, ndim=2, context=1, **options).double()
    shapes = {name: value.shape for name, value in words.state_dict().items()}
    words.load_state_dict({name: value.reshape(shapes[name]) for name, value in frame.state_dict().items()})
    x = wide(2, 3, 40, 6)
    wanted = torch.stack([frame(x[..., t]) for t in range(6)]).mean(0)
    torch.testing.assert_close(words(x), wanted, rtol=1e-11, atol=1e-12)


CAUSAL = ["full", "limited", "none", "dense", "tdnn", "cnn"]


@pytest.mark.parametrize("variant", CAUSAL)
def test_causal_networks_do_not_look_ahead_and_others_do(variant):
    options = {"ndim": 1 if variant == "tdnn" else 2, "in_channels": 40 if variant == "tdnn" else 2}
    options |= {"classes": 3, "width": 1 / 16, "activation": "tanh", "output": "map"}
    torch.manual_seed(0)
    x = wide(1, options["in_channels"], *([40, 48] if options["ndim"] == 2 else [48]))
    changed = x.clone()
    changed[..., 24:] += wide(*x[..., 24:].shape, seed=1)
    for causal in (True, False):
        model = speech.build(variant, causal=causal, **options).double().eval()
        with torch.no_grad():
            before, after = model(x), model(changed)
        place = 24 * before.shape[-1] // 48  # the first output whose own input was changed
        if causal:
            assert torch.equal(before[..., :place], after[..., :place])
        assert not torch.equal(before[..., place:], after[..., place:])
        if not causal:
            assert not torch.equal(before[..., :place], after[..., :place])


def test_tdnn_sees_15_frames():
    for causal, start in ((False, 7), (True, -7)):
        model = speech.build("tdnn", causal=causal, output="map", width=1 / 16)
        size, jump, first = sc.receptive_field(model, input_shape=(1, 40, 50))
        assert (size, jump, first) == ((15,), (1,), (start,))


def test_ap1_fields_are_those_of_the_pooling_window():
    for variant in ("full", "limited", "none"):
        rows = {row.name: row for row in sc.describe(speech.build(variant, width=1 / 16), (1, 45, 40))}
        assert (rows["pool"].receptive_field, rows["pool"].jump, rows["pool"].start) == ((13,), (2,), (6,))
        assert rows["dense_0"].receptive_field == (13 + 13 * 2,)


@pytest.mark.parametrize("variant", ["full", "limited", "none", "dense", "cnn", "m3"])
def test_a_map_of_answers_takes_the_weights_of_the_average_and_its_mean_is_that(variant):
    ndim = 1 if variant == "m3" else 2
    options = {"ndim": ndim, "in_channels": 1, "classes": 3, "width": 1 / 16}
    once = speech.build(variant, **options).double().eval()
    everywhere = speech.build(variant, output="map", **options).double().eval()
    everywhere.load_state_dict(once.state_dict())
    x = wide(2, 1, *((256,) if ndim == 1 else (40, 24)))
    answers = everywhere(x)
    assert answers.ndim == 2 + ndim
    torch.testing.assert_close(answers.flatten(2).mean(2), once(x), rtol=1e-11, atol=1e-12)


def test_stride_along_time_skips_frames_and_keeps_the_rest():
    options = {"ndim": 2, "classes": 3, "width": 1 / 16, "output": "map"}
    for variant in ("full", "limited", "none", "dense"):
        models_ = [speech.build(variant, stride=stride, **options).double() for stride in (1, 3)]
        models_[1].load_state_dict(models_[0].state_dict())
        x = wide(1, 3, 40, 20)
        every, third = (model(x) for model in models_)
        assert third.shape[-1] == 7
        torch.testing.assert_close(third, every[..., ::3], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("variant", CAUSAL)
def test_causal_maps_of_answers_stream_as_they_answer_offline(variant):
    ndim, channels = (1, 40) if variant == "tdnn" else (2, 1)
    options = {"ndim": ndim, "in_channels": channels, "classes": 3, "width": 1 / 16, "output": "map", "causal": True}
    torch.manual_seed(0)
    model = speech.build(variant, **options).double().eval()
    x = wide(1, channels, *([40] if ndim == 2 else []), 50)
    live = sc.stream(model)
    got = torch.cat([*(live(chunk) for chunk in x.split(7, -1)), live.flush()], -1)
    assert live.latency == (7 if variant == "cnn" else 0), "three poolings by 2 wait for their windows"
    with torch.no_grad():
        torch.testing.assert_close(got, model(x), rtol=1e-11, atol=1e-12)


# Kept and refused

KEPT = [
    ("limited", {"ndim": 2, "in_channels": 1, "pooling": "softmax", "causal": True, "stride": 2, "size": 24}),
    ("none", {"batch_norm": True, "activation": "prelu", "hidden": (32, 16), "dropout": 0.5, "width": 1 / 8}),
    ("tdnn", {"statistics": "mean", "causal": True, "width": 1 / 16}),
    ("m5", {"classes": 35, "width": 1 / 16}),
    ("sincnet", {"size": 800, "fs": 8000.0, "kernel_size": 101, "width": 1 / 16}),
    ("cnn", {"ndim": 3, "maps": (4, 4, 4, 4, 4), "size": 16}),
]


@pytest.mark.parametrize(("variant", "options"), KEPT)
def test_models_come_back_with_the_same_bits_and_are_exported(tmp_path, variant, options):
    torch.manual_seed(0)
    model = speech.build(variant, **({"width": 1 / 16} | options)).eval()
    assert model.built_from["options"]["ndim"] == options.get("ndim", 1)
    again = models.from_pretrained(models.save_pretrained(model, tmp_path / "net"))
    shape = models.usual_shape(model)
    shape = (2, *shape[1:3], *[min(n, 16) for n in shape[3:]]) if variant != "m5" else (2, 1, 2000)
    x = torch.randn(shape)
    with torch.no_grad():
        assert torch.equal(again(x), model(x))
    done = models.export(model, tmp_path / "net.pt2", shape)
    assert done.difference <= done.allowed


@pytest.mark.parametrize(
    ("variant", "options", "reason"),
    [
        ("m5", {"causal": True}, "option causal=True: speech:m5 takes"),
        ("tdnn", {"pool": 6}, "option pool=6: speech:tdnn takes"),
        ("sincnet", {"output": "map"}, "option output='map': speech:sincnet takes"),
        ("half", {}, "speech variant 'half' is not one of"),
        ("full", {"pooling": "mean"}, "pooling 'mean' is not one of"),
        ("full", {"size": 12}, "kernel 6 is larger than the padded input 5"),
        ("full", {"hidden": ()}, r"hidden \(\) names 0 layers"),
        ("cnn", {"size": 7}, "size 7 has fewer than 8 bands"),
        ("cnn", {"maps": (4, 4)}, r"maps \(4, 4\) names 2 layers: expected 5"),
        ("tdnn", {"output": "all"}, "output 'all' is not one of"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(variant, options, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        speech.build(variant, **options)
    assert "\n" not in str(caught.value)


def test_words_on_the_command_line(capsys):
    from sigconv.cli.describe import main

    assert main(["speech:limited"]) == 0
    assert "4,043,283 parameters" in capsys.readouterr().out
    assert main(["speech:cnn:maps=4,4,4,4,4", "--ndim", "1", "--classes", "3"]) == 0
    assert "1 x 3" in capsys.readouterr().out
