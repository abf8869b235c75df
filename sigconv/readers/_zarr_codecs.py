"""The bytes of a zarr chunk, unpacked and made numbers: every step knows how many bytes may come of it at the most."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from sigconv import console

MOST_CHUNK = 1 << 30  # bytes of one chunk, unpacked
MOST_MEMORY = 1 << 28  # that unpacking xz may take
PIECE = 1 << 14  # bytes of gzip that are unpacked at a time
ZSTD = b"\x28\xb5\x2f\xfd"
ZSTD_BLOCK = 1 << 17  # what a packed block holds at the most

Fail = Callable[[str], Exception]
Order = Literal["<", ">"]


class Chain(NamedTuple):
    """How a chunk became bytes: axes put in another order, one number after another (or a shard's chunks), packed.

    order of bytes is "<" or ">"; shard is None, or how the chunks within lie; packers are in the order of packing.
    """

    axes: tuple[int, ...]
    order: Order
    packers: tuple[str, ...]
    shard: Shard | None = None

    @property
    def open(self) -> bool:
        """Whether it is a shard whose chunks can be read one by one where they lie."""
        return self.shard is not None and not self.packers and not self.axes


class Shard(NamedTuple):
    """Many chunks in one file: their shape, how each and how their table is coded, whether that stands at the end."""

    chunks: tuple[int, ...]
    chain: Chain
    table: Chain
    at_end: bool


def numbers(data: bytes, shape: tuple[int, ...], dtype: np.dtype, chain: Chain, fail: Fail) -> np.ndarray:
    """A chunk's numbers; the chain has no shard."""
    size = dtype.itemsize
    for n in shape:
        size *= n
    data = unpacked(data, chain.packers, size, fail)
    if len(data) != size:
        raise fail(f"a chunk of {shape} {dtype} takes {size} bytes, one has {len(data)}")
    stored = tuple(shape[axis] for axis in chain.axes) or shape
    raw = np.frombuffer(data, "u1" if dtype.kind == "b" else dtype.newbyteorder(chain.order)).reshape(stored)
    raw = raw != 0 if dtype.kind == "b" else raw  # no third truth, whatever the byte
    return raw.transpose(np.argsort(chain.axes)) if chain.axes else raw


def unpacked(data: bytes, packers: tuple[str, ...], size: int, fail: Fail) -> bytes:
    """The bytes before packing, size of them or one more at the most."""
    for place, packer in reversed(tuple(enumerate(packers))):
        # Only the innermost packer makes what is known in size; what is packed twice may have grown a little between.
        most = size if not any(inner != "crc32c" for inner in packers[:place]) else 2 * size + 65536
        most += 4 * sum(inner == "crc32c" for inner in packers[:place])
        try:
            data = UNPACK[packer](data, most)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError, MemoryError) as error:
            why = console.one_line(error, 120)
            raise fail(f"a chunk cannot be unpacked by {packer}: {why}") from None
    return data


def _inflate(data: bytes, most: int) -> bytes:
    """zlib and gzip, the latter of several members too: fed in pieces, for what a member leaves is copied."""
    found, at, unpacker = bytearray(), 0, None
    while at < len(data):
        unpacker = unpacker or zlib.decompressobj(47)
        piece = data[at : at + PIECE]
        found += unpacker.decompress(piece, most + 1 - len(found))
        if len(found) > most:
            raise ValueError(f"it holds more than {most} bytes")
        at += len(piece) - len(unpacker.unused_data)
        if unpacker.eof:
            unpacker = None
    if unpacker is not None:
        raise ValueError("it is cut short")
    return bytes(found)


def _bzip2(data: bytes, most: int) -> bytes:
    return _streamed(bz2.BZ2Decompressor(), data, most)


def _xz(data: bytes, most: int) -> bytes:
    return _streamed(lzma.LZMADecompressor(memlimit=MOST_MEMORY), data, most)


def _streamed(unpacker: Any, data: bytes, most: int) -> bytes:
    found: bytes = unpacker.decompress(data, most + 1)
    if len(found) > most:
        raise ValueError(f"it holds more than {most} bytes")
    if not unpacker.eof:
        raise ValueError("it is cut short")
    return found


def _zstd(data: bytes, most: int) -> bytes:
    from numcodecs import zstd

    said = _zstd_bound(data, most)
    if said > max(16 * most, 1 << 26) or said > 2 * MOST_CHUNK:
        raise ValueError(f"it may hold {said} bytes, and {most} are expected")
    return bytes(zstd.decompress(data))


def _zstd_bound(data: bytes, most: int) -> int:
    """The most that a frame can hold: what its header says, which is then held to, else by its blocks."""
    if len(data) < 6 or data[:4] != ZSTD:
        raise ValueError("it does not begin as a frame does")
    flags = data[4]
    width = (1 if flags & 32 else 0, 2, 4, 8)[flags >> 6]
    at = 5 + (flags & 32 == 0) + (0, 1, 2, 4)[flags & 3]
    if width:
        said = int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
        if said > most:
            raise ValueError(f"it says {said} bytes, and {most} are expected")
        return said
    total, last = 0, False
    while not last:
        if at + 3 > len(data):
            raise ValueError("it is cut short")
        head = int.from_bytes(data[at : at + 3], "little")
        last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        total += size if kind < 2 else ZSTD_BLOCK
        at += 3 + (1 if kind == 1 else size)
    return total


def _blosc(data: bytes, most: int) -> bytes:
    from numcodecs import blosc

    if len(data) < 16 or int.from_bytes(data[12:16], "little") != len(data):
        raise ValueError("its header is not that of so many bytes: cut short?")
    said = int.from_bytes(data[4:8], "little")
    if said > most:
        raise ValueError(f"it says {said} bytes, and {most} are expected")
    return bytes(blosc.decompress(data))


def _lz4(data: bytes, most: int) -> bytes:
    from numcodecs import lz4

    if len(data) < 5 or not 0 < int.from_bytes(data[:4], "little") <= most:
        raise ValueError(f"its header says {int.from_bytes(data[:4], 'little')} bytes, and {most} are expected")
    return bytes(lz4.decompress(data))


def _crc32c(data: bytes, most: int) -> bytes:
    body, said = data[:-4], data[-4:]
    if len(data) < 4 or crc32c(body).to_bytes(4, "little") != said:
        raise ValueError("its checksum is another: damaged")
    return body


def crc32c(data: bytes) -> int:
    """Castagnoli's checksum, by the library that zarr has it from.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    import google_crc32c

    return int(google_crc32c.value(data))


UNPACK: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _inflate,
    "zlib": _inflate,
    "zstd": _zstd,
    "blosc": _blosc,
    "lz4": _lz4,
    "bz2": _bzip2,
    "lzma": _xz,
    "crc32c": _crc32c,
}
