# ruff: noqa: N803, RUF005 - what a kernel is compiled for stands in capitals; its tuples grow by sums
# mypy: disable-error-code="assignment"
"""The Haar butterfly on CUDA: a thread has blocks of 2^N neighbours in registers and writes 2^N subbands of them.

A program has one item and some positions of its subbands, flat over all axes. Samples are scaled first, then added
and subtracted along the last axis, the one before, and so on, the other way round on the way back; halves in float32.

Roofline: memory alone, every number read once and written once. 256^3 float32: 67 MB in, 67 MB out, 31 µs; neighbours
along the last axis come in two reads of every other number, the second from the first cache: 17e6 reads, 2 µs. One
level in three dimensions is predicted to take 36 to 45 µs, all eight levels a seventh more and a launch each.

Blocks: 256 positions of four warps, two a thread: 16 numbers in three dimensions, 32 in four, all in registers, and as
many reads under way. A warp writes 32 neighbours of a subband, a line of memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import _triton as shared

tl: Any = None  # Triton's language and kernels' helpers, once a kernel is asked for
unravel: Any = None
turned: Any = None
BLOCK = 256
HALF = ["tiles", "pieces", "n0", "n1", "n2", "n3", "m0", "m1", "m2", "m3"]
BEYOND = ["e0", "e1", "e2", "e3", "gap"]


def usable(x: Tensor, ndim: int, *more: Tensor) -> bool:
    """Whether the kernels take the last ndim axes of x: on CUDA, four at most."""
    return shared.takes(x, *more) and ndim <= shared.AXES and 2 * math.prod(x.shape[x.ndim - ndim :]) < shared.SPACE


def analyse(x: Tensor, modes: Sequence[str], gap: int, approximation: Tensor, details: Tensor) -> None:
    """Fill the pieces of x along its last axes; beyond their ends stands what the modes say."""
    ndim = len(modes)
    size, half = x.shape[x.ndim - ndim :], approximation.shape[x.ndim - ndim :]
    if gap:
        table = torch.stack([_beyond(mode, n, gap, x.device) for mode, n in zip(modes, size, strict=True)]).int()
        ends = shared.four([axis * gap for axis in range(ndim)], 0)
    else:
        table = x
        ends = shared.four([_next(mode, n) for mode, n in zip(modes, size, strict=True)], -1)
    given = x.contiguous(), approximation, details, table
    _run(0, x, approximation, *given, *_sizes(approximation, size, half), *ends, gap, N=ndim, GAP=gap > 0)


def synthesise(x: Tensor, approximation: Tensor, details: Tensor, size: Sequence[int]) -> None:
    """Fill x, whose last axes have this size, from its pieces."""
    half = approximation.shape[x.ndim - len(size) :]
    given = approximation.contiguous(), details.contiguous(), x
    _run(1, x, approximation, *given, *_sizes(approximation, size, half), N=len(size))


def _sizes(approximation: Tensor, size: Sequence[int], half: Sequence[int]) -> tuple[int, ...]:
    return approximation.numel(), *shared.four(size, 1), *shared.four(half, 1)


def _beyond(mode: str, n: int, reach: int, device: torch.device) -> Tensor:
    """The samples that stand after the last of n, -1 for zeros."""
    after = torch.arange(n, n + reach, device=device)
    return nd.EXTEND[mode](after, n) if mode in nd.EXTEND else torch.full_like(after, -1)


@cache
def _next(mode: str, n: int) -> int:
    """The one that stands after the last of n: counted on the CPU, no kernel waits for it."""
    return int(_beyond(mode, n, 1, torch.device("cpu")))


def _run(number: int, x: Tensor, approximation: Tensor, *given: Any, N: int, **flags: Any) -> None:
    space = math.prod(approximation.shape[approximation.ndim - N :])
    block = shared.power_of_two(space, 32, BLOCK)
    tiles = -(-space // block)
    tensors = [t for t in given if isinstance(t, Tensor)]
    fixed = {"N": N, "BLOCK": block, "KIND": shared.sum_kind(x.dtype), "SCALE": 2.0 ** (-N / 2)} | flags
    programs = approximation.numel() // max(space, 1) * tiles
    fixed["num_warps"] = min(4, block // 32)
    shared.launch(_loops()[number], programs, x, *tensors, tiles, *given[len(tensors) :], **fixed)


@cache
def _loops() -> tuple[Any, Any]:
    global tl, unravel, turned
    import triton
    from triton import language as tl

    unravel = shared.unravel()

    @triton.jit
    def turned(v, N: tl.constexpr, FIRST: tl.constexpr, STEP: tl.constexpr):
        """The pieces of 2^N values, an axis at a time: sums where an axis' bit is 0, differences where it is 1."""
        for n in tl.static_range(N):
            more = ()
            for p in tl.static_range(1 << N):
                if (p >> (FIRST + n * STEP)) & 1:
                    more = more + (v[p - (1 << (FIRST + n * STEP))] - v[p],)
                else:
                    more = more + (v[p] + v[p + (1 << (FIRST + n * STEP))],)
            v = more
        return v

    @triton.jit(do_not_specialize=[*HALF, *BEYOND])
    def analyse(
        x, approximation, details, beyond, tiles, pieces, n0, n1, n2, n3, m0, m1, m2, m3, e0, e1, e2, e3, gap,
        N: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr, SCALE: tl.constexpr, GAP: tl.constexpr,
    ):  # fmt: skip
        plane = (tl.program_id(0) // tiles).to(tl.int64)
        j = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
        i0, i1, i2, i3 = unravel(j, m1, m2, m3, N)
        there, space = j < m0 * m1 * m2 * m3, x + plane * (n0 * n1 * n2 * n3)
        if GAP:  # a sample and the one that is gap after it
            f0, f1, f2, f3 = i0, i1, i2, i3
            s0, s1, s2, s3 = i0 + gap, i1 + gap, i2 + gap, i3 + gap
            s0 = tl.where(s0 < n0, s0, tl.load(beyond + e0 + s0 - n0, there & (s0 >= n0), -1))
            s1 = tl.where(s1 < n1, s1, tl.load(beyond + e1 + s1 - n1, there & (s1 >= n1), -1))
            s2 = tl.where(s2 < n2, s2, tl.load(beyond + e2 + s2 - n2, there & (s2 >= n2), -1))
            s3 = tl.where(s3 < n3, s3, tl.load(beyond + e3 + s3 - n3, there & (s3 >= n3), -1))
        else:  # neighbours, two by two
            f0, f1, f2, f3 = 2 * i0, 2 * i1, 2 * i2, 2 * i3
            s0, s1 = tl.where(f0 + 1 < n0, f0 + 1, e0), tl.where(f1 + 1 < n1, f1 + 1, e1)
            s2, s3 = tl.where(f2 + 1 < n2, f2 + 1, e2), tl.where(f3 + 1 < n3, f3 + 1, e3)
        v = ()
        for p in tl.static_range(1 << N):
            c0, c1, c2, c3 = f0, f1, f2, f3
            if p & 8:
                c0 = s0
            if p & 4:
                c1 = s1
            if p & 2:
                c2 = s2
            if p & 1:
                c3 = s3
            seen = there & (c0 >= 0) & (c1 >= 0) & (c2 >= 0) & (c3 >= 0)
            v = v + (tl.load(space + ((c0 * n1 + c1) * n2 + c2) * n3 + c3, seen, 0.0).to(KIND) * SCALE,)
        v = turned(v, N, 0, 1)
        at = plane * (m0 * m1 * m2 * m3) + j
        tl.store(approximation + at, v[0].to(x.dtype.element_ty), there)
        for p in tl.static_range(1, 1 << N):
            tl.store(details + at, v[p].to(x.dtype.element_ty), there)
            at += pieces

    @triton.jit(do_not_specialize=HALF)
    def synthesise(
        approximation, details, x, tiles, pieces, n0, n1, n2, n3, m0, m1, m2, m3,
        N: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr, SCALE: tl.constexpr,
    ):  # fmt: skip
        plane = (tl.program_id(0) // tiles).to(tl.int64)
        j = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
        i0, i1, i2, i3 = unravel(j, m1, m2, m3, N)
        there, space = j < m0 * m1 * m2 * m3, x + plane * (n0 * n1 * n2 * n3)
        at = plane * (m0 * m1 * m2 * m3) + j
        v = (tl.load(approximation + at, there, 0.0).to(KIND) * SCALE,)
        for _ in tl.static_range(1, 1 << N):
            v = v + (tl.load(details + at, there, 0.0).to(KIND) * SCALE,)
            at += pieces
        v = turned(v, N, N - 1, -1)
        for p in tl.static_range(1 << N):
            c0, c1, c2, c3 = i0, i1, i2, 2 * i3 + (p & 1)
            if N > 1:
                c2 = 2 * i2 + ((p >> 1) & 1)
            if N > 2:
                c1 = 2 * i1 + ((p >> 2) & 1)
            if N > 3:
                c0 = 2 * i0 + ((p >> 3) & 1)
            inside = there & (c0 < n0) & (c1 < n1) & (c2 < n2) & (c3 < n3)
            tl.store(space + ((c0 * n1 + c1) * n2 + c2) * n3 + c3, v[p].to(x.dtype.element_ty), inside)

    return analyse, synthesise
