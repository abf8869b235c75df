"""Randomness as a function of (seed, epoch, index): no worker, order or restart can change what a sample looks like."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


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


def state() -> dict[str, Tensor]:
    """Where Python's, NumPy's and torch's own generators stand, on the CPU and on the GPU in use."""
    _, words, gauss = random.getstate()
    _, keys, place, has, cached = np.random.get_state(legacy=True)
    found = {"torch": torch.get_rng_state()}
    found["python"] = torch.tensor([*words, *_pair(gauss)], dtype=torch.float64)
    found["numpy"] = torch.tensor([*map(int, keys), place, has, cached], dtype=torch.float64)
    return found | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def restore(found: Mapping[str, Tensor]) -> None:
    """Put the generators back to where they stood; a GPU's only where there is one."""
    *words, known, gauss = found["python"].tolist()
    random.setstate((3, tuple(map(int, words)), gauss if known else None))
    *keys, place, has, cached = found["numpy"].tolist()
    np.random.set_state(("MT19937", np.array(keys, np.uint32), int(place), int(has), cached))
    torch.set_rng_state(found["torch"])
    if "cuda" in found and torch.cuda.is_available():
        torch.cuda.set_rng_state(found["cuda"])


def _pair(value: float | None) -> tuple[float, float]:
    return (0.0, 0.0) if value is None else (1.0, value)
