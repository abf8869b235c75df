"""What models of one axis share: sizes for other numbers of axes than the published one, and the last layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import nn

from sigconv import nd
from sigconv.blocks import BatchNorm
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models import _common
from sigconv.pooling import GlobalAvgPool

OUTPUTS = ("average", "map")


def taps(number: int, ndim: int) -> int:
    """Taps along each of so many axes, about as many in all as are published for one: odd, 3 at least.

    >>> [taps(251, ndim) for ndim in (1, 2, 3)], taps(8, 1), taps(1, 3)
    ([251, 15, 7], 8, 1)
    """
    if ndim <= 1 or number == 1:
        return number
    return max(2 * round((number ** (1 / ndim) - 1) / 2) + 1, 3)


def coarser(step: int, ndim: int) -> int:
    """A stride along each of so many axes that leaves about as few positions in all: 2 at least.

    >>> [coarser(4, ndim) for ndim in (1, 2, 3)]
    [4, 2, 2]
    """
    return step if ndim <= 1 else max(round(step ** (1 / ndim)), 2)


def sizes(size: Any, ndim: int) -> tuple[int, ...]:
    """Samples of every axis, from one number for all, (first, others), or one for each."""
    if isinstance(size, Sequence) and len(size) == 2 != ndim:
        size = _common.axes(tuple(size), ndim)
    return nd.ntuple(size, ndim, "size")


def widths(channels: Any, width: float, name: str, many: int | None = None) -> list[int]:
    """Channels of one layer after another, times the width; ValueError for another number of layers than so many."""
    given = [channels] if isinstance(channels, int) else list(channels)
    if not given or (many is not None and len(given) != many):
        raise ValueError(f"{name} {channels} names {len(given)} layers: expected {many or 'one at least'}")
    return [_common.scaled(nd.count(n, name), width) for n in given]


def stage(conv: Conv | nn.Module, channels: int, activation: Any, ndim: int, batch_norm: bool) -> list[nn.Module]:
    """A convolution, its batch normalization if asked for, its activation."""
    norm: list[nn.Module] = [BatchNorm(channels)] if batch_norm else []
    return [conv, *norm, activated(activation, channels, ndim)]


def chain(last: dict[str, nn.Module], **groups: list[nn.Module]) -> nn.Sequential:
    """Modules in a row under their group's name and a number, or the name alone where it is one; then the last."""
    layers = OrderedDict(
        (name if len(modules) == 1 else f"{name}_{i}", module)
        for name, modules in groups.items()
        for i, module in enumerate(modules)
    )
    return nn.Sequential(layers | last)


class Everywhere(Conv):
    """A fully connected layer at every position: (batch, channels, *space) -> (batch, units, *space).

    It takes the weights of an nn.Linear too, so that what was trained to answer once can answer everywhere.

    >>> Everywhere(4, 2, 1, ndim=2).load_state_dict(nn.Linear(4, 2).state_dict())
    <All keys matched successfully>
    """

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        weight = state_dict.get(f"{prefix}weight")
        if weight is not None and weight.ndim == 2:
            state_dict[f"{prefix}weight"] = weight.reshape(*weight.shape, *self.kernel_size)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def linear(channels: int, units: int, ndim: int, bias: bool = True) -> nn.Module:
    """A fully connected layer: of (batch, channels) with ndim 0, else of every position."""
    return Everywhere(channels, units, 1, bias=bias, ndim=ndim) if ndim else nn.Linear(channels, units, bias=bias)


def answers(channels: int, classes: int, ndim: int, dropout: float, output: str) -> dict[str, nn.Module]:
    """From maps to classes: their mean over space and one linear layer, or with "map" that layer at every position."""
    once = nd.one_of(output, OUTPUTS, "output") == "average"
    mean: dict[str, nn.Module] = {"mean": GlobalAvgPool()} if once else {}
    drop: dict[str, nn.Module] = {"drop": nn.Dropout(dropout)} if dropout else {}
    return {**mean, **drop, "classes": linear(channels, classes, 0 if once else ndim)}


def dropped(dropout: float) -> list[nn.Module]:
    """Dropout, where there is any."""
    return [nn.Dropout(dropout)] if dropout else []
