"""U-Net: down to coarse maps that see far, back up beside the fine ones, an answer at every position.

small     16 to 128 channels at four sizes, normalized by the batch: 1.4 million parameters in three dimensions
near      three sizes, normalized at each position by itself: it sees 44 samples an axis, and can be tiled exactly
2015      Ronneberger's, of two axes         2016      Çiçek's, of three; zeros keep the margins that theirs lost

tiled answers for a whole scan tile by tile, fitting says which axes of a scan to halve.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks import activation as activated
from sigconv.blocks import he
from sigconv.blocks.norms import normalizer
from sigconv.convolution import Conv, ConvTranspose, SeparableConv
from sigconv.models._common import recorded, scaled, usual
from sigconv.models._parts import OUTPUTS
from sigconv.models._tiling import fitting, tiled
from sigconv.pooling import MaxPool

__all__ = ["UNet", "build", "fitting", "tiled"]

VARIANTS = ("small", "near", "2015", "2016")
SIZE = {"small": 64, "near": 64, "2015": 572, "2016": (116, 132)}
SMALLEST = {"small": 9, "near": 5, "2015": 17, "2016": 9}  # two positions at the coarsest: enough for their statistics
USUAL: dict[str, dict[str, Any]] = {
    "ndim": {"small": 3, "near": 3, "2015": 2, "2016": 3},
    "in_channels": {"small": 1, "near": 1, "2015": 1, "2016": 3},
    "classes": {"small": 2, "near": 2, "2015": 2, "2016": 3},
    "channels": {"small": 16, "near": 16, "2015": 64, "2016": 64},
    "levels": {"small": 4, "near": 3, "2015": 5, "2016": 4},
    "norm": {"small": "batch", "near": "channel", "2015": "none", "2016": "batch"},
}


@recorded
def build(
    variant: str = "small",
    *,
    ndim: int | None = None,
    in_channels: int | None = None,
    classes: int | None = None,
    width: float = 1.0,
    activation: Any = "relu",
    channels: Any = None,
    levels: int | None = None,
    strides: Any = None,
    kernel_size: Any = 3,
    norm: str | None = None,
    residual: bool = False,
    depthwise: bool = False,
    dropout: float = 0.0,
    output: str = "map",
) -> UNet:
    """A U-Net: (batch, in_channels, *space) -> (batch, classes, *space), logits at every position, for any size.

    channels      at the finest size, doubled with every halving; or one number a size, finest first
    levels        how many sizes there are
    strides       what pooling divides by between them, 2 along every axis; or for each of levels - 1 steps one number
                  or one per axis, 1 for an axis to be left as it is: fitting(size, levels, spacing=…) finds them
    kernel_size   taps, one number or one per axis: 1 along an axis whose neighbours are far away
    norm          "batch"; "channel", each position by itself; "instance", each scan by itself; or "none"
    residual      two convolutions add to what they are given    depthwise   they filter each channel, then mix
    dropout       before the answers                             output      "map", or "average" of it: (batch, classes)

    What is None is as usual for the variant. Where the strides do not divide a size, the last samples are repeated
    inside, and the answers there cut off. ValueError for channels, strides or levels that do not agree.
    Sources: Ronneberger, Fischer and Brox 2015, arXiv:1505.04597; Çiçek et al. 2016, arXiv:1606.06650.

    >>> sum(p.numel() for p in build("2016", norm="none").parameters())
    19069955
    >>> build("small", ndim=4, width=1 / 4, levels=2)(torch.zeros(1, 1, 7, 6, 5, 3)).shape
    torch.Size([1, 2, 7, 6, 5, 3])
    """
    nd.one_of(variant, VARIANTS, "unet variant")
    given = {"ndim": ndim, "in_channels": in_channels, "classes": classes, "norm": norm}
    found = usual({name: USUAL[name] for name in given}, variant, given)
    axes, into, out = (nd.count(found[name], name) for name in ("ndim", "in_channels", "classes"))
    wide = [scaled(n, width) for n in _channels(variant, channels, levels)]
    options = {"kernel_size": kernel_size, "norm": found["norm"], "residual": residual, "depthwise": depthwise}
    options |= {"ndim": axes, "activation": activation}
    steps = _strides(strides, len(wide), axes)
    return UNet(into, out, wide, steps, variant == "2016", dropout, output, options)


class UNet(nn.Module):
    """What build makes: (batch, in_channels, *space) -> (batch, classes, *space).

    strides, what each pooling divides by, and step, all of them together; halo, how far the answers look beyond a tile
    of whole steps; norm and output as they were built.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        channels: Sequence[int],
        strides: Sequence[tuple[int, ...]],
        early: bool,
        dropout: float,
        output: str,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        ndim = options["ndim"]
        self.ndim, self.strides, self.norm = ndim, tuple(strides), options["norm"]
        self.kernel_size = nd.ntuple(options["kernel_size"], ndim, "kernel_size")
        self.output = nd.one_of(output, OUTPUTS, "output")
        self.down, self.up, self.merge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.pool = nn.ModuleList(MaxPool(stride) for stride in self.strides)
        before = in_channels
        for i, n in enumerate(channels):  # 2016 widens before the pooling, and keeps its channels on the way up
            self.down.append(Double(before, max(n // 2, 1) if early else n, n, first=i == 0, **options))
            before = n
        for n, stride in zip(reversed(channels[:-1]), reversed(self.strides), strict=True):
            up = before if early else n
            self.up.append(ConvTranspose(before, up, stride, stride, bias=self.norm == "none" and not early, ndim=ndim))
            self.merge.append(Double(n + up, n, n, **options))
            before = n
        self.drop = nn.Dropout(dropout)
        self.head = Conv(before, classes, 1, ndim=ndim)
        he(self)
        for layer in self.up:  # each answer is of one sample, and no rectifier follows
            _carrying(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Logits at every position, or their mean."""
        if x.ndim != 2 + self.ndim or 0 in x.shape[2:]:
            axes = ", ".join(["batch", "channels", *["n"] * self.ndim])
            raise ValueError(f"x has shape {tuple(x.shape)}: expected ({axes}) of {self.ndim} axes of space")
        size = x.shape[2:]
        if self.training and self.norm == "batch":
            _varied(x, self.step)
        y = nd.pad(x, tuple((0, -n % step) for n, step in zip(size, self.step, strict=True)), "replicate")
        kept = []
        for down, pool in itertools.zip_longest(self.down, self.pool):
            y = down(y)
            if pool is not None:
                kept.append(y)
                y = pool(y)
        for up, merge in zip(self.up, self.merge, strict=True):
            y = merge(torch.cat([kept.pop(), up(y)], 1))
        inner: Any = (..., *[slice(n) for n in size])
        y = self.head(self.drop(y[inner]))
        return y if self.output == "map" else y.flatten(2).mean(2)

    @property
    def step(self) -> tuple[int, ...]:
        """All strides together, per axis: answers repeat where the input is moved by so much."""
        step = [1] * self.ndim
        for stride in self.strides:
            step = [a * b for a, b in zip(step, stride, strict=True)]
        return tuple(step)

    @property
    def halo(self) -> tuple[int, ...]:
        """Samples beyond a tile that its answers depend on, per axis, in whole steps."""
        found = []
        for axis, taps in enumerate(self.kernel_size):
            reach = 2 * (taps // 2)  # of the two convolutions at one size
            inner = [reach]  # from the answers down to the coarsest size
            for stride in self.strides:
                inner.append(-(-inner[-1] // stride[axis]) + reach)
            beyond = inner.pop()
            for stride in reversed(self.strides):
                beyond = max(stride[axis] * beyond, inner.pop()) + reach
            found.append(-(-beyond // self.step[axis]) * self.step[axis])
        return tuple(found)


class Double(nn.Module):
    """Two convolutions, each normalized and rectified; with residual, beside a shortcut that is added before the last.

    (batch, in_channels, *space) -> (batch, channels, *space). first: they look at raw input, which depthwise filters
    could not tell apart.
    """

    def __init__(
        self,
        in_channels: int,
        middle: int,
        channels: int,
        *,
        ndim: int,
        kernel_size: Any,
        norm: str,
        residual: bool,
        depthwise: bool,
        activation: Any,
        first: bool = False,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"padding": "same", "bias": norm == "none", "ndim": ndim}
        kind: Any = SeparableConv if depthwise else Conv
        self.conv1 = (Conv if first else kind)(in_channels, middle, kernel_size, **options)
        self.norm1, self.act1 = normalizer(norm, middle), activated(activation, middle, ndim)
        self.conv2 = kind(middle, channels, kernel_size, **options)
        self.norm2, self.act2 = normalizer(norm, channels), activated(activation, channels, ndim)
        self.skip: nn.Module | None = None
        if residual:
            same = in_channels == channels
            self.skip = nn.Identity() if same else Conv(in_channels, channels, 1, bias=False, ndim=ndim)

    def forward(self, x: Tensor) -> Tensor:
        """The two convolutions, and the shortcut where there is one."""
        y = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        return self.act2(y if self.skip is None else y + self.skip(x))


def _varied(x: Tensor, step: Sequence[int]) -> None:
    """Refuse what the coarsest normalization would have a single value of each channel of."""
    if x.shape[0] * math.prod(-(-n // s) for n, s in zip(x.shape[2:], step, strict=True)) == 1:
        raise ValueError(
            f"x of shape {tuple(x.shape)} leaves one value a channel at the coarsest size, which has no deviation: "
            "train on larger or more items, or with norm 'channel'"
        )


def _carrying(layer: Any) -> None:
    if not layer.weight.is_meta:
        nn.init.normal_(layer.weight, 0, layer.in_channels**-0.5)


def _channels(variant: str, channels: Any, levels: int | None) -> list[int]:
    """So many channels at each size, before the width."""
    number = nd.count(USUAL["levels"][variant] if levels is None else levels, "levels")
    first = USUAL["channels"][variant] if channels is None else channels
    if isinstance(first, Sequence):
        if not first or levels not in (None, len(first)):
            raise ValueError(
                f"channels {tuple(first)} are for {len(first)} levels: expected {levels or 'one at least'}"
            )
        return [nd.count(n, "channels") for n in first]
    return [nd.count(first, "channels") * 2**i for i in range(number)]


def _strides(strides: Any, levels: int, ndim: int) -> list[tuple[int, ...]]:
    """What each pooling divides by, per axis."""
    entries = [2] * (levels - 1) if strides is None else list(strides)
    if len(entries) != levels - 1:
        raise ValueError(
            f"strides {strides} name {len(entries)} poolings: expected {levels - 1}, between {levels} levels"
        )
    return [nd.ntuple(entry, ndim, "strides") for entry in entries]
