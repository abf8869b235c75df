"""The classical features of Viola and Jones: every edge, line and diagonal that fits a window."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from sigconv import nd
from sigconv.filters.haar._corners import Boxes

KINDS = ("edge", "line", "diagonal")


class Features(Sequence):
    """Many features in little memory: a sequence of lists of (weight, start, stop), kept as arrays.

    feature (boxes,) whose a box is, weight (boxes,), start and stop (boxes, ndim); names (features,) says "edge 1",
    the kind and the axes along which its boxes differ. features[i] is one feature, features[a:b] are Features again.
    """

    def __init__(self, feature: Any, weight: Any, start: Any, stop: Any, names: Any) -> None:
        self.feature, self.weight, self.start, self.stop, self.names = feature, weight, start, stop, names

    @cached_property
    def boxes(self) -> Boxes:
        """The same as rows, which keep what was once worked out of them."""
        return Boxes(self.feature, self.weight, self.start, self.stop)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._chosen(np.arange(len(self))[index])
        number = range(len(self))[index]
        rows = slice(*np.searchsorted(self.feature, [number, number + 1]))
        corners = (map(tuple, corner[rows].tolist()) for corner in (self.start, self.stop))
        return list(zip(self.weight[rows].tolist(), *corners, strict=True))

    def _chosen(self, numbers: np.ndarray) -> Features:
        first, after = np.searchsorted(self.feature, numbers), np.searchsorted(self.feature, numbers, "right")
        rows = np.concatenate([np.arange(0), *(np.arange(a, b) for a, b in zip(first, after, strict=True))])
        owner = np.repeat(np.arange(len(numbers)), after - first)
        return Features(owner, self.weight[rows], self.start[rows], self.stop[rows], self.names[numbers])


def viola_jones(size: Any, kinds: Sequence[str] = KINDS) -> Features:
    """Every classical feature in a window of this size, in any number of axes; one number is the classical square.

    edge       two boxes side by side along one axis, weights 1 and -1: the first minus the second, as in dwt
    line       three along one axis, weights 1, -2, 1, so that a constant gives 0
    diagonal   two by two along two axes, weights 1, -1, -1, 1

    All boxes of a feature have one size; all sizes and places are taken. A window of 24 by 24 has 43,200 edges and
    27,600 lines along each axis and 20,736 diagonals: 162,336 (Viola and Jones speak of 160,000 to 180,000).
    scikit-image has the other signs, and gives a line the weights -1, 1, -1. ValueError for kinds unknown, and for a
    window that holds none.

    >>> features = viola_jones(24)
    >>> len(features)
    162336
    >>> features[0], str(features.names[0])
    ([(1, (0, 0), (1, 1)), (-1, (1, 0), (2, 1))], 'edge 0')

    Viola and Jones 2001, doi:10.1109/CVPR.2001.990517. Requirement FB4 of the lectures.
    """
    window = (size, size) if hasattr(size, "__index__") else tuple(size)
    window = nd.ntuple(window, len(window), "size")
    for kind in kinds:
        nd.one_of(kind, KINDS, "kind")
    axes = range(len(window))
    patterns: list[tuple[str, dict[int, tuple[int, ...]]]]
    patterns = [(f"edge {axis}", {axis: (1, -1)}) for axis in axes if "edge" in kinds]
    patterns += [(f"line {axis}", {axis: (1, -2, 1)}) for axis in axes if "line" in kinds]
    pairs = itertools.combinations(axes, 2) if "diagonal" in kinds else ()
    patterns += [(f"diagonal {one} {other}", {one: (1, -1), other: (1, -1)}) for one, other in pairs]
    parts = [(name, *_placed(window, pattern)) for name, pattern in patterns]
    if not sum(len(start) for _, start, *_ in parts):
        raise ValueError(
            f"size {window} holds none of {tuple(kinds)}: take a larger window, or more axes for diagonals"
        )
    counts = [len(start) // boxes for _, start, _, _, boxes in parts]
    before = np.cumsum([0, *counts])
    rows = [first + np.repeat(np.arange(n), p[4]) for first, n, p in zip(before, counts, parts, strict=False)]
    names = np.repeat(np.array([name for name, *_ in parts], dtype=np.str_), counts)
    start, stop, weight = (np.concatenate([part[i] for part in parts]) for i in (1, 2, 3))
    return Features(np.concatenate(rows), weight, start, stop, names)


def _placed(window: tuple[int, ...], pattern: dict[int, tuple[int, ...]]) -> tuple[Any, Any, Any, int]:
    """All places and sizes of one pattern: start and stop (features·boxes, ndim), weight (features·boxes,), boxes."""
    cells = [len(pattern.get(axis, (1,))) for axis in range(len(window))]
    along = []  # of each axis: every (start, size of a box) that fits
    for n, boxes in zip(window, cells, strict=True):
        found = [(at, box) for at in range(n) for box in range(1, (n - at) // boxes + 1)]
        along.append(np.array(found, np.int64).reshape(-1, 2))
    chosen = np.indices([len(found) for found in along]).reshape(len(window), -1)
    origin, box = (np.stack([found[i, k] for found, i in zip(along, chosen, strict=True)], 1) for k in (0, 1))
    steps = np.array(list(itertools.product(*map(range, cells))))
    start = (origin[:, None] + steps * box[:, None]).reshape(-1, len(window))
    stop = start + np.repeat(box, len(steps), 0)
    weights = [pattern.get(axis, (1,)) for axis in range(len(window))]
    weight = np.array([np.prod(both) for both in itertools.product(*weights)])
    return start, stop, np.tile(weight, len(origin)), len(steps)
