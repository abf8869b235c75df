"""Volumes taken apart into overlapping patches, and put together from them again, seamlessly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sigconv import nd

WINDOWS: dict[str, Callable[[Tensor], Tensor]] = {  # of places in -1 … 1 across a patch; above 0 all over it
    "constant": torch.ones_like,
    "gaussian": lambda t: torch.exp(-0.5 * (4 * t) ** 2),  # a deviation of an eighth of the patch
    "hann": lambda t: torch.cos(math.pi / 2 * t) ** 2,
}


@dataclass(frozen=True)
class Tiling:
    """Where patches lie: size of each, the first sample of each along every axis, the shape they were cut from."""

    size: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return math.prod(map(len, self.starts))

    @property
    def padded(self) -> tuple[int, ...]:
        """The shape they cover: the volume's, or a patch where that is longer."""
        return tuple(max(n, m) for n, m in zip(self.shape, self.size, strict=True))

    def places(self) -> Iterator[tuple[Any, ...]]:
        """Index of the patches one after the other, the last axis fastest."""
        for corner in itertools.product(*self.starts):
            yield ..., *(slice(first, first + m) for first, m in zip(corner, self.size, strict=True))

    def weights(self, window: str, like: Tensor) -> Iterator[Tensor]:
        """What each patch counts at each of its samples; at every sample of the volume they add up to 1."""
        shape = nd.one_of(window, tuple(WINDOWS), "window")
        axes = []
        for m, starts, n in zip(self.size, self.starts, self.padded, strict=True):
            t = (2 * torch.arange(m, dtype=torch.float64) + 1) / m - 1
            own, total = WINDOWS[shape](t), torch.zeros(n, dtype=torch.float64)
            for first in starts:
                total[first : first + m] += own
            axes.append([(own / total[first : first + m]).to(like.real) for first in starts])
        for parts in itertools.product(*axes):
            whole = parts[0]
            for part in parts[1:]:
                whole = whole[..., None] * part
            yield whole


def tiling(shape: Sequence[int], size: int | Sequence[int], overlap: float | Sequence[float] = 0.0) -> Tiling:
    """Where patches of a size lie that cover a shape, overlapping by this part of a patch at the least.

    The first begins at sample 0, the last ends with the volume, and those between lie evenly. An axis no longer than a
    patch has one. overlap is one number in 0 … 1, 1 left out, or one for each axis. ValueError for what is none.

    >>> tiling((10,), 4, 0.25).starts
    ((0, 3, 6),)
    """
    space = nd.ntuple(tuple(shape), len(tuple(shape)), "shape", least=1)
    sides = nd.ntuple(size, len(space), "size", least=1)
    shares = tuple(overlap) if isinstance(overlap, Sequence) else (overlap,) * len(space)
    if len(shares) != len(space) or not all(0 <= share < 1 for share in shares):
        raise ValueError(f"overlap {overlap} is not a part of a patch: expected 0 <= overlap < 1, one or {len(space)}")
    starts = []
    for n, m, share in zip(space, sides, shares, strict=True):
        step = max(1, math.floor(m * (1 - share) + 1e-9))
        left = max(n - m, 0)
        more = -(-left // step)
        starts.append(tuple(left * k // more for k in range(more + 1)) if more else (0,))
    return Tiling(sides, tuple(starts), space)


@nd.numpy_too
def patches(
    x: Tensor, size: Sequence[int], overlap: float | Sequence[float] = 0.0, *, padding_mode: str = "zeros"
) -> Tensor:
    """Patches of the last axes of x: (count, *rest, *size), the last axis fastest.

    x             (*rest, *space)
    size          of a patch, a number for each axis of space
    overlap       the part of a patch that it shares with the next, at the least: 0 … 1
    padding_mode  what fills a patch where an axis is shorter

    Where they lie is tiling(space, size, overlap); blended puts them together again. Of x's dtype, differentiable.

    >>> patches(torch.arange(10), (4,), 0.25)
    tensor([[0, 1, 2, 3],
            [3, 4, 5, 6],
            [6, 7, 8, 9]])
    """
    lead = x.ndim - _count(size, "size")
    if lead < 0:
        raise ValueError(f"size {size} has more axes than x {tuple(x.shape)}")
    plan = tiling(tuple(x.shape[lead:]), size, overlap)
    whole = covered(x, plan, padding_mode)
    return torch.stack([whole[place] for place in plan.places()])


@nd.numpy_too
def blended(
    parts: Tensor, shape: Sequence[int], overlap: float | Sequence[float] = 0.0, *, window: str = "constant"
) -> Tensor:
    """Put patches together again: the inverse of patches, a weighted mean where several overlap.

    parts    (count, *rest, *size), as patches gives them, or what became of them
    shape    of the volume's space they were cut from; overlap as it was then
    window   how much a patch counts from its middle to its rim: "constant" "gaussian" "hann"

    Returns (*rest, *shape). The weights of a sample add up to 1: what patches cut comes back to rounding, and to the
    bit where only one patch lies. ValueError where the patches are not as many as such a volume has.

    >>> blended(patches(torch.arange(6.0), (4,), 0.5), (6,), 0.5)
    tensor([0., 1., 2., 3., 4., 5.])
    """
    ndim, space = _count(shape, "shape"), tuple(shape)
    plan = tiling(space, tuple(parts.shape[parts.ndim - ndim :]), overlap)
    if parts.ndim <= ndim or len(parts) != plan.count:
        raise ValueError(f"parts {tuple(parts.shape)} are not the {plan.count} patches of {plan.size} of {space}")
    averaged(parts, "parts")
    total = parts.new_zeros(*parts.shape[1 : parts.ndim - ndim], *plan.padded)
    for part, place, weight in zip(parts, plan.places(), plan.weights(window, parts), strict=True):
        total[place] += part * weight
    return uncovered(total, plan)


def averaged(parts: Tensor, name: str) -> None:
    """Refuse patches whose weighted means would be none.

    >>> averaged(torch.tensor([1, 2]), "parts")
    Traceback (most recent call last):
    ValueError: parts of torch.int64 have no means: give floating numbers, or labels as one channel each
    """
    if not (parts.is_floating_point() or parts.is_complex()):
        raise ValueError(f"{name} of {parts.dtype} have no means: give floating numbers, or labels as one channel each")


def covered(x: Tensor, plan: Tiling, padding_mode: str) -> Tensor:
    """x with its axes as long as a patch at the least, half of what is wanting on either side.

    >>> covered(torch.ones(2), tiling((2,), 4), "zeros")
    tensor([0., 1., 1., 0.])
    """
    return nd.pad(x, _margins(plan), padding_mode) if plan.padded != plan.shape else x


def uncovered(x: Tensor, plan: Tiling) -> Tensor:
    """The volume without what covered put around it.

    >>> uncovered(torch.arange(4), tiling((2,), 4))
    tensor([1, 2])
    """
    cut: list[Any] = [
        ...,
        *(slice(before, before + n) for (before, _), n in zip(_margins(plan), plan.shape, strict=True)),
    ]
    return x[tuple(cut)]


def _count(lengths: Any, name: str) -> int:
    """How many axes of space are meant: a single number would not tell them from channels."""
    if not isinstance(lengths, Sequence) or isinstance(lengths, str):
        raise TypeError(f"{name} {lengths!r} does not tell space from channels: give one number for each axis of space")
    return len(lengths)


def _margins(plan: Tiling) -> tuple[tuple[int, int], ...]:
    wanting = [wide - n for wide, n in zip(plan.padded, plan.shape, strict=True)]
    return tuple((w // 2, w - w // 2) for w in wanting)
