"""WAV: the chunks are walked and measured first, samples decoded after, all at once or block by block.

What is named .wav and is NIST SPHERE within, as TIMIT has it, is read too.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from sigconv import files
from sigconv.readers import _samples, sphere
from sigconv.readers._samples import Fail, Header, failing

MOST_BYTES = 4 << 30  # read into memory whole; RIFF cannot say more
MOST_FILE = 1 << 44  # read in blocks
MOST_CHUNKS = 10_000
UNKNOWN = 0xFFFFFFFF  # the size a program writes that does not yet know it
LARGE = (b"RF64", b"BW64")  # files past 4 GB: their sizes stand in a chunk of their own
GUID = bytes.fromhex("000000001000800000aa00389b71")  # what follows the coding in an extensible format


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """The samples of a WAV file, float32 (channels, n) in [-1, 1], and its sampling rate in Hz.

    PCM of 1 to 32 bits, float of 32 and 64, µ-law and A-law, plain or extensible, RF64 and BW64, any number of
    channels; floats are given as they stand. Raises OSError where there is no regular file, ValueError where it is
    empty, truncated, of another coding, not finite, or lies about its size.
    """
    size, name = files.size_of(path, MOST_BYTES), os.fspath(path)
    with open(path, "rb") as stream:
        return _read(stream, size, str(name))


def decode(data: bytes, name: str) -> tuple[np.ndarray, int]:
    """The same of a WAV file's bytes; name is what errors call it."""
    return _read(io.BytesIO(data), len(data), name)


def header(path: str | os.PathLike[str]) -> Header:
    """What a WAV file says of itself, its sizes held against the file: channels, fs in Hz, samples, coding, start."""
    size = files.size_of(path, MOST_FILE)
    with open(path, "rb") as stream:
        return _checked(stream, size, str(os.fspath(path)))[0]


def blocks(path: str | os.PathLike[str], samples: int = 65536) -> Iterator[np.ndarray]:
    """The samples of a WAV file block by block, float32 (channels, n), n = samples but for the last, in their memory.

    Together they are what read gives, to the bit. The header is checked at once, with read's errors; samples that are
    not finite, or not there any more, end the blocks with one. header(path) says the rate.
    """
    if samples < 1:
        raise ValueError(f"samples {samples} must be at least 1")
    header(path)
    return _blocks(path, samples)


def _blocks(path: str | os.PathLike[str], samples: int) -> Iterator[np.ndarray]:
    size = files.size_of(path, MOST_FILE)
    with open(path, "rb") as stream:
        found, fail = _checked(stream, size, str(os.fspath(path)))
        yield from _samples.blocks(stream, found, samples, fail)


def _read(stream: BinaryIO, size: int, name: str) -> tuple[np.ndarray, int]:
    found, fail = _checked(stream, size, name)
    return _samples.whole(stream, found, fail), found.fs


def _checked(stream: BinaryIO, size: int, name: str) -> tuple[Header, Fail]:
    """The header of whichever format this is, and what its errors are made by."""
    nist = stream.read(len(sphere.MARK)) == sphere.MARK
    fail = failing(name, "SPHERE" if nist else "WAV")
    return (sphere.check if nist else check)(stream, size, fail), fail


def check(stream: BinaryIO, size: int, fail: Fail) -> Header:
    """Walk the chunks of a stream of so many bytes: each must fit, and the samples must be whole frames."""
    stream.seek(0)
    mark = stream.read(12)
    if not mark:
        raise fail("it is empty")
    if len(mark) < 12 or mark[:4] not in (b"RIFF", *LARGE) or mark[8:] != b"WAVE":
        raise fail("it does not begin with RIFF … WAVE")
    said, sizes = struct.unpack_from("<I", mark, 4)[0] + 8, None
    if mark[:4] in LARGE:
        sizes = _large(stream, fail)
        said = sizes[0] + 8
    layout = None
    position = 12
    for _ in range(MOST_CHUNKS):
        stream.seek(position)
        chunk = stream.read(8)
        if len(chunk) < 8:
            _whole_file(said, size, fail)
            raise fail("it has no samples (no data chunk)")
        kind, length = struct.unpack("<4sI", chunk)
        if kind == b"data" and sizes is not None and length == UNKNOWN:
            length = sizes[1]
        if kind == b"data":
            if layout is None:
                raise fail("its samples come before their format")
            found = _measured(layout, position + 8, length, said, size, fail)
            _followed(stream, found.start + length, min(said, size), fail)
            return found
        if position + 8 + length > size:
            _whole_file(said, size, fail)
            raise fail(f"truncated: chunk {kind!r} says {length} bytes, {size - position - 8} are left")
        if kind == b"fmt ":
            layout = _layout(stream.read(min(length, 40)), fail)
        position += 8 + length + length % 2
    raise fail(f"it has no samples among its first {MOST_CHUNKS} chunks")


