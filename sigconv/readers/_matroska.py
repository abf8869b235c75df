"""Matroska's own word on how long a file is: FFmpeg takes one that was cut for a shorter one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO

MARK, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def check(file: BinaryIO, fail: Callable[[str], Exception]) -> None:
    """Raise what fail makes where a Matroska or WebM file ends before its segment does; leave any other alone.

    The file is left where it began. A size of all ones is one that was never written (a live stream): nothing is said.
    """
    size, head = os.fstat(file.fileno()).st_size, file.read(4096)
    file.seek(0)
    if head[:4] != MARK:
        return
    said, taken = number(head[4:])
    at = 4 + taken + (said or 0)
    if at + 12 > min(size, len(head)) or head[at : at + 4] != SEGMENT:
        raise fail("truncated: its header is not whole, or no segment follows it")
    said, taken = number(head[at + 4 :])
    if said is not None and at + 4 + taken + said > size:
        raise fail(f"truncated: it says {at + 4 + taken + said} bytes, it has {size}")


def number(data: bytes) -> tuple[int | None, int]:
    """A whole number as EBML has it, and the bytes it takes: as many as there are zeros before its first one bit.

    None for all ones, which stands for unknown.

    >>> number(bytes([0x81])), number(bytes([0x40, 0x05])), number(bytes([0xFF]))
    ((1, 1), (5, 2), (None, 1))
    """
    taken = 9 - data[0].bit_length() if data and data[0] else 8
    value = int.from_bytes(data[:taken], "big") & ((1 << 7 * taken) - 1)
    return (None if value == (1 << 7 * taken) - 1 else value), taken
