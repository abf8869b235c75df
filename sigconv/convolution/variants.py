"""Layers made of convolution: depthwise, separable, factorized, untied (local), masked ones, and best matches."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.convolution.layers import Conv
from sigconv.convolution.masked import masked_conv
from sigconv.convolution.operations import conv_max
from sigconv.kernels import precise


class DepthwiseConv(Conv):
    """Every channel filtered by itself (ST8): Conv with groups=channels and multiplier filters to a channel.

    (batch, channels, *space) -> (batch, channels x multiplier, *positions); Conv's options but groups.

    >>> DepthwiseConv(16, 3, padding="same", ndim=3)(torch.zeros(1, 16, 4, 5, 6)).shape
    torch.Size([1, 16, 4, 5, 6])
    """

    def __init__(
        self, channels: int, kernel_size: Any, stride: Any = 1, *, multiplier: int = 1, **options: Any
    ) -> None:
        multiplier = nd.count(multiplier, "multiplier")
        super().__init__(channels, channels * multiplier, kernel_size, stride, groups=channels, **options)


class SeparableConv(nn.Module):
    """Depthwise-separable convolution (ST9): a filter to each channel, then a 1x1 convolution across channels.

    (batch, in_channels, *space) -> (batch, out_channels, *positions); Conv's options, which the depthwise half takes;
    the bias stands at the end. Its weights are 1/out_channels + 1/taps of a dense layer's.

    >>> layer = SeparableConv(16, 32, 3, ndim=2, bias=False)
    >>> sum(p.numel() for p in layer.parameters()) / (16 * 32 * 9) == 1 / 32 + 1 / 9
    True

    Source: Howard et al. 2017 (MobileNets).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        *,
        bias: bool = True,
        ndim: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv(in_channels, kernel_size, bias=False, ndim=ndim, **options)
        kept = {name: options[name] for name in ("device", "dtype") if name in options}
        self.pointwise = Conv(in_channels, out_channels, 1, bias=bias, ndim=self.depthwise.ndim, **kept)

    def forward(self, x: Tensor) -> Tensor:
        """The depthwise half, then the pointwise."""
        return self.pointwise(self.depthwise(x))


