"""Pictures of arrays: takes numbers, knows no type of ours, draws with matplotlib and never shows a window.

Every function takes ax= to draw into axes of your own, where it draws into one, and returns (figure, axes).
"""

from sigconv.plot._frame import COLOURS, axes, png
from sigconv.plot._lines import curves, strips, traces
from sigconv.plot._logo import LETTERS, logo
from sigconv.plot._moving import film, kernels
from sigconv.plot._scores import NAMED, WRITTEN, calibration, confusion
from sigconv.plot._tiles import images, mosaic
from sigconv.plot._volume import glass, slices

__all__ = [
    "COLOURS",
    "LETTERS",
    "NAMED",
    "WRITTEN",
    "axes",
    "calibration",
    "confusion",
    "curves",
    "film",
    "glass",
    "images",
    "kernels",
    "logo",
    "mosaic",
    "png",
    "slices",
    "strips",
    "traces",
]
