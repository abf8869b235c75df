"""Scans with their place in space: NIfTI-1 and -2, Analyze 7.5, MGH and MGZ read by what they hold; NIfTI written.

The rules, the same for every way to read:

* What a file is, its content says: a single NIfTI file, a header of a pair, a FreeSurfer volume, packed by gzip or not.
  A pair is named by either half, a.hdr or a.img (packed as a.hdr.gz, a.img.gz).
* A header is held against its file before room is taken for voxels. Sizes are positive; types are those of the standard
  from 8 to 64 bits a number, complex ones, and colours RGB and RGBA; bits, offset, spacings and scaling are possible.
* The affine is the sform where there is one, else the qform, else spacings about the middle, finite and not singular;
  in mm, also where the header has metres or microns. Axes of time stay in the header's unit, which meta tells.
* Values are slope · stored + intercept, unless the slope is 0 or NaN. Those that are NaN or infinite are kept.
* After the voxels only zeros may follow (a megabyte at most), behind FreeSurfer's its tags; gzip's checksum is held.

An error is a ValueError of one line with the file's name; OSError where there is no regular file.
"""

from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from sigconv import files
from sigconv.readers import _affines, _doors, _nifti_header, _nifti_out, _voxels
from sigconv.readers._affines import orientation, spacing, strided

__all__ = [
    "Header", "Volume", "header", "millimetres", "orientation", "rates", "read", "slices", "spacing", "strided",
    "volume_of", "write"
]  # fmt: skip

SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


class Volume(NamedTuple):
    """A volume as it lies on disk: data (*space, …), affine (4, 4) from indices to mm, meta what else its header says.

    data has the file's axes: x, y, z (i, j, k), then time, then vectors; colours, where meta["channels"] names them
    ("RGB", "RGBA"), are a last axis more. meta: spacing (per axis of the file: of space in mm, of time in units[1], of
    others as stored), units (of space: "mm", or "unknown" where the header tells none and mm are taken; of time: the
    header's), dtype (stored), version, description, format (nifti1 nifti2 analyze mgh), channels; of NIfTI also
    sform_code, qform_code, qform (4 rows, in mm, or None), intent (code and three numbers), intent_name, start (of the
    time axis, in units[1]). One made by hand may have any of these or none.
    """

    data: np.ndarray
    affine: np.ndarray
    meta: dict[str, Any]

    @property
    def ndim(self) -> int:
        """How many axes the file has: colours are none."""
        return self.data.ndim - bool(self.meta.get("channels"))


class Header(NamedTuple):
    """A volume without its voxels: the shape and dtype they would be read in, affine (4, 4), meta, and the axis that
    slices come along."""

    shape: tuple[int, ...]
    dtype: np.dtype
    affine: np.ndarray
    meta: dict[str, Any]
    axis: int

    @property
    def ndim(self) -> int:
        """How many axes the file has: colours are none."""
        return len(self.shape) - bool(self.meta.get("channels"))


def read(path: str | os.PathLike[str]) -> Volume:
    """A scan from a NIfTI, Analyze or MGH file: Volume(data, affine, meta).

    data is of the type it is stored in, in native byte order, or float64 (complex128) where the header scales it; in C
    order, writable. Raises OSError where there is no regular file, ValueError, with the file's name, where a rule of
    this module is broken, and where the values take more than 16 GiB or than there is (slices has no such bounds).
    Sources: nifti1.h and nifti2.h of the NIfTI working group; FreeSurfer's MGH format.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.nii.gz"
    >>> write(path, np.arange(6, dtype="float32").reshape(1, 2, 3), np.diag([1, 1, 2.5, 1]))
    >>> volume = read(path)
    >>> volume.data[0, 1], volume.meta["spacing"], volume.meta["units"]
    (array([3., 4., 5.], dtype=float32), (1.0, 1.0, 2.5), ('mm', 'sec'))
    """
    source = _doors.found(path)
    data = _voxels.whole(source.voxels, source.layout, source.fail)
    return Volume(data, source.layout.affine, source.layout.meta)


