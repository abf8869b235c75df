"""Residual nets, mobile nets, nets for video, autoencoders and localizers: counted, laid out and run (B.5, B.6)."""

import itertools

import pytest
import torch
from torch import nn

from sigconv import Conv, models
from sigconv.models import autoencoder, c3d, localizer, mobilenet, resnet, video_resnet

META = torch.device("meta")


def count(model):
    return sum(p.numel() for p in model.parameters())


def built(spec, **options):
    with META:
        return models.build(spec, **options)


def test_b6_c3d_has_the_published_maps():
    model, seen = built("c3d"), {}
    assert sum(p.numel() for name, p in model.named_parameters() if name.startswith("conv")) == 27_655_936
    for name, module in model.named_children():
        module.register_forward_hook(lambda module, x, y, name=name: seen.update({name: tuple(y.shape[1:])}))
    model(torch.zeros(1, 3, 16, 112, 112, device=META))
    assert seen["pool1"] == (64, 16, 56, 56), "the first pooling leaves time as it is"
    assert [seen[f"pool{i}"][1:] for i in (2, 3, 4, 5)] == [(8, 28, 28), (4, 14, 14), (2, 7, 7), (1, 4, 4)]
    assert seen["flatten"] == (8192,)
    assert model.fc6.weight.shape == (4096, 8192)


# What torchvision publishes, written down from its documentation of the architectures.


def norm(name, channels):
    yield from ((f"{name}.{part}", (channels,)) for part in ("weight", "bias", "running_mean", "running_var"))
    yield f"{name}.num_batches_tracked", ()


def image_resnet(depths, bottleneck):
    yield "conv1.weight", (64, 3, 7, 7)
    yield from norm("bn1", 64)
    inside = 64
    for layer, depth in enumerate(depths, 1):
        inner = 32 * 2**layer
        out = inner * (4 if bottleneck else 1)
        for block in range(depth):
            at = f"layer{layer}.{block}"
            shapes = [(inner, inside, 3), (inner, inner, 3)]
            if bottleneck:
                shapes = [(inner, inside, 1), (inner, inner, 3), (out, inner, 1)]
            for i, (to, come, size) in enumerate(shapes, 1):
                yield f"{at}.conv{i}.weight", (to, come, size, size)
                yield from norm(f"{at}.bn{i}", to)
            if block == 0 and (layer > 1 or bottleneck):
                yield f"{at}.downsample.0.weight", (out, inside, 1, 1)
                yield from norm(f"{at}.downsample.1", out)
            inside = out
    yield "fc.weight", (1000, inside)
    yield "fc.bias", (1000,)


def video(kinds, split_stem=False):
    if split_stem:
        yield "stem.0.weight", (45, 3, 1, 7, 7)
        yield from norm("stem.1", 45)
        yield "stem.3.weight", (64, 45, 3, 1, 1)
        yield from norm("stem.4", 64)
    else:
        yield "stem.0.weight", (64, 3, 3, 7, 7)
        yield from norm("stem.1", 64)
    inside = 64
    for layer, kind in enumerate(kinds, 1):
        out = 32 * 2**layer
        for block in range(2):
            at = f"layer{layer}.{block}"
            between = 27 * inside * out // (9 * inside + 3 * out)
            for i, come in ((1, inside), (2, out)):
                if kind == "2+1":
                    yield f"{at}.conv{i}.0.0.weight", (between, come, 1, 3, 3)
                    yield from norm(f"{at}.conv{i}.0.1", between)
                    yield f"{at}.conv{i}.0.3.weight", (out, between, 3, 1, 1)
                else:
                    yield f"{at}.conv{i}.0.weight", (out, come, 3 if kind == "3d" else 1, 3, 3)
                yield from norm(f"{at}.conv{i}.1", out)
            if block == 0 and layer > 1:
                yield f"{at}.downsample.0.weight", (out, inside, 1, 1, 1)
                yield from norm(f"{at}.downsample.1", out)
            inside = out
    yield "fc.weight", (400, 512)
    yield "fc.bias", (400,)


PUBLISHED = {
    "resnet:18": lambda: image_resnet((2, 2, 2, 2), False),
    "resnet:34": lambda: image_resnet((3, 4, 6, 3), False),
    "resnet:50": lambda: image_resnet((3, 4, 6, 3), True),
    "resnet:152": lambda: image_resnet((3, 8, 36, 3), True),
    "video_resnet:r3d_18": lambda: video(["3d"] * 4),
    "video_resnet:mc3_18": lambda: video(["3d", "2d", "2d", "2d"]),
    "video_resnet:r2plus1d_18": lambda: video(["2+1"] * 4, split_stem=True),
}


