"""Both strands of DNA: layers whose answer to the reverse complement is their answer, turned round.

The reverse complement of one-hot channels A C G T is both axes flipped, of tokens 0 1 2 3 their opposites 3 2 1 0 read
backwards. Channels here come in pairs in the same manner: of 2·C, the last is what the first is on the other strand,
the last but one what the second is. So one rule says what the reverse complement of any layer's answer is, flip(1, 2),
and layers can be stacked:

    nn.Sequential(
        ReverseComplementConv(4, 32, 15), ReverseComplementBatchNorm(32), nn.ReLU(),     # (batch, 32, n): 16 pairs
        ReverseComplementConv(32, 64, 5), nn.ReLU(), StrandPool(64), GlobalMaxPool(),    # (batch, 32), of both strands
    )

Elementwise layers and pooling whose windows fit n exactly need no layers of their own. Both strands are computed by the
same sums, so answers are equivariant to the bit, and not only to rounding as flipped kernels would make them.
Sources: Shrikumar, Greenside and Kundaje 2017, doi:10.1101/103663; Zhou, Shrikumar and Kundaje 2022 (RCPS).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks.normalization import BatchNorm
from sigconv.convolution import Conv

REDUCE = ("max", "mean")


def other_strand(x: Tensor, symbols: int = 4) -> Tensor:
    """The reverse complement: of tokens (batch, n), what is no symbol staying what it is, or of channels in pairs.

    >>> other_strand(torch.tensor([[0, 0, 1, 4]]))
    tensor([[4, 2, 3, 3]])
    """
    if x.is_floating_point():
        return x.flip(1, 2)
    turned = x.flip(1)
    return torch.where((turned >= 0) & (turned < symbols), symbols - 1 - turned, turned)


class BothStrands(nn.Module):
    """A layer or model run on a sequence and on its reverse complement, the answers put together.

    x is tokens (batch, n), one-hot (batch, 4, n) or channels in pairs; the layer may answer with positions, (batch,
    channels, positions), or without, (batch, features): positions of the other strand are turned back, so that both
    answers at one position are about one place (as far as strides and borders are the same from both ends).

    reduce   "max" or "mean" of the two, or None: both, (batch, 2·channels, …), in pairs as the layers here take them

    With "max" and "mean" features are the same for either strand, to the bit. In training both go through the layer as
    one batch, and its batch norms see them together; otherwise one after the other, for a matrix product's rounding may
    depend on a row's place in the batch. Raises ValueError for other shapes.
    Source: Alipanahi et al. 2015 (DeepBind), the maximum over strands.

    >>> x = torch.tensor([[0, 0, 1, 2, 4, 3]])
    >>> model = BothStrands(Conv(4, 8, 3, ndim=1)).eval()
    >>> torch.equal(model(other_strand(x)), model(x).flip(2))
    True
    """

    def __init__(self, layer: nn.Module, reduce: str | None = "max") -> None:
        super().__init__()
        if reduce is not None:
            nd.one_of(reduce, REDUCE, "reduce")
        self.layer, self.reduce = layer, reduce

    def forward(self, x: Tensor) -> Tensor:
        """Both answers, and what reduce makes of them."""
        _check(x, None)
        if self.training:
            one, other = self._answer(torch.cat([x, other_strand(x)])).chunk(2)
        else:
            one, other = self._answer(x), self._answer(other_strand(x))
        if one.ndim == 3:
            other = other.flip(2)
        if self.reduce is None:
            return torch.cat([one, other.flip(1)], 1)
        return torch.maximum(one, other) if self.reduce == "max" else (one + other) / 2

    def _answer(self, x: Tensor) -> Tensor:
        """The layer's answer, if it has a shape that can be turned."""
        y = self.layer(x)
        if isinstance(y, Tensor) and y.ndim in (2, 3):
            return y
        name, kind = type(self.layer).__name__, f"shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"{name} answers with {kind}: expected (batch, features) or (batch, channels, positions)")

    def extra_repr(self) -> str:
        """What becomes of the two."""
        return f"reduce={self.reduce!r}"


