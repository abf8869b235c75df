"""Per-channel energy normalisation: an automatic gain that follows each channel, then a root."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters import _walls
from sigconv.filters.auditory._recursion import recursion
from sigconv.kernels._state import readable

WALLS = {"alpha": (0.0, 1.0), "delta": (1e-6, math.inf), "r": (1.0, math.inf), "s": (0.0, 1.0)}


def smoothing(time_constant: float, fs: float) -> float:
    """The s of pcen whose smoother has this time constant in seconds, at fs frames per second: librosa's rule.

    >>> round(smoothing(0.4, 100), 5)
    0.02469
    """
    if not (time_constant > 0 and fs > 0):
        raise ValueError(f"time_constant={time_constant}, fs={fs}: expected both above 0")
    frames = time_constant * fs
    return (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)


@nd.numpy_too
def _pcen(x: Tensor, alpha: Any, delta: Any, r: Any, s: Any, eps: float, state: Any) -> tuple[Tensor, Tensor]:
    work = torch.promote_types(x.dtype, torch.float32)
    seen = x.to(work)
    if readable(seen) and bool((seen < 0).any()):
        raise ValueError(
            f"x holds {seen[seen < 0][0].item():.4g}: pcen takes energies or magnitudes, at least 0, not logarithms"
        )
    alpha, delta, r, s = (torch.as_tensor(p, dtype=work, device=x.device) for p in (alpha, delta, r, s))
    for name, p in zip(WALLS, (alpha, delta, r, s), strict=True):
        if p.ndim > 1 or p.numel() not in (1, *x.shape[-2:-1]):
            raise ValueError(
                f"{name} has shape {tuple(p.shape)}: expected a number or one per channel of {tuple(x.shape)}"
            )
    first = seen[..., 0] if state is None else torch.as_tensor(state, dtype=work, device=x.device).expand(x.shape[:-1])
    # What is not finite stays so from there on, as in the recursion itself, and touches nothing before (N3).
    bad = ~torch.isfinite(seen)
    poison = torch.where(bad, seen, 0).detach().cumsum(-1)
    start = torch.where(torch.isfinite(first), first, 0)
    energy = recursion(s.unsqueeze(-1) * torch.where(bad, 0, seen), 1 - s, start) + poison
    energy = energy + torch.where(torch.isfinite(first), 0, first).detach().unsqueeze(-1)
    column = lambda p: p.unsqueeze(-1) if p.ndim else p
    alpha, delta, r = column(alpha), column(delta), column(r)
    gain = torch.exp(-alpha * torch.log(eps + energy))
    # ((gain·x + delta)^(1/r) - delta^(1/r)) loses everything of a small x; this form loses nothing
    y = delta ** (1 / r) * torch.expm1(torch.log1p(seen * gain / delta) / r)
    return y.to(x.dtype), energy[..., -1]


def _checked(name: str, value: Any) -> Tensor:
    """The parameter as float64, if it is within its walls."""
    values, (least, most) = _walls.numbers(value, name), WALLS[name]
    _walls.inside(values, torch.tensor(least), torch.tensor(most), f"{name} {{value}} is out of range")
    return values


def pcen(
    x: Any,
    *,
    alpha: Any = 0.98,
    delta: Any = 2.0,
    r: Any = 2.0,
    s: Any = 0.025,
    eps: float = 1e-6,
    state: Any = None,
    return_state: bool = False,
) -> Any:
    """Per-channel energy normalisation of (…, channels, frames): (x / (eps + M)^alpha + delta)^(1/r) - delta^(1/r).

    M_t = (1 - s)·M_{t-1} + s·x_t follows each channel along the frames, M_0 = x_0. x is an energy or a magnitude, at
    least 0; alpha is the strength of the gain (0 … 1), delta and r shape the root, s the speed (see smoothing). Each is
    a number, or one per channel, and may require gradients.

    state is M before the first frame, (…, channels) or a number (librosa.pcen starts from 1); return_state gives M at
    the last frame beside the answer, to go on from in the next chunk. Tensor or NumPy array; the answer has its kind,
    dtype and device. After a NaN or an infinity M is so too, as the recursion has it; what came before is untouched.
    Raises ValueError for parameters outside their ranges, for negative values and for a spectrogram without frames.

    >>> pcen(torch.ones(2, 40, 100)).shape
    torch.Size([2, 40, 100])

    Source: Wang et al. 2017, arXiv:1607.05666; C.2.
    """
    given = {"alpha": alpha, "delta": delta, "r": r, "s": s}
    for name, value in given.items():
        if not isinstance(value, Tensor):
            _checked(name, value)
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (…, channels, frames) with at least one frame")
    y, last = _pcen(x, alpha, delta, r, s, eps, state)
    return (y, last) if return_state else y


class PCEN(_walls.Held):
    """pcen as a layer, its parameters one per channel, within their walls: (…, channels, frames) -> the same shape.

    alpha in 0 … 1, delta above 0, r at least 1, s in 0 … 1; trained unless learnable=False. state_dict holds them only.

    >>> PCEN(40)(torch.rand(2, 40, 100)).shape
    torch.Size([2, 40, 100])
    """

    recursive = True  # it can go on from a state

    def __init__(
        self,
        channels: int,
        *,
        alpha: Any = 0.98,
        delta: Any = 2.0,
        r: Any = 2.0,
        s: Any = 0.025,
        eps: float = 1e-6,
        learnable: bool = True,
    ) -> None:
        super().__init__()
        self.channels, self.eps = nd.count(channels, "channels"), float(eps)
        for name, value in {"alpha": alpha, "delta": delta, "r": r, "s": s}.items():
            values = _checked(name, value)
            if values.numel() not in (1, channels):
                raise ValueError(f"{name} has {values.numel()} entries for {channels} channels")
            values = values.flatten().expand(channels).clone()
            self.hold(name, values, *WALLS[name], learnable, f"{name} {{value}} is out of range")

    def forward(self, x: Tensor, *, state: Any = None, return_state: bool = False) -> Any:
        """The compressed spectrogram; with return_state also M at its last frame, to go on from."""
        found = {name: self.value(name) for name in WALLS}
        return pcen(x, **found, eps=self.eps, state=state, return_state=return_state)

    def extra_repr(self) -> str:
        """What print(layer) says."""
        return f"{self.channels}, eps={self.eps:g}"
