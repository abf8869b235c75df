"""Long signals in blocks along their first axis (overlap-save): every transform stays in a core's cache.

A block of N samples meets a filter of k taps around its own ends in k - 1 outputs; the others are right, and the next
block starts where they end.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sigconv.filters import _spectra
from sigconv.filters._call import Call
from sigconv.filters._grid import Grid
from sigconv.filters._sink import Sink
from sigconv.kernels import folding
from sigconv.kernels._memory import Scratch
from sigconv.kernels._state import readable
from sigconv.kernels._threads import share

AT_ONCE = 1 << 18  # complex values a thread inverts at a time
AHEAD = 1 << 15  # complex values it transforms before
ON_CUDA = 1 << 22  # both there, where a launch must be worth its while; not where memory is told


def blockwise(bank: Any, rows: Tensor, call: Call, sink: Sink, where: Grid) -> None:
    """Block after block with all filters, or with as many as the memory allows."""
    real = not (bank.complex or rows.is_complex())
    half = real and max(call.stride) == 1
    n, outs = math.prod(where.period), where.hop // call.stride[0]
    threads = 1 if sink.grows else torch.get_num_threads()
    each = threads * 3 * n * rows.element_size() * (1 if rows.is_complex() else 2)
    long = rows.shape[0] * ((where.blocks - 1) * where.hop + where.period[0]) * math.prod(where.period[1:])
    beside = 2 * long * rows.element_size()  # the signal as it is laid out
    sink.require(call.memory, each + beside)
    wide = _spectra.laid_out(rows, call, where)
    blocks = wide.unfold(1, where.period[0], where.hop).movedim(-1, 2)  # rows, blocks, *period
    found = _spectra.spectra(bank, rows, where)
    rest = tuple(slice(0, p) for p in call.positions[1:])
    forward = torch.fft.rfftn if half else torch.fft.fftn

    def answers(spectrum: Tensor, lines: list[Tensor], scratch: Scratch) -> Tensor:
        """The outputs of some blocks: (filters, positions of the blocks, *rest)."""
        y = _spectra.inverse(folding.product(lines, spectrum, call.stride, half, scratch), where, half)
        kept: Any = (..., slice(0, outs), *rest)
        return (y.real if real else y)[kept].transpose(0, 1).flatten(1, 2)

    def work(start: int, stop: int) -> None:
        scratch = Scratch(rows)
        for row, begin, end in steps[start:stop]:
            spectrum = forward(blocks[row, begin:end], where.period, where.axes)
            for b in range(begin, end, group):
                last = min(b + group, end)
                y = answers(spectrum[b - begin : last - begin], lines, scratch)
                place = slice(b * outs, min(last * outs, call.positions[0]))
                sink.put(first, final, y[:, : place.stop - place.start], (row, slice(None), place))

    for first, final in sink.parts(call.memory, each, beside):
        lines = found(first, final)
        if sink.grows:
            spectra = [forward(row, where.period, where.axes) for row in blocks]
            y = torch.stack([answers(spectrum, lines, Scratch(rows, True)) for spectrum in spectra])
            sink.put(first, final, y[:, :, : call.positions[0]])
            continue
        large = rows.is_cuda and call.memory is None
        group = max((ON_CUDA if large else AT_ONCE) // (n * (final - first)), 1)
        ahead = max((ON_CUDA if large else AHEAD) // n, group)
        steps = [
            (row, b, min(b + ahead, where.blocks))
            for row in range(rows.shape[0])
            for b in range(0, where.blocks, ahead)
        ]
        if rows.is_cuda or not readable(rows):
            work(0, len(steps))
        else:
            share(work, len(steps), len(steps))
