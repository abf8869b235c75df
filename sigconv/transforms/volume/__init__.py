"""Volumes made ready: resampled, turned, cropped, their grey values levelled, taken apart and put together again.

An affine (n + 1, n + 1) takes indices of the last n axes to mm; a Volume, as readers.nifti gives it, has them first.
"""

from sigconv.transforms.volume._crop import crop_pad, crop_to
from sigconv.transforms.volume._intensity import percentile, window, zscore
from sigconv.transforms.volume._orient import reorient
from sigconv.transforms.volume._patches import Tiling, blended, patches, tiling
from sigconv.transforms.volume._points import at_points
from sigconv.transforms.volume._resample import resample
from sigconv.transforms.volume._sliding import sliding

__all__ = [
    "Tiling",
    "at_points",
    "blended",
    "crop_pad",
    "crop_to",
    "patches",
    "percentile",
    "reorient",
    "resample",
    "sliding",
    "tiling",
    "window",
    "zscore",
]
