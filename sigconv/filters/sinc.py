"""Band-pass filters by their edges: the difference of two sinc functions under a Hamming window (SincNet)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters import _walls
from sigconv.filters._bank import FilterBank, named, odd, rates
from sigconv.filters._terms import Terms
from sigconv.filters._walls import numbers

__all__ = ["bank", "default", "mel"]

USUAL = 1  # axes of space where none are said


def bank(
    low: Any,
    high: Any,
    *,
    size: Any = 251,
    fs: Any = 1.0,
    least_low: float = 0.0,
    least_band: Any = None,
    learnable: bool = False,
    names: Any = None,
    unit: str = "",
) -> FilterBank:
    """Band-pass filters from low to high: real, symmetric, gain 1 in the middle of the band.

    low, high    band edges in cycles per unit: (filters,) for one axis, (filters, ndim) for a product of bands over
                 axes; low 0 is a low-pass
    size         odd taps of the Hamming window, one number or one per axis
    fs           samples per unit, one number or one per axis
    learnable    the low edge and the band's width train: low at least least_low, width at least least_band (cycles per
                 unit; fs / size by default, what the window resolves), and high at most fs / 2. They are held in cycles
                 per sample, so that the learning rate of a network moves them too

    Equal to scipy.signal.firwin(size, [low, high], pass_zero=False, fs=fs) along each axis. ValueError for edges out of
    order or above fs / 2, with the value and the limit.

    >>> bank([300.0, 1000.0], [1000.0, 3000.0], fs=16000)(torch.zeros(1, 1, 1000)).shape
    torch.Size([1, 2, 1000])

    Source: Ravanelli & Bengio 2018, arXiv:1808.00158; C.2.
    """
    lows, highs = (v.reshape(-1, 1) if v.ndim < 2 else v for v in (numbers(low, "low"), numbers(high, "high")))
    if lows.ndim != 2 or lows.shape != highs.shape or 0 in lows.shape:
        raise ValueError(
            f"low and high have shapes {tuple(lows.shape)} and {tuple(highs.shape)}: expected (filters, ndim) both"
        )
    filters, ndim = lows.shape
    rate = torch.tensor(rates(fs, ndim), dtype=torch.float64)
    _walls.inside(highs, torch.zeros(()), rate / 2, f"high {{value}} is above half the sampling rate (fs={fs})")
    _walls.inside(lows, torch.tensor(float(least_low)), highs, "low {value} is not between least_low and high")
    sizes = odd(size, ndim)
    least = rate / torch.tensor(sizes) if least_band is None else numbers(least_band, "least_band").expand(ndim)
    why = "the band's width {value} is too narrow for this size (see least_band)"
    _walls.inside(highs - lows, (1 - 1e-9) * least, rate, why)
    names = named(names, "sinc", filters)
    walls = (torch.as_tensor(least_low, dtype=torch.float64) / rate, least / rate)
    return Sinc(lows / rate, (highs - lows) / rate, rates(fs, ndim), sizes, walls, learnable, names, unit)


class Sinc(FilterBank):
    """What bank and mel make; low and width are held in cycles per sample."""

    def __init__(
        self,
        low: Tensor,
        width: Tensor,
        fs: tuple[float, ...],
        size: tuple[int, ...],
        walls: tuple[Tensor, Tensor],
        learnable: bool,
        names: Any,
        unit: str,
    ) -> None:
        super().__init__(names, low.shape[1], fs, kernel_size=size, rank=1, unit=unit)
        least_low, least_width = walls
        width = torch.maximum(width, least_width)  # what rounding took
        self.hold("low", low, least_low, torch.maximum(low, 0.5 - least_width), learnable, "low {value} cycles/sample")
        self.hold("width", width, least_width, 0.5, learnable, "width {value} cycles/sample")

    def edges(self) -> tuple[Tensor, Tensor]:
        """Low and high of every band, (filters, ndim) in cycles per sample; high comes back from half of the rate."""
        low, width = self.value("low"), self.value("width")
        least = self.get_buffer("_width_least").to(low)
        nyquist = torch.full_like(low, 0.5)
        return low, _walls.within(low + width, torch.minimum(low + least, nyquist), nyquist)

    def terms(self) -> Terms:
        """One band-pass per axis, scaled to gain 1 in the middle of its band."""
        low, high = self.edges()
        return [self._band(low[:, axis], high[:, axis], k) for axis, k in enumerate(self.kernel_size or ())]

    def _band(self, low: Tensor, high: Tensor, k: int) -> Tensor:
        """(sin 2πn·high - sin 2πn·low) / πn on one side of the middle, and mirrored: 0 / 0 is never formed."""
        n = torch.arange(1, k // 2 + 1, dtype=low.dtype, device=low.device)
        low, high = low[:, None], high[:, None]
        side = (torch.sin(2 * math.pi * high * n) - torch.sin(2 * math.pi * low * n)) / (math.pi * n)
        side = side * (0.54 + 0.46 * torch.cos(math.pi * n / max(k // 2, 1)))
        middle = 2 * (high - low)
        gain = middle + 2 * (side * torch.cos(math.pi * (low + high) * n)).sum(1, keepdim=True)
        return (torch.cat([side.flip(1), middle, side], 1) / gain).unsqueeze(1)

    def columns(self) -> dict[str, list[Any]]:
        """The band's edges, in cycles per unit."""
        rate = torch.tensor(self.fs, dtype=torch.float64)
        found = [(edge.detach().cpu() * rate).tolist() for edge in self.edges()]
        plain = [[row[0] if self.ndim == 1 else tuple(row) for row in edge] for edge in found]
        return {"frequency_low": plain[0], "frequency_high": plain[1]}


def mel(n: int, fs: float, *, size: int = 251, least: float = 50.0, learnable: bool = True) -> FilterBank:
    """SincNet's bank as it starts: n bands of one axis, spaced on the mel scale (HTK's) from 30 + least Hz to fs / 2.

    fs in Hz; least is the lowest frequency and the narrowest band in Hz that training may reach, and by how much
    neighbours overlap. size 251 and least 50 are SincNet's at 16 kHz.

    >>> mel(80, 16000)
    Sinc(80 filters, 1-D, 251, fs=16000.0)

    Source: Ravanelli & Bengio 2018; C.2.
    """
    from sigconv import units

    top = units.below_nyquist(fs / 2 - 2 * least, fs, "fs / 2 - 2·least")
    lowest, highest = units.hz_to_mel([min(30.0, least), top], htk=True)
    edges = units.mel_to_hz(np.linspace(lowest, highest, nd.count(n, "n") + 1), htk=True)
    low = least + edges[:-1]
    high = np.minimum(low + least + np.diff(edges), fs / 2)
    names = [f"sinc{i}" for i in range(n)]
    options: dict[str, Any] = {"least_low": least, "least_band": least, "learnable": learnable, "names": names}
    return bank(low, high, size=size, fs=fs, unit="s", **options)


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """Three octaves below half the rate along each axis in turn, all that is slow along the others: 3·ndim filters."""
    rate = torch.tensor(rates(fs, nd.count(ndim, "ndim")), dtype=torch.float64)
    low = torch.zeros(3 * ndim, ndim, dtype=torch.float64)
    high = torch.full_like(low, 0.25)
    for axis in range(ndim):
        for octave in range(3):
            low[3 * axis + octave, axis], high[3 * axis + octave, axis] = 0.25 / 2**octave, 0.5 / 2**octave
    names = [f"axis{axis}_octave{octave}" for axis in range(ndim) for octave in range(3)]
    return bank(low * rate, high * rate, size=33 if ndim < 3 else 17, fs=fs, names=names)
