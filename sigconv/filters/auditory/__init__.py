"""What the ear makes of a sound: spectrograms, filter banks on its scales, compression, and all three as one layer.

stft, weights, mel_weights   short-time spectra and what gathers them into bands
bank, gammatone              band filters in time: Gabors on the mel, Bark, ERB or octave scale; the ear's own
pcen, PCEN                   automatic gain and compression of what comes out of them
leaf, Leaf                   bank, energy, low-pass and PCEN, trained together
spectro_temporal             filters on a spectrogram, for what moves in it

fs, frequencies and bandwidths are in Hz, times in seconds (C.2).
"""

from sigconv.filters.auditory._bank import bank, default, gammatone
from sigconv.filters.auditory._leaf import Leaf, leaf
from sigconv.filters.auditory._pcen import PCEN, pcen, smoothing
from sigconv.filters.auditory._ripples import spectro_temporal
from sigconv.filters.auditory._scales import KINDS
from sigconv.filters.auditory._spectrogram import mel_weights, stft, weights

__all__ = [
    "KINDS",
    "PCEN",
    "Leaf",
    "bank",
    "default",
    "gammatone",
    "leaf",
    "mel_weights",
    "pcen",
    "smoothing",
    "spectro_temporal",
    "stft",
    "weights",
]

USUAL = 1  # axes of space where none are said
