"""Log-Gabor filters: Gaussians on a logarithmic axis of frequency. They have no closed form in space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv.filters._bank import EVERY, FilterBank, named, rates
from sigconv.filters._walls import each, numbers

SLOWEST = 1e-6  # cycles per sample: what a frequency of 0 counts as
WIDEST = 8.0  # octaves: a learned filter grows no wider


def log_gabor(
    frequency: Any,
    bandwidth: Any = 1.0,
    spread: Any = math.pi / 6,
    *,
    fs: Any = 1.0,
    learnable: bool = False,
    names: Sequence[str] | None = None,
    unit: str = "",
) -> FilterBank:
    """Complex log-Gabor filters: exp(-ln²(|f|/f0) / 2 ln²κ) · exp(-angle² / 2 spread²), exactly 0 at frequency 0.

    frequency  wave vectors (filters, ndim) in cycles per unit; (filters,) in one dimension
    bandwidth  octaves between the half-amplitude points, one number or one per filter
    spread     radians: the sigma of the angle around the wave's direction, one number or one per filter; in one
               dimension there is no angle, and the other sign's frequencies get nothing

    Made in frequency: kernels_for(size) gives the taps, called with a border other than "circular" the signal is
    extended by half its size. Gain 1 at the centre frequency. ValueError for a frequency of 0 or above Nyquist.

    >>> waves = log_gabor([[0.1, 0.0], [0.0, 0.2]])
    >>> waves(torch.zeros(1, 1, 32, 32), output="magnitude").shape
    torch.Size([1, 2, 32, 32])

    Source: Field 1987; C.1: b = 2·sqrt(2 / ln 2)·|ln κ|.
    """
    waves = numbers(frequency, "frequency")
    waves = waves.reshape(-1, 1) if waves.ndim < 2 else waves
    if waves.ndim != 2 or 0 in waves.shape:
        raise ValueError(
            f"frequency has shape {tuple(waves.shape)}: expected (filters, ndim) wave vectors, or (filters,)"
        )
    if (waves.abs().amax(1) == 0).any():
        raise ValueError("frequency 0 has no logarithm: log-Gabor filters need one above 0")
    fs = rates(fs, waves.shape[1])
    edge = waves[(waves.abs() == torch.tensor(fs, dtype=torch.float64) / 2)]
    if len(edge):
        raise ValueError(f"frequency {edge[0]:g} is half the sampling rate (fs={fs}): a wave has no sense there")
    return LogGabor(waves, bandwidth, spread, fs, learnable, named(names, "loggabor", len(waves)), unit)


class LogGabor(FilterBank):
    """What log_gabor makes."""

    def __init__(
        self,
        frequency: Tensor,
        bandwidth: Any,
        spread: Any,
        fs: tuple[float, ...],
        learnable: bool,
        names: Sequence[str],
        unit: str,
    ) -> None:
        filters, ndim = frequency.shape
        super().__init__(names, ndim, fs, complex=True, unit=unit)
        nyquist = torch.tensor(fs, dtype=torch.float64) / 2
        why = f"frequency {{value}} is above half the sampling rate (fs={fs[0] if len(set(fs)) == 1 else fs})"
        self.hold("frequency", frequency, -nyquist, nyquist, learnable, why, unit=2 * nyquist)
        octaves = each(bandwidth, "bandwidth", filters)
        self.hold("bandwidth", octaves, 0.05, WIDEST, learnable, "bandwidth {value} octaves")
        angles = each(spread, "spread", filters)
        self.hold("spread", angles, 0.01, math.pi, learnable, "spread {value} radians")

    def response(self, size: tuple[int, ...], part: slice = EVERY) -> Tensor:
        """Real and never negative: (filters, *size)."""
        centre, octaves, spread = (self.value(name)[part] for name in ("frequency", "bandwidth", "spread"))
        lines = [
            torch.fft.fftfreq(n, 1 / rate, dtype=centre.dtype, device=centre.device)
            for n, rate in zip(size, self.fs, strict=True)
        ]
        f = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1)
        length = torch.linalg.vector_norm(f, dim=-1)
        still = length == 0
        safe = torch.where(still, 1.0, length)
        column = lambda values: values.reshape(-1, *[1] * self.ndim)
        f0 = (centre.square().sum(1) + (SLOWEST * min(self.fs)) ** 2).sqrt()  # learned down to 0, it must come back
        width = octaves / (2 * math.sqrt(2 / math.log(2)))  # |ln κ|
        radial = torch.exp(-0.5 * (torch.log(safe / column(f0)) / column(width)).square())
        cosine = torch.einsum("...i,fi->f...", f, centre / f0[:, None]) / safe
        if self.ndim == 1:
            around = (cosine > 0).to(radial)
        else:
            around = torch.exp(-0.5 * _squared_angle(cosine) / column(spread).square())
        return torch.where(still, 0.0, radial * around)

    def columns(self) -> dict[str, list[Any]]:
        """Frequency, wavelength, direction, bandwidth and spread."""
        centre = self.value("frequency").detach()
        length = torch.linalg.vector_norm(centre, dim=1)
        found: dict[str, list[Any]] = {"frequency": length.tolist(), "wavelength": (1 / length).tolist()}
        if self.ndim > 1:
            found["direction"] = [tuple(u) for u in (centre / length[:, None]).tolist()]
            found["spread"] = self.value("spread").detach().tolist()
        return found | {"bandwidth": self.value("bandwidth").detach().tolist()}


def _squared_angle(cosine: Tensor) -> Tensor:
    """acos², by its series where acos itself has an infinite slope and it has none; level at its kink behind."""
    t = 1 - cosine
    near = t < 1e-3
    series = t * (2 + t * (1 / 3 + t * (4 / 45 + t / 35)))
    return torch.where(near, series, torch.acos(torch.where(near, 0.0, cosine).clamp_min(-1 + 1e-6)).square())
