"""Clips of videos in files: decoded when they are asked for, or kept in memory at the size they are cut from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv import console, nd
from sigconv.readers import video as reader
from sigconv.transforms import video

AT_ONCE = 16 << 20  # bytes of frames that are read before they are made smaller


class Known(NamedTuple):
    """A video: where it is, its name under the folder, its class, its frames, how many a second has, height, width."""

    path: Path
    name: str
    label: int
    frames: int
    fs: float
    size: tuple[int, int]


class Shape(NamedTuple):
    """Of a clip: frames, every how many-th of a video (or how many a second), pixels to a side, and of what is cut."""

    length: int
    stride: int
    fs: float | None
    size: int
    short_side: int


class Videos:
    """Clips x float32 (3, length, size, size) in [0, 1], and y: the class of the video each is of.

    names are the videos', bad those that could not be read, each (name, why). With varied, an item's generator says
    where its clip begins and what is cut of the frames; else both are the middle. An item that breaks while it is read
    is told, and the next of its class stands for it.
    """

    def __init__(
        self, known: Sequence[Known], classes: Sequence[str], shape: Shape, varied: bool, held: int, bad: Any = ()
    ) -> None:
        self.known, self.classes, self.shape, self.varied, self.room = list(known), tuple(classes), shape, varied, held
        self.names, self.bad = [one.name for one in known], list(bad)
        self.y = torch.tensor([one.label for one in known], dtype=torch.int64)
        self.memory: dict[int, Tensor] = {}
        self.broken: set[int] = set()

    def __len__(self) -> int:
        return len(self.known)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One clip and its class."""
        generator = generator if self.varied else None
        drawn = lambda one: video.clip(one.frames, self.shape.length, stride=self._stride(one), generator=generator)
        return self._first_whole(index, drawn, generator), self.y[index]

    def clip(self, index: int, number: int, of: int) -> Tensor:
        """Clip number of so many spread evenly over a video, the middle of its frames: (3, length, size, size)."""
        drawn = lambda one: video.clips(one.frames, self.shape.length, of, stride=self._stride(one))[number]
        return self._first_whole(index, drawn, None)

    def _stride(self, one: Known) -> int:
        return self.shape.stride if self.shape.fs is None else max(round(one.fs / self.shape.fs), 1)

    def _first_whole(self, index: int, drawn: Any, generator: torch.Generator | None) -> Tensor:
        """The clip of this video, or of the next of its class that can be read."""
        start = None if generator is None else generator.get_state()
        for step in range(len(self)):
            place = (index + step) % len(self)
            if place in self.broken or self.known[place].label != self.known[index].label:
                continue
            if generator is not None and start is not None:
                generator.set_state(start)
            try:
                frames = self._frames(place, drawn(self.known[place]))
            except (ValueError, OSError) as error:
                self.broken.add(place)
                self.bad.append((self.names[place], str(error)))
                console.say(f"left out: {error}")
                continue
            return video.crop(frames, self.shape.size, generator=generator).float() / 255
        raise ValueError(f"no video of class {self.classes[self.known[index].label]!r} can be read any more")

    def _frames(self, place: int, wanted: Tensor) -> Tensor:
        """These frames of a video, resized, uint8; from memory, where all of it is kept."""
        one = self.known[place]
        if place in self.memory:
            return self.memory[place][:, wanted]
        if one.frames * 3 * self.shape.short_side**2 * max(one.size) / min(one.size) <= self.room:
            whole = self._read(one)
            if whole.shape[1] <= int(wanted.max()):
                raise ValueError(f"{str(one.path)!r} has {whole.shape[1]} frames of the {one.frames} it said")
            if whole.nbytes <= self.room:
                self.room -= whole.nbytes
                self.memory[place] = whole
            return whole[:, wanted]
        first, steps = int(wanted.min()), (wanted - wanted.min()).tolist()
        every = math.gcd(*steps) or 1
        found = self._read(one, start=first, frames=max(steps) // every + 1, every=every)
        return found[:, torch.tensor(steps) // every]

    def _read(self, one: Known, **wanted: int) -> Tensor:
        """Frames of a video, resized, uint8; some at a time, for they may be large."""
        blocks = reader.blocks(one.path, max(AT_ONCE // (3 * math.prod(one.size)), 1), **wanted)
        return torch.cat([self._small(block.transpose(3, 0, 1, 2)) for block in blocks], 1)

    def _small(self, frames: np.ndarray) -> Tensor:
        return video.resize(torch.from_numpy(np.ascontiguousarray(frames)), self.shape.short_side)


class Views:
    """So many clips of each video, spread evenly over it: item v · count + k is the k-th of video v."""

    def __init__(self, videos: Videos, count: int) -> None:
        self.dataset, self.count, self.classes = videos, nd.count(count, "count"), videos.classes

    def __len__(self) -> int:
        return self.count * len(self.dataset)

    def item(self, index: int, generator: Any = None) -> tuple[Tensor, Tensor]:
        """One clip, and its video's class."""
        place, number = divmod(int(index), self.count)
        return self.dataset.clip(place, number, self.count), self.dataset.y[place]
