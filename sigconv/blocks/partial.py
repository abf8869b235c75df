"""Convolution that joins some maps with some others only, by a table (AR4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.convolution import conv


class PartialConv(nn.Module):
    """Convolution whose every output channel sees the input channels that a table names for it.

    (batch, in_channels, *space) -> (batch, len(table), *positions). weight (connections, *kernel_size) holds what is
    connected and no more, in the table's order; bias (len(table)). Options are conv's. ValueError for a channel that
    does not exist, or an output without any. Source: LeCun et al. 1998, table I.

    >>> layer = PartialConv(6, [(0, 1, 2), (1, 2, 3), (0, 2, 5, 4)], 5, ndim=2)
    >>> layer.weight.shape, layer(torch.zeros(1, 6, 14, 14)).shape
    (torch.Size([10, 5, 5]), torch.Size([1, 3, 10, 10]))
    """

    def __init__(
        self, in_channels: int, table: Sequence[Sequence[int]], kernel_size: Any, *, ndim: int, **options: Any
    ) -> None:
        super().__init__()
        for row, inputs in enumerate(table):
            if not inputs or len(set(inputs)) < len(inputs) or not set(inputs) <= set(range(in_channels)):
                raise ValueError(f"table row {row} {tuple(inputs)} must name some of {in_channels} channels, each once")
        self.in_channels, self.out_channels = in_channels, len(table)
        self.kernel_size, self.options = nd.ntuple(kernel_size, ndim, "kernel_size"), options
        self.rows = [row for row, inputs in enumerate(table) for _ in inputs]
        self.columns = [column for inputs in table for column in inputs]
        self.weight = nn.Parameter(torch.empty(len(self.rows), *self.kernel_size))
        self.bias = nn.Parameter(torch.empty(len(table)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and bias as torch does for a layer of as many connections as an output has on average."""
        bound = 1 / math.sqrt(self.weight.numel() / self.out_channels)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def dense(self) -> Tensor:
        """The weight of the Conv that does the same, (out_channels, in_channels, *kernel_size): 0 where not joined."""
        whole = self.weight.new_zeros(self.out_channels, self.in_channels, *self.kernel_size)
        rows, columns = (torch.tensor(index, device=self.weight.device) for index in (self.rows, self.columns))
        return whole.index_put((rows, columns), self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """conv of x with what is joined."""
        return conv(x, self.dense(), self.bias, **self.options)

    def extra_repr(self) -> str:
        """Channels, connections and sizes."""
        text = f"{self.in_channels}, {self.out_channels}, connections={len(self.rows)}"
        return f"{text}, kernel_size={self.kernel_size}"
