"""Average pooling (PL3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.pooling._derive import layer
from sigconv.pooling._windows import Windows, inside, resolve, torch_does


@layer("AvgPool")
@nd.numpy_too
def avg_pool(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    *,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    padding_mode: Any = "zeros",
    value: float = 0.0,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of every window, in any number of axes.

    x (batch, channels, *space) -> (batch, channels, *positions); stride defaults to kernel_size. Padded samples count,
    unless count_include_pad is False; what hangs over them in ceil_mode never does, as in torch. Floating or complex x;
    float16 and bfloat16 are summed in float32. Raises ValueError for windows larger than the padded input.

    >>> import torch
    >>> avg_pool(torch.tensor([[[1.0, 3.0, 2.0, 6.0]]]), 2)
    tensor([[[2., 4.]]])
    """
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(
            f"x is {x.dtype}: avg_pool takes floating or complex values; convert it, for example by x.float()"
        )
    windows = resolve(x, kernel_size, stride, padding, dilation, ceil_mode)
    if not count_include_pad:
        inside(windows)
        if padding_mode != "zeros":
            raise ValueError(
                f"count_include_pad=False leaves out what padding_mode {padding_mode!r} puts in: choose one"
            )
    plain = torch_does(x, windows) if padding_mode == "zeros" and set(windows.dilation) == {1} else None
    if plain is not None:
        pool = nd.primitive("avg_pool", x.ndim - 2)
        return pool(x, *windows[:2], plain, ceil_mode, count_include_pad)  # type: ignore[misc]
    padded = nd.pad(nd.pad(x, windows.margins, padding_mode, value), windows.overhang)
    wide = padded.float() if padded.dtype in (torch.float16, torch.bfloat16) else padded
    sums = windows.over(wide).sum(tuple(range(2 - x.ndim, 0)))
    return (sums / _counts(x, windows, count_include_pad)).to(x.dtype)


def _counts(x: Tensor, windows: Windows, count_include_pad: bool) -> Tensor:
    """Samples in each window: on each axis those inside its bounds, and their product over the axes."""
    total = torch.ones((), device=x.device)
    for axis, (n, margin) in enumerate(zip(x.shape[2:], windows.margins, strict=True)):
        inside = nd.pad(torch.ones(n, device=x.device), (margin,), "constant", float(count_include_pad))
        inside = nd.pad(inside, (windows.overhang[axis],))
        options = ((option[axis],) for option in windows[:3])
        total = total.unsqueeze(-1) * nd.windows(inside, *options).sum(-1)
    return total
