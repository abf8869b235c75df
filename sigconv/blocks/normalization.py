"""Normalization over any number of axes."""

from __future__ import annotations

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


class BatchNorm(_BatchNorm):
    """torch.nn.BatchNorm over any number of axes: statistics per channel, over the batch and all of space.

    (batch, channels, *space) -> the same shape; options, buffers and state_dict of torch.nn.BatchNorm1d, 2d and 3d.
    Raises ValueError for an x without channels. Source: Ioffe and Szegedy 2015.

    >>> import torch
    >>> BatchNorm(3)(torch.randn(2, 3, 4, 4, 4, 4)).shape
    torch.Size([2, 3, 4, 4, 4, 4])
    """

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  torch's name
        if input.ndim < 2:
            raise ValueError(f"x has shape {tuple(input.shape)}: expected (batch, channels, *space)")
