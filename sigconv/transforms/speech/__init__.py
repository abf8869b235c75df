"""Sounds as pictures and numbers: spectrograms, cepstra, what changes in them, other sampling rates, front ends.

Waves are (…, samples), spectrograms (…, bands, frames); fs is in Hz. All is torch, batched, differentiable, on any
device; NumPy in gives NumPy out. Values are librosa's to 1e-4.
"""

from sigconv.transforms.speech._cepstrum import MFCC, Deltas, dct, deltas, mfcc
from sigconv.transforms.speech._drift import Drift, drift, spans
from sigconv.transforms.speech._front_ends import FRONT_ENDS, FrontEnd, front_end
from sigconv.transforms.speech._modulation import SpectroTemporal, spectro_temporal
from sigconv.transforms.speech._resample import Resample, resample
from sigconv.transforms.speech._spectrogram import (
    LogMel,
    MelSpectrogram,
    Spectrogram,
    amplitude_to_db,
    log_mel,
    mel_spectrogram,
    power_to_db,
    spectrogram,
)

__all__ = [
    "FRONT_ENDS",
    "MFCC",
    "Deltas",
    "Drift",
    "FrontEnd",
    "LogMel",
    "MelSpectrogram",
    "Resample",
    "SpectroTemporal",
    "Spectrogram",
    "amplitude_to_db",
    "dct",
    "deltas",
    "drift",
    "front_end",
    "log_mel",
    "mel_spectrogram",
    "mfcc",
    "power_to_db",
    "resample",
    "spans",
    "spectro_temporal",
    "spectrogram",
]
