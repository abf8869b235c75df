"""Boxes taken apart into corners: a sum over a box is a signed sum of an integral volume at its 2^N corners."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Corners:
    """Where features read an integral volume, and how what they read is weighted.

    offsets (features, corners, ndim) from the window's origin, weights (features, corners), zero where a feature has
    fewer corners than others; shared corners stand once, and those whose weights cancel not at all.
    """

    offsets: Tensor
    weights: Tensor

    @classmethod
    def of(cls, feature: np.ndarray, weight: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Corners:
        """The corners of all boxes: a row of the arrays is a box, and says whose it is."""
        ndim = start.shape[1]
        signs = list(itertools.product((0, 1), repeat=ndim))
        place = np.concatenate([np.where(sign, stop, start) for sign in signs])
        signed = np.concatenate([weight * (-1) ** (ndim - sum(sign)) for sign in signs])
        keys = np.concatenate([np.tile(feature, len(signs))[:, None], place], 1)
        radix = keys.max(0) + 1
        codes, inverse = np.unique(np.ravel_multi_index(tuple(keys.T), tuple(radix)), return_inverse=True)
        total = np.zeros(len(codes), weight.dtype)
        np.add.at(total, inverse, signed)
        count = int(feature[-1]) + 1
        codes, total = codes[total != 0], total[total != 0]
        owner, *corner = np.unravel_index(codes, tuple(radix))
        each = np.bincount(owner, minlength=count)
        column = np.arange(len(owner)) - np.repeat(np.cumsum(each) - each, each)
        offsets = np.zeros((count, max(each.max(), 1), ndim), np.int64)
        weights = np.zeros(offsets.shape[:2], weight.dtype)
        offsets[owner, column], weights[owner, column] = np.stack(corner, 1), total
        return cls(torch.from_numpy(offsets), torch.from_numpy(weights))

    def read(self, volume: Tensor, steps: Sequence[int], positions: Sequence[int]) -> Tensor:
        """The weighted corners at every position: (images, *space + 1) -> (images, features, *positions)."""
        few = len(self.weights) <= math.prod(positions)
        return (self._slide if few else self._gather)(volume, steps, positions)

    def _slide(self, volume: Tensor, steps: Sequence[int], positions: Sequence[int]) -> Tensor:
        """A corner at a time over all positions: the volume, shifted."""
        answers = []
        for offsets, weights in zip(self.offsets.tolist(), self.weights.tolist(), strict=True):
            y = volume.new_zeros(len(volume), *positions)
            for offset, weight in zip(offsets, weights, strict=True):
                rows = zip(offset, steps, positions, strict=True)
                seen: Any = (slice(None), *(slice(o, o + (p - 1) * s + 1, s) for o, s, p in rows))
                y = torch.add(y, volume[seen], alpha=weight) if weight else y
            answers.append(y)
        return torch.stack(answers, 1)

    def _gather(self, volume: Tensor, steps: Sequence[int], positions: Sequence[int]) -> Tensor:
        """All features at once, few positions: the volume, looked up."""
        strides = torch.tensor([math.prod(volume.shape[2 + axis :]) for axis in range(len(steps))])
        axes = zip(positions, steps, strides.tolist(), strict=True)
        origin = torch.cartesian_prod(*(torch.arange(p) * s * stride for p, s, stride in axes))
        origin = origin.reshape(-1, len(steps)).sum(1)
        offsets, weights = (self.offsets * strides).sum(-1), self.weights.to(volume)
        flat, y = volume.flatten(1), volume.new_zeros(len(volume), len(weights), len(origin))
        for corner in range(weights.shape[1]):
            place = (offsets[:, corner, None] + origin).flatten().to(volume.device)
            y = y + flat.index_select(1, place).reshape(y.shape) * weights[:, corner, None]
        return y.unflatten(2, tuple(positions))


@dataclass(frozen=True)
class Boxes:
    """All boxes of all features, a row each: whose it is, its weight, its two corners."""

    feature: np.ndarray
    weight: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    @property
    def ndim(self) -> int:
        """How many axes boxes have."""
        return self.start.shape[1]

    @property
    def reach(self) -> tuple[int, ...]:
        """The smallest window that holds them all."""
        return tuple(int(n) for n in self.stop.max(0))

    @property
    def exact(self) -> bool:
        """Whether all weights are whole numbers."""
        return self.weight.dtype.kind == "i"

    @property
    def volumes(self) -> np.ndarray:
        """How many samples each holds."""
        return np.prod(self.stop - self.start, 1)

    @property
    def largest(self) -> int:
        """What a sample's magnitude can at most be multiplied with: the largest Σ|weight|·volume of a feature."""
        most = np.bincount(self.feature, np.abs(self.weight.astype(np.float64)) * self.volumes).max()
        return math.ceil(most if most < 2**53 else most * (1 + 1e-12))

    @cached_property
    def sums(self) -> Tensor:
        """Σ weight·volume of every feature: its answer to a constant 1."""
        return torch.from_numpy(np.bincount(self.feature, self.weight.astype(np.float64) * self.volumes))

    @cached_property
    def corners(self) -> Corners:
        """Where and how they read an integral volume."""
        return Corners.of(self.feature, self.weight, self.start, self.stop)

    @cached_property
    def touching(self) -> Corners:
        """The same boxes with weight 1: what they answer to a mask counts the samples they touch."""
        return Corners.of(self.feature, np.ones(len(self.feature), np.int64), self.start, self.stop)
