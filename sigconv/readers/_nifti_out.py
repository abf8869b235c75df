"""A NIfTI file's header for a volume that is to be written, and the numbers as it stores them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigconv.readers import _affines
from sigconv.readers._nifti_header import COLOURS, MM, RECORDS, SINGLE, SIZES, SPACE, TIME, TYPES
from sigconv.readers._voxels import AT_ONCE

CODES = {np.dtype(name): code for code, name in TYPES.items() if code not in COLOURS}
ALIGNED = 2  # what an affine of no known world is called, as nibabel has it
SHEARED = 1e-3  # of a spacing, from where on a qform, which cannot shear, is no picture of an affine any more
ROUNDED = 1e-6  # and from where on it is not the affine itself
INTENTS = {"none": 0, "label": 1002}  # what write can be told that values are, by the standard's codes


def storable(data: Any, dtype: Any, name: str) -> np.ndarray:
    """Numbers of a type that NIfTI has, and that holds them."""
    tensor = data.detach().cpu() if hasattr(data, "detach") else data
    values = np.asarray(tensor.float() if str(getattr(tensor, "dtype", "")) == "torch.bfloat16" else tensor)
    if values.dtype.kind not in "biufc" or not 1 <= values.ndim <= 7 or 0 in values.shape:
        raise ValueError(f"data for {name!r} are {values.dtype} of shape {values.shape}: expected numbers, 1 to 7 axes")
    if dtype is not None:
        return _exactly(values, np.dtype(dtype), name)
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.dtype == np.float16:
        return values.astype(np.float32)
    if values.dtype in (np.int64, np.uint64):
        if values.min() < -(2**31) or values.max() >= 2**31:
            raise ValueError(f"data for {name!r} reach {values.max()}: more than 32 bits hold; convert them to float64")
        return values.astype(np.int32)
    if values.dtype.newbyteorder("=") not in CODES:
        raise ValueError(f"data for {name!r} are {values.dtype}, which NIfTI files do not share: convert to float64")
    return values


def _exactly(values: np.ndarray, wanted: np.dtype, name: str) -> np.ndarray:
    """The numbers as another type: rounded where that is of floats, the same or refused where it is of integers."""
    if wanted not in CODES:
        raise ValueError(f"dtype {wanted} for {name!r} is none of {', '.join(map(str, CODES))}")
    if wanted.kind in "iu" and values.dtype.kind in "fc" and not np.isfinite(values).all():
        raise ValueError(f"data for {name!r} hold NaN or infinite values, which {wanted} does not have")
    if wanted.kind in "iuf" and values.dtype.kind == "c":
        raise ValueError(f"data for {name!r} are {values.dtype}, which {wanted} does not hold: take a part of them")
    with np.errstate(all="ignore"):
        answer = values.astype(wanted)
    if not np.can_cast(values.dtype, wanted) and (np.isinf(answer) & ~np.isinf(values)).any():
        raise ValueError(
            f"data for {name!r} reach {np.abs(values[np.isfinite(values)]).max():g}: more than {wanted} holds"
        )
    if wanted.kind in "iu" and not (_within(values, np.iinfo(wanted)) and (answer == values).all()):
        raise ValueError(f"data for {name!r}, {values.min()} to {values.max()}, are not all whole numbers of {wanted}")
    return answer


def _within(values: np.ndarray, limits: np.iinfo) -> bool:
    """Whether integers reach so far; compared as Python's numbers, exactly, for float64 has no 2**63 - 1."""
    return bool(limits.min <= values.min().item() and values.max().item() <= limits.max)


def header(values: np.ndarray, affine: np.ndarray, steps: tuple[float, ...], channels: str, like: Any) -> bytes:
    """A header and the four bytes after it: values lie so in the file, colours (if channels names any) last.

    steps are the spacings past the third axis; like is a volume or header whose units, codes and texts are kept.
    """
    shape, meta = values.shape[: values.ndim - bool(channels)], like.meta
    version = 1 if max(shape) < 1 << 15 else 2
    record = np.zeros((), RECORDS[version])
    mark, start = SINGLE[version]
    record["sizeof_hdr"] = next(size for size, v in SIZES.items() if v == version)
    record["magic"], record["vox_offset"] = mark, start
    record["dim"] = (len(shape), *shape, *[1] * (7 - len(shape)))
    record["datatype"] = _code(values, channels)
    record["bitpix"] = 8 * values.itemsize * max(len(channels), 1)
    record["pixdim"] = (1, 1, 1, 1, *steps, *[1] * (4 - len(steps)))
    record["slope"] = (1, 0)
    space, time = meta.get("units", ("mm", "sec"))
    record["xyzt_units"] = _key(SPACE, "mm" if space in MM else space) + _key(TIME, time)
    record["descrip"] = str(meta.get("description", "")).encode("latin-1", "replace")[:79]
    record["intent_code"], *record["intent"] = meta.get("intent", (0, 0.0, 0.0, 0.0))
    record["intent_name"] = str(meta.get("intent_name", "")).encode("latin-1", "replace")[:15]
    record["toffset"] = meta.get("start", 0.0)
    _placed(record, shape, affine, like)
    return record.tobytes() + bytes(4)


