"""An axis at a time, for a weight given as factors (ST10): n + m taps in place of n·m, and so on in more dimensions.

The factors define the weight. The error is held against the sum of the absolute factors, S = Σ_r |out||into|Π|taps||x|
over the window (Σ|x||w| at rank 1, little more unless factors cancel each other), and every pass rounds once:
eps·(sqrt(K·rank) + passes / 2)·S.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.methods import direct
from sigconv.methods._factors import Factors
from sigconv.methods._problem import Problem

EXACT = True
LOCAL = True


def correlate(
    x: Tensor,
    weight: Factors,
    bias: Tensor | None,
    *,
    stride: tuple[int, ...],
    margins: nd.Margins,
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """Channels into the rank, one short pass per axis, the rank into channels."""
    ndim = len(weight.taps)
    taps = [
        t.mT.reshape(weight.rank, 1, *(-1 if a == axis else 1 for a in range(ndim)))
        for axis, t in enumerate(weight.taps)
    ]
    taps = [t.repeat(groups, *[1] * (ndim + 1)) for t in taps]
    into, out = weight.into.mT.repeat(groups, 1), weight.out
    if weight.into.shape[0] == 1:  # one channel a group: it meets the first pass's taps there
        taps[0] = taps[0] * into.reshape(-1, *[1] * (ndim + 1))
    else:
        x = _pass(x, into.reshape(*into.shape, *[1] * ndim), groups)
    last = weight.rank == 1 and out.shape[0] == groups
    if last:  # one product a group: it meets the last pass's
        taps[-1] = taps[-1] * out.reshape(-1, *[1] * (ndim + 1))
    for axis in sorted(range(ndim), key=lambda a: -stride[a]):  # what a stride drops is not computed
        ones = [1] * ndim
        options: dict[str, Any] = {name: list(ones) for name in ("stride", "dilation")}
        options["stride"][axis], options["dilation"][axis] = stride[axis], dilation[axis]
        around = tuple(margins[a] if a == axis else (0, 0) for a in range(ndim))
        grouped = x.shape[1]
        x = direct.correlate(
            x, taps[axis], None, margins=around, groups=grouped, **{name: tuple(v) for name, v in options.items()}
        )
    if not last:
        x = _pass(x, out.reshape(*out.shape, *[1] * ndim), groups)
    return x if bias is None else x + nd.per_channel(bias, ndim)


def _pass(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    ones = (1,) * (weight.ndim - 2)
    return direct.correlate(x, weight, None, stride=ones, margins=((0, 0),) * len(ones), dilation=ones, groups=groups)


def refused(problem: Problem) -> str:
    """Why it cannot be had, if so."""
    return "" if problem.rank else "takes a weight given as factors: sc.factorize(weight, tol)"


def cost(problem: Problem) -> dict[str, float]:
    """A pass per axis over rank x groups channels, and the two changes of channels."""
    wide = problem.batch * problem.rank * problem.groups * math.prod(problem.padded)
    channels = wide * problem.per_group + problem.outputs * problem.rank
    return {
        "call": 2 + len(problem.kernel_size),
        "mac": wide * sum(problem.kernel_size),
        "channel_mac": channels,
        "moved": 2 * wide * len(problem.kernel_size),
    }


def memory(problem: Problem) -> int:
    """Two passes' worth of rank x groups channels, and the output."""
    wide = problem.batch * max(problem.rank * problem.groups, problem.out_channels) * math.prod(problem.padded)
    return problem.itemsize * (4 * wide + 2 * problem.outputs + problem.inputs) + torch.get_num_threads() * (8 << 20)
