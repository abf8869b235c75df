"""Filter banks in front of a network: what a recipe's --front-end names, fixed or learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.filters import gabor, haar

WAVELENGTHS = (2.5, 4.0, 6.0, 10.0)  # samples
LEVELS = 3
KINDS = ("gabor", "haar")


class Responses(nn.Module):
    """What a bank's filters answer to every channel, in real channels, those of one channel together.

    (batch, channels, *space) -> (batch, channels * filters, *space); a complex filter has two, its real and its
    imaginary part. Gabor filters learn by their frequencies, widths and phases; Haar's, which have none, tap by tap.
    """

    def __init__(self, kind: str, ndim: int, learnable: bool = False) -> None:
        super().__init__()
        if nd.one_of(kind, KINDS, "front end") == "gabor":
            directions = 1 if ndim == 1 else 4
            self.bank: nn.Module = gabor.pyramid(
                ndim, wavelengths=WAVELENGTHS, directions=directions, learnable=learnable
            )
            self.filters = 2 * len(self.bank)
        else:
            fixed = haar.bank(ndim, LEVELS)
            self.bank, self.filters = (fixed.as_conv() if learnable else fixed), len(fixed)

    def forward(self, x: Tensor) -> Tensor:
        """The responses."""
        y = self.bank(x.flatten(0, 1)[:, None])
        y = torch.cat([y.real, y.imag], 1) if y.is_complex() else y
        return y.unflatten(0, x.shape[:2]).flatten(1, 2)
