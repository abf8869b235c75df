"""Volumes cut and filled up to a shape, or cut to what a mask shows; the affine follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.transforms.volume._limits import affordable, filling
from sigconv.transforms.volume._space import Placed, moved, opened, spacings


def crop_pad(
    x: Any,
    affine: Any = None,
    *,
    shape: int | Sequence[int],
    centre: Sequence[float] | None = None,
    padding_mode: str = "constant",
    value: float = 0.0,
    axes: Sequence[int] | None = None,
) -> Any:
    """Cut or fill up the axes of space to a shape, about the middle or about another place.

    x, affine, axes  as resample takes them
    shape            samples along each axis
    centre           the index, fractional if need be, about which is cut; the middle unless said
    padding_mode     what is filled in: "constant" (value), "zeros", or a border of sigconv.nd

    Of an odd surplus or want the smaller half is in front: filling up and then cutting back gives x again. Returns a
    Volume for a Volume, otherwise (x, affine), of x's dtype.

    >>> y, place = crop_pad(np.arange(5), np.eye(2), shape=2)
    >>> y, place[0].tolist()
    (array([1, 2]), [1.0, 1.0])
    """
    here = opened(x, affine, axes)
    size, value = nd.ntuple(shape, here.ndim, "shape", least=1), filling(value, here.kind)
    affordable((*here.x.shape[: here.x.ndim - here.ndim], *size), here.x.itemsize, f"shape {shape}")
    if centre is None:
        starts = [math.trunc((n - m) / 2) for n, m in zip(here.space, size, strict=True)]
    else:
        if np.shape(centre) != (here.ndim,) or not np.isfinite(centre).all():
            raise ValueError(f"centre {centre} is not {here.ndim} numbers")
        starts = [math.floor(c - (m - 1) / 2 + 0.5) for c, m in zip(centre, size, strict=True)]
    return _cut(here, starts, size, padding_mode, value)


def crop_to(x: Any, affine: Any = None, *, mask: Any, margin: float = 0.0, axes: Sequence[int] | None = None) -> Any:
    """Cut a volume to the box that holds all of a mask, and a margin in mm around it as far as there is volume.

    x, affine, axes  as resample takes them; mask (*space), bool or numbers of which any but 0 count

    Returns a Volume for a Volume, otherwise (x, affine). ValueError for a mask of another shape, or an empty one.

    >>> crop_to(np.arange(6), np.eye(2), mask=np.array([0, 0, 0, 1, 0, 0]), margin=1.0)[0]
    array([2, 3, 4])
    """
    here = opened(x, affine, axes)
    inside = torch.as_tensor(np.asarray(mask.data if hasattr(mask, "affine") else mask)) != 0
    if (*inside.shape, *[1] * here.ndim)[: max(here.ndim, inside.ndim)] != here.space:
        raise ValueError(f"mask {tuple(inside.shape)} has not the shape of x's space, {here.space}")
    inside = inside.reshape(here.space)  # of a plane, the mask may leave out what x did
    if not bool(inside.any()):
        raise ValueError("mask is empty: there is no box to cut to")
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"margin {margin} mm must be a finite number, at least 0")
    starts, size = [], []
    for axis, (n, step) in enumerate(zip(here.space, spacings(here.affine), strict=True)):
        met = inside.movedim(axis, 0).reshape(n, -1).any(1).nonzero()[:, 0]
        around = math.ceil(margin / step - 1e-6)
        starts.append(max(int(met[0]) - around, 0))
        size.append(min(int(met[-1]) + around + 1, n) - starts[-1])
    return _cut(here, starts, size, "zeros", 0.0)


def _cut(here: Placed, starts: Sequence[int], size: Sequence[int], padding_mode: str, value: float) -> Any:
    """So many samples from these places on, of a volume that goes on as its border says."""
    y, margins = here.x, []
    for axis, (start, m, n) in enumerate(zip(starts, size, here.space, strict=True), y.ndim - here.ndim):
        before, after = max(-start, 0), max(start + m - n, 0)
        if before >= m or after >= m:
            raise ValueError(f"centre leaves none of the {n} samples inside: it asks for {start} to {start + m - 1}")
        y = y.narrow(axis, max(start, 0), m - before - after)
        margins.append((before, after))
    return here.close(_filled(y, margins, padding_mode, value), moved(here.affine, starts))


def _filled(y: Tensor, margins: Sequence[tuple[int, int]], padding_mode: str, value: float) -> Tensor:
    if any(map(any, margins)):
        return nd.pad(y, tuple(margins), padding_mode, value)
    nd.border_modes(padding_mode, len(margins))
    return y.clone()  # a cut is no view: what is written into it leaves x alone
