# ruff: noqa: N803 - what a kernel is compiled for stands in capitals
"""Norms of any power, means weighted by e^(b·x), logarithms of means of e^(b·x) and expectations of draws over a
pooling's windows on CUDA, each in one pass over memory.

A program has 256 windows of one channel, as in _windows_triton, and goes through each two times: for the largest, that
nothing overflows, then for the sums; the second time finds the samples in the first cache. Torch's own way writes and
reads two to six tensors the size of the answer for every sample of a window.

Roofline: memory. (8, 32, 64^3) float32, k = 3, stride 2: 268 MB in, 34 to 101 MB out, 70 to 90 µs; 54 reads an output
from the first cache, 0.45e9 of 7.4e12/s, 60 µs beside; 27 exponentials an output, 0.23e9 of 4e12/s, hidden. Logarithms
take an exponential and 10 multiplications more a sample (20 in float64), 4.5e9 of 33e12/s, 140 µs: they bind at k = 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sigconv.kernels import _triton as shared
from sigconv.kernels._series_triton import series
from sigconv.kernels._windows_triton import BLOCK, Options

tl: Any = None  # Triton's language and kernels' helpers, once a kernel is asked for
unravel: Any = None
sample: Any = None
expm1: Any = None
log1p: Any = None
growth: Any = None
SIZES = ["tiles", "channels", "n0", "n1", "n2", "n3", "o0", "o1", "o2", "o3", "b0", "b1", "b2", "b3"]


def norms(x: Tensor, power: float, y: Tensor, options: Options, share: Tensor | None, part: float) -> Tensor:
    """Fill y with (part · share · Σ |x|^power)^(1/power) of every window; share has one number a position."""
    flags = {"POWER": float(power), "WHOLE": int(power) if power in range(1, 9) else 0}
    flags |= {"PART": part, "SHARED": share is not None}
    _run(0, x, y, options, [0] * (x.ndim - 2), x.contiguous(), y if share is None else share.contiguous(), y, **flags)
    return y


def means(
    x: Tensor,
    beta: Tensor,
    log: bool,
    unit: float,
    before: Sequence[int],
    positions: Sequence[int],
    options: Options,
) -> tuple[Tensor, Tensor, Tensor]:
    """Σ x e^(b·x) / Σ e^(b·x) of every window, a b for each channel; what exponents are relative to; their sum.

    With log, (1/b)·log of the mean of e^(b·x) in its place. before are a margin's samples, which have no weight; unit
    is so small a power of two that no sum of samples overflows.
    """
    y, top, total = _three(x, positions)
    _run(1, x, y, options, before, x.contiguous(), beta.contiguous(), y, top, total, UNIT=unit, TERMS=_terms(x, log))
    return y, top, total


def variances(
    x: Tensor, beta: Tensor, found: Sequence[Tensor], log: bool, before: Sequence[int], options: Options
) -> Tensor:
    """How y grows with b: of every window the weighted mean of (x - y)².

    With log, the mean of (1 + e^t (t - 1)) / b², t = b·(x - y): no term is below 0, so a small b loses no digits.
    """
    into = torch.empty_like(found[1])
    seen = [t.contiguous() for t in found]
    _run(2, x, into, options, before, x.contiguous(), beta.contiguous(), *seen, into, TERMS=_terms(x, log))
    return into


def expectations(
    x: Tensor, before: Sequence[int], positions: Sequence[int], options: Options
) -> tuple[Tensor, Tensor, Tensor]:
    """Σ a² / Σ a of every window, a = max(x, 0); what both are relative to, infinite where a sample is; Σ a then."""
    y, top, total = _three(x, positions)
    _run(3, x, y, options, before, x.contiguous(), y, top, total)
    return y, top, total


def _terms(x: Tensor, log: bool) -> int:
    """So many of a series as the kind of sums has digits for; 0 where no logarithm is asked for."""
    return (16 if x.dtype == torch.float64 else 9) if log else 0


def _three(x: Tensor, positions: Sequence[int]) -> list[Tensor]:
    return [x.new_empty(*x.shape[:2], *positions, dtype=shared.SUMS[x.dtype]) for _ in range(3)]


def _run(number: int, x: Tensor, y: Tensor, options: Options, before: Sequence[int], *given: Any, **flags: Any) -> None:
    space = math.prod(y.shape[2:])
    block = shared.power_of_two(space, 32, BLOCK)
    tiles = -(-space // block)
    sizes = tiles, x.shape[1], *shared.four(x.shape[2:], 1), *shared.four(y.shape[2:], 1), *shared.four(before, 0)
    fixed = shared.along("KSD", *options) | {"NDIM": x.ndim - 2, "BLOCK": block, "KIND": shared.sum_kind(x.dtype)}
    fixed |= {"num_warps": min(4, block // 32)}
    shared.launch(_loops()[number], math.prod(y.shape[:2]) * tiles, x, *given, *sizes, **fixed, **flags)


@cache
def _loops() -> tuple[Any, Any, Any, Any]:
    global tl, unravel, sample, expm1, log1p, growth
    import triton
    from triton import language as tl

    unravel = shared.unravel()
    expm1, log1p, growth = series()

    @triton.jit
    def sample(
        t, p0, p1, p2, p3, n0, n1, n2, n3,
        K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
    ):  # fmt: skip
        """Where a window's t-th sample lies, and whether it lies inside."""
        q0, q1 = p0 + t // (K1 * K2 * K3) * D0, p1 + t // (K2 * K3) % K1 * D1
        q2, q3 = p2 + t // K3 % K2 * D2, p3 + t % K3 * D3
        seen = (q0 >= 0) & (q0 < n0) & (q1 >= 0) & (q1 < n1) & (q2 >= 0) & (q2 < n2) & (q3 >= 0) & (q3 < n3)
        return ((q0 * n1 + q1) * n2 + q2) * n3 + q3, seen

    @triton.jit(do_not_specialize=SIZES)
    def norms(
        x, share, y, tiles, channels, n0, n1, n2, n3, o0, o1, o2, o3, b0, b1, b2, b3,
        K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
        NDIM: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr, POWER: tl.constexpr,
        WHOLE: tl.constexpr, PART: tl.constexpr, SHARED: tl.constexpr,
    ):  # fmt: skip
        plane = (tl.program_id(0) // tiles).to(tl.int64)
        j = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
        i0, i1, i2, i3 = unravel(j, o1, o2, o3, NDIM)
        there, space = j < o0 * o1 * o2 * o3, x + plane * (n0 * n1 * n2 * n3)
        top = tl.zeros((BLOCK,), KIND)
        for t in range(K0 * K1 * K2 * K3):
            place, _ = sample(t, i0 * S0, i1 * S1, i2 * S2, i3 * S3, n0, n1, n2, n3, K1, K2, K3, D0, D1, D2, D3)
            v = tl.abs(tl.load(space + place, there, 0.0).to(KIND))
            top = tl.where(v > top, v, top)
        unit = tl.where((top > 0) & (top < float("inf")), top, 1.0)
        total = tl.zeros((BLOCK,), KIND)
        for t in range(K0 * K1 * K2 * K3):
            place, _ = sample(t, i0 * S0, i1 * S1, i2 * S2, i3 * S3, n0, n1, n2, n3, K1, K2, K3, D0, D1, D2, D3)
            ratio = tl.abs(tl.load(space + place, there, 0.0).to(KIND)) / unit
            part = ratio
            if WHOLE > 0:
                for _ in tl.static_range(WHOLE - 1):
                    part = part * ratio
            else:
                some = ratio != 0
                part = tl.where(some, tl.exp(POWER * tl.log(tl.where(some, ratio, 1.0))), 0.0)
            total += part
        some = total != 0
        if PART != 1.0:
            total = total * PART
        if SHARED:
            total = total * tl.load(share + j, there, 1.0).to(KIND)
        root = tl.where(some, total, 1.0)
        if WHOLE == 2:
            root = tl.sqrt(root)
        if WHOLE == 0 or WHOLE > 2:
            root = tl.exp(tl.log(root) / POWER)
        tl.store(y + plane * (o0 * o1 * o2 * o3) + j, tl.where(some, unit * root, 0.0).to(y.dtype.element_ty), there)

    @triton.jit(do_not_specialize=SIZES)
    def means(
        x, beta, y, tops, totals, tiles, channels, n0, n1, n2, n3, o0, o1, o2, o3, b0, b1, b2, b3,
        K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
        NDIM: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr, UNIT: tl.constexpr, TERMS: tl.constexpr,
    ):  # fmt: skip
        plane = (tl.program_id(0) // tiles).to(tl.int64)
        j = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
        i0, i1, i2, i3 = unravel(j, o1, o2, o3, NDIM)
        p0, p1, p2, p3 = i0 * S0 - b0, i1 * S1 - b1, i2 * S2 - b2, i3 * S3 - b3
        there, space = j < o0 * o1 * o2 * o3, x + plane * (n0 * n1 * n2 * n3)
        sharp = tl.load(beta + plane % channels).to(KIND)
        top = tl.full((BLOCK,), float("-inf"), KIND)
        for t in range(K0 * K1 * K2 * K3):
            place, seen = sample(t, p0, p1, p2, p3, n0, n1, n2, n3, K1, K2, K3, D0, D1, D2, D3)
            v = tl.load(space + place, there & seen, 0.0).to(KIND)
            v = tl.where(sharp < 0, -v, v)
            top = tl.where(seen & ((v > top) | (v != v)), v, top)
        top = tl.where(tl.abs(top) == float("inf"), 0.0, top)
        total, weighted = tl.zeros((BLOCK,), KIND), tl.zeros((BLOCK,), KIND)
        short, count = total, total  # how far the sum is below its number of terms: exact where all are nearly alike
        for t in range(K0 * K1 * K2 * K3):
            place, seen = sample(t, p0, p1, p2, p3, n0, n1, n2, n3, K1, K2, K3, D0, D1, D2, D3)
            v = tl.load(space + place, there & seen, 0.0).to(KIND)
            near = tl.where(sharp < 0, -v, v) - top
            gone = ~seen | (near == float("-inf"))
            exponent = tl.abs(sharp) * tl.where(gone, 0.0, near)
            weight = tl.where(gone, 0.0, tl.exp(exponent))
            total += weight
            if TERMS > 0:
                short += tl.where(seen, tl.where(gone, -1.0, expm1(exponent, TERMS)), 0.0)
                count += tl.where(seen, 1.0, 0.0)
            else:
                weighted += weight * (v * UNIT)
        at = plane * (o0 * o1 * o2 * o3) + j
        if TERMS > 0:
            short = short / count
            close = (short > -0.5) & (short <= 0.0)
            mean = tl.where(
                close, log1p(tl.where(close, short, 0.0), TERMS), tl.log(tl.where(close, 1.0, total / count))
            )
            found = tl.where(sharp < 0, -top, top) + mean / sharp
        else:
            found = weighted / (total * UNIT)
        tl.store(y + at, found, there)
        tl.store(tops + at, top, there)
        tl.store(totals + at, total, there)

    @triton.jit(do_not_specialize=SIZES)
    def variances(
        x, beta, y, tops, totals, into, tiles, channels, n0, n1, n2, n3, o0, o1, o2, o3, b0, b1, b2, b3,
        K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
        NDIM: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr, TERMS: tl.constexpr,
    ):  # fmt: skip
        plane = (tl.program_id(0) // tiles).to(tl.int64)
        j = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
        i0, i1, i2, i3 = unravel(j, o1, o2, o3, NDIM)
        p0, p1, p2, p3 = i0 * S0 - b0, i1 * S1 - b1, i2 * S2 - b2, i3 * S3 - b3
        there, space, at = j < o0 * o1 * o2 * o3, x + plane * (n0 * n1 * n2 * n3), plane * (o0 * o1 * o2 * o3) + j
        sharp = tl.load(beta + plane % channels).to(KIND)
        mean, top = tl.load(y + at, there, 0.0).to(KIND), tl.load(tops + at, there, 0.0)
        spread, count = tl.zeros((BLOCK,), KIND), tl.zeros((BLOCK,), KIND)
        for t in range(K0 * K1 * K2 * K3):
            place, seen = sample(t, p0, p1, p2, p3, n0, n1, n2, n3, K1, K2, K3, D0, D1, D2, D3)
            v = tl.load(space + place, there & seen, 0.0).to(KIND)
            if TERMS > 0:
                spread += tl.where(seen, growth(v, mean, sharp, TERMS), 0.0)
                count += tl.where(seen, 1.0, 0.0)
            else:
                weight = tl.exp(tl.abs(sharp) * (tl.where(sharp < 0, -v, v) - top))
                spread += tl.where(seen, weight * (v - mean) * (v - mean), 0.0)
        count = count if TERMS > 0 else tl.load(totals + at, there, 1.0)
        tl.store(into + at, spread / count, there)

    @triton.jit(do_not_specialize=SIZES)
    def expectations(
        x, y, tops, totals, tiles, channels, n0, n1, n2, n3, o0, o1, o2, o3, b0, b1, b2, b3,
        K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
        NDIM: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr,
    ):  # fmt: skip
        plane = (tl.program_id(0) // tiles).to(tl.int64)
        j = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
        i0, i1, i2, i3 = unravel(j, o1, o2, o3, NDIM)
        p0, p1, p2, p3 = i0 * S0 - b0, i1 * S1 - b1, i2 * S2 - b2, i3 * S3 - b3
        there, space, at = j < o0 * o1 * o2 * o3, x + plane * (n0 * n1 * n2 * n3), plane * (o0 * o1 * o2 * o3) + j
        top = tl.zeros((BLOCK,), KIND)
        for t in range(K0 * K1 * K2 * K3):
            place, seen = sample(t, p0, p1, p2, p3, n0, n1, n2, n3, K1, K2, K3, D0, D1, D2, D3)
            v = tl.load(space + place, there & seen, 0.0).to(KIND)
            top = tl.where(v > top, v, top)
        endless = top == float("inf")
        unit = tl.where((top > 0) & ~endless, top, 1.0)
        total, squares = tl.zeros((BLOCK,), KIND), tl.zeros((BLOCK,), KIND)
        for t in range(K0 * K1 * K2 * K3):
            place, seen = sample(t, p0, p1, p2, p3, n0, n1, n2, n3, K1, K2, K3, D0, D1, D2, D3)
            v = tl.load(space + place, there & seen, 0.0).to(KIND)
            part = tl.where(v < 0, 0.0, v) / unit  # a NaN stays
            part = tl.where(endless & (v == v), tl.where(v == top, 1.0, 0.0), part)
            total += part
            squares += part * part
        unit = tl.where(endless, top, unit)
        some = total != 0
        found = tl.where(some, unit * (squares / tl.where(some, total, 1.0)), 0.0)
        tl.store(y + at, found, there)
        tl.store(tops + at, unit, there)
        tl.store(totals + at, total, there)

    return norms, means, variances, expectations
