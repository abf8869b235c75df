"""NumPy's .npy files: a header that is checked against the file, then plain numbers; never a pickle."""

from __future__ import annotations

import io
import math
import os
from typing import Any, Literal, NamedTuple

import numpy as np

from sigconv import console, files

MOST_BYTES = 1 << 40  # mapped files may be large
MOST_READ = 16 << 30  # of an array in memory


def read(path: Any, *, mmap: bool = False) -> np.ndarray:
    """The array in a .npy file, of its own shape and dtype; mmap leaves it on disk, read-only.

    ValueError for what is no .npy file, for Python objects, for a header that promises more than the file has, and for
    more than 16 GiB, or than there is room for, without mmap; OSError where it cannot be read. All name the file.
    """
    name = os.fspath(path)
    held = files.size_of(name, MOST_BYTES)
    with open(name, "rb") as file:
        array = described(file, repr(name), held)
        if mmap and array.bytes:
            return np.memmap(name, array.dtype, mode="r", offset=file.tell(), shape=array.shape, order=array.order)
        if array.bytes > MOST_READ:
            raise ValueError(f"{name!r} takes {array.bytes} bytes, and {MOST_READ} are read at once: mmap=True")
        try:
            values = np.fromfile(file, array.dtype, math.prod(array.shape))
        except MemoryError:
            why = f"{name!r} takes {array.bytes} bytes, more than there is room for: mmap=True"
            raise files.PassingError(why) from None
    return values.reshape(array.shape, order=array.order)


class Described(NamedTuple):
    """An array as its header has it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    order: Literal["F", "C"]

    @property
    def bytes(self) -> int:
        """How many follow the header."""
        return math.prod(self.shape) * self.dtype.itemsize


def header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """What a .npy file of such an array, in C order, begins with.

    >>> len(header((3, 4), np.dtype("float32"))), header((3, 4), np.dtype("float32"))[:6]
    (128, b'\\x93NUMPY')
    """
    head = io.BytesIO()
    told: Any = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, told)
    return head.getvalue()


def described(file: Any, name: str, held: int) -> Described:
    """The header that a stream of so many bytes begins with, once it is one of plain numbers that fit into them."""
    try:
        version = np.lib.format.read_magic(file)
        reads = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reads(file)
    except Exception as error:  # NumPy reads the header as Python, and fails as Python does
        raise ValueError(f"{name} is not a .npy file: {console.one_line(error, 120)}") from None
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which are not read: save it as numbers")
    if dtype.kind not in "biufc" or dtype.shape:
        raise ValueError(f"{name} holds {dtype}, and not plain numbers")
    if not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        raise ValueError(f"{name} is not a .npy file: no array has the shape {shape}")
    found = Described(shape, dtype, "F" if fortran else "C")
    has = held - file.tell()
    if found.bytes > has:
        raise ValueError(f"{name} promises {found.bytes} bytes {shape} of {dtype} and has {has}: cut short?")
    return found
