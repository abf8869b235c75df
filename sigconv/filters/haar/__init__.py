"""Haar, in both meanings of the word: the wavelet with its subbands, and differences of sums over boxes.

    approximation, details = haar.dwt(x, level=1)
    answers = haar.boxes(x, haar.viola_jones(24))
    responses = haar.bank(ndim=2, levels=3)(x)

dwt, swt and packets have inverses and PyWavelets' conventions; boxes reads integral volumes, in any number of axes.
"""

from sigconv.filters.haar.cascade import bank, default
from sigconv.filters.haar.classical import Features, viola_jones
from sigconv.filters.haar.rectangles import boxes
from sigconv.filters.haar.stationary import iswt, swt
from sigconv.filters.haar.wavelets import dwt, idwt, ipackets, packets

__all__ = ["Features", "bank", "boxes", "default", "dwt", "idwt", "ipackets", "iswt", "packets", "swt", "viola_jones"]
