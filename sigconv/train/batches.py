"""Batches of a data set: which items (a pure function of seed and epoch), and how they reach the device.

A data set has len, .classes and item(index, generator) -> (x, y); with batch(indices, generators) -> (x, y) it may
make many at once, and with to(device) live there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sigconv.train import seeds


def order(n: int, seed: int, epoch: int, shuffle: bool) -> Tensor:
    """The order of an epoch's items: shuffled anew each epoch, the same in every run."""
    return torch.randperm(n, generator=seeds.generator(seed, epoch, -1)) if shuffle else torch.arange(n)


def collect(dataset: Any, indices: Tensor, generators: Any) -> tuple[Tensor, Tensor]:
    """The items of these indices, stacked: by the data set's own batch, where it has one."""
    if hasattr(dataset, "batch"):
        return dataset.batch(indices, generators)
    items = [dataset.item(int(index), generator) for index, generator in zip(indices, generators, strict=True)]
    x, y = zip(*items, strict=True)
    return torch.stack([torch.as_tensor(entry) for entry in x]), torch.stack([torch.as_tensor(entry) for entry in y])


class Batches:
    """An epoch's batches, one after the other, on the device. The last may be smaller; a training batch of one joins
    the one before it, for statistics over a single item are none.
    """

    def __init__(
        self, dataset: Any, batch_size: int, *, seed: int = 0, shuffle: bool = False, device: Any = "cpu"
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} must be at least 1")
        if len(dataset) == 0:
            raise ValueError("the data set is empty: there is nothing to make batches of")
        self.dataset = dataset.to(device) if hasattr(dataset, "to") else dataset
        self.batch_size, self.seed, self.shuffle, self.device = batch_size, seed, shuffle, torch.device(device)

    def __len__(self) -> int:
        return len(self._parts(torch.arange(len(self.dataset))))

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches (x, y) of one epoch."""
        for indices in self._parts(order(len(self.dataset), self.seed, number, self.shuffle)):
            x, y = collect(self.dataset, indices, seeds.Generators(self.seed, number, indices.tolist()))
            yield x.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)

    def _parts(self, indices: Tensor) -> list[Tensor]:
        parts = list(indices.split(self.batch_size))
        if self.shuffle and len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [torch.cat(parts[-2:])]
        return parts
