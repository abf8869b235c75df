"""ResNet: convolutions that learn what to add to their input, up to 152 layers of them (AR13)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from sigconv import nd
from sigconv.blocks import BasicBlock, BatchNorm, Bottleneck, he
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models._common import axes, recorded, scaled
from sigconv.pooling import GlobalAvgPool, MaxPool

DEPTHS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "18": (BasicBlock, (2, 2, 2, 2)),
    "10": (BasicBlock, (1, 1, 1, 1)),
    "34": (BasicBlock, (3, 4, 6, 3)),
    "50": (Bottleneck, (3, 4, 6, 3)),
    "101": (Bottleneck, (3, 4, 23, 3)),
    "152": (Bottleneck, (3, 8, 36, 3)),
}
VARIANTS = tuple(DEPTHS)
SIZE = 224
SMALLEST = 33  # two positions are left at the end: enough for the statistics of a batch of one
VERSIONS = ("1.5", "1")
STEMS = {"imagenet": 2, "large": 2, "video": (1, 2), "small": 1}  # strides of the first convolution


@recorded
def build(
    variant: str | int = "18",
    *,
    ndim: int = 2,
    in_channels: int = 3,
    classes: int = 1000,
    width: float = 1.0,
    activation: Any = "relu",
    version: Any = "1.5",
    shortcut: str = "B",
    stem: str = "imagenet",
) -> nn.Sequential:
    """ResNet of 10, 18, 34, 50, 101 or 152 layers: (batch, in_channels, *space) -> (batch, classes).

    version     where a bottleneck strides: "1.5", its 3x3 convolution (as torchvision), or "1", its first 1x1 (paper)
    shortcut    where shapes differ: "B", a strided 1x1 projection, or "A", zeros for the new channels
    stem        "imagenet" or "large", 7x7 at stride 2 and a maximum over 3x3; "video", whose first convolution leaves
                the first axis as it is; or "small", 3x3 at stride 1, for small inputs such as 28 samples an axis

    In two dimensions names and layout are torchvision's. In three, with one channel, these are Med3D's encoders, those
    of 18 and 34 layers with shortcut "A". Sources: He et al. 2016, Deep Residual Learning; Hara, Kataoka and Satoh 2018
    (video); Chen, Ma and Zheng 2019 (Med3D, 10 layers); Yang et al. 2023 (MedMNIST, small).

    >>> sum(p.numel() for p in build("18").parameters())
    11689512
    """
    block, depths = DEPTHS[nd.one_of(str(variant), VARIANTS, "resnet variant")]
    version = nd.one_of(str(version), VERSIONS, "version")
    options: dict[str, Any] = {"ndim": ndim, "shortcut": shortcut, "activation": activation}
    if block is Bottleneck:
        options["version"] = f"v{version}"
    channels = scaled(64, width)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    small = nd.one_of(stem, tuple(STEMS), "stem") == "small"
    size = 3 if small else 7
    layers["conv1"] = Conv(in_channels, channels, size, axes(STEMS[stem], ndim), size // 2, bias=False, ndim=ndim)
    layers["bn1"] = BatchNorm(channels)
    layers["act1"] = activated(activation, channels, ndim)
    if not small:
        layers["maxpool"] = MaxPool(3, 2, padding=1)
    for i, depth in enumerate(depths):
        inner, blocks = scaled(64 * 2**i, width), []
        for j in range(depth):
            blocks.append(block(channels, inner, 2 if i and not j else 1, **options))
            channels = inner * block.expansion
        layers[f"layer{i + 1}"] = nn.Sequential(*blocks)
    layers["avgpool"] = GlobalAvgPool()
    layers["fc"] = nn.Linear(channels, classes)
    model = nn.Sequential(layers)
    he(model[:-1], "fan_out")
    return model
