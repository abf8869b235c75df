"""Published weights load: names and shapes are torchvision's, and what is computed with them is what torchvision does.

The lists stand here as torchvision's documentation and state_dicts have them; no weights can be had in a test.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sigconv import models

NORM = ("weight", "bias", "running_mean", "running_var")


def affine(name, out, *inputs, bias=True):
    return {f"{name}.weight": (out, *inputs)} | ({f"{name}.bias": (out,)} if bias else {})


def norm(name, channels):
    return {f"{name}.{n}": (channels,) for n in NORM} | {f"{name}.num_batches_tracked": ()}


def layout(net):
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}


def on_meta(spec):
    with torch.device("meta"):
        return models.build(spec)


WIDTHS = {
    "A": (64, 128, 256, 256, 512, 512, 512, 512),
    "B": (64, 64, 128, 128, 256, 256, 512, 512, 512, 512),
    "D": (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
    "E": (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512),
}
PLACES = {  # of the convolutions in vgg11, 13, 16, 19 and their _bn
    "A": (0, 3, 6, 8, 11, 13, 16, 18),
    "B": (0, 2, 5, 7, 10, 12, 15, 17, 20, 22),
    "D": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "E": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
    "A+BN": (0, 4, 8, 11, 15, 18, 22, 25),
    "B+BN": (0, 3, 7, 10, 14, 17, 21, 24, 28, 31),
    "D+BN": (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40),
    "E+BN": (0, 3, 7, 10, 14, 17, 20, 23, 27, 30, 33, 36, 40, 43, 46, 49),
}


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("variant", "ABDE")
def test_ar8_vggs_names_and_shapes_are_torchvisions(variant, batch_norm):
    expected, inputs = {}, 3
    for place, width in zip(PLACES[variant + "+BN" * batch_norm], WIDTHS[variant], strict=True):
        expected |= affine(f"features.{place}", width, inputs, 3, 3)
        expected |= norm(f"features.{place + 1}", width) if batch_norm else {}
        inputs = width
    expected |= affine("classifier.0", 4096, 25088) | affine("classifier.3", 4096, 4096)
    expected |= affine("classifier.6", 1000, 4096)
    assert layout(on_meta(f"vgg:{variant}:batch_norm={batch_norm}")) == expected


def test_ar6_alexnets_names_and_shapes_are_torchvisions():
    expected = affine("features.0", 64, 3, 11, 11) | affine("features.3", 192, 64, 5, 5)
    expected |= affine("features.6", 384, 192, 3, 3) | affine("features.8", 256, 384, 3, 3)
    expected |= affine("features.10", 256, 256, 3, 3) | affine("classifier.1", 4096, 9216)
    expected |= affine("classifier.4", 4096, 4096) | affine("classifier.6", 1000, 4096)
    assert layout(on_meta("alexnet:torchvision")) == expected


MODULES = {  # inputs, then 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5 (3x3 there), pooled
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


def basic(name, out, *inputs):
    return affine(f"{name}.conv", out, *inputs, bias=False) | norm(f"{name}.bn", out)


@pytest.mark.parametrize("aux", [False, True])
def test_ar12_googlenets_names_and_shapes_are_torchvisions(aux):
    expected = basic("conv1", 64, 3, 7, 7) | basic("conv2", 64, 64, 1, 1) | basic("conv3", 192, 64, 3, 3)
    for module, (n, one, red3, three, red5, five, pooled) in MODULES.items():
        name = f"inception{module}"
        expected |= basic(f"{name}.branch1", one, n, 1, 1) | basic(f"{name}.branch2.0", red3, n, 1, 1)
        expected |= basic(f"{name}.branch2.1", three, red3, 3, 3) | basic(f"{name}.branch3.0", red5, n, 1, 1)
        expected |= basic(f"{name}.branch3.1", five, red5, 3, 3) | basic(f"{name}.branch4.1", pooled, n, 1, 1)
    for head, n in (("aux1", 512), ("aux2", 528)) if aux else ():
        expected |= basic(f"{head}.conv", 128, n, 1, 1) | affine(f"{head}.fc1", 1024, 2048)
        expected |= affine(f"{head}.fc2", 1000, 1024)
    expected |= affine("fc", 1000, 1024)
    assert layout(on_meta(f"googlenet:torchvision:aux={aux}")) == expected


# The same numbers through torch's own layers


def weights(net):
    """The model's state, with running statistics that are not trivial, in double precision."""
    torch.manual_seed(0)
    state = {name: v.double() if v.is_floating_point() else v for name, v in net.state_dict().items()}
    for name, value in state.items():
        if "running" in name or ".bn." in name or name.endswith("bias"):
            state[name] = torch.rand_like(value) + 0.5 if value.is_floating_point() else value
    net.double().load_state_dict(state)
    return state


