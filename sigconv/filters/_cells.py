"""The simple cells of Adelson and Bergen's motion energy: what sigconv.filters.motion squares and subtracts."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sigconv.filters import _terms
from sigconv.filters._bank import RESOLVABLE, FilterBank
from sigconv.filters._terms import Terms
from sigconv.filters.gabor import sigma_of

FAST, SLOW = 3, 5  # the exponents of the two temporal filters
TUNED = 0.74  # 2π·frequency / k where they tell directions apart best: about 15 to 1 in energy
LASTS = 22.0  # k·t by which they are over


class SimpleCells(FilterBank):
    """Adelson & Bergen's quadrature pairs, complex: one filter each way along every direction, onwards first.

    In time h_n(t) = (kt)^n·exp(-kt)·(1/n! - (kt)²/(n+2)!), n = 3 (fast) and 5 (slow); in space an even and an odd
    Gabor. (even + i·odd)·(slow ± i·fast) has for its real and imaginary parts the sums and differences of the four
    products. k trains with the widths and frequencies of space, per frame.
    """

    def __init__(
        self, speed: float, halves: Tensor, rate: tuple[float, ...], frequency: float, bandwidth: float, learnable: bool
    ) -> None:
        space = torch.tensor(rate[1:], dtype=torch.float64)
        flicker = 2 * math.pi * speed * frequency / rate[0]  # radians per frame
        waves, sigma = halves * frequency / space, sigma_of(bandwidth, frequency) * space
        reach = [math.ceil(LASTS * TUNED / flicker), *(math.floor(3 * s + 0.5) for s in sigma.tolist())]
        names = [f"v{speed:g}_d{d}" for d in range(2 * len(halves))]
        sizes = tuple(2 * r + 1 for r in reach)
        super().__init__(names, 1 + len(space), rate, kernel_size=sizes, complex=True, rank=1)
        why = f"frequency {{value}} cycles per sample is above half the sampling rate (fs={rate[1:]})"
        self.hold("frequency", waves, -0.5, 0.5, learnable, why)
        widths = sigma.expand_as(waves)
        self.hold("sigma", widths, RESOLVABLE, 2 * widths, learnable, "sigma {value} samples is too small for the grid")
        k = torch.full((len(halves), 1), flicker / TUNED, dtype=torch.float64)
        self.hold("k", k, LASTS / reach[0] / 2, math.pi / TUNED, learnable, "k {value} per frame")

    def terms(self) -> Terms:
        """Onwards, then back: the same in space, conjugate in time. Gain 1 where tuned."""
        frequency, sigma, k = (self.value(name) for name in ("frequency", "sigma", "k"))
        sizes = self.kernel_size or ()
        onwards = torch.complex(*(self._temporal(n, k, sizes[0] // 2) for n in (SLOW, FAST)))
        terms = [torch.cat([onwards, onwards.conj()]).unsqueeze(1)]
        for axis, size in enumerate(sizes[1:]):
            x = torch.arange(size, dtype=sigma.dtype, device=sigma.device) - size // 2
            envelope = torch.exp(-0.5 * (x / sigma[:, axis, None]).square())
            wave = torch.polar(envelope, 2 * math.pi * frequency[:, axis, None] * x)
            terms.append(torch.cat([wave, wave]).unsqueeze(1))
        turn = k * TUNED / (2 * math.pi)
        tuned = torch.cat([torch.cat([-turn, frequency], 1), torch.cat([turn, frequency], 1)])
        gain = _terms.gain(terms, tuned)
        return _terms.scaled(terms, (1 / gain.abs()).to(gain))

    def _temporal(self, n: int, k: Tensor, after: int) -> Tensor:
        """h_n, zeros before its time: (halves, taps)."""
        kt = k * torch.arange(after + 1, dtype=k.dtype, device=k.device)
        h = kt.pow(n) * torch.exp(-kt) * (1 / math.factorial(n) - kt.square() / math.factorial(n + 2))
        return torch.cat([h.new_zeros(len(h), after), h], 1)

    def columns(self) -> dict[str, list[Any]]:
        """What every cell is tuned to, in units."""
        rate = torch.tensor(self.fs, dtype=torch.float64)
        turn, frequency = (self.value(name).detach().cpu() for name in ("k", "frequency"))
        turn = turn * TUNED / (2 * math.pi)
        return tuning(torch.cat([torch.cat([-turn, frequency], 1), torch.cat([-turn, -frequency], 1)]) * rate)


def tuning(waves: Tensor) -> dict[str, list[Any]]:
    """Speed, direction, frequency in space and in time of wave vectors (filters, (time, *space)).

    >>> tuning(torch.tensor([[-6.0, 0.0, 2.0]]))
    {'speed': [3.0], 'direction': [(0.0, 1.0)], 'frequency': [2.0], 'flicker': [6.0]}
    """
    length = torch.linalg.vector_norm(waves[:, 1:], dim=1)
    toward = (waves[:, 1:] / length[:, None]).tolist()
    found = {"speed": (0.0 - waves[:, 0] / length).tolist(), "direction": [tuple(u) for u in toward]}
    return found | {"frequency": length.tolist(), "flicker": waves[:, 0].abs().tolist()}
