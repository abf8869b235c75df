"""NIfTI: volumes with their place in space; the header is measured against the file before anything is unpacked."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np

from sigconv import files

MOST_BYTES = 16 << 30  # of a volume, unpacked
MOST_PACKED = 1032  # times what gzip at its best makes of zeros
HEADERS = {348: "i", 540: "q"}  # bytes of a header, version 1 and 2: the kind of its numbers


class Volume(NamedTuple):
    """A volume as it lies on disk: data (*space, …), affine (4, 4) from indices to mm, meta what else its header says.

    meta: spacing (mm, s, … per axis), units, dtype (stored), version, description.
    """

    data: np.ndarray
    affine: np.ndarray
    meta: dict[str, Any]


class Header(NamedTuple):
    """What a file says of itself, once its sizes were found possible."""

    shape: tuple[int, ...]
    start: int
    bytes: int
    version: int


def read(path: str | os.PathLike[str]) -> Volume:
    """A NIfTI file, .nii or .nii.gz, version 1 or 2: Volume(data, affine, meta).

    data has the type it is stored in, or float64 where the header scales it, the axes in the file's order. Values that
    are NaN or infinite are kept: masks are written so. Raises OSError where there is no regular file, ValueError, with
    the file's name, where it is empty, truncated, damaged, of a kind this cannot hold, or lies about its size.
    """
    name = os.fspath(path)
    size = files.size_of(path)
    fail = lambda why: ValueError(f"{name!r} is not a usable NIfTI file: {why}")
    if size == 0:
        raise fail("it is empty")
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream: Any = gzip.GzipFile(fileobj=file) if packed else file
            head = stream.read(540)
            header = check(head, size * MOST_PACKED if packed else size, fail)
            content = head + _taken(stream, header.start + header.bytes - len(head))
            if len(content) < header.start + header.bytes:
                raise fail(f"truncated: its header says {header.start + header.bytes} bytes, it has {len(content)}")
            if packed:
                _to_the_end(stream, fail)  # where gzip keeps its checksum
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise fail(f"it cannot be unpacked: {' '.join(str(error).split())}") from None
    return _decoded(content, header, fail)


def check(head: bytes, most: int, fail: Any) -> Header:
    """A header whose sizes are possible in a file of so many bytes, unpacked."""
    if len(head) < 348:
        raise fail(f"it has {len(head)} bytes of a header of 348")
    orders = [(order, struct.unpack(f"{order}i", head[:4])[0]) for order in "<>"]
    order, kind = next(((o, n) for o, n in orders if n in HEADERS), ("", 0))
    if not kind:
        raise fail(f"it begins with {orders[0][1]} where a header's size, 348 or 540, should be")
    magic = head[344:348] if kind == 348 else head[4:8]
    if magic[:3] not in (b"n+1", b"n+2") or len(head) < kind:
        raise fail(f"its mark is {magic!r} where a single file has n+1 or n+2 (pairs of .hdr and .img are not read)")
    if kind == 348:
        dims, bits = struct.unpack_from(f"{order}8h", head, 40), struct.unpack_from(f"{order}h", head, 72)[0]
        offset = struct.unpack_from(f"{order}f", head, 108)[0]
    else:
        dims, bits = struct.unpack_from(f"{order}8q", head, 16), struct.unpack_from(f"{order}h", head, 14)[0]
        offset = struct.unpack_from(f"{order}q", head, 168)[0]
    shape = dims[1 : dims[0] + 1]
    if not 1 <= dims[0] <= 7 or min(shape) < 1:
        raise fail(f"its sizes {dims} are no {dims[0]} positive numbers")
    if bits <= 0 or bits % 8 or not (math.isfinite(offset) and kind <= offset <= 1 << 30):
        raise fail(f"values of {bits} bits from byte {offset:g} on cannot be")
    whole, start = math.prod(shape) * bits // 8, int(offset)
    if start + whole > min(most, MOST_BYTES):
        room = f"the most it can hold is {most}" if most < MOST_BYTES else f"the most read at once is {MOST_BYTES}"
        raise fail(f"truncated: its header says {start + whole} bytes, and {room}")
    return Header(shape, start, whole, 1 if kind == 348 else 2)


def _taken(stream: Any, count: int) -> bytes:
    """So many bytes, or what there is: room is taken as they come, not as they are promised."""
    blocks = []
    while count > 0 and (block := stream.read(min(count, 1 << 24))):
        blocks.append(block)
        count -= len(block)
    return b"".join(blocks)


def _to_the_end(stream: Any, fail: Any) -> None:
    """What follows the volume, unread but for its checksum; a little is allowed."""
    left = 1 << 20
    while block := stream.read(1 << 16):
        left -= len(block)
        if left < 0:
            raise fail("more than a megabyte follows its volume")


def _decoded(content: bytes, header: Header, fail: Any) -> Volume:
    """nibabel's reading of a file whose sizes are known."""
    import nibabel

    kind = nibabel.Nifti1Image if header.version == 1 else nibabel.Nifti2Image
    try:
        with np.errstate(all="ignore"):
            image = kind.from_bytes(content)
            data, affine = np.asarray(image.dataobj), np.array(image.affine, np.float64)
            units, zooms = image.header.get_xyzt_units(), image.header.get_zooms()
            text = image.header["descrip"].item().split(b"\0")[0].decode("latin-1")
            stored = image.header.get_data_dtype()
    except Exception as error:  # a damaged header breaks nibabel in many places
        raise fail(f"{' '.join(str(error).split()) or type(error).__name__}") from None
    if stored.itemsize * math.prod(header.shape) != header.bytes:
        raise fail(f"its sizes give {header.bytes} bytes, and values of type {stored} take others")
    if stored.kind not in "biufc" or data.shape != header.shape:
        raise fail(f"values of type {stored} in the shape {data.shape} are not numbers in {header.shape}")
    if not np.isfinite(affine).all():
        raise fail("its affine holds values that are NaN or infinite")
    meta = {
        "spacing": tuple(float(z) for z in zooms),
        "units": units,
        "dtype": str(stored),
        "version": header.version,
        "description": text,
    }
    return Volume(np.ascontiguousarray(data.astype(data.dtype.newbyteorder("="), copy=False)), affine, meta)


