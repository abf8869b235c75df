"""Space and time convolved as one: small networks for runs of volumes (x, y, z, time), and for what has fewer axes.

joint     kernels over all axes at once, four of them for a run of volumes
split     space, then time, with as many weights
still     space alone: every volume by itself, and the mean of what they say
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import activation as activated
from sigconv.blocks import he
from sigconv.blocks.norms import normalizer
from sigconv.convolution import Conv
from sigconv.models._common import recorded, scaled
from sigconv.pooling import AdaptiveAvgPool, max_pool

VARIANTS = ("joint", "split", "still")
SIZE = 16
SMALLEST = 4  # two poolings leave one position; two are seen by the last normalization
PLACES = 4  # along an axis of space, that the answer tells apart


@recorded
def build(
    variant: str = "joint",
    *,
    ndim: int = 4,
    in_channels: int = 1,
    classes: int = 8,
    width: float = 1.0,
    activation: Any = "relu",
    channels: Sequence[int] = (16, 32),
    kernel_size: Any = 3,
    pool: Any = 2,
    positions: Any = None,
    norm: str = "batch",
    dropout: float = 0.0,
) -> nn.Sequential:
    """A network over space and time: (batch, in_channels, *space, time) -> (batch, classes). Time is the last axis.

    channels      of each stage: a convolution that keeps the size, its normalization and activation, a maximum
    kernel_size   taps, one number or one per axis
    pool          samples of each maximum, likewise; where an axis has fewer, all it has
    positions     how many parts of each axis the last maps are averaged over, one number or one per axis: where
                  something happens tells what it is; by default 4 of every axis of space, 1 of time
    norm          "batch", "channel", "instance" or "none"            dropout    before the answer

    Any number of axes: of one, that is time. ValueError for no channels, and for sizes that are not one per axis.

    >>> net = build(classes=3)
    >>> net.stage1.conv.weight.shape, net.stage2.conv.weight.shape
    (torch.Size([16, 1, 3, 3, 3, 3]), torch.Size([32, 16, 3, 3, 3, 3]))
    >>> import torch
    >>> net(torch.zeros(2, 1, 8, 6, 1, 5)).shape
    torch.Size([2, 3])
    """
    nd.one_of(variant, VARIANTS, "spacetime variant")
    in_channels, classes = nd.count(in_channels, "in_channels"), nd.count(classes, "classes")
    if not channels:
        raise ValueError(f"channels {tuple(channels)} must name at least one stage")
    taps, windows = nd.ntuple(kernel_size, ndim, "kernel_size"), nd.ntuple(pool, ndim, "pool")
    parts = nd.ntuple((*[PLACES] * (ndim - 1), 1) if positions is None else positions, ndim, "positions")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, wide in enumerate(channels, 1):
        out = scaled(wide, width)
        layers[f"stage{i}"] = _stage(variant, in_channels, out, taps, windows, norm, activation)
        in_channels = out
    layers["positions"], layers["flatten"], layers["drop"] = AdaptiveAvgPool(parts), nn.Flatten(), nn.Dropout(dropout)
    layers["classes"] = nn.Linear(in_channels * math.prod(parts), classes)
    model = nn.Sequential(layers)
    he(model[:-1])
    return model


class Shrink(nn.Module):
    """The maximum over windows of so many samples per axis, or over all of an axis that has fewer.

    (batch, channels, *space) -> (batch, channels, *positions): a run of single slices has one sample along z.
    """

    def __init__(self, kernel_size: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel_size = kernel_size

    def forward(self, x: Tensor) -> Tensor:
        """The maxima."""
        return max_pool(x, tuple(min(k, n) for k, n in zip(self.kernel_size, x.shape[2:], strict=True)))

    def extra_repr(self) -> str:
        """The windows."""
        return f"{self.kernel_size}"


def middle(in_channels: int, channels: int, taps: tuple[int, ...]) -> int:
    """Channels between space and time, so that both together have about as many weights as one kernel over all.

    >>> middle(16, 32, (3, 3, 3, 3))
    78
    """
    space, time = math.prod(taps[:-1]), taps[-1]
    return max(space * time * in_channels * channels // (space * in_channels + time * channels), 1)


def _stage(
    variant: str,
    in_channels: int,
    channels: int,
    taps: tuple[int, ...],
    windows: tuple[int, ...],
    norm: str,
    activation: Any,
) -> nn.Sequential:
    ndim = len(taps)
    options: dict[str, Any] = {"padding": "same", "bias": norm == "none", "ndim": ndim}
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if variant == "split" and ndim > 1:
        between = middle(in_channels, channels, taps)
        layers["space"] = Conv(in_channels, between, (*taps[:-1], 1), **options)
        layers["norm_space"], layers["act_space"] = normalizer(norm, between), activated(activation, between, ndim)
        in_channels, taps = between, (*[1] * (ndim - 1), taps[-1])
    elif variant == "still":
        taps = (*taps[:-1], 1)
    layers["conv"] = Conv(in_channels, channels, taps, **options)
    layers["norm"], layers["act"] = normalizer(norm, channels), activated(activation, channels, ndim)
    layers["pool"] = Shrink((*windows[:-1], 1) if variant == "still" else windows)
    return nn.Sequential(layers)
