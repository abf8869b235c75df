"""A stage: convolution, normalization, detector and pooling as separate modules, in any order (AC3, AC4)."""

from __future__ import annotations

from typing import Any

from torch import nn

from sigconv import nd
from sigconv.blocks.activations import activation as activated
from sigconv.blocks.normalization import BatchNorm
from sigconv.convolution import Conv
from sigconv.pooling import MaxPool

PARTS = ("conv", "bn", "act", "pool")


class Stage(nn.Sequential):
    """conv, bn, act and pool, those that `order` names and in its order; each a module that reports can show.

    (batch, in_channels, *space) -> (batch, out_channels, *positions). order is words with dashes between; pool is a
    module, a maximum over 2 by default; bias is left out where a bn takes its place, unless told. The rest is Conv's.
    ValueError for an order without conv, with a word twice, or an unknown word.

    >>> [name for name, _ in Stage(3, 8, 5, ndim=2, order="conv-act-pool").named_children()]
    ['conv', 'act', 'pool']

    Requirement AC4: the detector's scalar function stands between convolution and pooling, or where it is put.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        *,
        ndim: int = 2,
        order: str = "conv-bn-act",
        activation: Any = "relu",
        pool: nn.Module | None = None,
        eps: float = 1e-5,
        bias: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        parts = [nd.one_of(part, PARTS, "part of order") for part in order.split("-")]
        if "conv" not in parts or len(set(parts)) < len(parts):
            raise ValueError(f"order {order!r} must name conv, and nothing twice: such as 'conv-act-pool'")
        for i, part in enumerate(parts):
            channels = out_channels if "conv" in parts[:i] else in_channels
            if part == "conv":
                bias = "bn" not in parts if bias is None else bias
                module: nn.Module = Conv(in_channels, out_channels, kernel_size, ndim=ndim, bias=bias, **options)
            elif part == "bn":
                module = BatchNorm(channels, eps=eps)
            elif part == "act":
                module = activated(activation, channels, ndim)
            else:
                module = MaxPool(2) if pool is None else pool
            self.add_module(part, module)
