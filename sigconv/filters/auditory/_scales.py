"""Bands on the ear's scales: where they lie and how wide they are, once for spectrogram weights and filters in time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sigconv import nd, units

KINDS = ("mel", "bark", "erb", "octave")
SCALES: dict[str, tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]] = {
    "mel": (units.hz_to_mel, units.mel_to_hz),
    "bark": (units.hz_to_bark, units.bark_to_hz),
    "erb": (units.hz_to_erb, units.erb_to_hz),
    "octave": (units.hz_to_octave, units.octave_to_hz),
}


class Bands(NamedTuple):
    """Where each band begins, peaks and ends: (n,) in Hz."""

    low: np.ndarray
    centre: np.ndarray
    high: np.ndarray


def bands(kind: str, n: int, fmin: float, fmax: float | None, fs: float, htk: bool = False) -> Bands:
    """n bands between fmin and fmax, evenly spaced on the scale; each ends where its neighbours peak.

    ValueError for frequencies above fs / 2, for an order other than fmin < fmax, and for octaves from 0 Hz.
    """
    nd.one_of(kind, KINDS, "kind")
    n = nd.count(n, "n")
    fmax = units.below_nyquist(fs / 2 if fmax is None else fmax, fs, "fmax")
    units.below_nyquist(fmin, fs, "fmin")
    if not fmin < fmax:
        raise ValueError(f"fmin={fmin}, fmax={fmax}: expected fmin < fmax")
    if kind == "octave" and fmin == 0:
        raise ValueError(f"fmin {fmin}: no octave begins at 0 Hz, give fmin above it")
    if htk and kind != "mel":
        raise ValueError(f"htk is a formula of mel, and kind is {kind!r}: leave it out")
    there, back = SCALES[kind]
    options = (htk,) if kind == "mel" else ()
    lowest, highest = there([fmin, fmax], *options)
    edges = back(np.linspace(lowest, highest, n + 2), *options)
    return Bands(edges[:-2], edges[1:-1], edges[2:])


def sigma_in_time(kind: str, found: Bands) -> np.ndarray:
    """Seconds: the Gaussian windows whose filters are as wide as the bands.

    Of "erb" the equivalent rectangular bandwidth is the ear's, sigma = 1 / (2·sqrt(pi)·ERB). Of the others, the
    response falls to half where the root of the triangle does (LEAF's rule: its energy is then the triangle's), that is
    at a quarter of each flank: sigma = sqrt(2 ln 2) / (pi·FWHM). LEAF reads it off a grid of bins; here it is exact.
    """
    if kind == "erb":
        return np.asarray(1 / (2 * math.sqrt(math.pi) * units.erb_width(found.centre)))
    return np.asarray(math.sqrt(2 * math.log(2)) / (math.pi * 0.75 * (found.high - found.low)))
