"""Average pooling (PL3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.kernels.sums import box_sums
from sigconv.pooling._derive import Pool, layer
from sigconv.pooling._windows import HALVES, counts, inside, resolve, torch_does


class GainBias(Pool):
    """gain_bias_channels=n gives each of n channels a gain and a bias to learn, as LeNet's subsampling has them."""

    given = ("gain", "bias")

    def hold(self, *, gain_bias_channels: int | None = None) -> None:
        """Two numbers a channel: 1 and 0 at first."""
        self.gain = self.bias = None
        if gain_bias_channels is not None:
            channels = nd.count(gain_bias_channels, "gain_bias_channels")
            self.gain, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def held(self) -> dict[str, Any]:
        """The gain and the bias, where there are any."""
        return {} if self.gain is None else {"gain": self.gain, "bias": self.bias}


@layer("AvgPool", GainBias)
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
    gain: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """The mean of every window, in any number of axes; times a gain and plus a bias per channel, where given.

    x (batch, channels, *space) -> (batch, channels, *positions); stride defaults to kernel_size; gain and bias
    (channels,). Padded samples count, unless count_include_pad is False; what hangs over them in ceil_mode never does,
    as in torch. Floating or complex x; float16 and bfloat16 are summed in float32. Raises ValueError for windows larger
    than the padded input. Source: LeCun et al. 1998, S2 and S4 (gain and bias).

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
    for name, given in (("gain", gain), ("bias", bias)):
        if given is not None and tuple(given.shape) != (x.shape[1],):
            raise ValueError(f"{name} has shape {tuple(given.shape)}: expected ({x.shape[1]},), one per channel")
    plain = torch_does(x, windows) if padding_mode == "zeros" and set(windows.dilation) == {1} else None
    if plain is not None:
        pool = nd.primitive("avg_pool", x.ndim - 2)
        wide = x.float() if x.dtype in HALVES and x.device.type == "cpu" else x  # there torch has none of 3-D halves
        y = pool(wide, *windows[:2], plain, ceil_mode, count_include_pad).to(x.dtype)  # type: ignore[misc]
    else:
        padded = windows.padded(x, padding_mode, value, 0.0)
        wide = padded.float() if padded.dtype in HALVES else padded
        y = (box_sums(wide, *windows[:3]) / counts(x, windows, count_include_pad)).to(x.dtype)
    if gain is not None:
        y = y * nd.per_channel(gain.to(y.dtype), x.ndim - 2)
    return y if bias is None else y + nd.per_channel(bias.to(y.dtype), x.ndim - 2)
