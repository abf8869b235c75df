"""What the poolings between mean and maximum share: how sharp they are, and their exponents."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

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


class Exponents(NamedTuple):
    """|beta|·(x - extreme) of every tap without a product that could overflow: extreme is the largest, or the smallest
    where beta is below 0.
    """

    turned: Tensor  # x with its borders, negative where beta is; -inf where it does not count
    largest: Tensor  # of it, in every window, through which no gradient flows; 0 for an infinite one
    sharpness: Any  # |beta|
    sign: Any

    @property
    def extreme(self) -> Tensor:
        """The value of x that exponents are relative to."""
        return self.largest * self.sign

    def taps(self, windows: Windows) -> Iterator[Tensor]:
        """The exponent of every tap, 0 at most."""
        for tap in windows.taps(self.turned):
            gone = tap == -math.inf
            near = torch.where(gone, self.largest, tap) - self.largest
            yield torch.where(gone, -math.inf, self.sharpness * near)


def exponents(x: Tensor, windows: Windows, padding_mode: Any, value: float, beta: Any) -> Exponents:
    """The exponents of x; padded samples have a weight only where a padding_mode says what they are."""
    beta = per_channel(beta, x)
    below = (beta < 0) if isinstance(beta, Tensor) else torch.tensor(beta < 0, device=x.device)
    sign = 1 - 2 * below.to(x.dtype)
    if padding_mode is None:
        inside(windows, x.shape[2:])
        turned = windows.padded(x * sign, None, 0.0, -math.inf)
    else:
        bordered = nd.pad(x, windows.margins, padding_mode, value) * sign
        turned = nd.pad(bordered, windows.overhang, "constant", -math.inf)
    largest = extremes.largest(turned.detach(), *windows[:3])
    return Exponents(turned, torch.where(largest.isinf(), 0.0, largest), beta * sign, sign)


def per_channel(beta: Any, x: Tensor) -> Any:
    """beta ready to meet (batch, channels, *space)."""
    if not isinstance(beta, Tensor) or beta.ndim == 0:
        return beta.to(x.dtype) if isinstance(beta, Tensor) else beta
    if tuple(beta.shape) != (x.shape[1],):
        raise ValueError(
            f"beta has shape {tuple(beta.shape)}: expected one number, or ({x.shape[1]},), one per channel"
        )
    return nd.per_channel(beta.to(x.dtype), x.ndim - 2)
