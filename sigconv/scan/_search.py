"""The search: motifs made scores and thresholds once, texts scanned by many threads, hits told in order."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import numpy as np

from sigconv import nd
from sigconv.kernels import motifs as kernel
from sigconv.readers import motif as motif_files
from sigconv.readers.motif import Motif
from sigconv.scan._hits import Hits
from sigconv.scan._texts import Text, pieces, regions_of, texts
from sigconv.transforms.dna import _scores

Path = str | os.PathLike[str]
Strand = Literal["both", "+", "-"]
Told = Callable[[int, str], Any]
PVALUE = 1e-4
MOST_JOBS = 256
HELD = 1 << 22  # hits that a thread finds ahead of those who read them


class Search:
    """Motifs ready to be looked for: their scores in bits and the least that is a hit.

    motifs: a file of them (MEME, JASPAR, TRANSFAC), or Motif objects. threshold: bits, the same for all; or pvalue: the
    least score that chance reaches at a place with that probability, motif by motif (1e-4, if neither is given).
    background: probabilities of A C G T (uniform); pseudocount: added to each cell (0.25); strand: "both",
    "+" or "-"; device: "cpu", "cuda", or "auto", which is CUDA where there is one: the same hits, to the bit. Raises
    ValueError with one line for what cannot be, OSError for a file that cannot be read.

    .names and .widths stand by motif, .thresholds by motif and strand, which differ where the background is not the
    same on both; .idle names the motifs that can have no hit.

    >>> search = Search([Motif("M1", "", np.diag([9, 9, 9, 9]))], threshold=6)
    >>> [row[:4] for found in search.stream([("one", "TTACGTT")]) for row in found]
    [('M1', 'one', 2, '+'), ('M1', 'one', 2, '-')]
    """

    def __init__(
        self,
        motifs: Path | Iterable[Motif],
        *,
        threshold: float | None = None,
        pvalue: float | None = None,
        pseudocount: float = _scores.PSEUDOCOUNT,
        background: _scores.Background | None = None,
        strand: Strand = "both",
        device: str = "cpu",
    ) -> None:
        if threshold is not None and pvalue is not None:
            raise ValueError(f"threshold {threshold} and pvalue {pvalue}: one of them says what a hit is, not both")
        if threshold is not None and not np.isfinite(threshold):
            raise ValueError(f"threshold {threshold} is not a finite number of bits")
        if strand not in ("both", "+", "-"):
            raise ValueError(f"strand {strand!r} is not one of both, +, -")
        self.device = _device(device)
        base = _scores.frequencies(background)
        found = motif_files.read(motifs) if isinstance(motifs, str | os.PathLike) else list(motifs)
        if not found:
            raise ValueError("there are no motifs to look for")
        scores = [_scores.log_odds(motif, base, pseudocount) for motif in found]
        strands = {"both": (1, -1), "+": (1,), "-": (-1,)}[strand]
        sides = [[one if side > 0 else one[::-1, ::-1] for side in strands] for one in scores]
        apart = 1 if (base == base[::-1]).all() else len(strands)  # both strands may be alike to chance
        chance = PVALUE if pvalue is None else pvalue
        least = lambda one: threshold if threshold is not None else _scores.threshold(one, chance, base)
        bounds = np.array([[least(side) for side in both[:apart]] for both in sides], np.float64)
        self.names = [motif.name for motif in found]
        self.widths = np.array([one.shape[1] for one in scores])
        self.thresholds = np.broadcast_to(bounds, (len(found), len(strands)))
        self._strands = np.array(strands, np.int8)
        self._plan = kernel.plan([side for both in sides for side in both], self.thresholds.ravel())
        self._find = kernel.finder(self._plan, self.device)
        able = self._plan.counts.reshape(self.thresholds.shape).max(1) > 0
        self.idle = [name for name, some in zip(self.names, able.tolist(), strict=True) if not some]

    def stream(
        self, sequences: Any, *, regions: Path | None = None, jobs: int = 1, told: Told | None = None
    ) -> Iterator[Hits]:
        """Hits in parts, in order, in constant memory: as the function of this name."""
        if nd.count(jobs, "jobs") > MOST_JOBS:
            raise ValueError(f"jobs {jobs} must be 1 to {MOST_JOBS}")
        if regions is not None and not isinstance(sequences, str | os.PathLike | Mapping):
            sequences = list(sequences)  # gone through twice
        inside = None if regions is None else regions_of(regions, sequences)
        names: list[str] = []
        laid = texts(pieces(sequences), int(self.widths.max()) - 1, names, inside)
        return self._found(laid, names, jobs, told or (lambda letters, name: None))

    def _found(self, laid: Iterator[Text], names: list[str], jobs: int, told: Told) -> Iterator[Hits]:
        for text, parts in _ahead(self._look, laid, jobs if self.device == "cpu" else 1):
            for found in parts:
                segment = np.searchsorted(text.offsets, found.start, "right") - 1
                motif, side = np.divmod(found.matrix, len(self._strands))
                start = found.start - text.offsets[segment] + text.starts[segment]
                sides = self._strands[side]
                yield Hits(motif, text.sequences[segment], start, sides, found.score, self.names, names, self.widths)
            told(text.letters, names[text.sequences[-1]])

    def _look(self, text: Text) -> Iterator[kernel.Found]:
        """A text's hits, found at once as far as they may be held."""
        found, held, ready = self._find(text.tokens, text.own), 0, []
        for part in found:
            ready.append(part)
            held += len(part.start)
            if held > HELD:
                break
        return itertools.chain(ready, found)


