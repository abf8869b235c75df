"""Augmentation: each item's variant is a pure function of the random generator given for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd

Augment = Callable[[Tensor, Sequence[torch.Generator]], Tensor]


class Augmented:
    """A data set whose items are varied each time: augment takes a batch and one generator for each of its items."""

    def __init__(self, dataset: Any, augment: Augment) -> None:
        self.dataset, self.augment, self.classes = dataset, augment, dataset.classes

    def __len__(self) -> int:
        return len(self.dataset)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One item's variant."""
        x, y = self.dataset.item(index, generator)
        return self.augment(x[None], [generator or torch.default_generator])[0], y

    def batch(self, indices: Tensor, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Many at once."""
        x, y = self.dataset.batch(indices, generators)
        return self.augment(x, list(generators)), y

    def to(self, device: Any) -> Augmented:
        """The same on a device."""
        return Augmented(self.dataset.to(device), self.augment)


def uniforms(generators: Sequence[torch.Generator], count: int, like: Tensor) -> Tensor:
    """Numbers in [-1, 1), a row of count for each generator: (batch, count), of like's dtype and device."""
    return torch.stack([torch.rand(count, generator=g) for g in generators]).to(like) * 2 - 1


def normals(generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Normal numbers of like's shape, each item's from its own generator."""
    return torch.stack([torch.randn(like.shape[1:], generator=g) for g in generators]).to(like)


def warp(x: Tensor, stretch: Tensor, shift: Tensor, *, axis: int = -1, padding_mode: str = "reflect") -> Tensor:
    """Stretch each item about the middle of an axis and shift it, by linear interpolation.

    x (batch, …), stretch (batch,) factors (2 doubles a length), shift (batch,) in samples, towards the end; what comes
    in from beyond an end is as padding_mode has it.

    >>> warp(torch.arange(5.0)[None], torch.ones(1), torch.tensor([1.0]), padding_mode="replicate")
    tensor([[0., 0., 1., 2., 3.]])
    """
    axis = axis % x.ndim
    n = x.shape[axis]
    middle = (n - 1) / 2
    places = torch.arange(n, device=x.device, dtype=x.dtype) - middle
    places = (places - shift[:, None]) / stretch[:, None] + middle
    below = places.floor()
    rows = x.movedim(axis, -1)
    index = lambda at: nd.EXTEND[padding_mode](at.long(), n).reshape(len(x), *[1] * (x.ndim - 2), n).expand(rows.shape)
    share = (places - below).reshape(len(x), *[1] * (x.ndim - 2), n)
    return torch.lerp(rows.gather(-1, index(below)), rows.gather(-1, index(below + 1)), share).movedim(-1, axis)
