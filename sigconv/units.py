"""Units of frequency: converted here and nowhere else.

fs is the sampling rate, frequencies are in the same unit (Hz where fs is samples per second). Numbers or arrays in,
float64 arrays out. Formulas: table C.2 of the requirements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_BREAK = 1000.0  # Slaney's mel: linear up to here, logarithmic above
_LINEAR = 3 / 200
_STEP = np.log(6.4) / 27


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
