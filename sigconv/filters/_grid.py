"""The period of a transform: where a signal and its borders lie in it, and in how many blocks."""

from __future__ import annotations

from typing import Any, NamedTuple

from sigconv import nd
from sigconv.filters._call import Call
from sigconv.methods._spectral import fast_length

BLOCK = 4096  # samples of the shortest block of a single axis
STRIDES = 16  # a bank made in frequency folds by the divisors of this


class Grid(NamedTuple):
    """Where a signal lies in the period of its transforms."""

    margins: nd.Margins  # samples of border on either side that are laid into the period
    period: tuple[int, ...]
    lead: tuple[int, ...]  # samples that come before the first output of a period, or of a block
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
    outs = [n - (2 * r if call.inside else 0) for n, r in zip(size, half, strict=True)]
    step = call.stride[0]
    block = 1 << max(8 * bank.kernel_size[0] - 1, 4 * step - 1).bit_length()
    block = max(block, BLOCK if len(size) == 1 else 64)
    if size[0] > 2 * block:
        hop = (block - 2 * half[0]) // step * step
        block = -(-block // step) * step
        blocks = -(-outs[0] // hop)
    else:
        block = hop = blocks = 0
    margins, period = [], []
    for axis, (n, r, s, mode) in enumerate(zip(size, half, call.stride, call.modes, strict=True)):
        if axis == 0 and blocks:
            before = call.half(bank.kernel_size[0])
            margins.append((before, blocks * hop - n + block - hop - before))
            period.append(block)
        elif call.inside:
            margins.append((0, 0))
            period.append(fast_length(-(-n // s)) * s)
        elif mode == "circular" and 2 * r < n and n % s == 0 and fast_length(n) == n:
            margins.append((0, 0))
            period.append(n)
        else:
            margins.append((0, 0) if mode == "zeros" else (r, r))
            period.append(fast_length(-(-(n + (1 if mode == "zeros" else 2) * r) // s)) * s)
    lead = tuple(r if call.inside or (blocks and axis == 0) else 0 for axis, r in enumerate(half))
    return Grid(tuple(margins), tuple(period), lead, hop or size[0], blocks, False)


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
    return Grid(tuple(margins), tuple(period), (0,) * len(size), size[0], 0, dense)
