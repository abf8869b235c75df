"""Speech Commands: people saying one word, a second each, and recordings of background noise.

Speech Commands v0.02 (CC BY 4.0), Warden 2018, arXiv:1804.03209. Any folder in its layout will do:

    speech_commands/
      validation_list.txt  testing_list.txt    word/file.wav a line; what neither names is trained with
      yes/  no/  …                             .wav files, one sampling rate for all; the words are the folders' names
      _background_noise_/                      .wav files of any length

A speaker is in one part only, as the official lists have it. Nothing of a noise recording is in two parts either: its
first eight tenths are heard in training, a tenth each is for choosing and for testing.
"""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sigconv import files
from sigconv.datasets import _roots
from sigconv.datasets._clips import SILENCE, Clips
from sigconv.datasets._parts import Parts
from sigconv.datasets._unpacked import unpacked, whole
from sigconv.readers import wav

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")  # of the task of 12 classes
UNKNOWN = "_unknown_"  # any other word
SHARE = 0.1  # silence and unknown words, each as a part of the recordings of commands
FOLDER, NOISE, MANIFEST = "speech_commands", "_background_noise_", "speech_commands.toml"
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
NOISE_SHARES = {"train": (0.0, 0.8), "valid": (0.8, 0.9), "test": (0.9, 1.0)}
HELD = 2 << 30  # bytes of all parts together that are read at once and held in memory
MOST_LIST = 64 << 20  # bytes


class Found(NamedTuple):
    """A folder's recordings: names of each part ("yes/a.wav", sorted), all its words, and where it is."""

    home: Path
    words: tuple[str, ...]
    names: dict[str, list[str]]


def load(root: Any = None, *, classes: int = 35, seconds: float = 1.0, seed: int = 0, held: int = HELD) -> Parts:
    """Words to train with, to choose by and to test on, as the official lists part them.

    root       a folder that holds speech_commands/, or is it; else $SIGCONV_DATA, the cache, a download of 2.4 GB,
               which is unpacked in the cache once
    classes    35: every word there is, whatever their number. 12: the ten commands, _silence_ and _unknown_, a tenth as
               many of each as of commands (Warden 2018). Unknown words to train with are chosen by the seed; silence is
               cut from the noise anywhere, at any level, in training anew each time. Validation and test set are
               always the same
    seconds    length of a clip, the sound amid silence; of a longer one the loudest part
    held       bytes: parts that take no more as 16-bit numbers are read at once, else each clip when it is asked for

    x is float32 (1, seconds · fs), y the place of its word in .classes. Each part has .fs, .names and .noise, its share
    of the recordings of noise, float32 (samples,) each. FileNotFoundError where lists, words or files they name are
    missing, ValueError for a file that cannot be read or has another sampling rate, for lists that share a speaker and
    for two archives where one is expected: one line, with the name.
    """
    if classes not in (12, 35):
        raise ValueError(f"classes {classes} must be 35 (every word) or 12 (ten commands, silence, unknown words)")
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds {seconds} must be a finite number above 0")
    found = find(_home(root))
    fs = wav.read(found.home / found.names["train"][0])[1]
    samples = round(seconds * fs)
    if samples < 1:
        raise ValueError(f"seconds {seconds} is no sample at {fs} Hz")
    noise = _noise(found.home, fs)
    if classes == 12 and not any(len(part) for part in noise["train"]):
        raise FileNotFoundError(f"no recordings in {str(found.home / NOISE)!r}: the task of 12 classes needs silence")
    parts = []
    for place, (part, names) in enumerate(found.names.items()):
        labels: Sequence[str] = [_plain(name).partition("/")[0] for name in names]
        if classes == 12:
            names, labels = _twelve(found, part, np.random.default_rng((0 if place else seed, place)))
        fixed = None if part == "train" else (0, place)  # whatever the seed, one validation and one test set
        known = (*COMMANDS, SILENCE, UNKNOWN) if classes == 12 else found.words
        y = torch.tensor([known.index(label) for label in labels])
        parts.append(Clips(found.home, names, y, known, fs, samples, noise[part], fixed))
    if sum(part.size for part in parts) <= held:
        parts = [part.read() for part in parts]
    return Parts(*parts)


def find(home: Path) -> Found:
    """What is in a folder, its lists held against its files."""
    words = {}
    for folder in sorted(path for path in home.iterdir() if path.is_dir() and path.name[0] not in "._"):
        word = unicodedata.normalize("NFC", folder.name)
        words[word] = [f"{folder.name}/{name}" for name in sorted(_wavs(folder))]
        if not words[word]:
            raise ValueError(f"word {word!r} has no .wav files: {str(folder)!r} is empty")
    if len(words) < 2:
        raise FileNotFoundError(f"{str(home)!r} has {len(words)} folders of words: expected two or more")
    everything = {_plain(name): name for names in words.values() for name in names}
    part_of = dict.fromkeys(everything, "train")
    for part, listing in LISTS.items():
        for name in _listed(home / listing):
            if name not in everything:
                raise FileNotFoundError(f"{listing} names {name!r}, which is not in {str(home)!r}")
            if part_of[name] not in ("train", part):
                raise ValueError(f"{name!r} is in both lists of {str(home)!r}: it cannot be chosen by and tested on")
            part_of[name] = part
    _apart(home, part_of)
    names = {part: [everything[n] for n in everything if part_of[n] == part] for part in ("train", *LISTS)}
    for part in names:
        if not names[part]:
            raise ValueError(f"the lists in {str(home)!r} leave no recordings for the {part} part")
    missing = sorted(set(words) - {_plain(name).partition("/")[0] for name in names["train"]})
    if missing:
        raise ValueError(f"word {missing[0]!r} has nothing to train with: the lists name all its files")
    return Found(home, tuple(words), names)


