# ruff: noqa: N803 - what a kernel is compiled for stands in capitals
"""The way back through a pooling's windows on CUDA: every sample gathers from the windows that see it.

Nothing is added to memory by two programs at once, so the order of a sum, and with it its bits, is the same in every
run; torch scatters the gradient of a largest sample by atomic additions. What a window gives a sample:

    sums            g
    largest, drawn  g where the sample is the one found
    norms           g · (|v| / y)^(p-1) · sign v
    soft means      g · e^(|b|·(±v - top)) / total · (1 + b · (v - y))
    logs            g · e^(|b|·(±v - top)) / total
    expectations    g · (2 v/top - y/top) / total where v is not below 0

Of a sample's windows those are tried that may see it: ceil(reach / stride) an axis, or its taps where these are fewer.

Roofline: memory. (8, 32, 64^3) float32, k = 3, stride 2: 268 MB out, 34 MB a tensor of windows in, and x: 80 µs for a
largest, 140 for norms and soft means; up to 8 reads a sample and tensor from the first cache, 0.5e9 to 2e9 of
7.4e12/s, predicted 80 to 250 µs. Stride 1, k = 3: 27 reads a sample and tensor, 0.25 to 1 ms, they bind.

Blocks: 256 samples of four warps, flat over all axes, as in _windows_triton: neighbours ask for the same windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from torch import Tensor

from sigconv.kernels import _triton as shared
from sigconv.kernels._windows_triton import Options, passes

tl: Any = None  # Triton's language and kernels' helpers, once a kernel is asked for
unravel: Any = None
met: Any = None
BLOCK = 256
SUM, PLACE, NORM, SOFT, LOG, EXPECTED = range(6)
SIZES = ["tiles", "channels", "n0", "n1", "n2", "n3", "o0", "o1", "o2", "o3", "b0", "b1", "b2", "b3"]


def sums(g: Tensor, size: Sequence[int], options: Options) -> Tensor:
    """Every sample's sum of the gradients of windows that see it; an axis at a time where they are many."""
    for only in passes(*options):
        axes = [axis for axis, (k, s) in enumerate(zip(*only[:2], strict=True)) if k > 1 or s > 1]
        axes = axes if len(axes) == 1 and len(only[0]) > 1 else list(range(len(size)))
        grown = [n if axis in axes else m for axis, (n, m) in enumerate(zip(size, g.shape[2:], strict=True))]
        g = _run(SUM, g, grown, only)
    return g


def places(g: Tensor, where: Tensor, size: Sequence[int], options: Options) -> Tensor:
    """Every sample's sum of the gradients of windows that found it, at `where` in the flattened space."""
    return _run(PLACE, g, size, options, one=where)


def norms(g: Tensor, x: Tensor, y: Tensor, power: float, options: Options) -> Tensor:
    """The gradient of the windows' norms y of x."""
    return _run(NORM, g, x.shape[2:], options, x=x, one=y, power=power)


def soft(
    g: Tensor, x: Tensor, beta: Tensor, found: Sequence[Tensor], log: bool, before: Sequence[int], options: Options
) -> Tensor:
    """The gradient of the windows' soft means, or logs, found = (y, top, total); a beta for each channel."""
    one, two, three = found
    mode = LOG if log else SOFT
    return _run(mode, g, x.shape[2:], options, x=x, one=one, two=two, three=three, beta=beta, before=before)


def expected(g: Tensor, x: Tensor, found: Sequence[Tensor], before: Sequence[int], options: Options) -> Tensor:
    """The gradient of the windows' expectations, found = (y, top, total)."""
    one, two, three = found
    return _run(EXPECTED, g, x.shape[2:], options, x=x, one=one, two=two, three=three, before=before)


