"""Texts in folders: a folder of .txt files for each class, read character by character (AP4).

    reviews/                          load("reviews")
      good/  a.txt  b.txt  …          .classes are the names of the folders: ("bad", "good")
      bad/   c.txt  d.txt  …

A file belongs to one part whole, and files of the same name in several classes to the same part; then files are cut
into pieces of one length, and what is left at their ends is dropped. So is a piece for choosing or testing that stands,
letter for letter, in an earlier part. Without a folder, a corpus is made from the standard library of Python (PSF
licence): code, comments or docstrings? What is not UTF-8 becomes a token that stands for anything unknown.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sigconv import files, nd
from sigconv.datasets import _stdlib_text
from sigconv.datasets._parts import Arrays, Parts

ALPHABET = "\n\t" + "".join(map(chr, range(32, 127)))
UNKNOWN = len(ALPHABET)  # the token of every other character, and of what is missing at the end of a short text
FOLDER = "text_folder"  # under a data root
MOST_BYTES = 64 << 20  # of a file
MOST_FILES = 100_000  # of a class
BROKEN = 0.3  # of a file's characters may be none of UTF-8: what has more is no text


def load(
    root: Any = None, *, length: int = 64, one_hot: bool = False, most: int = 3000, modules: int = 240, seed: int = 0
) -> Parts:
    """Pieces of texts to train with, to choose by and to test on, and the class each is of.

    root        a folder of folders of .txt; else $SIGCONV_DATA/text_folder; else the corpus made of so many modules
    length      characters of a piece: x is int64 (length,), tokens as `encode` numbers them
    one_hot     x is float32 (97, length) instead, a channel for each character; unknown is 0 in all of them
    most        pieces of a class in training, and a quarter of it in the other parts, chosen by the seed

    Raises FileNotFoundError where there are no texts, and ValueError where a class has fewer than three files, where a
    file is no text, or too large.
    """
    length, most = nd.count(length, "length"), nd.count(most, "most", 4)
    around = os.environ.get("SIGCONV_DATA")
    if root is None and around and (Path(around) / FOLDER).is_dir():
        root = around
    if root is not None:
        here = Path(root)
        return _load(here / FOLDER if (here / FOLDER).is_dir() else here, length, one_hot, most, seed)
    with tempfile.TemporaryDirectory() as made:
        _stdlib_text.write(Path(made), nd.count(modules, "modules", 10))
        return _load(Path(made), length, one_hot, most, seed)


def encode(text: str) -> np.ndarray:
    """Characters as tokens, uint8 (characters,): their places in ALPHABET, and UNKNOWN for all others.

    >>> encode("a b é").tolist()
    [67, 2, 68, 2, 97]
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return _TABLE[np.minimum(points, len(_TABLE) - 1)]


def decode(tokens: Any) -> str:
    """Tokens as characters; unknown ones as the sign that stands for them.

    >>> decode(encode("a b é"))
    'a b \ufffd'
    """
    return "".join((ALPHABET + "\ufffd")[int(token)] for token in tokens)


_TABLE = np.full(128, UNKNOWN, np.uint8)
_TABLE[[ord(letter) for letter in ALPHABET]] = np.arange(len(ALPHABET))


def _load(folder: Path, length: int, one_hot: bool, most: int, seed: int) -> Parts:
    found = _files(folder)
    random = np.random.default_rng(seed)
    part_of = _assigned(found, random)
    seen: set[bytes] = set()
    parts = []
    for part in range(3):
        rows, labels = [], []
        for label, paths in enumerate(found.values()):
            mine = [path for path in paths if part_of[path.name] == part]
            pieces = _pieces(mine, length, seen)
            if not len(pieces):
                name = tuple(found)[label]
                raise ValueError(f"class {name!r} has no text of its own for the {Parts._fields[part]} part")
            kept = np.sort(random.permutation(len(pieces))[: most if part == 0 else most // 4])
            rows.append(pieces[kept])
            labels.append(np.full(len(kept), label))
        tokens = np.concatenate(rows)
        seen |= {row.tobytes() for row in tokens} if part < 2 else set()
        parts.append(_arrays(tokens, np.concatenate(labels), tuple(found), one_hot))
    return Parts(*parts)


def _files(folder: Path) -> dict[str, list[Path]]:
    """The .txt files of every class, in order."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {str(folder)!r}: expected a folder of .txt files for each class in it")
    found = {path.name: sorted(path.glob("*.txt")) for path in sorted(folder.iterdir()) if path.is_dir()}
    found = {name: paths for name, paths in found.items() if paths}
    if len(found) < 2:
        raise FileNotFoundError(f"{str(folder)!r} holds {len(found)} folders with .txt files: expected two or more")
    for name, paths in found.items():
        if not name.isprintable():  # a name in no known encoding would be found out by the picture, after training
            raise ValueError(f"class folder {name!r} has a name that cannot be shown: rename it")
        if not 3 <= len(paths) <= MOST_FILES:
            raise ValueError(f"class {name!r} has {len(paths)} .txt files: expected 3 (one a part) to {MOST_FILES}")
    return found


def _assigned(found: dict[str, list[Path]], random: np.random.Generator) -> dict[str, int]:
    """The part of every file name: a tenth, and at least one, of each class to choose by and to test on."""
    part_of: dict[str, int] = {}
    for name, paths in found.items():
        names = [path.name for path in paths]
        share = max(len(names) // 10, 1)
        free = [names[i] for i in random.permutation(len(names)) if names[i] not in part_of]
        for part in (2, 1):
            missing = max(share - sum(part_of.get(n) == part for n in names), 0)
            part_of |= dict.fromkeys(free[:missing], part)
            free = free[missing:]
        part_of |= dict.fromkeys(free, 0)
        lacking = {0, 1, 2} - {part_of[n] for n in names}
        if lacking:
            raise ValueError(
                f"class {name!r} shares so many file names with others that its {Parts._fields[min(lacking)]} part has "
                "no file: give files of different texts different names"
            )
    return part_of


def _pieces(paths: Sequence[Path], length: int, seen: set[bytes]) -> np.ndarray:
    """Texts cut into pieces, each kind once: uint8 (pieces, length). A text shorter than a piece is filled up."""
    kept: dict[bytes, None] = {}
    for path in paths:
        tokens = encode(_read(path))
        if 0 < len(tokens) < length:
            tokens = np.concatenate([tokens, np.full(length - len(tokens), UNKNOWN, np.uint8)])
        rows = tokens[: len(tokens) // length * length].reshape(-1, length)
        kept |= dict.fromkeys(piece for row in rows if (piece := row.tobytes()) not in seen)
    return np.frombuffer(b"".join(kept), np.uint8).reshape(-1, length)


def _read(path: Path) -> str:
    """A file's text, what is not UTF-8 replaced; refused where that is much of it."""
    text = files.read_bytes(path, MOST_BYTES).decode("utf-8", "replace")
    broken = text.count("\ufffd") + text.count("\0")
    if broken > BROKEN * len(text):
        raise ValueError(f"{str(path)!r} is not a text in UTF-8: {broken} of its {len(text)} characters are none")
    return text.replace("\r\n", "\n")


def _arrays(tokens: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], one_hot: bool) -> Arrays:
    x = torch.from_numpy(tokens).long()
    if one_hot:
        x = torch.nn.functional.one_hot(x, UNKNOWN + 1)[..., :UNKNOWN].transpose(1, 2).float().contiguous()
    return Arrays(x, torch.from_numpy(labels), classes)
