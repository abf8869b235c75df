"""Moving pictures as the bytes of a GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from sigconv.plot._frame import array

SHADES, ASKED = 128, 12  # of one palette for all frames, and how many of them it is made of
HELD = 1500  # milliseconds that the last frame stands
MOST_FRAMES = 500


def gif(frames: Sequence[Any], *, fs: float = 8.0) -> bytes:
    """Pictures (height, width, 3) of bytes, one after the other, as the bytes of a GIF that begins anew for ever.

    fs frames per second; the last is held for 1.5 s, equal ones in a row are one that lasts longer. All have 128
    colours, found in 12 of them. ValueError for pictures of other kinds or of several sizes, none, or more than 500.

    >>> gif([np.zeros((4, 6, 3), np.uint8), np.full((4, 6, 3), 255, np.uint8)])[:6]
    b'GIF89a'
    """
    from PIL import Image

    pictures = [array(frame) for frame in frames]
    if not 1 <= len(pictures) <= MOST_FRAMES or not 0 < float(fs) <= 100:
        raise ValueError(
            f"{len(pictures)} frames, {fs} a second: expected 1 to {MOST_FRAMES}, and at most 100 a second"
        )
    kinds = {(picture.shape, str(picture.dtype)) for picture in pictures}
    (shape, dtype), *others = sorted(kinds, key=str)
    if others or dtype != "uint8" or len(shape) != 3 or shape[-1] != 3 or 0 in shape:
        raise ValueError(f"frames are of {sorted(map(str, kinds))}: expected uint8 (height, width, 3), all of one size")
    some = np.concatenate([pictures[int(n)] for n in np.unique(np.linspace(0, len(pictures) - 1, ASKED).round())])
    plain = Image.Dither.NONE
    palette = Image.fromarray(some).quantize(SHADES, method=Image.Quantize.MEDIANCUT, dither=plain)
    first, *rest = (Image.fromarray(picture).quantize(palette=palette, dither=plain) for picture in pictures)
    lasting = [round(1000 / float(fs))] * len(rest) + [HELD]
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=lasting, loop=0, optimize=False)
    return buffer.getvalue()
