"""Normalizations by name: over the batch and space, over the channels of each position, over each item's space.

Only what looks at one position at a time can be tiled: "channel" always, "batch" in evaluation, "instance" never.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks.normalization import BatchNorm


class ChannelNorm(nn.Module):
    """Every position's channels brought to mean 0 and variance 1, then a gain and an offset for each channel.

    (batch, channels, *space) of floats -> the same shape and dtype, any number of axes; half precision is summed in
    float32. weight and bias (channels,), 1 and 0 at first. Nothing is taken from neighbours or from the batch: training
    and use are the same, and so are a crop and the whole. Of a single channel only the offset is left. ValueError for
    another number of channels. Sources: Ba, Kiros and Hinton 2016 (layer normalization), at each position by itself.

    >>> ChannelNorm(2)(torch.tensor([[[3.0, 9.0], [1.0, 1.0]]])).detach()
    tensor([[[ 1.0000,  1.0000],
             [-1.0000, -1.0000]]])
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.eps = nd.count(channels, "channels"), float(eps)
        self.weight, self.bias = nn.Parameter(torch.ones(self.channels)), nn.Parameter(torch.zeros(self.channels))

    def forward(self, x: Tensor) -> Tensor:
        """The channels of every position, normalized."""
        if x.ndim < 2 or x.shape[1] != self.channels:
            raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, {self.channels}, *space)")
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        centred = wide - wide.mean(1, keepdim=True)
        gain = torch.rsqrt(centred.square().mean(1, keepdim=True) + self.eps)
        weight, bias = (nd.per_channel(p.to(wide.dtype), x.ndim - 2) for p in (self.weight, self.bias))
        return (centred * gain * weight + bias).to(x.dtype)

    def extra_repr(self) -> str:
        """Channels and eps."""
        return f"{self.channels}, eps={self.eps}"


class InstanceNorm(nn.Module):
    """Every item's every channel brought to mean 0 and variance 1 over space, then a gain and an offset.

    (batch, channels, *space) of floats -> the same shape and dtype, any number of axes; weight and bias (channels,).
    Scans of other brightness and contrast look alike behind it. Its statistics are of all that it is given: a crop does
    not answer as the whole does. ValueError for another number of channels. Of one position only the offset is left.
    Source: Ulyanov, Vedaldi and Lempitsky 2016.

    >>> InstanceNorm(1)(torch.tensor([[[1.0, 3.0]]])).detach()
    tensor([[[-1.0000,  1.0000]]])
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.eps = nd.count(channels, "channels"), float(eps)
        self.weight, self.bias = nn.Parameter(torch.ones(self.channels)), nn.Parameter(torch.zeros(self.channels))

    def forward(self, x: Tensor) -> Tensor:
        """Every channel of every item, normalized."""
        if x.ndim < 3 or x.shape[1] != self.channels:
            raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, {self.channels}, *space)")
        return torch.group_norm(x, self.channels, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Channels and eps."""
        return f"{self.channels}, eps={self.eps}"


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": BatchNorm,
    "channel": ChannelNorm,
    "instance": InstanceNorm,
    "none": lambda channels: nn.Identity(),
}


def normalizer(name: str, channels: int) -> nn.Module:
    """A new normalization of so many channels by its name: batch, channel, instance or none.

    >>> normalizer("channel", 8)
    ChannelNorm(8, eps=1e-05)
    """
    return NORMS[nd.one_of(name, tuple(NORMS), "norm")](channels)
