"""Max unpooling: maxima return to where they came from (PL9)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from sigconv import nd
from sigconv.kernels._state import readable
from sigconv.pooling._derive import layer


@layer("MaxUnpool", inputs=2)
@nd.numpy_too
def max_unpool(
    x: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    *,
    padding: Any = 0,
    output_size: Any = None,
    overlap: str = "last",
) -> Tensor:
    """Every value of x at its index in a space of zeros: the way back from max_pool, in any number of axes.

    x and indices (batch, channels, *positions), as max_pool(…, return_indices=True) gives them -> (batch, channels,
    *space). Space is (positions - 1)·stride - 2·padding + kernel_size unless output_size says it, per axis or as a
    whole shape. Overlapping windows may name one place several times: with overlap="last" one value stays (after max
    pooling they are all the same), with "sum" they add up. Raises ValueError for an index outside the space.

    >>> import torch
    >>> y, where = torch.nn.functional.max_pool1d(torch.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2, return_indices=True)
    >>> max_unpool(y, where, 2)
    tensor([[[0., 3., 2., 0.]]])
    """
    nd.one_of(overlap, ("last", "sum"), "overlap")
    if x.ndim < 3 or indices.shape != x.shape or indices.is_floating_point():
        raise ValueError(
            f"x has shape {tuple(x.shape)} and indices {tuple(indices.shape)} of {indices.dtype}: expected "
            "(batch, channels, *positions) both, indices in whole numbers"
        )
    size = _size(x, kernel_size, stride, padding, output_size)
    room = math.prod(size)
    nd.holdable((*x.shape[:2], *size), "output", "kernel_size and stride")
    if readable(indices) and indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < room:
        raise ValueError(
            f"indices from {int(indices.min())} to {int(indices.max())} do not fit space {size} of {room} samples: "
            "give the output_size they were found in"
        )
    zeros = x.new_zeros(*x.shape[:2], room)
    put = zeros.scatter if overlap == "last" else zeros.scatter_add
    return put(2, indices.long().flatten(2), x.flatten(2)).unflatten(2, size)


def _size(x: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any) -> tuple[int, ...]:
    """The space that was pooled: the least that gives these positions, or the one said, less than a stride away."""
    ndim = x.ndim - 2
    kernel = nd.ntuple(kernel_size, ndim, "kernel_size")
    stride = kernel if stride is None else nd.ntuple(stride, ndim, "stride")
    padding = nd.ntuple(padding, ndim, "padding", least=0)
    rows = zip(x.shape[2:], kernel, stride, padding, strict=True)
    usual = tuple((p - 1) * s - 2 * around + k for p, k, s, around in rows)
    if output_size is None:
        return nd.ntuple(usual, ndim, "space", least=0)
    wanted = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * ndim
    size = nd.ntuple(wanted[-ndim:] if len(wanted) == ndim + 2 else wanted, ndim, "output_size")
    if any(not n - s < w < n + s for w, n, s in zip(size, usual, stride, strict=True)):
        raise ValueError(f"output_size {size} is not within a stride {stride} of {usual}, which kernel and stride give")
    return size
