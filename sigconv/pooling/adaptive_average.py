"""Adaptive average pooling: the number of windows is given, their size follows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.pooling._bins import bins, sizes
from sigconv.pooling._derive import layer
from sigconv.pooling._windows import HALVES


@layer("AdaptiveAvgPool")
@nd.numpy_too
def adaptive_avg_pool(x: Tensor, output_size: Any) -> Tensor:
    """The mean over output_size bins an axis, bin i from floor(i·n/m) to ceil((i + 1)·n/m), in any number of axes.

    x (batch, channels, *space) -> (batch, channels, *output_size), floating or complex; output_size is one number, or
    one per axis, None where an axis stays as it is. More bins than samples repeat samples, as in torch.
    Raises ValueError where space is empty.

    >>> import torch
    >>> adaptive_avg_pool(torch.arange(5.0).view(1, 1, 5), 3)
    tensor([[[0.5000, 2.0000, 3.5000]]])
    """
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(f"x is {x.dtype}: adaptive_avg_pool takes floating or complex values; convert it by x.float()")
    size = sizes(x, output_size)
    primitive = nd.primitive("adaptive_avg_pool", len(size))
    if primitive is not None and x.is_floating_point() and x.numel():
        return primitive(x, size)
    return _by_axis(x, size)


def _by_axis(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bins are the same across the other axes, so the mean is taken an axis at a time."""
    y = x.float() if x.dtype in HALVES else x
    for dim, m in enumerate(size, start=2):
        n = y.shape[dim]
        if n == m:
            continue
        samples, counts = bins(n, m, x.device)
        seen = y.movedim(dim, -1).index_select(-1, samples.flatten()).unflatten(-1, tuple(samples.shape))
        real = torch.arange(samples.shape[1], device=x.device) < counts[:, None]
        y = (torch.where(real, seen, 0.0).sum(-1) / counts).movedim(-1, dim)
    return y.to(x.dtype)
