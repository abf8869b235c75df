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
from sigconv.methods import _spectral, fft, windows
from sigconv.methods._regions import Region, runs, volume

CELLS = (24, 5, 4, 3)  # cells along a kernel's axis, at most, in one, two, three and more dimensions
CLOSE = 1000  # taps to a cell's sample where transforms are no more precise than the answer: the bound must be close
FEW = 64  # coarse taps that are summed directly; more go through a float32 transform, its own error taken off
SMALL = 1e-140  # squares of such numbers are lost, and their norms bound nothing
SHELL = 2  # cells at the ends of an axis that may be summed directly by themselves: there only corners overlap


def likely(terms: int, per_group: int, ndim: int, period: int, padded: bool) -> bool:
    """Whether noise in float64 would be trusted: nothing wider is left there, so the error must fit into the gate."""
    allowed = (math.sqrt(terms) - 1) * 0.64 * terms / (2**ndim if padded and ndim > 1 else 1)  # corners see but a part
    error = max(0.1 * math.log2(max(period, 2)), 1) * math.sqrt(per_group * period * terms)
    return allowed > 2 * error


def cell_of(kernel: tuple[int, ...], wider: bool) -> tuple[int, ...]:
    """Samples of a cell along each axis, powers of two: large where transforms are wider than the answer.

    >>> cell_of((4095,), True), cell_of((4095,), False), cell_of((25, 25, 25), False)
    ((128,), (4,), (1, 1, 1))
    """
    most = CELLS[min(len(kernel), len(CELLS)) - 1] if wider else CLOSE if len(kernel) == 1 else max(kernel)
    return tuple(1 << (max(k // most, 1).bit_length() - 1) for k in kernel)


class Guard:
    """Looks at the input's blocks on their way through; then names the outputs that are not to be trusted.

    exact asks for the direct gate, else only for a mask of non-finite outputs that is the definition's.
    """

    def __init__(self, x: Tensor, weight: Tensor, groups: int, dilation: tuple[int, ...], exact: bool) -> None:
        self.groups, self.exact, self.dtype = groups, exact, x.dtype
        self.inner = _spectral.inner(x.dtype, x.device.type)
        kernel = tuple(weight.shape[2:])
        self.cell = cell_of(kernel, wider=self.inner != x.dtype) if exact else (1,) * len(kernel)
        weight = weight.detach().double()
        weight = weight / weight.flatten(1).abs().amax(1).clamp(min=1e-300).reshape(-1, *[1] * (weight.ndim - 1))
        self.norm = weight.flatten(1).norm(dim=1).unflatten(0, (groups, -1))[None, :, :, None]
        self.least = _least(nd.spread(weight, dilation).abs(), self.cell) if exact else weight
        self.terms = weight[0].numel()
        self.doubtful: list[tuple[int, Tensor]] = []

    @torch.no_grad()
    def watch(self, seen: Tensor, blocks: Tensor, first: int, hop: int, dense: list[int]) -> None:
        """Note which cells of a stretch's outputs are not to be trusted; or which of its blocks are not finite."""
        if not self.exact:
            norms = torch.linalg.vector_norm(blocks, dim=tuple(range(3, blocks.ndim))).sum((0, 1)) * self.norm.sum()
            self.doubtful.append((first, ~torch.isfinite(norms)))
            return
        block = tuple(blocks.shape[3:])
        missing = [-n % s for n, s in zip(seen.shape[2:], self.cell, strict=True)]
        if any(missing):
            seen = F.pad(seen, [side for m in reversed(missing) for side in (0, m)])
        size, step = -(-block[0] // self.cell[0]), hop // self.cell[0]
        cells = _norms(seen, self.cell).unfold(2, size, step).movedim(-1, 3)  # batch, channels, blocks, *cells
        norms = torch.linalg.vector_norm(cells, dim=tuple(range(3, cells.ndim)))
        norms = norms.unflatten(1, (self.groups, -1)).norm(dim=2)[:, :, None]
        error = (_factor(math.prod(block), self.inner) * norms * self.norm).flatten(1, 2)  # batch, out, blocks
        measurable = self._measurable(blocks)
        if math.prod(self.least.shape[2:]) > FEW:  # its bound goes through float32: half the memory to move
            cells = cells.float()
        wanted = [step, *(-(-n // s) for n, s in zip(dense[1:], self.cell[1:], strict=True))]
        bound = self._bound(cells, norms, wanted)  # batch, out, blocks, *cells
        allowed = torch.finfo(self.dtype).eps * (math.sqrt(self.terms) - 1) * bound
        sound = torch.isfinite(error) & measurable
        shape = (*error.shape, *[1] * len(wanted))
        trusted = (error.reshape(shape) <= allowed) & sound.reshape(shape)
        self.doubtful.append((first * step, ~trusted.flatten(0, 1).all(0).flatten(0, 1)))

    def _measurable(self, blocks: Tensor) -> Tensor | bool:
        """Whether the squares of a block's samples are numbers still: (batch, out, blocks), or simply True."""
        if self.dtype != torch.float64:
            return True
        largest = blocks.abs().amax(dim=tuple(range(3, blocks.ndim))).unflatten(1, (self.groups, -1)).amax(2)
        fair = (largest == 0) | ((largest > SMALL) & (largest < 1 / SMALL))
        return fair.repeat_interleave(self.norm.shape[2], 1)

    def _bound(self, cells: Tensor, norms: Tensor, wanted: list[int]) -> Tensor:
        """The cells of every block correlated with the least weights, or a little less: nothing here is negative."""
        rows = cells.movedim(2, 1).flatten(0, 1)  # batch x blocks, channels, *cells
        taps = self.least.shape[2:]
        for axis, (size, n, k) in enumerate(zip(self.cell, wanted, taps, strict=True), start=2):
            first = 1 if size > 1 else 0  # outputs of one cell do not all see its own samples
            rows = rows.narrow(axis, first, min(n + k - 1, rows.shape[axis] - first))
        short = tuple((0, n + k - 1 - have) for n, k, have in zip(wanted, taps, rows.shape[2:], strict=True))
        rows = nd.pad(rows, short)
        ones = (1,) * len(wanted)
        options: dict[str, Any] = {
            "stride": ones,
            "dilation": ones,
            "margins": ((0, 0),) * len(ones),
            "groups": self.groups,
        }
        if math.prod(taps) <= FEW:
            bound = (
                windows.correlate(rows, self.least, None, **options).unflatten(0, (cells.shape[0], -1)).movedim(1, 2)
            )
            return bound
        precise = torch.float32
        bound = fft.correlate(rows.to(precise), self.least.to(precise), None, precise=precise, **options)
        bound = bound.unflatten(0, (cells.shape[0], -1)).movedim(1, 2)
        scale = self.least.flatten(1).norm(dim=1).unflatten(0, (self.groups, -1))[None, :, :, None]
        error = (3 * torch.finfo(precise).eps * norms * scale).flatten(1, 2).to(precise)
        return (bound - error.reshape(*error.shape, *[1] * len(wanted))).clamp_(min=0)

    def untrusted(self, dense: list[int], hop: int) -> list[Region] | None:
        """Regions of the outputs at stride 1 to be summed directly; None: all of them."""
        if not any(found.any() for _, found in self.doubtful):
            return []
        cell = self.cell if self.exact else (hop, *dense[1:])
        cells = [-(-n // s) for n, s in zip(dense, cell, strict=True)]
        marked = torch.zeros(cells, dtype=torch.bool, device=self.norm.device)
        for first, found in self.doubtful:
            found = found.reshape(-1, *found.shape[1:], *[1] * (len(cells) - found.ndim))[: cells[0] - first]
            marked[first : first + len(found)] |= found
        found_regions = [_outputs(region, cell, dense) for region in _covering(marked)]
        return found_regions if sum(map(volume, found_regions)) <= math.prod(dense) // 2 else None


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


def _least(weight: Tensor, cell: tuple[int, ...]) -> Tensor:
    """For every cell that all outputs of one cell see: the least |w| any of them has on any of its samples."""
    for axis, size in enumerate(cell, start=2):
        if size > 1:  # sample t of cell q + j is tap t - i of output i: jS - S + 1 … jS + S - 1
            weight = weight.narrow(axis, 1, weight.shape[axis] - 1).unfold(axis, 2 * size - 1, size).amin(-1)
    return weight


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
