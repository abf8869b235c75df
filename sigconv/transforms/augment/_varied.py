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
        x, y = made(self.dataset, index, generator)
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
    x, y = zip(*(made(dataset, int(i), g) for i, g in zip(indices, generators, strict=True)), strict=True)
    return torch.stack(x), torch.stack(y)


def made(dataset: Any, index: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """One item: of item(index, generator), or of dataset[index], as torch's own data sets have it.

    ValueError for one that is no pair of tensors or numbers.

    >>> made([(0.5, 1)], 0, None)
    (tensor(0.5000), tensor(1))
    """
    found = dataset.item(index, generator) if hasattr(dataset, "item") else dataset[index]
    try:
        x, y = found
        return torch.as_tensor(x), torch.as_tensor(y)
    except (TypeError, ValueError, RuntimeError) as error:
        kinds = ", ".join(type(part).__name__ for part in found) if isinstance(found, tuple | list) else type(found)
        raise ValueError(f"item {index} is ({kinds}): expected (x, y), two tensors or numbers ({error})") from None
