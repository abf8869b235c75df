"""What features are called: the input's name with another ending, in a tree that mirrors the input's."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sigconv import files
from sigconv.extraction import _kinds

RECORD = "extraction.json"  # a folder that holds this one is what an extraction wrote
MANIFEST, FAILURES, JOURNAL = "manifest.jsonl", "failures.jsonl", "journal.jsonl"
OWN = (RECORD, MANIFEST, FAILURES, JOURNAL, files.LOCK, *(f"features.{ending}" for ending in _kinds.TABLES))
LONGEST = 255  # bytes of a name, nearly everywhere
MARK = 8  # hexadecimal digits that tell names apart which were cut


class Place(NamedTuple):
    """A file, the top of the tree it was found in, its kind, and what is wrong with it."""

    top: str
    path: str
    kind: str
    why: str


def identity(path: str) -> tuple[int, int]:
    """A folder by what the file system calls it; a pair of its own for one that is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return (-1, -1)
    return (status.st_dev, status.st_ino)


def outputs(places: Sequence[Place], wanted: str) -> list[tuple[str, str]]:
    """For every place a name below DIR, and the same with its features' ending; no two are alike.

    Inputs whose features would have one name keep their own endings; trees that would meet get a folder each, called
    as their top is.

    >>> both = [Place("a", f"a/x.{end}", "sound", "") for end in ("wav", "flac")]
    >>> [output for _, output in outputs(both, "auto")]
    ['x.wav.npy', 'x.flac.npy']
    >>> two = [Place(top, f"{top}/x.wav", "sound", "") for top in "ab"]
    >>> [output for _, output in outputs(two, "auto")]
    ['a/x.npy', 'b/x.npy']
    """
    tops = list(dict.fromkeys(place.top for place in places))
    folders, whole = dict.fromkeys(tops, ""), [False] * len(places)
    own = _own(tops)
    while True:
        names = [_named(place, folders[place.top], full, wanted) for place, full in zip(places, whole, strict=True)]
        owners: dict[str, set[str]] = {}
        for place, (_, output) in zip(places, names, strict=True):
            owners.setdefault(output, set()).add(place.top)
        met = {top for tops in owners.values() if len(tops) > 1 for top in tops if not folders[top]}
        if met:
            folders |= {top: own[top] for top in met}
            continue
        count = Counter(output for _, output in names)
        above = {folder for _, output in names for folder in _above(output)}
        again = [number for number, (_, output) in enumerate(names) if count[output] > 1 or output in above]
        again = [number for number in again if not whole[number]]
        if not again:
            return [_apart(pair, above) for pair in names]
        for number in again:
            whole[number] = True


def _named(place: Place, folder: str, full: bool, wanted: str) -> tuple[str, str]:
    inside = os.path.relpath(place.path, place.top or os.curdir) if place.path != place.top else ""
    head, base = os.path.split(inside)
    ending = _kinds.ending_of(base)
    more = _kinds.extension(place.kind, wanted, ending) if place.kind else ""
    stem = base if full or not place.kind else base[: len(base) - len(ending)] if ending else base
    head = _others(os.path.join(folder, head) if folder else head)
    return os.path.join(head, base), os.path.join(head, shortened(stem, more))


def _others(folder: str) -> str:
    """A folder below DIR that is none of DIR's own files: one that bears such a name gets digits of its own."""
    first, sign, rest = folder.partition(os.sep)
    return f"{first}-{_digits(first)}{sign}{rest}" if first in OWN else folder


def shortened(stem: str, ending: str) -> str:
    """A name that a file system takes: one too long is cut, and told apart by digits of its SHA-256.

    >>> shortened("a", ".npy"), len(shortened("é" * 127, ".zarr").encode())
    ('a.npy', 254)
    """
    whole = os.fsencode(stem + ending)
    if len(whole) <= LONGEST:
        return stem + ending
    mark = f"-{_digits(stem + ending)}{ending}"
    room, kept = LONGEST - len(os.fsencode(mark)), stem
    while len(os.fsencode(kept)) > room:  # by letters, so that none is torn
        kept = kept[:-1]
    return kept + mark


def _above(name: str) -> list[str]:
    """The folders a name is in."""
    found = []
    while name := os.path.dirname(name):
        found.append(name)
    return found


def _apart(pair: tuple[str, str], above: set[str]) -> tuple[str, str]:
    """A name that is no folder's: one that still is gets its own digits."""
    name, output = pair
    if output not in above:
        return pair
    head, base = os.path.split(output)
    stem, ending = os.path.splitext(base)
    return name, os.path.join(head, f"{stem}-{_digits(name)}{ending}")


def _digits(name: str) -> str:
    """What tells a name from all others."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:MARK]


def _own(tops: Sequence[str]) -> dict[str, str]:
    """A folder for every tree, called as its top is, numbered where that is taken."""
    found: dict[str, str] = {}
    for top in tops:
        base = os.path.basename(os.path.abspath(top or os.curdir)) or "root"
        name, number = base, 2
        while name in found.values():
            name, number = f"{base}-{number}", number + 1
        found[top] = name
    return found