def _run(
    mode: int,
    g: Tensor,
    size: Sequence[int],
    options: Options,
    *,
    x: Tensor | None = None,
    one: Tensor | None = None,
    two: Tensor | None = None,
    three: Tensor | None = None,
    beta: Tensor | None = None,
    before: Sequence[int] | None = None,
    power: float = 1.0,
) -> Tensor:
    into, g = g.new_empty(*g.shape[:2], *size, dtype=g.dtype if x is None else x.dtype), g.contiguous()
    space = math.prod(size)
    block = shared.power_of_two(space, 32, BLOCK)
    tiles = -(-space // block)
    tensors = [g if t is None else t.contiguous() for t in (x, one, two, three, beta)]
    sizes = tiles, g.shape[1], *shared.four(size, 1), *shared.four(g.shape[2:], 1), *shared.four(before or [], 0)
    fixed = shared.along("KSD", *options) | {"NDIM": g.ndim - 2, "BLOCK": block, "MODE": mode, "POWER": float(power)}
    fixed |= {
        "WHOLE": int(power) if power in range(1, 9) else 0,
        "KIND": shared.sum_kind(g.dtype),
        "num_warps": min(4, block // 32),
    }
    shared.launch(_loop(), math.prod(g.shape[:2]) * tiles, g, g, into, *tensors, *sizes, **fixed)
    return into


@cache
def _loop() -> Any:
    global tl, unravel, met
    import triton
    from triton import language as tl

    unravel = shared.unravel()

    @triton.jit
    def met(q, u, o, K: tl.constexpr, S: tl.constexpr, D: tl.constexpr):
        """The u-th window that may see position q, and whether it does."""
        if D * (K - 1) // S + 1 <= K:
            w = q // S - u
            t = q - w * S
            seen = (w >= 0) & (w < o) & (t <= D * (K - 1)) & (t % D == 0)
        else:
            t = q - u * D
            w = t // S
            seen = (t >= 0) & (t % S == 0) & (w < o)
        return w, seen

    @triton.jit(do_not_specialize=SIZES)
    def back(
        g, into, x, one, two, three, beta, tiles, channels, n0, n1, n2, n3, o0, o1, o2, o3, b0, b1, b2, b3,
        K0: tl.constexpr, K1: tl.constexpr, K2: tl.constexpr, K3: tl.constexpr,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr,
        NDIM: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr, MODE: tl.constexpr,
        POWER: tl.constexpr, WHOLE: tl.constexpr,
    ):  # fmt: skip
        plane = (tl.program_id(0) // tiles).to(tl.int64)
        j = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
        i0, i1, i2, i3 = unravel(j, n1, n2, n3, NDIM)
        there, at, windows = j < n0 * n1 * n2 * n3, plane * (n0 * n1 * n2 * n3) + j, plane * (o0 * o1 * o2 * o3)
        total = tl.zeros((BLOCK,), KIND)
        v, size, sharp = total, total, total
        if MODE >= 2:
            v = tl.load(x + at, there, 0.0).to(KIND)
            size = tl.abs(v)
        if (MODE == 3) | (MODE == 4):
            sharp += tl.load(beta + plane % channels).to(KIND)
            size = tl.where(sharp < 0, -v, v)
        for u0 in range(min(K0, D0 * (K0 - 1) // S0 + 1)):
            w0, seen0 = met(i0 + b0, u0, o0, K0, S0, D0)
            for u1 in range(min(K1, D1 * (K1 - 1) // S1 + 1)):
                w1, seen1 = met(i1 + b1, u1, o1, K1, S1, D1)
                for u2 in range(min(K2, D2 * (K2 - 1) // S2 + 1)):
                    w2, seen2 = met(i2 + b2, u2, o2, K2, S2, D2)
                    for u3 in range(min(K3, D3 * (K3 - 1) // S3 + 1)):
                        w3, seen3 = met(i3 + b3, u3, o3, K3, S3, D3)
                        seen = there & seen0 & seen1 & seen2 & seen3
                        w = windows + ((w0 * o1 + w1) * o2 + w2) * o3 + w3
                        slope = tl.load(g + w, seen, 0.0).to(KIND)
                        if MODE == 1:
                            seen = seen & (tl.load(one + w, seen, -1) == j)
                        if MODE == 2:
                            y = tl.load(one + w, seen, 0.0).to(KIND)
                            some = (y != 0) & (size != 0)
                            ratio = tl.where(some, size / tl.where(some, y, 1.0), 1.0)
                            part = tl.where(v < 0, -slope, slope)
                            if WHOLE > 0:
                                for _ in tl.static_range(WHOLE - 1):
                                    part = part * ratio
                            else:
                                part = part * tl.exp((POWER - 1.0) * tl.log(ratio))
                            slope = tl.where(some, part, 0.0)
                        if MODE >= 3:
                            y = tl.load(one + w, seen, 0.0).to(KIND)
                            top = tl.load(two + w, seen, 1.0).to(KIND)
                            whole = tl.load(three + w, seen, 1.0).to(KIND)
                        if (MODE == 3) | (MODE == 4):
                            part = tl.exp(tl.abs(sharp) * (size - top)) / whole
                            if MODE == 3:
                                part = part * (1.0 + sharp * (v - y))
                            slope = tl.where(size == float("-inf"), 0.0, slope * part)
                        if MODE == 5:
                            seen = seen & (v >= 0) & (whole != 0) & (top != float("inf"))
                            slope = slope * ((2.0 * (v / top) - y / top) / tl.where(whole != 0, whole, 1.0))
                        total += tl.where(seen, slope, 0.0)
        tl.store(into + at, total.to(into.dtype.element_ty), there)

    return back
