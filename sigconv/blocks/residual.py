"""Residual blocks: what a few convolutions add to their input (AR13), under torchvision's parameter names."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from sigconv import nd
from sigconv.blocks.activations import activation as activated
from sigconv.blocks.normalization import BatchNorm
from sigconv.convolution import Conv

SHORTCUTS = ("A", "B")
VERSIONS = ("v1", "v1.5")


class ZeroPadShortcut(nn.Module):
    """Option A: every stride-th sample, and channels of zeros for those missing; it has no parameters.

    (batch, in_channels, *space) -> (batch, out_channels, *ceil(space / stride)).

    >>> import torch
    >>> ZeroPadShortcut(2, 5, stride=2)(torch.ones(1, 2, 5, 4)).sum((2, 3))
    tensor([[6., 6., 0., 0., 0.]])
    """

    def __init__(self, in_channels: int, out_channels: int, stride: Any = 1) -> None:
        super().__init__()
        if out_channels < in_channels:
            raise ValueError(f"out_channels={out_channels} are fewer than in_channels={in_channels}: take shortcut 'B'")
        self.missing, self.stride = out_channels - in_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """Subsampled, and zeros after the last channel."""
        steps = tuple(slice(None, None, step) for step in nd.ntuple(self.stride, x.ndim - 2, "stride"))
        return F.pad(x[(slice(None), slice(None), *steps)].movedim(1, -1), (0, self.missing)).movedim(-1, 1)


def skip(in_channels: int, out_channels: int, stride: Any, *, ndim: int, option: str = "B") -> nn.Module | None:
    """What stands beside a residual block: None where shapes agree, or option A's zeros, or B's strided 1x1 projection.

    >>> skip(64, 64, 1, ndim=2) is None, len(skip(64, 128, 2, ndim=2))
    (True, 2)
    """
    nd.one_of(option, SHORTCUTS, "shortcut")
    if in_channels == out_channels and set(nd.ntuple(stride, ndim, "stride")) == {1}:
        return None
    if option == "A":
        return ZeroPadShortcut(in_channels, out_channels, stride)
    projection = Conv(in_channels, out_channels, 1, stride, bias=False, ndim=ndim)
    return nn.Sequential(projection, BatchNorm(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: act(x' + bn2(conv2(act(bn1(conv1(x)))))).

    (batch, in_channels, *space) -> (batch, channels, *ceil(space / stride)). shortcut is "B", a strided 1x1 projection
    where shapes differ, or "A", zeros for the new channels. Names as torchvision's. Source: He et al. 2016 (ResNet).

    >>> import torch
    >>> BasicBlock(4, 8, stride=2, ndim=3)(torch.zeros(2, 4, 5, 6, 7)).shape
    torch.Size([2, 8, 3, 3, 4])
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: Any = 1,
        *,
        ndim: int = 2,
        shortcut: str = "B",
        activation: Any = "relu",
    ) -> None:
        super().__init__()
        self.conv1 = Conv(in_channels, channels, 3, stride, padding=1, bias=False, ndim=ndim)
        self.bn1 = BatchNorm(channels)
        self.act1 = activated(activation, channels, ndim)
        self.conv2 = Conv(channels, channels, 3, padding=1, bias=False, ndim=ndim)
        self.bn2 = BatchNorm(channels)
        self.act2 = activated(activation, channels, ndim)
        self.downsample = skip(in_channels, channels, stride, ndim=ndim, option=shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """The two convolutions, added to the shortcut."""
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.act2(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1 to fewer channels, 3x3, 1x1 to four times as many, beside a shortcut.

    (batch, in_channels, *space) -> (batch, 4 x channels, *ceil(space / stride)). version "v1.5" strides in the 3x3, as
    torchvision does, "v1" in the first 1x1, as the paper. shortcut as in BasicBlock. Source: He et al. 2016 (ResNet).

    >>> import torch
    >>> Bottleneck(8, 4, stride=2, ndim=1)(torch.zeros(2, 8, 9)).shape
    torch.Size([2, 16, 5])
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: Any = 1,
        *,
        ndim: int = 2,
        shortcut: str = "B",
        version: str = "v1.5",
        activation: Any = "relu",
    ) -> None:
        super().__init__()
        out = channels * self.expansion
        first, second = (stride, 1) if nd.one_of(version, VERSIONS, "version") == "v1" else (1, stride)
        self.conv1 = Conv(in_channels, channels, 1, first, bias=False, ndim=ndim)
        self.bn1 = BatchNorm(channels)
        self.act1 = activated(activation, channels, ndim)
        self.conv2 = Conv(channels, channels, 3, second, padding=1, bias=False, ndim=ndim)
        self.bn2 = BatchNorm(channels)
        self.act2 = activated(activation, channels, ndim)
        self.conv3 = Conv(channels, out, 1, bias=False, ndim=ndim)
        self.bn3 = BatchNorm(out)
        self.act3 = activated(activation, out, ndim)
        self.downsample = skip(in_channels, out, stride, ndim=ndim, option=shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """The three convolutions, added to the shortcut."""
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.act2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.act3(y + (x if self.downsample is None else self.downsample(x)))
