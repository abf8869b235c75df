"""Gabor filters on a spectrogram, for what moves in it: modulations in time, across pitch, and both at once."""

from __future__ import annotations

from typing import Any

import torch

from sigconv.filters._bank import FilterBank, rates
from sigconv.filters._product import ProductGabor
from sigconv.filters._walls import numbers
from sigconv.filters.gabor import sigma_of


def spectro_temporal(
    temporal: Any,
    spectral: Any,
    *,
    fs: Any,
    bandwidth: float = 1.0,
    dc_free: bool = True,
    size: Any = None,
    learnable: bool = False,
) -> FilterBank:
    """Gabor filters of spectrograms (batch, 1, bands, frames): axis 0 is pitch, axis 1 time (FB8).

    temporal   rates of modulation in Hz, at least 0
    spectral   densities of ripples in cycles per octave (or per band, …), at least 0
    fs         (bands per octave, frames per second): 1 band per band counts density in cycles per band
    bandwidth  octaves, along each axis, which sets the envelope; an axis with frequency 0 has the widest of the bank
    dc_free    no answer to a level spectrogram: the taps sum to 0
    learnable  both frequencies and widths train, held in cycles per sample and samples

    Every pair is a filter, but for 0 and 0; where both are above 0 there are two, for ripples that rise in pitch as
    time goes on ("up") and that fall ("down"). Names are "4Hz_0.5_up". Complex: output="energy" is the strength of a
    modulation, wherever in its cycle. ValueError for a frequency above half its axis' rate, with both.

    >>> ripples = spectro_temporal([4, 8], [0, 0.5], fs=(8, 100))
    >>> ripples.names
    ['4Hz_0', '4Hz_0.5_up', '4Hz_0.5_down', '8Hz_0', '8Hz_0.5_up', '8Hz_0.5_down']
    >>> ripples(torch.zeros(1, 1, 40, 101), output="energy").shape
    torch.Size([1, 6, 40, 101])

    Source: Schädler, Meyer & Kollmeier 2012, doi:10.1121/1.3699200; Chi, Ru & Shamma 2005.
    """
    rate = rates(fs, 2)
    times, pitches = _modulations(temporal, "temporal"), _modulations(spectral, "spectral")
    waves, names = [], []
    for t in times:
        for p in pitches:
            ways = {"": 1.0} if 0 in (t, p) else {"_up": -1.0, "_down": 1.0}
            kept = ways if (t, p) != (0, 0) else {}
            waves += [[p, way * t] for way in kept.values()]
            names += [f"{t:g}Hz_{p:g}{way}" for way in kept]
    if not waves:
        raise ValueError(
            f"temporal {times} and spectral {pitches} are all 0: expected a modulation of at least one axis"
        )
    frequency = torch.tensor(waves, dtype=torch.float64)
    slowest = [min([f for f in found if f], default=r / 8) for found, r in zip((pitches, times), rate, strict=True)]
    sigma = sigma_of(bandwidth, torch.maximum(frequency.abs(), torch.tensor(slowest, dtype=torch.float64)))
    options: dict[str, Any] = {"names": names, "size": size, "dc_free": dc_free, "learnable": learnable}
    return ProductGabor(frequency, sigma, rate, **options)


def _modulations(values: Any, name: str) -> list[float]:
    found: list[float] = numbers(values, name).flatten().tolist()
    if not found or min(found) < 0:
        raise ValueError(f"{name} {values} must be numbers of at least 0: directions are made of them by the bank")
    return found
