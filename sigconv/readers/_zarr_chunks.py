"""The files of a zarr array's chunks: opened within its folder alone, and put together to a part of the array."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from sigconv.readers._zarr_codecs import Chain, Fail, Shard, numbers, unpacked
from sigconv.readers._zarr_layout import Layout

MOST_FILES = 10_000_000  # of a folder whose names are asked for
SLACK = 1 << 20  # bytes that packing may add to a chunk that does not get smaller
NONE = 2**64 - 1  # what an index says of a chunk that is not there

Span = tuple[int, ...]


class Folder(NamedTuple):
    """A folder whose files are opened: name as it was given, root as the system has it, without links."""

    name: str
    root: str

    @staticmethod
    def at(path: str | os.PathLike[str]) -> Folder:
        """The folder of this name; OSError where there is none."""
        name = os.fspath(path)
        if not stat.S_ISDIR(os.stat(name).st_mode):
            raise NotADirectoryError(f"{name!r} is no folder, as a zarr array is")
        return Folder(str(name), os.path.realpath(name))

    def within(self, name: str) -> Folder:
        """A folder in it."""
        return Folder(os.path.join(self.name, name), os.path.join(self.root, name))

    def fail(self, why: str) -> ValueError:
        """The error of this array: one line with its name."""
        return ValueError(f"{self.name!r} is not a usable zarr array: {why}")

    def has(self, name: str) -> bool:
        """Whether there is something of this name."""
        return os.path.lexists(os.path.join(self.root, name))

    def folders(self) -> list[str]:
        """The folders right in it; links are none."""
        with os.scandir(self.root) as found:
            return [one.name for one in found if one.is_dir(follow_symlinks=False)]

    def files(self, below: str = "") -> Iterator[str]:
        """The names of all files in it, from here, whatever depth they lie in."""
        with os.scandir(os.path.join(self.root, below)) as found:
            entries = list(itertools.islice(found, MOST_FILES))
        for one in entries:
            name = os.path.join(below, one.name)
            if one.is_dir(follow_symlinks=False):
                yield from self.files(name)
            elif one.is_file(follow_symlinks=False):
                yield name
            else:
                raise self.fail(f"{name!r} in it is neither a regular file nor a folder")

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """A regular file in it: a pipe is not waited for, and a link that leads out of the folder not followed."""
        place = os.path.realpath(os.path.join(self.root, name))
        if not place.startswith(self.root.rstrip(os.sep) + os.sep):
            raise self.fail(f"{name!r} in it is a link that leads out of it")
        handle = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise self.fail(f"{name!r} in it is not a regular file")
        with os.fdopen(handle, "rb") as file:
            yield file


def taken(folder: Folder, layout: Layout, low: Span, high: Span) -> np.ndarray:
    """The numbers from low to high: chunks that are not there are of the fill value."""

    def chunk(place: Span, start: Span, stop: Span) -> np.ndarray | None:
        try:
            with folder.opened(layout.key(place)) as file:
                return _part(file, layout.chunks, layout, layout.chain, start, stop, folder.fail)
        except (FileNotFoundError, NotADirectoryError):
            return None

    return _gathered(layout, layout.chunks, low, high, chunk)


def _gathered(
    layout: Layout, chunks: Span, low: Span, high: Span, chunk: Callable[[Span, Span, Span], np.ndarray | None]
) -> np.ndarray:
    """What lies from low to high in a grid of chunks, of which chunk(place, start, stop) gives a part, or None."""
    size = [b - a for a, b in zip(low, high, strict=True)]
    plain = layout.fill == 0 and not np.signbit(np.real(layout.fill))  # of zeros the system makes room as it is used
    answer = np.zeros(size, layout.dtype) if plain else np.full(size, layout.fill, layout.dtype)
    if 0 in answer.shape:
        return answer
    rows = [range(a // n, (b - 1) // n + 1) for a, b, n in zip(low, high, chunks, strict=True)]
    for place in itertools.product(*rows):
        first = tuple(max(a, p * n) for a, p, n in zip(low, place, chunks, strict=True))
        after = tuple(min(b, (p + 1) * n) for b, p, n in zip(high, place, chunks, strict=True))
        start = tuple(a - p * n for a, p, n in zip(first, place, chunks, strict=True))
        stop = tuple(b - p * n for b, p, n in zip(after, place, chunks, strict=True))
        found = chunk(place, start, stop)
        if found is not None:
            answer[tuple(slice(a - o, b - o) for a, b, o in zip(first, after, low, strict=True))] = found
    return answer


def _part(file: BinaryIO, shape: Span, layout: Layout, chain: Chain, start: Span, stop: Span, fail: Fail) -> np.ndarray:
    """From start to stop of a chunk, or of a shard, in a file of its own."""
    size = math.prod(shape) * layout.dtype.itemsize
    has = os.fstat(file.fileno()).st_size
    if chain.open and chain.shard:
        window = _Window(lambda at, count: _span(file, at, count), has)
        return _sharded(window, shape, layout, chain.shard, start, stop, fail)
    if has > 2 * size + SLACK:
        raise fail(f"a chunk of {size} bytes takes {has} packed: none is that long")
    return _whole(file.read(has), shape, layout, chain, fail)[_slices(start, stop)]


class _Window(NamedTuple):
    """Bytes of which some are taken: get(at, count), and how many there are."""

    get: Callable[[int, int], bytes]
    size: int


def _span(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _whole(data: bytes, shape: Span, layout: Layout, chain: Chain, fail: Fail) -> np.ndarray:
    """All of a chunk, or of a shard that is packed or turned itself."""
    if chain.shard is None:
        return numbers(data, shape, layout.dtype, chain, fail)
    size = math.prod(shape) * layout.dtype.itemsize
    index = 16 * (math.prod(shape) // math.prod(chain.shard.chunks)) + 4
    if chain.packers:
        data = unpacked(data, chain.packers, 2 * size + index + SLACK, fail)
    lying = tuple(shape[axis] for axis in chain.axes) or shape
    window = _Window(lambda at, count: data[at : at + count], len(data))
    found = _sharded(window, lying, layout, chain.shard, (0,) * len(lying), lying, fail)
    return found.transpose(np.argsort(chain.axes)) if chain.axes else found


def _sharded(
    window: _Window, shape: Span, layout: Layout, shard: Shard, start: Span, stop: Span, fail: Fail
) -> np.ndarray:
    """From start to stop of a shard: its index first, then the chunks within that are needed."""
    grid = tuple(n // k for n, k in zip(shape, shard.chunks, strict=True))
    length = 16 * math.prod(grid) + 4 * len(shard.table.packers)
    if window.size < length:
        raise fail(f"a shard has {window.size} bytes, and its index takes {length}: cut short?")
    data = window.get(window.size - length if shard.at_end else 0, length)
    index = numbers(data, (*grid, 2), np.dtype("uint64"), shard.table, fail)
    size = math.prod(shard.chunks) * layout.dtype.itemsize

    def chunk(place: Span, first: Span, last: Span) -> np.ndarray | None:
        at, count = (int(n) for n in index[place])
        if at == count == NONE:
            return None
        if at + count > window.size:
            raise fail(f"a shard has {window.size} bytes, and a chunk in it should end at {at + count}: cut short?")
        inner = shard.chain
        if inner.open and inner.shard:
            view = _Window(lambda begin, many: window.get(at + begin, min(many, count - begin)), count)
            return _sharded(view, shard.chunks, layout, inner.shard, first, last, fail)
        if count > 2 * size + SLACK:
            raise fail(f"a chunk of {size} bytes takes {count} packed: none is that long")
        return _whole(window.get(at, count), shard.chunks, layout, inner, fail)[_slices(first, last)]

    return _gathered(layout, shard.chunks, start, stop, chunk)


def _slices(start: Span, stop: Span) -> Any:
    return tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
