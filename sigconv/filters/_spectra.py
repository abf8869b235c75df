"""Responses through spectra: one forward transform of the signal for all filters, one product and inverse for each.

A stride is taken in the spectrum: every s-th sample of a signal has the spectrum folded s-fold upon itself, so

    y[s·m] = ifft_{N/s}( mean_j Y[q + j·N/s] )          exactly, and what a stride drops is never computed.

A separable filter's spectrum is the outer product of its short filters' spectra; then axes are multiplied and folded
one after the other, each on what the last one left. Along the first axis long signals go in blocks (overlap-save).
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sigconv import nd
from sigconv.filters._call import Call, like
from sigconv.filters._sink import ROOM, Sink
from sigconv.kernels._memory import Scratch
from sigconv.kernels._state import readable
from sigconv.kernels._threads import share
from sigconv.methods._spectral import fast_length

BLOCK = 4096  # samples of the shortest block of a single axis
AT_ONCE = 1 << 18  # complex values a thread transforms at a time: they stay in its cache
STRIDES = 16  # a bank made in frequency folds by the divisors of this
CALL, BUTTERFLY, PRODUCT = 3e-4, 1.3e-10, 2e-9  # seconds: a call; a value of a transform, times log2 N; one product


class Grid(NamedTuple):
    """Where a signal lies in the period of its transforms."""

    margins: nd.Margins  # samples of border on either side that are laid into the period
    period: tuple[int, ...]
    lead: int  # first axis: samples of a block that come before its first output
    hop: int  # first axis: outputs of a block
    blocks: int
    dense: bool  # whether the stride must be taken after the inverse: a period that it does not divide

    @property
    def axes(self) -> tuple[int, ...]:
        return tuple(range(-len(self.period), 0))


def grid(bank: Any, size: tuple[int, ...], call: Call) -> Grid:
    """The period of each axis: room for what wraps around; a whole number of strides; quick to transform."""
    if bank.kernel_size is None:
        return _whole_grid(size, call)
    half = [k // 2 for k in bank.kernel_size]
    block = max(1 << (8 * bank.kernel_size[0] - 1).bit_length(), BLOCK if len(size) == 1 else 64)
    if size[0] > 2 * block:
        step = call.stride[0]
        hop = (block - 2 * half[0]) // step * step
        block = -(-block // step) * step
        blocks = -(-size[0] // hop)
    else:
        block = hop = blocks = 0
    margins, period = [], []
    for axis, (n, r, s, mode) in enumerate(zip(size, half, call.stride, call.modes, strict=True)):
        if axis == 0 and blocks:
            margins.append((r, blocks * hop - n + block - hop - r))
            period.append(block)
        elif mode == "circular" and 2 * r < n and n % s == 0 and fast_length(n) == n:
            margins.append((0, 0))
            period.append(n)
        else:
            margins.append((0, 0) if mode == "zeros" else (r, r))
            period.append(fast_length(-(-(n + (1 if mode == "zeros" else 2) * r) // s)) * s)
    return Grid(tuple(margins), tuple(period), half[0] if blocks else 0, hop or size[0], blocks, False)


def _whole_grid(size: tuple[int, ...], call: Call) -> Grid:
    """For banks made in frequency: the signal's own period where it goes around, half of it added on either side."""
    margins, period = [], []
    for n, mode in zip(size, call.modes, strict=True):
        if mode == "circular":
            margins.append((0, 0))
            period.append(n)
        else:
            total = fast_length(-(-(n + 2 * (n // 2)) // STRIDES)) * STRIDES  # whatever the stride: the same kernels
            margins.append((n // 2, total - n - n // 2))
            period.append(total)
    dense = any(p % s for p, s in zip(period, call.stride, strict=True))
    return Grid(tuple(margins), tuple(period), 0, size[0], 0, dense)


def spectral(bank: Any, rows: Tensor, call: Call, sink: Sink) -> None:
    """Transform once; then filter after filter, or block after block with all filters."""
    where = grid(bank, tuple(rows.shape[1:]), call)
    real = not (bank.complex or rows.is_complex())
    if where.blocks:
        _blockwise(bank, rows, call, sink, where)
        return
    strided = max(call.stride) > 1 and not where.dense
    half = real and not strided  # a real signal's spectrum is half a spectrum
    laid = _laid(rows, call, where)
    spectrum = (torch.fft.rfftn if half else torch.fft.fftn)(laid, where.period, where.axes)
    del laid
    each = rows.shape[0] * math.prod(where.period) * (4 if half else 8) * rows.element_size() // 4
    wanted: Any = (..., *(slice(0, n) for n in call.positions))
    if where.dense:
        wanted = (..., *(slice(0, n, s) for n, s in zip(rows.shape[1:], call.stride, strict=True)))
    fold = (1,) * len(where.period) if where.dense else call.stride
    scratch = Scratch(rows, sink.grows)
    once = bank.kernel_size is None and len(bank) * each <= (ROOM if call.memory is None else call.memory // 4)
    every = spectra(bank, (0, len(bank)), rows, where)[0] if once else None
    for first, last in sink.parts(call.memory, 4 * each, 2 * each + (len(bank) * each if once else 0)):
        found = spectra(bank, (first, last), rows, where) if every is None else [every[first:last]]
        y = _inverse(_product(found, spectrum, fold, half, scratch), where, half, scratch)
        y = y.real if real else y
        sink.put(first, last, y[wanted])


def _laid(rows: Tensor, call: Call, where: Grid) -> Tensor:
    """The signal at the start of its period, the border after it and, from the end backwards, the one before."""
    if not any(map(any, where.margins)):
        return rows
    other = [(0, 0) if mode == "zeros" else m for m, mode in zip(where.margins, call.modes, strict=True)]
    wide = nd.pad(rows, tuple(other), call.modes, call.value)
    after = [(0, p - n) for p, n in zip(where.period, wide.shape[1:], strict=True)]
    wide = nd.pad(wide, tuple(after))
    shifts = [-before for before, _ in other]
    return wide.roll(shifts, list(range(1, wide.ndim))) if any(shifts) else wide


def spectra(bank: Any, chosen: tuple[int, int], rows: Tensor, where: Grid) -> list[Tensor]:
    """The filters' spectra on the period: of a separable bank one per axis, (filters, rank, n); else a whole."""
    part = slice(*chosen)
    terms = bank.terms() if bank.kernel_size is not None else None
    if terms is not None:
        lines = []
        for axis, (taps, n) in enumerate(zip(terms, where.period, strict=True)):
            taps = taps[part].to(like(rows, taps))
            shift = -(taps.shape[-1] // 2) - (where.lead if axis == 0 else 0)
            lines.append(torch.fft.fft(_around(taps, (n,)).roll(shift, -1)))
        return lines
    if bank.kernel_size is None:
        whole = bank.response(where.period)[part]
        return [whole.to(torch.promote_types(rows.dtype, torch.complex64))]
    taps = bank.taps()[part]
    taps = _around(taps.to(like(rows, taps)), where.period)
    shifts = [-(k // 2) for k in bank.kernel_size]
    shifts[0] -= where.lead
    return [torch.fft.fftn(taps.roll(shifts, list(range(1, taps.ndim))), dim=where.axes)]


def _around(taps: Tensor, period: tuple[int, ...]) -> Tensor:
    """Zeros after the taps, up to the period."""
    return F.pad(taps, [side for n, k in zip(period[::-1], taps.shape[::-1], strict=False) for side in (0, n - k)])


def _product(found: list[Tensor], spectrum: Tensor, fold: tuple[int, ...], half: bool, scratch: Scratch) -> Tensor:
    """The signal's spectrum times some filters', folded: (rows, *period) -> (rows, filters, *folded)."""
    ndim = spectrum.ndim - 1
    if half:
        found = [*found[:-1], found[-1][..., : spectrum.shape[-1]]]
    spectrum = spectrum.unsqueeze(1)
    if len(found) < ndim or found[0].ndim == 2:  # not products of lines; on one axis either is a line
        return _folded(_mul(spectrum, found[0], "product", scratch), fold)
    total: Tensor | None = None
    for rank in range(found[0].shape[1]):
        lines = [
            f[:, rank].reshape(f.shape[0], *(-1 if a == axis else 1 for a in range(ndim)))
            for axis, f in enumerate(found)
        ]
        product, name = spectrum, f"product {min(rank, 1)}"
        if max(fold) == 1 and ndim > 1:  # what is small is multiplied first
            lines = [reduce(torch.mul, lines[1:-1], lines[0]), lines[-1]]
        for axis, line in enumerate(lines):
            product = _mul(product, line, name if max(fold) == 1 else f"{name} {axis}", scratch)
            product = _folded(product, tuple(s if a == axis else 1 for a, s in enumerate(fold)))
        total = product if total is None else total + product if scratch.grows else total.add_(product)
    assert total is not None
    return total


def _mul(one: Tensor, other: Tensor, name: str, scratch: Scratch) -> Tensor:
    """Their product, in a buffer; in place where one already stands there."""
    shape = torch.broadcast_shapes(one.shape, other.shape)
    out = scratch.take(name, shape, torch.promote_types(one.dtype, other.dtype))
    return torch.mul(one, other, out=out)


def _folded(product: Tensor, fold: tuple[int, ...]) -> Tensor:
    """Bins that a stride makes one, averaged."""
    for axis, s in enumerate(fold):
        if s > 1:
            dim = product.ndim - len(fold) + axis
            product = product.unflatten(dim, (s, -1)).mean(dim)
    return product


def _blockwise(bank: Any, rows: Tensor, call: Call, sink: Sink, where: Grid) -> None:
    """Overlap-save along the first axis: (rows, blocks, *period), all filters of a block at a time."""
    modes, ndim = call.modes, bank.ndim
    first_mode = (modes[0], *["zeros"] * (ndim - 1))
    r = where.lead
    wide = nd.pad(rows, ((r, r), *[(0, 0)] * (ndim - 1)), first_mode, call.value)
    wide = nd.pad(wide, ((0, where.margins[0][1] - r), *[(0, 0)] * (ndim - 1))) if where.margins[0][1] > r else wide
    rest = where._replace(margins=((0, 0), *where.margins[1:]), period=(wide.shape[1], *where.period[1:]))
    wide = _laid(wide, call, rest)
    blocks = wide.unfold(1, where.period[0], where.hop).movedim(-1, 2)  # rows, blocks, *period
    real = not (bank.complex or rows.is_complex())
    half = real and max(call.stride) == 1
    filters, n = len(bank), math.prod(where.period)
    found = spectra(bank, (0, filters), rows, where)
    outs = where.hop // call.stride[0]

    def stretch(row: int, first: int, last: int, scratch: Scratch) -> Tensor:
        """The outputs of some blocks of one row: (filters, positions of the blocks, *rest)."""
        seen = blocks[row, first:last]
        spectrum = (torch.fft.rfftn if half else torch.fft.fftn)(seen, where.period, where.axes)
        y = _inverse(_product(found, spectrum, call.stride, half, scratch), where, half, scratch)
        y = y.real if real else y
        kept: Any = (..., slice(0, outs), *(slice(0, p) for p in call.positions[1:]))
        y = y[kept]
        return y.transpose(0, 1).flatten(1, 2)

    group = max(AT_ONCE // (n * filters), 1)
    if sink.grows:
        y = torch.stack([stretch(row, 0, where.blocks, Scratch(rows, True)) for row in range(rows.shape[0])])
        sink.put(0, filters, y[:, :, : call.positions[0]])
        return
    steps = [
        (row, f, min(f + group, where.blocks)) for row in range(rows.shape[0]) for f in range(0, where.blocks, group)
    ]

    def work(start: int, stop: int) -> None:
        scratch = Scratch(rows)
        for row, first, last in steps[start:stop]:
            begin, end = first * outs, min(last * outs, call.positions[0])
            y = stretch(row, first, last, scratch)[:, : end - begin]
            sink.put(0, filters, y, (row, slice(None), slice(begin, end)))

    if rows.is_cuda or not readable(rows):
        work(0, len(steps))
    else:
        share(work, len(steps))


def _inverse(folded: Tensor, where: Grid, half: bool, scratch: Scratch) -> Tensor:
    if half:
        return torch.fft.irfftn(folded, where.period, where.axes)
    return torch.fft.ifftn(folded, dim=where.axes, out=scratch.take("inverse", folded.shape, folded.dtype))


def cost(bank: Any, rows: Tensor, call: Call) -> float:
    """Transforms in and out and the products between them, in seconds of two threads."""
    where = grid(bank, tuple(rows.shape[1:]), call)
    n = math.prod(where.period) * max(where.blocks, 1) * rows.shape[0]
    small = n / math.prod(call.stride)
    whole = 1.0 if bank.complex or rows.is_complex() else 0.5
    kernels = 0 if bank.separable else len(bank) * math.prod(where.period)
    butterflies = (n + kernels) * math.log2(max(n, 2)) + len(bank) * small * math.log2(max(small, 2))
    calls = 1 + (0 if where.blocks else len(bank) / max(2**25 / n, 1))
    return CALL * calls + whole * (BUTTERFLY * butterflies + PRODUCT * len(bank) * n)
