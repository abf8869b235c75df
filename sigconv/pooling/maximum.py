"""Max pooling (PL1, PL2)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.pooling._derive import layer
from sigconv.pooling._windows import Windows, inside, resolve, torch_does


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
    filled = {"zeros", "constant"} & set(nd.border_modes(padding_mode or "replicate", x.ndim - 2))
    if return_indices and filled:
        raise ValueError(f"padding_mode {padding_mode!r} has no index to return for a maximum beyond the border")
    windows = resolve(x, kernel_size, stride, padding, dilation, ceil_mode)
    plain = torch_does(x, windows) if padding_mode is None else None
    if plain is not None:
        pool = nd.primitive("max_pool", x.ndim - 2)
        return pool(x, *windows[:2], plain, windows.dilation, ceil_mode, return_indices)  # type: ignore[misc]
    if padding_mode is None:
        inside(windows)
    lowest = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    mode, fill = ("constant", lowest) if padding_mode is None else (padding_mode, value)
    padded = nd.pad(nd.pad(x, windows.margins, mode, fill), windows.overhang, "constant", lowest)
    largest, tap = windows.over(padded).flatten(2 - x.ndim).max(-1)
    return (largest, _where(x, windows, padding_mode, tap)) if return_indices else largest


def _where(x: Tensor, windows: Windows, padding_mode: Any, tap: Tensor) -> Tensor:
    """The index in x's flattened space of the tap chosen; a border's sample has the index of the one it repeats."""
    mode = padding_mode or "replicate"
    index = torch.arange(math.prod(x.shape[2:]), device=x.device).reshape(1, 1, *x.shape[2:])
    index = nd.pad(nd.pad(index, windows.margins, mode), windows.overhang, "replicate")
    choices = windows.over(index).flatten(2 - x.ndim).expand(*tap.shape, -1)
    return choices.gather(-1, tap.unsqueeze(-1)).squeeze(-1)
