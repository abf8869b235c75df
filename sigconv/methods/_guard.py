"""The value guard: where may spectra stand in for the direct sum?

An FFT's error is relative to the norm of its whole block, the promise to Σ|x||w| of each output: a quiet stretch beside
a loud one would lose its digits (N1), and one NaN spreads over a block (N2). So a lower bound of Σ|x||w| is computed on
coarse cells of the input, and outputs whose bound the error might exceed are summed directly afterwards.

For the outputs of a cell of S samples, Σ_k |x[i+k]||w[k]| is at least the sum over the cells they all see of (Σ|x| in
that cell) x (the least |w| that any of them has there). Cells are few, so the bound costs next to nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sigconv import nd
from sigconv.methods import _spectral, direct
from sigconv.methods._regions import Region, runs, volume

CELLS = (24, 8, 6, 4)  # cells along a kernel's axis, at most, in one, two, three and more dimensions
SHELL = 2  # cells at the ends of an axis that may be summed directly by themselves: there only corners overlap


class Guard:
    """Takes note of the input's blocks on their way through; then names the outputs that are not to be trusted.

    exact asks for the direct gate, else only for a mask of non-finite outputs that is the definition's.
    """

    def __init__(self, x: Tensor, weight: Tensor, groups: int, dilation: tuple[int, ...], exact: bool) -> None:
        self.groups, self.exact = groups, exact
        kernel = weight.shape[2:]
        most = CELLS[min(len(kernel), len(CELLS)) - 1]
        self.cell = tuple(max(k // most, 1) for k in kernel) if exact else (1,) * len(kernel)
        self.dtype, self.device = x.dtype, x.device
        weight = weight.detach()
        self.norm = weight.double().flatten(1).norm(dim=1)
        self.least = _least(nd.spread(weight, dilation).abs().double(), self.cell) if exact else None
        self.terms = weight[0].numel()
        self.sums: list[tuple[int, int, Tensor]] = []
        self.energy: list[tuple[int, int, Tensor]] = []

    @torch.no_grad()
    def watch(self, seen: Tensor, blocks: Tensor, rows: slice, first: int, hop: int) -> None:
        """Note the sum of |x| in each cell of a stretch of padded input, and the energy of each of its blocks."""
        squares = blocks.square().flatten(3).sum(3).unflatten(1, (self.groups, -1)).sum(2)
        self.energy.append((rows.start, first, squares))
        self.block, self.hop = math.prod(blocks.shape[3:]), hop
        if not self.exact:
            return
        whole = tuple(slice(0, n // s * s) for n, s in zip(seen.shape[2:], self.cell, strict=True))
        cells = seen[(..., *whole)].abs()
        for axis, size in enumerate(self.cell, start=2):
            cells = cells.unflatten(axis, (-1, size)).sum(axis + 1) if size > 1 else cells
        self.sums.append((rows.start, first * hop // self.cell[0], cells))

    def untrusted(self, dense: list[int]) -> list[Region] | None:
        """Regions of the outputs at stride 1 to be summed directly; None: all of them."""
        energy = _assembled(self.energy).sqrt()  # batch, groups, blocks
        error = (
            self._bound_of_error() * energy[:, :, None] * self.norm.unflatten(0, (self.groups, -1))[None, :, :, None]
        )
        cells = [-(-n // s) for n, s in zip(dense, self.cell, strict=True)]
        error = error.flatten(1, 2).repeat_interleave(self.hop // self.cell[0], 2)[:, :, : cells[0]]
        error = error.reshape(*error.shape, *[1] * (len(cells) - 1))
        doubtful = ~torch.isfinite(error) if not self.exact else ~(error <= self._allowed(cells))
        if not doubtful.any():
            return []
        doubtful = doubtful.flatten(0, 1).any(0).expand(cells).clone()
        found = [_outputs(region, self.cell, dense) for region in _covering(doubtful)]
        return found if sum(map(volume, found)) <= math.prod(dense) // 2 else None

    def _bound_of_error(self) -> float:
        """What is promised of a transform, relative to the norms of block and kernel."""
        eps = torch.finfo(_spectral.inner(self.dtype, self.device.type)).eps
        return max(0.1 * math.log2(self.block), 2.5) * eps

    def _allowed(self, cells: list[int]) -> Tensor:
        """Half of eps·sqrt(K)·Σ|x||w| by its lower bound, for every cell of outputs; the other half is for rounding."""
        sums = _assembled(self.sums)
        ones = (1,) * len(cells)
        taps = self.least.shape[2:]
        needed = [q + t - 1 for q, t in zip(cells, taps, strict=True)]
        for axis, (size, n) in enumerate(zip(self.cell, needed, strict=True), start=2):
            first = 1 if size > 1 else 0  # outputs of one cell do not all see its own samples
            sums = sums.narrow(axis, first, min(n, sums.shape[axis] - first))
        sums = nd.pad(sums, tuple((0, n - have) for n, have in zip(needed, sums.shape[2:], strict=True)))
        options = {"stride": ones, "margins": ((0, 0),) * len(cells), "dilation": ones, "groups": self.groups}
        bound = direct.correlate(sums, self.least, None, **options)
        return 0.5 * torch.finfo(self.dtype).eps * math.sqrt(self.terms) * bound


def _least(weight: Tensor, cell: tuple[int, ...]) -> Tensor:
    """For every cell that all outputs of one cell see: the least |w| any of them has on any of its samples."""
    for axis, size in enumerate(cell, start=2):
        if size > 1:  # sample t of cell q + j is tap t - i of output i: jS - S + 1 … jS + S - 1
            weight = weight.narrow(axis, 1, weight.shape[axis] - 1).unfold(axis, 2 * size - 1, size).amin(-1)
    return weight


def _assembled(parts: list[tuple[int, int, Tensor]]) -> Tensor:
    """One tensor of what was noted stretch by stretch: each lies at (row, place) of the first and the third axis."""
    rows = max(row + part.shape[0] for row, _, part in parts)
    places = max(place + part.shape[2] for _, place, part in parts)
    if len(parts) == 1:
        return parts[0][2]
    whole = parts[0][2].new_zeros(rows, parts[0][2].shape[1], places, *parts[0][2].shape[3:])
    for row, place, part in parts:
        whole[row : row + part.shape[0], :, place : place + part.shape[2]] = part
    return whole


def _covering(marked: Tensor) -> list[Region]:
    """Few regions of cells that hold all marked ones: shells at the ends of the inner axes, runs along the first."""
    whole = [(0, n) for n in marked.shape]
    regions = []
    for axis in range(1, marked.ndim):
        n = marked.shape[axis]
        for first, last in {(0, min(SHELL, n)), (max(n - SHELL, 0), n)}:
            side = marked.narrow(axis, first, last - first)
            if side.any():
                regions.append(tuple((first, last) if a == axis else w for a, w in enumerate(whole)))
                side.fill_(False)
    along = marked.reshape(marked.shape[0], -1).any(1)
    return regions + [(run, *whole[1:]) for run in runs(along)]


def _outputs(region: Region, cell: tuple[int, ...], dense: list[int]) -> Region:
    return tuple((first * s, min(last * s, n)) for (first, last), s, n in zip(region, cell, dense, strict=True))
