"""Nielsen's six nets for MNIST: from one hidden layer to two convolutions and thinned layers (PC19, AR22)."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models._common import axes, recorded, scaled
from sigconv.pooling import MaxPool

# Channels of the convolutions, each 5 wide and followed by a maximum over 2; hidden units; the share left out.
NETS: dict[str, tuple[tuple[int, ...], tuple[int, ...], float]] = {
    "fc": ((), (100,), 0.0),
    "conv": ((20,), (100,), 0.0),
    "conv-only": ((20,), (), 0.0),
    "conv-conv": ((20, 40), (100,), 0.0),
    "conv-conv-fc": ((20, 40), (100, 100), 0.0),
    "dropout": ((20, 40), (1000, 1000), 0.5),
}
VARIANTS = tuple(NETS)
SIZE = 28
SMALLEST = {name: {0: 1, 1: 6, 2: 16}[len(net[0])] for name, net in NETS.items()}


class Thinned(nn.Dropout):
    """Dropout as first published: kept units stay as they are in training, and all are scaled by 1 - p afterwards.

    Any shape, the same shape. nn.Dropout scales in training instead; weights behind it would learn at another rate.
    Source: Hinton et al. 2012; Nielsen's network3.

    >>> import torch
    >>> Thinned(0.25).eval()(torch.ones(2)).tolist(), sorted(set(Thinned(0.5)(torch.ones(99)).tolist()))
    ([0.75, 0.75], [0.0, 1.0])
    """

    def forward(self, x: Tensor) -> Tensor:
        """x with a share p of it put to 0; outside of training (1 - p) x."""
        return (1 - self.p) * super().forward(x)


@recorded
def build(
    variant: str = "fc",
    *,
    ndim: int = 2,
    in_channels: int = 1,
    classes: int = 10,
    width: float = 1.0,
    size: int = SIZE,
    activation: Any = "sigmoid",
) -> nn.Sequential:
    """One of the six, (batch, in_channels, *space) -> (batch, classes), each axis of `size` samples.

    activation is "sigmoid", or "relu" as in the later ones, or any other of sigconv.blocks. Weights begin as network3
    has them: normal, of deviation 1/sqrt(fan-out), biases of deviation 1, the last layer 0. A maximum before a bias and
    a rising activation is the same as after them; it is taken first, for there is less left to do.
    Source: Nielsen, Neural Networks and Deep Learning, chapter 6.

    >>> [sum(p.numel() for p in build(variant).parameters()) for variant in VARIANTS]
    [79510, 289630, 29330, 85670, 95770, 1672570]
    """
    convolutions, hidden, thinned = NETS[nd.one_of(variant, VARIANTS, "nielsen variant")]
    layers: list[nn.Module] = []
    channels, space = in_channels, axes(size, ndim)
    if size < SMALLEST[variant]:
        raise ValueError(f"size {size} is too small for nielsen:{variant}: expected {SMALLEST[variant]} or more")
    for wanted in convolutions:
        out = scaled(wanted, width)
        layers += [Conv(channels, out, 5, ndim=ndim), MaxPool(2), activated(activation, out, ndim)]
        _begin(layers[-3], 2**ndim)
        channels, space = out, tuple((n - 4) // 2 for n in space)
    layers.append(nn.Flatten())
    features = channels * math.prod(space)
    for units in (scaled(wanted, width) for wanted in hidden):
        layers += [*_thinning(thinned), nn.Linear(features, units), activated(activation, units, 0)]
        _begin(layers[-2])
        features = units
    last = nn.Linear(features, classes)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, *_thinning(thinned), last)


def _thinning(share: float) -> list[nn.Module]:
    return [Thinned(share)] if share else []


def _begin(layer: Any, pooled: int = 1) -> None:
    """Normal weights by the number of outputs one input has, those that are pooled counted once."""
    fan_out = layer.weight.shape[0] * math.prod(layer.weight.shape[2:]) / pooled
    nn.init.normal_(layer.weight, 0.0, math.sqrt(1 / fan_out))
    nn.init.normal_(layer.bias, 0.0, 1.0)