def _apart(home: Path, part_of: dict[str, str]) -> None:
    """ValueError where the lists share a speaker: what stands before _nohash_ in a file's name."""
    listed: dict[str, str] = {}
    for name, part in part_of.items():
        speaker, marked, _ = name.rpartition("/")[2].partition("_nohash_")
        if marked and part in LISTS and listed.setdefault(speaker, part) != part:
            raise ValueError(
                f"speaker {speaker!r} ({name!r}) is in both lists of {str(home)!r}: they must have their own each"
            )


def _twelve(found: Found, part: str, random: np.random.Generator) -> tuple[list[str], list[str]]:
    """Names and labels of a part: commands, then silence, then other words."""
    lacking = [word for word in COMMANDS if word not in found.words]
    if lacking or len(found.words) == len(COMMANDS):
        what = f"lacks {', '.join(lacking)}" if lacking else "has no other words"
        raise ValueError(f"{str(found.home)!r} {what}: 12 classes need {', '.join(COMMANDS)}, and unknown words")
    word_of = {name: _plain(name).partition("/")[0] for name in found.names[part]}
    known = [name for name, word in word_of.items() if word in COMMANDS]
    others = [name for name, word in word_of.items() if word not in COMMANDS]
    count = math.ceil(SHARE * len(known))
    chosen = [others[i] for i in sorted(random.permutation(len(others))[:count].tolist())]
    labels = [word_of[name] for name in known] + [SILENCE] * count + [UNKNOWN] * len(chosen)
    return [*known, *[SILENCE] * count, *chosen], labels


def _noise(home: Path, fs: int) -> dict[str, list[torch.Tensor]]:
    """Each part's share of every recording of noise."""
    parts: dict[str, list[torch.Tensor]] = {part: [] for part in NOISE_SHARES}
    folder = home / NOISE
    for name in sorted(_wavs(folder)) if folder.is_dir() else ():
        sound, rate = wav.read(folder / name)
        if rate != fs:
            raise ValueError(f"{str(folder / name)!r} is sampled at {rate} Hz, the words at {fs}: expected one rate")
        wave = torch.from_numpy(sound.mean(0))
        shares = {p: wave[round(a * len(wave)) : round(b * len(wave))] for p, (a, b) in NOISE_SHARES.items()}
        if all(len(share) for share in shares.values()):  # one too short for a part is left out of all
            for part, share in shares.items():
                parts[part].append(share.clone())
    return parts


def _wavs(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [e.name for e in entries if e.name.lower().endswith(".wav") and not e.name.startswith(".")]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _listed(path: Path) -> list[str]:
    """The names a list holds."""
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {str(path.parent)!r}: it says which recordings are which part's")
    text = files.read_bytes(path, MOST_LIST).decode("utf-8-sig", "replace")
    return [_plain(line.strip()) for line in text.splitlines() if line.strip()]


def _home(root: Any) -> Path:
    """The folder that has the lists, unpacked if there is only the archive."""
    place = _place(root)
    packed = [place] if place.is_file() else sorted(place.glob("*.tar.gz"))
    if not place.is_file():
        inner = [place, *sorted(path for path in place.iterdir() if path.is_dir())]
        for here in inner:
            if any((here / listing).is_file() for listing in LISTS.values()):
                return here
    if not packed:
        raise FileNotFoundError(f"{str(place)!r} has no {' and no '.join(LISTS.values())}: expected them beside words")
    if len(packed) > 1:
        two = " and ".join(repr(path.name) for path in packed[:2])
        raise ValueError(f"{str(place)!r} holds two archives, {two}: leave the one that is meant there")
    return unpacked(packed[0], _roots.cached(FOLDER), (".wav", ".txt"))


def _place(root: Any) -> Path:
    """Where the set is: a folder, or the archive."""
    if root is not None and any((Path(root) / listing).is_file() for listing in LISTS.values()):
        return Path(root)
    around = os.environ.get("SIGCONV_DATA")
    if root is None and not (around and (Path(around) / FOLDER).exists()):
        there = whole(_roots.cached(FOLDER), _roots.facts(MANIFEST)["sha256"])
        if there is not None:
            return there  # the archive's checksum was looked at when it was unpacked
    return _roots.find(FOLDER, root, MANIFEST)