class ReverseComplementConv(nn.Module):
    """Convolution along one axis with weights shared by both strands: out_channels in pairs, half as many kernels.

    x of in_channels in pairs (4 of one-hot DNA are), or tokens -> (batch, out_channels, positions); channel
    out_channels - 1 - i finds on the other strand what channel i finds. Its numbers are those of a Conv with the weight
    dense(). kernel_size=1 mixes channels at each position. Options are Conv's; weight (out_channels / 2, in_channels /
    groups, kernel_size) and bias (out_channels / 2) are those of the layer `conv` inside.

    ValueError for an odd number of out_channels, for borders that differ before and after ("causal", "same" of an even
    kernel), and, when called, where a stride leaves samples over: strands would then look at different windows.
    Source: Shrikumar, Greenside and Kundaje 2017, section 2.1.

    >>> layer = ReverseComplementConv(4, 6, 5, padding="same").double()
    >>> x = torch.randn(2, 4, 9, dtype=torch.float64)
    >>> torch.equal(layer(x.flip(1, 2)), layer(x).flip(1, 2))
    True
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, **options: Any
    ) -> None:
        super().__init__()
        pairs = _pairs(out_channels, "out_channels")
        self.conv = Conv(in_channels, pairs, kernel_size, stride, padding, **{"ndim": 1} | options)
        self.in_channels, self.out_channels = in_channels, out_channels
        if self.conv.ndim != 1:
            raise ValueError(f"ndim={self.conv.ndim}: a strand has one axis")
        ((before, after),) = self._margins
        if before != after:
            raise ValueError(
                f"padding {padding!r} of a kernel of {self.conv.kernel_size[0]} is {before} before and {after} after: "
                "strands need the same border at both ends"
            )

    @property
    def _margins(self) -> nd.Margins:
        return nd.margins(self.conv.padding, self.conv.kernel_size, self.conv.dilation)

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """weight (out_channels, in_channels / groups, kernel_size) and bias of the Conv that does the same."""
        weight, bias = self.conv.weight, self.conv.bias
        if self.conv.groups > 1:
            raise ValueError(
                f"groups={self.conv.groups}: the other strand's groups come in the other order, as in no Conv"
            )
        both = torch.cat([weight, weight.flip(0, 1, 2)])
        return both, None if bias is None else torch.cat([bias, bias.flip(0)])

    def forward(self, x: Tensor) -> Tensor:
        """The kernels along both strands, the other's answer turned round."""
        _check(x, self.in_channels)
        ((before, after),) = self._margins
        (span,), (stride,) = nd.spans(self.conv.kernel_size, self.conv.dilation), self.conv.stride
        rest = (x.shape[-1] + before + after - span) % stride
        if rest and x.shape[-1] + before + after > span:
            raise ValueError(
                f"stride {stride} leaves {rest} of {x.shape[-1]} samples over: strands would see different windows; "
                f"cut or pad x by {rest} or {stride - rest}"
            )
        one, other = self.conv(x), self.conv(other_strand(x, self.in_channels))
        return torch.cat([one, other.flip(1, 2)], 1)


class ReverseComplementBatchNorm(nn.Module):
    """BatchNorm of channels in pairs: both of a pair have the same statistics, weight and bias.

    (batch, channels, n) -> the same shape; options are torch.nn.BatchNorm1d's, and the layer `norm` inside has
    channels / 2 of everything. ValueError for an odd number of channels.

    >>> ReverseComplementBatchNorm(6)(torch.randn(2, 6, 5)).shape
    torch.Size([2, 6, 5])
    """

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__()
        self.norm = BatchNorm(_pairs(channels, "channels"), **options)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """The halves as one batch, in the order of the first."""
        _check(x, self.channels)
        one, other = x.chunk(2, 1)
        one, other = self.norm(torch.cat([one, other.flip(1)])).chunk(2)
        return torch.cat([one, other.flip(1)], 1)


class StrandPool(nn.Module):
    """The larger, or the mean, of each pair of channels: (batch, channels, n) -> (batch, channels / 2, n).

    What is left does not say on which strand it was found; its reverse complement is flip(2) alone. Pooled over
    positions besides, it is the same for both strands. x may have no positions, (batch, channels).
    ValueError for an odd number of channels, or another number than the layer was made for.

    >>> StrandPool(4)(torch.tensor([[1.0, 2.0, 5.0, 0.0]]))
    tensor([[1., 5.]])
    """

    def __init__(self, channels: int, reduce: str = "max") -> None:
        super().__init__()
        _pairs(channels, "channels")
        self.channels, self.reduce = channels, nd.one_of(reduce, REDUCE, "reduce")

    def forward(self, x: Tensor) -> Tensor:
        """Of each pair one number."""
        if x.ndim not in (2, 3) or x.shape[1] != self.channels:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: expected (batch, {self.channels}) with or without positions"
            )
        one, other = x.chunk(2, 1)
        other = other.flip(1)
        return torch.maximum(one, other) if self.reduce == "max" else (one + other) / 2

    def extra_repr(self) -> str:
        """Channels and what becomes of them."""
        return f"{self.channels}, reduce={self.reduce!r}"


def _pairs(channels: Any, name: str) -> int:
    """How many pairs."""
    if nd.count(channels, name) % 2:
        raise ValueError(f"{name}={channels} is odd: channels of both strands come in pairs")
    return int(channels) // 2


def _check(x: Tensor, channels: int | None) -> None:
    """Tokens, or channels along one axis."""
    if x.is_floating_point():
        if x.ndim != 3 or (channels is not None and x.shape[1] != channels):
            raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, {channels or 'channels'}, n)")
    elif x.ndim != 2 or x.is_complex() or x.dtype == torch.bool:
        raise ValueError(f"x has shape {tuple(x.shape)} of {x.dtype}: expected tokens (batch, n) or floating channels")
