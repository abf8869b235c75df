"""Sums over boxes, of samples or of powers of their sizes, an axis at a time, and the root of the sum.

A sum of k samples is put together from sums of 1, 4, 16 … that were reached by doubling, as the digits of k to base 4
say. Nothing is ever subtracted, as a running sum would: an error, an infinity or a NaN stays in the windows that see
it. Sums are of float64 throughout, so powers up to 6 of float32 samples neither overflow nor vanish.

Roofline: arithmetic; for k = 31 about nine additions of a float64 an output, and twenty multiplications for a root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import _triton as triton
from sigconv.kernels import _triton_pooling as pooled
from sigconv.kernels import _windows_triton as windows
from sigconv.kernels._axis import Pass, at_hand
from sigconv.kernels._memory import empty
from sigconv.kernels._numba import compiled
from sigconv.kernels._op import custom_op

POWERS = 6  # the highest that a float64 holds of any float32


def box_sums(x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The sum of every window of x (batch, channels, *space), padded already: by the kernel, or its twin."""
    if at_hand(x) or triton.usable(x):
        return _sums(x, list(kernel_size), list(stride), list(dilation))
    return twin(x, kernel_size, stride, dilation)


def norms(x: Tensor, power: int, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """(Σ |x|^power)^(1/power) of every window of a float32 x, power 1 to 6; no gradient."""
    return _norms(x.detach(), power, list(kernel_size), list(stride), list(dilation))


def twin(x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The same sums in torch, by doubling too."""
    for dim in range(2, x.ndim):
        k, s, d = kernel_size[dim - 2], stride[dim - 2], dilation[dim - 2]
        n = x.shape[dim] - d * (k - 1)
        reached, w = 0, 1
        total: Any = None
        while True:
            if k & w:
                part = x.narrow(dim, reached * d, n)
                total = part if total is None else total + part
                reached += w
            if reached == k:
                break
            x = x.narrow(dim, 0, x.shape[dim] - w * d) + x.narrow(dim, w * d, x.shape[dim] - w * d)
            w *= 2
        kept: Any = (*[slice(None)] * dim, slice(None, None, s))
        x = total[kept]
    return x


def _size(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> list[int]:
    rows = zip(x.shape[2:], kernel_size, stride, dilation, strict=True)
    return [*x.shape[:2], *((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in rows)]


@custom_op("box_sums", device="cpu")
def _sums(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    y = empty(_size(x, kernel_size, stride, dilation), x)
    _passes(x, y, 0, kernel_size, stride, dilation)
    return y


@triton.kernel_of(_sums)
def _sums_cuda(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return windows.box(x, kernel_size, stride, dilation)


@_sums.register_fake
def _sums_empty(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return x.new_empty(_size(x, kernel_size, stride, dilation))


def _keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.size, ctx.options = inputs[0].shape[2:], inputs[1:]


def _backward(ctx: Any, g: Tensor) -> tuple:
    """Every sample gets the sum of the gradients of the windows that see it: sums over boxes again."""
    kernel_size, stride, dilation = ctx.options
    if triton.usable(g):
        return pooled.spread(g, list(ctx.size), kernel_size, stride, dilation), None, None, None
    rows = list(zip(ctx.size, g.shape[2:], nd.spans(kernel_size, dilation), stride, strict=True))
    spread = nd.spread(g, stride, [n - span - (p - 1) * s for n, p, span, s in rows])
    around = nd.pad(spread, tuple((span - 1, span - 1) for _, _, span, _ in rows))
    return box_sums(around, kernel_size, [1] * len(rows), dilation), None, None, None


_sums.register_autograd(_backward, setup_context=_keep)


@custom_op("norms", device="cpu")
def _norms(x: Tensor, power: int, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    y = empty(_size(x, kernel_size, stride, dilation), x)
    _passes(x, y, power, kernel_size, stride, dilation)
    return y


@_norms.register_fake
def _norms_empty(x: Tensor, power: int, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return x.new_empty(_size(x, kernel_size, stride, dilation))


def _passes(x: Tensor, y: Tensor, power: int, kernel_size: list[int], stride: list[int], dilation: list[int]) -> None:
    """Axis by axis, the last first; powers are taken by the first pass, the root by the last."""
    if y.numel() == 0:
        return
    seen = x.detach().contiguous().numpy()
    dims = [dim for dim in reversed(range(2, x.ndim)) if kernel_size[dim - 2] > 1 or stride[dim - 2] > 1] or [2]
    for dim in dims:
        shape = list(seen.shape)
        one = Pass.along(shape, dim, kernel_size[dim - 2], stride[dim - 2], dilation[dim - 2])
        shape[dim] = one.out
        into = y.numpy() if dim == dims[-1] else empty(shape, y.new_empty(0, dtype=torch.float64)).numpy()
        _run(one, seen, into, power if dim == dims[0] else 0, power if dim == dims[-1] else 0)
        seen = into


def _run(one: Pass, x: np.ndarray, y: np.ndarray, power: int, root: int) -> None:
    rows, columns = one.tile

    def work(lo: int, hi: int) -> None:
        scratch = np.empty((4, one.room), np.float64)
        guess = scratch[3].view(np.int64)
        compiled(_sum_units)(
            x.reshape(-1), y.reshape(-1), scratch[0], scratch[1], scratch[2], scratch[3], guess, power, root,
            one.n, one.inner, one.out, one.k, one.s, one.d, rows, columns, lo, hi,
        )  # fmt: skip

    one.run(work)


def _sum_units(
    x, y, one, two, total, inverse, guess, power, root, n, inner, out, k, s, d, rows, columns, lo, hi
):  # fmt: skip
    """Powers, sums of four together again and again, what the digits of k ask for, the root. Compiled by numba."""
    tiles, stretches = -(-out // rows), -(-inner // columns)
    for unit in range(lo, hi):
        stretch, rest = unit % stretches, unit // stretches
        p0, j0, o = rest % tiles * rows, stretch * columns, rest // tiles
        r, c = min(rows, out - p0), min(columns, inner - j0)
        count = (r - 1) * s + d * (k - 1) + 1
        start = (o * n + p0 * s) * inner + j0
        lines, line = (1, count * c) if c == inner else (count, c)
        for i in range(lines):
            a, b = x[start + i * inner : start + i * inner + line], one[i * line : (i + 1) * line]
            if power == 2 or power == 3:
                for j in range(line):
                    v = np.float64(abs(a[j]))
                    b[j] = v * v * v if power == 3 else v * v
            else:
                for j in range(line):
                    b[j] = abs(a[j]) if power > 0 else a[j]
        length, whole = count * c, ((r - 1) * s + 1) * c
        if power > 3:
            two[:length] = one[:length]
            for _ in range(power - 1):
                for j in range(length):
                    one[j] *= two[j]
        total[:whole] = 0.0
        w, reached, odd = 1, 0, False
        while True:
            now, then = (two, one) if odd else (one, two)
            for _ in range(k // w % 4):
                part = now[reached * d * c : reached * d * c + whole]
                for j in range(whole):
                    total[j] += part[j]
                reached += w
            if reached == k:
                break
            h = w * d * c
            length -= 3 * h
            a0, a1, a2, a3 = now[:length], now[h : h + length], now[2 * h : 2 * h + length], now[3 * h : 3 * h + length]
            for j in range(length):
                then[j] = (a0[j] + a1[j]) + (a2[j] + a3[j])
            odd = not odd
            w *= 4
        if root == 2:
            for j in range(whole):
                total[j] = np.sqrt(total[j])
        elif root > 2:  # z = total^(-1/root) from its exponent, by Newton's steps without division
            bits, ratio, unity = total.view(np.int64), 1.0 / root, 4607182418800017408.0
            for j in range(whole):
                guess[j] = np.int64((1.0 + ratio) * unity - 1.5e14 - bits[j] * ratio)
            for j in range(whole if root == 3 else 0):
                z, v = inverse[j], total[j]
                z += z * (1.0 - v * z * z * z) * ratio
                z += z * (1.0 - v * z * z * z) * ratio
                z += z * (1.0 - v * z * z * z) * ratio
                z += z * (1.0 - v * z * z * z) * ratio
                inverse[j] = z
            for _ in range(4 if root > 3 else 0):
                for j in range(whole):
                    two[j] = inverse[j] * inverse[j]
                for _ in range(root - 2):
                    for j in range(whole):
                        two[j] *= inverse[j]
                for j in range(whole):
                    inverse[j] += inverse[j] * (1.0 - total[j] * two[j]) * ratio
            two[:whole] = inverse[:whole]
            for _ in range(root - 2):
                for j in range(whole):
                    two[j] *= inverse[j]
            for j in range(whole):
                inverse[j] = total[j] * two[j]
            for j in range(whole):  # 0, infinity and NaN are their own roots
                v = total[j]
                total[j] = inverse[j] if (v > 0.0) & (v < np.inf) else v
        lines, line = (1, r * c) if c == inner and s == 1 else (r, c)
        for i in range(lines):
            to, at = (o * out + p0 + i) * inner + j0, i * s * c
            a, b = total[at : at + line], y[to : to + line]
            for j in range(line):
                b[j] = a[j]
