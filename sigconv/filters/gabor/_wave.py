"""Gabor filters in space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.filters import _terms
from sigconv.filters._bank import RESOLVABLE, FilterBank, named, odd, rates, reach
from sigconv.filters._terms import Terms
from sigconv.filters._walls import each, numbers
from sigconv.filters.gabor._bandwidth import bandwidth_of
from sigconv.filters.gabor._directions import frame

LEAST = 1e-12  # gain: of a filter that learned to be nothing
NORMALIZE = ("peak", "l2", "area", "none")


def bank(
    frequency: Any,
    sigma: Any,
    *,
    size: Any = None,
    phase: Any = 0.0,
    fs: Any = 1.0,
    dc_free: bool = False,
    normalize: str = "peak",
    learnable: bool = False,
    truncate: float = 4.0,
    names: Sequence[str] | None = None,
    unit: str = "",
) -> FilterBank:
    """Complex Gabor filters: exp(-½ Σ (x'_i / sigma_i)²) · exp(i(2π f·x + phase)), x' along f and across it.

    frequency  wave vectors (filters, ndim) in cycles per unit, along the axes; (filters,) in one dimension
    sigma      units: a number, (filters,), or (filters, ndim) = along the wave vector, then across it
    size       odd taps, one number or one per axis; by default truncate sigmas of the widest filter on either side,
               each filter cut at its own
    fs         samples per unit, one number or one per axis: anisotropic voxels get a filter that is round in space
    dc_free    take so much of the envelope away that the taps sum to exactly 0 (Morlet)
    normalize  "peak": gain 1 at the centre frequency; "l2": Σ|h|² = 1; "area": the envelope's integral
               is 1, sampled or not; "none": its peak is 1
    learnable  frequency, sigma and phase train: below Nyquist on every axis, no narrower than half a sample, no wider
               than the window can hold

    output="real" is the even filter (cosine phase), "imag" the odd one (sine); "energy" their quadrature sum (RF8).
    Round filters are separable, others are not. ValueError for a frequency above Nyquist or a sigma under half a
    sample, with the value and the limit.

    >>> edges = bank([[0.25, 0.0], [0.0, 0.25]], sigma=2.0)
    >>> edges
    Gabor(2 filters, 2-D, 17 x 17, fs=1.0)
    >>> edges(torch.zeros(1, 3, 32, 32), output="energy").shape
    torch.Size([1, 6, 32, 32])

    Source: Daugman 1985; C.1, FB1.
    """
    waves = numbers(frequency, "frequency")
    waves = waves.reshape(-1, 1) if waves.ndim < 2 else waves
    if waves.ndim != 2 or 0 in waves.shape:
        raise ValueError(
            f"frequency has shape {tuple(waves.shape)}: expected (filters, ndim) wave vectors, or (filters,)"
        )
    filters, ndim = waves.shape
    widths = _widths(sigma, filters, ndim)
    phases = each(phase, "phase", filters)
    nd.one_of(normalize, NORMALIZE, "normalize")
    if dc_free and (waves.abs().amax(1) == 0).any():
        raise ValueError("dc_free takes the whole filter away where its frequency is 0: give it one above 0")
    if not isinstance(dc_free, bool):
        raise TypeError(f"dc_free {dc_free!r} is neither True nor False")
    if not 0 < truncate < math.inf:
        raise ValueError(f"truncate {truncate} must be a finite number of sigmas above 0")
    names = named(names, "gabor", filters)
    return Gabor(waves, widths, phases, rates(fs, ndim), size, dc_free, normalize, learnable, truncate, names, unit)


def _widths(sigma: Any, filters: int, ndim: int) -> Tensor:
    """(filters, 1) where filters are round, (filters, ndim) along and across where they are not."""
    widths = numbers(sigma, "sigma")
    if widths.ndim < 2:
        if widths.ndim == 1 and len(widths) not in (1, filters):
            raise ValueError(f"sigma has {len(widths)} entries for {filters} filters")
        return widths.reshape(-1, 1).expand(filters, 1).clone()
    if tuple(widths.shape) not in ((filters, ndim), (1, ndim), (filters, 1)):
        raise ValueError(
            f"sigma has shape {tuple(widths.shape)}: expected ({filters}, {ndim}), along the wave and across"
        )
    return widths.expand(filters, widths.shape[1]).clone()


class Gabor(FilterBank):
    """What bank and pyramid make."""

    def __init__(
        self,
        frequency: Tensor,
        sigma: Tensor,
        phase: Tensor,
        fs: tuple[float, ...],
        size: Any,
        dc_free: bool,
        normalize: str,
        learnable: bool,
        truncate: float,
        names: Sequence[str],
        unit: str,
    ) -> None:
        ndim, finest, coarsest = frequency.shape[1], max(fs), min(fs)
        kernel_size = reach(sigma.max(), fs, truncate) if size is None else odd(size, ndim)
        rank = (2 if dc_free else 1) if sigma.shape[1] == 1 else 0
        super().__init__(names, ndim, fs, kernel_size=kernel_size, complex=True, rank=rank, unit=unit)
        nyquist = torch.tensor(fs, dtype=torch.float64) / 2
        why = f"frequency {{value}} is above half the sampling rate (fs={fs[0] if len(set(fs)) == 1 else fs})"
        self.hold("frequency", frequency, -nyquist, nyquist, learnable, why, unit=2 * nyquist)
        self._check(frequency, sigma, fs, kernel_size, dc_free, truncate if size is None else math.inf)
        half = max((k // 2) / rate for k, rate in zip(kernel_size, fs, strict=True))
        widest = torch.maximum(1.25 * sigma, torch.tensor(max(half / 2, 1 / coarsest), dtype=torch.float64))
        least = RESOLVABLE / (coarsest if sigma.shape[1] == 1 else finest)
        why = f"sigma {{value}} is too small for the grid, which holds {RESOLVABLE} samples (fs={coarsest:g})"
        self.hold("sigma", sigma, least, widest, learnable, why, unit=1 / finest)
        self.hold("phase", phase, -math.inf, math.inf, learnable, "phase {value}")
        self.dc_free, self.normalize = bool(dc_free), normalize
        self._cuts = None if size is not None else truncate * sigma.amax(1)  # units: where each window ends

    @staticmethod
    def _check(
        frequency: Tensor, sigma: Tensor, fs: Any, size: tuple[int, ...], dc_free: bool, truncate: float
    ) -> None:
        """Refuse envelopes narrower than the grid along any of its axes, and windows of one tap without its mean."""
        rate = torch.tensor(fs, dtype=torch.float64)
        wide = sigma.expand(-1, len(fs))
        if sigma.shape[1] > 1:  # as wide along the grid's axes as the ellipsoid reaches
            length = torch.linalg.vector_norm(frequency, dim=1, keepdim=True)
            u = torch.where(length > 0, frequency / length.clamp_min(1e-300), torch.eye(len(fs), dtype=rate.dtype)[0])
            wide = (frame(u) * sigma.unsqueeze(1)).square().sum(-1).sqrt()
        narrow = (wide * rate < RESOLVABLE).nonzero()
        if len(narrow) and (sigma > 0).all():
            f, axis = narrow[0].tolist()
            raise ValueError(
                f"sigma {sigma[f, 0]:.6g} is too small for the grid, which holds {RESOLVABLE} samples: it is "
                f"{wide[f, axis] * rate[axis]:.3g} along axis {axis} (fs={rate[axis]:g}): expected at least "
                f"{RESOLVABLE / rate[axis]:.6g}"
            )
        least = (truncate * wide.amin(0) * rate + 0.5).floor().clamp_max(1e9)
        if dc_free and torch.minimum(least, torch.tensor([k // 2 for k in size])).max() < 1:
            raise ValueError(f"dc_free leaves nothing of a window of one tap (size {size}): give it more")

    def terms(self) -> Terms | None:
        """A round envelope is a product of one per axis, and so is a wave."""
        if not self.separable:
            return None
        frequency, sigma = self.value("frequency"), self.value("sigma")
        envelopes, waves = [], []
        for axis, (k, rate) in enumerate(zip(self.kernel_size or (), self.fs, strict=True)):
            x = self._places(k, rate, sigma)
            envelope = torch.exp(-0.5 * (x / sigma).square()) * self._window(x, rate)
            angle = 2 * math.pi * frequency[:, axis, None] * x
            envelopes.append(envelope)
            waves.append(torch.polar(envelope, angle))
        terms = _terms.without_mean(waves, envelopes) if self.dc_free else [w.unsqueeze(1) for w in waves]
        return self._finished(terms, frequency)

    def _finished(self, terms: Terms, frequency: Tensor) -> Terms:
        """Scaled and turned by the phase."""
        phase = self.value("phase")
        scale = torch.ones_like(phase)
        if self.normalize == "peak":
            scale = 1 / _terms.gain(terms, frequency / frequency.new_tensor(self.fs)).abs().clamp_min(LEAST)
        elif self.normalize == "l2":
            scale = _terms.energy(terms).rsqrt()
        elif self.normalize == "area":
            scale = self._area()
        return _terms.scaled(terms, torch.polar(scale, phase))

    def _area(self) -> Tensor:
        """One over the integral of the continuous envelope, in samples."""
        sigma = self.value("sigma").expand(-1, self.ndim)
        return 1 / ((2 * math.pi) ** (self.ndim / 2) * sigma.prod(1) * math.prod(self.fs))

    def taps(self) -> Tensor:
        """The kernels, (filters, *size)."""
        terms = self.terms()
        return self._oriented() if terms is None else _terms.outer(terms)

    def _oriented(self) -> Tensor:
        """An envelope of its own width along the wave and across it."""
        frequency, sigma, phase = self.value("frequency"), self.value("sigma"), self.value("phase")
        size = self.kernel_size or ()
        lines = [self._places(k, rate, sigma) for k, rate in zip(size, self.fs, strict=True)]
        x = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1)
        seen = torch.stack([self._window(line, r) for line, r in zip(x.unbind(-1), self.fs, strict=True)]).prod(0)
        length = torch.linalg.vector_norm(frequency, dim=1, keepdim=True)
        still = torch.eye(self.ndim, dtype=sigma.dtype, device=sigma.device)[0]
        u = torch.where(length > 0, frequency / length.clamp_min(1e-30), still)
        along = torch.einsum("...i,fij->f...j", x, frame(u)) / sigma.reshape(-1, *[1] * self.ndim, self.ndim)
        envelope = torch.exp(-0.5 * along.square().sum(-1)) * seen
        angle = 2 * math.pi * torch.einsum("...i,fi->f...", x, frequency)
        wave = torch.polar(envelope, angle)
        axes = tuple(range(1, self.ndim + 1))
        if self.dc_free:
            wave = wave - envelope * (wave.sum(axes, keepdim=True) / envelope.sum(axes, keepdim=True))
        scale = torch.ones_like(phase)
        if self.normalize == "peak":
            scale = 1 / (wave * torch.polar(torch.ones_like(angle), -angle)).sum(axes).abs().clamp_min(LEAST)
        elif self.normalize == "l2":
            scale = wave.abs().square().sum(axes).rsqrt()
        elif self.normalize == "area":
            scale = self._area()
        return wave * torch.polar(scale, phase).reshape(-1, *[1] * self.ndim)

    def _places(self, taps: int, rate: float, like: Tensor) -> Tensor:
        """Where the taps of an axis stand, in units, the middle at 0."""
        return (torch.arange(taps, dtype=like.dtype, device=like.device) - taps // 2) / rate

    def _window(self, x: Tensor, rate: float) -> Tensor:
        """Where each filter is not cut off: (filters, *x.shape), or 1 where the size was given."""
        if self._cuts is None:
            return x.new_ones(())
        ends = torch.floor(self._cuts.to(x) * rate + 0.5) / rate
        return (x.abs() <= ends.reshape(-1, *[1] * x.ndim) * (1 + 1e-9)).to(x.dtype)

    def columns(self) -> dict[str, list[Any]]:
        """Frequency and wavelength, direction, widths, bandwidth in octaves."""
        frequency, sigma = self.value("frequency").detach(), self.value("sigma").detach()
        length = torch.linalg.vector_norm(frequency, dim=1)
        found: dict[str, list[Any]] = {
            "frequency": length.tolist(),
            "wavelength": (1 / length).tolist(),
        }
        if self.ndim > 1:
            found["direction"] = [tuple(u) for u in (frequency / length[:, None]).tolist()]
        found["sigma"] = sigma[:, 0].tolist()
        if sigma.shape[1] > 1:
            found["sigma_across"] = [tuple(s) for s in sigma[:, 1:].tolist()]
        found["bandwidth"] = [bandwidth_of(s, f) for s, f in zip(found["sigma"], found["frequency"], strict=True)]
        return found | {"phase": self.value("phase").detach().tolist()}
