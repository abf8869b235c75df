"""The classical architectures: published counts, the shape of every layer, any number of axes."""

import functools
import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sigconv import Conv, blocks, models, pooling

CLASSIC = ("lenet", "alexnet", "zfnet", "vgg", "nin", "googlenet", "fcn")


def on_meta(spec, **options):
    with torch.device("meta"):
        return models.build(spec, **options)


def count(module):
    return sum(p.numel() for p in module.parameters())


def shapes(net, x, kinds):
    """(channels, *space) of what every layer of these kinds gives, in the order they run."""
    seen = []
    for module in net.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda module, x, y: seen.append(tuple(y.shape[1:])))
    net(x)
    return seen


def test_b5_vgg_convolutions_alone():
    assert count(on_meta("vgg:A").features) == 9_220_480
    assert count(on_meta("vgg:D").features) == 14_714_688


def test_b5_lenet_layer_by_layer_and_its_fixed_numbers():
    net = models.lenet.build("1998")
    layers = [count(net.get_submodule(name)) for name in ("c1", "s2", "c3", "s4", "c5", "f6", "output")]
    assert layers == [156, 12, 1516, 32, 48_120, 10_164, 0]
    assert net.output.codes.numel() == 840
    assert set(net.output.codes.unique().tolist()) == {-1, 1}


# The lecture's arithmetic (A.9)


def linear(inputs, outputs, bias=True):
    with torch.device("meta"):
        return nn.Linear(inputs, outputs, bias)


def conv(*args, **options):
    with torch.device("meta"):
        return Conv(*args, **{"ndim": 2} | options)


def test_pc10_384_to_384_channels_and_alexnets_groups():
    assert conv(384, 384, 3).weight.numel() == 1_327_104
    fourth = [m for m in on_meta("alexnet:2012").features if isinstance(m, Conv)][3]
    assert (fourth.in_channels, fourth.out_channels, fourth.weight.numel()) == (384, 384, 663_552)


@pytest.mark.parametrize("variant", models.alexnet.VARIANTS)
def test_pc11_e11_fc6_as_supposed_and_as_it_is(variant):
    supposed = linear(13 * 13 * 384, 4096, bias=False)
    fc6 = next(m for m in on_meta(f"alexnet:{variant}").classifier if isinstance(m, nn.Linear))
    assert (count(supposed), fc6.weight.numel()) == (265_814_016, 37_748_736)
    assert count(supposed) / fc6.weight.numel() == pytest.approx(7.04, abs=0.005)


DEPTHS = {"alexnet": 8, "zfnet": 8, "vgg:D": 16, "vgg:E": 19, "lenet:modern": 5, "nin:imagenet": 12}


@pytest.mark.parametrize("spec", DEPTHS)
def test_ar24_depths_are_those_of_the_lectures_table(spec):
    weighted = [m for m in on_meta(spec).modules() if isinstance(m, Conv | nn.Linear)]
    assert len(weighted) == DEPTHS[spec]


# LeNet


def test_pc12_ar4_e7_lenets_units():
    net = on_meta("lenet")
    seen = shapes(net, torch.empty(1, 1, 32, 32, device="meta"), (Conv, blocks.PartialConv, pooling.AvgPool, nn.Linear))
    assert seen == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84,)]
    assert math.prod(seen[0]) == 4704
    assert math.prod(seen[2]) == 1600
    assert conv(6, 16, 6)(torch.empty(1, 6, 14, 14, device="meta")).numel() == 1296  # with the lecture's 6x6


def test_ar4_lenet_1998_is_its_paper():
    torch.manual_seed(0)
    net = models.lenet.build("1998").double()
    act = lambda x: 1.7159 * torch.tanh(2 / 3 * x)
    x = torch.randn(2, 1, 32, 32, dtype=torch.float64)
    subsample = lambda y, s: act(F.avg_pool2d(y, 2) * s.gain[:, None, None] + s.bias[:, None, None])
    with torch.no_grad():
        for s in (net.s2, net.s4):
            s.gain.uniform_(0.5, 2)
            s.bias.uniform_(-1, 1)
        y = subsample(act(F.conv2d(x, net.c1.weight, net.c1.bias)), net.s2)
        y = subsample(act(F.conv2d(y, net.c3.dense(), net.c3.bias)), net.s4)
        y = act(net.f6(act(F.conv2d(y, net.c5.weight, net.c5.bias)).flatten(1)))
        distance = torch.cdist(y, net.output.codes) ** 2
        torch.testing.assert_close(net(x), -distance)


