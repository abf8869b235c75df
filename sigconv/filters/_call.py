"""One call's options, as the ways to compute it take them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Call(NamedTuple):
    """A number per axis for everything."""

    stride: tuple[int, ...]
    modes: tuple[str, ...]
    value: float
    positions: tuple[int, ...]
    memory: int | None
    inside: bool = False  # no border: positions are those of whole windows, of a crop that has its halo with it

    def half(self, taps: int) -> int:
        """Samples of border that taps need on either side."""
        return 0 if self.inside else taps // 2


def like(rows: Tensor, kernels: Tensor) -> torch.dtype:
    """The signal's precision, complex where the kernels are."""
    return torch.promote_types(rows.dtype, torch.complex64) if kernels.is_complex() else rows.dtype