def _large(stream: BinaryIO, fail: Fail) -> tuple[int, int]:
    """The sizes of the file and of its samples, 64 bits each."""
    chunk = stream.read(24)
    if len(chunk) < 24 or chunk[:4] != b"ds64":
        raise fail("it is RF64 without its sizes (no ds64 chunk)")
    whole, samples = struct.unpack_from("<QQ", chunk, 8)
    return whole, samples


def _whole_file(said: int, size: int, fail: Fail) -> None:
    if said > size + said % 2:
        raise fail(f"truncated: its header says {said} bytes, it has {size}")


def _measured(layout: tuple[int, int, int, str], start: int, length: int, said: int, size: int, fail: Fail) -> Header:
    """The header, if the samples are there, are whole frames, and lie within what the file says of itself."""
    channels, fs, frame, coding = layout
    if length == UNKNOWN and start + length > size:
        raise fail(
            "truncated, or its size was never written (a pipe leaves 4294967295): write it anew, ffmpeg -i OLD NEW.wav"
        )
    _whole_file(said, size, fail)
    if start + length > size:
        raise fail(f"truncated: chunk b'data' says {length} bytes, {size - start} are left")
    if length == 0:
        raise fail("it holds no samples")
    if length % frame:
        raise fail(f"{length} bytes of samples are no whole number of {frame}-byte frames")
    if said < start + length:
        raise fail(f"its header says {said} bytes, and its samples end at {start + length}")
    return Header(channels, fs, length // frame, coding, start)


def _followed(stream: BinaryIO, end: int, size: int, fail: Fail) -> None:
    """What stands behind the samples must be another chunk, or zeros: else there are more samples than are said."""
    for at in {end + end % 2, end}:  # some writers leave out the byte that makes a chunk even
        stream.seek(at)
        chunk = stream.read(8)
        if size - at < 8 or not any(chunk):
            return
        kind, length = struct.unpack("<4sI", chunk)
        if all(32 <= letter < 127 for letter in kind) and at + 8 + length <= size + 1:
            return
    raise fail(f"its samples should end at byte {end}, and no chunk begins there: its size is too small")


def _layout(body: bytes, fail: Fail) -> tuple[int, int, int, str]:
    """Channels, rate, bytes a frame and coding; each frame has one sample a channel."""
    if len(body) < 16:
        raise fail(f"its format chunk has {len(body)} bytes of 16")
    kind, channels, fs, _, frame, bits = struct.unpack_from("<HHIIHH", body)
    if kind == 0xFFFE:
        if len(body) < 40 or body[26:40] != GUID:
            raise fail("its extensible format names no coding that is known")
        kind = struct.unpack_from("<H", body, 24)[0]
    if kind not in (1, 3, 6, 7):
        raise fail(f"coding {kind} is not PCM, float, A-law or µ-law")
    width = -(-bits // 8)
    if channels == 0 or fs == 0 or bits == 0 or frame != channels * width:
        raise fail(f"{channels} channels of {bits} bits at {fs} Hz in frames of {frame} bytes cannot be")
    codings = {1: {1: "|u1", 2: "<i2", 3: "<i3", 4: "<i4"}, 3: {4: "<f4", 8: "<f8"}, 6: {1: "alaw"}, 7: {1: "ulaw"}}
    if width not in codings[kind] or (kind != 1 and bits % 8):
        raise fail(f"samples of {bits} bits in coding {kind} are none that is known")
    return channels, fs, frame, codings[kind][width]
