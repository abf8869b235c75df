"""Batches of a data set: which items (a pure function of seed and epoch), and how they reach the device.

A data set has len, .classes and item(index, generator) -> (x, y); with batch(indices, generators) -> (x, y) it may
make many at once, and with to(device) live there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigconv.train import feeding, processes, seeds


class Batch(NamedTuple):
    """Items of one step, and their share of it: 1, unless other processes or parts have the rest of the step."""

    x: Tensor
    y: Tensor
    share: float


def order(n: int, seed: int, epoch: int, shuffle: bool) -> Tensor:
    """The order of an epoch's items: shuffled anew each epoch, the same in every run."""
    return torch.randperm(n, generator=seeds.generator(seed, epoch, -1)) if shuffle else torch.arange(n)


class Batches:
    """An epoch's batches, one after the other, on the device. The last may be smaller; a training batch of one joins
    the one before it, for statistics over a single item are none.

    Of many processes each makes its part of every batch: batch_size counts the items of all. A batch too small to
    give everyone two is made whole by everyone.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        device: Any = "cpu",
        workers: int = 0,
        parts: int = 1,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} must be at least 1")
        if len(dataset) == 0:
            raise ValueError("the data set is empty: there is nothing to make batches of")
        self.n, self.batch_size, self.seed, self.shuffle, self.parts = len(dataset), batch_size, seed, shuffle, parts
        self.length = len(self.steps(0))
        self.feed = feeding.feed(dataset, seed, torch.device(device), workers)

    def __len__(self) -> int:
        return self.length

    def steps(self, epoch: int) -> list[Tensor]:
        """The items of each of an epoch's steps, over all processes."""
        steps = list(order(self.n, self.seed, epoch, self.shuffle).split(self.batch_size))
        if self.shuffle and len(steps) > 1 and len(steps[-1]) == 1:
            steps[-2:] = [torch.cat(steps[-2:])]
        return steps

    def epoch(self, number: int, first: int = 0) -> Iterator[list[Batch]]:
        """Each step's batches from its first on: one, or as many as parts says, made one after the other."""
        plan = [self._mine(indices) for indices in self.steps(number)[first:]]
        made = iter(self.feed(number, [indices for mine in plan for indices, _ in mine]))
        for mine in plan:
            yield [Batch(*next(made), share) for _, share in mine]

    def _mine(self, indices: Tensor) -> list[tuple[Tensor, float]]:
        """This process's items of a step, in parts, each with the share of the step's mean that it stands for."""
        among, of = processes.count(), len(indices)
        if among == self.parts == 1:
            return [(indices, 1.0)]
        if among > 1 and of >= 2 * among:
            indices = indices.tensor_split(among)[processes.number()]
        else:
            among = 1
        most = max(of // among // 2, 1)  # two items a part at the least; and as many parts in every process
        parts = indices.tensor_split(min(self.parts, most))
        return [(part, len(part) * among / of) for part in parts]
