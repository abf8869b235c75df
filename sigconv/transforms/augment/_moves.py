"""Where the value of each sample is taken, when an image moves: maps of places, and the interpolation by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv.transforms.augment._maps import lengths
from sigconv.transforms.augment._options import axes_of, rates
from sigconv.transforms.volume import at_points

Places = list[Tensor]  # a tensor for each axis: samples from the middle of the space
Move = Callable[[Places], Places]  # from where a sample lies to where its value is taken


def rotation(degrees: float, plane: tuple[int, int], ndim: int) -> np.ndarray:
    """The matrix (ndim, ndim) that turns the first axis of a plane towards the second, exact at quarter turns.

    >>> rotation(90, (0, 1), 2)
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    quarters, rest = divmod(degrees, 90)
    exact = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][int(quarters) % 4]
    c, s = math.cos(math.radians(rest)), math.sin(math.radians(rest))
    cosine, sine = exact[0] * c - exact[1] * s, exact[1] * c + exact[0] * s
    matrix, (one, other) = np.eye(ndim), axes_of(plane, ndim)
    matrix[[one, one, other, other], [one, other, one, other]] = cosine, -sine, sine, cosine
    return matrix + 0.0


def transformed(
    x: Tensor, matrix: Any, shift: Any = 0.0, *, fs: Any = 1.0, order: int | None = None, padding_mode: str = "reflect"
) -> Tensor:
    """An image whose every point, in mm from the middle, is taken to matrix @ point + shift.

    x             (channels, *space), of any dtype
    matrix        (n, n) for n axes of space, not singular; shift in mm, one number or n
    fs            samples per mm, 1 / spacing, one number or one for each axis
    order         of the interpolation, as volume.at_points has it: unless said 1, and 0 for whole numbers
    padding_mode  what comes in from beyond the faces

    Where a matrix and grid take samples to samples (the identity, quarter turns of an isotropic grid) the answer is
    exact. Differentiable in x. ValueError for a matrix of another size, or a singular one.

    >>> transformed(torch.tensor([[[1, 2], [3, 4]]]), rotation(90, (0, 1), 2))
    tensor([[[2, 4],
             [1, 3]]])
    """
    space = lengths(x, None)
    move = linear(matrix, shift, rates(fs, len(space)))
    return taken(x, places_of(move, space, x), order, padding_mode)


def linear(matrix: Any, shift: Any, fs: Sequence[float]) -> Move:
    """The way back of matrix @ point + shift in mm, for points in samples.

    >>> linear([[2.0]], 1.0, (1.0,))([torch.tensor([3.0])])
    [tensor([1.])]
    """
    n, rate = len(fs), np.asarray(fs)
    square = np.asarray(matrix, np.float64)
    if square.shape != (n, n) or not np.isfinite(square).all() or np.linalg.matrix_rank(square) < n:
        raise ValueError(f"matrix {square.tolist()} takes no {n} axes of space to others, one to one")
    far = np.broadcast_to(np.asarray(shift, np.float64), (n,)) * rate
    orthogonal = np.allclose(square @ square.T, np.eye(n), rtol=0, atol=1e-14)
    inverse = (square.T if orthogonal else np.linalg.inv(square)) * (rate[:, None] / rate)

    def back(places: Places) -> Places:
        from_there = [place - float(d) if d else place for place, d in zip(places, far, strict=True)]
        return [_sum(row, from_there) for row in inverse]

    return back


def _sum(row: np.ndarray, places: Places) -> Tensor:
    """Places weighted by a row of a matrix; zeros in it leave an axis out, so that thin tensors stay thin."""
    total = None
    for weight, place in zip(row, places, strict=True):
        if weight:
            part = place if weight == 1 else place * float(weight)
            total = part if total is None else total + part
    return total if total is not None else torch.zeros_like(places[0])


def places_of(move: Move, space: Sequence[int], like: Tensor) -> Places:
    """Where in a space each of its samples finds its value, in samples from the first; on like's device.

    >>> places_of(lambda places: [place + 1 for place in places], (3,), torch.zeros(1))
    [tensor([1., 2., 3.])]
    """
    kind = torch.float64 if like.dtype in (torch.float64, torch.complex128) else torch.float32
    middle = []
    for axis, n in enumerate(space):
        shape = [-1 if a == axis else 1 for a in range(len(space))]
        middle.append((torch.arange(n, device=like.device, dtype=kind) - (n - 1) / 2).reshape(shape))
    return [place + (n - 1) / 2 for place, n in zip(move(middle), space, strict=True)]


def taken(x: Tensor, places: Places, order: int | None, padding_mode: str) -> Tensor:
    """x (*rest, *space) at places: the nearest of whole numbers, others by linear interpolation, or as asked.

    >>> taken(torch.tensor([[1, 2, 3]]), [torch.tensor([1.0, 2.0, 3.0])], None, "replicate")
    tensor([[2, 3, 3]])
    """
    grey = x.is_floating_point() or x.is_complex()
    return at_points(x, places, order=(1 if order is None else order) if grey else 0, padding_mode=padding_mode)
