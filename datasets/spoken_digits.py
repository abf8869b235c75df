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
from sigconv.datasets._parts import Arrays, Parts, amid, held_back
from sigconv.readers import archive, wav

CLASSES = tuple("0123456789")
NAME = re.compile(r"(\d)_(.+)_(\d+)\.wav", re.IGNORECASE)
TEST_INDICES = range(5)
FS = 8000  # Hz


class Recording(NamedTuple):
    """One file: who says what, in which of their takes, and the sound, float32 (samples,), at fs Hz."""

    digit: int
    speaker: str
    take: int
    sound: np.ndarray
    fs: int


def load(
    root: Any = None, *, test_speaker: str | None = None, seconds: float = 1.0, fs: int = FS, seed: int = 0
) -> Parts:
    """Recordings to train with, to choose by and to test on: the official test set, or all of one speaker.

    x is float32 (1, seconds · fs), the sound amid silence, or of a longer one the loudest part; y its digit. root is a
    folder with fsdd/recordings/, fsdd/recordings.zip or fsdd/*.wav, of any sampling rates: all are brought to fs Hz.
    Each part has .fs and .speakers (one name an item). Raises FileNotFoundError where there are none, ValueError for a
    file that cannot be read and for an unknown speaker.
    """
    return parted(everything(root, seconds=seconds, fs=fs), test_speaker, seed)


def everything(root: Any = None, *, seconds: float = 1.0, fs: int = FS) -> Clips:
    """All recordings, in the order of their names; as load has them."""
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds {seconds} must be a finite number above 0")
    found = list(recordings(root))
    if not found:
        raise FileNotFoundError(
            f"no recordings {{digit}}_{{speaker}}_{{index}}.wav under {str(root or 'the data folder')!r}"
        )
    sounds = [amid(at_rate(r.sound, r.fs, fs), round(seconds * fs)) for r in found]
    digits = torch.tensor([r.digit for r in found])
    x = torch.from_numpy(np.stack(sounds))[:, None]
    return Clips(x, digits, fs, [r.speaker for r in found], [r.take for r in found])


def parted(whole: Clips, test_speaker: str | None = None, seed: int = 0) -> Parts:
    """Recordings to train with, to choose by, and to test on: indices 0 to 4, or a speaker's."""
    speakers = sorted(set(whole.speakers))
    test_speaker = test_speaker if test_speaker is None else unicodedata.normalize("NFC", test_speaker)
    if test_speaker is not None and test_speaker not in speakers:
        raise ValueError(f"test speaker {test_speaker!r} is not one of {speakers}")
    who = zip(whole.speakers, whole.takes, strict=True)
    tested = torch.tensor([t in TEST_INDICES if test_speaker is None else s == test_speaker for s, t in who])
    if tested.all() or not tested.any():
        raise ValueError(
            f"{len(whole)} recordings of {speakers} leave nothing to {'train with' if tested.all() else 'test on'}"
        )
    rest = whole.subset((~tested).nonzero().flatten())
    train, valid = held_back(len(rest), seed)
    return Parts(rest.subset(train), rest.subset(valid), whole.subset(tested.nonzero().flatten()))


class Clips(Arrays):
    """Recordings in memory: who speaks in each, and which of their takes it is."""

    def __init__(self, x: Any, y: Any, fs: int, speakers: list[str], takes: list[int]) -> None:
        super().__init__(x, y, CLASSES)
        self.fs, self.speakers, self.takes = fs, speakers, takes

    def to(self, device: Any) -> Clips:
        """The same recordings on a device."""
        return Clips(self.x.to(device), self.y.to(device), self.fs, self.speakers, self.takes)

    def subset(self, indices: torch.Tensor) -> Clips:
        """Some of the recordings."""
        some = indices.tolist()
        who = [self.speakers[i] for i in some], [self.takes[i] for i in some]
        return Clips(self.x[indices], self.y[indices], self.fs, *who)


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


def at_rate(sound: np.ndarray, fs: int, wanted: int) -> np.ndarray:
    """The sound at another sampling rate."""
    if fs == wanted:
        return sound
    from sigconv.transforms.speech import resample

    return np.asarray(resample(sound, fs, wanted))
