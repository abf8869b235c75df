"""L_p pooling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import _triton as triton
from sigconv.kernels import norms, sums
from sigconv.kernels._axis import at_hand
from sigconv.pooling._derive import layer
from sigconv.pooling._options import positive
from sigconv.pooling._windows import Windows, counts, real, resolve


@layer("LPPool")
@nd.numpy_too
def lp_pool(
    x: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    *,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    padding_mode: Any = "zeros",
    value: float = 0.0,
    mean: bool = False,
) -> Tensor:
    """(Σ |x|^p)^(1/p) over every window, p = norm_type, in any number of axes; mean=True takes the mean for the sum.

    x (batch, channels, *space) -> (batch, channels, *positions), floating; stride defaults to kernel_size. p is any
    number above 0: 1 sums, inf is the largest. What hangs over in ceil_mode is taken as the mean of what does not, as
    in torch; torch takes no abs, so that an odd p gives NaN there. The answer is finite and not 0 whenever the true
    value is representable, in float16 too. The gradient is finite: 0 at samples that are 0 (torch gives NaN where all
    are). Raises ValueError for windows larger than the padded input, or a p not above 0. Source: science.md C.8.

    >>> import torch
    >>> lp_pool(torch.tensor([[[3.0, -4.0, 0.0, 0.0]]]), 2, 2)
    tensor([[[5., 0.]]])
    """
    p = positive(norm_type, "norm_type")
    wide = real(x, "lp_pool")
    windows = resolve(x, kernel_size, stride, padding, dilation, ceil_mode)
    share = _share(x, windows, mean)
    halves = padding_mode == "zeros" and triton.usable(x)  # the kernel reads them as they are
    padded = windows.padded(x if halves else wide, padding_mode, value, 0.0)
    doubles = p in range(1, sums.POWERS + 1) and padded.dtype == torch.float32 and x.device.type == "cpu"
    if not doubles or triton.usable(padded):
        return norms.norms(padded, p, share, *windows[:3]).to(x.dtype)
    if mean or (padded.requires_grad and torch.is_grad_enabled()) or not at_hand(padded):
        total = share * sums.box_sums(padded.double().abs() ** int(p), *windows[:3])
        some = total != 0  # the root of an empty sum has no slope
        y = torch.where(some, torch.where(some, total, 1.0) ** (1 / p), 0.0)
    else:
        y = sums.norms(padded, int(p), *windows[:3])
        y = y if isinstance(share, float) and share == 1 else y * share ** (1 / p)
    return y.to(x.dtype)


def _share(x: Tensor, windows: Windows, mean: bool) -> Any:
    """What the sum of a window is multiplied by."""
    whole = 1.0 / windows.samples if mean else 1.0
    if not any(after for _, after in windows.overhang):
        return whole
    return windows.samples * whole / counts(x, windows, True).to(real(x, "lp_pool").dtype)
