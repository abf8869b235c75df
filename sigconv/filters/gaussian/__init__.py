"""Gaussians in any number of dimensions, their derivatives, and the centre-surround cells made of them (C.5).

bank(sigma, ndim)                 low-pass filters               derivative(order, sigma, ndim)   slopes and curvatures
log(sigma, ndim)                  Laplacian of Gaussian (IBSI 2) dog(sigma, ndim)                 difference of two
on_centre, off_centre             ganglion cells                 bar(directions, sigma, ndim)     a row of them
"""

from sigconv.filters.gaussian._centre import bar, dog, off_centre, on_centre
from sigconv.filters.gaussian._smooth import bank, default, derivative, log

__all__ = ["bank", "bar", "default", "derivative", "dog", "log", "off_centre", "on_centre"]
