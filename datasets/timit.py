"""TIMIT, and any recordings in its format: sentences with the time of every phone.

Garofolo et al. 1993, LDC93S1, 16 kHz; it is not given out freely, so nothing is downloaded. Any case of letters will
do, for copies differ:

    timit/TRAIN/DR1/FCJF0/SX37.WAV    NIST SPHERE or RIFF; SX37.WAV.wav is the RIFF copy of it, and taken
    timit/TRAIN/DR1/FCJF0/SX37.PHN    a phone a line: first sample, sample after the last, name
    timit/TEST/…

The two sentences that everyone speaks (sa) are left out. The test set is the core set of 24 speakers if all of them are
there, else all of TEST; where half of them or more are, but not all, nothing is tested on. To choose by there are
Halberstadt's 50 speakers of TEST if all are there, else the rest of TEST; where nothing is left of it, a tenth of the
training speakers, chosen by the seed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sigconv.datasets._parts import Parts, held_back
from sigconv.datasets._phones import PHONES_61, known
from sigconv.readers import phn, wav

_CORE = """mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0
    mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0"""
_DEVELOPMENT = """faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 fedw0 mgjf0
    mglb0 mrtk0 mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 mdvc0 mers0 fmah0 fdrw0 mrcs0 mrjm4
    fcal1 mmwh0 fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 mteb0 mjfc0 mrjr0 fmml0 mrws1"""
CORE, DEVELOPMENT = frozenset(_CORE.split()), frozenset(_DEVELOPMENT.split())
SHARED = re.compile(r"sa\d+")  # the sentences that everyone speaks
SOUND = re.compile(r"(.+?)\.wav(\.wav)?", re.IGNORECASE)


class Utterance(NamedTuple):
    """A sentence: who says it, the file of its sound, and the file of its phones."""

    speaker: str
    sound: Path
    phones: Path


class Spoken(NamedTuple):
    """A sentence as it was read: float32 (samples,) at fs Hz, and (first sample, sample after the last, phone)."""

    sound: np.ndarray
    fs: int
    phones: list[tuple[int, int, str]]


class Sentences:
    """Sentences, each read when it is asked for. As a data set x is float32 (1, samples) and y int64 (samples,): the
    place in .classes of the phone that each sample is of, -1 where the file names none.
    """

    classes = PHONES_61

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self.utterances = list(utterances)
        self.speakers = [one.speaker for one in self.utterances]

    def __len__(self) -> int:
        return len(self.utterances)

    def spoken(self, index: int) -> Spoken:
        """A sentence's sound and phones; ValueError, naming the file, for one that cannot be read."""
        _, path, labels = self.utterances[index]
        found, fs = wav.read(path)  # NIST SPHERE too
        sound = found.mean(0)
        phones = [(int(begin), int(end), str(phone).lower()) for begin, end, phone in phn.read(labels)]
        if not phones:
            raise ValueError(f"{str(labels)!r} names no phones")
        for begin, end, phone in phones:
            try:
                known(phone)
            except ValueError as error:
                raise ValueError(f"{str(labels)!r}: {error}") from None
            if not 0 <= begin < end <= len(sound) + fs // 10:  # the originals end a little after the sound
                raise ValueError(
                    f"{str(labels)!r} says {phone!r} lasts from sample {begin} to {end}, of the {len(sound)} there are"
                )
        return Spoken(sound, fs, phones)

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """One sentence and the phone of each of its samples."""
        found = self.spoken(index)
        y = torch.full((len(found.sound),), -1)
        for begin, end, phone in found.phones:
            y[begin:end] = PHONES_61.index(phone)
        return torch.from_numpy(found.sound)[None], y