def test_ar4_the_table_of_c3_gives_each_map_of_s2_ten_readers():
    table = models.lenet.TABLE
    assert [len(row) for row in table] == [3] * 6 + [4] * 9 + [6]
    readers = [sum(i in row for row in table) for i in range(6)]
    assert readers == [10] * 6
    assert len({frozenset(row) for row in table}) == 16
    dense = models.lenet.build().c3.dense()
    joined = [tuple(row.abs().sum((1, 2)).nonzero().flatten().tolist()) for row in dense]
    assert joined == [tuple(sorted(row)) for row in table]


def test_ar4_codes_are_drawn_digits_and_fixed():
    digits = torch.tensor(models.lenet.codes()).view(10, 12, 7)
    assert torch.equal(digits[8], digits[8].flip(1))  # an eight is its own mirror image, and so is a nought
    assert torch.equal(digits[0], digits[0].flip(0))
    assert (digits[7][0] == 1).all()
    assert models.lenet.codes(3, 20) == models.lenet.codes(3, 20)
    net = models.lenet.build(width=0.5, classes=3)
    assert net.output.codes.shape == (3, 42)
    assert "output.codes" in net.state_dict()
    assert "output.codes" not in dict(net.named_parameters())


def test_ar4_lenet_takes_28_samples_by_padding_and_learns():
    torch.manual_seed(0)
    net = models.lenet.build("1998", padding=2)
    x, y = torch.randn(10, 1, 28, 28), torch.arange(10)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.03)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        losses.append(F.cross_entropy(net(x), y))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2
    assert (net(x).argmax(1) == y).float().mean() > 0.5


# AlexNet and ZFNet


@pytest.mark.parametrize(("variant", "first"), [("torchvision", 64), ("2012", 96), ("single", 96)])
def test_ar6_e9_alexnets_column(variant, first):
    net = on_meta(f"alexnet:{variant}")
    seen = shapes(net, torch.empty(1, 3, 224, 224, device="meta"), (Conv, pooling.MaxPool, nn.Linear))
    second, fourth = (192, 256) if variant == "torchvision" else (256, 384)
    maps = [(first, 55), (first, 27), (second, 27), (second, 13), (384, 13), (fourth, 13), (256, 13), (256, 6)]
    assert seen == [*((c, n, n) for c, n in maps), (4096,), (4096,), (1000,)]
    pools = [m for m in net.modules() if isinstance(m, pooling.MaxPool)]
    assert all(m.options["kernel_size"] == 3 and m.options["stride"] == 2 for m in pools)  # they overlap
    assert sum(isinstance(m, blocks.LocalResponseNorm) for m in net.modules()) == (0 if variant == "torchvision" else 2)


def test_e8_224_needs_padding_and_227_fits():
    column = lambda **options: on_meta("alexnet:2012", **options).features
    x = lambda n: torch.empty(1, 3, n, n, device="meta")
    assert column()(x(224)).shape == column(padding=0)(x(227)).shape == (1, 256, 6, 6)
    assert column(padding=0, strict=True)(x(227)).shape == (1, 256, 6, 6)
    assert column(padding=0)[0](x(224)).shape[2] == 54  # what the lecture's 224 gives unpadded
    for padding in (0, 2):
        with pytest.raises(ValueError, match="stride 4 does not divide"):
            column(padding=padding, strict=True)(x(224))


@pytest.mark.parametrize(("variant", "last"), [("fig3", (384, 384, 256)), ("b", (512, 1024, 512))])
def test_ar7_e9_zfnets_column(variant, last):
    net = on_meta(f"zfnet:{variant}")
    seen = shapes(net, torch.empty(1, 3, 224, 224, device="meta"), (Conv, pooling.MaxPool, nn.Linear))
    maps = [(96, 110), (96, 55), (256, 26), (256, 13), *((c, 13) for c in last), (last[-1], 6)]
    assert seen == [*((c, n, n) for c, n in maps), (4096,), (4096,), (1000,)]


# VGG


LAYERS = {"A": 11, "A-LRN": 11, "B": 13, "C": 16, "D": 16, "E": 19}


