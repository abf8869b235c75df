"""Sequences that are not bound, like those that are: of their length and as rich in G and C; and windows that move."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.transforms.dna._letters import UNKNOWN

TRIES = 200  # windows looked at for each that is wanted


def gc_content(tokens: Tensor) -> Tensor:
    """The share of G and C among the known letters: (..., length) -> float64 (...,); NaN where none is known.

    >>> gc_content(torch.tensor([[0, 1, 2, 4], [0, 0, 3, 1]]))
    tensor([0.6667, 0.2500], dtype=torch.float64)
    """
    strong = ((tokens == 1) | (tokens == 2)).sum(-1, dtype=torch.float64)
    return strong / ((tokens >= 0) & (tokens < UNKNOWN)).sum(-1, dtype=torch.float64)


def matched(
    wanted: Tensor,
    pool: Tensor,
    *,
    lengths: tuple[Tensor, Tensor] | None = None,
    bins: int = 20,
    generator: torch.Generator | None = None,
) -> Tensor:
    """For each sequence wanted one of a pool as rich in G and C, and as long: indices into the pool, none used twice.

    wanted (n,) and pool (m,) are shares of G and C in [0, 1], in so many bins of them; lengths, those of both, must
    agree exactly. -1 where the pool has no more of that kind. Draws are random, by the generator.

    >>> matched(torch.tensor([0.5, 0.9, 0.12]), torch.tensor([0.1, 0.51, 0.7]))
    tensor([ 1, -1,  0])
    """
    nd.count(bins, "bins")
    first, second = (_bin(share, bins) for share in (wanted, pool))
    if lengths is not None:
        first, second = (key + (bins + 1) * size.long() for key, size in zip((first, second), lengths, strict=True))
    free: dict[int, list[int]] = {}
    for index in torch.randperm(len(second), generator=generator).tolist():
        free.setdefault(int(second[index]), []).append(index)
    return torch.tensor([free[key].pop() if free.get(key) else -1 for key in first.tolist()], dtype=torch.int64)


def _bin(share: Tensor, bins: int) -> Tensor:
    """The bin of each share; what has none (no known letter) is a bin of its own."""
    return torch.where(share.isnan(), torch.full_like(share, bins), (share * bins).floor().clamp(0, bins - 1)).long()


def matched_windows(
    genome: Any, like: Sequence[Any], *, within: float = 0.02, generator: torch.Generator | None = None
) -> list[tuple[str, int, int]]:
    """A window of a genome for each one given that is as long, as rich in G and C to within so much, and none of them.

    genome is a readers.fasta.Genome, or maps names to strings; like has `chrom start end` in its first
    three places. Windows are drawn from all of the genome, by length; they hold no unknown letter, and overlap neither
    those given nor each other. ValueError where none is found in so many tries.
    """
    taken: dict[str, list[tuple[int, int]]] = {}
    for chrom, start, end, *_ in like:
        taken.setdefault(str(chrom), []).append((int(start), int(end)))
    sizes = genome.lengths if hasattr(genome, "lengths") else {name: len(letters) for name, letters in genome.items()}
    read = genome.fetch if hasattr(genome, "fetch") else lambda name, first, last: genome[name][first:last]
    found = []
    for chrom, start, end, *_ in like:
        share = _share(read(chrom, start, end))
        window = _window(read, sizes, end - start, share, within, taken, generator)
        if window is None:
            raise ValueError(
                f"no window of {end - start} letters with {share:.0%} G and C in {TRIES} tries: widen within"
            )
        taken.setdefault(window[0], []).append(window[1:])
        found.append(window)
    return found


def _window(
    read: Callable[[str, int, int], str],
    sizes: Mapping[str, int],
    length: int,
    share: float,
    within: float,
    taken: Mapping[str, list[tuple[int, int]]],
    generator: torch.Generator | None,
) -> tuple[str, int, int] | None:
    names = [name for name, size in sizes.items() if size >= length]
    if not names:
        return None
    room = torch.tensor([sizes[name] - length + 1 for name in names], dtype=torch.float64)
    for place in torch.multinomial(room, TRIES, replacement=True, generator=generator).tolist():
        start = int(torch.randint(int(room[place]), (), generator=generator))
        if any(start < other_end and other < start + length for other, other_end in taken.get(names[place], [])):
            continue
        letters = read(names[place], start, start + length).upper()
        if set(letters) <= set("ACGT") and abs(_share(letters) - share) <= within:
            return names[place], start, start + length
    return None


def _share(letters: str) -> float:
    letters = letters.upper()
    known = sum(letters.count(letter) for letter in "ACGT")
    return (letters.count("G") + letters.count("C")) / known if known else 0.5


def jitter(tokens: Tensor, length: int, generators: Sequence[torch.Generator]) -> Tensor:
    """A window of so many letters of each sequence, from a random place: (batch, n) -> (batch, length).

    Each item's place is drawn from its own generator. ValueError for windows longer than the sequences.

    >>> jitter(torch.tensor([[0, 1, 2, 3]]), 3, [torch.Generator().manual_seed(0)])
    tensor([[0, 1, 2]])
    """
    room = tokens.shape[-1] - nd.count(length, "length")
    if room < 0:
        raise ValueError(f"length {length} is more than the {tokens.shape[-1]} letters of the sequences")
    starts = torch.stack([torch.randint(room + 1, (), generator=g) for g in generators])
    return tokens.gather(-1, (starts[:, None] + torch.arange(length)).to(tokens.device))
