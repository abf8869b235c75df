"""What front ends are made of: filters and their energy, bands of a spectrogram, scattering as a picture, decibels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.convolution import Conv, conv
from sigconv.filters import FilterBank, _walls, auditory, scattering
from sigconv.transforms.speech._spectrogram import Spectrogram

FLOOR = 1e-6  # of the power of a clip whose loudest frame is 1: 60 dB below it, all is silence


class Energy(nn.Module):
    """Filters, squared: (batch, 1, samples) -> (batch, filters, positions), so scaled that white noise gives its power.

    Of complex filters every stride-th sample may do, for their energy is slow.
    """

    level: Tensor

    def __init__(self, filters: nn.Module, stride: int = 1) -> None:
        super().__init__()
        self.filters, self.stride = filters, stride
        power = kernels(filters).detach().abs().square().sum(-1, keepdim=True)
        self.register_buffer("level", (1 / power).float())  # of filters drawn at random too

    def forward(self, x: Tensor) -> Tensor:
        """What each filter passes of the power."""
        x = waves(x)
        if isinstance(self.filters, FilterBank):
            method = "direct" if self.stride > 1 else "auto"  # there and back again that is quicker than spectra
            found = self.filters(x, output="energy", stride=self.stride, method=method)
        else:
            taps = self.filters.get_parameter("weight").to(x)
            found = conv(x, taps, stride=self.stride, padding="same").square()
        return torch.as_tensor(found * self.level.to(found))

    @property
    def reach(self) -> Any:
        """What an output sees of the wave."""
        half = kernels(self.filters).shape[-1] // 2
        return nd.Reach(self.stride, half, half)


def waves(x: Tensor) -> Tensor:
    """x, if it is waves."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x is a {type(x).__name__}: front ends are layers, and take tensors; torch.from_numpy(x)")
    if x.ndim != 3 or x.shape[1] != 1 or x.shape[2] == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, 1, samples), one sample at least")
    return x


def kernels(filters: nn.Module) -> Tensor:
    """The taps of a bank or of a layer: (filters, taps)."""
    if isinstance(filters, FilterBank):
        return filters.kernels
    assert isinstance(filters, Conv)
    return filters.weight[:, 0]


class MelEnergy(_walls.Held):
    """Power in triangular bands of a spectrogram: (batch, 1, samples) -> (batch, bands, ceil(samples / hop)).

    Each band has a low edge, a centre and a high edge, which train if learnable; weights sum to 1 in each band. White
    noise of power 1 gives 1. Frame i is centred on sample i·hop.
    """

    def __init__(self, fs: float, bands: int, hop: int, n_fft: int, fmin: float, fmax: float, learnable: bool) -> None:
        super().__init__()
        self.hop, self.n_fft, self.spectrogram = hop, n_fft, Spectrogram(n_fft, hop)
        found = auditory.bands("mel", bands, fmin, fmax, fs, htk=True)
        least = 0.75 / n_fft  # cycles per sample: a narrower flank could miss every bin
        low, centre, high = (torch.from_numpy(edge / fs) for edge in found)
        self.hold("centre", centre, 0.0, 0.5, learnable, "centre {value} cycles/sample")
        for name, flank in (("below", centre - low), ("above", high - centre)):
            self.hold(name, flank.clamp_min(least), least, 0.5, learnable, f"{name} {{value}} cycles/sample")

    def weights(self) -> Tensor:
        """(bands, bins), of sum 1."""
        centre, below, above = (self.value(name)[:, None] for name in ("centre", "below", "above"))
        bins = torch.arange(self.n_fft // 2 + 1, dtype=centre.dtype, device=centre.device) / self.n_fft
        found = torch.minimum((bins - centre) / below, (centre - bins) / above).add(1).clamp_min(0)
        return found / found.sum(1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        """The mean power of each band's bins."""
        power = self.spectrogram(waves(x)[:, 0]) / self.spectrogram.window.square().sum().to(x)
        return (self.weights().to(power) @ power)[..., : -(-x.shape[-1] // self.hop)]

    @property
    def reach(self) -> Any:
        """What a frame sees of the wave."""
        return self.spectrogram.reach


class Log(nn.Module):
    """10·log10 of power above a floor, which is added to it: decibels."""

    def __init__(self, floor: float = FLOOR) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, x: Tensor) -> Tensor:
        """Decibels."""
        return 10 * torch.log10(x.clamp_min(0) + self.floor)

    @property
    def reach(self) -> Any:
        """One frame."""
        return nd.Reach(1, 0, 0)


class Scattered(nn.Module):
    """Energies of scattering as channels over bands: (batch, 1, samples) -> (batch, J, bands, ceil(samples / 2^J)).

    Channel 0 is the first order; channel j what the moduli of each band do at the scale of 2^j samples, nothing where
    the band is slower than that itself. The slowest bands beyond those asked for are left out.
    """

    order: Tensor

    def __init__(self, bands: int, J: int, learnable: bool) -> None:  # noqa: N803
        super().__init__()
        steps = -(-bands // J)
        self.filters = scattering.Scattering(
            J, ndim=1, Q=steps, oversampling=-1 if steps >= scattering.NARROW else 0, learnable=learnable
        )
        paths = {(p.scale1, p.scale2): i for i, p in enumerate(self.filters.paths)}
        rows = [[paths.get((m / steps, j), -1) for m in reversed(range(bands))] for j in (None, *range(1, J))]
        self.register_buffer("order", torch.tensor(rows), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The energy of every path, put in order."""
        found = nn.functional.pad(self.filters(waves(x)).square(), (0, 0, 0, 1))  # the last row is what is missing
        return found[:, self.order.flatten()].unflatten(1, tuple(self.order.shape))

    @property
    def reach(self) -> Any:
        """What a position sees of the wave."""
        return self.filters.reach


def passed(taps: Tensor, n: int) -> Tensor:
    """Power gains from 0 to fs / 2 of filters, real or of positive frequencies."""
    return torch.fft.fft(taps, 2 * n - 2).abs().square()[:, :n]
