r"""Motifs: what a protein likes at each place of its site, as MEME, JASPAR and TRANSFAC write it.

A file's format is seen by its content. In all of them:

* A motif is a table of 4 by width, 1 to 1000 wide, of finite numbers that are not negative; no place has only zeros.
* Its name is one printable word and the only one of its kind in the file. A file without motifs is an error.
* It holds probabilities if every place sums to one (.05 off at most) and they are not all whole numbers, else counts.

MEME: `MEME version`, `ALPHABET= ACGT` (or ACGU), background frequencies, `MOTIF name alternate`, and
`letter-probability matrix: alength= 4 w= … nsites= …` with its rows; all other lines, those of MEME's full report
among them, are passed over. JASPAR: `>name alternate` and four rows, `A [ 1 2 … ]` each in any order, or bare numbers
in the order A C G T; four bare rows without a name are called by the file's. TRANSFAC: `AC name`, `ID` or `NA` for the
alternate, `P0 A C G T` (PO is read too) and a numbered row a place, up to `//`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sigconv import files
from sigconv.readers import _lines, _motifs

MOST_WIDTH = 1000
MOST_SITES = 2.0**53  # and the most of one letter: whole numbers beyond are not told apart
SITES = 20.0  # of a motif that does not say, as MEME has it
OFF = 0.05  # what probabilities that were rounded may be off one in their sum
UNIFORM = (0.25, 0.25, 0.25, 0.25)


@dataclass(frozen=True, eq=False)
class Motif:
    """A motif: its name, its alternate name (or ""), and its matrix (4, width), float64, rows A C G T.

    counts says whether the matrix holds counts or probabilities, sites how many sites they come from (0: not known),
    background the probabilities of A C G T elsewhere. Raises ValueError for a matrix or background that cannot be.

    >>> motif = Motif("M1", "", [[8, 0], [0, 4], [0, 4], [0, 0]])
    >>> motif.width, motif.consensus, motif.reversed().consensus, motif.sites
    (2, 'AC', 'CT', 8.0)
    >>> motif.probabilities(pseudocount=1)[:, 0].round(2).tolist()
    [0.75, 0.08, 0.08, 0.08]
    """

    name: str
    alternate: str
    matrix: np.ndarray
    counts: bool = True
    sites: float = 0.0
    background: tuple[float, float, float, float] = UNIFORM

    def __post_init__(self) -> None:
        said = f"motif {self.name[:60]!r}"
        if len(self.name.split()) != 1 or not self.name.isprintable() or self.name != self.name.strip():
            raise ValueError(f"{said}: a name is one printable word")
        if not self.alternate.isprintable():
            raise ValueError(f"{said}: alternate name {self.alternate[:60]!r} cannot be printed")
        matrix = _table(said, self.matrix, self.counts)
        sites = float(self.sites) or (float(matrix.sum(0).max()) if self.counts else 0.0)
        if not 0 <= sites <= MOST_SITES:
            raise ValueError(f"{said}: {sites} sites cannot be")
        for field, value in [("matrix", matrix), ("sites", sites), ("background", _four(said, self.background))]:
            object.__setattr__(self, field, value)

    @property
    def width(self) -> int:
        """Places."""
        return int(self.matrix.shape[1])

    @property
    def consensus(self) -> str:
        """The likeliest letter at each place, the first of A C G T where several are."""
        return "".join("ACGT"[letter] for letter in self.matrix.argmax(0))

    def probabilities(self, pseudocount: float = 0.0) -> np.ndarray:
        """The probability of each letter at each place, float64 (4, width), so much added to every count before.

        Of a matrix of probabilities they are made counts by its sites first (20 where they are not known).
        """
        if not (np.isfinite(pseudocount) and pseudocount >= 0):
            raise ValueError(f"pseudocount {pseudocount} must be a finite number, and not below 0")
        counts = self.matrix if self.counts else self.matrix / self.matrix.sum(0) * (self.sites or SITES)
        return (counts + pseudocount) / (counts.sum(0) + 4 * pseudocount)

    def reversed(self) -> Motif:
        """The same motif as the other strand has it (reverse complement), under the same name."""
        a, c, g, t = self.background
        turned = self.matrix[::-1, ::-1].copy()
        return Motif(self.name, self.alternate, turned, self.counts, self.sites, (t, g, c, a))


def _table(said: str, table: np.ndarray, counts: bool) -> np.ndarray:
    """A motif's own copy of its matrix, once it is one."""
    matrix = np.array(table, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != 4 or not 1 <= matrix.shape[1] <= MOST_WIDTH:
        raise ValueError(f"{said}: a matrix {matrix.shape} is not (4, width) with a width of 1 to {MOST_WIDTH}")
    with np.errstate(over="ignore"):
        total = matrix.sum(0)
    if not np.isfinite(total).all() or (matrix < 0).any():
        raise ValueError(f"{said}: its matrix has numbers that are negative or not finite")
    if (total > MOST_SITES).any():
        raise ValueError(f"{said}: place {int(total.argmax()) + 1} counts {total.max():g}: more than {MOST_SITES:g}")
    if (total == 0).any():
        raise ValueError(f"{said}: place {int((total == 0).argmax()) + 1} has only zeros")
    wrong = abs(total - 1) > OFF
    if not counts and wrong.any():
        place = int(wrong.argmax())
        raise ValueError(f"{said}: the probabilities of place {place + 1} sum to {total[place]:g}, not to 1")
    return matrix


def _four(said: str, four: tuple[float, ...]) -> tuple[float, ...]:
    """A background, made to sum to one where its file has rounded it."""
    background = np.array(four, np.float64)
    if background.shape != (4,) or not (background > 0).all() or not abs(background.sum() - 1) <= OFF:
        raise ValueError(f"{said}: background {four} is not four probabilities of A C G T above 0")
    off = abs(background.sum() - 1) > 1e-9
    return tuple((background / background.sum() if off else background).tolist())


def read(path: str | os.PathLike[str]) -> list[Motif]:
    r"""The motifs of a MEME, JASPAR or TRANSFAC file, plain or packed by gzip, in the file's order.

    Raises OSError where there is no regular file, ValueError, naming file and line, where a rule of this module is
    broken. Sources: the MEME Suite's "MEME Motif Format"; Sandelin et al. 2004 (JASPAR); Wingender et al. 1996
    (TRANSFAC).

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "motifs.txt"
    >>> _ = path.write_text(">MA0004.1 Arnt\nA [ 4 19 ]\nC [16 0]\nG [0 1]\nT [0 0]\n")
    >>> [(motif.name, motif.alternate, motif.consensus, motif.counts) for motif in read(path)]
    [('MA0004.1', 'Arnt', 'CA', True)]
    """
    fail = _lines.failing(path, "motif")
    lines: dict[str, int] = {}
    motifs = []
    for found in _motifs.parse(path, fail):
        if found.name in lines:
            raise fail(f"motif {found.name[:60]!r} is the one of line {lines[found.name]} already", found.line)
        lines[found.name] = found.line
        try:
            motifs.append(_made(found))
        except ValueError as error:
            raise fail(str(error), found.line) from None
    if not motifs:
        raise fail("it has no motifs")
    return motifs


def _made(found: _motifs.Found) -> Motif:
    matrix = np.array(found.rows)
    sums_to_one = matrix.size > 0 and bool((abs(matrix.sum(0) - 1) <= OFF).all())
    counts = not found.probable and not (sums_to_one and (matrix % 1 != 0).any())
    return Motif(found.name, found.alternate, matrix, counts, found.sites, found.background or UNIFORM)


def write(
    path: str | os.PathLike[str],
    motifs: Iterable[Motif],
    format: Literal["meme", "jaspar"] = "meme",  # noqa: A002
) -> None:
    r"""Write motifs as MEME's minimal format, with probabilities, or JASPAR's, with counts; whole or not at all.

    Probabilities have nine places. Probabilities become counts by the motif's sites, 20 where they are not known.
    MEME has one background for a file, the first motif's, and no blanks in an alternate name: they become "_". Raises
    ValueError for no motifs, for a name that comes twice, and for a format that is neither.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "motifs.meme"
    >>> write(path, [Motif("M1", "one", [[8, 0], [0, 4], [0, 4], [0, 0]])])
    >>> print(path.read_text().split("\n\n")[-1])
    MOTIF M1 one
    letter-probability matrix: alength= 4 w= 2 nsites= 8 E= 0
     1.000000000  0.000000000  0.000000000  0.000000000
     0.000000000  0.500000000  0.500000000  0.000000000
    <BLANKLINE>
    >>> read(path)[0].consensus
    'AC'
    """
    motifs = list(motifs)
    if format not in ("meme", "jaspar"):
        raise ValueError(f"format {format!r} must be 'meme' or 'jaspar'")
    if not motifs:
        raise ValueError(f"no motifs to write to {os.fspath(path)!r}")
    names = Counter(motif.name for motif in motifs)
    if len(names) < len(motifs):
        raise ValueError(f"motif {max(names, key=names.__getitem__)!r} comes twice, and names in a file are different")
    files.write_text(path, _meme(motifs) if format == "meme" else _jaspar(motifs))


def _meme(motifs: list[Motif]) -> str:
    background = " ".join(f"{letter} {p:.9f}" for letter, p in zip("ACGT", motifs[0].background, strict=True))
    text = "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\n"
    text += f"Background letter frequencies\n{background}\n"
    for motif in motifs:
        title = f"{motif.name} {'_'.join(motif.alternate.split())}".strip()
        sites = round(motif.sites) or round(SITES)
        text += f"\nMOTIF {title}\nletter-probability matrix: alength= 4 w= {motif.width} nsites= {sites} E= 0\n"
        for place in motif.probabilities().T:
            text += "".join(f" {p:.9f} " for p in place).rstrip() + "\n"
    return text


def _jaspar(motifs: list[Motif]) -> str:
    text = ""
    for motif in motifs:
        counts = motif.matrix if motif.counts else motif.matrix * (motif.sites or SITES)
        text += f">{motif.name}\t{motif.alternate}".rstrip() + "\n"
        for letter, row in zip("ACGT", counts, strict=True):
            text += f"{letter}  [ {' '.join(f'{n:6.10g}' for n in row)} ]\n"
    return text
