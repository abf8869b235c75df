"""Videos in folders: a folder of them for each class, or UCF101 with its split lists. Clips are decoded when asked for.

    videos/                             load("videos")
      jump/  a.mp4  b.avi  …            .classes are the names of the folders
      walk/  v_Walk_g01_c01.avi  …      videos of one group (g01) are of one scene: they stay in one part
      trainlist01.txt  testlist01.txt   if they are there: jump/a.mp4 [1] a line; what they do not name is left out
      classInd.txt                      if it is there: 1 jump a line, the order of the classes

Lists may also lie in ucfTrainTestlist/, and classes in UCF-101/, as Soomro, Zamir and Shah 2012 (arXiv:1212.0402) have
them. The part to choose by is a tenth of the groups of each class that are for training, and at least one; without
lists another tenth is for testing. A video that cannot be read is told and left out.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sigconv import console, files, nd
from sigconv.datasets._parts import Parts
from sigconv.datasets._videos import Known, Shape, Videos, Views
from sigconv.readers import video

__all__ = ["Videos", "Views", "load"]

FOLDER = "video_folder"  # under a data root
ENDINGS = (".avi", ".mp4", ".mkv", ".mov", ".mpg", ".mpeg", ".webm", ".m4v", ".flv", ".wmv", ".gif")
GROUP = r"(.+_g\d+)_c\d+"  # of UCF101's names: what is before the number of the clip
HELD = 1 << 30  # bytes of resized frames of a part that are kept in memory
MOST_LIST = 64 << 20  # bytes
UNSURE = 2  # frames at the end that a header may count and the file not have
SAID = 5  # bad videos that are named aloud
THINNEST = 16  # times its shorter side, that a frame's longer one may be: it is made smaller before it is cut


def load(
    root: Any = None,
    *,
    length: int = 16,
    stride: int = 2,
    fs: float | None = None,
    size: int = 112,
    short_side: int = 128,
    split: int = 1,
    group: str = GROUP,
    check: bool = True,
    held: int = HELD,
    seed: int = 0,
) -> Parts:
    """Clips to train with, to choose by and to test on, each part a Videos.

    root        a folder as above, or one that holds video_folder/; else $SIGCONV_DATA
    length      frames of a clip, every stride-th; with fs, as many frames a second as near as whole strides come to it
    size        pixels of a clip's side, cut of frames whose shorter side has short_side
    split       which of the lists, where there are several
    group       of a name without its ending: what the first bracket of this expression holds is in one part only; a
                name that does not match is a group by itself
    check       decode every video once before anything else: those that break are in .bad of the part. Without it
                headers are believed, and what breaks does so later
    held        bytes of resized frames that each part keeps in memory

    Videos too short for a clip begin again; those with frames more than 16 times as long as wide are left out. Raises
    FileNotFoundError where there are no classes, ValueError where a class has too few groups to be parted, where a list
    is empty, a line of it is none or stands there twice, or two lists share a group, and for sizes that cannot be;
    ImportError where PyAV is not installed.
    """
    shape = Shape(nd.count(length, "length"), nd.count(stride, "stride"), fs, nd.count(size, "size"), short_side)
    if nd.count(short_side, "short_side") < size:
        raise ValueError(f"short_side {short_side} is less than size {size}: nothing can be cut of such frames")
    if fs is not None and not (math.isfinite(fs) and fs > 0):
        raise ValueError(f"fs {fs} must be a finite number of frames a second above 0")
    home = _home(root)
    listed = _listed(home, nd.count(split, "split"))
    folders = _folders(home)
    classes = tuple(listed.order or folders)
    paths = {f"{name}/{path.name}": path for name, folder in folders.items() for path in _videos(folder)}
    names = _parted(paths, listed, group, seed)
    parts = []
    for part, mine in names.items():
        known, bad = _looked_at(mine, paths, classes, check)
        missing = [name for n, name in enumerate(classes) if not any(one.label == n for one in known)]
        if missing and (part == "train" or not known):
            why = f"; {bad[0][1]}" if bad else ""
            raise ValueError(f"class {missing[0]!r} has no video that can be read for the {part} part{why}")
        parts.append(Videos(known, classes, shape, part == "train", held, bad))
    _say([one for part in parts for one in part.bad])
    return Parts(*parts)


class Lists(NamedTuple):
    """What the lists say: names to train with and to test on, and the order of the classes; nothing without them."""

    train: list[str]
    test: list[str]
    order: list[str]


def _home(root: Any) -> Path:
    root = root or os.environ.get("SIGCONV_DATA")
    if not root:
        raise FileNotFoundError(f"no videos: give --data-root, or set SIGCONV_DATA, to a folder with {FOLDER}/")
    inner = Path(root) / FOLDER
    return inner if inner.is_dir() else Path(root)


def _folders(home: Path) -> dict[str, Path]:
    """The classes by name: folders with videos in them, here or in UCF-101/."""
    for place in (home, home / "UCF-101"):
        inner = sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []
        found = {path.name: path for path in inner if _videos(path)}
        if found:
            break
    if len(found) < 2:
        raise FileNotFoundError(
            f"{str(home)!r} has {len(found)} folders of videos ({', '.join(ENDINGS)}): expected two"
        )
    return found


def _videos(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))


def _listed(home: Path, split: int) -> Lists:
    """The lists of a split, where there are any."""
    for place in (home, home / "ucfTrainTestlist"):
        both = [place / f"{part}list{split:02d}.txt" for part in ("train", "test")]
        if any(path.is_file() for path in both):
            break
    else:
        return Lists([], [], [])
    rows = [_rows(path, r"(?P<what>[^/]+/[^/]+?)(\s+\d+)?") for path in both]
    for path, names in zip(both, rows, strict=True):
        if not names:
            raise ValueError(f"{str(path)!r} names no video: expected a line such as jump/a.mp4 for each")
    order = place / "classInd.txt"
    numbers = _rows(order, r"\d+\s+(?P<what>.+)") if order.is_file() else []
    return Lists(rows[0], rows[1], numbers or sorted({name.partition("/")[0] for name in rows[0]}))


def _rows(path: Path, form: str) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {str(path.parent)!r}: its lists come in pairs")
    found: dict[str, int] = {}
    lines = files.read_bytes(path, MOST_LIST).decode("utf-8-sig", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = re.fullmatch(form, line.strip())
            if row is None:
                raise ValueError(f"{str(path)!r} line {number}: {line.strip()[:60]!r} is not as {path.name} has them")
            if row["what"] in found:
                raise ValueError(
                    f"{str(path)!r} line {number}: {row['what']!r} stands on line {found[row['what']]} too"
                )
            found[row["what"]] = number
    return list(found)


def _parted(paths: dict[str, Path], listed: Lists, group: str, seed: int) -> dict[str, list[str]]:
    """The names of each part: groups of a class whole, a tenth and at least one of them to choose by."""
    of = _grouping(group)
    shared = {of(name) for name in listed.train} & {of(name) for name in listed.test}
    if shared:
        raise ValueError(f"group {min(shared)!r} is in both lists: it cannot be trained with and tested on")
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": list(listed.test)}
    random = np.random.default_rng(seed)
    drawn = ("valid",) if listed.train else ("valid", "test")
    classes: dict[str, dict[str, list[str]]] = {}
    for name in listed.train or sorted(paths):
        classes.setdefault(name.partition("/")[0], {}).setdefault(of(name), []).append(name)
    for label, groups in sorted(classes.items()):
        if len(groups) <= len(drawn):
            least = len(drawn) + 1
            raise ValueError(f"class {label!r} has {len(groups)} groups of videos to part: expected {least} or more")
        order = [list(groups.values())[i] for i in random.permutation(len(groups))]
        share = max(len(order) // 10, 1)
        for n, part in enumerate(drawn):
            parts[part] += itertools.chain(*order[n * share : (n + 1) * share])
        parts["train"] += itertools.chain(*order[len(drawn) * share :])
    return {part: sorted(names) for part, names in parts.items()}


def _grouping(group: str) -> Callable[[str], str]:
    """What tells the group of a name, its class before it."""
    try:
        form = re.compile(group)
    except re.error as error:
        raise ValueError(f"group {group!r} is no regular expression: {error}") from None

    def of(name: str) -> str:
        label, _, file = name.partition("/")
        found = form.fullmatch(os.path.splitext(file)[0])
        return f"{label}/{found[1] if found and form.groups else file}"

    return of


def _looked_at(
    names: Sequence[str], paths: dict[str, Path], classes: Sequence[str], check: bool
) -> tuple[list[Known], list[tuple[str, str]]]:
    """The videos that can be read, and those that cannot, with the reason."""
    known, bad = [], []
    with console.progress("looking at videos", len(names)) as told:
        for n, name in enumerate(names, 1):
            label = name.partition("/")[0]
            try:
                if name not in paths or label not in classes:
                    raise FileNotFoundError(f"{name!r} is in a list, and not in the folder")
                found = _header(paths[name], check)
                size = (found.height, found.width)
                known.append(Known(paths[name], name, classes.index(label), found.frames or 1, found.fs, size))
            except (ValueError, OSError) as error:
                bad.append((name, str(error)))
            told(n)
    return known, bad


def _header(path: Path, check: bool) -> video.Header:
    """What a video says of itself, its frames those that are surely there."""
    found = video.header(path, count=check)
    if max(found.height, found.width) > THINNEST * min(found.height, found.width):
        told = f"frames of {found.height} x {found.width} pixels"
        raise ValueError(f"{str(path)!r} has {told}: expected a longer side of {THINNEST} times the shorter at most")
    if found.frames is None:
        found = video.header(path, count=True)
    elif not check:
        found = found._replace(frames=max(found.frames - UNSURE, 1))
    return found


def _say(bad: Sequence[tuple[str, str]]) -> None:
    for _, why in bad[:SAID]:
        console.say(f"left out: {why}")
    if len(bad) > SAID:
        console.say(f"left out: {len(bad) - SAID} more videos; .bad of each part names them")
