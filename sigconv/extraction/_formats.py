"""How features are kept: one function a format, the same bytes for the same values, whole or not at all."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable
from typing import Any

import numpy as np

from sigconv import files

NEVER = (1980, 1, 1, 0, 0, 0)  # the date of a zip archive's members, where none is meant
AT_ONCE = 1 << 24  # bytes written at a time


class WriteError(OSError):
    """The disk does not take what is to be written: not a file's failing, but the end of the work."""


def save_npy(path: str, y: np.ndarray) -> None:
    """A NumPy file; what lies in a mapped one is copied block by block."""
    with files.writing(path) as file:
        _header(file, y)
        _pour(file, y)


def save_npz(path: str, members: Iterable[tuple[str, Any]]) -> None:
    """A NumPy archive of members as they come, arrays or (for JSON) dicts; not packed, for features hardly pack."""
    with files.writing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, value in members:
            plain = isinstance(value, dict | list)
            y = np.frombuffer(json.dumps(value).encode(), np.uint8) if plain else value
            member = zipfile.ZipInfo(f"{name}.npy", NEVER)
            member.external_attr = 0o644 << 16
            with archive.open(member, "w", force_zip64=True) as part:
                _header(part, y)
                _pour(part, y)


def save_nifti(path: str, y: np.ndarray, like: Any, stride: Any) -> None:
    """A scan of features: space first, filters last, its affine's columns times the stride."""
    from sigconv.readers import nifti

    space = y.ndim - 1
    each = steps(stride, space)
    affine = np.eye(4) if like is None else like.affine
    further = None
    if space > 3:
        stepped = (*like.meta.get("spacing", ()), *[1.0] * 4)[3:space]
        further = [step * n for step, n in zip(stepped, each[3:], strict=True)]
    nifti.write(path, y, nifti.strided(affine, each), like, channels=True, spacing=further)


def steps(stride: Any, ndim: int) -> list[int]:
    """A stride of each axis, from one for all or one per axis."""
    found = [stride] * ndim if isinstance(stride, int) else list(stride)
    if len(found) != ndim:
        raise ValueError(f"stride {stride} has {len(found)} entries for {ndim} axes of space")
    return found


def placed(fs: tuple[float, ...]) -> Any:
    """The header of an array that is kept as a scan: its axes in mm by fs."""
    from sigconv.readers import nifti

    steps = (*(1.0 / rate for rate in fs), 1.0, 1.0)[:3]
    return nifti.Header((1, 1, 1), np.dtype(np.float32), np.diag([*steps, 1.0]), {}, 0)


def _header(file: Any, y: np.ndarray) -> None:
    from sigconv.readers import npy

    file.write(npy.header(y.shape, y.dtype))


def _pour(file: Any, y: np.ndarray) -> None:
    """The values of an array, some at a time."""
    if y.nbytes <= AT_ONCE or y.ndim == 0:
        file.write(np.ascontiguousarray(y).data if y.size else b"")
        return
    step = max(AT_ONCE * len(y) // y.nbytes, 1)
    for at in range(0, len(y), step):
        block = y[at : at + step]
        if block.nbytes > 2 * AT_ONCE and block.ndim > 1:
            for row in block:
                _pour(file, row)
        else:
            file.write(np.ascontiguousarray(block).data)


def describe_zarr(path: str, attributes: dict[str, Any]) -> list[int]:
    """Say more in a zarr array's attributes; its shape."""
    place = os.path.join(path, "zarr.json")
    told = json.loads(files.read_bytes(place))
    told["attributes"] = {**told["attributes"], **attributes}
    files.write_text(place, json.dumps(told, indent=2))
    return list(told["shape"])
