"""Haar-like features: differences of sums over boxes, each sum read from an integral volume at its corners."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters.haar import _common as common
from sigconv.filters.haar import _integral as integral
from sigconv.filters.haar._corners import Boxes
from sigconv.filters.haar.classical import Features
from sigconv.kernels._state import readable


def boxes(x: Any, features: Iterable[Any], *, stride: Any = 1, size: Any = None, normalize: bool = False) -> Any:
    """Haar-like features at every position of a window: y[f, p] = Σ weight · Σ x[p + start : p + stop].

    features are lists of (weight, start, stop): boxes from the corner start up to, and without, the corner stop, one
    number for each axis of space, counted from the window's first sample. They say how many axes space has:
    x (batch, channels, *space) -> (batch, channels·features, *positions), channel-major,
    x (*space) -> (features, *positions). A window as large as x has one position.

    stride      steps between positions, one or one per axis
    size        the window's; what the features reach if None
    normalize   each answer is divided by its window's standard deviation, as Viola and Jones do against lighting; a
                window whose deviation is beyond the reach of double precision, as one of equal values, is left as it is

    Sums come from an integral volume, 2^N reads for a box; corners shared by boxes are read once. Integers with whole
    weights are exact in int64, or OverflowError; all else is summed in float64 about the mean of each image and cast
    back to x's kind (float64 for integers). The error is eps of float64 times the largest prefix sum of that. NaN and
    infinities make NaN of those answers whose boxes hold them, and no others. Any device; differentiable; under
    torch.compile features are read before the graph, and large int64 are trusted. ValueError for boxes that are empty
    or begin before the window, features of different dimension, and a window larger than x.

    >>> edge = [(1, (0, 0), (2, 1)), (-1, (0, 1), (2, 2))]
    >>> boxes(torch.tensor([[1, 2, 4], [1, 2, 4]]), [edge])
    tensor([[[-2, -4]]])

    Viola and Jones 2001, doi:10.1109/CVPR.2001.990517; Crow 1984. Requirements FB4, FB5, E19 of the lectures: Haar the
    rectangle feature, not the wavelet.
    """
    return responses(x, boxes_of(features), stride, size, normalize)


@common.known_as("boxes")
def responses(x: Tensor, found: Boxes, stride: Any, size: Any, normalize: bool) -> Tensor:
    """The answers of features already laid out as arrays."""
    ndim = found.ndim
    if x.ndim not in (ndim, ndim + 2):
        raise ValueError(
            f"x {tuple(x.shape)} for boxes along {ndim} axes: expected (*space) or (batch, channels, *space)"
        )
    if x.is_complex():
        raise TypeError(f"x is {x.dtype}: boxes take real values; give x.real and x.imag in turn")
    window = found.reach if size is None else nd.ntuple(size, ndim, "size")
    if any(n < reach for n, reach in zip(window, found.reach, strict=True)):
        raise ValueError(f"size {window} is smaller than what the boxes reach, {found.reach}")
    kept, space = x.shape[: x.ndim - ndim], x.shape[x.ndim - ndim :]
    steps = nd.ntuple(stride, ndim, "stride")
    positions = nd.output_size(space, window, steps, (1,) * ndim, ((0, 0),) * ndim)
    place = (window, steps, positions)
    x = x.reshape(kept.numel(), *space)
    whole = found.exact and not x.is_floating_point()
    y = _normalised(x, _exact(x, found, place), place, normalize) if whole else _rounded(x, found, place, normalize)
    return y.reshape(kept[0], kept[1] * y.shape[1], *positions) if kept else y[0]


def _exact(x: Tensor, found: Boxes, place: Any) -> Tensor:
    """Whole numbers with whole weights, in int64."""
    _, steps, positions = place
    volume = integral.volume(integral.whole_numbers(x, found.largest), found.ndim)
    return found.corners.read(volume, steps, positions)


def _rounded(x: Tensor, found: Boxes, place: Any, normalize: bool) -> Tensor:
    """All else, in float64: samples that are not finite count as 0, and what touches them is NaN."""
    _, steps, positions = place
    kind = x.dtype if x.is_floating_point() else torch.float64
    finite = x.isfinite() if x.is_floating_point() else None
    if finite is not None and readable(x) and bool(finite.all()):
        finite = None  # nothing to mask, and no second volume
    x = x.double() if finite is None else x.double().where(finite, 0.0)
    mean = _mean(x)  # sums about it stay small, and so does their rounding
    y = found.corners.read(integral.volume(x - mean, found.ndim), steps, positions)
    y = y + _column(found.sums.to(y.device), y) * mean.unsqueeze(1)
    y = _normalised(x, y, place, normalize)
    if finite is not None:
        bad = (~finite).long()
        touched = found.touching.read(integral.volume(bad, found.ndim), steps, positions)
        if normalize:
            touched = touched + integral.over_window(bad, *place)
        y = y.masked_fill(touched > 0, float("nan"))
    return y.to(kind)


def _normalised(x: Tensor, y: Tensor, place: Any, normalize: bool) -> Tensor:
    """Answers over the deviation of their windows."""
    if not normalize:
        return y
    x = x.double()
    return y / integral.deviation(x - _mean(x), *place)


def _mean(x: Tensor) -> Tensor:
    """The mean of each image, which no derivative need know of: it is added back as it was taken away."""
    return x.detach().mean(tuple(range(1, x.ndim)), keepdim=True)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.ndim - 2))


def boxes_of(features: Iterable[Any]) -> Boxes:
    """Features as boxes takes them, checked and laid out as arrays."""
    if isinstance(features, Features) and len(features):
        return features.boxes
    rows = []
    for number, feature in enumerate(features):
        found = [_box(box, number) for box in feature]
        if not found:
            raise ValueError(f"feature {number} has no boxes: give at least one (weight, start, stop)")
        rows += [(number, *box) for box in found]
    if not rows:
        raise ValueError("features are empty: give at least one, a list of (weight, start, stop)")
    if len({len(corner) for _, _, *both in rows for corner in both}) > 1:
        raise ValueError("features are of different dimension: every start and stop needs one number for each axis")
    whole = all(isinstance(weight, int) for _, weight, _, _ in rows)
    owner, weight, start, stop = zip(*rows, strict=True)
    return Boxes(np.array(owner), np.array(weight, np.int64 if whole else np.float64), np.array(start), np.array(stop))


# Nothing of that is for a graph. torch.compiler.disable says the same, and imports the whole compiler to say it.
boxes_of._torchdynamo_disable = True  # type: ignore[attr-defined]


def _box(box: Any, number: int) -> tuple[int | float, tuple[int, ...], tuple[int, ...]]:
    try:
        weight, start, stop = box
        start, stop = (tuple(map(operator.index, corner)) for corner in (start, stop))
        weight = operator.index(weight) if hasattr(weight, "__index__") else float(weight)
    except (TypeError, ValueError):
        raise TypeError(
            f"box {box!r} of feature {number} is not (weight, start, stop), tuples of whole numbers"
        ) from None
    if len(start) != len(stop) or not start or any(not 0 <= a < b for a, b in zip(start, stop, strict=True)):
        raise ValueError(
            f"box {box!r} of feature {number} is empty or begins before the window: expected 0 <= start < stop"
        )
    if not math.isfinite(weight) or abs(weight) >= 2**31:
        raise ValueError(f"weight {weight} of feature {number} is out of range: expected less than 2**31")
    return weight, start, stop
