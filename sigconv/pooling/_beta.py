"""What the poolings between mean and maximum share: how sharp they are, and what stands around their input."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.kernels import _triton as triton
from sigconv.pooling._derive import Pool
from sigconv.pooling._windows import Windows, inside, real


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


def bordered(x: Tensor, windows: Windows, padding_mode: Any, value: float, name: str) -> tuple[Tensor, list[int]]:
    """x and its margins' samples before each axis; with its borders, and no margins, where a padding_mode says what
    stands there.
    """
    if padding_mode is not None:
        return nd.pad(real(x, name), windows.margins, padding_mode, value), [0] * len(windows.margins)
    x = x if triton.usable(x) else real(x, name)  # kernels read halves as they are
    inside(windows, x.shape[2:])
    return x, [before for before, _ in windows.margins]


def each(beta: Any, x: Tensor) -> Any:
    """beta, refused if it is neither one real number nor one a channel, where x is."""
    beta = torch.from_numpy(beta) if isinstance(beta, np.ndarray) else beta
    if isinstance(beta, Tensor) and (beta.is_complex() or beta.dtype == torch.bool):
        raise TypeError(f"beta is {beta.dtype}: expected real numbers")
    if isinstance(beta, Tensor) and beta.ndim and beta.device != x.device:
        raise ValueError(f"beta is on {beta.device} and x on {x.device}: bring them together")
    if isinstance(beta, Tensor) and beta.ndim and tuple(beta.shape) != (x.shape[1],):
        raise ValueError(
            f"beta has shape {tuple(beta.shape)}: expected one number, or ({x.shape[1]},), one per channel"
        )
    return beta
