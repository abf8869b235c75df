"""Zarr arrays, versions 2 and 3, read-only: metadata are checked first, chunks are read and unpacked when needed.

The rules: an array is a folder of regular files, and no link leads out of it. Numbers are plain ones; codecs are those
of a list (bytes, transpose, sharding_indexed, crc32c, gzip, zlib, zstd, blosc, lz4, bz2, lzma), none of which runs
anything that a file says. A chunk unpacks to its own size or is an error, and takes a gigabyte at the most. A chunk
that is not there is made of the fill value, as the format has it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sigconv import console, files
from sigconv.readers import _zarr_chunks, _zarr_layout
from sigconv.readers._zarr_chunks import Folder

__all__ = ["Array", "digest", "open", "read"]

MOST_METADATA = 1 << 20
MOST_BYTES = 16 << 30  # of an array read whole
LONGEST_TEXT = 1000  # letters of an attribute
MOST_NODES = 10_000  # folders of a group that are looked at
MOST_DEEP = 8
MOST_CHUNKS = 1 << 20  # touched at once
NEW, OLD, GROUP = "zarr.json", ".zarray", ".zgroup"


class Array:
    """A zarr array on disk, of which parts are read: a[2:4, ..., 0] gives NumPy's, in native byte order.

    Whole numbers, slices with steps from 1 on, and ... are understood, as NumPy has them; no more than the chunks they
    touch is read. chunks is the shape of what one file holds, inner that of what is unpacked at a time (they differ for
    shards). Nothing stays open between reads.
    """

    def __init__(self, folder: Folder, layout: _zarr_layout.Layout) -> None:
        self._folder, self._layout = folder, layout
        self.path = folder.name
        self.shape, self.dtype, self.chunks, self.inner = layout.shape, layout.dtype, layout.chunks, layout.inner
        self.attrs, self.fill_value = layout.attrs, layout.fill

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all numbers, unpacked."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"{self.path!r} has no axes, so no length")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Array({self.path!r}, {self.shape}, {self.dtype}, chunks {self.chunks})"

    def __getitem__(self, key: Any) -> Any:
        spans, steps, dropped = _asked(key, self.shape, self.path)
        low, high = tuple(a for a, _ in spans), tuple(b for _, b in spans)
        touched = math.prod(-(-b // n) - a // n for (a, b), n in zip(spans, self.inner, strict=True) if b > a)
        if touched > MOST_CHUNKS:
            raise self._folder.fail(f"{touched} of its chunks {self.inner} are asked for, and {MOST_CHUNKS} are read")
        try:
            whole = _zarr_chunks.taken(self._folder, self._layout, low, high)
        except MemoryError:
            size = math.prod(b - a for a, b in spans) * self.dtype.itemsize
            why = self._folder.fail(f"{size} bytes of it are more than there is room for: take a part")
            raise files.PassingError(str(why)) from None
        return whole[tuple(0 if axis in dropped else slice(None, None, step) for axis, step in enumerate(steps))]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(f"{self.path!r} is on disk: an array of it is a copy")
        return np.asarray(self[...], dtype)


def open(path: str | os.PathLike[str]) -> Array:  # noqa: A001 - zarr's own word, and the readers' for what stays on disk
    """A zarr array, by its folder, or by that of a group that holds one array: sliceable, read-only, nothing loaded.

    An array of a group of several is named with it: "a.zarr/name". Raises OSError where there is no folder, ValueError,
    with the folder's name, where it is no zarr array, or a rule of this module is broken; chunks are looked at when
    they are read. Sources: Zarr core specification 2 and 3.0.

    >>> import tempfile, zarr
    >>> path = f"{tempfile.mkdtemp()}/a.zarr"
    >>> made = zarr.create_array(store=path, shape=(4, 6), chunks=(2, 3), dtype="int16")
    >>> made[:] = np.arange(24).reshape(4, 6)
    >>> opened = open(path)
    >>> opened.shape, opened.dtype, opened[1, ::2]
    ((4, 6), dtype('int16'), array([ 6,  8, 10], dtype=int16))
    """
    folder = Folder.at(path)
    if _is_array(folder):
        return _array(folder)
    if not folder.has(GROUP) and not folder.has(NEW):
        raise folder.fail(f"it has no {NEW}, {OLD} or {GROUP}")
    found = list(_arrays(folder, 0, [0]))
    if len(found) != 1:
        names = sorted(os.path.relpath(one.root, folder.root) for one in found)
        if not names:
            raise folder.fail("it is a group without arrays")
        listed = ", ".join(repr(name) for name in names[:8])
        raise folder.fail(f"it holds {len(names)} arrays, {listed}: name one, {os.path.join(folder.name, names[0])!r}")
    return _array(found[0])


def read(path: str | os.PathLike[str], *, attributes: Sequence[str] | None = None) -> Any:
    """A zarr array whole, in memory: what open(path)[...] gives, of 16 GiB at the most; with attributes a pair of it
    and a dict of those of these names that are plain numbers or short texts. Raises what open does, and ValueError
    where a chunk is damaged or cut short."""
    array = open(path)
    if array.nbytes > MOST_BYTES:
        raise array._folder.fail(f"it takes {array.nbytes} bytes, and {MOST_BYTES} are read at once: open it")
    whole = np.asarray(array[...])
    if attributes is None:
        return whole
    said = {name: array.attrs[name] for name in attributes if name in array.attrs}
    return whole, {name: value for name, value in said.items() if _small(value)}


def _small(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= LONGEST_TEXT)


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a folder: of the names and contents of all files in it, in the order of their names. Raises OSError
    where there is no folder, ValueError for one that holds anything but regular files and folders, by name."""
    folder, total = Folder.at(path), hashlib.sha256()
    for name in sorted(folder.files(), key=os.fsencode):
        with folder.opened(name) as file:
            size = os.fstat(file.fileno()).st_size
            total.update(b"%d %s %d\n" % (len(os.fsencode(name)), os.fsencode(name), size))
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def _is_array(folder: Folder) -> bool:
    """Whether this very folder is an array's."""
    if folder.has(NEW):
        said = _json(folder, NEW)
        if said.get("zarr_format") != 3 or said.get("node_type") not in ("array", "group"):
            raise folder.fail(f"its {NEW} is neither that of an array nor of a group of version 3")
        return said["node_type"] == "array"
    return folder.has(OLD)


