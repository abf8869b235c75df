"""masked_conv: convolution over the samples that are there, normalised by how much of the kernel they met."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.convolution.operations import conv
from sigconv.kernels._state import readable


@nd.numpy_too
def masked_conv(
    x: Tensor,
    weight: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    padding_mode: Any = "zeros",
    value: complex = 0.0,
    return_weight: bool = False,
    **options: Any,
) -> Any:
    """Normalised convolution: conv(x·m, w) · Σ|w| / conv(m, |w|), which sees only valid samples.

    x (batch, in_channels, *space), weight and bias as in conv, mask (batch or 1, in_channels or 1, *space) or (*space),
    of booleans or of weights from 0 to 1; None: wherever x is finite, so that NaNs are missing samples.
    What lies beyond a border of zeros is not valid; others repeat mask and x alike; a constant counts.
    Where no valid sample is met, the answer is 0 and invalid. return_weight gives (y, met), met = conv(m, |w|) / Σ|w|
    from 0 to 1 of y's shape: 0 is invalid, and a later layer's mask.

    Takes conv's other options; differentiable in x, weight, bias and a floating mask; kinds, dtypes and errors as in
    conv. For kernels without negative taps it is astropy's convolve (without its interpolation options).

    >>> x = torch.tensor([[[1.0, float("nan"), 3.0, 5.0]]])
    >>> masked_conv(x, torch.ones(1, 1, 3) / 3, padding="same")
    tensor([[[1., 2., 4., 4.]]])

    Source: Knutsson and Westin, Normalized and differential convolution (CVPR 1993).
    """
    if not isinstance(weight, Tensor):
        raise TypeError(f"weight is a {type(weight).__name__}: masked_conv takes a tensor (factors: .dense())")
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(f"x is {x.dtype}: masked_conv takes floating or complex values; convert it, as by x.float()")
    if not isinstance(mask, Tensor | None) or (mask is not None and mask.is_complex()):
        kind = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"mask is {kind}: expected booleans, or real weights from 0 to 1, of x's kind")
    real = x.real if x.is_complex() else x
    m = torch.isfinite(x) if mask is None else mask
    try:
        m = m.to(real.dtype).expand(x.shape)
    except RuntimeError:
        raise ValueError(
            f"mask {tuple(m.shape)} does not fit x {tuple(x.shape)}: expected that shape, or 1 in places"
        ) from None
    if mask is not None and mask.numel() and readable(mask):
        low, high = (float(end) for end in torch.aminmax(mask.detach().to(real.dtype)))
        if not (low >= 0 and high <= 1):
            raise ValueError(f"mask holds values from {low} to {high}: expected 0 to 1")
    seen = torch.where(m > 0, x, 0) * m
    around = {"padding_mode": padding_mode, **options}
    y = conv(seen, weight, **around, value=value)
    magnitude = weight.abs()
    met = conv(m, magnitude, **around | {"method": "auto"}, value=1.0)  # exactly 0 where nothing is met
    total = nd.per_channel(magnitude.flatten(1).sum(1), weight.ndim - 2)
    valid = ~(met <= 0)  # a weight that is NaN makes NaN
    share = torch.where(valid, met, 1) / torch.where(total > 0, total, 1)
    y = torch.where(valid, y / share, 0)
    if bias is not None:
        y = torch.where(valid, y + nd.per_channel(bias, weight.ndim - 2), 0)
    return (y, torch.where(valid, share, 0)) if return_weight else y
