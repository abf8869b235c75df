"""Where answers go: an array in memory, a .npy file, a scan. (zarr: _zarr.py.)

A file is written beside its place and renamed when all is done; what is mapped is given back as it is written.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import files
from sigconv.readers import _affines, _nifti_out, nifti, npy
from sigconv.tiles._sources import released

Place = tuple[slice, ...]  # of channels and positions
AT_ONCE = 1 << 25  # bytes written to a mapped file before its pages are given back


def kind_of(out: Any) -> str:
    """How an out is written, by its ending: "npy", "scan" or "zarr"; "array" where it is one, or none was named.

    >>> kind_of("A.NPY"), kind_of("b.nii.gz"), kind_of("c"), kind_of(None)
    ('npy', 'scan', 'zarr', 'array')
    """
    if not isinstance(out, str | os.PathLike):
        if out is not None and not hasattr(out, "shape"):
            raise TypeError(f"out is a {type(out).__name__}: expected a path, or an array that is filled")
        return "array"
    name = os.fspath(out).lower()
    if not name:
        raise ValueError(f"out {out!r} is no name of a file: expected one that ends in .zarr, .npy, .nii or .nii.gz")
    if name.endswith((".nii", ".nii.gz")):
        return "scan"
    return "npy" if name.endswith(".npy") else "zarr"


class Memory:
    """A tensor or NumPy array that is filled, and is the answer; or one of the user's own that can be set by slices."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def write(self, place: Place, y: Tensor) -> None:
        """Some channels of some positions; what the array's dtype does not hold becomes infinite."""
        with np.errstate(over="ignore"):
            self.values[place] = y if isinstance(self.values, Tensor) else array(y)

    def written(self, tile: Any) -> None:
        """All of a tile is."""

    def finished(self) -> Any:
        """The answer, once all is written."""
        return self.values

    def given_up(self) -> None:
        """What was begun is of no use."""


class Mapped(Memory):
    """A file in the making, of a header and then numbers, mapped; renamed when it is done."""

    def __init__(self, path: str, shape: Sequence[int], dtype: torch.dtype, header: bytes, order: Any) -> None:
        files.replaceable(path)
        self.path = Path(os.path.realpath(path))
        self.temporary = begun(self.path)
        kind = numpy_of(dtype)
        try:
            with open(self.temporary, "wb") as file:
                file.write(header)
                room = int(np.prod(shape, dtype=object)) * kind.itemsize
                if room and hasattr(os, "posix_fallocate"):  # a full disk is told now, and not by a signal later
                    os.posix_fallocate(file.fileno(), len(header), room)
                file.truncate(len(header) + room)
            empty = 0 in shape
            given: dict[str, Any] = {"mode": "r+", "offset": len(header), "shape": tuple(shape), "order": order}
            super().__init__(np.zeros(shape, kind) if empty else np.memmap(self.temporary, kind, **given))
        except BaseException as error:
            self.given_up()
            if isinstance(error, OSError) and error.errno is not None:
                raise OSError(error.errno, f"{os.strerror(error.errno)}: {room} bytes are wanted", path) from None
            raise

    def write(self, place: Place, y: Tensor) -> None:
        """A channel after the other: rows of a crop lie on many pages, which are this process' memory meanwhile."""
        first, touched = place[0].start or 0, 0
        target = self.laid()
        for channel, values in enumerate(y, start=first):
            at: Any = (channel, *place[1:])
            target[at] = array(values)
            touched += values.numel() * values.element_size() * 8
            if touched > AT_ONCE:
                released(self.values)
                touched = 0
        released(self.values)

    def laid(self) -> np.ndarray:
        """The values as (channels, *positions)."""
        return self.values

    def finished(self) -> str:
        """The path, once the file is there."""
        self._synced()
        self._placed(self.temporary)
        return str(self.path)

    def _synced(self) -> None:
        if isinstance(self.values, np.memmap):
            self.values.flush()
        files.synced([str(self.temporary)])

    def _placed(self, file: Path) -> None:
        os.chmod(file, 0o666 & ~files._umask())
        os.replace(file, self.path)
        ended(self.temporary)
        files.sync_folder(self.path.parent)

    def given_up(self) -> None:
        """No half-written file stays."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.temporary)
        ended(self.temporary)


class Npy(Mapped):
    """A .npy file of (channels, *positions)."""

    def __init__(self, path: str, shape: Sequence[int], dtype: torch.dtype) -> None:
        super().__init__(path, shape, dtype, npy.header(tuple(shape), numpy_of(dtype)), "C")


class Scan(Mapped):
    """A NIfTI file: space first, channels last; packed at the end where its name says so, the same bytes always."""

    def __init__(self, path: str, shape: Sequence[int], dtype: torch.dtype, place: dict[str, Any], stride: Any) -> None:
        if place.get("affine") is None:
            raise ValueError(f"out {path!r} is a scan, and the source has no affine: write .zarr or .npy")
        kind = numpy_of(dtype)
        kind = np.dtype(np.float32) if kind == np.float16 else kind
        self.shape = tuple(shape)
        affine, like = _affines.strided(place["affine"], stride), place.get("like")
        seen = _nifti_out.channels_last(np.broadcast_to(np.zeros((), kind), self.shape), path)
        like = _nifti_out.unnamed(like, seen.ndim) or nifti.Volume(seen, affine, {})
        steps = _steps(like, seen.ndim - 1, stride)
        header = _nifti_out.header(seen, affine, _nifti_out.further(seen.ndim - 1, like, steps, path), "", like)
        super().__init__(path, seen.shape, getattr(torch, str(kind)), header, "F")

    def laid(self) -> np.ndarray:
        """The file's axes as (channels, *positions)."""
        return np.moveaxis(self.values, -1, 0).reshape(self.shape)

    def finished(self) -> str:
        """The path, once the file is there."""
        if not self.path.name.lower().endswith(".gz"):
            return super().finished()
        self._synced()
        with (
            files.writing(self.path) as file,
            gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
            open(self.temporary, "rb") as plain,
        ):
            while block := plain.read(1 << 20):
                packed.write(block)
        self.given_up()
        return str(self.path)


