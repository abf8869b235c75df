"""The value guard: where may spectra stand in for the direct sum?

An FFT's error is relative to the norm of its whole block, the promise to Σ|x||w| of each output: a quiet stretch beside
a loud one would lose its digits (N1), and one NaN spreads over a block (N2). So a lower bound of Σ|x||w| is computed on
coarse cells of the input, and outputs whose bound the error might exceed are summed directly afterwards.

For the outputs of a cell of S samples, Σ_k |x[i+k]||w[k]| is at least the sum over the cells they all see of (the norm
of x in that cell, for Σ|x| ≥ ‖x‖) x (the least |w| that any of them has there). Cells are few, so it costs little.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv import nd
from sigconv.methods import _spectral, overlap, windows
from sigconv.methods._regions import Region, runs, volume

CELLS = (24, 6, 4, 3)  # cells along a kernel's axis, at most, in one, two, three and more dimensions
CLOSE = 1000  # taps to a cell's sample where transforms are no more precise than the answer: the bound must be close
FEW = 64  # coarse taps that are summed directly; more go through a float32 transform, its own error taken off
SMALL = 1e-140  # of all norms: their squares would underflow
SHELL = 2  # cells at the ends of an axis that may be summed directly by themselves: there only corners overlap


def cell_of(kernel: tuple[int, ...], wider: bool) -> tuple[int, ...]:
    """Samples of a cell along each axis, powers of two: large where transforms are wider than the answer.

    >>> cell_of((4095,), True), cell_of((4095,), False), cell_of((25, 25, 25), False)
    ((128,), (4,), (1, 1, 1))
    """
    most = CELLS[min(len(kernel), len(CELLS)) - 1] if wider else CLOSE if len(kernel) == 1 else max(kernel)
    return tuple(1 << (max(k // most, 1).bit_length() - 1) for k in kernel)


class Guard:
    """Takes note of the input's blocks on their way through; then names the outputs that are not to be trusted.

    exact asks for the direct gate, else only for a mask of non-finite outputs that is the definition's.
    """

    def __init__(self, x: Tensor, weight: Tensor, groups: int, dilation: tuple[int, ...], exact: bool) -> None:
        self.groups, self.exact = groups, exact
        self.inner = _spectral.inner(x.dtype, x.device.type)
        kernel = tuple(weight.shape[2:])
        self.cell = cell_of(kernel, wider=self.inner != x.dtype) if exact else (1,) * len(kernel)
        self.dtype = x.dtype
        weight = weight.detach()
        self.norm = weight.double().flatten(1).norm(dim=1)
        self.least = _least(nd.spread(weight, dilation).abs().double(), self.cell) if exact else None
        self.terms = weight[0].numel()
        self.noted: list[tuple[int, int, Tensor]] = []

    @torch.no_grad()
    def watch(self, seen: Tensor, blocks: Tensor, rows: slice, first: int, hop: int) -> None:
        """Note the norm of x in each cell of a stretch of padded input; or just whether its blocks are finite."""
        self.block, self.hop = tuple(blocks.shape[3:]), hop
        if not self.exact:
            norms = torch.linalg.vector_norm(blocks, dim=tuple(range(3, blocks.ndim)))
            self.noted.append((rows.start, first, norms.sum(1, keepdim=True)))
            return
        missing = [-n % s for n, s in zip(seen.shape[2:], self.cell, strict=True)]
        cells = F.pad(seen, [side for m in reversed(missing) for side in (0, m)]) if any(missing) else seen
        self.noted.append((rows.start, first * hop // self.cell[0], _norms(cells, self.cell)))

    def untrusted(self, dense: list[int]) -> list[Region] | None:
        """Regions of the outputs at stride 1 to be summed directly; None: all of them."""
        noted = _assembled(self.noted)  # batch, channels, *cells; or batch, 1, blocks
        if self.exact and noted.max() < SMALL:  # squares that vanish bound nothing
            return None
        cell = self.cell if self.exact else (self.hop, *dense[1:])
        cells = [-(-n // s) for n, s in zip(dense, cell, strict=True)]
        if self.exact:
            error = self._error(noted).repeat_interleave(self.hop // cell[0], 2)[:, :, : cells[0]]
            error = error.reshape(*error.shape, *[1] * (len(cells) - 1))
            doubtful = ~(error <= self._allowed(noted, cells))
        else:
            doubtful = ~torch.isfinite(noted * self.norm.sum())
            doubtful = doubtful.reshape(*noted.shape, *[1] * (len(cells) - 1))
        if not doubtful.any():
            return []
        doubtful = doubtful.flatten(0, 1).any(0).expand(cells).clone()
        found = [_outputs(region, cell, dense) for region in _covering(doubtful)]
        return found if sum(map(volume, found)) <= math.prod(dense) // 2 else None

    def _error(self, norms: Tensor) -> Tensor:
        """What is promised of a transform: relative to the norms of block and kernel."""
        squares = norms.square().unflatten(1, (self.groups, -1)).sum([2, *range(4, norms.ndim + 1)])
        size, step = -(-self.block[0] // self.cell[0]), self.hop // self.cell[0]
        norms = squares.unfold(2, size, step).sum(3).sqrt()  # batch, groups, blocks
        scale = self.norm.unflatten(0, (self.groups, -1))[None, :, :, None]
        return (_factor(math.prod(self.block), self.inner) * norms[:, :, None] * scale).flatten(1, 2)

    def _allowed(self, norms: Tensor, cells: list[int]) -> Tensor:
        """eps·(sqrt(K) - 1)·Σ|x||w| by its lower bound, for every cell of outputs; the one is left for rounding."""
        ones = (1,) * len(cells)
        taps = self.least.shape[2:]
        needed = [q + t - 1 for q, t in zip(cells, taps, strict=True)]
        for axis, (size, n) in enumerate(zip(self.cell, needed, strict=True), start=2):
            first = 1 if size > 1 else 0  # outputs of one cell do not all see its own samples
            norms = norms.narrow(axis, first, min(n, norms.shape[axis] - first))
        norms = nd.pad(norms, tuple((0, n - have) for n, have in zip(needed, norms.shape[2:], strict=True)))
        bound = _lower(norms, self.least, {"stride": ones, "dilation": ones, "groups": self.groups})
        return torch.finfo(self.dtype).eps * (math.sqrt(self.terms) - 1) * bound


def _norms(x: Tensor, cell: tuple[int, ...]) -> Tensor:
    """The norm of every cell: in one sweep along a single axis, by halving squares along several."""
    if max(cell) == 1:
        return x.abs()
    if len(cell) == 1:
        return torch.linalg.vector_norm(x.unflatten(2, (-1, cell[0])), dim=3)
    squares = x.square()
    for axis, size in enumerate(cell, start=2):
        for _ in range(size.bit_length() - 1):
            every = (slice(None),) * axis
            squares = squares[(*every, slice(0, None, 2))] + squares[(*every, slice(1, None, 2))]
    return squares.sqrt()


def _factor(period: int, dtype: torch.dtype) -> float:
    """The error of a transform's products, relative to the norms of block and kernel (section 3 of the bounds)."""
    least = 0.0 if period >= 4096 else 2.5  # short blocks reach two eps, long ones 0.06·log2 N
    return max(0.1 * math.log2(max(period, 2)), least) * torch.finfo(dtype).eps