def run_vgg(state, x, plan, gaps):
    """Convolutions with a ReLU, 2x2 maxima at the gaps of the numbering, and the head."""
    for place, following in zip(plan, [*plan[1:], plan[-1] + gaps + 1], strict=True):
        x = F.conv2d(x, state[f"features.{place}.weight"], state[f"features.{place}.bias"], padding=1)
        if gaps == 3:
            norms = [state[f"features.{place + 1}.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
            x = F.batch_norm(x, *norms)
        x = F.relu(x)
        x = F.max_pool2d(x, 2) if following - place > gaps else x
    x = F.adaptive_avg_pool2d(x, 7).flatten(1)
    for place in (0, 3):
        x = F.relu(F.linear(x, state[f"classifier.{place}.weight"], state[f"classifier.{place}.bias"]))
    return F.linear(x, state["classifier.6.weight"], state["classifier.6.bias"])


CASES = [(variant, size) for variant in ("A", "B", "D", "E", "A+BN", "D+BN") for size in ((64, 64), (70, 100))]


@pytest.mark.parametrize(("variant", "size"), [*CASES, ("A", (224, 230))])
def test_ar8_vgg_computes_with_them_what_torch_does(variant, size):
    bn = variant.endswith("+BN")
    net = models.vgg.build(variant[0], width=1 / 64, classes=3, batch_norm=bn).eval()
    state = weights(net)
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(net(x), run_vgg(state, x, PLACES[variant], 3 if bn else 2))


@pytest.mark.parametrize("size", [(63, 80), (224, 224)])
def test_ar6_alexnet_computes_with_them_what_torch_does(size):
    net = models.alexnet.build("torchvision", width=1 / 16, classes=3).eval()
    state = weights(net)
    layer = lambda name: (state[f"{name}.weight"], state[f"{name}.bias"])
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    y = F.max_pool2d(F.relu(F.conv2d(x, *layer("features.0"), stride=4, padding=2)), 3, 2)
    y = F.max_pool2d(F.relu(F.conv2d(y, *layer("features.3"), padding=2)), 3, 2)
    for place in (6, 8, 10):
        y = F.relu(F.conv2d(y, *layer(f"features.{place}"), padding=1))
    y = F.adaptive_avg_pool2d(F.max_pool2d(y, 3, 2), 6).flatten(1)
    for place in (1, 4):
        y = F.relu(F.linear(y, *layer(f"classifier.{place}")))
    torch.testing.assert_close(net(x), F.linear(y, *layer("classifier.6")))


def test_ar6_alexnet_2012_normalizes_before_pooling_and_splits_in_two():
    net = models.alexnet.build("2012", width=1 / 16, classes=3).eval()
    state = weights(net)
    convs = [i for i, m in enumerate(net.features) if hasattr(m, "weight")]
    assert convs == [0, 4, 8, 10, 12]
    x = torch.randn(2, 3, 99, 99, dtype=torch.float64)
    lrn = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    y = x
    for place, stride, padding, groups in ((0, 4, 2, 1), (4, 1, 2, 2), (8, 1, 1, 1), (10, 1, 1, 2), (12, 1, 1, 2)):
        y = F.conv2d(y, *(state[f"features.{place}.{p}"] for p in ("weight", "bias")), stride, padding, 1, groups)
        y = F.relu(y)
        y = F.max_pool2d(lrn(y), 3, 2) if place < 8 else y
    torch.testing.assert_close(net.features(x), F.max_pool2d(y, 3, 2))


@pytest.mark.parametrize("variant", models.googlenet.VARIANTS)
@pytest.mark.parametrize("size", [(64, 70), (224, 224)])
def test_ar12_googlenet_computes_with_them_what_torch_does(size, variant):
    net = models.googlenet.build(variant, width=1 / 32, classes=3).eval()
    state = weights(net)
    x = torch.randn(1, 3, *size, dtype=torch.float64)

    def conv(x, name, stride=1):
        weight = state[f"{name}.conv.weight"]
        x = F.conv2d(x, weight, state.get(f"{name}.conv.bias"), stride, weight.shape[-1] // 2)
        if variant != "paper":
            norms = [state[f"{name}.bn.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
            x = F.batch_norm(x, *norms, eps=0.001)
        return F.relu(x)

    def module(x, name):
        name = f"inception{name}"
        two, three = (conv(conv(x, f"{name}.{b}.0"), f"{name}.{b}.1") for b in ("branch2", "branch3"))
        pooled = conv(F.max_pool2d(x, 3, 1, 1), f"{name}.branch4.1")
        return torch.cat([conv(x, f"{name}.branch1"), two, three, pooled], 1)

    halve = lambda x, size=3: F.max_pool2d(x, size, 2, ceil_mode=True)
    lrn = nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0) if variant == "paper" else lambda x: x
    y = lrn(halve(conv(x, "conv1", 2)))
    y = halve(lrn(conv(conv(y, "conv2"), "conv3")))
    for name in MODULES:
        y = module(y, name)
        y = halve(y) if name == "3b" else halve(y, 3 if variant == "paper" else 2) if name == "4e" else y
    expected = F.linear(y.mean((2, 3)), state["fc.weight"], state["fc.bias"])
    torch.testing.assert_close(net(x), expected)
