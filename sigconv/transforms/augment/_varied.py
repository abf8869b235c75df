"""A data set whose items are varied each time they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

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
        generators = list(generators)
        x, y = collected(self.dataset, indices, generators)
        return self.augment(x, generators), y

    @property
    def nbytes(self) -> int:
        """What the items take of a device's memory, where they say."""
        return getattr(self.dataset, "nbytes", 0)

    def to(self, device: Any) -> Augmented:
        """The same on a device."""
        return Augmented(self.dataset.to(device), self.augment) if hasattr(self.dataset, "to") else self


def collected(dataset: Any, indices: Tensor, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
    """The items of these indices, stacked: by the data set's own batch, where it has one."""
    if hasattr(dataset, "batch"):
        return dataset.batch(indices, generators)
    items = [dataset.item(int(i), g) for i, g in zip(indices, generators, strict=True)]
    x, y = (torch.stack([torch.as_tensor(item[part]) for item in items]) for part in (0, 1))
    return x, y