def _steps(like: Any, space: int, stride: Any) -> tuple[float, ...] | None:
    """The spacings past the third axis, times the stride."""
    known = tuple(like.meta.get("spacing", ()))[3:space]
    if len(known) != max(space - 3, 0):
        return None
    return tuple(step * s for step, s in zip(known, tuple(stride)[3:], strict=True))


_under_way: set[str] = set()  # temporary names of this process, by which its own are told from an earlier one's
_one_at_a_time = threading.Lock()


def begun(path: Path, folder: bool = False) -> Path:
    """A new file, or folder, beside a path, in which it comes into being; what processes left that are no more goes.

    Its name has a mark of the path's, then a number of this host and process.
    """
    mark = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}."
    given: Any = {"prefix": f"{mark}{_host() << 32 | os.getpid()}.", "suffix": ".tmp", "dir": path.parent}
    with _one_at_a_time:
        for left in path.parent.glob(f"{mark}*.tmp"):
            if not _wanted(left, left.name[len(mark) :].partition(".")[0]):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        if folder:
            name = tempfile.mkdtemp(**given)
        else:
            handle, name = tempfile.mkstemp(**given)
            os.close(handle)
        _under_way.add(name)
    return Path(name)


def ended(temporary: Path) -> None:
    """A temporary name is no more, or nobody's."""
    _under_way.discard(str(temporary))


def _wanted(left: Path, owner: str) -> bool:
    """Whether somebody is, or may be, at it: of processes of other hosts nothing is known."""
    if not owner.isdigit():
        return False
    host, process = divmod(int(owner), 1 << 32)
    if host not in (0, _host()):
        return True
    return str(left) in _under_way if process == os.getpid() else _alive(process)


def _host() -> int:
    return int(hashlib.sha256(os.fsencode(socket.gethostname())).hexdigest()[:8], 16)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def numpy_of(dtype: torch.dtype) -> np.dtype:
    """NumPy's word for a dtype; bfloat16, which it has none for, is written as float32.

    >>> numpy_of(torch.complex64)
    dtype('complex64')
    """
    return np.dtype("float32" if dtype is torch.bfloat16 else str(dtype).removeprefix("torch."))


def array(y: Tensor) -> np.ndarray:
    """A tensor's values."""
    y = y.detach().cpu().resolve_conj().resolve_neg()
    return (y.float() if y.dtype is torch.bfloat16 else y).numpy()
