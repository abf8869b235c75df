"""Which windows of DNA does a protein bind? ChIP-seq peaks of any factor, in DeepBind's files or Zeng's folders.

    tfbs/**/{factor}_…_AC.seq.gz, …_B.seq.gz    DeepBind's: peaks to train with, strongest first; and to test
    **/{factor}/train.data, test.data           Zeng's, bound and unbound both

A factor goes by the first two words of its file's name (USF1_HepG2), by the whole name, or by its folder's. Where a
file names bound windows alone, each has a partner that is not: itself, shuffled so that every pair of neighbours stays.
Eighteen factors are fetched by name; all that there are, DeepBind's and Zeng's, are at
http://tools.genes.toronto.edu/deepbind/nbtcode and http://cnn.csail.mit.edu/motif_discovery/. Alipanahi et al. 2015,
doi:10.1038/nbt.3300; Zeng et al. 2016, doi:10.1093/bioinformatics/btw255.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import torch
from torch import Tensor

from sigconv import nd
from sigconv.datasets import _roots
from sigconv.datasets._parts import Arrays, Parts
from sigconv.readers import seq
from sigconv.transforms import dna

CLASSES = ("not bound", "bound")
TASKS = ("discovery", "occupancy")
MOST_LETTERS = 1 << 30  # of all windows, each as long as the longest
LIKE_TESTED = 1000  # bound windows, the strongest, that those tested on are like
FEWEST = 8  # windows of a kind to train with and to choose by
TRAIN, TEST, MANIFEST = "_AC.seq.gz", "_B.seq.gz", "chip_seq.toml"


class Files(NamedTuple):
    """Where a factor's sequences are: to train with, and to test on."""

    train: Path
    test: Path

    @property
    def ranked(self) -> bool:
        """Whether the bound windows to train with come strongest first, as DeepBind's do."""
        return self.train.name.endswith(TRAIN)


class Bound(Arrays):
    """Windows as tokens (windows, letters), uint8, and whether each is bound, float32, (windows,).

    With fresh=True whatever is not bound is shuffled anew each time, by the item's own generator.
    """

    def __init__(self, x: Tensor, y: Tensor, fresh: bool = False) -> None:
        super().__init__(x, y, CLASSES)
        self.fresh, self.ready = fresh, not fresh

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """One window and whether it is bound."""
        x, y = self.batch(torch.tensor([index]), [generator or torch.default_generator])
        return x[0], y[0]

    def batch(self, indices: Tensor, generators: Sequence[torch.Generator] | None = None) -> tuple[Tensor, Tensor]:
        """Many at once."""
        x, y = super().batch(indices)
        if self.fresh and generators is not None:
            free = (y == 0).nonzero().flatten().tolist()
            if free:
                x[free] = dna.between_flanks(x[free], [generators[i] for i in free])
        return x, y

    def to(self, device: Any) -> Bound:
        """The same windows on a device."""
        return Bound(self.x.to(device), self.y.to(device), self.fresh)

    def subset(self, indices: Tensor) -> Bound:
        """Some of the windows."""
        return Bound(self.x[indices], self.y[indices], self.fresh)


