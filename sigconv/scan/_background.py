"""How often A, C, G and T come where no motif is: by name, by numbers, or from a file."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np

from sigconv import files
from sigconv.transforms.dna._scores import frequencies

MOST_BYTES = 1 << 20


def background(text: str) -> np.ndarray:
    r"""Probabilities of A C G T, (4,) float64, from "uniform", four numbers "A,C,G,T", or a file as MEME writes them.

    Such a file has lines `A 0.29`, one for each letter; `#` begins a comment, words of several letters (higher orders)
    are passed over. ValueError for what is none of these, naming the file and line; OSError for a file that cannot be
    read.

    >>> background("0.3,0.2,0.2,0.3").tolist()
    [0.3, 0.2, 0.2, 0.3]
    """
    if text == "uniform":
        return frequencies(None)
    numbers = [_number(part) for part in text.split(",")]
    if len(numbers) == 4 and None not in numbers:
        return frequencies([number for number in numbers if number is not None])
    if not Path(text).exists():
        raise ValueError(f"background {text!r} is not uniform, four numbers A,C,G,T, or a file that is there")
    return _read(text)


def _read(path: str | os.PathLike[str]) -> np.ndarray:
    name = os.fspath(path)
    found: dict[str, float] = {}
    for number, line in enumerate(files.read_bytes(path, MOST_BYTES).decode("latin-1").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words or re.fullmatch("[ACGTUacgtu]{2,}", words[0]):
            continue
        letter, value = words[0].upper().replace("U", "T"), _number(words[-1])
        if len(words) != 2 or letter not in list("ACGT") or letter in found or value is None:
            raise ValueError(f"{name!r} line {number}: {line[:60]!r} is not a letter of A C G T, once, and a number")
        found[letter] = value
    if len(found) < 4:
        raise ValueError(f"{name!r} has no line for {' '.join(sorted(set('ACGT') - set(found)))}")
    try:
        return frequencies([found[letter] for letter in "ACGT"])
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}") from None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
