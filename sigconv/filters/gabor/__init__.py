"""Gabor filters in any number of dimensions: a wave under a Gaussian, the model of simple cells (FB1, C.1).

bank(frequency, sigma)       filters by their wave vectors
pyramid(ndim, wavelengths=…, directions=…)       the same shape at several scales, in many directions
log_gabor(…)                 made in frequency: no response to a constant, symmetric on a logarithmic axis
directions(n, ndim)          spread evenly over half a circle, half a sphere, …
from_opencv, to_opencv, from_skimage, to_skimage       the parameters of others
"""

from sigconv.filters.gabor._bandwidth import bandwidth_of, sigma_of
from sigconv.filters.gabor._conventions import from_opencv, from_skimage, to_opencv, to_skimage
from sigconv.filters.gabor._directions import directions, frame
from sigconv.filters.gabor._logarithmic import log_gabor
from sigconv.filters.gabor._pyramid import default, pyramid
from sigconv.filters.gabor._wave import bank

__all__ = [
    "bandwidth_of",
    "bank",
    "default",
    "directions",
    "frame",
    "from_opencv",
    "from_skimage",
    "log_gabor",
    "pyramid",
    "sigma_of",
    "to_opencv",
    "to_skimage",
]
