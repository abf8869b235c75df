"""Every architecture: published counts and receptive fields at full width, and a life in one and three dimensions."""

import pytest
import torch
from torch import nn

import sigconv as sc
from sigconv import models
from sigconv.models import _common

COUNTS = {  # science.md B.5 and B.6
    "lenet:modern": 61_706,
    "lenet:1998": 60_000,
    "lenet:1998:output=linear": 60_850,
    "alexnet:torchvision": 61_100_840,
    "alexnet:2012": 60_965_224,
    "alexnet:single": 62_378_344,
    "zfnet:fig3": 62_357_608,
    "zfnet:b": 107_627_624,
    "vgg:A": 132_863_336,
    "vgg:A-LRN": 132_863_336,
    "vgg:B": 133_047_848,
    "vgg:C": 133_638_952,
    "vgg:D": 138_357_544,
    "vgg:E": 143_667_240,
    "vgg:A:batch_norm=true": 132_868_840,
    "vgg:B:batch_norm=true": 133_053_736,
    "vgg:C:batch_norm=true": 133_647_400,
    "vgg:D:batch_norm=true": 138_365_992,
    "vgg:E:batch_norm=true": 143_678_248,
    "fcn:A": 132_863_336,
    "nin:cifar10": 966_986,
    "nin:imagenet": 7_595_176,
    "googlenet:paper": 6_998_552,
    "googlenet:paper:aux=true": 13_378_280,
    "googlenet:torchvision": 6_624_904,
    "googlenet:torchvision:aux=true": 13_004_888,
    "googlenet:5x5-bn": 7_005_832,
    "googlenet:5x5-bn:aux=true": 13_385_816,
    "resnet:18": 11_689_512,
    "resnet:34": 21_797_672,
    "resnet:50": 25_557_032,
    "resnet:50:version=1": 25_557_032,
    "resnet:101": 44_549_160,
    "resnet:152": 60_192_808,
    "resnet:18:shortcut=A": 11_515_688,
    "resnet:34:shortcut=A": 21_623_848,
    "resnet:50:shortcut=A": 22_780_456,
    "resnet:101:shortcut=A": 41_772_584,
    "resnet:152:shortcut=A": 57_416_232,
    "mobilenet": 4_231_976,
    "mobilenet:width=0.75": 2_585_560,
    "mobilenet:width=0.5": 1_331_592,
    "mobilenet:width=0.25": 470_072,
    "c3d": 79_991_015,
    "c3d:classes=101": 78_409_573,
    "video_resnet:r3d_18": 33_371_472,
    "video_resnet:mc3_18": 11_695_440,
    "video_resnet:r2plus1d_18": 31_505_325,
    "unet:2015": 31_030_658,  # Ronneberger's layers, counted
    "unet:2016:norm=none": 19_069_955,  # Çiçek et al. 2016, section 3
    "speech:full": 129_960 + 5_041_000 + 1_001_000 + 183_183,  # B.1: 8 taps x 45 x 360; 14 x 360 -> 1000 -> 1000 -> 183
    "speech:limited": 14 * 54_150 + 2_101_000 + 1_001_000 + 183_183,
    "speech:cnn": 246_706,
    "dna:zeng:kernels=1": 227,  # B.3
    "dna:zeng": 2_162,
    "dna:zeng:kernels=32": 4_226,
    "dna:zeng:kernels=64": 8_354,
    "dna:zeng:kernels=128": 16_610,
    "dna:zeng:kernels=256": 33_122,
    "dna:deepbind": 16 * 4 * 24 + 16 + 16 * 32 + 32 + 33,
    "dna:deepsea": 52_843_119,
    "dna:basset": 4_131_064,
    "dna:bpnet": 6_464 + 9 * 12_352 + 8 * (64 * 25 + 1) + 8 * 65,
}


def build(spec, **options):
    """A model without memory for its weights."""
    with torch.device("meta"):
        return models.build(spec, **options)


def trainable(model):
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("spec", COUNTS)
def test_ar23_b5_b6_parameters_are_those_published(spec):
    model = build(spec)
    assert trainable(model) == COUNTS[spec]
    shape = models.input_shape(spec)
    rows = sc.describe(model, shape)
    assert first(model.eval()(torch.empty(shape, device="meta"))).shape[1] == rows[-1].shape[1]
    if "aux" not in spec:  # auxiliary heads do not answer in use
        assert sum(row.parameters for row in rows) >= COUNTS[spec]


