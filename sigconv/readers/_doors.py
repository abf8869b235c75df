"""Which file of a scan is which: what a file holds is seen by its content, and a pair's other half by its name."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from sigconv.readers import _mgh, _nifti_header, _pairs
from sigconv.readers._voxels import Fail, Layout, check, failing, opened

HEAD = 544  # bytes that show any of the formats


class Source(NamedTuple):
    """The file that holds a scan's voxels, how they lie there, and what makes its errors."""

    voxels: str
    layout: Layout
    fail: Fail


def found(path: str | os.PathLike[str]) -> Source:
    """A scan by the name of its file, or of either half of a pair; its sizes are possible."""
    name = os.fspath(path)
    half = _pairs.other(name, ".img", ".hdr")
    if half and _kind(half) in ("pair", "analyze"):
        return _pair(half, name)
    fail = failing(name, "NIfTI")
    with opened(name, fail) as (stream, most):
        head = _head(stream)
        if head[:4] == _mgh.MARK:
            fail = failing(name, "MGH")
            return Source(name, _mgh.layout(head, stream, most, fail), fail)
    kind = _nifti_header.mark_of(head)
    if kind == "single":
        return Source(name, check(_nifti_header.layout(head, fail), most, fail), fail)
    image = _pairs.other(name, ".hdr", ".img") if kind else None
    if image is None:
        raise fail(_why(head, kind))
    return _pair(name, image)


def _pair(name: str, image: str) -> Source:
    """A header and the image beside it."""
    fail = failing(name, "NIfTI")
    with opened(name, fail) as (stream, _):
        layout = _nifti_header.layout(_head(stream), fail)
    if layout.meta["format"] == "analyze" and (table := _pairs.other(name, ".hdr", ".mat")):
        raise fail(f"its affine is in {os.path.basename(table)!r}, which is not read: convert the scan to NIfTI")
    fail = failing(image, "NIfTI")
    with opened(image, fail) as (_, most):
        return Source(image, check(layout, most, fail), fail)


def _head(stream: Any) -> bytes:
    head = b""
    while len(head) < HEAD and (more := stream.read(HEAD - len(head))):
        head += more
    return head


def _kind(name: str) -> str:
    with opened(name, failing(name, "NIfTI")) as (stream, _):
        return _nifti_header.mark_of(_head(stream))


def _why(head: bytes, kind: str) -> str:
    """What is wrong with a file that is no scan."""
    if not head:
        return "it is empty"
    version = _nifti_header.order_of(head)[1]
    size = 540 if version == 2 else 348
    if len(head) < size:
        return f"it has {len(head)} bytes of a header of {size}"
    if not version:
        first = int.from_bytes(head[:4], "little", signed=True)
        return f"it begins with {first} where a header's size, 348 or 540, should be"
    if kind == "pair":
        return "it is the header of a pair, and its image (the same name with .img for .hdr) is not beside it"
    mark = head[344:348] if version == 1 else head[4:8]
    return f"its mark is {mark!r} where NIfTI has n+{version} or ni{version}, and no Analyze image (.img) is beside it"
