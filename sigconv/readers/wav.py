"""WAV: the chunks are walked and measured first, libsndfile decodes them after."""

from __future__ import annotations

import io
import os
import struct
from typing import Any, NamedTuple

import numpy as np

from sigconv import files

MOST_BYTES = 2 << 30  # a RIFF file cannot say more than twice that of itself


class Header(NamedTuple):
    """What a WAV file says of itself, once its sizes were found true."""

    channels: int
    fs: int
    samples: int


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """The samples of a WAV file, float32 (channels, n) in [-1, 1], and its sampling rate in Hz.

    Raises OSError where there is no regular file, ValueError where it is empty, truncated or lies about its size.
    """
    return decode(files.read_bytes(path, MOST_BYTES), os.fspath(path))


def decode(data: bytes, name: str) -> tuple[np.ndarray, int]:
    """The same of a WAV file's bytes; name is what errors call it."""
    header = check(data, name)
    import soundfile

    try:
        samples, fs = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{name!r} cannot be decoded: {error.error_string}") from None
    if samples.shape != (header.samples, header.channels) or fs != header.fs:
        raise ValueError(f"{name!r} holds {samples.shape[0]} samples where its header says {header.samples}")
    if not np.isfinite(samples).all():
        raise ValueError(f"{name!r} holds samples that are NaN or infinite")
    return np.ascontiguousarray(samples.T), fs


def check(data: bytes, name: str) -> Header:
    """Walk the chunks: every size must fit the file, and the samples must be whole frames."""
    fail = lambda why: ValueError(f"{name!r} is not a usable WAV file: {why}")
    if not data:
        raise fail("it is empty")
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise fail("it does not begin with RIFF … WAVE")
    said = struct.unpack_from("<I", data, 4)[0] + 8
    if said > len(data) + said % 2:
        raise fail(f"truncated: its header says {said} bytes, it has {len(data)}")
    layout, position = None, 12
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        body = position + 8
        if body + size > len(data):
            raise fail(f"truncated: chunk {kind!r} says {size} bytes, {len(data) - body} are left")
        if kind == b"fmt ":
            layout = _layout(data[body : body + size], fail)
        elif kind == b"data":
            if layout is None:
                raise fail("its samples come before their format")
            channels, fs, frame = layout
            if size == 0:
                raise fail("it holds no samples")
            if size % frame:
                raise fail(f"{size} bytes of samples are no whole number of {frame}-byte frames")
            return Header(channels, fs, size // frame)
        position = body + size + size % 2
    raise fail("it has no samples (no data chunk)")


def _layout(body: bytes, fail: Any) -> tuple[int, int, int]:
    """Channels, rate and bytes a frame; one sample a channel in each frame, as PCM, float and the laws have it."""
    if len(body) < 16:
        raise fail(f"its format chunk has {len(body)} bytes of 16")
    kind, channels, fs, _, frame, bits = struct.unpack_from("<HHIIHH", body)
    if kind == 0xFFFE and len(body) >= 26:
        kind = struct.unpack_from("<H", body, 24)[0]
    if kind not in (1, 3, 6, 7):
        raise fail(f"coding {kind} is not PCM, float, A-law or µ-law")
    if channels == 0 or fs == 0 or bits == 0 or frame != channels * -(-bits // 8):
        raise fail(f"{channels} channels of {bits} bits at {fs} Hz in frames of {frame} bytes cannot be")
    return channels, fs, frame
