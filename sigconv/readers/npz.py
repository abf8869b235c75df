"""NumPy's .npz files: a zip archive of .npy files, each read whole or left where it is; never a pickle."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from typing import Any

import numpy as np

from sigconv import files
from sigconv.readers import archive, npy

MOST_BYTES = 16 << 30  # of all arrays that are asked for
MOST_ARRAYS = 10_000


def read(path: Any, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by their names, all or those named, each of its own shape and dtype.

    Every size is held against the archive's and the cap before memory is taken, every checksum is read. ValueError for
    what is no .npz file, is damaged, holds Python objects or lacks a name that is asked for; OSError where it cannot be
    read. Both name the file.

    >>> import tempfile
    >>> place = os.path.join(tempfile.mkdtemp(), "a.npz")
    >>> np.savez_compressed(place, x=np.arange(3), y=np.ones((2, 2)))
    >>> {name: array.shape for name, array in read(place, ["y"]).items()}
    {'y': (2, 2)}
    """
    name = os.fspath(path)
    files.size_of(name, npy.MOST_BYTES)
    try:
        with zipfile.ZipFile(name) as packed:
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
            return {one: _array(packed, there[one], f"array {one!r}") for one in wanted}
    except archive.DAMAGE as error:
        raise ValueError(f"{name!r} is not a usable .npz file: {' '.join(str(error).split())}") from None


def _array(packed: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> np.ndarray:
    """One member, read to its checksum."""
    with packed.open(member) as file:
        found = npy.described(file, name, member.file_size)
        values = bytearray(found.bytes)
        view, got = memoryview(values), 0
        while got < len(values):
            part = file.read(min(1 << 24, len(values) - got))
            if not part:
                raise ValueError(f"{name} promises {found.bytes} bytes and has {got}: cut short?")
            view[got : got + len(part)] = part
            got += len(part)
        file.read(1)  # at the end the checksum is compared
    return np.frombuffer(values, found.dtype).reshape(found.shape, order=found.order)
