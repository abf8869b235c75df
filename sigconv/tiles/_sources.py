"""What is tiled: arrays of any kind, and files, seen as (channels, *space), read box by box."""

from __future__ import annotations

import hashlib
import itertools
import math
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv.readers import npy
from sigconv.tiles import _scans

Box = tuple[slice, ...]
AT_ONCE = 1 << 24  # bytes that are read at a time for a digest
SCANS = (".nii", ".nii.gz", ".mgz", ".mgh", ".mgh.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")


class Source:
    """An array with its channels first; one without channels is given one.

    shape (channels, *space), dtype torch's of the values, kind "array" "tensor" "dask" "path", order the axes of space,
    slowest first, in which it is best read, place what else is known of it (affine, like: of a scan), paths its files.
    """

    def __init__(self, values: Any, ndim: int, kind: str, paths: Sequence[str] = (), place: Any = None) -> None:
        self.values, self.kind, self.paths, self.place = values, kind, list(paths), place or {}
        self.order: tuple[int, ...] | None = getattr(values, "slowest", None)
        self.bare = values.ndim == ndim
        if values.ndim not in (ndim, ndim + 1):
            raise ValueError(
                f"source has shape {tuple(values.shape)}: expected {ndim} axes of space, or channels and these"
            )
        self.shape: tuple[int, ...] = (1, *values.shape) if self.bare else tuple(values.shape)
        self.dtype = values.dtype if isinstance(values, Tensor) else plain(values.dtype)

    def bytes_beside(self, region: Sequence[int]) -> int:
        """Bytes that the source holds beside a region of space of these sizes, when it has been read."""
        told = getattr(self.values, "bytes_beside", None)
        return 0 if told is None else told(region)

    @property
    def space(self) -> tuple[int, ...]:
        """Samples along each axis of space."""
        return self.shape[1:]

    def part(self, box: Box) -> Any:
        """A box of space with all channels, of the source's own kind, nothing read yet where it can be put off."""
        return self.values[box] if self.bare else self.values[(slice(None), *box)]

    def read(self, box: Box) -> Any:
        """The values of a box, a tensor or a NumPy array of (channels, *box)."""
        return self.settled(self.part(box))

    def settled(self, part: Any) -> Any:
        """A part's values, once they are read."""
        found = part.detach() if isinstance(part, Tensor) else np.asarray(part)
        return found[None] if self.bare else found

    def passed(self) -> None:
        """Pages of a mapped file that were read are given back: they would count as this process' memory."""
        released(self.values)

    def digest(self) -> str:
        """SHA-256 of the files, or of the values in C order; of a dask array its token."""
        found = hashlib.sha256()
        if self.kind == "dask":
            return f"dask {self.values.name}"
        if self.paths:
            for path in self.paths:
                _fed(found, Path(path))
            return found.hexdigest()
        found.update(f"{self.dtype}{tuple(self.values.shape)}".encode())
        for index in _pieces(tuple(self.values.shape), self.values.dtype.itemsize):
            part = self.values[index]
            part = part.detach().cpu().resolve_conj().resolve_neg() if isinstance(part, Tensor) else part
            raw = part.contiguous().view(torch.uint8).numpy() if isinstance(part, Tensor) else np.asarray(part)
            found.update(np.ascontiguousarray(raw).data)
            self.passed()
        return found.hexdigest()


def _pieces(shape: tuple[int, ...], itemsize: int) -> Iterator[tuple[Any, ...]]:
    """Indices of parts of an array that are its values in C order, none of many bytes.

    >>> list(_pieces((2, 5000, 1000), 4))
    [(0, slice(0, 4194, None)), (0, slice(4194, 5000, None)), (1, slice(0, 4194, None)), (1, slice(4194, 5000, None))]
    """
    if 0 in shape:
        return
    sizes = [itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    axis = next((axis for axis, size in enumerate(sizes) if size <= AT_ONCE), len(shape) - 1)
    rows = max(AT_ONCE // sizes[axis], 1)
    for outer in itertools.product(*map(range, shape[:axis])):
        for first in range(0, shape[axis], rows):
            yield (*outer, slice(first, min(first + rows, shape[axis])))


def opened(source: Any, ndim: int | None) -> Source:
    """A source by what it is: ndim axes of space; None: all axes but the first, which is channels."""
    if isinstance(source, str | os.PathLike):
        return _file(os.fspath(source), ndim)
    kind = "tensor" if isinstance(source, Tensor) else "array"
    if not all(hasattr(source, name) for name in ("shape", "dtype", "ndim", "__getitem__")):
        raise TypeError(f"source is a {type(source).__name__}: expected an array, a tensor, or the path of a file")
    if type(source).__module__.split(".")[0] == "dask":
        kind = "dask"
    if isinstance(source, np.ma.MaskedArray):
        raise TypeError("source is a masked array, and a bank has no place for its mask: fill it first")
    return Source(source, source.ndim - 1 if ndim is None else ndim, kind)


def _file(path: str, ndim: int | None) -> Source:
    """By the ending of its name."""
    name = path.lower()
    paths = [path]
    if name.endswith(SCANS):
        values: Any = _scans.Scan(path, ndim)
        place: dict[str, Any] = {**values.attrs, "like": values.header}
        ndim, paths = values.space, values.files
    elif name.endswith(".npy"):
        values, place = npy.read(path, mmap=True), {}
    elif os.path.isdir(path) or ".zarr" in name:
        from sigconv.readers import zarr

        values = zarr.open(path)
        known = ("axes", "fs", "affine")
        place = {key: values.attrs[key] for key in known if key in values.attrs}
    else:
        raise ValueError(f"source {path!r} is none that is tiled: expected .npy, .zarr or a scan, or an array")
    return Source(values, values.ndim - 1 if ndim is None else ndim, "path", paths, place)


def plain(dtype: Any) -> torch.dtype:
    """A NumPy dtype that a bank sums in: integers as floats that hold them, as far as there are such."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "biufc" or dtype.itemsize > (16 if dtype.kind == "c" else 8):
        raise TypeError(f"source is {dtype}: expected numbers of at most 64 bits")
    wide = np.result_type(dtype, np.float32) if dtype.kind in "biu" else dtype.newbyteorder("=")
    return getattr(torch, str(np.dtype(wide)))


def released(values: Any) -> None:
    """Give back the pages of a mapped file; the file keeps what was written."""
    mapped = getattr(values, "_mmap", None)
    if isinstance(mapped, mmap.mmap) and getattr(values, "mode", "") in ("r", "r+", "w+"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _fed(found: Any, path: Path) -> None:
    """A file's bytes, or a folder's: names and contents, sorted."""
    if path.is_dir():
        from sigconv.readers import zarr

        found.update(zarr.digest(path).encode())
        return
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
