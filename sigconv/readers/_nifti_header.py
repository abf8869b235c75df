"""The headers of NIfTI-1, NIfTI-2 and Analyze 7.5: fields at fixed places, read into a layout and written from one."""

from __future__ import annotations

import math
import struct
from typing import Any, Literal

import numpy as np

from sigconv.readers import _affines
from sigconv.readers._voxels import Fail, Layout

SIZES = {348: 1, 540: 2}  # bytes of a header: version
SINGLE = {1: (b"n+1\0", 352), 2: (b"n+2\0\r\n\x1a\n", 544)}  # a single file's mark, and the first byte voxels may have
PAIR = {1: b"ni1\0", 2: b"ni2\0\r\n\x1a\n"}
MOST_OFFSET = 1 << 30
Order = Literal["<", ">", "="]  # of bytes
# name: type and place in version 1, type and place in version 2
FIELDS: dict[str, tuple[Any, int, Any, int]] = {
    "sizeof_hdr": ("i4", 0, "i4", 0),
    "dim": (("i2", 8), 40, ("i8", 8), 16),
    "intent": (("f4", 3), 56, ("f8", 3), 80),
    "intent_code": ("i2", 68, "i4", 504),
    "datatype": ("i2", 70, "i2", 12),
    "bitpix": ("i2", 72, "i2", 14),
    "pixdim": (("f4", 8), 76, ("f8", 8), 104),
    "vox_offset": ("f4", 108, "i8", 168),
    "slope": (("f4", 2), 112, ("f8", 2), 176),
    "xyzt_units": ("u1", 123, "i4", 500),
    "cal": (("f4", 2), 124, ("f8", 2), 192),
    "toffset": ("f4", 136, "f8", 216),
    "gl": (("i4", 2), 140, ("i4", 2), 140),  # max, min: Analyze's alone
    "descrip": ("S80", 148, "S80", 240),
    "origin": (("i2", 3), 253, ("i2", 3), 253),  # SPM's use of Analyze
    "qform_code": ("i2", 252, "i4", 344),
    "sform_code": ("i2", 254, "i4", 348),
    "quatern": (("f4", 3), 256, ("f8", 3), 352),
    "qoffset": (("f4", 3), 268, ("f8", 3), 376),
    "srow": (("f4", (3, 4)), 280, ("f8", (3, 4)), 400),
    "intent_name": ("S16", 328, "S16", 508),
    "magic": ("S4", 344, "S8", 4),
}
RECORDS = {
    version: np.dtype(
        {
            "names": list(FIELDS),
            "formats": [row[2 * version - 2] for row in FIELDS.values()],
            "offsets": [row[2 * version - 1] for row in FIELDS.values()],
            "itemsize": size,
        }
    )
    for size, version in SIZES.items()
}
TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 32: "c8", 64: "f8", 128: "u1", 256: "i1", 512: "u2", 768: "u4"}
TYPES |= {1024: "i8", 1280: "u8", 1792: "c16", 2304: "u1"}
COLOURS = {128: "RGB", 2304: "RGBA"}
NAMED = {0: "none", 1: "binary", 255: "all", 1536: "float128", 2048: "complex256"}  # of the standard, not read
SPACE = {1: "meter", 2: "mm", 3: "micron"}
MM = {"meter": 1e3, "mm": 1.0, "micron": 1e-3}  # what a header may measure space in
TIME = {8: "sec", 16: "msec", 24: "usec", 32: "hz", 40: "ppm", 48: "rads"}


def order_of(head: bytes) -> tuple[Order, int]:
    """The byte order and version that a header's first number tells, version 0 where it tells none."""
    if len(head) >= 4:
        orders: tuple[Order, Order] = ("<", ">")
        for order in orders:
            if version := SIZES.get(struct.unpack(f"{order}i", head[:4])[0], 0):
                return order, version
    return "=", 0


def mark_of(head: bytes) -> str:
    """What a header belongs to: "single", "pair", "analyze" (a pair too), or "" for none."""
    version = order_of(head)[1]
    mark = (head[344:348], head[4:8])[version - 1] if version else b""
    if mark[:3] == SINGLE.get(version, (b"?",))[0][:3]:
        return "single"
    if mark[:3] == PAIR.get(version, b"?")[:3]:
        return "pair"
    return "analyze" if version == 1 and len(head) >= 348 else ""


