# ruff: noqa: N803 - what a kernel is compiled for stands in capitals
"""Poolings' windows on CUDA: their sums, norms, largest and drawn samples, of an input that is padded already.

A program has one channel of one item and a block of its windows, flat over all axes; every number of the block goes
through its window in the order of memory, each sample at one offset from the window's first, the same for all. Windows
of more than 64 samples go an axis at a time, the last first, through a tensor in between.

Roofline: memory. (8, 32, 64^3) float32, k = 3, stride 2: 268 MB in, 34 out, 70 µs; 27 reads an output from the first
cache, 0.2e9 of 7.4e12/s, 30 µs beside. k = 7 at stride 1 an axis at a time: 12 bytes a sample and pass as float64,
0.5 GB each way, predicted 0.6 ms. Sums of float32 are of float64, half as fast on a card for science: hidden behind
memory up to about 20 samples a window; on a card for graphics, a 64th as fast, they bind.

Blocks: 256 windows of four warps: neighbours along the last axis are read by neighbouring threads, and two numbers a
thread keep two reads under way; small spaces take 32 and up, so that no warp is idle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sigconv.kernels import _triton as shared

tl: Any = None  # Triton's language and kernels' helpers, once a kernel is asked for
unravel: Any = None
window: Any = None
TOGETHER = 64  # samples of a window up to which all axes go in one pass
BLOCK = 256
SIZES = ["tiles", "n0", "n1", "n2", "n3", "o0", "o1", "o2", "o3"]
Options = tuple[Sequence[int], Sequence[int], Sequence[int]]  # kernel_size, stride, dilation


def size_of(x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """(batch, channels, *positions)."""
    rows = zip(x.shape[2:], kernel_size, stride, dilation, strict=True)
    return [*x.shape[:2], *((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in rows)]


def box(
    x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], power: int = 0
) -> Tensor:
    """The sum of every window; with a power, the root of the sum of such powers of sizes."""
    wide = torch.float32 if x.element_size() == 2 else torch.float64
    every = list(passes(kernel_size, stride, dilation))
    seen, y = x.contiguous(), x
    for number, options in enumerate(every):
        last = number == len(every) - 1
        y = x.new_empty(size_of(seen, *options), dtype=x.dtype if last else wide)
        powers = {"POWER": power if number == 0 else 0, "ROOT": power if last else 0}
        _run(0, seen, y, options, seen, y, KIND=shared.sum_kind(wide), **powers)
        seen = y
    return y


def largest(
    x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], places: bool
) -> tuple[Tensor, Tensor]:
    """The largest of every window, and if asked for its index: the first of equals, the last of NaNs."""
    every = list(passes(kernel_size, stride, dilation))
    seen = y = x.contiguous()
    where = found = torch.empty(0, dtype=torch.int32, device=x.device)
    for number, options in enumerate(every):
        y = x.new_empty(size_of(seen, *options))
        if places:
            found = torch.empty(y.shape, dtype=torch.long if number == len(every) - 1 else torch.int32, device=x.device)
        flags = {"FIND": places, "PLACED": number > 0, "KIND": shared.sum_kind(x.dtype)}
        _run(1, seen, y, options, seen, where, y, found, **flags)
        seen, where = y, found
    return y, found


def drawn(
    x: Tensor, level: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """Where the running sum of a window's samples above 0 passes level times their sum; as kernels/blocks has it."""
    place = torch.empty(level.shape, dtype=torch.long, device=x.device)
    x = x.contiguous()
    _run(2, x, place, (kernel_size, stride, dilation), x, level.contiguous(), place)
    return place


