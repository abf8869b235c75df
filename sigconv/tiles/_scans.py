"""Scans through slices: mapped where the file is not packed, else a window of slices that slides along the file.

A packed run, whose slices are whole volumes in time, is unpacked to a file without a name that is mapped: a box of
space has all of time.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sigconv import files
from sigconv.readers import _doors, _voxels, nifti


class Scan:
    """A scan's values by boxes, as readers.nifti has them, but of float32 where integers are scaled.

    Axes past those of space (time, colours) are channels, which come first. Read with its slices in order, a packed
    file is unpacked once: a run (space and time) to the folder for temporary files, which must have room for it.
    """

    def __init__(self, path: str, ndim: int | None) -> None:
        self.path = path
        found = _doors.found(path)
        self.header, self._layout, self._fail = nifti.header(path), found.layout, found.fail
        self.files = sorted({path, found.voxels})
        whole = self.header.shape
        space = min(len(whole), 3) if ndim is None else ndim
        while len(whole) > space and whole[-1] == 1:
            whole = whole[:-1]
        if len(whole) not in (space, space + 1):
            raise ValueError(
                f"{path!r} has shape {self.header.shape}: expected {space} axes of space, or channels last"
            )
        self.space = space
        self._last = len(whole) > space  # whether channels are, in the file
        self._whole = whole
        self.shape = (whole[-1], *whole[:-1]) if self._last else whole
        self.ndim = len(self.shape)
        self.dtype = (
            np.dtype(np.float32) if self._layout.scaled and self._layout.stored.kind in "iu" else self.header.dtype
        )
        self._mapped = self._map(found.voxels)
        self._slides = _Slides(path, self.header.axis)
        self._run = self._mapped is None and self._last and self.header.axis == space
        self._values: np.memmap | None = None  # of a run, unpacked
        self.attrs = {"affine": self.header.affine.tolist(), "fs": list(nifti.rates(self.header))[:space]}

    def _map(self, voxels: str) -> np.memmap | None:
        """The voxels as they lie in a file that is not packed."""
        layout = self._layout
        with open(voxels, "rb") as file:
            if file.read(2) == b"\x1f\x8b" or layout.channels:
                return None
            file.seek(layout.start + layout.bytes)
            _voxels.to_the_end(file, layout, self._fail)
        return np.memmap(voxels, layout.stored, mode="r", offset=layout.start, shape=layout.shape, order="F")

    @property
    def slowest(self) -> tuple[int, ...]:
        """The axes of space, slowest first: slices come along the file's last one."""
        return tuple(reversed(range(self.space)))

    def __getitem__(self, box: Any) -> np.ndarray:
        """The values of slices along every axis, channels first."""
        box = (*box[1:], box[0]) if self._last else tuple(box)
        box = (*box, *[slice(None)] * (len(self.header.shape) - len(box)))
        values = self._decoded(self._mapped[box]) if self._mapped is not None else self._unpacked()[box]
        values = values.reshape(values.shape[: len(self._whole)]) if values.ndim > len(self._whole) else values
        return np.moveaxis(values, -1, 0) if self._last else values

    def bytes_beside(self, region: Sequence[int]) -> int:
        """Bytes that are held beside a region of space of these sizes, when it has been read."""
        if self._mapped is not None:
            return 0
        axis, long = self.header.axis, max(self.header.shape[self.header.axis], 1)
        one = math.prod(self.header.shape) // long * self.header.dtype.itemsize
        stored = max(self._layout.bytes // long, 1)
        block = 2 * min(max(_voxels.AT_ONCE // stored, 1), long) * one
        return block if self._run else block + min(region[axis], long) * one

    def _unpacked(self) -> Any:
        """The values of a packed file, by boxes."""
        if not self._run:
            return self._slides
        if self._values is None:
            self._roomy()
            with tempfile.TemporaryFile() as file:
                for block in nifti.slices(self.path):
                    file.write(np.ascontiguousarray(block.T).data)
                file.flush()
                self._values = np.memmap(file, self.header.dtype, mode="r", shape=self.header.shape, order="F")
        return self._values

    def _roomy(self) -> None:
        """PassingError where the folder for temporary files has no room for the values of a run."""
        size, place = math.prod(self.header.shape) * self.header.dtype.itemsize, tempfile.gettempdir()
        free = shutil.disk_usage(place).free
        if size > free:
            raise files.PassingError(
                f"{self.path!r} takes {size} bytes when it is unpacked, and {free} are free in {place!r}: point TMPDIR "
                "to a folder with more room"
            )

    def _decoded(self, stored: np.ndarray) -> np.ndarray:
        """The values that stored numbers stand for, as the reader makes them."""
        layout = self._layout
        if not layout.scaled:
            return stored
        with np.errstate(over="ignore", invalid="ignore"):
            values = stored.astype(layout.dtype) * layout.slope if layout.slope != 1 else stored.astype(layout.dtype)
            return values + layout.inter if layout.inter else values

    @property
    def _mmap(self) -> Any:
        return getattr(self._values if self._mapped is None else self._mapped, "_mmap", None)

    mode = "r"


class _Slides:
    """Slices of a packed file, from the first still wanted to the last read; going back begins the file anew."""

    def __init__(self, path: str, axis: int) -> None:
        self.path, self.axis = path, axis
        self._begin()

    def _begin(self) -> None:
        self._stream: Iterator[np.ndarray] = nifti.slices(self.path)
        self._held: list[np.ndarray] = []
        self._first = self._next = 0  # slices: the first held, the first not read

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        wanted = box[self.axis]
        start, stop = wanted.start or 0, wanted.stop
        if start < self._first:
            self._begin()
        while stop is None or self._next < stop:
            block = next(self._stream, None)
            if block is None:
                break
            self._held.append(block)
            self._next += block.shape[self.axis]
            self._drop(start)
        self._drop(start)
        rest = (*box[: self.axis], slice(None), *box[self.axis + 1 :])
        parts, at = [], self._first
        for block in self._held:
            last = at + block.shape[self.axis]
            if last > start and (stop is None or at < stop):
                own = slice(max(start - at, 0), None if stop is None else stop - at)
                parts.append(block[(*rest[: self.axis], own, *rest[self.axis + 1 :])])
            at = last
        return parts[0] if len(parts) == 1 else np.concatenate(parts, self.axis)

    def _drop(self, start: int) -> None:
        """Forget what lies before the first slice wanted."""
        while self._held and self._first + self._held[0].shape[self.axis] <= start:
            self._first += self._held.pop(0).shape[self.axis]