def stream(
    motifs: Path | Iterable[Motif],
    sequences: Any,
    *,
    regions: Path | None = None,
    jobs: int = 1,
    told: Told | None = None,
    **options: Any,
) -> Iterator[Hits]:
    """Hits of motifs along sequences in parts of some thousands, in order, in constant memory.

    motifs and options (threshold, pvalue, pseudocount, background, strand, device): as for Search. sequences: a FASTA
    file, read in pieces; or (name, sequence) pairs, or a dict of them, of text or tokens. regions: a BED file; hits
    then lie within the union of its intervals. jobs: threads of a CPU. told hears of letters done, and of the sequence
    they are of, as it goes. Raises what the readers raise, one line that names the file, and ValueError for options
    that cannot be.
    """
    return Search(motifs, **options).stream(sequences, regions=regions, jobs=jobs, told=told)


def hits(
    motifs: Path | Iterable[Motif], sequences: Any, *, regions: Path | None = None, jobs: int = 1, **options: Any
) -> Hits:
    """All hits of motifs along sequences, as arrays; arguments as for stream.

    >>> found = hits([Motif("M1", "", np.diag([9, 9, 9, 9]))], [("one", "TTACGTT")], threshold=6, strand="+")
    >>> found.start, found.score.round(2)
    (array([2]), array([7.55]))
    """
    search = Search(motifs, **options)
    parts = list(search.stream(sequences, regions=regions, jobs=jobs))
    kinds = {"motif": np.int32, "sequence": np.int64, "start": np.int64, "strand": np.int8, "score": np.float64}
    join = lambda name, kind: np.concatenate([np.empty(0, kind), *(getattr(part, name) for part in parts)])
    arrays = {name: join(name, kind) for name, kind in kinds.items()}
    return Hits(**arrays, motifs=search.names, sequences=parts[0].sequences if parts else [], widths=search.widths)


def _device(device: str) -> str:
    """The device meant, of cpu, cuda and auto."""
    if device == "cpu":
        return device
    from sigconv.train import devices

    found = devices.name(device)
    return found if device != "auto" or kernel.usable(found) else "cpu"


def _ahead(work: Callable[[Text], Any], items: Iterator[Text], jobs: int) -> Iterator[tuple[Text, Any]]:
    """Each item with what work made of it, in order; a few at a time are under way in so many threads."""
    if jobs == 1:
        yield from ((item, work(item)) for item in items)
        return
    with ThreadPoolExecutor(jobs, "scan") as pool:
        waiting: deque[tuple[Text, Future]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > jobs + 1:
                    done, result = waiting.popleft()
                    yield done, result.result()
            while waiting:
                done, result = waiting.popleft()
                yield done, result.result()
        finally:
            for _, result in waiting:
                result.cancel()