def _code(values: np.ndarray, channels: str) -> int:
    if channels:
        return next(code for code, names in COLOURS.items() if names == channels)
    return CODES[values.dtype.newbyteorder("=")]


def _key(table: dict[int, str], word: str) -> int:
    return next((code for code, known in table.items() if known == word), 0)


def _placed(record: Any, shape: tuple[int, ...], affine: np.ndarray, like: Any) -> None:
    """Where the volume lies, told in the ways that like has it told.

    The indices of the new volume are found in the old one by both affines; so its qform, which may lead to another
    world than its sform, leads there from the new indices too.
    """
    meta = like.meta
    sform, qform, turned = meta.get("sform_code", ALIGNED), meta.get("qform_code", 0), affine
    if qform and meta.get("qform") is not None and not np.array_equal(affine, like.affine):
        turned = np.array(meta["qform"]) @ np.linalg.inv(like.affine) @ affine
    elif qform and meta.get("qform") is not None:
        turned = np.array(meta["qform"])
    zooms = np.linalg.norm(turned[:3, :3], axis=0)
    bcd, handed = _affines.quaternion(turned)
    record["pixdim"][:4] = (handed, *zooms)
    record["quatern"], record["qoffset"] = bcd, turned[:3, 3]
    read = _affines.from_quaternion(record["quatern"], record["qoffset"], record["pixdim"][1:4], handed)
    off = float((np.abs(read - turned)[:3, :3] / zooms).max())
    if not sform and (off > ROUNDED or not qform):
        centred = np.allclose(affine, _affines.centred(shape, zooms), rtol=1e-6, atol=1e-6)
        sform = qform or (0 if centred else ALIGNED)
    record["sform_code"], record["qform_code"] = sform, qform if off <= SHEARED else 0
    if sform:
        record["srow"] = affine[:3]


def channels_last(values: np.ndarray, name: str) -> np.ndarray:
    """(channels, *space) as NIfTI has it: three axes of space at least, channels after all."""
    if values.ndim < 2:
        raise ValueError(f"data for {name!r} have shape {values.shape}: expected (channels, *space)")
    room = values.reshape(*values.shape, *[1] * (4 - values.ndim))
    if room.ndim > 7:
        raise ValueError(f"data for {name!r} have shape {values.shape}: a file has 7 axes at most")
    return np.moveaxis(room, 0, -1)


def unnamed(like: Any, ndim: int) -> Any:
    """Like, for a file whose last axis is channels: what was said of values, and of a fourth axis, is not kept."""
    if like is None:
        return None
    space, time = like.meta.get("units", ("mm", "sec"))
    meta = {**like.meta, "channels": "", "intent": (0, 0.0, 0.0, 0.0), "intent_name": ""}
    return like._replace(meta={**meta, "units": (space, time if ndim > 4 else "unknown")})


def meant(like: Any, intent: str | None, values: np.ndarray, name: str) -> Any:
    """Like, for values that are said to be something else than its own."""
    if intent is None:
        return like
    if intent not in INTENTS:
        raise ValueError(f"intent {intent!r} for {name!r} is not one of {', '.join(INTENTS)}")
    whole = values.dtype.kind != "c" and bool((np.isfinite(values) & (values == np.rint(values))).all())
    if intent == "label" and not whole:
        raise ValueError(f"data for {name!r} are not all whole numbers, which labels are: intent {intent!r}")
    return like._replace(meta={**like.meta, "intent": (INTENTS[intent], 0.0, 0.0, 0.0), "intent_name": ""})


def colours(values: np.ndarray, like: Any) -> str:
    """The colours that values still are."""
    names = like.meta.get("channels", "")
    same = names and values.dtype == np.uint8 and values.ndim == like.ndim + 1
    return names if same and values.shape[-1] == len(names) else ""


def further(ndim: int, like: Any, steps: Sequence[float] | None, name: str) -> tuple[float, ...]:
    """The spacings of the axes past the third, of so many axes of space and time: those asked for, else like's."""
    wanted = max(ndim - 3, 0)
    if steps is None:
        steps = (*tuple(like.meta.get("spacing", ()))[3:], *[1.0] * 4)[:wanted]
    if len(steps) != wanted or not all(np.isfinite(step) and step >= 0 for step in steps):
        raise ValueError(f"spacing {steps!r} for {name!r}: expected {wanted} positive numbers, for axes past the third")
    return tuple(float(step) for step in steps)


def pour(file: Any, content: bytes, values: np.ndarray, colours: str) -> None:
    """A header and the voxels after it, first axis fastest, some at a time."""
    file.write(content)
    lying = np.moveaxis(values, -1, 0) if colours else values
    axis = max((axis for axis, n in enumerate(lying.shape) if n > 1), default=0)
    step = max(AT_ONCE * lying.shape[axis] // lying.nbytes, 1)
    for at in range(0, lying.shape[axis], step):
        block = lying[(*[slice(None)] * axis, slice(at, at + step))]
        file.write(block.astype(block.dtype.newbyteorder("<"), copy=False).tobytes(order="F"))
