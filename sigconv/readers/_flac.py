"""The header of a FLAC file, STREAMINFO, held against the file before anything is decoded."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from sigconv.readers._samples import Fail

MARK, OGG = b"fLaC", b"OggS"
MOST_BLOCKS = 10_000  # of what stands before the samples
LEAST_FRAME = 10  # bytes: a header of 6 and its sums, a channel of 2
MOST_RATIO = 10_000  # times its size that a file may unpack to: silence packs a thousand times, a bomb more
ALWAYS = 1 << 20  # bytes it may unpack to whatever its size
BITS = (8, 16, 24)  # what libsndfile decodes


class Header(NamedTuple):
    """What a FLAC file says of itself, its sizes found possible: samples are those of one channel, of so many bits.

    start is the byte the first frame stands at; md5 that of all samples, or b"" where the file has none.
    """

    channels: int
    fs: int
    samples: int
    bits: int
    start: int
    md5: bytes


def check(stream: BinaryIO, size: int, fail: Fail) -> Header:
    """The header of a stream of so many bytes, every one of its numbers held against that."""
    at = _begun(stream, size, fail)
    said = b""
    for number in range(MOST_BLOCKS):
        stream.seek(at)
        head = stream.read(4)
        if len(head) < 4:
            raise fail("truncated: it ends before its samples begin")
        kind, length = head[0] & 127, int.from_bytes(head[1:], "big")
        if at + 4 + length > size:
            raise fail(f"truncated: a block of its header says {length} bytes, {size - at - 4} are left")
        if number == 0:
            said = stream.read(length)
            if kind != 0 or length != 34:
                raise fail("it does not begin with its STREAMINFO of 34 bytes")
        at += 4 + length
        if head[0] & 128:
            return _possible(said, stream, at, size, fail)
    raise fail(f"its samples do not begin behind the first {MOST_BLOCKS} blocks")


def _begun(stream: BinaryIO, size: int, fail: Fail) -> int:
    """Where the first block stands: behind the mark, before which there may be tags (ID3)."""
    stream.seek(0)
    mark, at = stream.read(10), 0
    if not mark:
        raise fail("it is empty")
    if mark[:3] == b"ID3" and len(mark) == 10:
        at = 10 + sum((byte & 127) << 7 * place for place, byte in enumerate(reversed(mark[6:])))
        if at > size:
            raise fail(f"truncated: its tags say {at} bytes, it has {size}")
        stream.seek(at)
        mark = stream.read(4)
    if mark[:4] == OGG:
        raise fail("it is Ogg: unpack it first, flac --decode, or ffmpeg -i OLD NEW.flac")
    if mark[:4] != MARK:
        raise fail(f"it begins with {mark[:4]!r} where fLaC should be")
    return at + 4


def _possible(said: bytes, stream: BinaryIO, start: int, size: int, fail: Fail) -> Header:
    """STREAMINFO's numbers, once the bytes behind the header can hold as many samples as they say."""
    most_block = int.from_bytes(said[2:4], "big")
    packed = int.from_bytes(said[10:18], "big")
    fs, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    samples, md5 = packed & ((1 << 36) - 1), said[18:]
    if fs == 0:
        raise fail("its rate of 0 Hz cannot be")
    if most_block < 16:
        raise fail(f"frames of {most_block} samples at most cannot be")
    if bits not in BITS:
        raise fail(f"samples of {bits} bits are not decoded: expected {', '.join(map(str, BITS))}")
    if samples == 0:
        raise fail("it does not say how many samples it has (a pipe leaves 0), or holds none: encode it anew")
    frames, left = -(-samples // most_block), size - start
    if frames * LEAST_FRAME > left:
        raise fail(f"truncated: its header says {samples} samples, which {left} bytes cannot hold")
    wide = samples * channels * (bits // 8)
    if wide > MOST_RATIO * size + ALWAYS:
        raise fail(f"its {size} bytes would unpack to {wide}, more than {MOST_RATIO} times as many")
    stream.seek(start)
    sync = stream.read(2)
    if len(sync) < 2 or sync[0] != 0xFF or sync[1] & 0xFE != 0xF8:
        raise fail(f"no frame begins at byte {start}, where its header ends")
    return Header(channels, fs, samples, bits, start, md5 if any(md5) else b"")
