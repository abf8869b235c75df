"""Randomness as a function of (seed, epoch, index): no worker, order or restart can change what a sample looks like."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch


def generator(seed: int, epoch: int, index: int) -> torch.Generator:
    """The random generator of one sample in one epoch.

    >>> torch.rand(1, generator=generator(0, 1, 2)) == torch.rand(1, generator=generator(0, 1, 2))
    tensor([True])
    """
    key = hashlib.blake2b(f"{seed} {epoch} {index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(key, "big") >> 1)


class Generators(Sequence[torch.Generator]):
    """The generators of a batch, made when asked for: a data set without randomness pays nothing."""

    def __init__(self, seed: int, epoch: int, indices: Sequence[int]) -> None:
        self.seed, self.epoch, self.indices = seed, epoch, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: Any) -> Any:
        return generator(self.seed, self.epoch, int(self.indices[place]))

    def __iter__(self) -> Iterator[torch.Generator]:
        return (generator(self.seed, self.epoch, int(index)) for index in self.indices)


def everything(seed: int) -> None:
    """Seed Python, NumPy and torch on every device: done before a model is built."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
