"""FLAC: STREAMINFO is held against the file first, libsndfile decodes, and the samples against the file's own MD5 sum.

What is read is therefore what was encoded, to the bit, wherever the encoder left a sum (all but a few do).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from sigconv import files
from sigconv.readers import _flac
from sigconv.readers._flac import Header
from sigconv.readers._samples import AT_ONCE, MOST_BYTES, Fail, failing

__all__ = ["Header", "blocks", "header", "read"]

MOST_FILE = 1 << 40


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """The samples of a FLAC file, float32 (channels, n) in [-1, 1), and its sampling rate in Hz.

    8, 16 or 24 bits, 1 to 8 channels; exact, as float32 holds 24 bits. Raises OSError where there is no regular file,
    ValueError, with the file's name, where it is empty, truncated, damaged, Ogg, of other bits, lies about its size, or
    takes more than 8 GiB; ImportError where soundfile is not installed. Source: RFC 9639.

    >>> import soundfile, tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.flac"
    >>> soundfile.write(path, np.array([0.0, 0.5, -0.5, 0.25]), 8000)
    >>> read(path)
    (array([[ 0.  ,  0.5 , -0.5 ,  0.25]], dtype=float32), 8000)
    """
    found, fail = header(path), failing(str(os.fspath(path)), "FLAC")
    size = found.samples * found.channels * 4
    if size > MOST_BYTES:
        raise fail(f"its samples take {size} bytes, more than the {MOST_BYTES} read at once: take blocks")
    answer, at = np.empty((found.channels, found.samples), np.float32), 0
    for block in _blocks(path, max(AT_ONCE // (4 * found.channels), 1)):
        answer[:, at : at + block.shape[1]] = block
        at += block.shape[1]
    return answer, found.fs


def header(path: str | os.PathLike[str]) -> Header:
    """What a FLAC file says of itself, its sizes held against the file: channels, fs in Hz, samples, bits."""
    size = files.size_of(path, MOST_FILE)
    with open(path, "rb") as stream:
        return _flac.check(stream, size, failing(str(os.fspath(path)), "FLAC"))


def blocks(path: str | os.PathLike[str], samples: int = 65536) -> Iterator[np.ndarray]:
    """The samples of a FLAC file block by block, float32 (channels, n), n = samples but for the last, in their memory.

    Together they are what read gives, to the bit. The header is checked at once, with read's errors; damage further on,
    and a sum that is another, end the blocks with one. header(path) says the rate.
    """
    if samples < 1:
        raise ValueError(f"samples {samples} must be at least 1")
    header(path)
    return _blocks(path, samples)


def _blocks(path: str | os.PathLike[str], samples: int) -> Iterator[np.ndarray]:
    size, fail = files.size_of(path, MOST_FILE), failing(str(os.fspath(path)), "FLAC")
    library = _library()
    with open(path, "rb") as stream:
        found = _flac.check(stream, size, fail)
        stream.seek(0)
        try:
            with library.SoundFile(stream) as sound:  # no name, which libsndfile could take for another format
                if (sound.format, sound.channels, sound.samplerate) != ("FLAC", found.channels, found.fs):
                    raise fail(f"libsndfile takes it for {sound.format} of {sound.channels} at {sound.samplerate} Hz")
                yield from _decoded(sound, found, samples, fail)
        except library.SoundFileRuntimeError as error:
            why = str(getattr(error, "error_string", error))
            raise fail(f"libsndfile finds: {' '.join(why.split())[:120]}") from None


def _decoded(sound: Any, found: Header, samples: int, fail: Fail) -> Iterator[np.ndarray]:
    """The samples, so many at a time, as many as the header says, and of the sum that it says."""
    total, left = hashlib.md5(usedforsecurity=False), found.samples
    while left:
        whole = sound.read(min(left, samples), dtype="int32", always_2d=True)
        if len(whole) == 0:
            raise fail(f"truncated or damaged: its header says {found.samples} samples, the last {left} are not there")
        left -= len(whole)
        if found.md5:
            total.update(_stored(whole, found.bits))
        if left == 0 and found.md5 and total.digest() != found.md5:
            raise fail("damaged: its samples are not those of its MD5 sum")
        yield np.ascontiguousarray((whole.astype(np.float32) * np.float32(2.0**-31)).T)


def _stored(whole: np.ndarray, bits: int) -> bytes:
    """Samples of 32 bits as the sum is made of them: their upper bits, in as few bytes as hold them."""
    wide = np.ascontiguousarray(whole, "<i4").view(np.uint8).reshape(-1, 4)
    return wide[:, 4 - bits // 8 :].tobytes()


def _library() -> Any:
    try:
        import soundfile
    except ImportError:
        raise ImportError("FLAC needs soundfile: pip install soundfile") from None
    return soundfile
