"""The largest of every window, an axis at a time, and where it was: the first of equals, the last of NaNs, as torch.

A box's maximum is that of its rows' maxima, and a row's is reached by doubling, so a window of k^N samples takes
N·log(k) comparisons in place of k^N. With the last axis first and the earlier of two equals kept, the sample found is
the first in the order of memory.

Roofline: memory, a read and a write per axis; the comparisons of k = 31 take about as long again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv.kernels import _triton as triton
from sigconv.kernels import _triton_pooling as pooled
from sigconv.kernels import _windows_triton as windows
from sigconv.kernels._axis import Pass, at_hand
from sigconv.kernels._doubling import CACHED, in_cache
from sigconv.kernels._memory import empty
from sigconv.kernels._numba import compiled
from sigconv.kernels._op import custom_op
from sigconv.kernels._threads import share


def largest(x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The largest of every window of x (batch, channels, *space), padded already: by the kernel, or its twin.

    The gradient goes to the sample that places() names.
    """
    if at_hand(x) or triton.usable(x):
        return _largest(x, list(kernel_size), list(stride), list(dilation))
    where = twin(x.detach(), kernel_size, stride, dilation)
    return x.flatten(2).gather(2, where.flatten(2)).reshape(where.shape)


def places(x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The index of every window's largest in the flattened space, int64."""
    x = x.detach()
    if at_hand(x) or triton.usable(x):
        return _places(x, list(kernel_size), list(stride), list(dilation))
    return twin(x, kernel_size, stride, dilation)


def twin(x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The same places in torch, by the same doubling."""
    where = torch.arange(math.prod(x.shape[2:]), device=x.device).reshape(x.shape[2:]).expand(x.shape)
    for dim in reversed(range(2, x.ndim)):
        k, s, d = kernel_size[dim - 2], stride[dim - 2], dilation[dim - 2]
        w = 1
        while w < k:
            step = min(w, k - w)
            x, where = _later(x, where, dim, step * d)
            w += step
        kept: Any = (*[slice(None)] * dim, slice(None, None, s))
        x, where = x[kept], where[kept]
    return where


def _later(x: Tensor, where: Tensor, dim: int, shift: int) -> tuple[Tensor, Tensor]:
    """Of each sample and the one so many after it, the larger; the later of two only where it is more, or NaN."""
    n = x.shape[dim] - shift
    early, late = x.narrow(dim, 0, n), x.narrow(dim, shift, n)
    take = (late > early) | (late != late)
    return torch.where(take, late, early), torch.where(take, where.narrow(dim, shift, n), where.narrow(dim, 0, n))


def _size(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> list[int]:
    rows = zip(x.shape[2:], kernel_size, stride, dilation, strict=True)
    return [*x.shape[:2], *((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in rows)]


@custom_op("largest", device="cpu")
def _largest(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    if max(kernel_size) == 1 and max(stride) == 1:
        return x.clone()
    y = empty(_size(x, kernel_size, stride, dilation), x)
    if y.numel() == 0:
        return y
    seen = x.detach().contiguous()
    if x.ndim > 3 and max(stride) == 1 and math.prod(x.shape[2:]) <= CACHED:
        in_cache(seen.flatten(0, 1), kernel_size, dilation, y.flatten(0, 1))
        return y
    dims = [dim for dim in reversed(range(2, x.ndim)) if kernel_size[dim - 2] > 1 or stride[dim - 2] > 1]
    for dim in dims:
        shape = [*seen.shape]
        one = Pass.along(shape, dim, kernel_size[dim - 2], stride[dim - 2], dilation[dim - 2])
        shape[dim] = one.out
        into = y if dim == dims[-1] else empty(shape, x)
        _run(one, seen.numpy(), into.numpy())
        seen = into
    return y


@triton.kernel_of(_largest)
def _largest_cuda(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return windows.largest(x, kernel_size, stride, dilation, places=False)[0]


@_largest.register_fake
def _largest_empty(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return x.new_empty(_size(x, kernel_size, stride, dilation))


def _keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.options = inputs[1:]


def _backward(ctx: Any, g: Tensor) -> tuple:
    """Where the largest were is found anew: nothing is kept but the input."""
    (x,) = ctx.saved_tensors
    where = places(x, *ctx.options)
    if triton.usable(g):  # no two threads add to one sample, as torch's scatter_add has them do
        return pooled.put(g, where, list(x.shape[2:]), *ctx.options), None, None, None
    flat = g.flatten(2).contiguous(), where.flatten(2), math.prod(x.shape[2:])
    spread = _put_back(*flat) if at_hand(g) else g.new_zeros(*x.shape[:2], flat[2]).scatter_add(2, flat[1], flat[0])
    return spread.reshape(x.shape), None, None, None


_largest.register_autograd(_backward, setup_context=_keep)


@custom_op("put_back", device="cpu")
def _put_back(g: Tensor, where: Tensor, room: int) -> Tensor:
    """The adjoint of gather along the last axis: what has the same place adds up, in the order of memory."""
    spread = empty((*g.shape[:2], room), g)
    into, seen, at = (t.detach().numpy().reshape(-1, t.shape[-1]) for t in (spread, g.contiguous(), where.contiguous()))
    share(lambda lo, hi: compiled(_put_units)(into, seen, at, lo, hi), into.shape[0])
    return spread


@_put_back.register_fake
def _put_back_empty(g: Tensor, where: Tensor, room: int) -> Tensor:
    return g.new_empty(*g.shape[:2], room)


_put_back.register_autograd(
    lambda ctx, g: (g.gather(2, ctx.saved_tensors[0]), None, None),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[1]),
)


@custom_op("largest_places", device="cpu")
def _places(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    if 0 in (size := _size(x, kernel_size, stride, dilation)):
        return x.new_empty(size, dtype=torch.long)
    seen: Any = x.contiguous().numpy()
    where: Any = np.zeros(1, np.int32)
    for dim in reversed(range(2, x.ndim)):
        shape = list(seen.shape)
        one = Pass.along(shape, dim, kernel_size[dim - 2], stride[dim - 2], dilation[dim - 2])
        shape[dim] = one.out
        value, found = empty(shape, x).numpy(), np.empty(shape, np.int64 if dim == 2 else np.int32)
        _run_places(one, seen, where, value, found, math.prod(x.shape[dim + 1 :]))
        seen, where = value, found
    return torch.from_numpy(where)


@triton.kernel_of(_places)
def _places_cuda(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return windows.largest(x, kernel_size, stride, dilation, places=True)[1]


@_places.register_fake
def _places_empty(x: Tensor, kernel_size: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    return x.new_empty(_size(x, kernel_size, stride, dilation), dtype=torch.long)


def _run(one: Pass, x: np.ndarray, y: np.ndarray) -> None:
    rows, columns = one.tile

    def work(lo: int, hi: int) -> None:
        scratch = np.empty((2, one.room), x.dtype)
        compiled(_max_units)(
            x.reshape(-1), y.reshape(-1), scratch[0], scratch[1], one.n, one.inner, one.out, one.k, one.s, one.d,
            rows, columns, lo, hi,
        )  # fmt: skip

    one.run(work)


def _run_places(one: Pass, x: np.ndarray, where: np.ndarray, y: np.ndarray, found: np.ndarray, step: int) -> None:
    rows, columns = one.tile

    def work(lo: int, hi: int) -> None:
        values, numbers = np.empty((2, one.room), x.dtype), np.empty((2, one.room), np.int32)
        compiled(_place_units)(
            x.reshape(-1), where.reshape(-1), y.reshape(-1), found.reshape(-1), values[0], values[1], numbers[0],
            numbers[1], step, one.n, one.inner, one.out, one.k, one.s, one.d, rows, columns, lo, hi,
        )  # fmt: skip

    one.run(work)


def _put_units(into, g, where, lo, hi):
    """Compiled by numba."""
    for unit in range(lo, hi):
        row, seen, at = into[unit], g[unit], where[unit]
        row[:] = 0
        for i in range(at.size):
            row[at[i]] += seen[i]


def _max_units(x, y, one, two, n, inner, out, k, s, d, rows, columns, lo, hi):
    """Four neighbours into one until a window is nearly reached, then what is left of it. Compiled by numba."""
    tiles, stretches = -(-out // rows), -(-inner // columns)
    for unit in range(lo, hi):
        stretch, rest = unit % stretches, unit // stretches
        p0, j0, o = rest % tiles * rows, stretch * columns, rest // tiles
        r, c = min(rows, out - p0), min(columns, inner - j0)
        count = (r - 1) * s + d * (k - 1) + 1
        start = (o * n + p0 * s) * inner + j0
        straight = c == inner and k > 1  # read where it lies
        for i in range(0 if straight else count):
            one[i * c : (i + 1) * c] = x[start + i * inner : start + i * inner + c]
        w, length, odd = 1, count * c, False
        while 4 * w <= k:
            now, then = (two, one) if odd else (one, two)  # chosen anew: swapped names would not be vectorised
            if straight and w == 1:
                now = x[start : start + length]
            h = w * d * c
            length -= 3 * h
            a0, a1, a2, a3 = now[:length], now[h : h + length], now[2 * h : 2 * h + length], now[3 * h : 3 * h + length]
            for j in range(length):
                v0, v1, v2, v3 = a0[j], a1[j], a2[j], a3[j]
                v = v1 if (v1 > v0) | (v1 != v1) else v0
                u = v3 if (v3 > v2) | (v3 != v3) else v2
                then[j] = u if (u > v) | (u != u) else v
            odd = not odd
            w *= 4
        now = two if odd else one
        if straight and w == 1:
            now = x[start : start + length]
        final = (k - w) * d * c
        h1, h2 = min(w * d * c, final), min(2 * w * d * c, final)
        whole = s == 1 and c == inner
        for i in range(1 if whole else r):
            at, m = i * s * c, r * c if whole else c
            to = (o * out + p0 + i) * inner + j0
            b = y[to : to + m]
            a0, a1, a2, a3 = now[at : at + m], now[at + h1 :], now[at + h2 :], now[at + final :]
            if k <= 2 * w:
                for j in range(m):
                    v0, v3 = a0[j], a3[j]
                    b[j] = v3 if (v3 > v0) | (v3 != v3) else v0
            else:
                for j in range(m):
                    v0, v1, v2, v3 = a0[j], a1[j], a2[j], a3[j]
                    v = v1 if (v1 > v0) | (v1 != v1) else v0
                    u = v3 if (v3 > v2) | (v3 != v3) else v2
                    b[j] = u if (u > v) | (u != u) else v


def _place_units(
    x, where, y, found, one, two, first, second, step, n, inner, out, k, s, d, rows, columns, lo, hi
):  # fmt: skip
    """The same two by two, with the index of each in the flattened space. Compiled by numba."""
    tiles, stretches = -(-out // rows), -(-inner // columns)
    for unit in range(lo, hi):
        stretch, rest = unit % stretches, unit // stretches
        p0, j0, o = rest % tiles * rows, stretch * columns, rest // tiles
        r, c = min(rows, out - p0), min(columns, inner - j0)
        count = (r - 1) * s + d * (k - 1) + 1
        if step == 1:  # the last axis, or only axes of one sample behind it
            start = o * n + p0 * s
            one[:count] = x[start : start + count]
            for i in range(count):
                first[i] = p0 * s + i
        for i in range(count if step > 1 else 0):
            start = (o * n + p0 * s + i) * inner + j0
            one[i * c : (i + 1) * c] = x[start : start + c]
            seen, into, at = where[start : start + c], first[i * c : (i + 1) * c], (p0 * s + i) * step
            for j in range(c):
                into[j] = seen[j] + at
        w, length, odd = 1, count * c, False
        while w < k:
            now, then, place, spare = (two, one, second, first) if odd else (one, two, first, second)
            h = min(w, k - w) * d * c
            length -= h
            a, b, e, f = now[:length], now[h : h + length], place[:length], place[h : h + length]
            for j in range(length):
                v0, v1, e0, e1 = a[j], b[j], e[j], f[j]
                late = (v1 > v0) | (v1 != v1)
                then[j] = v1 if late else v0
                spare[j] = e1 if late else e0
            odd = not odd
            w = min(2 * w, k)
        now, place = (two, second) if odd else (one, first)
        lines, line = (1, r * c) if c == inner and s == 1 else (r, c)
        for i in range(lines):
            to, at = (o * out + p0 + i) * inner + j0, i * s * c
            a, b, e, f = now[at : at + line], y[to : to + line], place[at : at + line], found[to : to + line]
            for j in range(line):
                b[j], f[j] = a[j], e[j]
