"""Networks that take the wave itself: M3 to M18 of plain convolutions, and SincNet, which learns band edges first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sigconv import nd
from sigconv.blocks import BatchNorm
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.filters import FilterBank, sinc
from sigconv.models import _common, _parts
from sigconv.pooling import MaxPool

FIRST, STEP = 80, 4  # taps of the first convolution; its stride, and every pooling
PLAIN = {  # the paper's table 1: maps of the convolutions between one pooling and the next
    "m3": ((256,), (256,)),
    "m5": ((128,), (128,), (256,), (512,)),
    "m11": ((64,), (64,) * 2, (128,) * 2, (256,) * 3, (512,) * 2),
    "m18": ((64,), (64,) * 4, (128,) * 4, (256,) * 4, (512,) * 4),
}
POOLED = 4  # groups that a pooling follows, at most
SINC, MAPS, TAPS, POOL = 251, (80, 60, 60), 5, 3  # SincNet's


def fewest(variant: str, ndim: int) -> int:
    """Samples along an axis that leave one position at the end.

    >>> [fewest(variant, 1) for variant in ("m3", "m5", "m11", "sincnet")], fewest("m5", 3)
    ([64, 1024, 1024, 325], 32)
    """
    if variant != "sincnet":
        pools = min(len(PLAIN[variant]), POOLED)
        return int(_parts.coarser(STEP, ndim) ** (pools + 1))
    positions = 1
    for k in (TAPS, TAPS, SINC):
        positions = positions * _parts.coarser(POOL, ndim) + _parts.taps(k, ndim) - 1
    return positions


def plain(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    width: float = 1.0,
    activation: Any = "relu",
    dropout: float = 0.0,
    size: Any = None,
    output: str = "average",
) -> nn.Sequential:
    """A long first convolution, short ones between poolings, the mean over time: "m3" "m5" "m11" "m18"."""
    channels, step = in_channels, _parts.coarser(STEP, ndim)
    layers: list[nn.Module] = []
    for i, group in enumerate(PLAIN[variant]):
        for maps in group:
            out = _common.scaled(maps, width)
            k, stride = (_parts.taps(FIRST, ndim), step) if i == 0 else (3, 1)
            conv = Conv(channels, out, k, stride, "same", bias=False, ndim=ndim)
            layers += _parts.stage(conv, out, activation, ndim, True)
            channels = out
        if i < POOLED:
            layers.append(MaxPool(step, ceil_mode=True))
    return _parts.chain(_parts.answers(channels, classes, ndim, dropout, output), conv=layers)


class SpaceNorm(nn.Module):
    """Each channel of each item to mean 0 and deviation 1 over all of space, then a scale and a shift of every sample.

    (batch, channels, *size) -> the same shape; weight and bias (channels, *size). Source: Ravanelli and Bengio 2018,
    whose layer normalization this is.

    >>> SpaceNorm(1, (2,))(torch.tensor([[[1.0, 3.0]]])).tolist()[0][0]
    [-0.9999995231628418, 0.9999995231628418]
    """

    decays = False  # a norm's scale is no weight

    def __init__(self, channels: int, size: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, *size))
        self.bias = nn.Parameter(torch.zeros(channels, *size))

    def forward(self, x: Tensor) -> Tensor:
        """The normalization, the scale and the shift."""
        return F.layer_norm(x, self.weight.shape[1:], eps=1e-6) * self.weight + self.bias


class SincFront(nn.Module):
    """A bank of learned band-passes where it lies wholly inside the wave, rectified: |x * sinc|, no position padded."""

    def __init__(self, bank: FilterBank) -> None:
        super().__init__()
        self.bank = bank

    def forward(self, x: Tensor) -> Tensor:
        """What the filters answer, its ends cut off."""
        inside = tuple(slice(k // 2, n - k // 2) for k, n in zip(self.bank.kernel_size or (), x.shape[2:], strict=True))
        return self.bank(x)[(..., *inside)].abs()


def front(filters: int, k: int, fs: float, ndim: int) -> FilterBank:
    """SincNet's bank, on the mel scale; over several axes bands evenly spaced along each in turn, low-pass elsewhere.

    It is made from values, so on the CPU, and then goes where everything is made.
    """
    with torch.device("cpu"):
        if ndim == 1:
            bank = sinc.mel(filters, fs, size=k, learnable=True)
        else:
            low = torch.zeros(filters, ndim, dtype=torch.float64)
            high = torch.full_like(low, 0.25)
            for axis in range(ndim):
                edges = torch.linspace(0, 0.5 - 1 / k, len(low[axis::ndim]), dtype=torch.float64)
                low[axis::ndim, axis], high[axis::ndim, axis] = edges, edges + 1 / k
            bank = sinc.bank(low * fs, high * fs, size=k, fs=fs, learnable=True)
    return bank.to(torch.get_default_device())


def sincnet(
    variant: str,
    *,
    ndim: int,
    in_channels: int,
    classes: int,
    width: float = 1.0,
    activation: Any = None,
    dropout: float = 0.0,
    size: Any = None,
    maps: Any = MAPS,
    hidden: Any = (2048, 2048, 2048),
    kernel_size: int | None = None,
    fs: float = 16000.0,
) -> nn.Sequential:
    """Learned band-passes, two convolutions, normalized sample by sample, three fully connected layers ("sincnet")."""
    leaky = (lambda: nn.LeakyReLU(0.2)) if activation is None else activation
    space = _parts.sizes(size, ndim)
    out = _parts.widths(maps, width, "maps", len(MAPS))
    first = _parts.taps(SINC, ndim) if kernel_size is None else kernel_size
    layers: OrderedDict[str, nn.Module] = OrderedDict(norm0=SpaceNorm(in_channels, space))
    channels, step = in_channels, (_parts.coarser(POOL, ndim),) * ndim
    for i, maps_out in enumerate(out, 1):
        k = (first if i == 1 else _parts.taps(TAPS, ndim),) * ndim
        many = in_channels * maps_out if i == 1 else maps_out
        layers[f"conv{i}"] = (
            SincFront(front(maps_out, first, fs, ndim)) if i == 1 else Conv(channels, many, k, ndim=ndim)
        )
        for size_of, stride in ((k, (1,) * ndim), (step, step)):
            space = nd.output_size(space, size_of, stride, (1,) * ndim, ((0, 0),) * ndim)
        channels = many
        layers |= {f"pool{i}": MaxPool(step), f"norm{i}": SpaceNorm(channels, space)}
        layers[f"act{i}"] = activated(leaky, channels, ndim)
    features = channels
    for n in space:
        features *= n
    layers |= {"flatten": nn.Flatten(), "norm": nn.LayerNorm(features, eps=1e-6)}
    for i, units in enumerate(_parts.widths(hidden, width, "hidden"), 1):
        layers |= {f"dense{i}": nn.Linear(features, units, bias=False), f"bn{i}": BatchNorm(units)}
        layers |= {f"dact{i}": activated(leaky, units, 0)}
        layers |= {f"drop{i}": module for module in _parts.dropped(dropout)}
        features = units
    layers["classes"] = nn.Linear(features, classes)
    return nn.Sequential(layers)
