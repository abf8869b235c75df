"""IDX, the format of MNIST: a mark, one size an axis, then plain numbers; packed by gzip or not."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np

from sigconv import console, files

MOST_AXES = 32
MOST_BYTES = 4 << 30  # of an array, unpacked
MOST_PACKED = 1032  # times what gzip at its best makes of zeros
KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class Header(NamedTuple):
    """What a file says of itself, once its sizes were found possible."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    bytes: int


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an .idx or .idx.gz file, its axes in the file's order, its numbers in the machine's byte order.

    uint8, int8, int16, int32, float32 or float64, as the file's mark says; packed or not is seen by the content. Raises
    OSError where there is no regular file, ValueError, naming the file, where it is empty, truncated, too long,
    damaged, of an unknown type, or lies about its size. Source: LeCun, Cortes and Burges, the MNIST database.
    """
    name = os.fspath(path)
    size = files.size_of(path)
    fail = lambda why: ValueError(f"{name!r} is not a usable IDX file: {why}")
    if size == 0:
        raise fail("it is empty")
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream: Any = gzip.GzipFile(fileobj=file) if packed else file
            header = check(stream, size * MOST_PACKED if packed else size, fail)
            content = _taken(stream, header.bytes)
            beyond = len(stream.read(1))  # and so gzip looks at its checksum
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise fail(f"it cannot be unpacked: {console.one_line(error)}") from None
    if len(content) < header.bytes or beyond:
        more = "more follow" if beyond else f"it has {len(content)}: cut short?"
        raise fail(f"its header says {header.bytes} bytes {header.shape} of {header.dtype.name}, and {more}")
    return np.frombuffer(content, header.dtype).reshape(header.shape).astype(header.dtype.newbyteorder("="), copy=False)


def check(stream: Any, most: int, fail: Any) -> Header:
    """The header, from a stream that holds so many bytes at the most: nothing is allotted before its sizes fit."""
    mark = stream.read(4)
    if len(mark) < 4 or mark[:2] != b"\0\0":
        raise fail(f"it begins with {mark!r} where two zeros, a type and a number of axes should be")
    if mark[2] not in KINDS:
        raise fail(f"type {mark[2]:#04x} is not one of {', '.join(f'{kind:#04x}' for kind in KINDS)}")
    axes = mark[3]
    if axes == 0:
        raise fail("it has no axes")
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise fail(f"its header ends within the sizes of its {axes} axes: cut short?")
    shape, dtype = struct.unpack(f">{axes}I", sizes), np.dtype(KINDS[mark[2]])
    if axes > MOST_AXES:
        raise fail(f"its header says {axes} axes, and an array has at most {MOST_AXES}")
    whole = math.prod(shape) * dtype.itemsize
    if whole > min(most, MOST_BYTES) or math.prod(max(n, 1) for n in shape) * dtype.itemsize > MOST_BYTES:
        room = f"the most it can hold is {most}" if most < MOST_BYTES else f"the most read at once is {MOST_BYTES}"
        raise fail(f"its header says {axes} axes and {whole} bytes, and {room}")
    return Header(shape, dtype, whole)


def _taken(stream: Any, count: int) -> bytearray:
    """So many bytes, or what there is: room is taken as they come, not as they are promised."""
    content = bytearray()
    while len(content) < count and (block := stream.read(min(count - len(content), 1 << 24))):
        content += block
    return content
