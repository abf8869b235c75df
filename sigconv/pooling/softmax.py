"""Softmax-weighted pooling, the lectures' soft-maximisation (PL4)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sigconv import nd
from sigconv.kernels import soft
from sigconv.pooling._beta import Beta, bordered, each
from sigconv.pooling._derive import layer
from sigconv.pooling._options import sharpness
from sigconv.pooling._windows import resolve


@layer("SoftmaxPool", Beta)
@nd.numpy_too
def softmax_pool(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    *,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    padding_mode: Any = None,
    value: float = 0.0,
    beta: Any = 1.0,
) -> Tensor:
    """The mean of every window weighted by e^(beta·x): Σ x e^(beta·x) / Σ e^(beta·x), in any number of axes.

    x (batch, channels, *space) -> (batch, channels, *positions), floating; stride defaults to kernel_size. beta is one
    number, or a tensor of one number or one per channel: 0 is the mean; the larger, the closer to the maximum; below 0
    to the minimum. Exponents are relative to the largest of the window, so none overflows; an infinite sample gives
    NaN. Padded samples have no weight, unless a padding_mode says what stands there. Halves are summed in float32.
    Raises ValueError for windows larger than the padded input, or wholly outside it. Source: science.md C.8.

    >>> import torch
    >>> softmax_pool(torch.tensor([[[0.0, 1.0, 5.0, 5.0]]]), 2, beta=100.0)
    tensor([[[1., 5.]]])
    """
    sharpness(beta)
    windows = resolve(x, kernel_size, stride, padding, dilation, ceil_mode)
    seen, before = bordered(x, windows, padding_mode, value, "softmax_pool")
    return soft.means(seen, each(beta, seen), windows[:3], before, windows.positions).to(x.dtype)
