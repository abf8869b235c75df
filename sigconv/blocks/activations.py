"""The activations the lectures name, by name (AC1): what stands between a convolution and a pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.convolution import Conv


class Swish(nn.Module):
    """x · sigmoid(beta · x) with a beta that is learned; at beta = 1, its start, it is SiLU.

    Any shape, the same shape. Source: Ramachandran et al. 2017.

    >>> Swish()(torch.zeros(2)).tolist()
    [0.0, 0.0]
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(float(beta)))

    def forward(self, x: Tensor) -> Tensor:
        """x · sigmoid(beta · x)."""
        return x * torch.sigmoid(self.beta.to(x.dtype) * x)


class ScaledTanh(nn.Module):
    """1.7159 · tanh(2x / 3): at 1 it is 1, at -1 -1, and bends most there. LeNet's squashing function.

    Any shape, the same shape. Source: LeCun et al. 1998, appendix A.

    >>> round(ScaledTanh()(torch.ones(())).item(), 3)
    1.0
    """

    def forward(self, x: Tensor) -> Tensor:
        """1.7159 · tanh(2x / 3)."""
        return 1.7159 * torch.tanh(x * (2 / 3))


class Maxout(nn.Module):
    """The largest of several learned linear functions of all channels, at every position.

    (batch, in_channels, *space) -> (batch, out_channels, *space): a 1x1 convolution to pieces x out_channels, and the
    maximum over the pieces. Takes 1-D to N-D inputs of the ndim given. Source: Goodfellow et al. 2013.

    >>> Maxout(8, 4, ndim=3)(torch.zeros(2, 8, 5, 5, 5)).shape
    torch.Size([2, 4, 5, 5, 5])
    """

    def __init__(self, in_channels: int, out_channels: int, *, pieces: int = 2, ndim: int = 2) -> None:
        super().__init__()
        self.pieces = nd.count(pieces, "pieces")
        self.linear = Conv(in_channels, out_channels * self.pieces, 1, ndim=ndim)

    def forward(self, x: Tensor) -> Tensor:
        """The maximum over the pieces."""
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)


ACTIVATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "relu": lambda channels, ndim: nn.ReLU(),
    "leaky_relu": lambda channels, ndim: nn.LeakyReLU(0.01),
    "prelu": lambda channels, ndim: nn.PReLU(channels),
    "maxout": lambda channels, ndim: Maxout(channels, channels, ndim=ndim) if ndim else DenseMaxout(channels),
    "selu": lambda channels, ndim: nn.SELU(),
    "swish": lambda channels, ndim: Swish(),
    "silu": lambda channels, ndim: nn.SiLU(),
    "elu": lambda channels, ndim: nn.ELU(),
    "gelu": lambda channels, ndim: nn.GELU(),
    "tanh": lambda channels, ndim: nn.Tanh(),
    "scaled_tanh": lambda channels, ndim: ScaledTanh(),
    "sigmoid": lambda channels, ndim: nn.Sigmoid(),
    "identity": lambda channels, ndim: nn.Identity(),
}


class DenseMaxout(nn.Module):
    """Maxout behind a fully connected layer: (batch, channels) -> (batch, channels)."""

    def __init__(self, channels: int, pieces: int = 2) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels * pieces)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """The maximum over the pieces."""
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)


def activation(name: Any, channels: int = 1, ndim: int = 2) -> nn.Module:
    """A new activation module by its name, for inputs of so many axes of space; ndim=0 is for (batch, channels).

    A class or function that makes a module is called instead. PReLU learns a slope a channel, Swish one number, Maxout
    the maximum of two 1x1 convolutions; the others learn nothing. ValueError for an unknown name, with those there are.
    Sources: Maas 2013 (leaky), He 2015 (PReLU), Klambauer 2017 (SELU), Ramachandran 2017 (Swish), Elfwing 2018 (SiLU).

    >>> activation("leaky_relu")
    LeakyReLU(negative_slope=0.01)
    """
    if callable(name):
        return name()
    return ACTIVATIONS[nd.one_of(name, tuple(ACTIVATIONS), "activation")](channels, ndim)