@pytest.mark.parametrize("variant", LAYERS)
def test_ar8_ar9_e2_vggs_columns(variant):
    net = on_meta(f"vgg:{variant}")
    weighted = [m for m in net.modules() if isinstance(m, Conv | nn.Linear)]
    assert len(weighted) == LAYERS[variant]
    kernels = [m.kernel_size for m in weighted if isinstance(m, Conv)]
    assert kernels.count((1, 1)) == (3 if variant == "C" else 0)
    assert kernels.count((3, 3)) == LAYERS[variant] - 3 - kernels.count((1, 1))
    norms = [i for i, m in enumerate(net.features) if isinstance(m, blocks.LocalResponseNorm)]
    assert norms == ([2] if variant == "A-LRN" else [])  # once, behind the first convolution and its ReLU
    pools = shapes(net, torch.empty(1, 3, 224, 224, device="meta"), pooling.MaxPool)
    assert pools == [(c, n, n) for c, n in [(64, 112), (128, 56), (256, 28), (512, 14), (512, 7)]]


def test_ar8_e1_e2_vgg_by_the_lectures_own_table():
    for variant, text in models.vgg.COLUMNS.items():
        small = re.sub(r"D(\d+)", lambda depth: f"D{int(depth[1]) // 16}", text)
        whole = models.from_pattern(f"{small} FC256 FC256", 3, 5, size=32)
        layers = lambda net: [tuple(m.weight.shape) for m in net.modules() if isinstance(m, Conv)]
        assert layers(whole) == layers(models.vgg.build(variant, width=1 / 16))


@pytest.mark.parametrize(
    "spec", ["vgg:A", "vgg:A-LRN", "vgg:B", "vgg:C", "vgg:D", "vgg:E", "vgg:E:batch_norm=true", "fcn:A"]
)
def test_ar3_bi_pyramid_space_shrinks_and_channels_grow(spec):
    seen = shapes(on_meta(spec).features, torch.empty(1, 3, 224, 224, device="meta"), (Conv, pooling.MaxPool))
    channels, space = [s[0] for s in seen], [s[1] for s in seen]
    assert channels == sorted(channels)
    assert space == sorted(space, reverse=True)
    assert channels[-1] == 8 * channels[0]
    assert space[-1] * 32 == 224


# Network in Network, GoogLeNet


def test_ar15_nins_columns():
    net = on_meta("nin:cifar10")
    kinds = (blocks.MLPConv, pooling.MaxPool, pooling.AvgPool, pooling.GlobalAvgPool)
    seen = shapes(net, torch.empty(1, 3, 32, 32, device="meta"), kinds)
    assert seen == [(96, 32, 32), (96, 16, 16), (192, 16, 16), (192, 8, 8), (10, 8, 8), (10,)]
    seen = shapes(on_meta("nin:imagenet"), torch.empty(1, 3, 224, 224, device="meta"), kinds)
    maps = [(96, 54), (96, 27), (256, 27), (256, 13), (384, 13), (384, 6), (1000, 6)]
    assert seen == [*((c, n, n) for c, n in maps), (1000,)]


@pytest.mark.parametrize("variant", models.googlenet.VARIANTS)
def test_ar12_googlenets_table(variant):
    net = on_meta(f"googlenet:{variant}").eval()
    seen = shapes(net, torch.empty(1, 3, 224, 224, device="meta"), (pooling.MaxPool, blocks.Inception))
    trunk = [s for s in seen if s[0] in (64, 192, 256, 480, 512, 528, 832, 1024)]
    stem, third = [(64, 56), (192, 28)], [(192, 28), (256, 28), (256, 28), (480, 28), (480, 14)]
    fourth = [(480, 14), (512, 14), *[(512, 14)] * 4, (512, 14), (528, 14), (528, 14), (832, 14), (832, 7)]
    fifth = [(832, 7), (832, 7), (832, 7), (1024, 7)]  # each module's own maximum, then the module
    assert trunk == [(c, n, n) for c, n in [*stem, *third, *fourth, *fifth]]
    weighted = lambda m: sum(isinstance(inner, Conv | nn.Linear) for inner in m.modules())
    depth = lambda m: max(map(weighted, m.children())) if isinstance(m, blocks.Inception) else weighted(m)
    assert sum(depth(m) for m in net.children()) == 22
    assert sum(isinstance(m, Conv | nn.Linear) for m in net.modules()) == 3 + 9 * 6 + 1
    assert sum(isinstance(m, blocks.Inception) for m in net.modules()) == 9
    fives = {m.branch3[1].conv.kernel_size for m in net.modules() if isinstance(m, blocks.Inception)}
    assert fives == {(3, 3) if variant == "torchvision" else (5, 5)}  # E23


