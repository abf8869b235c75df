"""What whole networks look at, as motifs: the runs of letters that hold most of the answers, gathered by likeness.

A filter of a deep network may hold a part of a motif, or a part of many. What a sequence's answer rests on does not
depend on where the network keeps it: runs of letters that add much to the answer are laid on each other, on either
strand, so that what they add fits best, and their letters are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sigconv import nd
from sigconv.explain._answers import inputs, letters, models_of
from sigconv.explain._contributions import REFERENCES, contributions
from sigconv.explain._detectors import background_of, trimmed
from sigconv.readers.motif import Motif
from sigconv.transforms import dna

RUNS = 3  # of a sequence, at most
MOST = 1500  # runs that are gathered: every one is compared with every other
SMOOTH = 9  # letters over which what they add is taken together to find where a run is
SHIFT = 5  # letters that runs are moved along each other
ROUNDS = 4  # in which a pattern's members are found anew from what they have in common
CHANCE = 8.2  # bits times sites that a column of any letters has less than, 99 times of 100: 11.3 of chi-square, 3 free
PART = 128  # runs compared with all others at a time
NARROWEST = 4  # letters that runs have in common: fewer are no motif


class Pattern(NamedTuple):
    """A motif, and the share it has in what all runs add to the answers."""

    motif: Motif
    share: float


class Runs(NamedTuple):
    """Runs with SHIFT letters more on both sides: (strands, runs, 4, span) what letters add and the letters, 0 or 1;
    strength (runs,) what a run adds in all."""

    adding: Tensor
    letters: Tensor
    strength: Tensor


def patterns(
    models: nn.Module | Sequence[nn.Module],
    sequences: Any,
    *,
    top: int | None = None,
    width: int = 15,
    likeness: float = 0.5,
    least: int | None = None,
    reverse: bool = True,
    trim: float = 0.1,
    references: int = REFERENCES,
    target: Any = None,
    seed: int = 0,
    batch_size: int = 128,
) -> list[Pattern]:
    """Motifs of what one network, or several together, look at in these sequences; those that matter most first.

    sequences, text, tokens or one-hot channels, are such as are bound; contributions(…) says what their letters add, in
    the mean over the networks. Each sequence gives up to three runs of width letters; the strongest 1,500 are gathered
    around those that most are like, and anew around what they have in common; each then goes where it fits best.

    top        only so many patterns
    width      letters of a run, odd, or of a whole sequence that is shorter
    likeness   of a run to its pattern, at least: a cosine, 0 to 1
    least      runs of a pattern, those with fewer are left out; by default a fiftieth of the sequences, and two
    reverse    whether runs are turned to the other strand where they fit better there
    trim       columns at the ends with less information are cut off, in bits against the sequences' letters, and those
               with no more than chance gives so few sites; a pattern of which fewer than four are left is none

    A pattern's motif counts letters; its sites are its runs. ValueError for options out of range, and no models.
    After Shrikumar et al. 2018, arXiv:1811.00416 (TF-MoDISco), with cosines in place of its graph.

    >>> from sigconv.datasets import planted_motif
    >>> x, bound = planted_motif.generate(300, seed=1)
    >>> net = nn.Sequential(nn.Conv1d(4, 1, 10), nn.AdaptiveMaxPool1d(1), nn.Flatten())
    >>> net[0].weight.data[:] = dna.one_hot(dna.encode(["TGACTCAGCA"]))  # it looks at the motif that was planted
    >>> [pattern.motif.name for pattern in patterns(net, x[bound == 1], top=1)]
    ['pattern_0']
    """
    x, width = inputs(sequences), nd.count(width, "width")
    if width % 2 == 0 or not 0 < likeness < 1:
        raise ValueError(f"width {width}, likeness {likeness}: expected an odd width, and a likeness between 0 and 1")
    if not len(x):
        raise ValueError("there are no sequences to find patterns in")
    width = min(width, x.shape[-1] - 1 + x.shape[-1] % 2)
    nets = models_of(models)
    options: dict[str, Any] = {"references": references, "target": target, "seed": seed, "batch_size": batch_size}
    adding = torch.stack([contributions(net, x, **options).float() for net in nets]).mean(0)
    runs = _runs(letters(x), adding, width, reverse)
    base = background_of(letters(x))
    fewest = max(len(x) // 50, 2) if least is None else nd.count(least, "least")
    found = sorted(_gathered(runs, width, likeness, fewest), key=lambda one: -one[0])
    whole = float(runs.strength.sum())
    made: list[Pattern] = []
    a, c, g, t = base.tolist()
    for strength, sites, counts in found:
        letters_kept = trimmed(counts, base, max(trim, CHANCE / sites), bare=True)
        if letters_kept.shape[1] >= NARROWEST:
            motif = Motif(f"pattern_{len(made)}", "", letters_kept, True, float(sites), (a, c, g, t))
            made.append(Pattern(motif, strength / whole))
    return made[: None if top is None else nd.count(top, "top")]


def _runs(tokens: Tensor, adding: Tensor, width: int, reverse: bool) -> Runs:
    """The strongest runs of all sequences, those of one not over each other."""
    n, length = adding.shape
    half = width // 2
    smooth = F.avg_pool1d(adding[:, None], SMOOTH, 1, SMOOTH // 2)[:, 0]
    smooth[:, :half] = smooth[:, length - half :] = -torch.inf
    strengths, middles, rows = [], [], torch.arange(n)
    for _ in range(RUNS):
        best, middle = smooth.max(1)
        strengths.append(best)
        middles.append(middle)
        near = (torch.arange(length) - middle[:, None]).abs() < width
        smooth = smooth.masked_fill(near, -torch.inf)
    strength, middle, row = torch.cat(strengths), torch.cat(middles), rows.repeat(RUNS)
    order = strength.argsort(descending=True, stable=True)[: min(MOST, RUNS * n // 2)]
    reach = half + SHIFT
    places = middle[order, None] + torch.arange(2 * reach + 1)
    hot = F.pad(dna.one_hot(tokens, dtype=torch.float32), (reach, reach))
    there = hot[row[order, None], :, places].transpose(1, 2)
    more = F.pad(adding, (reach, reach))[row[order, None], places]
    held = more[:, SHIFT : SHIFT + width].sum(1)
    counts = (held > 0) & (strength[order] > 0)  # what speaks against the answer is no part of it
    there, more, held = there[counts], more[counts], held[counts]
    whole = there * more[:, None]
    strands = [(whole, there), (whole.flip(1, 2), there.flip(1, 2))][: 1 + reverse]
    return Runs(torch.stack([w for w, _ in strands]), torch.stack([h for _, h in strands]), held)


def _gathered(runs: Runs, width: int, likeness: float, least: int) -> Iterator[tuple[float, int, np.ndarray]]:
    """What the members of each pattern add in all, how many they are, and their letters counted, (4, width)."""
    kernels = _found(runs, width, likeness, least)
    if not len(kernels):
        return
    alike, place = _likeness(runs, kernels)
    best, pattern = alike.max(1)  # those found early have taken what fits others better
    for number in range(len(kernels)):
        members = (best > likeness) & (pattern == number)
        if int(members.sum()) >= least:
            counts = _laid(runs.letters, members, place[:, number], width).sum(0).double().numpy()
            yield float(runs.strength[members].sum()), int(members.sum()), counts


def _found(runs: Runs, width: int, likeness: float, least: int) -> Tensor:
    """What runs have in common, (patterns, 4, width): gathered around the run that most are like, of those that are
    left, and anew around what these have in common."""
    cores, found = runs.adding[0, :, :, SHIFT : SHIFT + width], []
    left = torch.ones(len(cores), dtype=torch.bool)
    alike = torch.cat([_likeness(runs, part)[0] for part in cores.split(PART)], 1) if len(cores) else cores[:, 0]
    pull = (alike - likeness).clamp_min(0) * runs.strength[:, None]
    while int(left.sum()) >= least:
        drawn = torch.where(left, pull[left].sum(0), 0)
        seed = int(drawn.argmax())
        if drawn[seed] <= 0:
            break
        kernel, members = cores[seed], left
        for _ in range(ROUNDS):
            fit, place = (part[:, 0] for part in _likeness(runs, kernel[None]))
            members = left & (fit > likeness)
            if not members.any():
                break
            kernel = _laid(runs.adding, members, place, width).mean(0)
        if int(members.sum()) >= least:
            found.append(kernel)
            left = left & ~members
        left[seed] = False
    return torch.stack(found) if found else cores[:0]


def _likeness(runs: Runs, kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Each run's best cosine with each kernel (kernels, 4, width), and at which strand and shift: (runs, kernels)."""
    width = kernels.shape[-1]
    unit = kernels / kernels.flatten(1).norm(dim=1)[:, None, None].clamp_min(1e-12)
    found = []
    for strand in runs.adding:
        power = F.conv1d(strand.square().sum(1, keepdim=True), strand.new_ones(1, 1, width))
        found.append(F.conv1d(strand, unit) / power.sqrt().clamp_min(1e-12))
    best, place = torch.cat(found, 2).max(2)
    return best, place


def _laid(of: Tensor, members: Tensor, place: Tensor, width: int) -> Tensor:
    """The members' windows of letters or of what they add, (members, 4, width), as they fit their pattern."""
    number = members.nonzero()[:, 0]
    strand, shift = place[number] // (2 * SHIFT + 1), place[number] % (2 * SHIFT + 1)
    return of.unfold(3, width, 1)[strand, number, :, shift]
