# ruff: noqa: N803 - what a kernel is compiled for stands in capitals
"""Functions for kernels that lose no digits near zero, where Triton has none: made of sums and products alone."""

from __future__ import annotations

from functools import cache
from typing import Any

tl: Any = None  # Triton's language, once a kernel is asked for


@cache
def series() -> tuple[Any, Any, Any]:
    """expm1(e) for e up to 0, log1p(s) for s from -0.5 to 0, and growth(v, mean, b); 9 terms are enough for float32,
    16 for float64.
    """
    global tl
    import triton
    from triton import language as tl

    @triton.jit
    def expm1(e, TERMS: tl.constexpr):
        """Near 0 e · (1 + e/2 · (1 + e/3 · (…)))."""
        near = e > -0.5
        few = tl.where(near, e, 0.0)
        total = few * 0.0 + 1.0
        for i in tl.static_range(TERMS - 1):
            total = total * few * (1.0 / (TERMS - i)) + 1.0
        return tl.where(near, few * total, tl.exp(e) - 1.0)

    @triton.jit
    def log1p(s, TERMS: tl.constexpr):
        """2 artanh z = 2 z (1 + z²/3 + z⁴/5 + …), z = s / (2 + s)."""
        z = s / (2.0 + s)
        total = z * 0.0
        for i in tl.static_range(TERMS):
            total = total * (z * z) + 1.0 / (2 * (TERMS - i) - 1)
        return 2.0 * z * total

    @triton.jit
    def growth(v, mean, sharp, TERMS: tl.constexpr):
        """(1 + e^t (t - 1)) / b², t = b·(v - mean): near 0 (v - mean)² · (1/2 + t/3 + t²/8 + …)."""
        far = v - mean
        t = sharp * far
        near = tl.abs(t) < 0.5
        few = tl.where(near, t, 0.0)
        total = few * 0.0
        term = few * 0.0 + 0.5
        for k in tl.static_range(2, TERMS + 2):
            total += term
            term = term * few * (k / ((k + 1) * (k - 1)))
        gone = t == float("-inf")
        some = tl.where(near | gone, 0.0, t)
        wide = tl.where(gone, 1.0, 1.0 + tl.exp(some) * (some - 1.0)) / sharp / sharp
        return tl.where(near, far * far * total, wide)

    return expm1, log1p, growth