def test_ar12_auxiliary_answers_in_training_and_their_loss():
    torch.manual_seed(0)
    net = models.googlenet.build("paper", ndim=1, width=1 / 16, classes=4, aux=True)
    x, y = torch.randn(3, 3, 96), torch.tensor([0, 1, 2])
    outputs = net(x)
    assert [tuple(o.shape) for o in outputs] == [(3, 4)] * 3
    parts = [F.cross_entropy(o, y) for o in (outputs.logits, outputs.aux1, outputs.aux2)]
    total = models.googlenet.loss(outputs, y)
    torch.testing.assert_close(total, parts[0] + 0.3 * (parts[1] + parts[2]))
    total.backward()
    assert all(p.grad is not None for p in net.parameters())
    alone = net.eval()(x)
    assert alone.shape == (3, 4)
    torch.testing.assert_close(models.googlenet.loss(alone, y), F.cross_entropy(alone, y))


def test_ar12_the_papers_auxiliary_windows_at_the_published_size_and_means_elsewhere():
    head = models.googlenet.Auxiliary(3, 5, ndim=2, width=1 / 64, activation="relu", order="conv-act").eval()
    assert shapes(head, torch.randn(1, 3, 14, 14), pooling.AvgPool) == [(3, 4, 4)]
    assert shapes(head, torch.randn(1, 3, 6, 9), pooling.AdaptiveAvgPool) == [(3, 4, 4)]


# All of them


SPECS = [
    "googlenet:paper",
    "lenet:modern",
    "vgg:A:batch_norm=true",
    "googlenet:torchvision:aux=true",
    "lenet:1998:output=linear",
    "fcn:A:output=map",
]


@pytest.mark.parametrize("ndim", [1, 3])
@pytest.mark.parametrize("spec", SPECS)
def test_every_model_runs_forward_and_backward_in_one_and_three_axes(spec, ndim):
    torch.manual_seed(0)
    net = models.build(spec, ndim=ndim, in_channels=2, classes=3, width=1 / 16)
    shape = models.input_shape(spec, ndim=ndim, in_channels=2, smallest=True)
    y = net(torch.randn(shape))
    answers = y if isinstance(y, tuple) else (y,)
    for answer in answers:
        assert answer.shape[:2] == (1, 3)
    sum(answer.sum() for answer in answers).backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None]
    assert not missing


@pytest.mark.parametrize("spec", ["lenet", "alexnet:2012", "zfnet", "vgg", "nin:cifar10", "googlenet:paper", "fcn"])
def test_smaller_inputs_than_the_smallest_are_refused_and_larger_are_taken(spec):
    net = models.build(spec, ndim=1, in_channels=1, classes=2, width=1 / 16).eval()
    smallest = models.input_shape(spec, ndim=1, in_channels=1, smallest=True)[-1]
    assert net(torch.zeros(2, 1, smallest + 13)).shape == (2, 2)
    with pytest.raises(ValueError, match="kernel"):
        net(torch.zeros(2, 1, smallest - 1))


@pytest.mark.parametrize(
    "spec", ["alexnet:torchvision", "alexnet:2012", "zfnet", "vgg", "nin:cifar10", "googlenet:paper"]
)
def test_ac5_dropout_is_drawn_in_training_and_gone_in_evaluation(spec):
    torch.manual_seed(0)
    build = functools.partial(models.build, spec, ndim=1, classes=5, width=1 / 8)
    net, x = build(), torch.randn(models.input_shape(spec, ndim=1))
    drops = [m.p for m in net.modules() if isinstance(m, nn.Dropout)]
    assert drops == ([0.4] if "google" in spec else [0.5, 0.5])
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))
    without = build(dropout=0.0)
    without.load_state_dict(net.state_dict())
    assert torch.equal(without(x), net(x))


@pytest.mark.parametrize("activation", ["leaky_relu", "prelu", "maxout", "selu", "swish", "silu"])
@pytest.mark.parametrize("name", CLASSIC)
def test_ac1_activations_are_chosen_by_name(name, activation):
    net = models.build(name, ndim=1, classes=2, width=1 / 16, activation=activation)
    x = torch.randn(models.input_shape(name, ndim=1, smallest=True))
    assert net(x).isfinite().all()
    assert not any(isinstance(m, nn.ReLU) for m in net.modules())


@pytest.mark.parametrize("name", CLASSIC)
def test_unknown_variants_are_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=f"{'vgg' if name == 'fcn' else name} variant 'Z' is not one of"):
        models.architecture(name).build("Z")