def layout(head: bytes, fail: Fail) -> Layout:
    """What a header says, once every field of it is found possible; its file is yet to be measured."""
    order, version = order_of(head)
    size = {1: 348, 2: 540}[version]
    if len(head) < size:
        raise fail(f"it has {len(head)} bytes of a header of {size}")
    record = np.frombuffer(head[:size], RECORDS[version].newbyteorder(order))[0]
    with np.errstate(all="ignore"):  # a header may hold any numbers; what matters is found finite
        return _read(record, order, version, mark_of(head), fail)


def millimetres(head: bytes) -> float:
    """How many mm the unit of space is that a NIfTI header has its affine in; 1 where it names none, or is none."""
    order, version = order_of(head)
    if mark_of(head) not in ("single", "pair") or len(head) < {1: 348, 2: 540}[version]:
        return 1.0
    record = np.frombuffer(head, RECORDS[version].newbyteorder(order), 1)[0]
    return MM.get(_units(int(record["xyzt_units"]))[0], 1.0)


def _read(record: Any, order: Order, version: int, kind: str, fail: Fail) -> Layout:
    shape = _shape(record, fail)
    space, time = _units(int(record["xyzt_units"]) if kind != "analyze" else 0)
    per = MM.get(space, 1.0)
    stored, channels = _type(record, order, fail)
    start = _start(record, SINGLE[version][1] if kind == "single" else 0, fail)
    zooms = _zooms(record, len(shape), per, fail)
    meta = {
        "spacing": tuple(float(z) for z in zooms[: len(shape)]),
        "units": ("mm" if space in MM else space, time),
        "dtype": channels or str(stored),
        "version": version,
        "description": _text(record["descrip"]),
        "format": "analyze" if kind == "analyze" else f"nifti{version}",
        "channels": channels,
    }
    if kind == "analyze":
        (slope, inter), affine = _spm_scaling(record), _spm_affine(record, shape, zooms)
    else:
        (slope, inter), affine = _scaling(record, fail), _affine(record, shape, zooms, per, fail)
        meta |= _told(record, zooms, per)
    return Layout(shape, stored, start, slope, inter, channels, 0, affine, meta)


def _shape(record: Any, fail: Fail) -> tuple[int, ...]:
    """The sizes, each positive; where FreeSurfer had no room for a long vector, as it wrote them."""
    dims = [int(n) for n in record["dim"]]
    shape = tuple(dims[1 : dims[0] + 1]) if 1 <= dims[0] <= 7 else ()
    if shape[:3] == (-1, 1, 1):
        shape = (int(record["gl"][1]), *shape[1:])
    elif shape[:3] == (27307, 1, 6):
        shape = (163842, 1, 1, *shape[3:])
    if not shape or min(shape) < 1:
        raise fail(f"its sizes {dims} are no {dims[0]} positive numbers")
    if math.prod(shape) > 1 << 48:
        raise fail(f"truncated: its header says {math.prod(shape)} voxels, and no file holds so many")
    return shape


def _type(record: Any, order: Order, fail: Fail) -> tuple[np.dtype, str]:
    code, bits = int(record["datatype"]), int(record["bitpix"])
    if code not in TYPES:
        raise fail(f"its datatype {code} ({NAMED.get(code, 'unknown')}) is none that is read")
    stored, channels = np.dtype(TYPES[code]).newbyteorder(order), COLOURS.get(code, "")
    wanted = 8 * stored.itemsize * max(len(channels), 1)
    if bits != wanted:
        raise fail(f"values of {bits} bits cannot be: those of type {channels or stored} take {wanted}")
    return stored, channels


def _start(record: Any, least: int, fail: Fail) -> int:
    offset = float(record["vox_offset"])
    if offset == 0:
        return least
    if not (math.isfinite(offset) and offset == int(offset) and least <= offset <= MOST_OFFSET):
        raise fail(f"voxels from byte {offset:g} on cannot be: the first they may have is {least}")
    return int(offset)


def _zooms(record: Any, ndim: int, per: float, fail: Fail) -> np.ndarray:
    """The spacings of seven axes; of the first three, in mm, 0 is one unit and -2 is 2, as everyone reads them."""
    zooms = record["pixdim"][1:].astype(np.float64)
    zooms[:3] = np.where(zooms[:3] == 0, 1, np.abs(zooms[:3])) * per
    if not np.isfinite(zooms[:ndim]).all():
        raise fail(f"its spacings {zooms[:ndim].tolist()} are not finite")
    return np.where(np.isfinite(zooms), zooms, 1)


