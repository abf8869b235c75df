"""RIFF's own word on how long an AVI file is: FFmpeg takes one that was cut inside its index for a whole one."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

MOST_CHUNKS = 1 << 16  # looked at; those of a long film hold a gigabyte each
UNKNOWN = (0, 0xFFFFFFFF)  # lengths that were never written, as of a live stream


def lacking(file: BinaryIO) -> str:
    """What an AVI file lacks of the lengths that its RIFF chunks say; "" for nothing, and for every other format.

    Of a long film (OpenDML) several chunks follow each other, each from an even byte on; whatever else follows them is
    no part of the film. The file is left where it began.

    >>> import io
    >>> lacking(io.BytesIO(b"RIFF" + struct.pack("<I", 100) + b"AVI LIST"))
    'truncated: it says 108 bytes, it has 16'
    """
    size, chunks = file.seek(0, os.SEEK_END), 1
    end = _end(file, 0, b"AVI")
    while 0 < end < size and chunks < MOST_CHUNKS:
        end, chunks = _end(file, end + end % 2, b"AVIX"), chunks + 1
    file.seek(0)
    return f"truncated: it says {end} bytes, it has {size}" if end > size else ""


def _end(file: BinaryIO, at: int, kind: bytes) -> int:
    """Where the chunk at a byte ends, by its own word; 0 where there is none of this kind, or it does not say."""
    file.seek(at)
    head = file.read(12)
    if head[:4] != b"RIFF" or not kind.startswith(head[8 : 8 + len(kind)]):
        return 0
    if len(head) < 12:
        return at + 12
    length = struct.unpack("<I", head[4:8])[0]
    return 0 if length in UNKNOWN else at + 8 + length