FIELDS = {  # science.md C.7: the last layer of so many samples, and what it sees
    ("alexnet:torchvision", 13, -1): 163,
    ("alexnet:torchvision", 6, 0): 195,
    ("vgg:A", 7, 0): 150,
    ("vgg:D", 14, -2): 196,
    ("vgg:D", 7, 0): 212,
    ("vgg:E", 7, 0): 268,
    ("resnet:18", 7, -1): 435,
    ("resnet:50", 7, -1): 427,
    ("resnet:50:version=1", 7, -1): 483,
    ("resnet:101", 7, -1): 971,
    ("resnet:152", 7, -1): 1451,
}


@pytest.mark.parametrize(("spec", "positions", "which"), FIELDS)
def test_rf3_c7_receptive_fields_are_those_published(spec, positions, which):
    rows = [row for row in sc.describe(build(spec), models.input_shape(spec)) if row.shape[2:] == (positions,) * 2]
    assert rows[which].receptive_field == (FIELDS[spec, positions, which],) * 2


def test_rf3_c7_lenet_and_nielsen():
    rows = sc.describe(build("lenet:modern"), (1, 1, 32, 32))
    assert next(row.receptive_field for row in rows if row.shape[1] == 120) == (32, 32)
    nets = [sc.describe(build(f"nielsen:{v}"), (1, 1, 28, 28)) for v in models.nielsen.VARIANTS]
    pooled = [row for row in max(nets, key=lambda rows: rows.depth) if row.shape[2:] == (4, 4)]
    assert pooled[-1].receptive_field == (16, 16)


def test_ar14_mobilenet_multiplies_and_adds_569_million_times():
    assert round(sc.describe(build("mobilenet"), (1, 3, 224, 224)).macs / 1e6) == 569


EVERY = [f"{name}:{variant}" for name in models.names() for variant in models.architecture(name).VARIANTS]


def first(answer):
    return answer[0] if isinstance(answer, tuple | list) else answer


@pytest.mark.parametrize("ndim", [1, 3])
@pytest.mark.parametrize("spec", EVERY)
def test_every_model_learns_in_one_and_three_dimensions(spec, ndim):
    torch.manual_seed(0)
    module, _, _ = models.read(spec)
    options = {"ndim": ndim, "width": 1 / 16}
    shape = models.input_shape(spec, ndim=ndim, batch=2, smallest=True)
    if "size" in module.build.__kwdefaults__:
        options["size"] = _common.of_variant(module.SMALLEST, spec.partition(":")[2], ndim)
    model = models.build(spec, **options)
    x = torch.rand(shape, requires_grad=True)
    answer = first(model.train()(x))
    answer.square().mean().backward()
    assert torch.isfinite(answer).all()
    assert torch.isfinite(x.grad).all()
    told = sc.describe(model, shape)
    model.eval()
    with torch.no_grad():
        assert tuple(first(model(x)).shape) in {row.shape for row in told[-4:]}
    assert told.parameters == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("spec", EVERY)
def test_ac1_every_model_takes_every_activation(spec):
    module, _, _ = models.read(spec)
    assert "activation" in module.build.__kwdefaults__
    for name in ("prelu", "maxout", "selu", "swish"):
        assert isinstance(build(spec, activation=name, width=1 / 16), nn.Module)
    with pytest.raises(ValueError, match="activation 'step' is not one of"):
        build(spec, activation="step", width=1 / 16)


@pytest.mark.parametrize("spec", [spec for spec in EVERY if "classes" in models.read(spec)[0].build.__kwdefaults__])
def test_no_model_of_no_classes_is_built(spec):
    with pytest.raises(ValueError, match="classes 0 must be at least 1"):
        build(spec, classes=0, width=1 / 16)


def test_words_say_what_is_wrong():
    with pytest.raises(ValueError, match="model 'vgh' is not one of"):
        models.build("vgh")
    with pytest.raises(ValueError, match="vgg variant 'F' is not one of"):
        models.build("vgg:F")
    with pytest.raises(ValueError, match="option 'depth=3': model vgg takes"):
        models.build("vgg:A:depth=3")
    with pytest.raises(ValueError, match="width 0 must be a number above 0"):
        models.build("vgg:A:width=0")
