"""A classifier made fully convolutional: its answers at every place of a larger input, in one pass (ST6, AR17)."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import Maxout
from sigconv.blocks.activations import DenseMaxout
from sigconv.convolution import Conv, to_conv
from sigconv.models import vgg
from sigconv.models._classifier import Classifier
from sigconv.models._common import recorded
from sigconv.pooling import adaptive_avg_pool

VARIANTS = vgg.VARIANTS
SIZE = 224
SMALLEST = 32
OUTPUTS = ("average", "map")


class FullyConvolutional(nn.Module):
    """Features and a classifier of convolutions; `parts` is what its first kernel spans, per axis.

    (batch, in_channels, *space) -> (batch, classes), the mean of the map of answers (dense evaluation), or with
    output="map" (batch, classes, *positions). Features of fewer positions than the kernel spans are brought to as many
    by adaptive means, as the classifier does it.
    """

    def __init__(self, features: nn.Module, classifier: nn.Sequential, parts: tuple[int, ...], output: str) -> None:
        super().__init__()
        self.features, self.classifier, self.parts = features, classifier, parts
        self.output = nd.one_of(output, OUTPUTS, "output")

    def forward(self, x: Tensor) -> Tensor:
        """The map of answers, or its mean."""
        maps = self.features(x)
        if any(n < p for n, p in zip(maps.shape[2:], self.parts, strict=True)):
            maps = adaptive_avg_pool(maps, tuple(max(n, p) for n, p in zip(maps.shape[2:], self.parts, strict=True)))
        answers = self.classifier(maps)
        return answers if self.output == "map" else answers.flatten(2).mean(2)


def convert(model: nn.Module, *, output: str = "average") -> FullyConvolutional:
    """A trained classifier as a fully convolutional network: its weights, copied; linear layers become convolutions.

    model is a VGG, AlexNet or ZFNet of this package, or a Sequential with one nn.Flatten in it. The map of answers on a
    larger input is that of the classifier slid over it, in steps of the features' total stride:

    - exactly, to rounding, where the features pad nothing (padding="valid");
    - at the classifier's own size, one position, always;
    - elsewhere, where zeros are padded, not: a crop sees zeros at its border where the map sees the neighbours.

    TypeError for a model of another form. Sources: ST6; Long, Shelhamer and Darrell 2015; Sermanet et al. 2014.

    >>> import torch
    >>> convert(vgg.build("A", ndim=1, width=1 / 64, classes=2), output="map")(torch.zeros(1, 3, 288)).shape
    torch.Size([1, 2, 3])
    """
    features, dense = _halves(model)
    fixed = next(
        (m for m in [*features.modules(), *dense] if type(m).__name__.startswith(("Adaptive", "Pyramid"))), None
    )
    kept = next((m for m in dense if any(True for _ in m.buffers())), None)
    if fixed is not None or kept is not None:
        raise TypeError(f"model has a {type(fixed or kept).__name__}: it answers for whole inputs, and cannot be slid")
    convolutions = [module for module in features if isinstance(module, Conv)]
    linear = next((module for module in dense if isinstance(module, nn.Linear)), None)
    if not convolutions or linear is None:
        raise TypeError(f"model {type(model).__name__} has no convolutions before linear layers: nothing to convert")
    channels, ndim = convolutions[-1].out_channels, convolutions[-1].ndim or 0
    parts = round((linear.in_features / channels) ** (1 / ndim))
    if channels * parts**ndim != linear.in_features:
        raise ValueError(f"{linear.in_features} values are not {channels} channels of as many parts on every axis")
    layers = [_over_space(module, parts if module is linear else 1, ndim) for module in dense]
    net = FullyConvolutional(copy.deepcopy(features), nn.Sequential(*layers), (parts,) * ndim, output)
    return net.train(model.training)


def _over_space(module: nn.Module, parts: int, ndim: int) -> nn.Module:
    """A layer of (batch, values) as one that slides over space."""
    if isinstance(module, nn.Linear):
        return to_conv(module, (module.in_features // parts**ndim, *[parts] * ndim))
    if isinstance(module, DenseMaxout):
        wide = Maxout(module.linear.in_features, 1, pieces=module.pieces, ndim=ndim)
        wide.linear = to_conv(module.linear, (module.linear.in_features, *[1] * ndim))
        return wide
    return copy.deepcopy(module)


def _halves(model: nn.Module) -> tuple[nn.Sequential, list[nn.Module]]:
    """What comes before the map is flattened, and what after."""
    if isinstance(model, nn.Sequential):
        parts = list(model)
        cut = [i for i, module in enumerate(parts) if isinstance(module, nn.Flatten)]
        if len(cut) == 1:
            return nn.Sequential(*parts[: cut[0]]), parts[cut[0] + 1 :]
    elif isinstance(model, Classifier):
        return model.features, list(model.classifier)
    raise TypeError(
        f"model is a {type(model).__name__}: convert takes a VGG, AlexNet, ZFNet, or a Sequential with Flatten"
    )


@recorded
def build(
    variant: str = "A",
    *,
    ndim: int = 2,
    in_channels: int = 3,
    classes: int = 1000,
    width: float = 1.0,
    activation: Any = "relu",
    batch_norm: bool = False,
    dropout: float = 0.5,
    padding: Any = "same",
    parts: int = 7,
    output: str = "average",
) -> FullyConvolutional:
    """A VGG turned fully convolutional, VGG-11 by default: vgg.build's options, and output "average" or "map".

    (batch, in_channels, *space) -> (batch, classes) or (batch, classes, *positions), 32 samples apart: 224 gives one
    position, 256 two. It has the VGG's parameters, as many and the same values.

    >>> import torch
    >>> build("A", ndim=3, width=1 / 64, classes=2)(torch.zeros(1, 3, 32, 32, 32)).shape
    torch.Size([1, 2])
    """
    options = {"ndim": ndim, "in_channels": in_channels, "classes": classes, "width": width, "activation": activation}
    options |= {"batch_norm": batch_norm, "dropout": dropout, "padding": padding, "parts": parts}
    return convert(vgg.build(variant, **options), output=output)
