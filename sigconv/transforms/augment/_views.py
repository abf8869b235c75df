"""Items mirrored and cut, exactly: no value between samples is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.transforms.augment._maps import Part, draws, lengths
from sigconv.transforms.augment._options import axes_of, part_of
from sigconv.transforms.volume._limits import affordable
from sigconv.transforms.volume._space import WIDER


@dataclass(frozen=True)
class Flip(Part):
    """Mirror along each of these axes of space, each in so great a share of the items.

    axes    which axes; all unless said
    share   1/2 makes either way as likely
    pairs   labels that change places with every mirroring, as left and right do: ((1, 2), (3, 4))

    >>> Flip(share=1.0, pairs=((1, 2),))(torch.tensor([[[5, 6, 7]]]), [torch.Generator()], torch.tensor([[1, 0, 2]]))
    (tensor([[[7, 6, 5]]]), tensor([[1, 0, 2]]))
    """

    axes: Sequence[int] | None = None
    share: float = 0.5
    pairs: Sequence[tuple[int, int]] = ()

    def __post_init__(self) -> None:
        part_of(self.share)
        named = [label for pair in self.pairs for label in pair]
        if any(len(pair) != 2 for pair in self.pairs) or len(set(named)) != len(named):
            raise ValueError(f"pairs {self.pairs} are not pairs of labels, each label in one of them")

    def vary(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """x and y mirrored along the same axes."""
        ndim = len(lengths(x, y))
        axes = axes_of(self.axes, ndim)
        numbers = draws(generator, len(axes))
        met = [axis - ndim for axis, u in zip(axes, numbers, strict=True) if (u + 1) / 2 < self.share]
        if not met:
            return x, y
        if y is not None and len(met) % 2:
            y = self._exchanged(y)
        return _mirrored(x, met), None if y is None else _mirrored(y, met)

    def _exchanged(self, y: Tensor) -> Tensor:
        """The map with the labels of each pair in each other's place."""
        was = y.to(WIDER.get(y.dtype, y.dtype))
        now = was.clone()
        for one, other in self.pairs:
            now[was == one], now[was == other] = other, one
        return now.to(y.dtype)


def _mirrored(x: Tensor, axes: Sequence[int]) -> Tensor:
    """x along these axes the other way, of any dtype."""
    return x.to(WIDER.get(x.dtype, x.dtype)).flip(tuple(axes)).to(x.dtype)


@dataclass(frozen=True)
class Crop(Part):
    """Cut a box of this size at a place drawn anew for each item; map and image alike.

    size          samples along each axis of space, one number or one for each
    inside        the share of the crops that hold a labelled sample (y not 0) for certain, any of them as likely; the
                  others lie anywhere
    padding_mode  what fills an item up that is shorter, half of it on either side: "zeros" or a border of sigconv.nd

    ValueError where inside is asked for and there is no map.

    >>> Crop(2)(torch.arange(5).reshape(1, 1, 5), [torch.Generator().manual_seed(3)])
    tensor([[[3, 4]]])
    """

    size: int | Sequence[int]
    inside: float = 0.0
    padding_mode: str = "zeros"

    def __post_init__(self) -> None:
        part_of(self.inside)
        nd.border_modes(self.padding_mode, 1 if isinstance(self.padding_mode, str) else len(self.padding_mode))

    def vary(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Both cut alike."""
        space = lengths(x, y)
        size = nd.ntuple(self.size, len(space), "size", least=1)
        if self.inside and y is None:
            raise ValueError(f"inside {self.inside} needs a label map beside the image")
        short = [max(m - n, 0) for m, n in zip(size, space, strict=True)]
        if any(short):
            affordable((*x.shape[:1], *size), x.itemsize, f"size {self.size}")
            margins = tuple((s // 2, s - s // 2) for s in short)
            x = nd.pad(x, margins, self.padding_mode)
            y = None if y is None else nd.pad(y, margins, self.padding_mode)
            space = tuple(x.shape[1:])
        wanted, which, *numbers = [(u + 1) / 2 for u in draws(generator, 2 + len(space))]
        low, high = [0] * len(space), [n - m for n, m in zip(space, size, strict=True)]
        if y is not None and wanted < self.inside:
            places = (y != 0).reshape(-1, *space).any(0).nonzero()
            if len(places):
                place = places[int(which * len(places))].tolist()
                low = [max(p - m + 1, a) for p, m, a in zip(place, size, low, strict=True)]
                high = [min(p, b) for p, b in zip(place, high, strict=True)]
        starts = [a + math.floor(u * (b - a + 1)) for u, a, b in zip(numbers, low, high, strict=True)]
        box: tuple[Any, ...] = (..., *(slice(first, first + m) for first, m in zip(starts, size, strict=True)))
        return x[box], None if y is None else y[box]