def _scaling(record: Any, fail: Fail) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 or NaN says that there are none."""
    slope, inter = (float(value) for value in record["slope"])
    if slope == 0 or not math.isfinite(slope):
        return 1.0, 0.0
    if not math.isfinite(inter):
        raise fail(f"its intercept {inter} beside a slope of {slope:g} is no number")
    return slope, inter


def _affine(record: Any, shape: tuple[int, ...], zooms: np.ndarray, per: float, fail: Fail) -> np.ndarray:
    """The sform where there is one, else the qform, else the spacings, centred: nibabel's order; in mm."""
    if _code(record, "sform_code"):
        affine, what = np.vstack([record["srow"].astype(np.float64) * per, [0, 0, 0, 1]]), "sform"
    elif _code(record, "qform_code"):
        affine, what = _qform(record, zooms, per, fail), "qform"
    else:
        affine, what = _affines.centred(shape, zooms, per), "spacings"
    if not np.isfinite(affine).all():
        raise fail(f"its affine (of its {what}) holds values that are NaN or infinite")
    if _affines.singular(affine):
        raise fail(f"its affine (of its {what}) is singular: {affine[:3].tolist()}")
    return affine


def _qform(record: Any, zooms: np.ndarray, per: float, fail: Fail) -> np.ndarray:
    handed, offset = -1.0 if record["pixdim"][0] == -1 else 1.0, record["qoffset"].astype(np.float64) * per
    try:
        return _affines.from_quaternion(record["quatern"], offset, zooms[:3], handed)
    except ValueError as error:
        raise fail(str(error)) from None


def _code(record: Any, name: str) -> int:
    """What an affine refers to: 1 the scanner, 2 another scan, 3 Talairach, 4 MNI, 5 a template; else 0, unknown."""
    code = int(record[name])
    return code if 1 <= code <= 5 else 0


def _told(record: Any, zooms: np.ndarray, per: float) -> dict[str, Any]:
    """What else a NIfTI header says that a scan made of this one keeps."""
    qform = _spare_qform(record, zooms, per)
    return {
        "sform_code": _code(record, "sform_code"),
        "qform_code": 0 if qform is None else _code(record, "qform_code"),
        "qform": None if qform is None else tuple(tuple(row) for row in qform.tolist()),
        "intent": (int(record["intent_code"]), *(float(p) for p in record["intent"])),
        "intent_name": _text(record["intent_name"]),
        "start": float(record["toffset"]) if math.isfinite(record["toffset"]) else 0.0,
    }


def _spare_qform(record: Any, zooms: np.ndarray, per: float) -> np.ndarray | None:
    """The qform where there is one that could be used."""
    if not _code(record, "qform_code"):
        return None
    try:
        found = _qform(record, zooms, per, ValueError)
    except ValueError:
        return None
    return found if np.isfinite(found).all() and not _affines.singular(found) else None


def _spm_scaling(record: Any) -> tuple[float, float]:
    """Analyze as SPM2 uses it, and nibabel reads it: a slope, else two ranges that map onto each other."""
    slope, inter = (float(value) for value in record["slope"])
    if math.isfinite(slope) and slope:
        return slope, inter if math.isfinite(inter) else 0.0
    stored, values = int(record["gl"][0]) - int(record["gl"][1]), float(record["cal"][0] - record["cal"][1])
    if stored and values and math.isfinite(values):
        slope = values / stored
        return slope, float(record["cal"][1]) - slope * int(record["gl"][1])
    return 1.0, 0.0


def _spm_affine(record: Any, shape: tuple[int, ...], zooms: np.ndarray) -> np.ndarray:
    """Analyze has spacings alone; SPM tells in an unused field which voxel, counted from 1, is the origin."""
    room = (*shape, 1, 1)[:3]
    affine, origin, sizes = _affines.centred(room, zooms), record["origin"].astype(np.float64), np.array(room)
    if origin.any() and (origin > -sizes).all() and (origin < 2 * sizes).all():
        affine[:3, 3] = -(origin - 1) * affine.diagonal()[:3]
    return affine


def _units(code: int) -> tuple[str, str]:
    return SPACE.get(code & 7, "unknown"), TIME.get(code & 0x38, "unknown")


def _text(value: Any) -> str:
    return bytes(value).split(b"\0")[0].decode("latin-1")
