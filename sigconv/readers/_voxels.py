"""Voxels of a file whose header was found true: unpacked, made native numbers and scaled, a few slices at a time."""

from __future__ import annotations

import contextlib
import gzip
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from sigconv import console, files

AT_ONCE = 1 << 24  # bytes decoded at a time
MOST_BYTES = 16 << 30  # of a volume in memory
MOST_FILE = 1 << 44  # of a file
MOST_PACKED = 1032  # times what gzip at its best makes of zeros
MOST_PADDING = 1 << 20  # zeros that may follow a volume

Fail = Callable[[str], Exception]


class Layout(NamedTuple):
    """How a volume lies in its file: shape, the type of one number as stored, the first byte, scaling, colours.

    shape has no axis of colours; channels is "", "RGB" or "RGBA"; values are stored · slope + inter; after is how many
    bytes of any kind may follow; affine and meta are the volume's.
    """

    shape: tuple[int, ...]
    stored: np.dtype
    start: int
    slope: float
    inter: float
    channels: str
    after: int
    affine: np.ndarray
    meta: dict[str, Any]

    @property
    def bytes(self) -> int:
        """Of all voxels as stored."""
        return math.prod(self.shape) * self.stored.itemsize * max(len(self.channels), 1)

    @property
    def axis(self) -> int:
        """The axis that slices come along: the last one longer than 1."""
        return max((axis for axis, n in enumerate(self.shape) if n > 1), default=0)

    @property
    def scaled(self) -> bool:
        """Whether the stored numbers are not yet the values."""
        return not self.channels and (self.slope, self.inter) != (1.0, 0.0)

    @property
    def dtype(self) -> np.dtype:
        """Of the values, in native byte order: the stored type, or float64 (complex128) where it is scaled."""
        return np.result_type(self.stored, np.float64) if self.scaled else self.stored.newbyteorder("=")

    @property
    def size(self) -> tuple[int, ...]:
        """The shape of the values, colours last."""
        return (*self.shape, len(self.channels)) if self.channels else self.shape


def failing(name: str, kind: str) -> Fail:
    """What makes the error of a file, in one line with its name."""
    return lambda why: ValueError(f"{name!r} is not a usable {kind} file: {why}")


@contextlib.contextmanager
def opened(path: str, fail: Fail) -> Iterator[tuple[Any, int]]:
    """A file's content, unpacked where it is packed, and the most bytes that can be; damage is told by fail."""
    size = files.size_of(path, MOST_FILE)
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            yield (gzip.GzipFile(fileobj=file), size * MOST_PACKED) if packed else (file, size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise fail(f"it cannot be unpacked: {console.one_line(error)}") from None


def check(layout: Layout, most: int, fail: Fail) -> Layout:
    """The same layout, once a file of so many bytes can hold it."""
    end = layout.start + layout.bytes
    if end > most:
        raise fail(f"truncated: its header says {end} bytes, and the most it can hold is {most}")
    return layout


def whole(path: str, layout: Layout, fail: Fail) -> np.ndarray:
    """All values, in C order: room is taken at once, and filled as the voxels come."""
    wanted = math.prod(layout.size) * layout.dtype.itemsize
    if wanted > MOST_BYTES:
        raise fail(f"its values take {wanted} bytes, and the most read at once is {MOST_BYTES}: take slices")
    try:
        answer = np.empty(layout.size, layout.dtype)
    except MemoryError:
        raise fail(f"its values take {wanted} bytes, more than there is room for: take slices") from None
    at, before = 0, (slice(None),) * layout.axis
    for block in slices(path, layout, None, fail):
        after = at + block.shape[layout.axis]
        answer[(*before, slice(at, after))] = block
        at = after
    return answer


def slices(path: str, layout: Layout, count: int | None, fail: Fail) -> Iterator[np.ndarray]:
    """The values, so many slices at a time (None: some megabytes); before the last the file is read to its end."""
    long = layout.shape[layout.axis]
    row = layout.bytes // long
    most = count or max(AT_ONCE // row, 1)
    with opened(path, fail) as (stream, _):
        have = _passed(stream, layout.start)
        for at in range(0, long, most):
            n = min(most, long - at)
            block, more = _block(stream, layout, n, fail)
            have += more
            if block is None:
                raise fail(f"truncated: its header says {layout.start + layout.bytes} bytes, it has {have}")
            if at + n == long:  # the last are not handed out of a file that turns out damaged behind them
                to_the_end(stream, layout, fail)
            yield block


def _block(stream: Any, layout: Layout, n: int, fail: Fail) -> tuple[np.ndarray | None, int]:
    """The next slices, or None where the file ends before, and how many bytes there were."""
    size = layout.bytes // layout.shape[layout.axis] * n
    try:
        data = taken(stream, size)
        return decoded(data, layout, n) if len(data) == size else None, len(data)
    except MemoryError:
        values = size // layout.stored.itemsize * layout.dtype.itemsize
        why = fail(f"{n} of its slices take {values} bytes, more than there is room for")
        raise files.PassingError(str(why)) from None


def decoded(data: Any, layout: Layout, n: int) -> np.ndarray:
    """The values of so many slices."""
    shape = (*layout.shape[: layout.axis], n, *layout.shape[layout.axis + 1 :])
    raw = np.frombuffer(data, layout.stored)
    if layout.channels:  # a voxel's colours lie side by side
        return np.moveaxis(raw.reshape((len(layout.channels), *shape), order="F"), 0, -1)
    raw = raw.reshape(shape, order="F")
    if not layout.scaled:
        return raw.astype(layout.dtype, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        values = raw.astype(layout.dtype) * layout.slope if layout.slope != 1 else raw.astype(layout.dtype)
        return values + layout.inter if layout.inter else values


def _passed(stream: Any, count: int) -> int:
    """How many of so many bytes there were to pass over."""
    left = count
    while left and (block := stream.read(min(left, 1 << 20))):
        left -= len(block)
    return count - left


def taken(stream: Any, count: int) -> memoryview:
    """So many bytes, or what there is: room for many is claimed from the system, and touched only as they come."""
    room = np.empty(count, np.uint8).data
    have = 0
    while have < count and (n := stream.readinto(room[have : have + AT_ONCE])):
        have += n
    return room[:have]


def to_the_end(stream: Any, layout: Layout, fail: Fail) -> None:
    """What follows the voxels: as much of anything as the format allows, else zeros. gzip keeps its checksum there."""
    left = layout.after or MOST_PADDING
    while block := stream.read(1 << 16):
        left -= len(block)
        if left < 0:
            raise fail(f"more than {layout.after or MOST_PADDING} bytes follow its voxels")
        if not layout.after and any(block):
            raise fail(f"more follows its voxels, {layout.shape} of {layout.stored}, than its header tells")