class Drawn:
    """So many bound windows an epoch and as many shuffles, drawn anew each time: the strongest most often.

    bound (windows, letters) stands in the order of strength; the n-th is drawn as often as 1 / (1 + n / tilt) says, all
    alike for 0. An epoch takes as long however many there are, and item and shuffle are the generator's alone.
    """

    classes = CLASSES

    def __init__(self, bound: Tensor, windows: int, tilt: float = 300.0) -> None:
        if not tilt >= 0:
            raise ValueError(f"tilt {tilt} must be 0 (all alike) or more")
        self.bound, self.windows, self.tilt = bound, nd.count(windows, "windows"), tilt
        self.names = [hashlib.sha256(bound.cpu().numpy().tobytes()).hexdigest()]  # which windows: for a resumed run
        self.reach = (1 / (1 + torch.arange(len(bound), dtype=torch.float64) / (tilt or math.inf))).cumsum(0)

    def __len__(self) -> int:
        return 2 * self.windows

    def item(self, index: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """A bound window, or with an index from `windows` on the shuffle of one."""
        x, y = self.batch(torch.tensor([index]), [generator or torch.default_generator])
        return x[0], y[0]

    def batch(self, indices: Tensor, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Many at once."""
        places = torch.stack([torch.rand((), generator=g, dtype=torch.float64) for g in generators]) * self.reach[-1]
        x = self.bound[torch.searchsorted(self.reach, places).clamp(max=len(self.bound) - 1)]
        y = (indices < self.windows).float()
        free = (y == 0).nonzero().flatten().tolist()
        if free:
            x[free] = dna.between_flanks(x[free], [generators[i] for i in free])
        return x, y


def load(
    root: Any = None, *, factor: str, task: str = "discovery", strongest: int | None = None, seed: int = 0
) -> Parts:
    """Windows of a factor to train with, to choose by and to test on.

    task        discovery: what is not bound is made by shuffling what is, to train with anew each time, to choose by
                four shuffles of each; occupancy: the file's own unbound windows
    strongest   only so many of the bound windows are trained with, those first in the file

    To choose by there is an eighth of the thousand bound windows first in the file, drawn by the seed, for such are
    tested on; and an eighth of the file's own unbound ones. Files that do not say which are the strongest (Zeng's) are
    put in an order drawn by the seed first, and the eighth is one of all. ValueError for a factor that is not there,
    naming those that are, and for windows that leave nothing to learn from.
    """
    nd.one_of(task, TASKS, "task")
    if strongest is not None:
        nd.count(strongest, "strongest")
    files = found(root, factor)
    train, test = (_read(path) for path in files)
    if not files.ranked:
        train = train.subset(torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)))
    if not len(test) or test.y.min() == test.y.max():
        raise ValueError(f"{str(files.test)!r} has windows of one kind only: nothing can be told apart")
    if (bound := int((train.y == 1).sum())) < FEWEST:
        raise ValueError(f"{str(files.train)!r} has {bound} bound windows: expected {FEWEST} or more")
    kept, held = _held(train.y == 1, seed, LIKE_TESTED if files.ranked else len(train))
    if task == "occupancy":
        if (train.y == 0).sum() < FEWEST:
            raise ValueError(f"{str(files.train)!r} has fewer than {FEWEST} unbound windows: take the task discovery")
        others, out = _held(train.y == 0, seed, len(train))
        rows = torch.cat([kept[:strongest], others])
        return Parts(train.subset(rows), train.subset(torch.cat([held, out])), test)
    return Parts(partnered(train.x[kept[:strongest]], seed, fresh=True), partnered(train.x[held], seed + 1, 4), test)


def partnered(x: Tensor, seed: int, times: int = 1, fresh: bool = False) -> Bound:
    """Bound windows, and after them so many times as many that are not: each shuffled, its pairs of neighbours kept."""
    generator = torch.Generator().manual_seed(seed)
    others = [dna.between_flanks(x, generator) for _ in range(times)]
    return Bound(torch.cat([x, *others]), torch.arange((1 + times) * len(x)).lt(len(x)).float(), fresh)


def _held(chosen: Tensor, seed: int, among: int) -> tuple[Tensor, Tensor]:
    """Rows that stay and rows held back, an eighth of so many of the chosen ones, drawn by the seed; in their order."""
    rows = chosen.nonzero().flatten()
    drawn = torch.randperm(min(len(rows), among), generator=torch.Generator().manual_seed(seed))
    out = torch.zeros(len(rows), dtype=torch.bool)
    out[drawn[: len(drawn) // 8]] = True
    return rows[~out], rows[out]


def factors(root: Any = None) -> dict[str, Files]:
    """Every factor there is, by the shortest name that is its own, and where its sequences are."""
    place = _place(root)
    if place is None:
        return {}
    known = [(_names(path, place), Files(path, _tested(path))) for path in _trains(place) if _tested(path).is_file()]
    borne = Counter(name for names, _ in known for name in dict.fromkeys(names))
    return {next((name for name in names if borne[name] == 1), names[-1]): files for names, files in known}


def _trains(place: Path) -> list[Path]:
    """The files to train with, of DeepBind's kind and of Zeng's."""
    return [*sorted(place.rglob(f"*{TRAIN}")), *sorted(place.rglob("train.data"))]


def _tested(train: Path) -> Path:
    """Where the windows to test on are, of those to train with."""
    deepbind = train.name.endswith(TRAIN)
    return train.with_name(train.name.removesuffix(TRAIN) + TEST if deepbind else "test.data")


def _names(train: Path, place: Path) -> tuple[str, ...]:
    """What a factor may be called, the shortest first: the last is its path, which no other has."""
    inside = train.relative_to(place).as_posix()
    if not train.name.endswith(TRAIN):
        return train.parent.name, inside.removesuffix("/train.data")
    whole = train.name.removesuffix(TRAIN)
    return "_".join(whole.split("_")[:2]), whole, inside.removesuffix(TRAIN)


def found(root: Any, factor: str) -> Files:
    """The files of one factor, by its short name or the whole one; fetched where they are known and not at hand."""
    known = factors(root)
    whole = [name for name, files in known.items() if files.train.name == factor + TRAIN]
    if factor in known or len(whole) == 1:
        return known[factor if factor in known else whole[0]]
    several = [name for name, files in known.items() if factor in _names(files.train, files.train.parent.parent)]
    if several:
        raise ValueError(f"factor {factor!r} is borne by several: {', '.join(several)}")
    fetched = None if known or root is not None else _fetched(factor)
    if fetched is not None:
        return fetched
    place = _place(root)
    lone = [train for train in _trains(place) if factor in _names(train, place)] if place else []
    if lone:
        raise FileNotFoundError(f"factor {factor!r} has nothing to be tested on: no {str(_tested(lone[0]))!r}")
    near = ", ".join(sorted(known)[:40]) or "none"
    where = repr(str(place)) if place else "$SIGCONV_DATA, which has no folder tfbs"
    raise ValueError(f"factor {factor!r} is not one of those under {where}: {near}")


def _place(root: Any) -> Path | None:
    """The folder to look in: tfbs/ of the root, else the root itself; without a root $SIGCONV_DATA's."""
    around = os.environ.get("SIGCONV_DATA") if root is None else root
    if root is not None and not Path(root).is_dir():
        raise FileNotFoundError(f"data root {str(root)!r} is no folder")
    here = None if around is None else Path(around) / "tfbs"
    return here if here is not None and here.is_dir() else None if root is None else Path(root)


def _fetched(factor: str) -> Files | None:
    """The official files of a factor, if the manifest knows it, downloaded once and checked."""
    sets = [part for part in _roots.facts(MANIFEST).values() if isinstance(part, dict)]
    for part in sets:
        for name in part["files"]:
            whole = name.removesuffix(TRAIN)
            if name.endswith(TRAIN) and factor in (whole, "_".join(whole.split("_")[:2])):
                pair = [
                    {"url": part["url"] + quote(file), "sha256": part["files"][file], "file": file}
                    for file in (name, whole + TEST)
                ]
                return Files(*(_roots.fetch("tfbs", MANIFEST, os.environ.get("SIGCONV_DATA"), one) for one in pair))
    return None


def _read(path: Path) -> Bound:
    """All windows of a file, in its order; those of unequal lengths stand amid unknown letters."""
    rows = seq.read(path)
    strength = torch.tensor([float(row.bound) for row in rows])
    if not ((strength == 0) | (strength == 1)).all():
        raise ValueError(f"{str(path)!r} says how strongly windows are bound: expected 0 or 1")
    longest = max(len(row.sequence) for row in rows)
    if longest * len(rows) > MOST_LETTERS:
        raise ValueError(
            f"{str(path)!r} has {len(rows)} windows of up to {longest} letters: expected windows, not genomes"
        )
    return Bound(dna.encode([row.sequence for row in rows], length=longest), strength)
