"""Spoken digits: people saying zero to nine, a file a word.

Free Spoken Digit Dataset (CC BY-SA 4.0), https://github.com/Jakobovski/free-spoken-digit-dataset. Files are named
{digit}_{speaker}_{index}.wav; any speakers will do. Officially indices 0 to 4 are the test set. It shares its speakers
with the training set: a speaker left out is the honest question.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sigconv.datasets import _roots
from sigconv.datasets._parts import Arrays, Parts, held_back
from sigconv.readers import archive, wav

CLASSES = tuple("0123456789")
NAME = re.compile(r"(\d)_(.+)_(\d+)\.wav", re.IGNORECASE)
TEST_INDICES = range(5)


class Recording(NamedTuple):
    """One file: who says what, in which of their takes, and the sound, float32 (samples,), at fs Hz."""

    digit: int
    speaker: str
    take: int
    sound: np.ndarray
    fs: int


def load(root: Any = None, *, test_speaker: str | None = None, seconds: float = 1.0, seed: int = 0) -> Parts:
    """Recordings to train with, to choose by and to test on: the official test set, or all of one speaker.

    x is float32 (1, seconds · fs), the sound amid silence, cut where it is longer; y its digit. root is a folder with
    fsdd/recordings/, fsdd/recordings.zip or fsdd/*.wav. Each part has .fs and .speakers (one name an item). Raises
    FileNotFoundError where there are none, ValueError for a file that cannot be read and for an unknown speaker.
    """
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds {seconds} must be a finite number above 0")
    found = list(recordings(root))
    if not found:
        raise FileNotFoundError(
            f"no recordings {{digit}}_{{speaker}}_{{index}}.wav under {str(root or 'the data folder')!r}"
        )
    speakers = sorted({recording.speaker for recording in found})
    test_speaker = test_speaker if test_speaker is None else unicodedata.normalize("NFC", test_speaker)
    if test_speaker is not None and test_speaker not in speakers:
        raise ValueError(f"test speaker {test_speaker!r} is not one of {speakers}")
    rates = {recording.fs for recording in found}
    if len(rates) > 1:
        raise ValueError(f"the recordings have sampling rates {sorted(rates)}: expected one")
    fs = rates.pop()
    tested = torch.tensor(
        [r.take in TEST_INDICES if test_speaker is None else r.speaker == test_speaker for r in found]
    )
    if tested.all() or not tested.any():
        raise ValueError(
            f"{len(found)} recordings of {speakers} leave nothing to {'train with' if tested.all() else 'test on'}"
        )
    x = torch.from_numpy(np.stack([_amid(r.sound, round(seconds * fs)) for r in found]))[:, None]
    whole = Clips(x, torch.tensor([r.digit for r in found]), fs, [r.speaker for r in found])
    rest = whole.subset((~tested).nonzero().flatten())
    train, valid = held_back(len(rest), seed)
    return Parts(rest.subset(train), rest.subset(valid), whole.subset(tested.nonzero().flatten()))


class Clips(Arrays):
    """Recordings in memory, and who speaks in each."""

    def __init__(self, x: Any, y: Any, fs: int, speakers: list[str]) -> None:
        super().__init__(x, y, CLASSES)
        self.fs, self.speakers = fs, speakers

    def to(self, device: Any) -> Clips:
        """The same recordings on a device."""
        return Clips(self.x.to(device), self.y.to(device), self.fs, self.speakers)

    def subset(self, indices: torch.Tensor) -> Clips:
        """Some of the recordings."""
        return Clips(self.x[indices], self.y[indices], self.fs, [self.speakers[i] for i in indices.tolist()])


def recordings(root: Any = None) -> Iterator[Recording]:
    """Every recording of the data set, in the order of names."""
    for name, content in sorted(_files(_roots.find("fsdd", root, "spoken_digits.toml"))):
        plain = Path(name).name
        match = NAME.fullmatch(plain)
        if match is None:
            raise ValueError(f"{name!r} is not named {{digit}}_{{speaker}}_{{index}}.wav")
        sound, fs = wav.decode(content, name) if isinstance(content, bytes) else wav.read(content)
        speaker = unicodedata.normalize("NFC", match[2])
        yield Recording(int(match[1]), speaker, int(match[3]), sound.mean(0), fs)


def _files(place: Path) -> Iterator[tuple[str, bytes | Path]]:
    """(name, content or path) of the recordings in a folder or an archive; hidden files are passed over."""
    inside = place / "recordings"
    packed = [place] if place.is_file() else sorted([*place.glob("recordings.zip"), *place.glob("*.tar.gz")])
    if packed and not inside.is_dir():
        for name, content in archive.members(packed[0], ".wav"):
            if not Path(name).name.startswith("."):
                yield name, content
        return
    folder = inside if inside.is_dir() else place
    for path in folder.iterdir():
        if path.name.lower().endswith(".wav") and not path.name.startswith("."):
            yield str(path), path


def _amid(sound: np.ndarray, samples: int) -> np.ndarray:
    """The sound in the middle of so many samples: silence around it, or its ends cut."""
    missing = samples - len(sound)
    if missing < 0:
        return sound[-missing // 2 : -missing // 2 + samples]
    return np.pad(sound, (missing // 2, missing - missing // 2))
