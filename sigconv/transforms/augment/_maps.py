"""Images varied together with their label maps, one part after another, each item by its own generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv.transforms.augment._varied import Augment, made


class Part:
    """A change of images (channels, *space) in any number of dimensions, and of their label maps with them.

    A subclass says how: vary(x, y, generator). A part is an Augment: part(x, generators) of a batch; of one with label
    maps part(x, generators, y) gives both. An item's variant depends on the item and its generator alone, to the bit,
    whatever stands beside it in the batch. Nothing is written to x or y.
    """

    def vary(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """One item x (channels, *space) and its map y (…, *space), or None, as they become."""
        raise NotImplementedError

    def __call__(self, x: Tensor, generators: Sequence[torch.Generator], y: Tensor | None = None) -> Any:
        """A batch as it becomes: x alone, or (x, y) where maps are given."""
        for what, many in (("generators", generators), ("label maps", x if y is None else y)):
            if len(many) != len(x):
                raise ValueError(f"{len(many)} {what} for {len(x)} items: give one for each")
        maps = [None] * len(x) if y is None else list(y)
        pairs = [self.vary(one, its, generator) for one, its, generator in zip(x, maps, generators, strict=True)]
        varied = torch.stack([one for one, _ in pairs]) if pairs else x
        if y is None:
            return varied
        return varied, torch.stack([its for _, its in pairs if its is not None]) if pairs else y


class Chain(Part):
    """Parts one after the other; any other Augment, a function of (x, generators), may stand among them.

    >>> add = lambda x, generators: x + 1
    >>> Chain(add, add)(torch.zeros(1, 1, 2), [torch.Generator()])
    tensor([[[2., 2.]]])
    """

    def __init__(self, *parts: Part | Augment) -> None:
        self.parts = parts

    def vary(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """All parts in their order, drawing from the same generator one after the other."""
        for part in self.parts:
            if isinstance(part, Part):
                x, y = part.vary(x, y, generator)
            else:
                x = part(x[None], [generator])[0]
        return x, y

    def __repr__(self) -> str:
        return f"Chain({', '.join(map(repr, self.parts))})"


class AugmentedMaps:
    """A data set of (image, label map) pairs, both varied alike each time they are asked for.

    dataset  len, classes and item; x (channels, *space), y (*space) or (…, *space), whole numbers for labels. The
             items may be of many sizes where a Crop makes them one.
    augment  a Part, as Chain and all of them are

    Each variant is a function of (seed, epoch, index), the same in every process, worker and restart.

    >>> from sigconv.transforms.augment import Flip
    >>> pairs = AugmentedMaps([(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([0, 0, 1]))], Flip(share=1.0))
    >>> pairs.item(0, torch.Generator())
    (tensor([[3., 2., 1.]]), tensor([1, 0, 0]))
    """

    def __init__(self, dataset: Any, augment: Part) -> None:
        self.dataset, self.augment, self.classes = dataset, augment, getattr(dataset, "classes", ())

    def __len__(self) -> int:
        return len(self.dataset)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One pair's variant."""
        generator = generator or torch.default_generator
        x, y = self.augment.vary(*made(self.dataset, index, generator), generator)
        if y is None:
            raise ValueError(f"{self.augment!r} left no label map of item {index}")
        return x, y

    @property
    def nbytes(self) -> int:
        """What the items take of a device's memory, where they say."""
        return getattr(self.dataset, "nbytes", 0)

    def to(self, device: Any) -> AugmentedMaps:
        """The same on a device."""
        return AugmentedMaps(self.dataset.to(device), self.augment) if hasattr(self.dataset, "to") else self


def lengths(x: Tensor, y: Tensor | None) -> tuple[int, ...]:
    """The space of an item, which its map must have too.

    >>> lengths(torch.zeros(1, 4, 5), torch.zeros(4, 4))
    Traceback (most recent call last):
    ValueError: the label map (4, 4) does not lie over an image of (4, 5)
    """
    space = tuple(x.shape[1:])
    if not space or 0 in space:
        raise ValueError(f"an item {tuple(x.shape)} has no space: expected (channels, *space)")
    if y is not None and tuple(y.shape[y.ndim - len(space) :]) != space:
        raise ValueError(f"the label map {tuple(y.shape)} does not lie over an image of {space}")
    return space


def draws(generator: torch.Generator, count: int) -> list[float]:
    """Numbers in [-1, 1).

    >>> len(draws(torch.Generator(), 3))
    3
    """
    return (2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1).tolist()


def chosen(generator: torch.Generator, share: float) -> bool:
    """Whether an item is among so great a part of them: one number is drawn in any case.

    >>> chosen(torch.Generator(), 1.0), chosen(torch.Generator(), 0.0)
    (True, False)
    """
    return (draws(generator, 1)[0] + 1) / 2 < share