def passes(kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Iterator[Options]:
    """All axes in one, or one axis at a time, the last first."""
    ndim = len(kernel_size)
    axes = [axis for axis in reversed(range(ndim)) if kernel_size[axis] > 1 or stride[axis] > 1]
    if math.prod(kernel_size) <= TOGETHER or len(axes) < 2:
        yield kernel_size, stride, dilation
        return
    for axis in axes:
        only = lambda numbers, axis=axis: [n if a == axis else 1 for a, n in enumerate(numbers)]
        yield only(kernel_size), only(stride), only(dilation)


def _run(number: int, x: Tensor, y: Tensor, options: Options, *given: Any, **flags: Any) -> None:
    space = math.prod(y.shape[2:])
    block = shared.power_of_two(space, 32, BLOCK)
    tiles = -(-space // block)
    sizes = tiles, *shared.four(x.shape[2:], 1), *shared.four(y.shape[2:], 1)
    fixed = shared.along("KSD", *options) | {"NDIM": x.ndim - 2, "BLOCK": block, "num_warps": min(4, block // 32)}
    shared.launch(_loops()[number], math.prod(y.shape[:2]) * tiles, x, *given, *sizes, **fixed, **flags)


@cache
def _loops() -> tuple[Any, Any, Any]:
    global tl, unravel, window
    import triton
    from triton import language as tl

    unravel = shared.unravel()

    @triton.jit
    def window(
        tiles, n1, n2, n3, o0, o1, o2, o3,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        NDIM: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        plane = (tl.program_id(0) // tiles).to(tl.int64)
        j = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
        i0, i1, i2, i3 = unravel(j, o1, o2, o3, NDIM)
        first = ((i0 * S0 * n1 + i1 * S1) * n2 + i2 * S2) * n3 + i3 * S3
        room = o0 * o1 * o2 * o3
        return plane, j < room, first, plane * room + j

    @triton.jit(do_not_specialize=SIZES)
    def sums(
        x, y, tiles, n0, n1, n2, n3, o0, o1, o2, o3,
        K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
        NDIM: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr, POWER: tl.constexpr, ROOT: tl.constexpr,
    ):  # fmt: skip
        plane, there, first, at = window(tiles, n1, n2, n3, o0, o1, o2, o3, S0, S1, S2, S3, NDIM, BLOCK)
        space = x + plane * (n0 * n1 * n2 * n3)
        total = tl.zeros((BLOCK,), KIND)
        for t0 in range(K0):
            for t1 in range(K1):
                for t2 in range(K2):
                    for t3 in range(K3):
                        offset = ((t0 * D0 * n1 + t1 * D1) * n2 + t2 * D2) * n3 + t3 * D3
                        v = tl.load(space + first + offset, there, 0.0).to(KIND)
                        if POWER > 0:
                            v = tl.abs(v)
                            one = v
                            for _ in tl.static_range(POWER - 1):
                                v = v * one
                        total += v
        if ROOT == 2:
            total = tl.sqrt(total)
        if ROOT > 2:  # 0, infinity and NaN are their own roots
            plain = (total > 0.0) & (total < float("inf"))
            total = tl.where(plain, tl.exp(tl.log(tl.where(plain, total, 1.0)) / ROOT), total)
        tl.store(y + at, total.to(y.dtype.element_ty), there)

    @triton.jit(do_not_specialize=SIZES)
    def largest(
        x, where, y, found, tiles, n0, n1, n2, n3, o0, o1, o2, o3,
        K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
        NDIM: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr, FIND: tl.constexpr, PLACED: tl.constexpr,
    ):  # fmt: skip
        plane, there, first, at = window(tiles, n1, n2, n3, o0, o1, o2, o3, S0, S1, S2, S3, NDIM, BLOCK)
        space = x + plane * (n0 * n1 * n2 * n3)
        top, place = tl.load(space + first, there, 0.0).to(KIND), first
        for t0 in range(K0):
            for t1 in range(K1):
                for t2 in range(K2):
                    for t3 in range(K3):
                        seen = first + ((t0 * D0 * n1 + t1 * D1) * n2 + t2 * D2) * n3 + t3 * D3
                        v = tl.load(space + seen, there, 0.0).to(KIND)
                        take = (v > top) | (v != v)
                        top, place = tl.where(take, v, top), tl.where(take, seen, place)
        tl.store(y + at, top.to(y.dtype.element_ty), there)
        if FIND:
            if PLACED:  # what is pooled is itself a largest, found before
                place = tl.load(where + plane * (n0 * n1 * n2 * n3) + place, there, 0)
            tl.store(found + at, place.to(found.dtype.element_ty), there)

    @triton.jit(do_not_specialize=SIZES)
    def draw(
        x, level, found, tiles, n0, n1, n2, n3, o0, o1, o2, o3,
        K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
        NDIM: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        plane, there, first, at = window(tiles, n1, n2, n3, o0, o1, o2, o3, S0, S1, S2, S3, NDIM, BLOCK)
        space = x + plane * (n0 * n1 * n2 * n3)
        top, broken = tl.zeros((BLOCK,), tl.float64), tl.full((BLOCK,), -1, tl.int32)
        for t in range(K0 * K1 * K2 * K3):
            t0, t1, t2, t3 = t // (K1 * K2 * K3), t // (K2 * K3) % K1, t // K3 % K2, t % K3
            seen = first + ((t0 * D0 * n1 + t1 * D1) * n2 + t2 * D2) * n3 + t3 * D3
            v = tl.load(space + seen, there, 0.0).to(tl.float64)
            top = tl.where(v > top, v, top)
            broken = tl.where((v != v) & (broken < 0), seen, broken)
        endless = top == float("inf")
        factor = tl.where(top > 1e290, 1e-9, 1.0)  # no sum overflows
        total = tl.zeros((BLOCK,), tl.float64)
        for t in range(K0 * K1 * K2 * K3):
            t0, t1, t2, t3 = t // (K1 * K2 * K3), t // (K2 * K3) % K1, t // K3 % K2, t % K3
            seen = first + ((t0 * D0 * n1 + t1 * D1) * n2 + t2 * D2) * n3 + t3 * D3
            v = tl.load(space + seen, there, 0.0).to(tl.float64)
            total += tl.where(endless, tl.where(v == top, 1.0, 0.0), tl.where(v > 0, v, 0.0) * factor)
        limit = tl.load(level + at, there, 0.0).to(tl.float64) * total
        running, place, done = tl.zeros((BLOCK,), tl.float64), first, tl.zeros((BLOCK,), tl.int32)
        for t in range(K0 * K1 * K2 * K3):
            t0, t1, t2, t3 = t // (K1 * K2 * K3), t // (K2 * K3) % K1, t // K3 % K2, t % K3
            seen = first + ((t0 * D0 * n1 + t1 * D1) * n2 + t2 * D2) * n3 + t3 * D3
            v = tl.load(space + seen, there, 0.0).to(tl.float64)
            part = tl.where(endless, tl.where(v == top, 1.0, 0.0), tl.where(v > 0, v, 0.0) * factor)
            place = tl.where((part > 0) & (done == 0), seen, place)
            running += part
            done = tl.where((part > 0) & (running > limit), 1, done)
        place = tl.where(broken >= 0, broken, tl.where(top == 0, first, place))
        tl.store(found + at, place.to(tl.int64), there)

    return sums, largest, draw
