"""What data sets are made of: items ready in memory, a part held back to choose by, sounds amid silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class Parts(NamedTuple):
    """What load returns: train, valid, test."""

    train: Any
    valid: Any
    test: Any


class Arrays:
    """Items that lie ready in memory: x (items, …), y (items,). No randomness, whatever the generator."""

    ready = True  # there is nothing for workers to make

    def __init__(self, x: Any, y: Any, classes: Sequence[str]) -> None:
        self.x, self.y, self.classes = torch.as_tensor(x), torch.as_tensor(y), tuple(classes)

    def __len__(self) -> int:
        return len(self.x)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One x and its y."""
        return self.x[index], self.y[index]

    def batch(self, indices: Tensor, generators: Any = None) -> tuple[Tensor, Tensor]:
        """Many at once, by one gather."""
        indices = indices.to(self.x.device)
        return self.x[indices], self.y[indices]

    @property
    def nbytes(self) -> int:
        """What the items take of a device's memory."""
        return self.x.nbytes + self.y.nbytes

    def to(self, device: Any) -> Arrays:
        """The same items on a device."""
        return Arrays(self.x.to(device), self.y.to(device), self.classes)

    def subset(self, indices: Tensor) -> Arrays:
        """Some of the items."""
        return Arrays(self.x[indices], self.y[indices], self.classes)


class Bytes(Arrays):
    """Pictures of any number of axes kept as bytes, x uint8 (items, channels, *space); an item is float32 in [0, 1]."""

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One picture and its class."""
        return self.x[index] / 255, self.y[index]

    def batch(self, indices: Tensor, generators: Any = None) -> tuple[Tensor, Tensor]:
        """Many at once, by one gather."""
        x, y = super().batch(indices)
        return x / 255, y

    def to(self, device: Any) -> Bytes:
        """The same pictures on a device."""
        return Bytes(self.x.to(device), self.y.to(device), self.classes)

    def subset(self, indices: Tensor) -> Bytes:
        """Some of the pictures."""
        return Bytes(self.x[indices], self.y[indices], self.classes)


def held_back(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices to train with and to choose by: the last tenth of a seeded permutation, at least one, is held back.

    >>> train, valid = held_back(20, seed=0)
    >>> len(train), len(valid)
    (18, 2)
    """
    if n < 2:
        raise ValueError(f"{n} items cannot be split into a part to train with and one to choose by")
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    kept = n - max(n // 10, 1)
    return shuffled[:kept], shuffled[kept:]


def amid(sound: np.ndarray, samples: int) -> np.ndarray:
    """The sound amid so much silence; of a longer one the part with the most power.

    >>> amid(np.array([1.0, 1.0]), 5), amid(np.array([0.0, 0.0, 3.0, 1.0]), 2)
    (array([0., 1., 1., 0., 0.]), array([3., 1.]))
    """
    missing = samples - len(sound)
    if missing >= 0:
        return np.pad(sound, (missing // 2, missing - missing // 2))
    before = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
    first = int(np.argmax(before[samples:] - before[:-samples]))
    return sound[first : first + samples]
