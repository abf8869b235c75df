"""Log-sum-exp pooling in its mean form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import soft
from sigconv.pooling._beta import Beta, bordered, each
from sigconv.pooling._derive import layer
from sigconv.pooling._options import sharpness
from sigconv.pooling._windows import real, resolve
from sigconv.pooling.average import avg_pool


@layer("LSEPool", Beta)
@nd.numpy_too
def lse_pool(
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
    """(1/beta)·log of the mean of e^(beta·x) over every window, in any number of axes.

    x (batch, channels, *space) -> (batch, channels, *positions), floating; stride defaults to kernel_size. beta is one
    number, or a tensor of one number or one per channel: towards 0 it is the mean, towards infinity the maximum, below
    0 the minimum. Nothing overflows, and a small beta loses no digits. Padded samples do not count,
    unless a padding_mode says what stands there. Halves are summed in float32.
    Raises ValueError for windows larger than the padded input, or wholly outside it. Source: science.md C.8.

    >>> import torch
    >>> lse_pool(torch.tensor([[[1000.0, 1000.0, 0.0, 0.0]]]), 2)
    tensor([[[1000.,    0.]]])
    """
    sharpness(beta)
    windows = resolve(x, kernel_size, stride, padding, dilation, ceil_mode)
    wide = real(x, "lse_pool")
    beta = each(beta, wide)
    if not isinstance(beta, Tensor) and beta == 0:
        border = {"padding_mode": "zeros", "count_include_pad": False} if padding_mode is None else {}
        border = border or {"padding_mode": padding_mode, "value": value}
        options = {"padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
        return avg_pool(wide, kernel_size, stride, **options, **border).to(x.dtype)
    if isinstance(beta, Tensor):
        beta = beta if beta.dtype == torch.float64 else beta.to(wide.dtype)
        beta = beta + (beta == 0) * 1e-8  # the mean, to rounding, and a slope to learn by
    seen, before = bordered(x, windows, padding_mode, value, "lse_pool")
    return soft.logs(seen, beta, windows[:3], before, windows.positions).to(x.dtype)
