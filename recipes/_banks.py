"""Filter banks in front of a network: what a recipe's --front-end names, fixed or learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.filters import gabor, haar, motion

WAVELENGTHS = (2.5, 4.0, 6.0, 10.0)  # samples
LEVELS = 3
PATTERN: dict[str, Any] = {"frequency": 1 / 6, "bandwidth": 1.5, "truncate": 2.5}  # half a sample a frame
STILL = ("gabor", "haar")
KINDS = (*STILL, "motion")


class Responses(nn.Module):
    """What a bank's filters answer to every channel, in real channels, those of one channel together.

    (batch, channels, *space) -> (batch, channels * filters, *space); a complex filter has two, its real and its
    imaginary part, but of motion one, the magnitude. Gabor filters learn by their frequencies, widths and phases;
    Haar's, which have none, tap by tap. time is the axis of space along which motion is looked for.
    """

    def __init__(self, kind: str, ndim: int, learnable: bool = False, time: int = 0) -> None:
        super().__init__()
        self.axis, self.options = 2, {}
        if nd.one_of(kind, KINDS, "front end") == "motion":
            self.axis, self.options = 2 + time % ndim, {"output": "magnitude"}
            ways = {2: 2, 3: 8}.get(ndim, 2 * (ndim - 1))
            bank: nn.Module = motion.bank(0.5, ways, 1.0, ndim=ndim, learnable=learnable, **PATTERN)
            self.filters = ways
        elif kind == "gabor":
            ways, waves = 1 if ndim == 1 else 4, WAVELENGTHS if ndim < 4 else WAVELENGTHS[:2]  # long ones fill a run
            bank = gabor.pyramid(ndim, wavelengths=waves, directions=ways, learnable=learnable)
            self.filters = 2 * len(bank)
        else:
            fixed = haar.bank(ndim, LEVELS)
            bank, self.filters = (fixed.as_conv() if learnable else fixed), len(fixed)
        self.bank = bank

    def forward(self, x: Tensor) -> Tensor:
        """The responses."""
        x = x.movedim(self.axis, 2)
        y = self.bank(x.flatten(0, 1)[:, None], **self.options)
        y = torch.cat([y.real, y.imag], 1) if y.is_complex() else y
        return y.unflatten(0, x.shape[:2]).flatten(1, 2).movedim(2, self.axis)
