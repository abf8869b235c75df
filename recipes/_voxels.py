"""Voxels as rows of a table: what a filter bank answers at each, in mm, and a linear classifier of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters import gabor, gaussian, haar
from sigconv.pooling import avg_pool
from sigconv.transforms import volume

FEATURES = ("gabor", "haar")
PENALTY = 1e-3  # of the ridge, times the number of rows
LEVELS = 3
OCTAVE = 0.7  # octaves from one wavelength to the next
TINY = 1e-6


def wavelengths(coarsest: float, count: int = 3) -> tuple[float, ...]:
    """Wavelengths in mm that a grid can hold whose coarsest spacing is this, 0.7 octaves apart.

    >>> [round(length, 2) for length in wavelengths(1.0)]
    [2.5, 4.06, 6.6]
    """
    return tuple(2.5 * coarsest * 2 ** (OCTAVE * n) for n in range(count))


def energies(
    x: Tensor, spacing: Sequence[float], kind: str, lengths: Sequence[float], directions: int = 13
) -> tuple[Tensor, list[str]]:
    """What a bank finds at every voxel of a scan (x, y, z), as logarithms of energy: (filters, x, y, z), and names.

    spacing  mm between voxels along each axis, however unequal: filters have their size in mm
    kind     "gabor": complex waves of these lengths (mm) in so many directions, evenly over half a sphere
             "haar": differences within boxes of 2, 4, 8 cubes, each a third of the first length, that the scan is
             resampled to; of each size the mean energy of all boxes that hold the voxel, on the scan's own grid

    Beyond its faces the scan goes on as its mirror image.
    """
    if nd.one_of(kind, FEATURES, "front end") == "gabor":
        fs = tuple(1 / step for step in spacing)
        options: dict[str, Any] = {"dc_free": True, "truncate": 2.5, "fs": fs}
        bank: Any = gabor.pyramid(3, wavelengths=lengths, directions=directions, **options)
        found = bank(x[None, None], output="energy", padding_mode="symmetric")[0]
        names = [f"gabor_{float(length):.3g}mm_d{d}" for length in lengths for d in range(directions)]
        return (found + TINY).log(), names
    cube, place = lengths[0] / 3, np.diag([*map(float, spacing), 1.0])
    even, there = volume.resample(x[None], place, spacing=cube)
    bank, before = haar.bank(3, LEVELS), 2**LEVELS - 1
    mirrored = nd.pad(even[None], ((before, 0),) * 3, "symmetric")
    answers = bank(mirrored, padding_mode="symmetric")[0, 1:].square()  # the first is the mean of a box
    parts = []
    for level, some in zip(range(LEVELS, 0, -1), answers.split(7), strict=True):
        first = before + 1 - 2**level  # a box begins where its answer stands: these all hold the voxel
        parts.append(avg_pool(some[None, :, first:, first:, first:], 2**level, 1)[0])
    back, _ = volume.resample((torch.cat(parts) + TINY).log(), there, like=(tuple(x.shape), place))
    words = [(name[:3], int(name[3:])) for name in bank.names[1:]]
    return back, [f"haar_{word}_{cube * 2**level:.3g}mm" for word, level in words]


def around(x: Tensor, spacing: Sequence[float], widths: Sequence[float]) -> Tensor:
    """Brightness of a scan (x, y, z), and its Gaussian means of these deviations in mm: (1 + widths, x, y, z).

    >>> around(torch.ones(4, 5, 6), (1, 1, 2), (2.0,)).shape
    torch.Size([2, 4, 5, 6])
    """
    fs = tuple(1 / step for step in spacing)
    bank = gaussian.bank([float(width) for width in widths], ndim=3, fs=fs)
    return torch.cat([x[None], bank(x[None, None], padding_mode="symmetric")[0]])


def places(shape: Sequence[int]) -> Tensor:
    """Where each voxel lies between -1 and 1 along each axis, and the products of these by twos: (9, x, y, z).

    >>> places((3, 1, 1))[:4].flatten(1)
    tensor([[-1.,  0.,  1.],
            [ 0.,  0.,  0.],
            [ 0.,  0.,  0.],
            [ 1.,  0.,  1.]])
    """
    lines = [torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in shape]
    grid = torch.stack(torch.meshgrid(*lines, indexing="ij"))
    pairs = [grid[i] * grid[j] for i in range(3) for j in range(i, 3)]
    return torch.cat([grid, torch.stack(pairs)])


def ridge(rows: Tensor, positive: Tensor) -> Tensor:
    """Weights (features + 1,), float64, of the sum that tells positive rows from others: 1 for them, -1 for the rest.

    rows (n, features), positive (n,) bool; both kinds count as much, however many they are. The last is the constant.

    >>> ridge(torch.tensor([[0.0], [1.0]]), torch.tensor([False, True])).round(decimals=1)
    tensor([ 2., -1.], dtype=torch.float64)
    """
    x = rows.double()
    middle, spread = x.mean(0), x.std(0).clamp_min(1e-9)
    x = torch.nn.functional.pad((x - middle) / spread, (0, 1), value=1.0)
    each = torch.where(positive, 0.5 / positive.sum().clamp_min(1), 0.5 / (~positive).sum().clamp_min(1)).double()
    wanted = torch.where(positive, 1.0, -1.0).double()
    square = (x * each[:, None]).T @ x
    square.diagonal()[:-1] += PENALTY
    found = torch.linalg.solve(square, x.T @ (each * wanted))
    weights = found[:-1] / spread
    return torch.cat([weights, (found[-1] - (weights * middle).sum())[None]])


def scored(rows: Tensor, weights: Tensor) -> Tensor:
    """What ridge's weights make of rows (…, features): (…,), float64.

    >>> scored(torch.tensor([[3.0]]), torch.tensor([2.0, -1.0], dtype=torch.float64))
    tensor([5.], dtype=torch.float64)
    """
    return rows.double() @ weights[:-1] + weights[-1]


def drawn(mask: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Places of so many samples of a mask, at most: indices into the mask as it lies flat, in order.

    >>> drawn(torch.tensor([[True, False], [True, True]]), 9, torch.Generator())
    tensor([0, 2, 3])
    """
    places = mask.flatten().nonzero()[:, 0]
    return places[torch.randperm(len(places), generator=generator)[:count].sort().values]
