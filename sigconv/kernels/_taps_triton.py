# ruff: noqa: N803, RUF005 - what a kernel is compiled for stands in capitals; its tuples grow by sums
# mypy: disable-error-code="assignment"
"""Convolution of few channels a group on CUDA, and its weight's gradient: depthwise layers, in 1 to 4 axes.

Sums, forward: a program has one channel of one item and a block of its outputs, flat over all axes, so that small
spaces fill it as well as large ones; a number of the block is a column of ROWS outputs along the last axis but one. A
sample read serves all outputs of the column that see it, a weight all numbers of the block: for three taps and four
rows six samples and three weights are read for twelve products.

    y[j] = bias + Σ_t w[t] · x[j · stride - before + t · dilation]        products summed in float32, or float64

Gradient of the input: with stride 1 the same sums, the filter inverted. With stride s every s-th sample of the gradient
sees the same taps: s^N such sums, each written where it belongs, and nothing is multiplied by a zero put in between.

Gradient of the weight: a program has one filter, up to 8 of its taps along the last axis and a part of all positions;
parts are summed afterwards, in their order. How many there are hangs on shapes alone: the same bits on any card.

Roofline, (2, 32, 64^3) float32, 67 MB in, 67 out: 31 µs of bytes; 0.9 GFLOP at k = 3 (14 µs), 11.5 at 7 (172 µs).
Reads from the first cache bind, 32 a cycle of a multiprocessor, 7.4e12/s: forward, k = 3: 3 samples and weights for an
output and three taps, 38e6 · 4 = 0.3e9, predicted 60 µs; k = 7: 1.2 ms; half precision moves half the bytes, no less
reads. Weights: a read a product and one for every 8, 0.5e9 at k = 3, predicted 80 µs; k = 7, 6.5e9, 0.9 ms.

Blocks: 128 numbers of four warps, one a thread and ROWS sums each, so that hundreds of programs are on a
multiprocessor's queue while reads are under way; 8 x 128 products a step for the weight, 8 sums a thread.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sigconv.kernels import _triton as shared
from sigconv.kernels._adjoint import inverted

UNROLLED = 12  # taps along a column up to which a sample read serves all of its outputs
tl: Any = None  # Triton's language and a kernel's helper, once a kernel is asked for
unravel: Any = None
COLUMNS = ((4, 128, 4), (1, 256, 4), (2, 128, 4), (8, 64, 2))  # rows, block, warps
TIED = 8  # taps of a program
PROGRAMS = 2048  # at least, where there is work for them
SIZES = ["each", "per", "outs", "tiles", "n0", "n1", "n2", "n3", "o0", "o1", "o2", "o3"]
SIZES += ["b0", "b1", "b2", "b3", "yb", "yc", "y0", "y1", "y2", "y3"]


def sums(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    before: Sequence[int],
    dilation: Sequence[int],
    y: Tensor,
) -> Tensor:
    """Fill y, of any strides and size, with the sums of x, contiguous; what lies outside of x counts as zeros."""
    if y.numel() == 0:
        return y
    outs, per, *kernel_size = weight.shape
    size, kernel = shared.four(y.shape[2:], 1), shared.four(kernel_size, 1)
    steps = [*y.stride()[:2], *shared.four(y.stride()[2:], 0)]
    each = outs // (x.shape[1] // per)
    fixed = _fixed(x, kernel, stride, dilation) | {"BIAS": bias is not None, "UNROLLED": kernel[2] <= UNROLLED}
    bias = weight if bias is None else bias

    def run(configuration: tuple[int, int, int]) -> None:
        rows, block, warps = configuration
        rows = min(rows, shared.power_of_two(size[2], 1, rows))
        stacks = math.prod(size[:2]) * -(-size[2] // rows) * size[3]
        block = shared.power_of_two(stacks, 32, block)
        tiles = -(-stacks // block)
        given = each, per, outs, tiles, *shared.four(x.shape[2:], 1), *size, *shared.four(before, 0), *steps
        options = {"ROWS": rows, "BLOCK": block, "num_warps": min(warps, block // 32)}
        shared.launch(_loops()[0], x.shape[0] * outs * tiles, x, x, weight, bias, y, *given, **fixed, **options)

    key = x.dtype, *kernel, *stride, *dilation, per, y[0].numel().bit_length()
    run(shared.chosen("sums", key, x, COLUMNS, run))
    return y


def input_sums(
    g: Tensor,
    weight: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    before: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """The gradient of an input of this size: for each remainder by the stride, the taps that meet it, inverted."""
    x = g.new_empty(g.shape[0], weight.shape[1] * groups, *size)
    back, g = inverted(weight, groups), g.contiguous()
    for phase in itertools.product(*map(range, stride)):
        into, taps, margins, gaps = x, back, [], []
        rows = zip(phase, stride, before, dilation, weight.shape[2:], strict=True)
        for axis, (p, s, b, d, k) in enumerate(rows, start=2):
            step = s // math.gcd(s, d)
            met = [t for t in range(min(k, step)) if (p + b - t * d) % s == 0]
            found = range(met[0], k, step) if met else range(0)
            every = slice(k - 1 - found[-1], k - found[0], step) if met else slice(0)
            aside = (slice(None),) * axis
            into, taps = into[(*aside, slice(p, None, s))], taps[(*aside, every)]
            gaps.append(d // math.gcd(s, d))
            margins.append((found[-1] * d - p - b) // s if met else 0)
        if taps.numel():
            sums(g, taps.contiguous(), None, [1] * len(size), margins, gaps, into)
        else:
            into.zero_()
    return x


def tied_sums(
    x: Tensor,
    g: Tensor,
    weight_size: Sequence[int],
    stride: Sequence[int],
    before: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """The gradient of a weight of this size, of its dtype: the parts' own sums, then theirs."""
    x, g = x.contiguous(), g.contiguous()
    outs, per, *kernel_size = weight_size
    kernel, size = shared.four(kernel_size, 1), shared.four(g.shape[2:], 1)
    space, taps = math.prod(size), math.prod(kernel)
    block = shared.power_of_two(space, 32, 128)
    blocks = -(-space // block)
    units, parts = g.shape[0] * blocks, math.prod(kernel[:3]) * -(-kernel[3] // TIED)
    chunks = max(min(-(-PROGRAMS // max(outs * per * parts, 1)), units), 1)
    found = torch.zeros(chunks, *weight_size, dtype=shared.SUMS[x.dtype], device=x.device)
    if units and outs:
        counts = outs // (x.shape[1] // per), per, outs, units, blocks, chunks
        given = *counts, *shared.four(x.shape[2:], 1), *size, *shared.four(before, 0)
        fixed = _fixed(x, kernel, stride, dilation) | {"T": shared.power_of_two(kernel[3], 1, TIED), "BLOCK": block}
        programs = outs * per * parts * chunks
        shared.launch(_loops()[1], programs, x, x, g, found, outs * per * taps, *given, **fixed, num_warps=4)
    return found.sum(0).to(x.dtype)


def _fixed(x: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> dict[str, Any]:
    """What a compiled kernel is made for: its axes, taps and steps, and the kind it sums in."""
    return shared.along("KSD", kernel, stride, dilation) | {"NDIM": x.ndim - 2, "KIND": shared.sum_kind(x.dtype)}


@cache
def _loops() -> tuple[Any, Any]:
    global tl, unravel
    import triton
    from triton import language as tl

    unravel = shared.unravel()

    @triton.jit(do_not_specialize=SIZES)
    def sums(
        x, w, bias, y, each, per, outs, tiles, n0, n1, n2, n3, o0, o1, o2, o3, b0, b1, b2, b3,
        yb, yc, y0, y1, y2, y3,
        K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
        NDIM: tl.constexpr, KIND: tl.constexpr, BIAS: tl.constexpr, UNROLLED: tl.constexpr,
        ROWS: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        tile, plane = tl.program_id(0) % tiles, tl.program_id(0) // tiles
        m, b = (plane % outs).to(tl.int64), (plane // outs).to(tl.int64)
        j = tile * BLOCK + tl.arange(0, BLOCK)
        i0, i1, first, i3 = j * 0, j * 0, j * 0, j
        if NDIM > 1:
            stacks = (o2 + ROWS - 1) // ROWS
            i3, first, i1 = j % o3, j // o3 % stacks * ROWS, j // o3 // stacks
        if NDIM > 2:
            i1, i0 = i1 % o1, i1 // o1
        there = (i0 < o0) & (i1 < o1) & (i3 < o3)
        space = x + (b * (outs // each) + m // each) * per * n0 * n1 * n2 * n3
        total = ()
        for _ in tl.static_range(ROWS):
            start = tl.zeros((BLOCK,), KIND)
            if BIAS:
                start += tl.load(bias + m).to(KIND)
            total = total + (start,)
        for c in range(per):
            for t0 in range(K0):
                p0 = i0 * S0 - b0 + t0 * D0
                for t1 in range(K1):
                    p1 = i1 * S1 - b1 + t1 * D1
                    inside = there & (p0 >= 0) & (p0 < n0) & (p1 >= 0) & (p1 < n1)
                    plate = (p0 * n1 + p1) * n2
                    for t3 in range(K3):
                        p3 = i3 * S3 - b3 + t3 * D3
                        seen = inside & (p3 >= 0) & (p3 < n3)
                        taps = w + ((((m * per + c) * K0 + t0) * K1 + t1) * K2) * K3 + t3
                        if UNROLLED:
                            factors = ()
                            for t2 in tl.static_range(K2):
                                factors = factors + (tl.load(taps + t2 * K3).to(KIND),)
                            for i in tl.static_range((ROWS - 1) * S2 + (K2 - 1) * D2 + 1):
                                p2 = first * S2 - b2 + i
                                v = tl.load(space + (plate + p2) * n3 + p3, seen & (p2 >= 0) & (p2 < n2), 0.0).to(KIND)
                                more = ()
                                for r in tl.static_range(ROWS):
                                    if (i - r * S2) % D2 == 0 and i - r * S2 >= 0 and i - r * S2 <= (K2 - 1) * D2:
                                        more = more + (total[r] + v * factors[(i - r * S2) // D2],)
                                    else:
                                        more = more + (total[r],)
                                total = more
                        else:
                            for t2 in range(K2):
                                factor = tl.load(taps + t2 * K3).to(KIND)
                                more = ()
                                for r in tl.static_range(ROWS):
                                    p2 = (first + r) * S2 - b2 + t2 * D2
                                    v = tl.load(space + (plate + p2) * n3 + p3, seen & (p2 >= 0) & (p2 < n2), 0.0)
                                    more = more + (total[r] + v.to(KIND) * factor,)
                                total = more
            space += n0 * n1 * n2 * n3
        into = y + b * yb + m * yc + i0 * y0 + i1 * y1 + i3 * y3
        for r in tl.static_range(ROWS):
            tl.store(into + (first + r) * y2, total[r].to(y.dtype.element_ty), there & (first + r < o2))

    @triton.jit(do_not_specialize=["filters", "units", "blocks", "chunks", *SIZES[:16]])
    def tied(
        x, g, found, filters, each, per, outs, units, blocks, chunks,
        n0, n1, n2, n3, o0, o1, o2, o3, b0, b1, b2, b3,
        K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
        NDIM: tl.constexpr, KIND: tl.constexpr, T: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        chunk, rest = tl.program_id(0) % chunks, tl.program_id(0) // chunks
        stretches = (K3 + T - 1) // T
        t3, rest = rest % stretches * T + tl.arange(0, T), rest // stretches
        t2, rest = rest % K2, rest // K2
        t1, rest = rest % K1, rest // K1
        t0, number = rest % K0, (rest // K0).to(tl.int64)
        m, c = number // per, number % per
        channel, channels = m // each * per + c, (outs // each).to(tl.int64) * per
        total = tl.zeros((T, BLOCK), KIND)
        for unit in range(chunk, units, chunks):
            b = (unit // blocks).to(tl.int64)
            j = unit % blocks * BLOCK + tl.arange(0, BLOCK)
            i0, i1, i2, i3 = unravel(j, o1, o2, o3, NDIM)
            there = j < o0 * o1 * o2 * o3
            p0, p1, p2 = i0 * S0 - b0 + t0 * D0, i1 * S1 - b1 + t1 * D1, i2 * S2 - b2 + t2 * D2
            seen = there & (p0 >= 0) & (p0 < n0) & (p1 >= 0) & (p1 < n1) & (p2 >= 0) & (p2 < n2)
            line = ((p0 * n1 + p1) * n2 + p2) * n3
            slope = tl.load(g + (b * outs + m) * o0 * o1 * o2 * o3 + j, there, 0.0).to(KIND)
            p3 = (i3 * S3 - b3)[None, :] + (t3 * D3)[:, None]
            space = x + (b * channels + channel) * n0 * n1 * n2 * n3
            v = tl.load(space + line[None, :] + p3, seen[None, :] & (p3 >= 0) & (p3 < n3), 0.0).to(KIND)
            total += v * slope[None, :]
        place = ((t0 * K1 + t1) * K2 + t2) * K3 + t3
        into = found + chunk.to(tl.int64) * filters + number * (K0 * K1 * K2 * K3)
        tl.store(into + place, tl.sum(total, 1), t3 < K3)

    return sums, tied
