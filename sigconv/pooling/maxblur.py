"""Max pooling without aliasing: the maximum at every position, smoothed, then subsampled (PL13)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sigconv import nd
from sigconv.pooling._derive import layer
from sigconv.pooling.blur import blur_pool
from sigconv.pooling.maximum import max_pool


@layer("MaxBlurPool")
@nd.numpy_too
def max_blur_pool(
    x: Tensor,
    kernel_size: Any,
    stride: Any = 2,
    *,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    padding_mode: Any = None,
    value: float = 0.0,
    blur: Any = 3,
) -> Tensor:
    """Max pooling at stride 1, then blur_pool of blur taps with this stride: what stands in for a strided max_pool.

    x (batch, channels, *space) -> (batch, channels, *positions), floating, in any number of axes. padding, dilation,
    padding_mode and value are those of the maximum; the blur's border is reflected, its size kept before subsampling.
    Raises what max_pool and blur_pool raise. Source: Zhang 2019.

    >>> import torch
    >>> max_blur_pool(torch.tensor([[[0.0, 4.0, 0.0, 0.0, 0.0]]]), 2)
    tensor([[[4., 1.]]])
    """
    options = {"padding": padding, "dilation": dilation, "padding_mode": padding_mode, "value": value}
    return blur_pool(max_pool(x, kernel_size, 1, **options), blur, stride, ceil_mode=ceil_mode)
