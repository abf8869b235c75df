"""Direct convolution of few channels: every tap adds a shifted copy of the input, weighted, whatever the axes.

The padded input of a slab is laid out flat in cache; a tap is then an offset into it, and one loop over neighbouring
outputs serves any number of axes:

    y[j] = bias + Σ_t w[t] · padded[j + offset[t]]

What is computed between the ends of rows is thrown away. Stride is 1 (a strided layer would throw most away).

Roofline, one thread: a tap is one load and one fused multiply-add of 8 floats, and loads across cache lines bind.
Measured on a Xeon: 25 GMAC/s at 255 taps; 31 taps over 9.6 M samples take 30 ms, of which 12 are these sums.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import _taps_triton, precise
from sigconv.kernels import _triton as triton
from sigconv.kernels._adjoint import inverted, tied_sum
from sigconv.kernels._layout import TILE, Layout
from sigconv.kernels._memory import empty
from sigconv.kernels._numba import compiled, numba_at_hand
from sigconv.kernels._op import custom_op
from sigconv.kernels._state import transformed
from sigconv.kernels._threads import share


def usable(x: Tensor) -> bool:
    """Whether the kernel takes this tensor: float32 or float64 on a CPU, with numba."""
    return x.dtype in (torch.float32, torch.float64) and x.device.type == "cpu" and numba_at_hand()


def shifted_sums(
    x: Tensor, weight: Tensor, bias: Tensor | None, margins: nd.Margins, dilation: tuple[int, ...]
) -> Tensor:
    """Convolution at stride 1 with margins of zeros, by the kernel where it is usable and by its twin elsewhere."""
    before, after = ([pair[side] for pair in margins] for side in (0, 1))
    if not triton.usable(x, weight, bias) and (not usable(x) or transformed(x, weight, bias)):
        return twin(x, weight, bias, before, after, list(dilation))
    return _op(x, weight, bias, before, after, list(dilation))


def twin(
    x: Tensor, weight: Tensor, bias: Tensor | None, before: list[int], after: list[int], dilation: list[int]
) -> Tensor:
    """The same sum in torch: one shifted copy of the input after the other."""
    x = nd.pad(x, tuple(zip(before, after, strict=True)))
    groups = x.shape[1] // weight.shape[1]
    kernel_size = weight.shape[2:]
    sizes = _sizes(x, weight, dilation)
    x = x.unflatten(1, (groups, -1))
    filters = weight.unflatten(0, (groups, -1))
    zeros = x.new_zeros(x.shape[0], weight.shape[0], *sizes)
    y = zeros if bias is None else zeros + nd.per_channel(bias, len(sizes))
    for tap in itertools.product(*map(range, kernel_size)):
        window: Any = (..., *(slice(t * d, t * d + n) for t, d, n in zip(tap, dilation, sizes, strict=True)))
        place: Any = (..., *tap)
        y = y + torch.einsum("bgc...,goc->bgo...", x[window], filters[place]).flatten(1, 2)
    return y


def _sizes(padded: Tensor, weight: Tensor, dilation: list[int]) -> list[int]:
    return [n - span + 1 for n, span in zip(padded.shape[2:], nd.spans(weight.shape[2:], dilation), strict=True)]


@custom_op("shifted_sums", device="cpu")
def _op(
    x: Tensor, weight: Tensor, bias: Tensor | None, before: list[int], after: list[int], dilation: list[int]
) -> Tensor:
    y = empty(_size(x, weight, before, after, dilation), x)
    if y.numel():
        flat = None if bias is None else bias.detach().contiguous().numpy()
        lay = Layout(tuple(x.shape), tuple(weight.shape), before, after, dilation, x.element_size())
        _run(lay, x.detach().contiguous().numpy(), weight.detach().contiguous().numpy(), flat, y.numpy())
    return y


@triton.kernel_of(_op)
def _cuda(
    x: Tensor, weight: Tensor, bias: Tensor | None, before: list[int], after: list[int], dilation: list[int]
) -> Tensor:
    y, ones = _empty(x, weight, bias, before, after, dilation), [1] * len(dilation)
    return _taps_triton.sums(x.contiguous(), weight.contiguous(), bias, ones, before, dilation, y)


@_op.register_fake
def _empty(x: Tensor, weight: Tensor, bias: Any, before: list[int], after: list[int], dilation: list[int]) -> Tensor:
    return x.new_empty(_size(x, weight, before, after, dilation))


def _size(x: Tensor, weight: Tensor, before: list[int], after: list[int], dilation: list[int]) -> tuple[int, ...]:
    rows = zip(x.shape[2:], before, after, nd.spans(weight.shape[2:], dilation), strict=True)
    return (x.shape[0], weight.shape[0], *(n + b + a - span + 1 for n, b, a, span in rows))


def _keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, bias, before, after, dilation = inputs
    ctx.save_for_backward(x, weight)
    ctx.options, ctx.biased = (before, after, dilation), bias is not None


def _backward(ctx: Any, g: Tensor) -> tuple:
    """The input's gradient is such a convolution again, the weight's the tied sum."""
    x, weight = ctx.saved_tensors
    before, after, dilation = ctx.options
    groups = x.shape[1] // weight.shape[1]
    reach = [span - 1 for span in nd.spans(weight.shape[2:], dilation)]
    to_x = to_weight = None
    if ctx.needs_input_grad[0]:
        margins = [(r - b, r - a) for r, b, a in zip(reach, before, after, strict=True)]
        seen = g  # a margin wider than the kernel's reach saw only zeros there
        for axis, (first, last) in enumerate(margins, start=2):
            seen = seen.narrow(axis, max(-first, 0), seen.shape[axis] - max(-first, 0) - max(-last, 0))
        inside = tuple((max(first, 0), max(last, 0)) for first, last in margins)
        to_x = shifted_sums(seen, inverted(weight, groups), None, inside, tuple(dilation))
    if ctx.needs_input_grad[1]:
        padded = nd.pad(x, tuple(zip(before, after, strict=True)))
        to_weight = weight_gradient(padded, g, weight, (1,) * len(reach), tuple(dilation), groups)
    to_bias = g.sum([0, *range(2, g.ndim)]) if ctx.biased and ctx.needs_input_grad[2] else None
    return to_x, to_weight, to_bias, None, None, None


_op.register_autograd(_backward, setup_context=_keep)


def weight_gradient(
    padded: Tensor, g: Tensor, weight: Tensor, stride: tuple[int, ...], dilation: tuple[int, ...], groups: int
) -> Tensor:
    """The tied sum: by torch's own routine on one to three axes, a tap at a time beyond."""
    ndim = weight.ndim - 2
    if nd.primitive("conv", ndim) is None or g.numel() == 0:
        return tied_sum(padded, g, weight.shape[2:], stride, dilation, groups)
    rows = zip(g.shape[2:], nd.spans(weight.shape[2:], dilation), stride, strict=True)
    for axis, (n, span, s) in enumerate(rows, start=2):  # a stride may leave samples over
        padded = padded.narrow(axis, 0, (n - 1) * s + span)
    return precise.gradients(g, padded, weight, stride, (0,) * ndim, dilation, groups, (False, True, False))[1]


