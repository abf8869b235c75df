"""Windows of few samples, a row of windows at a time: their largest, and which of their samples is drawn.

Every row of windows reads the same few rows of x, whatever the number of axes: a table of where they begin serves all.

Roofline: memory. A window's samples are read where they lie, side by side; nothing is laid out anew.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv.kernels import _triton as triton
from sigconv.kernels import _windows_triton as windows
from sigconv.kernels._axis import SMALL, at_hand
from sigconv.kernels._memory import empty
from sigconv.kernels._numba import compiled
from sigconv.kernels._op import custom_op
from sigconv.kernels._threads import share


class Rows(NamedTuple):
    """Where rows of windows begin in a channel's flattened space, and the rows each of them reads."""

    starts: np.ndarray
    offsets: np.ndarray
    size: tuple[int, ...]  # positions
    space: int

    @classmethod
    def of(
        cls, space: Sequence[int], kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
    ) -> Rows:
        """The tables for windows inside this space."""
        rows = list(zip(space, kernel_size, stride, dilation, strict=True))
        size = tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in rows)
        steps = [math.prod(space[axis + 1 :]) for axis in range(len(space) - 1)]
        table = lambda counts, gaps: np.array(
            [sum(i * g * step for i, g, step in zip(at, gaps, steps, strict=True))
             for at in itertools.product(*map(range, counts))], np.int64,
        )  # fmt: skip
        return cls(table(size[:-1], stride[:-1]), table(kernel_size[:-1], dilation[:-1]), size, math.prod(space))


