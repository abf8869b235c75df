"""The only room that counts dimensions: sizes, margins, borders and windows over any number of axes.

Shapes are (batch, channels, *space). "axis 0" in a message is the first axis of space.
A margin is what is added around an axis: one pair (before, after) per axis, in samples.
"""

from sigconv.nd.arrays import as_tensor, numpy_too, watched
from sigconv.nd.borders import EXTEND, PADDING_MODES, border_modes, pad, section, unpad
from sigconv.nd.reach import Reach
from sigconv.nd.sizes import (
    PADDINGS,
    Margins,
    count,
    holdable,
    margins,
    ntuple,
    one_of,
    output_size,
    spans,
    symmetric,
    tf_same,
)
from sigconv.nd.views import per_channel, primitive, spread, unwindows, windows

__all__ = [
    "EXTEND",
    "PADDINGS",
    "PADDING_MODES",
    "Margins",
    "Reach",
    "as_tensor",
    "border_modes",
    "count",
    "holdable",
    "margins",
    "ntuple",
    "numpy_too",
    "one_of",
    "output_size",
    "pad",
    "per_channel",
    "primitive",
    "section",
    "spans",
    "spread",
    "symmetric",
    "tf_same",
    "unpad",
    "unwindows",
    "watched",
    "windows",
]