def _run(lay: Layout, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, y: np.ndarray) -> None:
    """Fill y, all of whose outputs are counted in units of (batch, group, slab, stretch of a row)."""
    (batch, channels, first, *_, last), (out_channels, per_group, *_) = lay.x, lay.weight
    x = x.reshape(batch, channels, first, -1, last)
    weight = np.pad(weight.reshape(out_channels, per_group, -1), ((0, 0), (0, 0), (0, lay.spare)))
    bias = np.zeros(out_channels, x.dtype) if bias is None else bias
    y = y.reshape(batch, out_channels, lay.out[0], -1, lay.out[-1])
    slabs, stretches = -(-lay.out[0] // lay.planes), -(-lay.out[-1] // lay.across)
    fixed = (lay.source.ravel(), lay.starts, lay.offsets, lay.planes, lay.across, lay.wide, lay.span0)

    def work(start: int, stop: int) -> None:
        scratch, total = np.empty(lay.scratch, x.dtype), np.empty(lay.scratch[1], x.dtype)
        compiled(_sum_units)(x, weight, bias, y, scratch, total, *fixed, lay.before[0], lay.before[-1], start, stop)

    share(work, batch * (channels // per_group) * slabs * stretches)


def _sum_units(
    x, weight, bias, y, scratch, total, source, starts, offsets, planes, across, wide, span0, before0, before, lo, hi
):  # fmt: skip
    """Lay a unit's padded input out flat, sum the taps over it, keep what lies inside rows. Compiled by numba."""
    channels, n0, n = x.shape[1], x.shape[2], x.shape[4]
    out_channels, per_group, taps = weight.shape
    rows, mids, groups = source.size, starts.size, channels // per_group
    slabs, stretches = -(-y.shape[2] // planes), -(-y.shape[4] // across)
    x_flat, y_flat = x.reshape(-1), y.reshape(-1)
    for unit in range(lo, hi):
        stretch, rest = unit % stretches, unit // stretches
        slab, rest = rest % slabs, rest // slabs
        group, b = rest % groups, rest // groups
        j0, p0 = stretch * across, slab * planes
        m, depth = min(across, y.shape[4] - j0), min(planes, y.shape[2] - p0)
        left = j0 - before
        start, stop = min(max(-left, 0), wide), max(min(wide, n - left), 0)
        stop = max(stop, start)
        lone = rows == 1 and depth == 1  # one row: its outputs are summed where they belong
        inside = (
            lone and span0 == n0 == 1 and p0 == before0 and left >= 0 and left + m + wide - across <= n
        )  # and read in place
        for c in range(0 if inside else per_group):
            at = 0
            for i in range(p0 - before0, p0 - before0 + depth + span0 - 1):
                for q in range(rows):
                    row = scratch[c, at : at + wide]
                    at += wide
                    if i < 0 or i >= n0 or source[q] < 0:
                        row[:] = 0
                        continue
                    line = x[b, group * per_group + c, i, source[q]]
                    row[:start] = 0
                    for t in range(start, stop):
                        row[t] = line[left + t]
                    row[stop:] = 0
        length = ((depth - 1) * rows + starts[mids - 1]) * wide + m
        each = out_channels // groups
        for o in range(group * each, (group + 1) * each):
            into, origin = (
                (y_flat, ((b * out_channels + o) * y.shape[2] + p0) * y.shape[4] + j0) if lone else (total, 0)
            )
            for s0 in range(0, length, TILE):
                v = min(TILE, length - s0)
                y0 = into[origin + s0 : origin + s0 + v]
                y0[:] = bias[o]
                for c in range(per_group):
                    w = weight[o, c]
                    s = (
                        x_flat[((b * channels + group * per_group + c) * n + left) + s0 :]
                        if inside
                        else scratch[c, s0:]
                    )
                    k = 0
                    while k + 8 <= taps:
                        a0, a1, a2, a3 = s[offsets[k] :], s[offsets[k + 1] :], s[offsets[k + 2] :], s[offsets[k + 3] :]
                        a4, a5, a6, a7 = (
                            s[offsets[k + 4] :],
                            s[offsets[k + 5] :],
                            s[offsets[k + 6] :],
                            s[offsets[k + 7] :],
                        )
                        w0, w1, w2, w3 = w[k], w[k + 1], w[k + 2], w[k + 3]
                        w4, w5, w6, w7 = w[k + 4], w[k + 5], w[k + 6], w[k + 7]
                        for j in range(v):
                            early = y0[j] + w0 * a0[j] + w1 * a1[j] + w2 * a2[j] + w3 * a3[j]
                            y0[j] = early + w4 * a4[j] + w5 * a5[j] + w6 * a6[j] + w7 * a7[j]
                        k += 8
                    while k + 4 <= taps:
                        a0, a1, a2, a3 = s[offsets[k] :], s[offsets[k + 1] :], s[offsets[k + 2] :], s[offsets[k + 3] :]
                        w0, w1, w2, w3 = w[k], w[k + 1], w[k + 2], w[k + 3]
                        for j in range(v):
                            y0[j] = y0[j] + w0 * a0[j] + w1 * a1[j] + w2 * a2[j] + w3 * a3[j]
                        k += 4
                    while k < taps:
                        a0, w0 = s[offsets[k] :], w[k]
                        for j in range(v):
                            y0[j] = y0[j] + w0 * a0[j]
                        k += 1
            if lone:
                continue
            for i in range(depth):
                for q in range(mids):
                    at = (i * rows + starts[q]) * wide
                    y[b, o, p0 + i, q, j0 : j0 + m] = total[at : at + m]