def block_largest(x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The largest of every window of x (batch, channels, *space), padded already; no gradient. Where at_hand(x)."""
    return _block_largest(x.detach(), list(kernel_size), list(stride), list(dilation))


@custom_op("block_largest", device="cpu")
def _block_largest(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    rows = Rows.of(x.shape[2:], kernel_size, stride, dilation)
    y = empty((*x.shape[:2], *rows.size), x)
    seen, last = x.contiguous().numpy().reshape(-1, rows.space), (kernel_size[-1], stride[-1], dilation[-1])
    into = y.numpy().reshape(-1, rows.size[-1])
    room = (rows.size[-1] - 1) * last[1] + last[2] * (last[0] - 1) + 1

    def work(lo: int, hi: int) -> None:
        compiled(_largest_units)(seen, into, np.empty(room, seen.dtype), rows.starts, rows.offsets, *last, lo, hi)

    if y.numel():
        _share(work, into.shape[0], x.numel())
    return y


@triton.kernel_of(_block_largest)
def _block_largest_cuda(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return windows.largest(x, kernel_size, stride, dilation, places=False)[0]


@_block_largest.register_fake
def _block_largest_empty(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    rows = zip(x.shape[2:], kernel_size, stride, dilation, strict=True)
    return x.new_empty(*x.shape[:2], *((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in rows))


def _share(work: Any, units: int, numbers: int) -> None:
    if numbers <= SMALL:
        work(0, units)
    else:
        share(work, units)


def draw(
    x: Tensor, drawn: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """The place in the flattened space at which the running sum of a window's samples passes drawn times their sum.

    x (batch, channels, *space), padded already; drawn (batch, channels, *positions) in [0, 1). Samples below 0 count as
    0; a NaN, or among infinite ones the sample at that part of their number, is taken; the first where none is above 0.
    """
    options = (list(kernel_size), list(stride), list(dilation))
    if at_hand(x, drawn) or triton.usable(x, drawn):
        return _draw(x.detach(), drawn, *options)
    return draw_twin(x.detach(), drawn, *options)


def draw_twin(x: Tensor, drawn: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    """The same place in torch, a tap at a time."""
    rows = list(zip(drawn.shape[2:], kernel_size, stride, dilation, strict=True))
    taps, offsets = [], []
    steps = [math.prod(x.shape[axis + 1 :]) for axis in range(2, x.ndim)]
    for tap in itertools.product(*map(range, kernel_size)):
        inner = (slice(t * d, t * d + (p - 1) * s + 1, s) for t, (p, _, s, d) in zip(tap, rows, strict=True))
        at: Any = (..., *inner)
        taps.append(x[at])
        offsets.append(sum(t * d * step for t, d, step in zip(tap, dilation, steps, strict=True)))
    largest = torch.zeros_like(drawn)
    for value in taps:
        largest = torch.maximum(largest, value)
    unit = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    weights = [torch.where(largest.isinf(), (v == largest).to(v.dtype), v.clamp(min=0) / unit) for v in taps]
    level, running = drawn * sum(weights), torch.zeros_like(drawn)
    place = torch.zeros_like(drawn, dtype=torch.long)
    passed = running > 0
    for offset, weight in zip(offsets, weights, strict=True):
        running = running + weight
        place = torch.where((weight > 0) & ~passed, offset, place)
        passed = passed | (running > level)
    for offset, value in zip(reversed(offsets), reversed(taps), strict=True):
        place = torch.where(value.isnan(), offset, place)
    return place + _origins(x, drawn.shape[2:], stride)


def _origins(x: Tensor, positions: Sequence[int], stride: list[int]) -> Tensor:
    """Where every window begins in the flattened space."""
    place = torch.zeros((), dtype=torch.long, device=x.device)
    for n, p, s in zip(x.shape[2:], positions, stride, strict=True):
        place = place.unsqueeze(-1) * n + torch.arange(p, device=x.device) * s
    return place


@custom_op("draw", device="cpu")
def _draw(x: Tensor, drawn: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    rows = Rows.of(x.shape[2:], kernel_size, stride, dilation)
    place = torch.empty(drawn.shape, dtype=torch.long)
    if place.numel() == 0:
        return place
    seen, into = x.contiguous().numpy().reshape(-1, rows.space), place.numpy().reshape(-1, rows.size[-1])
    level = drawn.contiguous().numpy().reshape(into.shape)
    last = (kernel_size[-1], stride[-1], dilation[-1])

    def work(lo: int, hi: int) -> None:
        compiled(_draw_units)(seen, level, into, rows.starts, rows.offsets, *last, lo, hi)

    _share(work, into.shape[0], x.numel())
    return place


@triton.kernel_of(_draw)
def _draw_cuda(x: Tensor, drawn: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return windows.drawn(x, drawn, kernel_size, stride, dilation)


@_draw.register_fake
def _draw_empty(x: Tensor, drawn: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return drawn.new_empty(drawn.shape, dtype=torch.long)


def _largest_units(x, y, line, starts, offsets, k, s, d, lo, hi):
    """The rows of a window's row into one, then along it. Compiled by numba."""
    m = y.shape[1]
    for unit in range(lo, hi):
        space, start = x[unit // starts.size], starts[unit % starts.size]
        b = y[unit]
        if k == 2 and s == 2 and d == 1 and offsets.size <= 4:  # one pass over up to four rows
            top = offsets.size - 1
            r0, r1 = space[start : start + 2 * m], space[start + offsets[min(1, top)] :]
            r2, r3 = space[start + offsets[min(2, top)] :], space[start + offsets[top] :]
            for j in range(m):
                v0, v1, v2, v3 = r0[2 * j], r0[2 * j + 1], r1[2 * j], r1[2 * j + 1]
                v4, v5, v6, v7 = r2[2 * j], r2[2 * j + 1], r3[2 * j], r3[2 * j + 1]
                v0 = v1 if (v1 > v0) | (v1 != v1) else v0
                v2 = v3 if (v3 > v2) | (v3 != v3) else v2
                v4 = v5 if (v5 > v4) | (v5 != v5) else v4
                v6 = v7 if (v7 > v6) | (v7 != v7) else v6
                v0 = v2 if (v2 > v0) | (v2 != v2) else v0
                v4 = v6 if (v6 > v4) | (v6 != v6) else v4
                b[j] = v4 if (v4 > v0) | (v4 != v4) else v0
            continue
        line[:] = space[start : start + line.size]
        for t in range(1, offsets.size):
            row = space[start + offsets[t] : start + offsets[t] + line.size]
            for j in range(line.size):
                v0, v1 = line[j], row[j]
                line[j] = v1 if (v1 > v0) | (v1 != v1) else v0
        if s == 2:  # a stride known to the compiler is vectorised
            for j in range(m):
                b[j] = line[2 * j]
        else:
            for j in range(m):
                b[j] = line[j * s]
        for t in range(1, k):
            late = line[t * d :]
            if s == 2:
                for j in range(m):
                    v0, v1 = b[j], late[2 * j]
                    b[j] = v1 if (v1 > v0) | (v1 != v1) else v0
            else:
                for j in range(m):
                    v0, v1 = b[j], late[j * s]
                    b[j] = v1 if (v1 > v0) | (v1 != v1) else v0


def _draw_units(x, drawn, place, starts, offsets, k, s, d, lo, hi):
    """A window's largest, its sum, and where the running sum passes the level. Compiled by numba."""
    m = place.shape[1]
    for unit in range(lo, hi):
        space, start = x[unit // starts.size], starts[unit % starts.size]
        for j in range(m):
            first = start + j * s
            largest, nan = 0.0, -1
            for o in offsets:
                for t in range(k):
                    v = space[first + o + t * d]
                    if v > largest:
                        largest = v
                    if v != v and nan < 0:
                        nan = first + o + t * d
            if nan >= 0 or largest == 0:
                place[unit, j] = max(nan, first)
                continue
            endless, factor = largest == np.inf, 1e-9 if largest > 1e290 else 1.0  # no sum overflows
            total = 0.0
            for o in offsets:
                for t in range(k):
                    v = space[first + o + t * d]
                    total += (1.0 if v == largest else 0.0) if endless else max(v, 0.0) * factor
            level, running, at, done = drawn[unit, j] * total, 0.0, first, False
            for o in offsets:
                for t in range(k):
                    v = space[first + o + t * d]
                    weight = (1.0 if v == largest else 0.0) if endless else max(v, 0.0) * factor
                    if weight > 0 and not done:
                        at = first + o + t * d
                        running += weight
                        done = running > level
            place[unit, j] = at