def header(path: str | os.PathLike[str]) -> Header:
    """What a scan's file says of itself, its sizes held against the file, without its voxels: Header.

    shape and dtype are those of read's data. Raises what read does, but for what only the voxels show: a file cut short
    inside its packing, a wrong checksum.
    """
    layout = _doors.found(path).layout
    return Header(layout.size, layout.dtype, layout.affine, layout.meta, layout.axis)


def slices(path: str | os.PathLike[str], count: int | None = None) -> Iterator[np.ndarray]:
    """The values of a scan in blocks of slices, which make up read's data along header(path).axis.

    Slices come along the last axis longer than 1, the one that changes slowest in the file: z of a volume, t of a run.
    count says how many make a block (None: some 16 MB of them, one at least); the last may be shorter. The memory is
    that of a block, so of one slice at least. The header is checked at once, with read's errors; a file that turns out
    damaged, or whose slice there is no room for, ends the blocks with one.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.nii"
    >>> write(path, np.zeros((4, 3, 5), "int16"), np.eye(4))
    >>> [block.shape for block in slices(path, 2)]
    [(4, 3, 2), (4, 3, 2), (4, 3, 1)]
    """
    if count is not None and count < 1:
        raise ValueError(f"count {count} of slices must be at least 1")
    source = _doors.found(path)
    return _voxels.slices(source.voxels, source.layout, count, source.fail)


def write(
    path: str | os.PathLike[str],
    data: Any,
    affine: Any,
    like: Volume | Header | None = None,
    *,
    channels: bool = False,
    spacing: Sequence[float] | None = None,
    dtype: Any = None,
    intent: str | None = None,
) -> None:
    """Write a volume as NIfTI, whole or not at all; packed where the name ends in .gz, the same bytes each time.

    data (*space, …) of numbers, tensor or array, 1 to 7 axes, no axis empty. With channels=True it is (channels,
    *space), channels first as in memory, and the file has them last, behind three axes of space at least. affine (4, 4)
    from indices to mm. NIfTI-1, or -2 where an axis is longer than 32767.

    like is a volume, or its header, that this one was made from: units (of space always mm), description, intent, sform
    and qform codes and start are its own, its qform follows the affine, and so do its colours where data still has
    them. Nothing else is kept: not cal_min and cal_max, which are of like's own values, nor slice timing or extensions.
    intent says instead what data are: "label" numbers of regions, "none" nothing special. spacing gives the steps of
    the axes past the third (in like's unit of time, else seconds), else they are like's, and 1 for channels. dtype is
    the stored type; without it data's own, with half precision as float32, booleans as uint8, 64-bit integers as 32.

    Raises ValueError for a name, data or affine that a NIfTI file cannot have, for labels that are no whole numbers,
    where integers of dtype would not be the very values (NaN, fractions, too large ones), and where finite values would
    be infinite. OSError where the file cannot be written.
    """
    name = os.fspath(path)
    if not name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{name!r} does not end in .nii or .nii.gz")
    place = _affines.checked(affine, f"affine for {name!r}")
    values = _nifti_out.storable(data, dtype, name)
    if channels:
        values = _nifti_out.channels_last(values, name)
        like = _nifti_out.unnamed(like, values.ndim)
    like = _nifti_out.meant(like or Volume(values, place, {}), intent, values, name)
    colours = _nifti_out.colours(values, like)
    further = _nifti_out.further(values.ndim - bool(channels or colours), like, spacing, name)
    content = _nifti_out.header(values, place, further, colours, like)
    with files.writing(path) as file:
        if not name.endswith(".gz"):
            _nifti_out.pour(file, content, values, colours)
            return
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            _nifti_out.pour(packed, content, values, colours)


