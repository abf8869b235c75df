"""NumPy's .npz files: a zip archive of .npy files, each read whole or left where it is; never a pickle."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from typing import Any

import numpy as np

from sigconv import console, files
from sigconv.readers import _voxels, archive, npy

MOST_BYTES = 16 << 30  # of all arrays that are asked for
MOST_ARRAYS = 10_000
PACKED = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: _voxels.MOST_PACKED}  # times its bytes a member has at most
SLACK = 1 << 10  # and bytes more, of one that is all header; NumPy packs in no other way


def read(path: Any, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by their names, all or those named, each of its own shape and dtype.

    Every size is held against the cap and what the archive's bytes could hold at best; memory is filled as bytes come,
    and every checksum is read. ValueError for what is no .npz file, is damaged, holds Python objects or lacks a name
    that is asked for; OSError where it cannot be read. Both name the file.

    >>> import tempfile
    >>> place = os.path.join(tempfile.mkdtemp(), "a.npz")
    >>> np.savez_compressed(place, x=np.arange(3), y=np.ones((2, 2)))
    >>> {name: array.shape for name, array in read(place, ["y"]).items()}
    {'y': (2, 2)}
    """
    name = os.fspath(path)
    size = files.size_of(name, npy.MOST_BYTES)
    try:
        with open(name, "rb") as file, _listed(file) as packed:
            there = {one.filename.removesuffix(".npy"): one for one in packed.infolist()[: MOST_ARRAYS + 1]}
            if len(there) > MOST_ARRAYS:
                raise ValueError(f"it has more than {MOST_ARRAYS} arrays")
            wanted = list(there) if names is None else list(names)
            for one in wanted:
                if one not in there:
                    raise ValueError(f"it has no array {one!r}, but {', '.join(sorted(there)[:12]) or 'none'}")
            room = sum(there[one].file_size for one in wanted)
            if room > MOST_BYTES:
                raise ValueError(f"its arrays take {room} bytes: more than the {MOST_BYTES} read at once")
            return {one: _array(packed, there[one], f"array {one!r}", size) for one in wanted}
    except archive.DAMAGE as error:
        raise ValueError(f"{name!r} is not a usable .npz file: {console.one_line(error, 400)}") from None


def _listed(file: Any) -> zipfile.ZipFile:
    archive.listed(file)
    return zipfile.ZipFile(file)


def _array(packed: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, size: int) -> np.ndarray:
    """One member of an archive of so many bytes, read to its checksum."""
    held = min(member.compress_size, size)  # the directory may lie, the file system does not
    times = PACKED.get(member.compress_type)
    if times is not None and member.file_size > (most := held * times + SLACK):
        raise ValueError(f"{name} claims {member.file_size} bytes, and {held} packed ones hold {most} at most")
    with packed.open(member) as file:
        found = npy.described(file, name, member.file_size)
        try:
            values = _voxels.taken(file, found.bytes)
        except MemoryError:
            raise ValueError(f"{name} takes {found.bytes} bytes, more than there is room for") from None
        if len(values) < found.bytes:
            raise ValueError(f"{name} promises {found.bytes} bytes and has {len(values)}: cut short?")
        file.read(1)  # at the end the checksum is compared
    return np.frombuffer(values, found.dtype).reshape(found.shape, order=found.order)