def write(path: str | os.PathLike[str], data: Any, affine: Any, like: Volume | None = None) -> None:
    """Write a volume as NIfTI, whole or not at all; packed where the name ends in .gz, the same bytes each time.

    data (*space, …) of numbers, tensor or array, 1 to 7 axes; half precision becomes float32, booleans uint8, 64-bit
    integers 32 where they fit. affine (4, 4) from indices to mm; like a volume whose units and description are kept.
    """
    import nibabel

    name = os.fspath(path)
    if not name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{name!r} does not end in .nii or .nii.gz")
    values, place = _storable(data, name), np.asarray(affine, np.float64)
    if place.shape != (4, 4) or not np.isfinite(place).all():
        raise ValueError(f"affine for {name!r} has shape {place.shape}: expected (4, 4) finite numbers")
    kind = nibabel.Nifti1Image if max(values.shape) < 1 << 15 else nibabel.Nifti2Image
    image = kind(values, place)
    image.header.set_xyzt_units(*(like.meta["units"] if like else ("mm", "sec")))
    image.header["descrip"] = (like.meta["description"] if like else "").encode("latin-1", "replace")[:79]
    if like and len(like.meta["spacing"]) >= values.ndim > 3:
        image.header.set_zooms((*image.header.get_zooms()[:3], *like.meta["spacing"][3 : values.ndim]))
    content = image.to_bytes()
    with files.writing(path) as file:
        file.write(gzip.compress(content, 6, mtime=0) if name.endswith(".gz") else content)


def _storable(data: Any, name: str) -> np.ndarray:
    """Numbers of a type that NIfTI has."""
    values = np.asarray(data.detach().cpu() if hasattr(data, "detach") else data)
    if values.dtype.kind not in "biufc" or not 1 <= values.ndim <= 7 or 0 in values.shape:
        raise ValueError(f"data for {name!r} are {values.dtype} of shape {values.shape}: expected numbers, 1 to 7 axes")
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.dtype == np.float16:
        return values.astype(np.float32)
    if values.dtype in (np.int64, np.uint64):
        if values.min() < -(2**31) or values.max() >= 2**31:
            raise ValueError(f"data for {name!r} reach {values.max()}: more than 32 bits hold; convert them to float64")
        return values.astype(np.int32)
    return values
