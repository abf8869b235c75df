"""Pictures: PNG, JPEG and what else Pillow decodes, as grey values."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

import numpy as np

from sigconv import files

LARGEST = 1 << 28  # pixels that are believed


def read(path: Any) -> np.ndarray:
    """The grey values of a picture, float32 (rows, columns) between 0 and 1.

    ValueError for what cannot be decoded and for a picture of more than 2^28 pixels; OSError where it cannot be read.
    """
    from PIL import Image

    name = os.fspath(path)
    data = io.BytesIO(files.read_bytes(name))
    try:
        with warnings.catch_warnings(), Image.open(data) as picture:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if picture.width * picture.height > LARGEST:
                raise ValueError(f"{picture.width} x {picture.height} pixels are more than {LARGEST}")
            deep = picture.mode.startswith("I")
            grey = np.asarray(picture if deep else picture.convert("L"), np.float32)
    except Exception as error:  # decoders raise what they like
        why = "" if "BytesIO" in str(error) else f": {' '.join(str(error).split())[:120]}"
        raise ValueError(f"{name!r} is no picture that can be read{why}") from None
    return grey / (65535 if deep else 255)