@pytest.mark.parametrize("spec", PUBLISHED)
def test_ar13_ar20_torchvision_weights_have_these_names_and_shapes(spec):
    expected = dict(PUBLISHED[spec]())
    with META:
        model = models.build(spec)
        weights = {
            name: torch.zeros(shape, dtype=torch.int64 if not shape else None) for name, shape in expected.items()
        }
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == expected
    model.load_state_dict(weights, strict=True)


@pytest.mark.parametrize(("version", "strided"), [("1", "conv1"), (1.5, "conv2"), ("1.5", "conv2")])
def test_ar13_projections_and_where_a_bottleneck_strides_e23(version, strided):
    model = built("resnet:50", version=version)
    for layer in (model.layer2, model.layer3, model.layer4):
        block = layer[0]
        assert block.downsample[0].kernel_size == (1, 1)
        assert block.downsample[0].stride == (2, 2)
        assert block.downsample[0].bias is None
        assert [n for n in ("conv1", "conv2", "conv3") if getattr(block, n).stride == (2, 2)] == [strided]
        assert block.conv2.kernel_size == (3, 3)
        assert all(later.downsample is None for later in layer[1:])
    shapes = {"layer1": (256, 56, 56), "layer2": (512, 28, 28), "layer3": (1024, 14, 14), "layer4": (2048, 7, 7)}
    seen = {}
    for name in shapes:
        getattr(model, name).register_forward_hook(lambda m, x, y, name=name: seen.update({name: tuple(y.shape[1:])}))
    model(torch.zeros(1, 3, 224, 224, device=META))
    assert seen == shapes


def test_ar13_option_a_adds_nothing_to_learn():
    model = resnet.build("18", ndim=1, in_channels=2, classes=3, width=1 / 16, shortcut="A")
    assert not any("downsample" in name for name in model.state_dict())
    assert model(torch.randn(2, 2, 65)).shape == (2, 3)
    small = resnet.build("18", ndim=2, in_channels=1, classes=3, width=1 / 16, stem="small")
    assert small.conv1.kernel_size == (3, 3)
    assert not hasattr(small, "maxpool")
    with pytest.raises(ValueError, match="version '2' is not one of"):
        resnet.build("50", version=2)
    with pytest.raises(ValueError, match="resnet variant '19'|'19' is not one of"):
        resnet.build("19")
    with pytest.raises(ValueError, match="stem"):
        resnet.build("18", stem="tiny")


def test_ar14_st8_st9_mobilenet_filters_channels_one_by_one_then_mixes_them():
    model = built("mobilenet", ndim=3, width=0.5)
    convs = [m for m in model.modules() if isinstance(m, Conv)]
    assert len(convs) == 27
    assert sum(m.groups == m.in_channels and m.kernel_size == (3, 3, 3) for m in convs) == 13
    assert sum(m.kernel_size == (1, 1, 1) and m.groups == 1 for m in convs) == 13
    assert [c.out_channels for c in convs[::2]] == [16, 32, 64, 64, 128, 128, *[256] * 6, 512, 512]
    seen = []
    for name, module in built("mobilenet").named_children():
        if name.startswith("block"):
            seen.append(module.depthwise.stride[0])
    assert seen == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]


def test_st9_the_saving_of_separable_convolution():
    for ndim, out in ((1, 8), (2, 64), (3, 32)):
        block = mobilenet.DepthwiseSeparable(16, out, ndim=ndim)
        weights = sum(m.weight.numel() for m in block if isinstance(m, Conv))
        assert weights / (16 * out * 3**ndim) == pytest.approx(1 / out + 1 / 3**ndim)


def test_st10_space_then_time_has_about_as_many_weights_as_both_at_once():
    for ndim, come, out in itertools.product((1, 2, 3), (16, 64), (64, 128)):
        between = video_resnet.middle(come, out, ndim)
        split = come * between * 3 ** (ndim - 1) + between * out * 3
        whole = come * out * 3**ndim
        assert whole - (come * 3 ** (ndim - 1) + out * 3) < split <= whole
    assert video_resnet.middle(64, 64) == 144


