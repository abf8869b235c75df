"""unfold and fold: every window written out as a column, and columns added back, in any number of dimensions."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from sigconv import nd


@nd.numpy_too
def unfold(
    x: Tensor,
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    value: complex = 0.0,
) -> Tensor:
    """Every window as a column: (batch, channels, *space) -> (batch, channels x taps, positions), as torch's, N-D.

    Rows run over channels, then taps; columns over positions; last axes fastest. A convolution is the weight,
    flattened, times these columns (MX7). Options as in conv; any dtype but float8 and complex32, x's device. ValueError
    where none fits.

    >>> import torch
    >>> unfold(torch.tensor([[[1.0, 2.0, 3.0]]]), 2)
    tensor([[[1., 2.],
             [2., 3.]]])
    """
    kernel, stride, dilation, margins = _numbers(x.ndim - 2, kernel_size, stride, padding, dilation)
    positions = nd.output_size(x.shape[2:], kernel, stride, dilation, margins)
    seen = nd.windows(nd.pad(x, margins, padding_mode, value), kernel, stride, dilation)
    ndim = len(kernel)
    seen = seen.movedim(tuple(range(2 + ndim, 2 + 2 * ndim)), tuple(range(2, 2 + ndim)))  # b, c, *taps, *positions
    return seen.reshape(x.shape[0], x.shape[1] * math.prod(kernel), math.prod(positions))


@nd.numpy_too
def fold(
    x: Tensor,
    output_size: Any,
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: Any = "zeros",
    dilation: Any = 1,
) -> Tensor:
    """The transpose of unfold: columns added back where they were read, (batch, channels x taps, positions) -> (batch,
    channels, *output_size).

    output_size says how many axes of space there are: a tuple, one number per axis. What a border had copied outwards
    is added to the samples it came from. fold(unfold(x)) is x times the number of windows over each sample (MX8).
    ValueError where rows or columns do not fit the sizes.

    >>> import torch
    >>> fold(torch.ones(1, 2, 2), (3,), 2)
    tensor([[[1., 2., 1.]]])
    """
    if not isinstance(output_size, tuple | list) or not output_size:
        raise TypeError(f"output_size {output_size!r} must have one number per axis of space, such as (32, 32)")
    size = nd.ntuple(output_size, len(output_size), "output_size")
    kernel, stride, dilation, margins = _numbers(len(size), kernel_size, stride, padding, dilation)
    positions = nd.output_size(size, kernel, stride, dilation, margins)
    rows, columns = math.prod(kernel), math.prod(positions)
    if x.ndim != 3 or x.shape[1] % rows or x.shape[2] != columns:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: expected (batch, channels x {rows} taps, {columns} positions) for "
            f"output_size {size} and kernel_size {kernel}"
        )
    ndim = len(size)
    seen = x.reshape(x.shape[0], x.shape[1] // rows, *kernel, *positions)
    seen = seen.movedim(tuple(range(2 + ndim, 2 + 2 * ndim)), tuple(range(2, 2 + ndim)))
    padded = tuple(n + b + a for n, (b, a) in zip(size, margins, strict=True))
    return nd.unpad(nd.unwindows(seen, padded, stride, dilation), margins, padding_mode)


def _numbers(ndim: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> tuple:
    if ndim < 1:
        raise ValueError("x needs axes of space: expected (batch, channels, *space)")
    kernel, dilation = nd.ntuple(kernel_size, ndim, "kernel_size"), nd.ntuple(dilation, ndim, "dilation")
    return kernel, nd.ntuple(stride, ndim, "stride"), dilation, nd.margins(padding, kernel, dilation)
