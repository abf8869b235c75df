"""Pictures, as grey values: the formats that hold pixels themselves, and none that is run to make them (EPS)."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

import numpy as np

from sigconv import console, files

LARGEST = 1 << 28  # pixels that are believed
MOST_RATIO = 2000  # of them a byte of the file: a blank page has as many
ALWAYS = 1 << 25  # that are believed whatever the file's size
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP")  # others start a program, or are seen nowhere


def read(path: Any) -> np.ndarray:
    """The grey values of a picture, float32 (rows, columns) between 0 and 1.

    PNG, JPEG, TIFF, BMP, GIF, PPM and WebP. ValueError for what cannot be decoded, and for a picture of more than 2^28
    pixels, or of many more than its bytes can hold; OSError where it cannot be read.
    """
    from PIL import Image

    name = os.fspath(path)
    data = io.BytesIO(files.read_bytes(name))
    try:
        with warnings.catch_warnings(), Image.open(data, formats=FORMATS) as picture:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            most = min(LARGEST, max(ALWAYS, MOST_RATIO * len(data.getbuffer())))
            if picture.width * picture.height > most:
                raise ValueError(f"{picture.width} x {picture.height} pixels are more than {most}")
            deep = picture.mode.startswith("I")
            grey = np.asarray(picture if deep else picture.convert("L"), np.float32)
    except Exception as error:  # decoders raise what they like
        why = "" if "BytesIO" in str(error) else f": {console.one_line(error, 120)}"
        raise ValueError(f"{name!r} is no picture that can be read{why}") from None
    return grey / (65535 if deep else 255)