SMALL = [
    *[f"resnet:{v}" for v in ("18", "50")],
    "mobilenet",
    "c3d",
    *[f"video_resnet:{v}" for v in video_resnet.VARIANTS],
    *[f"autoencoder:{v}" for v in autoencoder.VARIANTS],
    *[f"localizer:{v}" for v in localizer.VARIANTS],
]


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("spec", SMALL)
def test_ar13_ar14_ar18_ar19_ar20_every_model_runs_in_any_number_of_axes(spec, ndim):
    torch.manual_seed(0)
    model = models.build(spec, ndim=ndim, in_channels=2, classes=3, width=1 / 16)
    x = torch.randn(models.input_shape(spec, ndim=ndim, in_channels=2, smallest=True), requires_grad=True)
    y = model(x)
    if spec.startswith("autoencoder"):
        assert y.shape == x.shape
    elif spec == "localizer:several":
        assert y.shape == (1, 3 + 2 * ndim, *[n // 4 for n in x.shape[2:]])
    else:
        assert y.shape == (1, 3 + 2 * ndim if spec.startswith("localizer") else 3)
    y.square().mean().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert not missing


def test_ap3_video_nets_take_any_clip():
    model = c3d.build(ndim=3, in_channels=1, classes=2, width=1 / 32).eval()
    assert model(torch.randn(1, 1, 17, 33, 20)).shape == (1, 2)
    assert video_resnet.build("r2plus1d_18", ndim=4, in_channels=1, classes=2, width=1 / 32).eval()(
        torch.randn(1, 1, 5, 6, 7, 8)
    ).shape == (1, 2)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_ar19_tied_weights_are_the_transpose(ndim):
    torch.manual_seed(0)
    model = autoencoder.build("tied", ndim=ndim, in_channels=2, width=1 / 8, activation="identity").double()
    free = autoencoder.build("free", ndim=ndim, in_channels=2, width=1 / 8)
    assert count(free) - count(model) == sum(m.conv.weight.numel() for m in model.layers)
    x = torch.randn(1, 2, *(11, 9, 8)[:ndim], dtype=torch.float64)
    layer = model.layers[0]
    code = layer.encode(x)
    with torch.no_grad():
        layer.conv.bias.zero_()
    back = layer.decode(code, x.shape[2:])
    jacobian = torch.func.jacrev(layer.encode)(x).reshape(code.numel(), x.numel())
    torch.testing.assert_close(back.flatten(), jacobian.T @ code.flatten())
    assert model(x).shape == x.shape


def test_ar19_layers_are_trained_one_by_one_and_the_classifier_shares_the_encoder():
    torch.manual_seed(0)
    model = autoencoder.build(ndim=1, in_channels=1, classes=4, width=1 / 4)
    x = torch.sin(torch.arange(40) * torch.rand(64, 1, 1))
    start = (model(x) - x).square().mean()
    inputs = x
    for layer in model.layers:
        steps = torch.optim.Adam(layer.parameters(), 0.01)
        errors = []
        for _ in range(60):
            steps.zero_grad()
            error = (layer(inputs) - inputs).square().mean()
            error.backward()
            steps.step()
            errors.append(error.item())
        assert errors[-1] < 0.5 * errors[0]
        inputs = layer.encode(inputs).detach()
    torch.testing.assert_close(model.encode(x), inputs)
    assert (model(x) - x).square().mean() < 0.5 * start
    net = model.classifier(positions=5)
    assert net(x).shape == (64, 4)
    assert model.classifier(7)(x).shape == (64, 7)
    net(x).sum().backward()
    assert net[0].weight is model.layers[0].conv.weight or net[0] is model.layers[0].conv
    with pytest.raises(ValueError, match="must name at least one layer"):
        autoencoder.build(channels=())


def test_ar18_two_heads_are_trained_separately():
    torch.manual_seed(0)
    model = localizer.build("one", in_channels=1, classes=3, width=1 / 8)
    x = torch.randn(4, 1, 24, 24)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def step(part):
        model.learn(part).train()
        steps = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 1e-3)
        model(x).square().sum().backward()
        steps.step()
        model.zero_grad()
        moved = {n.split(".")[0] for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
        before.update({name: value.clone() for name, value in model.state_dict().items()})
        return moved

    assert step("class") == {"trunk", "head"}
    assert step("box") == {"box"}, "the trunk's running statistics stay too"
    assert step("all") == {"trunk", "head", "box"}
    scores, boxes = model.answers(model(x))
    assert scores.shape == (4, 3)
    assert boxes.shape == (4, 4)
    assert ((boxes > 0) & (boxes < 1)).all()
    with pytest.raises(ValueError, match="part 'trunk' is not one of"):
        model.learn("trunk")


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_ap5_peaks_of_a_heat_map_are_the_objects(ndim):
    outputs = torch.zeros(2, 3 + 2 * ndim, *(9, 12, 8)[:ndim])
    outputs[:, :3] = -5
    outputs[:, 3 : 3 + ndim], outputs[:, 3 + ndim :] = 0.5, 0.25
    places = {(1,) * ndim: (0, 3.0), (6,) * ndim: (2, 2.0)}
    for place, (label, score) in places.items():
        outputs[(0, label, *place)] = score
        outputs[(0, 1, place[0] + 1, *place[1:])] = score - 1  # beside a peak, and suppressed by it
    first, second = localizer.peaks(outputs, 3)
    assert first.labels.tolist() == [0, 2]
    torch.testing.assert_close(first.scores, torch.tensor([3.0, 2.0]).sigmoid())
    for centre, box, place in zip(first.centres, first.boxes, places, strict=True):
        true = torch.tensor([(p + 0.5) / n for p, n in zip(place, outputs.shape[2:], strict=True)])
        torch.testing.assert_close(centre, true)
        torch.testing.assert_close(box, torch.cat([true - 0.125, true + 0.125]))
    assert len(second.labels) == 0
    assert second.boxes.shape == (0, 2 * ndim)
    assert len(localizer.peaks(outputs, 3, most=1)[0].labels) == 1
    assert len(localizer.peaks(outputs, 3, threshold=0.9)[0].labels) == 1
    with pytest.raises(ValueError, match="outputs have shape"):
        localizer.peaks(outputs, 4)


def test_ap5_a_heat_map_is_fully_convolutional():
    torch.manual_seed(0)
    model = localizer.build("several", in_channels=1, classes=2, width=1 / 8).eval()
    small, large = torch.randn(1, 1, 96, 96), torch.randn(1, 1, 160, 128)
    large[..., 32:128, 16:112] = small
    here, there = model(small), model(large)[..., 8:32, 4:28]
    torch.testing.assert_close(here[..., 6:-6, 6:-6], there[..., 6:-6, 6:-6])


def depth(model, x):
    """Layers with weights on the longest way from input to output, counted on autograd's own graph."""
    layers = set()
    for module in model.modules():
        if isinstance(module, Conv | nn.Linear):
            module.register_forward_hook(lambda module, inputs, y: layers.add(y.grad_fn))
    longest, stack = {}, [model(x).grad_fn]
    while stack:
        node = stack[-1]
        nexts = [after for after, _ in node.next_functions if after is not None]
        waiting = [after for after in nexts if after not in longest]
        if waiting:
            stack += waiting
            continue
        longest[stack.pop()] = max((longest[after] for after in nexts), default=0) + (node in layers)
    return longest[node]


def test_ar24_depths_of_the_table_are_those_of_the_built_models():
    rows = [row for row in models.MILESTONES if row.model]
    found = {}
    for row in rows:
        model = built(row.model).eval()
        found[row.name] = depth(model, torch.zeros(models.input_shape(row.model), device=META))
    assert found == {row.name: row.layers for row in rows}
    assert tuple(found.values()) == (8, 8, 19, 22, 152)


def test_ar24_e12_e14_e15_the_table_has_the_errors_put_right():
    rows = {row.name: row for row in models.MILESTONES}
    assert [row.year for row in models.MILESTONES] == sorted(row.year for row in models.MILESTONES)
    assert [row.top5 for row in models.MILESTONES] == sorted((row.top5 for row in models.MILESTONES), reverse=True)
    assert rows["before 2012"].layers == 5
    assert rows["before 2012"].top5 > 25
    assert (rows["AlexNet"].top5, rows["AlexNet"].single) == (15.3, 18.2)
    assert "15.4 on validation" in rows["AlexNet"].note
    assert (rows["ZFNet"].top5, rows["VGG"].top5, rows["GoogLeNet"].top5) == (14.8, 7.3, 6.7)
    assert round(rows["ResNet"].top5, 1) == 3.6
    assert "11.7" in rows["ZFNet"].note
    assert "6.8" in rows["VGG"].note
    assert "5.1" in rows["ResNet"].note
    assert "1980" in rows["before 2012"].note
