"""Convolutional autoencoder: strided convolutions to a small code, transposed ones back (AR19)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import activation as activated
from sigconv.blocks import he
from sigconv.convolution import Conv, ConvTranspose, conv_transpose
from sigconv.models._common import recorded, scaled
from sigconv.pooling import AdaptiveAvgPool

VARIANTS = ("free", "tied")
SIZE = 64
SMALLEST = 8  # three halvings leave one position
CHANNELS = (32, 64, 128)
KERNEL, STRIDE, PADDING = 4, 2, 1  # a kernel of twice the stride writes every sample equally often


@recorded
def build(
    variant: str = "free",
    *,
    ndim: int = 2,
    in_channels: int = 3,
    classes: int = 1000,
    width: float = 1.0,
    activation: Any = "relu",
    channels: Sequence[int] = CHANNELS,
) -> Autoencoder:
    """An autoencoder: x (batch, in_channels, *space) -> its reconstruction, of the same shape, whatever the size.

    variant     "free", or "tied": the way back has the weights of the way there, transposed, and biases of its own
    classes     of the classifier that .classifier() makes of the encoder
    channels    of the code after each halving

    Train it whole, or each of .layers by itself on the codes of those before it; then fine-tune .classifier(). Source:
    Masci et al. 2011, Stacked Convolutional Auto-Encoders; Bengio et al. 2007 (greedy layer-wise training).

    >>> build("tied", ndim=1, in_channels=1)(torch.zeros(2, 1, 41)).shape
    torch.Size([2, 1, 41])
    """
    tied = nd.one_of(variant, VARIANTS, "autoencoder variant") == "tied"
    if not channels:
        raise ValueError(f"channels {tuple(channels)} must name at least one layer")
    wide = [in_channels, *(scaled(n, width) for n in channels)]
    options: dict[str, Any] = {"ndim": ndim, "tied": tied, "activation": activation}
    layers = [Layer(a, b, inner=i > 0, **options) for i, (a, b) in enumerate(itertools.pairwise(wide))]
    return Autoencoder(layers, classes)


class Layer(nn.Module):
    """One halving and the way back: an autoencoder of one layer, to be trained by itself or in a stack.

    (batch, in_channels, *space) -> the same shape. An inner layer's input is what an activation left, and so is its
    reconstruction.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, ndim: int, tied: bool, activation: Any, inner: bool
    ) -> None:
        super().__init__()
        self.conv = Conv(in_channels, out_channels, KERNEL, STRIDE, PADDING, ndim=ndim)
        self.act = activated(activation, out_channels, ndim)
        self.back = None if tied else ConvTranspose(out_channels, in_channels, KERNEL, STRIDE, PADDING, ndim=ndim)
        self.bias = nn.Parameter(torch.zeros(in_channels)) if tied else None
        self.act_back = activated(activation, in_channels, ndim) if inner else nn.Identity()
        he(self)

    def encode(self, x: Tensor) -> Tensor:
        """The code: half as many positions along every axis."""
        return self.act(self.conv(x))

    def decode(self, code: Tensor, size: Sequence[int]) -> Tensor:
        """Back to so many samples: the convolution's transpose."""
        if self.back is not None:
            return self.act_back(self.back(code, output_size=size))
        options = {"stride": STRIDE, "padding": PADDING, "output_size": size}
        return self.act_back(conv_transpose(code, self.conv.weight, self.bias, **options))

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction."""
        return self.decode(self.encode(x), x.shape[2:])


class Autoencoder(nn.Module):
    """A stack of such layers: .encode there, .decode back, both by forward."""

    layers: Any  # nn.ModuleList of Layer

    def __init__(self, layers: Sequence[Layer], classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.classes = classes

    def encode(self, x: Tensor, layers: int | None = None) -> Tensor:
        """The code after so many layers, all by default: (batch, channels, *positions)."""
        for layer in self.layers[:layers]:
            x = layer.encode(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x from its code."""
        sizes = []
        for layer in self.layers:
            sizes.append(x.shape[2:])
            x = layer.encode(x)
        for layer, size in zip(reversed(self.layers), reversed(sizes), strict=True):
            x = layer.decode(x, size)
        return x

    def classifier(self, classes: int | None = None, *, positions: int = 1) -> nn.Sequential:
        """The encoder, its code averaged to so many positions an axis, and a linear layer: (batch, classes) scores.

        The encoder's layers are this model's own, so that to train the classifier is to fine-tune them.
        """
        encoder: list[nn.Module] = []
        for layer in self.layers:
            encoder += [layer.conv, layer.act]
        last: Any = encoder[-2]
        features = last.out_channels * positions**last.ndim
        head = nn.Linear(features, self.classes if classes is None else classes)
        return nn.Sequential(*encoder, AdaptiveAvgPool(positions), nn.Flatten(), head)
