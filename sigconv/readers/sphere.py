"""NIST SPHERE, the format of TIMIT's own .WAV files: a header of text, then plain samples."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

import numpy as np

from sigconv import files
from sigconv.readers._samples import Fail, Header, failing, whole

MARK = b"NIST_1A"
BEGIN = re.compile(rb"NIST_1A\r?\n *([0-9]{1,7}) *\r?\n")
PADDING = 2  # bytes that may follow the samples: some writers round the size up
MOST_HEADER = 1 << 16
FIELD = re.compile(r"([!-~]+) -(?:(i) ([+-]?[0-9]{1,15})|(r) ([!-~]{1,40})|s([0-9]{1,5}) (.*))", re.DOTALL)
NEEDED = ("channel_count", "sample_count", "sample_rate")


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """The samples of a SPHERE file, float32 (channels, n) in [-1, 1), and its sampling rate in Hz.

    PCM of 8, 16 or 32 bits in either byte order, µ-law and A-law. Raises OSError where there is no regular file,
    ValueError where it is empty, truncated, compressed by shorten or wavpack, or lies about its size. Source: NIST
    Speech Header Resources 2.6.
    """
    name = os.fspath(path)
    size = files.size_of(path)
    with open(path, "rb") as stream:
        fail = failing(str(name), "SPHERE")
        header = check(stream, size, fail)
        return whole(stream, header, fail), header.fs


def check(stream: BinaryIO, size: int, fail: Fail) -> Header:
    """The header of a stream of so many bytes, every one of its numbers held against that."""
    stream.seek(0)
    begin = stream.read(24)
    if not begin:
        raise fail("it is empty")
    match = BEGIN.match(begin)
    if match is None:
        raise fail(f"it begins with {begin[:16]!r} where NIST_1A and the header's length should be")
    length = int(match[1])
    if not match.end() < length <= min(size, MOST_HEADER):
        raise fail(f"its header says to have {length} bytes, the file has {size}")
    stream.seek(match.end())
    said = _fields(stream.read(length - match.end()), fail)
    missing = [name for name in NEEDED if not isinstance(said.get(name), int)]
    if missing:
        raise fail(f"its header has no whole number {missing[0]}")
    channels, samples, fs = (int(said[name]) for name in NEEDED)
    coding = _coding(said, fail)
    if not (0 < channels < 1 << 16 and 0 < fs < 1 << 32):
        raise fail(f"{channels} channels at {fs} Hz cannot be")
    header = Header(channels, fs, samples, coding, length)
    if samples <= 0:
        raise fail(f"it holds no samples (sample_count {samples})")
    if not 0 <= size - length - samples * header.frame <= PADDING:
        cut = "truncated: " if samples * header.frame > size - length else ""
        raise fail(f"{cut}its header says {samples * header.frame} bytes of samples, it has {size - length}")
    return header


def _fields(text: bytes, fail: Fail) -> dict[str, int | float | str]:
    """The lines `name -type value` up to end_head."""
    said: dict[str, int | float | str] = {}
    for line in text.decode("latin-1").split("\n"):
        if line.strip() == "end_head":
            return said
        if not line.strip() or line.startswith(";"):
            continue
        match = FIELD.fullmatch(line.rstrip("\r"))
        if match is None:
            raise fail(f"{line[:60]!r} in its header is not `name -type value`")
        name, whole_number, number, real, decimal, count, string = match.groups()
        if name in said:
            raise fail(f"its header says {name} twice")
        if whole_number:
            said[name] = int(number)
        elif real:
            said[name] = decimal
        elif int(count) > len(string):
            raise fail(f"{line[:60]!r} in its header has fewer than {count} characters")
        else:
            said[name] = string[: int(count)]
    raise fail("its header does not end (no end_head)")


def _coding(said: dict[str, int | float | str], fail: Fail) -> str:
    kind, *more = str(said.get("sample_coding", "pcm")).strip().lower().split(",")
    width, order = said.get("sample_n_bytes", 2 if kind == "pcm" else 1), str(said.get("sample_byte_format", ""))
    if more:
        raise fail(f"its samples are compressed ({more[0][:40]}): expand it first, by NIST's w_decode or sph2pipe -p")
    if kind in ("ulaw", "mu-law", "alaw") and width == 1:
        return "alaw" if kind == "alaw" else "ulaw"
    if kind != "pcm" or width not in (1, 2, 4):
        raise fail(f"coding {kind[:40]!r} of {width} bytes is not PCM of 1, 2 or 4, nor ulaw or alaw of 1")
    if width == 1:
        return "|i1"
    orders = {"01": "<", "0123": "<", "10": ">", "3210": ">"}
    if order.strip() not in orders or len(order.strip()) != width:
        raise fail(f"sample_byte_format {order[:20]!r} is not one of {', '.join(orders)} for {width} bytes")
    return f"{orders[order.strip()]}i{width}"
