"""Max pooling (PL1, PL2)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import extremes
from sigconv.kernels._axis import at_hand
from sigconv.kernels.blocks import block_largest
from sigconv.pooling._derive import layer
from sigconv.pooling._windows import Windows, inside, no_index, origin, resolve, torch_does

FEW = 32  # samples of a window up to which its rows are read side by side
LEAST = 1 << 14  # numbers below which torch is done before a kernel has begun


@layer("MaxPool")
@nd.numpy_too
def max_pool(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    *,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    padding_mode: Any = None,
    value: float = 0.0,
    return_indices: bool = False,
) -> Any:
    """The largest value of every window, in any number of axes.

    x (batch, channels, *space) -> (batch, channels, *positions); stride defaults to kernel_size. Padded samples never
    win, unless a padding_mode says what stands there. return_indices adds where each maximum was, as torch does: its
    index in the flattened space. The gradient goes to the first of equal values; NaN wins. Real x, no bool.
    Raises ValueError for windows larger than the padded input, or wholly outside it.

    >>> import torch
    >>> max_pool(torch.tensor([[[1.0, 3.0, 2.0, 5.0, 4.0]]]), 3, 2)
    tensor([[[3., 5.]]])
    """
    if x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"x is {x.dtype}: max_pool takes real numbers")
    if return_indices:
        no_index(padding_mode, x.ndim - 2)
    windows = resolve(x, kernel_size, stride, padding, dilation, ceil_mode)
    plain = torch_does(x, windows) if padding_mode is None else None
    if plain is not None and not _ours(x, windows, return_indices):
        pool = nd.primitive("max_pool", x.ndim - 2)
        return pool(x, *windows[:2], plain, windows.dilation, ceil_mode, return_indices)  # type: ignore[misc]
    if padding_mode is None:
        inside(windows)
    lowest = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    padded = windows.padded(x, padding_mode, value, lowest)
    if return_indices:
        place = extremes.places(padded, *windows[:3])
        largest = padded.flatten(2).gather(2, place.flatten(2)).reshape(place.shape)
        return largest, origin(x, windows, padding_mode, place)
    if _few(windows) and at_hand(padded) and not _wanted(padded):
        return block_largest(padded, *windows[:3])
    return extremes.largest(padded, *windows[:3])


def _ours(x: Tensor, windows: Windows, return_indices: bool) -> bool:
    """Whether our kernels are quicker than torch, which compares all samples of every window.

    Doubling pays from a dozen comparisons a sample on; without gradient a row of small windows at a time, too.
    """
    if not at_hand(x) or not x.is_contiguous() or x.numel() < LEAST:
        return False
    outputs = math.prod(windows.positions) * windows.samples
    samples = math.prod(x.shape[2:]) * sum(math.ceil(math.log2(k)) for k in windows.kernel_size)
    if return_indices or _wanted(x):
        return outputs > 8 * samples
    return outputs > 1.5 * samples or (_few(windows) and x.ndim > 3)


def _wanted(x: Tensor) -> bool:
    """Whether a gradient is wanted."""
    return x.requires_grad and torch.is_grad_enabled()


def _few(windows: Windows) -> bool:
    """Whether windows are small and apart, so that hardly a sample is seen twice along the last axis."""
    return windows.samples <= FEW and windows.stride[-1] > 1
