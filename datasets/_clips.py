"""Recordings in files, one length for all: each read when it is asked for, or all held in memory as 16-bit numbers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigconv.datasets._parts import amid
from sigconv.readers import wav

SILENCE = "_silence_"  # the name of a clip that is cut from the noise
FULL = 32768.0  # 16-bit numbers to 1


class Clips:
    """Clips x float32 (1, samples), and y: their places in .classes.

    home, names    a folder and the files in it; SILENCE is cut from the noise, at any level up to its own
    fs, samples    Hz, which every file must have, and samples of a clip
    noise          recordings, float32 (n,) each
    fixed          None: silence is drawn from an item's generator; else numbers to draw it by, once
    """

    def __init__(
        self,
        home: Path,
        names: Sequence[str],
        y: Tensor,
        classes: Sequence[str],
        fs: int,
        samples: int,
        noise: Sequence[Tensor],
        fixed: tuple[int, int] | None = None,
    ) -> None:
        self.home, self.names, self.y, self.classes = home, list(names), y, tuple(classes)
        self.fs, self.samples, self.noise = fs, samples, list(noise)
        self.held: Tensor | None = None
        self.silent = torch.tensor([name == SILENCE for name in self.names])
        self.draws: Tensor | None = None
        if fixed is not None:
            generator = torch.Generator().manual_seed(1_000_003 * fixed[0] + fixed[1])
            self.draws = torch.rand(len(self.names), 3, generator=generator, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def ready(self) -> bool:
        """Whether there is nothing for workers to make."""
        return self.held is not None

    @property
    def size(self) -> int:
        """Bytes that the clips would take in memory."""
        return 2 * len(self) * self.samples

    @property
    def nbytes(self) -> int:
        """What they take of a device's memory."""
        return 0 if self.held is None else self.held.nbytes + self.y.nbytes

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One clip and its class."""
        if self.names[index] == SILENCE:
            return self._silence(index, generator)[None], self.y[index]
        wave = self._file(index) if self.held is None else self.held[index] / FULL
        return wave[None], self.y[index]

    def batch(self, indices: Tensor, generators: Sequence[Any] | None = None) -> tuple[Tensor, Tensor]:
        """Many at once; by one gather where they are held."""
        drawn: Any = [None] * len(indices) if generators is None else generators
        if self.held is None:
            x = torch.stack([self.item(int(i), g)[0] for i, g in zip(indices, drawn, strict=True)])
            return x, self.y[indices]
        there = indices.to(self.held.device)
        x = self.held[there] / FULL
        for row in self.silent[indices.cpu()].nonzero().flatten().tolist():
            x[row] = self._silence(int(indices[row]), drawn[row]).to(x.device)
        return x[:, None], self.y[there]

    def read(self) -> Clips:
        """The same clips, held in memory."""
        held = torch.zeros(len(self), self.samples, dtype=torch.int16)
        for index in (~self.silent).nonzero().flatten().tolist():
            held[index] = (self._file(index) * FULL).round().clamp(-FULL, FULL - 1).to(torch.int16)
        return self._with(held, self.y)

    def to(self, device: Any) -> Clips:
        """The same clips on a device, if they are held."""
        return self if self.held is None else self._with(self.held.to(device), self.y.to(device))

    def _with(self, held: Tensor, y: Tensor) -> Clips:
        found = copy.copy(self)
        found.held, found.y = held, y
        return found

    def _file(self, index: int) -> Tensor:
        path = self.home / self.names[index]
        sound, fs = wav.read(path)
        if fs != self.fs:
            raise ValueError(f"{str(path)!r} is sampled at {fs} Hz, others at {self.fs}: expected one rate for all")
        return torch.from_numpy(amid(sound.mean(0), self.samples))

    def _silence(self, index: int, generator: torch.Generator | None) -> Tensor:
        """A piece of some recording of noise, at some level: (samples,)."""
        drawn = torch.rand(3, generator=generator, dtype=torch.float64) if self.draws is None else self.draws[index]
        which, where, level = drawn.tolist()
        return level * cut(self.noise, which, where, self.samples)


def cut(noise: Sequence[Tensor], which: float, where: float, samples: int) -> Tensor:
    """So many samples of one of several recordings: which and where are numbers in [0, 1). A short one is repeated.

    >>> cut([torch.arange(5.0), torch.ones(2)], 0.4, 0.6, 3)
    tensor([1., 2., 3.])
    """
    wave = noise[int(which * len(noise))]
    if len(wave) < samples:
        wave = wave.repeat(-(-samples // len(wave)))
    first = int(where * (len(wave) - samples + 1))
    return wave[first : first + samples]
