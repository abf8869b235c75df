"""Units of frequency, and of memory: converted here and nowhere else.

fs is the sampling rate, frequencies are in the same unit (Hz where fs is samples per second). Numbers or arrays in,
float64 arrays out. Formulas: table C.2 of the requirements.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

_BREAK = 1000.0  # Slaney's mel: linear up to here, logarithmic above
_LINEAR = 3 / 200
_STEP = np.log(6.4) / 27
_SIZE = re.compile(r"((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?) *(?:([kmgt])(i?))?b?", re.IGNORECASE)  # of bytes
_MOST_BYTES = 1 << 62
BARKS = ("traunmueller", "zwicker", "schroeder")


def hz_to_mel(frequency: Any, htk: bool = False) -> np.ndarray:
    """Mel of a frequency in Hz, Slaney's scale or HTK's.

    >>> hz_to_mel([0.0, 1000.0, 6400.0])
    array([ 0., 15., 42.])
    """
    frequency = np.asarray(frequency, dtype=np.float64)
    if htk:
        return 2595.0 * np.log10(1.0 + frequency / 700.0)
    above = _LINEAR * _BREAK + np.log(np.maximum(frequency, _BREAK) / _BREAK) / _STEP
    return np.where(frequency < _BREAK, _LINEAR * frequency, above)


def mel_to_hz(mel: Any, htk: bool = False) -> np.ndarray:
    """Frequency in Hz of a mel, Slaney's scale or HTK's: the inverse of hz_to_mel.

    >>> mel_to_hz(42.0)
    array(6400.)
    """
    mel = np.asarray(mel, dtype=np.float64)
    if htk:
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = _BREAK * np.exp(_STEP * (np.maximum(mel, _LINEAR * _BREAK) - _LINEAR * _BREAK))
    return np.where(mel < _LINEAR * _BREAK, mel / _LINEAR, above)


def _known(formula: str) -> str:
    if formula not in BARKS:
        raise ValueError(f"formula {formula!r} is not one of {sorted(BARKS)}")
    return formula


def hz_to_bark(frequency: Any, formula: str = "traunmueller") -> np.ndarray:
    """Critical-band rate in Bark of a frequency in Hz: "traunmueller" (with his corrections) "zwicker" "schroeder".

    >>> hz_to_bark([100.0, 1000.0]).round(3)
    array([0.956, 8.527])

    Source: Traunmüller 1990, Zwicker & Terhardt 1980, Schroeder 1977; C.2.
    """
    frequency = np.asarray(frequency, dtype=np.float64)
    if _known(formula) == "schroeder":
        return 6.0 * np.arcsinh(frequency / 600.0)
    if formula == "zwicker":
        return 13.0 * np.arctan(0.00076 * frequency) + 3.5 * np.arctan((frequency / 7500.0) ** 2)
    z = 26.81 * frequency / (1960.0 + frequency) - 0.53
    return z + 0.15 * np.maximum(2.0 - z, 0) + 0.22 * np.maximum(z - 20.1, 0)


def bark_to_hz(bark: Any, formula: str = "traunmueller") -> np.ndarray:
    """Frequency in Hz of a critical-band rate in Bark: the inverse of hz_to_bark, Zwicker's by bisection.

    >>> bark_to_hz(hz_to_bark([100.0, 1000.0], "zwicker"), "zwicker").round(6)
    array([ 100., 1000.])
    """
    bark = np.asarray(bark, dtype=np.float64)
    if _known(formula) == "schroeder":
        return 600.0 * np.sinh(bark / 6.0)
    if formula == "zwicker":
        low, high = np.zeros_like(bark), np.full_like(bark, 1e6)
        for _ in range(90):  # 1e6 / 2^90 is below what float64 tells apart
            middle = (low + high) / 2
            above = hz_to_bark(middle, formula) > bark
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return (low + high) / 2
    z = np.where(bark < 2.0, (bark - 0.3) / 0.85, np.where(bark > 20.1, (bark + 4.422) / 1.22, bark))
    return 1960.0 * (z + 0.53) / (26.28 - z)


def erb_width(frequency: Any) -> np.ndarray:
    """Equivalent rectangular bandwidth in Hz of the ear's filter at a frequency in Hz.

    >>> erb_width([0.0, 1000.0])
    array([ 24.7  , 132.639])

    Source: Glasberg & Moore 1990; C.2.
    """
    return np.asarray(24.7 * (4.37 * np.asarray(frequency, dtype=np.float64) / 1000.0 + 1.0))


def hz_to_erb(frequency: Any) -> np.ndarray:
    """ERB-rate (how many equivalent rectangular bandwidths lie below) of a frequency in Hz.

    >>> hz_to_erb([0.0, 1000.0]).round(3)
    array([ 0.   , 15.621])
    """
    return np.asarray(21.4 * np.log10(1.0 + 0.00437 * np.asarray(frequency, dtype=np.float64)))


def erb_to_hz(rate: Any) -> np.ndarray:
    """Frequency in Hz of an ERB-rate: the inverse of hz_to_erb.

    >>> erb_to_hz(hz_to_erb([0.0, 440.0])).round(9)
    array([  0., 440.])
    """
    return np.asarray((10.0 ** (np.asarray(rate, dtype=np.float64) / 21.4) - 1.0) / 0.00437)


def hz_to_octave(frequency: Any, reference: float = 1.0) -> np.ndarray:
    """Octaves of a frequency above the reference; both in the same unit, above 0.

    >>> hz_to_octave([220.0, 880.0], 440.0)
    array([-1.,  1.])
    """
    frequency = np.asarray(frequency, dtype=np.float64)
    if (frequency <= 0).any() or not reference > 0:
        least = min(float(frequency.min(initial=np.inf)), reference)
        raise ValueError(f"frequency {least:g} has no octave: expected frequencies above 0")
    return np.log2(frequency / reference)


def octave_to_hz(octave: Any, reference: float = 1.0) -> np.ndarray:
    """Frequency so many octaves above the reference: the inverse of hz_to_octave.

    >>> octave_to_hz([-1.0, 1.0], 440.0)
    array([220., 880.])
    """
    return np.asarray(reference * 2.0 ** np.asarray(octave, dtype=np.float64))


def below_nyquist(frequency: float, fs: float, name: str = "frequency") -> float:
    """The frequency, if a signal sampled at fs can hold it.

    >>> below_nyquist(9000, 16000)
    Traceback (most recent call last):
    ValueError: frequency 9000 is above half the sampling rate (fs=16000 -> 8000.0)
    """
    if not 0 <= frequency <= fs / 2:
        where = "negative" if frequency < 0 else f"above half the sampling rate (fs={fs} -> {fs / 2})"
        raise ValueError(f"{name} {frequency} is {where}")
    return frequency


def bytes_of(size: Any, name: str = "memory") -> int:
    """Bytes from a number, or from a text: a number and perhaps K, M, G or T (with i: powers of 1024), then perhaps B.

    ValueError, in one line with the name, for what is none, and for less than one.

    >>> [bytes_of(size) for size in (1024, "200 MB", "1.5GiB", "2g")]
    [1024, 200000000, 1610612736, 2000000000]
    >>> bytes_of("much")
    Traceback (most recent call last):
    ValueError: memory 'much' is not a number of bytes, such as 2000000 or '2 GB'
    """
    match = None if isinstance(size, bool) else _SIZE.fullmatch(str(size).strip())
    if match is None:
        raise ValueError(f"{name} {size!r} is not a number of bytes, such as 2000000 or '2 GB'")
    found = float(match[1]) * (1024 if match[3] else 1000) ** " kmgt".index((match[2] or " ").lower())
    if found < 1:
        raise ValueError(f"{name} {size!r} must be at least one byte")
    return int(min(found, _MOST_BYTES))