class FactorizedConv(nn.Sequential):
    """One convolution as several over fewer axes (ST10): an axis at a time, or (2+1)-D and its like by `parts`.

    (batch, in_channels, *space) -> (batch, out_channels, *positions). parts names the axes of each step, each once:
    ((1, 2), (0,)) over (time, height, width) filters each frame, then time. mid_channels between steps (out_channels,
    if None); stride, padding, padding_mode and dilation go to the step of their axis, the bias to the last step.

    >>> FactorizedConv(3, 8, (3, 7, 7), parts=((1, 2), (0,)), padding="same")(torch.zeros(1, 3, 4, 9, 9)).shape
    torch.Size([1, 8, 4, 9, 9])

    Source: Tran et al. 2018 (R(2+1)D).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        *,
        ndim: int | None = None,
        parts: Any = None,
        mid_channels: int | None = None,
        bias: bool = True,
        **options: Any,
    ) -> None:
        model = Conv(0, 0, kernel_size, stride, padding, dilation, ndim=ndim, bias=False)  # reads the options
        axes = range(model.ndim or 0)
        parts = [(axis,) for axis in axes] if parts is None else [tuple(part) for part in parts]
        if sorted(axis for part in parts for axis in part) != list(axes):
            raise ValueError(f"parts {parts} must name each of the axes {list(axes)} once")
        margins = nd.margins(padding, model.kernel_size, model.dilation)
        middle = nd.count(out_channels if mid_channels is None else mid_channels, "mid_channels")
        widths = [in_channels, *[middle] * (len(parts) - 1), out_channels]
        steps = []
        for step, part in enumerate(parts):
            one = lambda values, rest, part=part: tuple(v if a in part else rest for a, v in enumerate(values))
            steps.append(
                Conv(
                    widths[step],
                    widths[step + 1],
                    one(model.kernel_size, 1),
                    one(model.stride, 1),
                    one(margins, (0, 0)) if len(margins) > 1 else margins,
                    one(model.dilation, 1),
                    bias=bias and step == len(parts) - 1,
                    **options,
                )
            )
        super().__init__(*steps)


class LocalConv(nn.Module):
    """Locally connected layer (ST13): the windows of Conv, each with weights of its own; share ties neighbours.

    (batch, in_channels, *size) -> (batch, out_channels, *positions), for inputs of one size only. share positions of an
    axis, a number or one per axis, use the same weights (limited weight sharing); share as large as the positions is
    Conv. weight (out_channels, in_channels / groups, *kernel_size, *sections), bias (out_channels, *sections).

    >>> LocalConv(1, 80, (8,), size=(40,), share=(3,)).weight.shape     # 33 positions, 11 sections
    torch.Size([80, 1, 8, 11])

    Source: Abdel-Hamid et al. 2014 (limited weight sharing along frequency).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Any = "zeros",
        *,
        share: Any = 1,
        ndim: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        model = Conv(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            False,
            padding_mode,
            "meta",
            ndim=ndim,
        )
        self.ndim = model.ndim or 0
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, model.groups
        self.kernel_size, self.stride, self.dilation = model.kernel_size, model.stride, model.dilation
        self.size, self.share = nd.ntuple(size, self.ndim, "size"), nd.ntuple(share, self.ndim, "share")
        self.margins, self.padding_mode = nd.margins(padding, self.kernel_size, self.dilation), padding_mode
        self.positions = nd.output_size(self.size, self.kernel_size, self.stride, self.dilation, self.margins)
        sections = tuple(-(-p // s) for p, s in zip(self.positions, self.share, strict=True))
        where = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(*model.weight.shape, *sections, **where))
        self.bias = nn.Parameter(torch.empty(out_channels, *sections, **where)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and bias as Conv does: uniform within 1 / sqrt(taps x in_channels of a group)."""
        bound = 1 / math.sqrt(max(self.in_channels // self.groups * math.prod(self.kernel_size), 1))
        for parameter in (self.weight, self.bias):
            if parameter is not None:
                nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Every window times the weights of its section."""
        if not isinstance(x, Tensor) or x.dtype != self.weight.dtype:
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"x is {kind}: expected a tensor of {self.weight.dtype}, as this layer's weights are")
        if tuple(x.shape[1:]) != (self.in_channels, *self.size):
            expected = ", ".join(map(str, (self.in_channels, *self.size)))
            raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, {expected}), as this layer was made for")
        ndim = self.ndim
        seen = nd.windows(nd.pad(x, self.margins, self.padding_mode), self.kernel_size, self.stride, self.dilation)
        seen = seen.unflatten(1, (self.groups, -1)).flatten(3 + ndim).flatten(3, 2 + ndim)  # b, g, c, positions, taps
        weight = self._each(self.weight).unflatten(0, (self.groups, -1)).flatten(3, 2 + ndim).flatten(4)
        summed = precise.products if precise.rounds_products(seen, weight) else torch.einsum
        y = summed("bgcpk,gockp->bgop", seen, weight).reshape(x.shape[0], self.out_channels, *self.positions)
        return y if self.bias is None else y + self._each(self.bias)

    def _each(self, values: Tensor) -> Tensor:
        """The values of every position, from those of its section: the last axes."""
        for axis, (share, n) in enumerate(zip(self.share, self.positions, strict=True)):
            dim = values.ndim - self.ndim + axis
            values = values.repeat_interleave(share, dim).narrow(dim, 0, n)
        return values

    def extra_repr(self) -> str:
        """Channels and sizes."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, size={self.size}"
        return f"{text}, stride={self.stride}, share={self.share}"


class MaskedConv(Conv):
    """Conv over the samples that are there: layer(x, mask) is masked_conv, layer(x) takes NaNs for missing.

    (batch, in_channels, *space) -> (batch, out_channels, *positions), or with return_weight=True the pair of it and how
    much of the kernel met valid samples, from 0 to 1, which the next such layer takes for its mask.

    >>> y, met = MaskedConv(1, 4, 3, padding="same", ndim=2)(torch.full((1, 1, 5, 5), torch.nan), return_weight=True)
    >>> y.abs().max().item(), met.max().item()
    (0.0, 0.0)
    """

    def forward(self, x: Tensor, mask: Tensor | None = None, return_weight: bool = False) -> Any:
        """masked_conv(x, weight, mask, bias) with this layer's options."""
        return masked_conv(x, self.weight, mask, self.bias, **self.options, return_weight=return_weight)


class ConvMax(Conv):
    """The best match of every kernel anywhere: Conv, ReLU and the maximum over all of space, as conv_max takes them.

    (batch, in_channels, *space), or tokens (batch, *space), -> (batch, out_channels). Its parameters are Conv's and its
    answers those of Sequential(Conv(…), ReLU(), GlobalMaxPool()); of one axis of tokens only the best windows are kept,
    and only they get a gradient (`sigconv bench dna` measures it).

    >>> ConvMax(4, 16, 24, ndim=1)(torch.zeros(8, 101, dtype=torch.uint8)).shape
    torch.Size([8, 16])
    """

    def forward(self, x: Tensor) -> Tensor:
        """conv_max(x, weight, bias) with this layer's options."""
        return conv_max(x, self.weight, self.bias, **self.options)