def _array(folder: Folder) -> Array:
    if folder.has(NEW):
        return Array(folder, _zarr_layout.newer(_json(folder, NEW), folder.fail))
    said, attrs = _json(folder, OLD), _json(folder, ".zattrs") if folder.has(".zattrs") else {}
    if said.get("zarr_format") != 2:
        raise folder.fail(f"its {OLD} is not of version 2")
    return Array(folder, _zarr_layout.older(said, attrs, folder.fail))


def _arrays(folder: Folder, deep: int, seen: list[int]) -> Iterator[Folder]:
    """The arrays below a group, those of groups in it too."""
    for name in sorted(folder.folders()):
        seen[0] += 1
        if seen[0] > MOST_NODES or deep > MOST_DEEP:
            raise folder.fail(f"it has more than {MOST_NODES} folders, or {MOST_DEEP} in each other: name an array")
        inner = folder.within(name)
        if inner.has(NEW) or inner.has(OLD) or inner.has(GROUP):
            if _is_array(inner):
                yield inner
            else:
                yield from _arrays(inner, deep + 1, seen)


def _json(folder: Folder, name: str) -> dict[str, Any]:
    with folder.opened(name) as file:
        text = file.read(MOST_METADATA + 1)
    if len(text) > MOST_METADATA:
        raise folder.fail(f"its {name} has more than {MOST_METADATA} bytes")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = console.one_line(error, 100) if isinstance(error, ValueError) else "too deep"
        raise folder.fail(f"its {name} is not JSON ({why})") from None
    if not isinstance(said, dict):
        raise folder.fail(f"its {name} is no object")
    return said


def _asked(key: Any, shape: tuple[int, ...], name: str) -> tuple[list[tuple[int, int]], list[int], set[int]]:
    """Of every axis from where to where, by which steps, and which axes are gone."""
    words = list(key) if isinstance(key, tuple) else [key]
    if sum(word is ... for word in words) > 1 or len([word for word in words if word is not ...]) > len(shape):
        raise IndexError(f"{key!r} has more places than {name!r} has axes, {len(shape)}")
    at = next((place for place, word in enumerate(words) if word is ...), len(words))
    words[at : at + 1] = [slice(None)] * (len(shape) - len(words) + (at < len(words)))
    spans, steps, dropped = [], [], set()
    for axis, (word, n) in enumerate(zip(words, shape, strict=True)):
        if isinstance(word, slice):
            start, stop, step = word.indices(n)
            if step < 1:
                raise IndexError(f"step {step} of axis {axis} of {name!r} must be at least 1")
            spans.append((start, max(stop, start)))
            steps.append(step)
            continue
        try:
            place = word.__index__()
        except AttributeError:
            raise IndexError(f"{word!r} for axis {axis} of {name!r} is no whole number, slice or ...") from None
        if not -n <= place < n:
            raise IndexError(f"{place} is not within axis {axis} of {name!r}, of {n}")
        spans.append((place % n, place % n + 1))
        steps.append(1)
        dropped.add(axis)
    return spans, steps, dropped
