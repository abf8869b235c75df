"""Responses through spectra: one forward transform of the signal for all filters, one product and inverse for each.

A stride is taken in the spectrum: every s-th sample of a signal has the spectrum folded s-fold upon itself, so

    y[s·m] = ifft_{N/s}( mean_j Y[q + j·N/s] )          exactly, and what a stride drops is never computed.

A separable filter's spectrum is the outer product of its short filters' spectra; then axes are multiplied and folded
one after the other, each on what the last one left. (Long signals go in blocks: _blocks.py.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters._call import Call, like
from sigconv.filters._grid import Grid, grid
from sigconv.filters._sink import LAUNCH, ROOM, Sink
from sigconv.filters._steady import made
from sigconv.kernels import folding
from sigconv.kernels._memory import Scratch

CALL, BUTTERFLY, PRODUCT = 3e-4, 1.3e-10, 2e-9  # seconds: a call; a value of a transform, times log2 N; one product
LAUNCHES, VALUE = 2e-4, 4e-12  # on CUDA, predicted: what a group of filters is; a value in and out of memory


def whole(bank: Any, rows: Tensor, call: Call, sink: Sink, where: Grid) -> None:
    """One period for the whole signal: transform it once, then some filters after others."""
    real = not (bank.complex or rows.is_complex())
    strided = max(call.stride) > 1 and not where.dense
    half = real and not strided  # a real signal's spectrum is half a spectrum
    each = rows.shape[0] * math.prod(where.period) * rows.element_size() * (1 if half or rows.is_complex() else 2)
    made = 8 * 8 * math.prod(where.period) if bank.kernel_size is None else 0  # a response, on its way
    sink.require(call.memory, 6 * each + made)
    laid = laid_out(rows, call, where)
    spectrum = (torch.fft.rfftn if half else torch.fft.fftn)(laid, where.period, where.axes)
    del laid
    wanted: Any = (..., *(slice(0, n) for n in call.positions))
    if where.dense:
        wanted = (..., *(slice(0, n, s) for n, s in zip(rows.shape[1:], call.stride, strict=True)))
    fold = (1,) * len(where.period) if where.dense else call.stride
    scratch = Scratch(rows, sink.grows)
    found = spectra(bank, rows, where)
    part, most = 4 * each + made, ROOM
    if not sink.grows and folding.usable(spectrum, []):  # products are folded as they are made
        own = 0 if bank.separable else 3 * each // rows.shape[0]
        part, most = 4 * each // math.prod(fold) + own + made, LAUNCH
    for first, last in sink.parts(call.memory, part, 2 * each, most):
        y = inverse(folding.product(found(first, last), spectrum, fold, half, scratch), where, half)
        y = y.real if real else y
        sink.put(first, last, y[wanted])


def laid_out(rows: Tensor, call: Call, where: Grid) -> Tensor:
    """The signal at the start of its period, the border after it and, from the end backwards, the one before.

    Where it goes in blocks the first axis is only extended: a block begins with what comes before its outputs.
    """
    mapped = [(0, 0) if mode == "zeros" else m for m, mode in zip(where.margins, call.modes, strict=True)]
    first, around, blocks = mapped[0], where.margins[0], bool(where.blocks)
    if blocks and any(first):
        mapped[0] = first[0], min(first)  # beyond that there is only what fills the last block
    wide = nd.pad(rows, tuple(mapped), call.modes, call.value)  # zeros come last: they win the corners
    zeros = [(0, p - n) for p, n in zip(where.period, wide.shape[1:], strict=True)]
    if blocks:
        zeros[0] = around if call.modes[0] == "zeros" else (0, around[1] - mapped[0][1])
    wide = nd.pad(wide, tuple(zeros))
    shifts = [0 if blocks and axis == 0 else -before for axis, (before, _) in enumerate(mapped)]
    return wide.roll(shifts, list(range(1, wide.ndim))) if any(shifts) else wide


def spectra(bank: Any, rows: Tensor, where: Grid) -> Callable[[int, int], list[Tensor]]:
    """Some filters' spectra on the period, by first and last: a line per axis, (filters, rank, n), or one whole."""
    if bank.kernel_size is None:
        kind = torch.promote_types(rows.dtype, torch.complex64)
        return lambda first, last: [bank.response(where.period, slice(first, last)).to(kind)]
    terms = made(bank, "terms")
    if terms is not None:  # lines are short: all of them at once
        lines = []
        for axis, (taps, n) in enumerate(zip(terms, where.period, strict=True)):
            ahead = taps.shape[-1] // 2 + where.lead[axis]
            lines.append(torch.fft.fft(_around(taps.to(like(rows, taps)), n, ahead, -1)))
        return lambda first, last: [line[first:last] for line in lines]
    taps = made(bank, "taps")
    taps = taps.to(like(rows, taps))

    def some(first: int, last: int) -> list[Tensor]:
        laid = taps[first:last]
        for axis, n in enumerate(where.period):
            ahead = taps.shape[axis + 1] // 2 + where.lead[axis]
            laid = _around(laid, n, ahead, axis + 1)
        return [torch.fft.fftn(laid, dim=where.axes)]

    return some


def _around(taps: Tensor, n: int, ahead: int, dim: int) -> Tensor:
    """Taps on a period of n along one axis: so many of them, which come before position 0, at its end.

    A period shorter than the taps is that of a signal shorter than half of them: it never meets those left out.
    """
    rest = min(taps.shape[dim] - ahead, n - ahead)
    shape = [*taps.shape]
    shape[dim] = n - ahead - rest
    return torch.cat([taps.narrow(dim, ahead, rest), taps.new_zeros(shape), taps.narrow(dim, 0, ahead)], dim)


def inverse(folded: Tensor, where: Grid, half: bool) -> Tensor:
    """The responses that folded products stand for; real ones from half a spectrum."""
    if half:
        return torch.fft.irfftn(folded, where.period, where.axes)
    return torch.fft.ifftn(folded, dim=where.axes)  # torch answers out= with a copy


def cost(bank: Any, rows: Tensor, call: Call) -> float:
    """Transforms in and out and the products between them, in seconds of two threads, or of a GPU."""
    where = grid(bank, tuple(rows.shape[1:]), call)
    n = math.prod(where.period) * max(where.blocks, 1) * rows.shape[0]
    small = n / math.prod(call.stride)
    whole = 1.0 if bank.complex or rows.is_complex() else 0.5
    kernels = 0 if bank.separable else len(bank) * math.prod(where.period)
    if bank.device.type == "cuda":  # an axis of a transform goes through memory once
        axes, filters = len(where.period), len(bank)
        values = (n + kernels) * axes + n * filters / 8 + filters * small * (axes + 2)
        return LAUNCHES * (1 + math.ceil(32 * filters * small / LAUNCH)) + whole * VALUE * values
    butterflies = (n + kernels) * math.log2(max(n, 2)) + len(bank) * small * math.log2(max(small, 2))
    calls = 1 + (0 if where.blocks else len(bank) / max(2**25 / n, 1))
    return CALL * calls + whole * (BUTTERFLY * butterflies + PRODUCT * len(bank) * n)
