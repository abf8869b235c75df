"""Convolution layers: Conv is the implementation, its number of axes a fact about it; ConvTranspose its transpose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import methods, nd
from sigconv.convolution._options import number
from sigconv.convolution.operations import conv
from sigconv.convolution.transposed import conv_transpose


class Conv(nn.Module):
    """Trainable convolution in any number of dimensions, with torch.nn's names, order and initial values.

    (batch, in_channels, *space) -> (batch, out_channels, *positions). A kernel_size with one number per axis says how
    many axes there are; a bare number needs ndim. All options of conv are taken; state_dicts interchange with
    torch.nn.Conv1d, Conv2d and Conv3d. Options that do not fit raise when the layer is built.

    >>> Conv(3, 8, (3, 3, 3, 3), padding="same")(torch.zeros(2, 3, 4, 5, 6, 7)).shape
    torch.Size([2, 8, 4, 5, 6, 7])
    >>> Conv(4, 16, 24)
    Traceback (most recent call last):
    TypeError: kernel_size=24 is one number: give ndim=, or one size per axis
    """

    ndim: int | None = None
    outwards = True  # output channels come first in the weight
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Any = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        ndim: int | None = None,
        value: float = 0.0,
        strict: bool = False,
        flip: bool = False,
        method: str = "auto",
    ) -> None:
        super().__init__()
        ndim = self._axes(kernel_size, ndim)
        in_channels = nd.count(in_channels, "in_channels", least=0)
        out_channels = nd.count(out_channels, "out_channels", least=0)
        groups = nd.count(groups, "groups")
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"in_channels={in_channels}, out_channels={out_channels} must be divisible by groups={groups}"
            )
        self.ndim, self.in_channels, self.out_channels = ndim, in_channels, out_channels
        self.kernel_size = nd.ntuple(kernel_size, ndim, "kernel_size")
        self.stride, self.dilation = nd.ntuple(stride, ndim, "stride"), nd.ntuple(dilation, ndim, "dilation")
        self.padding, self.groups, self.padding_mode = padding, groups, padding_mode
        self.value, self.strict, self.flip = number(value, "value", imaginary=True), strict, flip
        self.method = nd.one_of(method, ["auto", *methods.METHODS], "method")
        nd.margins(padding, self.kernel_size, self.dilation)
        nd.border_modes(padding_mode, ndim)
        channels = (out_channels, in_channels // groups) if self.outwards else (in_channels, out_channels // groups)
        self.weight = nn.Parameter(torch.empty((*channels, *self.kernel_size), device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def _axes(self, kernel_size: Any, ndim: int | None) -> int:
        """How many axes of space: the class says, or ndim does, or the kernel's sizes are counted."""
        named = [n for n in (type(self).ndim, ndim) if n is not None]
        if len(named) == 2 and named[0] != named[1]:
            raise ValueError(f"{type(self).__name__} has {named[0]} axes, not ndim={ndim}")
        if named:
            return nd.count(named[0], "ndim")
        if not isinstance(kernel_size, Sequence | np.ndarray) or isinstance(kernel_size, str):
            raise TypeError(f"kernel_size={kernel_size!r} is one number: give ndim=, or one size per axis")
        return nd.count(len(kernel_size), "number of axes of kernel_size")

    def reset_parameters(self) -> None:
        """Draw weights and bias as torch.nn does: uniform within 1 / sqrt(taps x in_channels of a group)."""
        if self.weight.numel() == 0:
            return
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight[0].numel())
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """conv(x, weight, bias) with this layer's options."""
        return conv(x, self.weight, self.bias, **self.options)

    @property
    def options(self) -> dict[str, Any]:
        """conv's options, as this layer has them."""
        names = ("stride", "padding", "padding_mode", "dilation", "groups", "value", "strict", "flip", "method")
        return {name: getattr(self, name) for name in names}

    def extra_repr(self) -> str:
        """What differs from the defaults, in torch.nn's words."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        defaults = {"padding": 0, "padding_mode": "zeros", "groups": 1, "value": 0.0, "strict": False, "flip": False}
        shown = {name: getattr(self, name) for name in defaults if getattr(self, name) != defaults[name]}
        if any(gap != 1 for gap in self.dilation):
            shown["dilation"] = self.dilation
        if self.bias is None:
            shown["bias"] = False
        return text + "".join(f", {name}={option!r}" for name, option in shown.items())


class Conv1d(Conv):
    """Conv over one axis: sequences, waveforms. Shapes (batch, channels, samples)."""

    ndim = 1


class Conv2d(Conv):
    """Conv over two axes: images, spectrograms. Shapes (batch, channels, height, width)."""

    ndim = 2


class Conv3d(Conv):
    """Conv over three axes: volumes, video. Shapes (batch, channels, depth, height, width)."""

    ndim = 3


class ConvTranspose(Conv):
    """The transpose of Conv in any number of dimensions, with the order of torch.nn's ConvTranspose layers.

    (batch, in_channels, *positions) -> (batch, out_channels, *space). Takes conv_transpose's options: every border,
    words for padding, output_padding; layer(x, output_size=…) as in torch, one number per axis. state_dicts interchange
    with torch.nn.ConvTranspose1d, 2d and 3d.

    >>> ConvTranspose(3, 8, 4, stride=2, padding=1, ndim=2)(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 8, 32, 32])
    """

    outwards = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: Any = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        ndim: int | None = None,
        flip: bool = False,
        method: str = "auto",
    ) -> None:
        shared = (stride, padding, dilation, groups, bias, padding_mode, device, dtype)
        super().__init__(in_channels, out_channels, kernel_size, *shared, ndim=ndim, flip=flip, method=method)
        self.output_padding = nd.ntuple(output_padding, self.ndim or 0, "output_padding", least=0)

    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        """conv_transpose(x, weight, bias) with this layer's options."""
        return conv_transpose(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            padding_mode=self.padding_mode,
            dilation=self.dilation,
            groups=self.groups,
            output_padding=self.output_padding,
            output_size=output_size,
            flip=self.flip,
            method=self.method,
        )
