"""Samples as sound files code them, to float32: what every reader of sound shares once a header was found true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

AT_ONCE = 1 << 20  # bytes decoded at a time
MOST_BYTES = 8 << 30  # of samples in memory, decoded

Fail = Callable[[str], Exception]


class Header(NamedTuple):
    """What a file of sound says of itself, once its sizes were found true: samples are those of one channel.

    coding is NumPy's type of a sample ("<i2", "<f4", "|u1" …), "<i3" for 24 bits, "ulaw" or "alaw"; start is the byte
    the first one stands at.
    """

    channels: int
    fs: int
    samples: int
    coding: str
    start: int

    @property
    def frame(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * (1 if self.coding in LAWS else int(self.coding[-1]))


def _ulaw() -> np.ndarray:
    """G.711's 256 values of µ-law, sixteenths of a bit short of full scale."""
    code = ~np.arange(256) & 0xFF
    size = ((((code & 15) << 3) + 0x84) << (code >> 4 & 7)) - 0x84
    return (np.where(code & 0x80, -size, size) / 32768).astype(np.float32)


def _alaw() -> np.ndarray:
    """G.711's 256 values of A-law."""
    code = np.arange(256) ^ 0x55
    step, fine = code >> 4 & 7, (code & 15) << 4
    size = np.where(step == 0, fine + 8, (fine + 0x108) << np.maximum(step - 1, 0))
    return (np.where(code & 0x80, size, -size) / 32768).astype(np.float32)


LAWS = {"ulaw": _ulaw(), "alaw": _alaw()}


def values(data: bytes, coding: str) -> np.ndarray:
    """The samples in such bytes, float32 (n,); whole numbers by their full scale, in [-1, 1)."""
    if coding in LAWS:
        return np.asarray(LAWS[coding][np.frombuffer(data, np.uint8)])
    if coding == "<i3":  # three bytes are the upper ones of four
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, coding = wide.tobytes(), "<i4"
    raw = np.frombuffer(data, coding)
    if raw.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return raw.astype(np.float32)
    full = np.float32(2.0 ** (8 * raw.itemsize - 1))
    return (raw.astype(np.float32) - (full if raw.dtype.kind == "u" else 0)) / full


def blocks(stream: BinaryIO, header: Header, samples: int, fail: Fail) -> Iterator[np.ndarray]:
    """The samples, float32 (channels, n), so many at a time; an error where they end early or are not finite."""
    stream.seek(header.start)
    left = header.samples
    while left:
        n = min(left, samples)
        data = stream.read(n * header.frame)
        if len(data) < n * header.frame:
            raise fail(f"truncated: its header says {header.samples} samples, {left - len(data) // header.frame} fewer")
        found = values(data, header.coding)
        if not np.isfinite(found).all():
            raise fail("it holds samples that are NaN or infinite")
        left -= n
        yield np.ascontiguousarray(found.reshape(n, header.channels).T)


def whole(stream: BinaryIO, header: Header, fail: Fail) -> np.ndarray:
    """All samples, float32 (channels, n), decoded a little at a time."""
    size = header.samples * header.channels * 4
    if size > MOST_BYTES:
        raise fail(f"its samples take {size} bytes, more than the {MOST_BYTES} read at once: take blocks")
    answer = np.empty((header.channels, header.samples), np.float32)
    at = 0
    for block in blocks(stream, header, max(AT_ONCE // header.frame, 1), fail):
        answer[:, at : at + block.shape[1]] = block
        at += block.shape[1]
    return answer


def failing(name: str, kind: str) -> Any:
    """What makes the error of a file, in one line with its name."""
    return lambda why: ValueError(f"{name!r} is not a usable {kind} file: {why}")
