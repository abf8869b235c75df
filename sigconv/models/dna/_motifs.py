"""One layer of motif detectors and the best match of each: Zeng's family, and DeepBind on both strands."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sigconv import nd
from sigconv.blocks import BothStrands
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv, ConvMax
from sigconv.models import _common, _parts
from sigconv.pooling import GlobalAvgPool, GlobalMaxPool, MaxPool

TAPS = 24  # of every published kernel of both


def zeng(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float = 0.5,
    size: Any = 101,
    kernels: int = 16,
    kernel_size: int | None = None,
    layers: int = 1,
    window: int | None = None,
    hidden: int = 32,
) -> nn.Sequential:
    """Convolution, the maximum over all of space or over windows, a hidden layer, one output for each class.

    Further layers have twice as many kernels each, of 5 taps, a pooling before them.
    """
    taps = [
        nd.count(TAPS if kernel_size is None else kernel_size, "kernel_size"),
        *[5] * (nd.count(layers, "layers") - 1),
    ]
    channels, positions = in_channels, _parts.sizes(size, ndim)
    step = 3 if window is None else nd.count(window, "window")
    groups: list[nn.Module] = []
    for layer, k in enumerate(taps):
        out = _common.scaled(nd.count(kernels, "kernels") * 2**layer, width)
        options: dict[str, Any] = {"padding": "same", "ndim": ndim}
        if layer == layers - 1 and window is None:
            groups += detectors(channels, out, _parts.taps(k, ndim), activation, **options)
        else:
            conv = Conv(channels, out, _parts.taps(k, ndim), **options)
            groups += [*_parts.stage(conv, out, activation, ndim, False), MaxPool(step, ceil_mode=True)]
            positions = tuple(-(-n // step) for n in positions)
        channels = out
    features = channels if window is None else channels * math.prod(positions)
    flat = [] if window is None else [nn.Flatten()]
    return nn.Sequential(*groups, *flat, *ending(features, hidden, classes, width, activation, dropout))


def detectors(channels: int, out: int, k: Any, activation: Any, mean: bool = False, **options: Any) -> list[nn.Module]:
    """Convolution, activation, the maximum over all of space; rectified and without the mean beside it in one go."""
    if activation == "relu" and not mean:
        return [ConvMax(channels, out, k, **options)]
    return [Conv(channels, out, k, **options), activated(activation, out, options["ndim"]), Pooled(mean)]


def ending(features: int, hidden: int, classes: int, width: float, activation: Any, dropout: float) -> list[nn.Module]:
    """One hidden layer, if it has units, and the outputs."""
    if not hidden:
        return [*_parts.dropped(dropout), nn.Linear(features, classes)]
    units = _common.scaled(hidden, width)
    dense: list[nn.Module] = [nn.Linear(features, units), activated(activation, units, 0)]
    return [*dense, *_parts.dropped(dropout), nn.Linear(units, classes)]


class Flanked(nn.Module):
    """So many unknown letters at both ends: of four channels a quarter of each, or the token 4."""

    def __init__(self, letters: int, symbols: int) -> None:
        super().__init__()
        self.letters, self.symbols = letters, symbols

    def forward(self, x: Tensor) -> Tensor:
        """x amid unknown letters."""
        tokens = not x.is_floating_point()
        space = x.ndim - (1 if tokens else 2)
        return F.pad(x, (self.letters,) * 2 * space, value=self.symbols if tokens else 1 / self.symbols)


class Pooled(nn.Module):
    """The maximum over space, and with mean=True the mean beside it: (batch, channels or twice as many)."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.best, self.mean = GlobalMaxPool(), GlobalAvgPool() if mean else None

    def forward(self, x: Tensor) -> Tensor:
        """The maxima, then the means."""
        return self.best(x) if self.mean is None else torch.cat([self.best(x), self.mean(x)], 1)


def deepbind(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    size: Any = None,  # of any
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float = 0.0,
    kernels: int = 16,
    kernel_size: int | None = None,
    mean: bool = False,
    hidden: int = 32,
    strands: bool = True,
) -> nn.Module:
    """Flanks of unknown letters, motif detectors, the best match above a threshold they learn, a hidden layer.

    The threshold is the bias, negative; of mean=True the mean of what is above it stands beside the best.
    strands: of the answers to the sequence and to its reverse complement the larger one, class by class.
    """
    k = _parts.taps(TAPS if kernel_size is None else nd.count(kernel_size, "kernel_size"), ndim)
    out = _common.scaled(nd.count(kernels, "kernels"), width)
    found = detectors(in_channels, out, k, activation, mean, ndim=ndim)
    nn.init.zeros_(found[0].get_parameter("bias"))  # what a match must be better than, negative
    head = ending(out * (2 if mean else 1), hidden, classes, width, activation, dropout)
    net = nn.Sequential(Flanked(k - 1, in_channels), *found, *head)
    return BothStrands(net, reduce="max") if strands and ndim == 1 and in_channels == 4 else net