def _lower(norms: Tensor, least: Tensor, options: dict[str, Any]) -> Tensor:
    """norms correlated with least, or a little less: nothing here is negative."""
    margins = ((0, 0),) * (least.ndim - 2)
    if least[0, 0].numel() <= FEW:
        return windows.correlate(norms, least, None, margins=margins, **options)
    about = overlap.correlate(norms.float(), least.float(), None, margins=margins, precise=torch.float32, **options)
    block, hop = overlap.blocking(tuple(norms.shape[2:]), tuple(least.shape[2:]), 1)
    squares = norms.square().unflatten(1, (options["groups"], -1)).sum([2, *range(4, norms.ndim + 1)])
    squares = F.pad(
        squares, (0, -(squares.shape[2] - block) % hop if squares.shape[2] > block else block - squares.shape[2])
    )
    norms = squares.unfold(2, block, hop).sum(3).sqrt().repeat_interleave(hop, 2)[:, :, None, : about.shape[2]]
    scale = least.flatten(1).norm(dim=1).unflatten(0, (options["groups"], -1))[None, :, :, None]
    error = (2.5 * torch.finfo(torch.float32).eps * norms * scale).flatten(1, 2)
    return (about.double() - error.reshape(*error.shape, *[1] * (about.ndim - 3))).clamp(min=0)


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
