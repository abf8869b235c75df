"""Items mixed with others of their data set, and their labels likewise, in any number of dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv.transforms.augment._draws import betas
from sigconv.transforms.augment._varied import collected


class _Mixing:
    """A data set whose items are mixed with partners from it. A subclass says how: mixed().

    Partner, weight and all else of a mixture are drawn from the item's own generator, first; what the item itself
    draws follows. The partner draws from another generator, whose seed is among the first: the two vary independently.
    """

    def __init__(self, dataset: Any, alpha: float, share: float) -> None:
        if not (math.isfinite(alpha) and alpha > 0):
            raise ValueError(f"alpha {alpha} must be a finite number above 0")
        if not 0 <= share <= 1:
            raise ValueError(f"share {share} is a part of the items: it must be between 0 and 1")
        self.dataset, self.alpha, self.share, self.classes = dataset, alpha, share, dataset.classes

    def __len__(self) -> int:
        return len(self.dataset)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One mixture and its target."""
        x, y = self.batch(torch.tensor([index]), [generator or torch.default_generator])
        return x[0], y[0]

    def batch(self, indices: Tensor, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Many at once."""
        generators = list(generators)
        weight = betas(generators, self.alpha)
        chance, place, seed = torch.stack([torch.rand(3, generator=g, dtype=torch.float64) for g in generators]).T
        asides = [torch.Generator().manual_seed(int(number * 2**53)) for number in seed]
        x, y = collected(self.dataset, indices, generators)
        y = self._as_weights(x, y)
        rows = (chance < self.share).nonzero()[:, 0]
        if not len(rows):
            return x, y
        chosen = [asides[row] for row in rows.tolist()]
        others = (place[rows] * len(self)).long()  # 1 - 2^-53 at most, times the length, is below it
        other_x, other_y = collected(self.dataset, others, chosen)
        there = rows.to(x.device)
        one, kept = self.mixed(x[there], other_x, weight[rows], chosen)
        kept = kept.to(y).reshape(-1, *[1] * (y.ndim - 1))
        target = torch.lerp(self._as_weights(other_x, other_y), y[there], kept)
        return x.index_copy(0, there, one), y.index_copy(0, there, target)

    @property
    def nbytes(self) -> int:
        """What the items take of a device's memory, where they say."""
        return getattr(self.dataset, "nbytes", 0)

    def to(self, device: Any) -> Any:
        """The same on a device."""
        if not hasattr(self.dataset, "to"):
            return self
        return type(self)(self.dataset.to(device), self.alpha, share=self.share)

    def mixed(
        self, x: Tensor, other: Tensor, weight: Tensor, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """The mixtures of x and other, and what part of each is x's: weight (batch,) is what it was asked to be."""
        raise NotImplementedError

    def _as_weights(self, x: Tensor, y: Tensor) -> Tensor:
        """Whole numbers as class probabilities (batch, classes, …), in float32 at the least; others as they are."""
        if y.is_floating_point():
            return y
        classes = len(self.classes)
        low, high = (int(bound) for bound in torch.aminmax(y.long()))
        if low < 0 or high >= classes:
            raise ValueError(f"label {low if low < 0 else high} cannot be mixed: it is not one of {classes} classes")
        return F.one_hot(y.long(), classes).movedim(-1, 1).to(torch.promote_types(x.real.dtype, torch.float32))


class Mixup(_Mixing):
    """A data set whose items are weighted means of two: x = l x_i + (1 - l) x_j, l from Beta(alpha, alpha).

    dataset   len, classes, item (and batch, to, if it has them); x floating, of any shape; y whole numbers or floating
    alpha     0.1 to 0.4 mixes a little, most l near 0 or 1; 1 makes every l as likely as any other
    share     part of the items that are mixed at all

    Whole numbers y become class probabilities (classes, …), which torch.nn.CrossEntropyLoss takes (with label_smoothing
    too); floating y are mixed as x is. Each mixture is a function of the item's generator: the same in every process,
    worker and restart. On a device the items stay there. Mixup(Augmented(train, vary)) is the usual order: each of the
    two is varied for itself, then they are mixed; Augmented(Mixup(train), vary) varies the mixture. Only training data
    are mixed: measure on the data set inside.

    Raises ValueError for an alpha that is not above 0, a share beyond [0, 1], x of whole numbers, labels that are none
    of the classes. Source: Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization, arXiv:1710.09412.

    >>> from sigconv.datasets._parts import Arrays
    >>> mixed = Mixup(Arrays([[0.0], [8.0]], [0, 1], ["low", "high"]), alpha=1.0)
    >>> mixed.item(0, torch.Generator().manual_seed(7))
    (tensor([5.7650]), tensor([0.2794, 0.7206]))
    """

    def __init__(self, dataset: Any, alpha: float = 0.2, *, share: float = 1.0) -> None:
        super().__init__(dataset, alpha, share)

    def mixed(
        self, x: Tensor, other: Tensor, weight: Tensor, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """The weighted means."""
        if not (x.is_floating_point() or x.is_complex()):
            raise ValueError(f"x of {x.dtype} has no weighted means: mix floating numbers, or take CutMix")
        return torch.lerp(other, x, weight.to(x).reshape(-1, *[1] * (x.ndim - 1))), weight


class CutMix(_Mixing):
    """A data set whose items have a box of another pasted in: (channels, *space), in any number of dimensions.

    The box is a part 1 - l of the item, l from Beta(alpha, alpha), as long against every axis as every other; its
    middle is anywhere, and what would lie outside is cut off. Labels are weighted by the part that was really taken.
    Options, order and randomness as Mixup's; x of any dtype, y one whole number an item.

    Raises ValueError as Mixup does, for items without space, and for floating targets. Source: Yun et al. 2019,
    CutMix, arXiv:1905.04899.

    >>> from sigconv.datasets._parts import Arrays
    >>> mixed = CutMix(Arrays(torch.tensor([0, 9]).repeat_interleave(8).view(2, 1, 8), [0, 1], "ab"), alpha=1.0)
    >>> mixed.item(0, torch.Generator().manual_seed(6))
    (tensor([[0, 0, 0, 0, 0, 9, 9, 9]]), tensor([0.6250, 0.3750]))
    """

    def __init__(self, dataset: Any, alpha: float = 1.0, *, share: float = 1.0) -> None:
        super().__init__(dataset, alpha, share)

    def mixed(
        self, x: Tensor, other: Tensor, weight: Tensor, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """The items with boxes of the others in them, and the parts left of them."""
        inside = boxes(tuple(x.shape[2:]), 1 - weight, generators)
        return torch.where(inside[:, None].to(x.device), other, x), 1 - inside.flatten(1).double().mean(1)

    def _as_weights(self, x: Tensor, y: Tensor) -> Tensor:
        if x.ndim < 3:
            raise ValueError(f"an item of shape {tuple(x.shape[1:])} has no space to cut a box from: take Mixup")
        if y.is_floating_point() or y.ndim > 1:
            raise ValueError(f"targets {tuple(y.shape[1:])} of {y.dtype} do not follow the volume of a box: take Mixup")
        return super()._as_weights(x, y)


def boxes(space: tuple[int, ...], volume: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Where a box lies in each item: (batch, *space), bool. volume (batch,) is the part of the space it is to take.

    >>> boxes((6,), torch.tensor([0.5]), [torch.Generator().manual_seed(0)])
    tensor([[False, False, False, False,  True,  True]])
    """
    middle = torch.stack([torch.rand(len(space), generator=g, dtype=torch.float64) for g in generators])
    inside = torch.ones(len(volume), *space, dtype=torch.bool)
    for axis, n in enumerate(space):
        wide = (n * volume ** (1 / len(space))).round()[:, None]
        first = (middle[:, axis, None] * n).floor() - (wide / 2).floor()
        steps = torch.arange(n)
        band = (steps >= first) & (steps < first + wide)
        inside &= band.reshape(-1, *[n if a == axis else 1 for a in range(len(space))])
    return inside
