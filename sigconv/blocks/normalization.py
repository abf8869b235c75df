"""Normalization over any number of axes: by the batch, and by neighbouring channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from sigconv import nd


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


@nd.numpy_too
def local_response_norm(
    x: Tensor, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, mean: bool = False
) -> Tensor:
    """Each value over (k + alpha · sum of squares of `size` channels around it)^beta: brightness normalization (AC2).

    x (batch, channels, *space) of floats -> the same shape and dtype; half precision is squared in float32. The paper's
    formula takes the sum, the default; mean=True takes alpha for the sum's mean instead, as torch.nn.LocalResponseNorm
    and Caffe do: theirs with alpha=size·1e-4 is the paper's. Channels beyond the ends count as 0.
    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3: size 5, k 2, alpha 1e-4, beta 0.75.

    >>> x = torch.ones(1, 1, 1)
    >>> local_response_norm(x, 5, alpha=2.0, beta=1.0)
    tensor([[[0.2500]]])
    """
    size = nd.count(size, "size")
    if x.ndim < 2 or not x.is_floating_point():
        raise ValueError(f"x has shape {tuple(x.shape)} of {x.dtype}: expected floats (batch, channels, *space)")
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    squares = F.pad((wide * wide).movedim(1, -1), (size // 2, (size - 1) // 2))
    energy = squares.unfold(-1, size, 1).sum(-1).movedim(-1, 1)
    return (wide / (k + energy * (alpha / size if mean else alpha)) ** beta).to(x.dtype)


class LocalResponseNorm(nn.Module):
    """The layer of local_response_norm, whose options it takes: the paper's numbers and formula by default.

    (batch, channels, *space) -> the same shape; it learns nothing.

    >>> LocalResponseNorm()
    LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=2.0, mean=False)
    """

    def __init__(
        self, size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, mean: bool = False
    ) -> None:
        super().__init__()
        self.size = nd.count(size, "size")
        self.options = {"alpha": alpha, "beta": beta, "k": k, "mean": mean}

    def forward(self, x: Tensor) -> Tensor:
        """local_response_norm(x) with this layer's options."""
        return local_response_norm(x, self.size, **self.options)

    def extra_repr(self) -> str:
        """The options."""
        return ", ".join([str(self.size), *(f"{name}={option}" for name, option in self.options.items())])
