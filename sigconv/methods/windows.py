"""The definition: every output is the sum of its window times the kernel. Exact in any dimension, and never quick.

    y[b, o, p] = bias[o] + Σ_{c, k} x[b, c, p·stride + k·dilation] · w[o, c, k]      p, k: one index per axis

Every other method is tested against this one.
"""

from __future__ import annotations

import math

from torch import Tensor

from sigconv import nd
from sigconv.kernels import precise
from sigconv.methods._problem import Problem

EXACT = True
LOCAL = True


def correlate(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: tuple[int, ...],
    margins: nd.Margins,
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """All windows as rows of one matrix per group, times the kernels as columns (MX7, MX8)."""
    out_channels, channels, *kernel_size = weight.shape
    ndim = len(kernel_size)
    seen = nd.windows(nd.pad(x, margins), kernel_size, stride, dilation)
    positions = seen.shape[2 : 2 + ndim]
    rows = seen.unflatten(1, (groups, channels)).movedim(2, 2 + ndim)  # batch, groups, *positions, channels, *kernel
    rows = rows.flatten(3 + ndim - 1).flatten(2, 1 + ndim)
    columns = weight.reshape(groups, out_channels // groups, channels * math.prod(kernel_size)).mT
    loose = precise.rounds_products(rows, columns)
    y = precise.products("bgpk,gko->bgpo", rows, columns) if loose else rows @ columns
    y = y.mT.reshape(x.shape[0], out_channels, *positions)
    return y if bias is None else y + nd.per_channel(bias, ndim)


def _written(problem: Problem) -> int:
    """Values of all windows, written out."""
    return problem.batch * math.prod(problem.output_size) * math.prod(problem.kernel_size) * problem.in_channels


def cost(problem: Problem) -> dict[str, float]:
    """Every window is written out before it is multiplied."""
    return {"call": 1, "mac": problem.macs, "written": _written(problem)}


def memory(problem: Problem) -> int:
    """The windows, the padded input, and the product before and after it is turned."""
    return problem.itemsize * (_written(problem) + problem.inputs + 3 * problem.outputs)