def rates(volume: Volume | Header) -> tuple[float, ...]:
    """fs of a volume, one per axis of its file: samples per mm in space, per second in time, 1 for what is neither.

    By the affine's columns and the spacings past the third axis, in meta's unit of time; 1 where meta tells neither.
    These are the fs that filter banks take, and 1 / fs the steps between samples.

    >>> meta = {"spacing": (3.0, 3.0, 4.0, 2500.0), "units": ("mm", "msec")}
    >>> rates(Volume(np.zeros((2, 2, 2, 5)), np.diag([3.0, 3, 4, 1]), meta))
    (0.3333333333333333, 0.3333333333333333, 0.25, 0.4)
    """
    steps = volume.meta.get("spacing", (1.0,) * volume.ndim)
    time = SECONDS.get(volume.meta.get("units", ("mm", "sec"))[1], 0.0)
    lengths = [float(n) for n in _affines.spacing(volume.affine)][: len(steps)]
    further = [step * time if axis == 3 and time else 1.0 for axis, step in enumerate(steps) if axis >= 3]
    return tuple(1.0 / step if step > 0 else 1.0 for step in (*lengths, *further))


def millimetres(x: Any) -> float:
    """How many mm the unit is that the .affine of x is in: not 1 only where x has a NIfTI header of metres or microns.

    nibabel's images have their affine in that unit; a Volume, a Header and what volume_of gives have it in mm.

    >>> millimetres(Volume(np.zeros((2, 2, 2)), np.eye(4), {}))
    1.0
    """
    return _nifti_header.millimetres(_head(x))


def volume_of(x: Any) -> Volume:
    """Whatever holds a volume, as a Volume: one itself, a path, or any object with an .affine and an array.

    The object is known by what it has, not by its class: nibabel's images, MONAI's MetaTensor, TorchIO's images. An
    array keeps its axes and type. A tensor of four axes has its channels first, as those libraries keep them: they
    become the last axis, and a single one is dropped. meta says what the object's NIfTI header says, where it has one,
    and the affine comes to be in mm by it. ValueError where there is no affine, or none that is finite and regular, or
    no numbers; a path raises as read does.

    >>> image = type("Image", (), {"affine": np.eye(4), "dataobj": np.zeros((2, 3, 4))})()
    >>> volume_of(image).data.shape
    (2, 3, 4)
    """
    if isinstance(x, Volume):
        return x
    if isinstance(x, str | os.PathLike):
        return read(x)
    kind = type(x).__name__
    if not hasattr(x, "affine"):
        raise ValueError(f"{kind} is no volume: expected a Volume, a path, or an image with .affine and an array")
    place = np.diag([*[millimetres(x)] * 3, 1.0]) @ _affines.checked(x.affine, f"affine of {kind}")
    source = next((getattr(x, at) for at in ("dataobj", "data") if hasattr(x, at) and not hasattr(x, "detach")), x)
    data, channels = _plain(source)
    if data.dtype.kind not in "biufc" or data.ndim < 1 or 0 in data.shape:
        raise ValueError(f"{kind} holds {data.dtype} of shape {data.shape}: expected numbers along axes")
    if hasattr(source, "detach") and data.ndim == 4:
        data = data[0] if len(data) == 1 else np.moveaxis(data, 0, -1)
    return Volume(data, place, _meta(x, data, channels, place))


def _plain(source: Any) -> tuple[np.ndarray, str]:
    """An array of numbers, and the names of its last axis where it came as colours."""
    data = np.asarray(source.detach().cpu() if hasattr(source, "detach") else source)
    if data.dtype.names is None:
        return data, ""
    return np.stack([data[name] for name in data.dtype.names], -1), "".join(data.dtype.names)


def _meta(x: Any, data: np.ndarray, channels: str, place: np.ndarray) -> dict[str, Any]:
    """What an object's header tells, by the bytes of it that NIfTI fixes; little, where it has none."""
    head = _head(x)
    with contextlib.suppress(ValueError):  # an object whose header is none of a file's is taken by its array
        if _nifti_header.mark_of(head) in ("single", "pair"):
            return _nifti_header.layout(head, _voxels.failing(type(x).__name__, "NIfTI")).meta
    ndim = data.ndim - bool(channels)
    steps = (*(float(n) for n in _affines.spacing(place)), *[1.0] * ndim)[:ndim]
    meta = {"spacing": steps, "units": ("mm", "sec"), "dtype": str(data.dtype), "version": 1, "description": ""}
    return {**meta, "format": "", "channels": channels}


def _head(x: Any) -> bytes:
    """The bytes of an object's header, where it has one of a file's."""
    return bytes(getattr(getattr(x, "header", None), "binaryblock", b""))
