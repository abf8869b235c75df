"""Inception: several kernel sizes side by side, their maps concatenated (AR10, AR11)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.blocks.stages import Stage
from sigconv.pooling import MaxPool


class Inception(nn.Module):
    """1x1, 3x3 and 5x5 convolutions and a 3x3 maximum of the same input, concatenated along channels.

    (batch, in_channels, *space) -> (batch, out_channels, *space). ch3x3red, ch5x5red and pool_proj are the 1x1 layers
    before 3x3 and 5x5 and after the maximum (AR11); naive=True leaves those out, and their numbers unused, so that the
    maximum's in_channels join the output (AR10). five=3 is torchvision's kernel in the 5x5 branch (E23), batch_norm its
    bn with eps 0.001. Names and order of channel counts as torchvision's. Source: Szegedy et al. 2015.

    >>> block = Inception(192, 64, 96, 128, 16, 32, 32, ndim=2)
    >>> block.out_channels, Inception(192, 64, 96, 128, 16, 32, 32, ndim=2, naive=True).out_channels
    (256, 416)
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        *,
        ndim: int = 2,
        naive: bool = False,
        five: int = 5,
        batch_norm: bool = False,
        activation: Any = "relu",
    ) -> None:
        super().__init__()
        nd.one_of(str(five), ("3", "5"), "five")
        order = "conv-bn-act" if batch_norm else "conv-act"

        def stage(channels: int, out: int, size: int) -> Stage:
            options = {"order": order, "activation": activation, "eps": 1e-3, "padding": size // 2}
            return Stage(channels, out, size, ndim=ndim, **options)

        def branch(reduced: int, out: int, size: int) -> nn.Sequential:
            if naive:
                return nn.Sequential(stage(in_channels, out, size))
            return nn.Sequential(stage(in_channels, reduced, 1), stage(reduced, out, size))

        self.branch1 = stage(in_channels, ch1x1, 1)
        self.branch2 = branch(ch3x3red, ch3x3, 3)
        self.branch3 = branch(ch5x5red, ch5x5, five)
        self.branch4 = nn.Sequential(MaxPool(3, 1, padding=1))
        if not naive:
            self.branch4.append(stage(in_channels, pool_proj, 1))
        self.out_channels = ch1x1 + ch3x3 + ch5x5 + (in_channels if naive else pool_proj)

    def forward(self, x: Tensor) -> Tensor:
        """The four branches, side by side."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)
