"""FreeSurfer's MGH and MGZ: a big-endian header, voxels from byte 284 on, and a few numbers after them."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from sigconv.readers import _affines
from sigconv.readers._voxels import Fail, Layout, check

MARK = b"\0\0\0\1"  # version 1
START = 284  # of the voxels, and least bytes of a header
TYPES = {0: "u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
MOST_AFTER = 16 << 20  # tags and colour tables
STANDARD = ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))  # rows: the axes of a file that tells none, LIA


def layout(head: bytes, stream: Any, most: int, fail: Fail) -> Layout:
    """What a header says, found possible for a file of so many bytes; stream, at byte len(head), is read on for the
    repetition time of a run, which stands after its voxels."""
    if len(head) < START:
        raise fail(f"it has {len(head)} bytes of a header of {START}")
    dims = struct.unpack(">4i", head[4:20])
    code, _, good = struct.unpack(">iih", head[20:30])
    if min(dims) < 1:
        raise fail(f"its sizes {dims} are no 4 positive numbers")
    if math.prod(dims) > 1 << 48:
        raise fail(f"truncated: its header says {math.prod(dims)} voxels, and no file holds so many")
    if code not in TYPES:
        raise fail(f"its type {code} is none that is read ({', '.join(map(str, TYPES))})")
    shape = dims if dims[3] > 1 else dims[:3]
    stored = np.dtype(TYPES[code])
    zooms, affine = _place(head, dims, bool(good))
    if not np.isfinite(affine).all():
        raise fail("its affine holds values that are NaN or infinite")
    if _affines.singular(affine):
        raise fail(f"its affine is singular: {affine[:3].tolist()}")
    meta = {
        "spacing": zooms,
        "units": ("mm", "msec" if len(shape) > 3 else "unknown"),
        "dtype": str(stored),
        "version": 1,
        "description": "",
        "format": "mgh",
        "channels": "",
    }
    found = check(Layout(shape, stored, START, 1.0, 0.0, "", MOST_AFTER, affine, meta), most, fail)
    if len(shape) > 3:
        meta["spacing"] = (*zooms, _repetition(stream, START + found.bytes - len(head)))
    return found


def _place(head: bytes, dims: tuple[int, ...], good: bool) -> tuple[tuple[float, ...], np.ndarray]:
    """Spacings and affine: directions, and where the volume's middle lies."""
    values = np.frombuffer(head[30:90], ">f4").astype(np.float64)
    zooms, axes, middle = values[:3], values[3:12].reshape(3, 3).T, values[12:]
    if not good:
        zooms, axes, middle = np.ones(3), np.array(STANDARD).T, np.zeros(3)
    affine = np.eye(4)
    affine[:3, :3] = axes * zooms
    affine[:3, 3] = middle - affine[:3, :3] @ np.array(dims[:3]) / 2
    return tuple(float(z) for z in zooms), affine


def _repetition(stream: Any, skip: int) -> float:
    """Milliseconds between the volumes of a run; 0 where the file does not say."""
    while skip > 0 and (block := stream.read(min(skip, 1 << 20))):
        skip -= len(block)
    found = stream.read(4) if skip == 0 else b""
    value = struct.unpack(">f", found)[0] if len(found) == 4 else 0.0
    return float(value) if math.isfinite(value) else 0.0
