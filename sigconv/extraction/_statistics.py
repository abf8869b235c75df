"""Statistics of feature maps over space, inside a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sigconv.extraction import _formats
from sigconv.filters import _pools


class Statistics:
    """Each statistic of each map, in the order of names: statistic by statistic, then map by map."""

    def __init__(self, names: list[str], stride: Any) -> None:
        self.pools = _pools.named(names)
        self.stride = stride

    def __call__(self, y: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """(maps, *positions) -> (statistics·maps,) float32; mask is of the input's shape, taken at the positions."""
        inside = None
        if mask is not None:
            inside = mask[tuple(slice(None, None, step) for step in _formats.steps(self.stride, mask.ndim))]
            if not inside.any():
                raise ValueError("the mask is empty: there is nothing to take statistics of")
        found = np.empty((len(self.pools), len(y)), np.float32)
        for number, one in enumerate(y):  # one at a time: maps may be larger than memory together
            values = torch.from_numpy(np.ascontiguousarray(one if inside is None else one[inside]).reshape(1, -1))
            for row, pool in enumerate(self.pools.values()):
                found[row, number] = float(pool(values)[0])
        return found.reshape(-1)


def plain(row: np.ndarray) -> list[float | str]:
    """Numbers as JSON keeps them, each by the fewest digits that float32 needs; words where there is no number.

    >>> plain(np.array([0.1, float("nan")], np.float32))
    [0.1, 'nan']
    """
    return [float(str(value)) if np.isfinite(value) else str(value) for value in row]
