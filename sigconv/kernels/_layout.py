"""Where everything lies for the shifted sums: axes merged to three, a slab's rows, every tap's offset."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sigconv import nd

TILE = 2048  # outputs summed at a time: they stay in the first cache while all taps pass
SLAB = 1 << 18  # bytes of padded input laid out at a time: they stay in the second


def slab(padded: Sequence[int], span: Sequence[int], channels: int, itemsize: int) -> int:
    """Bytes of padded input a thread lays out at a time: all channels of a group."""
    if len(padded) == 1:
        return channels * (2 * TILE + span[0]) * itemsize
    plane = math.prod(padded[1:]) * channels * itemsize
    return max(2 * span[0] * plane, min(SLAB, padded[0] * plane))


class Layout:
    """Where everything lies: axes merged to (first, middle, last), the slab's rows, every tap's offset."""

    def __init__(self, x: tuple, weight: tuple, before: list, after: list, dilation: list, itemsize: int) -> None:
        if len(before) == 1:  # one axis is the last; the first and the middle are empty
            x, weight = (*x[:2], 1, *x[2:]), (*weight[:2], 1, *weight[2:])
            before, after, dilation = [0, *before], [0, *after], [1, *dilation]
        self.x, self.weight, self.before = x, weight, before
        size, kernel = x[2:], weight[2:]
        span = nd.spans(kernel, dilation)
        padded = [n + b + a for n, b, a in zip(size, before, after, strict=True)]
        self.out = [n - s + 1 for n, s in zip(padded, span, strict=True)]
        self.span0 = span[0]
        rows = math.prod(padded[1:-1])
        grid = np.arange(rows).reshape(padded[1:-1])
        self.source = np.full(padded[1:-1], -1)
        inside = tuple(slice(b, b + n) for b, n in zip(before[1:-1], size[1:-1], strict=True))
        self.source[inside] = np.arange(math.prod(size[1:-1])).reshape(size[1:-1])
        self.starts = grid[tuple(slice(0, n) for n in self.out[1:-1])].ravel()
        self.across = self.out[-1] if self.out[-1] <= 2 * TILE else 2 * TILE
        self.wide = self.across + span[-1] - 1
        fits = SLAB // max(rows * self.wide * itemsize * weight[1], 1) - span[0] + 1
        self.planes = min(max(fits, span[0]), self.out[0])
        taps = np.ix_(*(np.arange(k) * d for k, d in zip(kernel, dilation, strict=True)))
        steps = [rows, *(math.prod(padded[a + 1 : -1]) for a in range(1, len(padded) - 1))]
        offsets = sum(t * step for t, step in zip(taps[:-1], steps, strict=True)) * self.wide + taps[-1]
        offsets = np.ascontiguousarray(np.broadcast_to(offsets, kernel)).ravel()
        # Two or three taps beyond a multiple of four become four: the last again, with no weight. It reads a sample of
        # the window once more, so a NaN or Inf there changes no output that was finite.
        self.spare = -offsets.size % 4 if offsets.size % 4 > 1 else 0
        self.offsets = np.concatenate([offsets, offsets[-1:].repeat(self.spare)])
        self.scratch = (weight[1], (self.planes + span[0] - 1) * rows * self.wide)
