"""Pictures of arrays: takes numbers, knows no type of ours, draws with matplotlib and never shows a window.

Every function takes ax= to draw into axes of your own, where it draws into one, and returns (figure, axes); png makes
the bytes of a file of it. What moves comes as the bytes of a GIF: sliding, and gif for frames of any kind.
"""

from sigconv.plot._flat import flat
from sigconv.plot._frame import COLOURS, axes, png
from sigconv.plot._gif import gif
from sigconv.plot._layers import maps, weights
from sigconv.plot._lines import curves, strips, traces
from sigconv.plot._logo import LETTERS, logo
from sigconv.plot._moving import film, kernels
from sigconv.plot._scores import NAMED, WRITTEN, calibration, confusion
from sigconv.plot._sliding import Sliding, sliding
from sigconv.plot._tiles import images, mosaic
from sigconv.plot._triptychs import triptychs
from sigconv.plot._volume import glass, slices

__all__ = [
    "COLOURS",
    "LETTERS",
    "NAMED",
    "WRITTEN",
    "Sliding",
    "axes",
    "calibration",
    "confusion",
    "curves",
    "film",
    "flat",
    "gif",
    "glass",
    "images",
    "kernels",
    "logo",
    "maps",
    "mosaic",
    "png",
    "slices",
    "sliding",
    "strips",
    "traces",
    "triptychs",
    "weights",
]
