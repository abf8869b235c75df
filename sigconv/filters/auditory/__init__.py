"""What the ear makes of a sound: spectrograms, filter banks on its scales, compression, and all three as one layer.

stft, istft, spectra         short-time spectra, back again, and a block at a time, under a window
weights, mel_weights         what gathers their bins into bands
bands                        where the bands of a scale begin, peak and end, in Hz
bank, gammatone              band filters in time: Gabors on the mel, Bark, ERB or octave scale; the ear's own
pcen, PCEN                   automatic gain and compression of what comes out of them
leaf, Leaf                   bank, energy, low-pass and PCEN, trained together
spectro_temporal             filters on a spectrogram, for what moves in it

fs, frequencies and bandwidths are in Hz, times in seconds (C.2).
"""

from sigconv.filters.auditory._bank import bank, default, gammatone
from sigconv.filters.auditory._leaf import Leaf, LowPass, leaf
from sigconv.filters.auditory._pcen import PCEN, pcen, smoothing
from sigconv.filters.auditory._ripples import spectro_temporal
from sigconv.filters.auditory._scales import KINDS, bands
from sigconv.filters.auditory._spectrogram import istft, mel_weights, spectra, stft, weights, window

__all__ = [
    "KINDS",
    "PCEN",
    "Leaf",
    "LowPass",
    "bands",
    "bank",
    "default",
    "gammatone",
    "istft",
    "leaf",
    "mel_weights",
    "pcen",
    "smoothing",
    "spectra",
    "spectro_temporal",
    "stft",
    "weights",
    "window",
]

USUAL = 1  # axes of space where none are said
