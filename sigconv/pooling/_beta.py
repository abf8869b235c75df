"""What the poolings between mean and maximum share: how sharp they are, and their exponents."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.kernels import extremes
from sigconv.pooling._derive import Pool
from sigconv.pooling._windows import Windows, inside


class Beta(Pool):
    """learnable=True makes beta a parameter to train; channels=n gives each of n channels a beta of its own."""

    def hold(self, *, learnable: bool = False, channels: int | None = None) -> None:
        """The parameter, or a buffer where beta is a tensor."""
        self.beta = None
        beta = self.options.get("beta", 1.0)
        if learnable or channels is not None or isinstance(beta, Tensor):
            beta = torch.as_tensor(beta, dtype=None if isinstance(beta, Tensor) else torch.get_default_dtype())
            beta = beta.detach().clone() if channels is None else beta.repeat(nd.count(channels, "channels"))
            if learnable:
                self.beta = nn.Parameter(beta)
            else:
                del self.beta
                self.register_buffer("beta", beta)

    def held(self) -> dict[str, Any]:
        """The beta this layer holds, if it holds one."""
        return {} if self.beta is None else {"beta": self.beta}


def exponents(x: Tensor, windows: Windows, padding_mode: Any, value: float, beta: Any) -> tuple[Tensor, Tensor, Tensor]:
    """(x, beta·x) with their borders, and the largest beta·x of every window, through which no gradient flows.

    What does not count has the exponent -inf and the value 0. Where the largest is infinite, 0 stands for it.
    """
    if padding_mode is None:
        inside(windows)
        padded = windows.padded(x, None, 0.0, 0.0)
        power = windows.padded(x * per_channel(beta, x), None, 0.0, -math.inf)
    else:
        bordered = nd.pad(x, windows.margins, padding_mode, value)
        padded = nd.pad(bordered, windows.overhang)
        power = nd.pad(bordered * per_channel(beta, x), windows.overhang, "constant", -math.inf)
    largest = extremes.largest(power.detach(), *windows[:3])
    return padded, power, torch.where(largest.isinf(), 0.0, largest)


def per_channel(beta: Any, x: Tensor) -> Any:
    """beta ready to meet (batch, channels, *space)."""
    if not isinstance(beta, Tensor) or beta.ndim == 0:
        return beta.to(x.dtype) if isinstance(beta, Tensor) else beta
    if tuple(beta.shape) != (x.shape[1],):
        raise ValueError(
            f"beta has shape {tuple(beta.shape)}: expected one number, or ({x.shape[1]},), one per channel"
        )
    return nd.per_channel(beta.to(x.dtype), x.ndim - 2)
