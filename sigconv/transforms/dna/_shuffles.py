"""Sequences shuffled so that every pair of neighbouring letters stays as frequent as it was.

A sequence is a walk over its letters, each pair of neighbours an edge; a shuffle is another walk over the same edges.
Such a walk exists for an order of each letter's ways out if and only if the last ways out lead to the final letter
(Altschul and Erikson). With four letters there are only sixteen such trees to a root, so one is drawn straight from
their exact probabilities, all sequences at once, where the paper draws until one is found.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from sigconv.transforms.dna._letters import UNKNOWN

PART = 1024  # sequences shuffled at once
BELOW = 1 - 2**-40  # a product with a number below 1 stays below, rounded too


def dinucleotide_shuffle(
    tokens: Tensor, generator: torch.Generator | Sequence[torch.Generator] | None = None
) -> Tensor:
    """Another sequence with exactly the same pairs of neighbours, each such sequence as likely as any other.

    (..., length) of tokens 0 to 4 -> the same shape, dtype and device; the first and the last letter stay. A generator
    makes it reproducible; one for each sequence makes each its own generator's function. ValueError for other tokens.

    Source: Altschul and Erikson 1985, doi:10.1093/oxfordjournals.molbev.a040370.

    >>> x = torch.tensor([0, 1, 0, 2, 0, 3])
    >>> y = dinucleotide_shuffle(x, torch.Generator().manual_seed(2))
    >>> y.tolist(), sorted(zip(x.tolist(), x.tolist()[1:])) == sorted(zip(y.tolist(), y.tolist()[1:]))
    ([0, 2, 0, 1, 0, 3], True)
    """
    if tokens.is_floating_point() or tokens.is_complex():
        raise ValueError(f"tokens are {str(tokens.dtype).removeprefix('torch.')}: expected integers 0 … 4")
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) <= 4:
        raise ValueError(f"tokens from {int(tokens.min())} to {int(tokens.max())} are not all in 0 … 4")
    if tokens.numel() == 0 or tokens.shape[-1] < 4:
        return tokens.clone()
    rows = tokens.reshape(-1, tokens.shape[-1]).cpu().long()
    if isinstance(generator, Sequence):
        if len(generator) != len(rows):
            raise ValueError(f"{len(generator)} generators for {len(rows)} sequences: give one, or one for each")
        chance = torch.stack([torch.rand(rows.shape[1], generator=g, dtype=torch.float64) for g in generator])
    else:
        chance = torch.rand(rows.shape, generator=generator, dtype=torch.float64)
    parts = [_shuffled(*part) for part in zip(rows.split(PART), chance.split(PART), strict=True)]
    return torch.cat(parts).reshape(tokens.shape).to(tokens)


def between_flanks(tokens: Tensor, generator: torch.Generator | Sequence[torch.Generator] | None = None) -> Tensor:
    """dinucleotide_shuffle of windows (windows, length), but for unknown letters at their ends, which stay.

    Shuffled too, the flanks of windows shorter than others would tell which are shuffled.

    >>> between_flanks(torch.tensor([[4, 4, 0, 0, 0, 4]])).tolist()
    [[4, 4, 0, 0, 0, 4]]
    """
    known = tokens != UNKNOWN
    ends = torch.stack([known.int().argmax(1), known.flip(1).int().argmax(1)], 1)
    if not ends.any():
        return dinucleotide_shuffle(tokens, generator)
    y = tokens.clone()
    for before, after in ends.unique(dim=0).tolist():
        rows = (ends == ends.new_tensor([before, after])).all(1).nonzero().flatten().tolist()
        inner = slice(before, tokens.shape[1] - after)
        drawn = [generator[row] for row in rows] if isinstance(generator, Sequence) else generator
        y[rows, inner] = dinucleotide_shuffle(tokens[rows, inner], drawn)
    return y


def _shuffled(x: Tensor, chance: Tensor) -> Tensor:
    """The shuffles that random numbers in [0, 1), one for each letter, make of sequences (rows, length)."""
    letters = int(x.max()) + 1
    order = _order(x, letters, chance)
    first = (x[:, None, :-1] < torch.arange(letters)[None, :, None]).sum(-1)  # where each letter's ways out begin
    y, letter, rows = x.clone(), x[:, 0].clone(), torch.arange(len(x))
    for step in range(1, x.shape[1]):  # from letter to letter, each way out taken once, in its order
        way = order[rows, first[rows, letter]]
        first[rows, letter] += 1
        letter = x[rows, way + 1]
        y[:, step] = letter
    return y


def _order(x: Tensor, letters: int, chance: Tensor) -> Tensor:
    """The ways out of all letters, the first letter's first, each letter's in a random order but for its last one."""
    source, target, key = x[:, :-1], x[:, 1:], chance[:, :-1].clone()
    last = _last_ways(x, letters, chance[:, -1])
    bound = (target == last.gather(1, source)) & (source != x[:, -1:])  # the final letter's ways out are free
    for letter in range(letters):  # of the ways that lead where its last one must, any: they are alike
        here = bound & (source == letter)
        top = here.long().argmax(1, keepdim=True)
        key.scatter_(1, top, torch.where(here.gather(1, top), 1.0, key.gather(1, top)))
    return (source + 0.5 * key).argsort(1)


def _last_ways(x: Tensor, letters: int, chance: Tensor) -> Tensor:
    """For each letter where its last way out leads, (rows, letters): all to the final letter, as often as it arises."""
    counts = torch.zeros(len(x), letters * letters, dtype=torch.float64)
    counts.scatter_add_(1, x[:, :-1] * letters + x[:, 1:], torch.ones(len(x), x.shape[1] - 1, dtype=torch.float64))
    counts = counts.view(-1, letters, letters)
    root = x[:, -1:]
    free = (counts.sum(2) == 0) | (torch.arange(letters) == root)  # no way out, or none that must be the last
    straight = torch.nn.functional.one_hot(root, letters).double()
    counts = torch.where(free[:, :, None], straight, counts)
    choices, roots = _trees(letters)
    weight = counts[:, torch.arange(letters), choices].prod(2)  # ways to take the last steps so: rows, choices
    ways = torch.where(roots == root, weight, 0.0).cumsum(1)
    return choices[torch.searchsorted(ways, BELOW * chance[:, None] * ways[:, -1:], right=True).squeeze(1)]


@cache
def _trees(letters: int) -> tuple[Tensor, Tensor]:
    """Every choice of a next letter for each that leads all of them to one, which leads to itself; and that one."""
    choices = torch.tensor(list(itertools.product(range(letters), repeat=letters)))
    at = choices
    for _ in range(letters):
        at = choices.gather(1, at)
    tree = (at == at[:, :1]).all(1) & (choices.gather(1, at[:, :1]) == at[:, :1]).squeeze(1)
    return choices[tree], at[tree, 0]