def load(root: Any = None, *, seed: int = 0) -> Parts:
    """Sentences to train with, to choose by and to test on: no speaker is in two parts.

    root is a folder that holds timit/ (or TIMIT/), or TRAIN and TEST; else $SIGCONV_DATA. FileNotFoundError where they
    are not there, or a sentence has no phones or no sound; ValueError where a speaker is both in TRAIN and in TEST, and
    where TEST has at least half of the core set, but not all of it.
    """
    home = _home(root)
    parts = {part: _utterances(_child(home, part)) for part in ("train", "test")}
    speakers = {part: sorted({one.speaker for one in found}) for part, found in parts.items()}
    both = set(speakers["train"]) & set(speakers["test"])
    if both:
        raise ValueError(f"speaker {min(both)!r} is both in TRAIN and in TEST of {str(home)!r}")
    missing = sorted(CORE - set(speakers["test"]))
    if 0 < len(missing) <= len(CORE) // 2:
        raise ValueError(
            f"TEST of {str(home)!r} lacks {', '.join(missing)} of the core set's {len(CORE)} speakers: without them it "
            "would be another test, on all of TEST"
        )
    tested = CORE if set(speakers["test"]) >= CORE else set(speakers["test"])
    rest = set(speakers["test"]) - tested
    chosen = DEVELOPMENT if rest >= DEVELOPMENT else rest
    if not chosen:
        names = speakers["train"]
        if len(names) < 2:
            raise ValueError(f"TRAIN of {str(home)!r} has one speaker: expected two or more, some of them to choose by")
        chosen = {names[i] for i in held_back(len(names), seed)[1].tolist()}
    train = [one for one in parts["train"] if one.speaker not in chosen]
    valid = [one for found in parts.values() for one in found if one.speaker in chosen]
    test = [one for one in parts["test"] if one.speaker in tested]
    return Parts(Sentences(train), Sentences(valid), Sentences(test))


def _utterances(folder: Path) -> list[Utterance]:
    """Every sentence of a part but the sa ones, by dialect, speaker and name."""
    found = []
    for speaker in sorted(path for region in _folders(folder) for path in _folders(region)):
        here = {path.name.lower(): path for path in sorted(speaker.iterdir()) if not path.name.startswith(".")}
        sounds: dict[str, Path] = {}
        for name, path in sorted(here.items(), key=lambda pair: len(pair[0])):  # the longer name, .wav.wav, is last
            match = SOUND.fullmatch(name)
            if match:
                sounds[match[1]] = path
        marked = {name.removesuffix(".phn") for name in here if name.endswith(".phn")}
        for stem in sorted(marked - set(sounds)):
            if not SHARED.fullmatch(stem):
                raise FileNotFoundError(f"{str(here[f'{stem}.phn'])!r} has no {stem}.wav beside it, which it is about")
        for stem, path in sorted(sounds.items()):
            if SHARED.fullmatch(stem):
                continue
            if f"{stem}.phn" not in here:
                raise FileNotFoundError(f"{str(path)!r} has no {stem}.phn beside it, which says where its phones are")
            found.append(Utterance(speaker.name.lower(), path, here[f"{stem}.phn"]))
    if not found:
        raise FileNotFoundError(f"no sentences in {str(folder)!r}: expected DR1/SPEAKER/SENTENCE.WAV and .PHN")
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _child(folder: Path, name: str) -> Path:
    """The folder of that name, whatever the case of its letters."""
    for path in _folders(folder):
        if path.name.lower() == name:
            return path
    raise FileNotFoundError(f"{str(folder)!r} has no folder {name.upper()}: expected TRAIN and TEST, as TIMIT has them")


def _home(root: Any) -> Path:
    """The folder that holds TRAIN and TEST: one called timit before the root itself, which may hold other sets' too."""
    around = root if root is not None else os.environ.get("SIGCONV_DATA")
    half: Path | None = None
    if around is not None and Path(around).is_dir():
        for here in _places(Path(around)):
            both = {path.name.lower() for path in _folders(here)} & {"train", "test"}
            if len(both) == 2:
                return here
            half = half or (here if both else None)
    if half is not None:
        for part in ("train", "test"):
            _child(half, part)  # says which of them is missing
    where = f"under {str(around)!r}" if around is not None else "(no --data-root given, SIGCONV_DATA is not set)"
    raise FileNotFoundError(
        f"no data set 'timit' {where}: expected timit/TRAIN and timit/TEST. It has to be bought (LDC93S1), or any "
        "recordings put into its format"
    )


def _places(root: Path) -> Iterator[Path]:
    """Where the set may lie: in timit/, in timit/TIMIT/ as the disc has it, in data/; then so in the root itself."""
    for base in (*_named(root, "timit"), root):
        level = [base]
        for _ in range(3):
            yield from level
            level = [path for here in level for path in _named(here, "timit", "data")]


def _named(folder: Path, *names: str) -> list[Path]:
    return [path for path in _folders(folder) if path.name.lower() in names]
