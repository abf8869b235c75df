"""Convolution whose weights are shared so far along the first axis and no farther, and its pooling (AP1, ST13).

A filter of f taps, pooled over p positions every s of them, looks at sections of p + f - 1 samples, s apart:

    full sharing      every section the same weights      Conv, then a pooling of p every s
    limited sharing   weights of its own for a section    SectionConv(share=p, step=s), then SectionPool(sections=True)
    no sharing        weights of its own for a position   SectionConv(share=1, step=1), then a pooling of p every s

One mechanism does all: windows of the first axis as groups of channels. The other axes, time, are convolved as usual.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.convolution import Conv, conv
from sigconv.pooling import max_pool

KINDS = ("max", "softmax")


class SectionConv(nn.Module):
    """Each section of the first axis convolved with weights of its own; the other axes share theirs, as in Conv.

    (batch, in_channels, size, *time) -> (batch, out_channels, sections x share, *frames), the positions of a section
    side by side; for a first axis of this size only, which nothing pads. A section's weights serve `share` positions in
    a row, and sections begin `step` samples apart. weight (sections, out_channels, in_channels, *kernel_size), bias
    (sections, out_channels).

    kernel_size    taps, one number or one per axis; a bare number needs ndim
    stride         along the axes after the first, one number or one for each of them
    padding        likewise, as Conv takes it: "same", "causal" … or numbers

    With step = share it is LocalConv of that share, with share = step = 1 untied. ValueError for another size.

    >>> layer = SectionConv(45, 150, 8, 40, share=6, step=2, ndim=1)    # 14 sections of 13 bands
    >>> layer.weight.shape, layer(torch.zeros(2, 45, 40)).shape
    (torch.Size([14, 150, 45, 8]), torch.Size([2, 150, 84]))

    Source: Abdel-Hamid et al. 2014, limited weight sharing.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        size: int,
        stride: Any = 1,
        padding: Any = "same",
        *,
        share: int = 1,
        step: int = 1,
        bias: bool = True,
        ndim: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        each = Conv(in_channels, out_channels, kernel_size, bias=False, device="meta", ndim=ndim)  # reads the options
        self.ndim, self.in_channels, self.out_channels = each.ndim or 0, each.in_channels, each.out_channels
        self.kernel_size, self.size = each.kernel_size, nd.count(size, "size")
        self.share, self.step = nd.count(share, "share"), nd.count(step, "step")
        self.stride = (1, *nd.ntuple(stride, self.ndim - 1, "stride"))
        self.margins = ((0, 0), *nd.margins(padding, self.kernel_size[1:], (1,) * (self.ndim - 1)))
        self.span = self.share + self.kernel_size[0] - 1
        (self.sections,) = nd.output_size((self.size,), (self.span,), (self.step,), (1,), ((0, 0),))
        where = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(self.sections, *each.weight.shape, **where))
        self.bias = nn.Parameter(torch.empty(self.sections, out_channels, **where)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and bias as Conv does: uniform within 1 / sqrt(taps x in_channels)."""
        if self.weight.numel():
            bound = 1 / math.sqrt(self.weight[0, 0].numel())
            for values in self.parameters():
                nn.init.uniform_(values, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """The sections as groups of channels through one convolution, and their positions put side by side."""
        if x.ndim != 2 + self.ndim or tuple(x.shape[1:3]) != (self.in_channels, self.size):
            space = "".join([", *time"] * (self.ndim > 1))
            expected = f"(batch, {self.in_channels}, {self.size}{space})"
            raise ValueError(f"x has shape {tuple(x.shape)}: expected {expected} of {self.ndim} axes of space")
        seen = x.unfold(2, self.span, self.step).movedim(2, 1).movedim(-1, 3).flatten(1, 2)
        bias = None if self.bias is None else self.bias.flatten()
        options: dict[str, Any] = {"stride": self.stride, "padding": self.margins, "groups": self.sections}
        y = conv(seen, self.weight.flatten(0, 1), bias, **options)
        return y.unflatten(1, (self.sections, self.out_channels)).movedim(1, 2).flatten(2, 3)

    def extra_repr(self) -> str:
        """Channels and sizes."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, size={self.size}"
        return f"{text}, stride={self.stride}, padding={self.margins}, share={self.share}, step={self.step}"


class SectionPool(nn.Module):
    """Pooling along the first axis alone: windows of pool positions, step apart, or the sections of a SectionConv.

    (batch, channels, positions, *time) -> (batch, channels, windows, *time). kind "max", or "softmax": the mean of a
    window weighted by the softmax of beta·x + weight. weight (pool,), learned and 0 at first, says how much each
    position counts, and so how wide the window is in truth; beta, learned and 1 at first, lies between the mean (0) and
    the maximum. sections=True is for positions side by side: windows do not overlap, though what they look at does.

    >>> SectionPool(6, 2)(torch.zeros(1, 360, 33)).shape, SectionPool(6, 2, sections=True)(torch.zeros(1, 8, 84)).shape
    (torch.Size([1, 360, 14]), torch.Size([1, 8, 14]))

    Source: Abdel-Hamid, Deng and Yu 2013 (weighted softmax pooling); Abdel-Hamid et al. 2014.
    """

    def __init__(self, pool: int, step: int, *, kind: str = "max", sections: bool = False) -> None:
        super().__init__()
        self.pool, self.step, self.sections = nd.count(pool, "pool"), nd.count(step, "pool_stride"), sections
        self.kind = nd.one_of(kind, KINDS, "pooling")
        if kind == "softmax":
            self.weight = nn.Parameter(torch.zeros(self.pool))
            self.beta = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """The windows' maxima, or their weighted means."""
        stride = self.pool if self.sections else self.step
        if self.kind == "max":
            rest = (1,) * (x.ndim - 3)
            return max_pool(x, (self.pool, *rest), (stride, *rest))
        seen = x.unfold(2, self.pool, stride)
        return (seen * (self.beta * seen + self.weight).softmax(-1)).sum(-1).to(x.dtype)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.pool}, {self.step}, kind={self.kind!r}, sections={self.sections}"
