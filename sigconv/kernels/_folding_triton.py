# ruff: noqa: N803 - what a kernel is compiled for stands in capitals
"""A spectrum times filters' spectra, folded, on CUDA: one read of the spectrum for several filters, one write of bins.

A program has a block of a row's folded bins and FILTERS filters. For each bin it goes through those that a stride makes
one of it: along the last axis a value times its line, a sum of these times the line of the axis before, and so on, so
that a value of the spectrum takes one multiplication a filter and lines of all other axes next to none.

Roofline: memory. 39 filters on 160^3 complex64, a spectrum of 33 MB, folded by 4: 20 MB out; 53 MB, 12 µs, and four
more reads of the spectrum from the second cache, which has it; 160e6 products of complex numbers, 0.64e9 of 33e12
multiplications/s, 19 µs, lines' reads from the first cache 1.3e9 numbers of 7.4e12/s, 170 µs, a third of it by eight
filters to a value. Predicted 60 to 200 µs; unfolded 1.3 GB out, 0.3 ms, which the inverse transforms read again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sigconv.kernels import _triton as shared

tl: Any = None  # Triton's language and kernels' helpers, once a kernel is asked for
unravel: Any = None
pair: Any = None
BLOCKS = ((8, 128, 4), (4, 128, 4), (4, 256, 4), (16, 128, 8))  # filters, bins, warps
DOUBLES = ((4, 128, 4), (8, 128, 8))  # half as many a thread: their sums take two registers each
SIZES = ["filters", "tiles", "n0", "n1", "n2", "n3", "m0", "m1", "m2", "m3", "e0", "e1", "e2", "e3"]


def run(spectrum: Tensor, found: Sequence[Tensor], y: Tensor, fold: Sequence[int], lines: bool) -> None:
    """Fill y (rows, filters, *folded) from a spectrum (rows, *period) and lines for each axis, or whole spectra."""
    if y.numel() == 0:
        return
    ndim, filters = len(fold), y.shape[1]
    ends = [line.shape[2] for line in found] if lines else list(found[0].shape[1:])
    pairs = [torch.view_as_real(t) for t in (spectrum, *[found[0]] * (shared.AXES - len(found)), *found, y)]
    sizes = *shared.four(spectrum.shape[1:], 1), *shared.four(y.shape[2:], 1), *shared.four(ends, 1)
    fixed = {"NDIM": ndim, "LINES": lines, "RANK": found[0].shape[1] if lines else 1, "SCALE": 1 / math.prod(fold)}
    fixed |= {f"S{axis}": s for axis, s in enumerate(shared.four(fold, 1))} | {"KIND": shared.sum_kind(pairs[0].dtype)}
    space = math.prod(y.shape[2:])

    def fold_by(configuration: tuple[int, int, int]) -> None:
        together, block, warps = configuration
        together, block = shared.power_of_two(filters, 1, together), shared.power_of_two(space, 32, block)
        tiles = -(-space // block)
        programs = y.shape[0] * tiles * -(-filters // together)
        options = {"FILTERS": together, "BLOCK": block, "num_warps": min(warps, together * block // 32)}
        shared.launch(_loop(), programs, spectrum, *pairs, filters, tiles, *sizes, **fixed, **options)

    key = spectrum.dtype, ndim, *fold, lines, fixed["RANK"], filters, space.bit_length()
    blocks = DOUBLES if pairs[0].dtype == torch.float64 else BLOCKS
    fold_by(shared.chosen("folding", key, pairs[0], blocks, fold_by))


@cache
def _loop() -> Any:
    global tl, unravel, pair
    import triton
    from triton import language as tl

    unravel = shared.unravel()

    @triton.jit
    def pair(t, at, there):
        """A complex number's two parts."""
        return tl.load(t + 2 * at, there, 0.0), tl.load(t + 2 * at + 1, there, 0.0)

    @triton.jit(do_not_specialize=SIZES)
    def folded(
        spectrum, h0, h1, h2, h3, y, filters, tiles, n0, n1, n2, n3, m0, m1, m2, m3, e0, e1, e2, e3,
        S0: tl.constexpr, S1: tl.constexpr, S2: tl.constexpr, S3: tl.constexpr,
        NDIM: tl.constexpr, LINES: tl.constexpr, RANK: tl.constexpr, SCALE: tl.constexpr, KIND: tl.constexpr,
        FILTERS: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        groups = (filters + FILTERS - 1) // FILTERS  # next to each other: they read the same bins
        f = (tl.program_id(0) % groups * FILTERS + tl.arange(0, FILTERS)).to(tl.int64)[:, None]
        tile, row = tl.program_id(0) // groups % tiles, (tl.program_id(0) // groups // tiles).to(tl.int64)
        j = tile * BLOCK + tl.arange(0, BLOCK)
        i0, i1, i2, i3 = unravel(j, m1, m2, m3, NDIM)
        inside = j < m0 * m1 * m2 * m3
        there, space = inside[None, :] & (f < filters), spectrum + row * (2 * n0 * n1 * n2 * n3)
        real, imaginary = tl.zeros((FILTERS, BLOCK), KIND), tl.zeros((FILTERS, BLOCK), KIND)
        for r in range(RANK):
            line = f * RANK + r
            for a0 in range(S0):
                q0 = i0 + a0 * m0
                re0, im0 = tl.zeros((FILTERS, BLOCK), KIND), tl.zeros((FILTERS, BLOCK), KIND)
                for a1 in range(S1):
                    q1 = i1 + a1 * m1
                    re1, im1 = tl.zeros((FILTERS, BLOCK), KIND), tl.zeros((FILTERS, BLOCK), KIND)
                    for a2 in range(S2):
                        q2 = i2 + a2 * m2
                        re2, im2 = tl.zeros((FILTERS, BLOCK), KIND), tl.zeros((FILTERS, BLOCK), KIND)
                        for a3 in range(S3):
                            q3 = i3 + a3 * m3
                            a, b = pair(space, ((q0 * n1 + q1) * n2 + q2) * n3 + q3, inside)
                            a, b = a[None, :], b[None, :]
                            if LINES:
                                c, d = pair(h3, line * e3 + q3[None, :], there)
                            else:
                                at = ((q0 * e1 + q1) * e2 + q2) * e3 + q3
                                c, d = pair(h3, f * e0 * e1 * e2 * e3 + at[None, :], there)
                            re2 += a * c
                            re2 -= b * d
                            im2 += a * d
                            im2 += b * c
                        if LINES and NDIM > 1:
                            c, d = pair(h2, line * e2 + q2[None, :], there)
                            re2, im2 = re2 * c - im2 * d, re2 * d + im2 * c
                        re1 += re2
                        im1 += im2
                    if LINES and NDIM > 2:
                        c, d = pair(h1, line * e1 + q1[None, :], there)
                        re1, im1 = re1 * c - im1 * d, re1 * d + im1 * c
                    re0 += re1
                    im0 += im1
                if LINES and NDIM > 3:
                    c, d = pair(h0, line * e0 + q0[None, :], there)
                    re0, im0 = re0 * c - im0 * d, re0 * d + im0 * c
                real += re0
                imaginary += im0
        at = (row * filters + f) * (m0 * m1 * m2 * m3) + j[None, :]
        tl.store(y + 2 * at, real * SCALE, there)
        tl.store(y + 2 * at + 1, imaginary * SCALE, there)

    return folded
