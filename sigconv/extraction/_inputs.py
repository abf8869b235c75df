"""Which files are read, what each is called, and where its features go: one place each, whatever the names."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sigconv import files
from sigconv.extraction import _kinds, _names
from sigconv.readers import _pairs

BLOCK = 1 << 20


class Input(NamedTuple):
    """A file to read: path as the user would name it, its kind (empty: none), its name below DIR, its features'.

    why says what is wrong with it, where that is known before it is read.
    """

    path: str
    kind: str
    name: str
    output: str
    why: str = ""


class Found(NamedTuple):
    """All inputs by path, and how many files were passed over, being of no kind."""

    inputs: list[Input]
    passed: int


def found(paths: Iterable[str], out: str, wanted: str) -> Found:
    """Walk files and folders.

    Folders are walked in the order of names, links to folders are not followed; out, and what earlier extractions
    wrote, are left out.
    """
    places, passed, seen = [], 0, set()
    roots = {_names.identity(out)}
    for path in paths:
        path = path.rstrip(os.sep) or path  # as it comes from the shell's completion
        path = _pairs.other(path, ".img", ".hdr") or path  # the image of a pair is read by its header
        if os.path.isdir(path) and not _is_zarr(path):
            top, walked = path, list(_walk(path, roots))
        else:
            top, walked = os.path.dirname(path), [(path, "")]
        for file, why in walked:
            real = os.path.abspath(file)
            kind = "zarr" if _is_zarr(file) else _kinds.ENDINGS.get(_kinds.ending_of(os.path.basename(file)).lower())
            if real in seen:
                continue
            seen.add(real)
            if kind is None and not why and file != path:
                passed += 1
            elif why or kind is None:
                places.append(_names.Place(top, file, "", why or f"{file!r} is of no kind that is read: {_known()}"))
            elif not _half(file):
                places.append(_names.Place(top, file, kind, ""))
    named = _names.outputs(places, wanted)
    inputs = [
        Input(place.path, place.kind, name, output, place.why)
        for place, (name, output) in zip(places, named, strict=True)
    ]
    return Found(sorted(inputs), passed)


def _known() -> str:
    return " ".join(_kinds.ENDINGS)


def _walk(folder: str, roots: set[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """Every file below a folder, and what is wrong with a folder that cannot be read."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield folder, f"{folder!r} cannot be read: {error.strerror}"
        return
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            if not os.path.isdir(entry.path):  # a link to a folder leads elsewhere, or round in a circle
                yield entry.path, ""
        elif _is_zarr(entry.path):
            yield entry.path, ""
        elif _names.identity(entry.path) not in roots and not os.path.isfile(os.path.join(entry.path, _names.RECORD)):
            yield from _walk(entry.path, roots)


def _is_zarr(path: str) -> bool:
    """Whether a folder is a zarr array or group, by its name or by what it holds."""
    if not os.path.isdir(path):
        return False
    if path.rstrip(os.sep).lower().endswith(".zarr"):
        return True
    return any(os.path.exists(os.path.join(path, name)) for name in ("zarr.json", ".zarray"))


def _half(path: str) -> bool:
    """Whether a file is the image of a pair, which its header stands for."""
    return _pairs.other(path, ".img", ".hdr") is not None


def parts(path: str) -> list[str]:
    """The files an input is made of: itself, and the image that belongs to a header."""
    image = _pairs.other(path, ".hdr", ".img")
    return [path] if image is None else [path, image]


def size_of(path: str) -> int:
    """Bytes of an input; OSError unless all of it are regular files."""
    if os.path.isdir(path):
        return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)
    total = 0
    for part in parts(path):
        status = os.stat(part)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{part!r} is not a regular file")
        total += status.st_size
    return total


def digest(path: str) -> str:
    """SHA-256 of an input's bytes: a file's, a pair's one after the other, or a zarr folder's names and files."""
    if os.path.isdir(path):
        from sigconv.readers import zarr

        return str(zarr.digest(path))
    found = hashlib.sha256()
    for part in parts(path):
        files.size_of(part, 1 << 60)
        with open(part, "rb", buffering=0) as file:
            while block := file.read(BLOCK):
                found.update(block)
    return found.hexdigest()
