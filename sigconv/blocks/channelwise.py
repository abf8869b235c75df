"""Blocks that look across channels at each position: 1x1 squeezes, mlpconv, depthwise-separable convolution."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import nn

from sigconv.blocks.activations import activation as activated
from sigconv.blocks.normalization import BatchNorm
from sigconv.convolution import Conv, DepthwiseConv


class Squeeze(nn.Sequential):
    """A 1x1 convolution to fewer channels, and its activation: x' = act(W x) at every position (ST4).

    (batch, in_channels, *space) -> (batch, out_channels, *space), W (out_channels, in_channels); ValueError for more
    channels than come in. Source: Lin, Chen and Yan 2013; Szegedy et al. 2015 call it a reduction.

    >>> import torch
    >>> Squeeze(64, 16, ndim=4)(torch.zeros(1, 64, 2, 3, 4, 5)).shape
    torch.Size([1, 16, 2, 3, 4, 5])
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, ndim: int = 2, bias: bool = False, activation: Any = "relu"
    ) -> None:
        if out_channels > in_channels:
            raise ValueError(f"out_channels={out_channels} are more than in_channels={in_channels}: take Conv")
        conv = Conv(in_channels, out_channels, 1, bias=bias, ndim=ndim)
        super().__init__(OrderedDict(conv=conv, act=activated(activation, out_channels, ndim)))


class MLPConv(nn.Sequential):
    """A small multilayer perceptron slid over the map (ST11): a convolution, then 1x1 ones, an activation after each.

    (batch, in_channels, *space) -> (batch, widths[-1], *positions); options are Conv's, and go to the first;
    last=False leaves out the last activation, for maps that are answers.

    >>> import torch
    >>> MLPConv(3, (192, 160, 96), 5, ndim=2, padding=2)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 96, 8, 8])

    Source: Lin, Chen and Yan 2013 (Network in Network).
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        kernel_size: Any,
        *,
        ndim: int = 2,
        activation: Any = "relu",
        last: bool = True,
        **options: Any,
    ) -> None:
        if not widths:
            raise ValueError(f"widths {tuple(widths)} must name at least one layer")
        super().__init__()
        for i, width in enumerate(widths):
            size, kept = (1, {}) if i else (kernel_size, options)
            self.add_module("conv" if i == 0 else f"cccp{i}", Conv(in_channels, width, size, ndim=ndim, **kept))
            if last or i < len(widths) - 1:
                self.add_module(f"act{i}", activated(activation, width, ndim))
            in_channels = width


class DepthwiseSeparable(nn.Sequential):
    """MobileNet's block (ST8, ST9): a filter to each channel, bn, act, then 1x1 across channels, bn, act.

    (batch, in_channels, *space) -> (batch, out_channels, *ceil(space / stride)). Its weights, without bn's, are
    1/out_channels + 1/kernel_size^ndim of a dense convolution's. Source: Howard et al. 2017.

    >>> import torch
    >>> DepthwiseSeparable(8, 16, stride=2, ndim=1)(torch.zeros(2, 8, 9)).shape
    torch.Size([2, 16, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        stride: Any = 1,
        *,
        ndim: int = 2,
        padding: Any = "same",
        activation: Any = "relu",
    ) -> None:
        depthwise = DepthwiseConv(in_channels, kernel_size, stride, padding=padding, bias=False, ndim=ndim)
        super().__init__(
            OrderedDict(
                depthwise=depthwise,
                bn1=BatchNorm(in_channels),
                act1=activated(activation, in_channels, ndim),
                pointwise=Conv(in_channels, out_channels, 1, bias=False, ndim=ndim),
                bn2=BatchNorm(out_channels),
                act2=activated(activation, out_channels, ndim),
            )
        )
