"""A zarr array in the making, with the list of what is done beside it: killed, it goes on where it was.

The array and the list come into being together, by a rename. A tile counts when its chunks are on the disk and a line
says so; a chunk that was half-written is written anew. At the end the list goes and the attribute `complete` comes.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import files
from sigconv.tiles import _sinks
from sigconv.tiles._grid import Box, blocks
from sigconv.tiles._sinks import Place, array

DONE = ".tiles.jsonl"
META = "zarr.json"
AT_ONCE = 1 << 20  # numbers of a chunk


def filters_per_chunk(channels: int, block: Sequence[int]) -> int:
    """Channels of a chunk: as many as make a million numbers of it, and divide all.

    >>> filters_per_chunk(20, (64, 64, 64)), filters_per_chunk(20, (128, 128, 128))
    (4, 1)
    """
    most = max(min(AT_ONCE // max(int(np.prod(block)), 1), channels), 1)
    return next(n for n in range(most, 0, -1) if channels % n == 0 or n == 1)


class Store:
    """An array of (channels, *positions) that is written in whole chunks: block by block of positions."""

    def __init__(self, path: str) -> None:
        import zarr

        self.path = Path(path)
        self.array = zarr.open_array(store=str(path), mode="r+")
        self.chunks: tuple[int, ...] = self.array.chunks
        self.shape: tuple[int, ...] = self.array.shape
        self.positions, self.block = self.shape[1:], self.chunks[1:]
        self._empty: set[tuple[int, ...]] = set()  # chunks of nothing but zeros, which are not stored

    def write(self, place: Place, y: Tensor) -> None:
        """Some channels of some positions; whole chunks, for a part of one would be read and written by two at once."""
        for cut, n, chunk in zip(place, self.shape, self.chunks, strict=True):
            first, last = cut.start or 0, n if cut.stop is None else cut.stop
            if first % chunk or (last % chunk and last != n):
                raise AssertionError(f"{first} … {last} of {n} are no whole chunks of {chunk} in {str(self.path)!r}")
        values = array(y)
        self.array[place] = values
        for index in self._chunks(place):
            corners = [(i * c - (cut.start or 0), c) for i, c, cut in zip(index, self.chunks, place, strict=True)]
            if values[tuple(slice(first, first + c) for first, c in corners)].any():
                self._empty.discard(index)
            else:
                self._empty.add(index)

    def _chunks(self, place: Place) -> Iterator[tuple[int, ...]]:
        """The chunks of some channels of some positions, by their numbers along each axis."""
        spans = [
            range((cut.start or 0) // c, -(-(n if cut.stop is None else cut.stop) // c))
            for cut, n, c in zip(place, self.shape, self.chunks, strict=True)
        ]
        return itertools.product(*spans)

    def synced(self, place: Place) -> None:
        """The chunks of these positions are on the disk, and so are their names. OSError where one is not there."""
        found, folders = [], {self.path}
        for chunk in self._chunks(place):
            file = self.path.joinpath("c", *map(str, chunk))
            if not file.exists():
                if chunk not in self._empty:
                    raise OSError(
                        errno.ENOENT, "a chunk was written and is not there: does another delete it?", str(file)
                    )
                self._empty.discard(chunk)
                continue
            found.append(str(file))
            folders.update(file.parents[: len(self.shape) + 1])  # each may have come into being with the chunk
        files.synced([*found, *map(str, sorted(folders))])

    def written(self, tile: Box) -> None:
        """All of a tile is: its chunks are on the disk."""
        spans = [slice(a * b, min(z * b, n)) for (a, z), b, n in zip(tile, self.block, self.positions, strict=True)]
        self.synced((slice(None), *spans))


class Zarr(Store):
    """A store and its list of blocks that are done, held by this process."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.done: set[tuple[int, ...]] = set()
        self.complete = self.array.attrs.get("complete") is True
        if not self.complete:
            self._swept()
            self.done = _read(self.path / DONE)

    def written(self, tile: Box) -> None:
        """All of a tile is: its chunks are on the disk first, then a line says so."""
        super().written(tile)
        self.told(tile)

    def told(self, tile: Box) -> None:
        """The line."""
        with open(self.path / DONE, "ab") as file:
            file.write(json.dumps({"blocks": [list(span) for span in tile]}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.done.update(blocks(tile))

    def finished(self) -> str:
        """The path of the array that is complete."""
        if not self.complete:
            self._swept()
            whole = json.loads((self.path / META).read_bytes())
            whole["attributes"]["complete"] = True
            files.write_text(self.path / META, json.dumps(whole, indent=2))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path / DONE)
        return str(self.path)

    def _swept(self) -> None:
        """Delete what zarr itself had begun to write when it was killed: nobody writes now."""
        for leftover in (self.path / "c").rglob("*.partial"):
            leftover.unlink(missing_ok=True)

    def given_up(self) -> None:
        """What is done stays, to go on from."""


def _read(path: Path) -> set[tuple[int, ...]]:
    """The blocks whose lines are whole; what a killed process left of one is cut off."""
    found: set[tuple[int, ...]] = set()
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return found
    good = 0
    for line in text.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            spans = json.loads(line)["blocks"]
            found.update(blocks(tuple((int(a), int(b)) for a, b in spans)))
        except (ValueError, TypeError, KeyError):
            break
        good += len(line)
    if good < len(text):
        os.truncate(path, good)
    return found


def begun(path: str, shape: Sequence[int], dtype: torch.dtype, block: Sequence[int], said: dict[str, Any]) -> None:
    """A new array of zeros with its attributes and an empty list, there whole or not at all."""
    import zarr

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = _sinks.begun(target, folder=True)
    try:
        inner = [max(min(b, n), 1) for b, n in zip(block, shape[1:], strict=True)]
        zarr.create_array(
            store=str(folder),
            shape=tuple(shape),
            chunks=(filters_per_chunk(shape[0], inner), *inner),
            dtype=str(_sinks.numpy_of(dtype)),
            attributes=said,
        )
        (folder / DONE).touch()
        files.synced([str(folder / META), str(folder / DONE), str(folder)])
        os.chmod(folder, 0o777 & ~files._umask())
        os.rename(folder, target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        _sinks.ended(folder)
    files.sync_folder(target.parent)


def attributes(path: str) -> dict[str, Any] | None:
    """The attributes of the zarr array that is at a path; None where nothing is. ValueError for what is no array."""
    if not os.path.lexists(path):
        return None
    try:
        whole = json.loads(files.read_bytes(Path(path) / META, 1 << 24))
        return dict(whole["attributes"]) if whole["node_type"] == "array" else {}
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"out {path!r} is there already and is no zarr array: name another") from None
