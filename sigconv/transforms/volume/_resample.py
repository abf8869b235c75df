"""A volume on another grid, in mm: what it shows stays where it is."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.readers import nifti
from sigconv.transforms.volume._grids import Way, by_axes, onto
from sigconv.transforms.volume._limits import affordable, filling
from sigconv.transforms.volume._points import ORDERS
from sigconv.transforms.volume._space import Placed, checked, moved, numbers, opened, spacings


def resample(
    x: Any,
    affine: Any = None,
    *,
    spacing: float | Sequence[float] | None = None,
    shape: int | Sequence[int] | None = None,
    like: Any = None,
    order: int = 1,
    antialias: bool = True,
    value: float = 0.0,
    axes: Sequence[int] | None = None,
) -> Any:
    """Resample a volume: to a spacing in mm, to a shape, or to the grid of another volume.

    x, affine  a Volume (spatial axes first; those its file leaves out are of length 1, and the answer has them),
               anything with an affine, or a tensor or array (*rest, *space) and the affine (n + 1, n + 1) of its last n
               axes; axes says which they are where they are others
    spacing    mm per sample, one number or one per axis; as many samples as fit best, centred on the same box
    shape      that many samples over the very same box
    like       a Volume, a path, anything with an affine, or a pair (shape, affine): that grid, however it lies
    order      1 linear, 3 cubic; 0 labels: no value that was not there before
    antialias  where the new samples lie farther apart, average (order 0: let the labels vote, the smallest wins a
               draw; floating x takes the nearest)
    value      what stands outside the old volume's voxels (the last of them goes on to its outer face)

    Returns a Volume for a Volume (its qform follows), otherwise (x, affine), in memory of its own; floating dtypes
    stay, integers become floating but for order 0. What is linear in mm stays so to rounding wherever the samples
    averaged lie inside. A map of 3-D volumes is taken an axis at a time where the grids' axes agree. Differentiable in
    x for tensors with order 1 and 3.

    Raises ValueError for a spacing, shape, order or affine that is none, and unless exactly one grid is asked for.

    >>> y, place = resample(np.array([[0.0, 2.0]]), np.eye(3), shape=(1, 4))
    >>> y, place[1].tolist()
    (array([[0. , 0.5, 1.5, 2. ]]), [0.0, 0.5, -0.25])
    """
    if sum(given is not None for given in (spacing, shape, like)) != 1:
        raise ValueError(f"spacing {spacing}, shape {shape}, like {like}: give one of the three")
    if order not in ORDERS:
        raise ValueError(f"order {order!r} is not one of {list(ORDERS)}")
    here = opened(x, affine, axes)
    if 0 in here.space:
        raise ValueError(f"x of space {here.space} has no samples to resample")
    data = here.x if order == 0 else _floating(here.x, 8 * here.kind.itemsize)
    value = filling(value, data.dtype if order else here.kind)
    if like is not None:
        size, target = _grid(like, here.ndim)
        _afforded(data, size, f"like {size}", "ask for fewer")
        way = Way(np.eye(here.ndim), np.zeros(here.ndim), size, order, antialias, value)
        return here.close(onto(data, here.affine, target, way), target)
    size, steps = _steps(here, spacing, shape)
    told = (f"shape {shape}", "ask for fewer") if spacing is None else (f"spacing {spacing}", "give it in mm")
    _afforded(data, size, *told)
    offset = [(n - 1 - step * (m - 1)) / 2 for n, m, step in zip(here.space, size, steps, strict=True)]
    places = [o + s * torch.arange(m, dtype=torch.float64) for o, s, m in zip(offset, steps, size, strict=True)]
    target = moved(here.affine, offset)
    target[:-1, :-1] *= steps
    way = Way(np.diag(steps), np.array(offset), size, order, antialias, value)
    return here.close(by_axes(data, places, steps, way), target)


def _steps(here: Placed, spacing: Any, shape: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """How many samples the new grid has along each axis, and how far they lie apart in old samples."""
    if shape is not None:
        size = nd.ntuple(shape, here.ndim, "shape", least=1)
        return size, tuple(n / m for n, m in zip(here.space, size, strict=True))
    wanted = numbers(spacing, here.ndim, "spacing")
    steps = tuple(w / float(old) for w, old in zip(wanted, spacings(here.affine), strict=True))
    size = tuple(max(1, math.floor(min(n / step, 2.0**62) + 0.5)) for n, step in zip(here.space, steps, strict=True))
    return size, steps


def _afforded(data: Tensor, size: tuple[int, ...], said: str, remedy: str) -> None:
    """Refuse a grid that the answer, or the weights along one of its axes, would find no room for."""
    affordable((*data.shape[: data.ndim - len(size)], *size), data.itemsize, said, remedy)
    affordable((max(size), 4), 8, said, remedy)


def _grid(like: Any, n: int) -> tuple[tuple[int, ...], np.ndarray]:
    """The shape and affine of a grid."""
    if isinstance(like, str | os.PathLike):
        like = nifti.volume_of(like)
    if isinstance(like, Tensor) or hasattr(like, "affine"):
        shape, affine = _space_of(like, n), getattr(like, "affine", None)
    else:
        shape, affine = like
    target = checked(affine)
    target[:-1] *= nifti.millimetres(like)
    if len(target) != n + 1:
        raise ValueError(f"like has an affine {target.shape}, and x one of {(n + 1, n + 1)}")
    return nd.ntuple(tuple(shape), n, "shape", least=1), target


def _space_of(like: Any, n: int) -> tuple[int, ...]:
    """The lengths of a volume's n axes of space; those that a file leaves out are of length 1."""
    data = getattr(like, "data", like)
    if isinstance(data, Tensor) and not isinstance(like, nifti.Volume):  # channels first, as MONAI's and TorchIO's are
        return tuple(data.shape[-n:])
    return (*data.shape[: getattr(like, "ndim", None)], *[1] * n)[:n]


def _floating(x: Tensor, bits: int) -> Tensor:
    """The same numbers as floating ones: float32 holds 16 bits, float64 is taken for more."""
    if x.is_floating_point() or x.is_complex():
        return x
    return x.to(torch.float64 if bits > 16 else torch.float32)
