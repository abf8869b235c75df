"""Words of k letters: their numbers, their names, and how often a sequence has each."""

from __future__ import annotations

import itertools
from functools import cache

import torch
from torch import Tensor

from sigconv import nd
from sigconv.transforms.dna._letters import LETTERS, reverse_complement

MOST = 12  # letters of a word: 16 million words


def kmers(tokens: Tensor, k: int) -> Tensor:
    """The number of the word that begins at each letter, its first letter counting most; -1 with an unknown one.

    (..., length) of tokens -> int64 (..., length - k + 1), in [-1, 4 ** k).

    >>> kmers(torch.tensor([0, 1, 2, 3, 4]), 2)
    tensor([ 1,  6, 11, -1])
    """
    k = _k(k)
    if tokens.is_floating_point() or tokens.is_complex():
        raise ValueError(f"tokens are {str(tokens.dtype).removeprefix('torch.')}: expected integers 0 … 4")
    if tokens.shape[-1] < k:
        return tokens.new_zeros(*tokens.shape[:-1], 0, dtype=torch.int64)
    seen = tokens.long().unfold(-1, k, 1)
    known = ((seen >= 0) & (seen < 4)).all(-1)
    number = (seen * 4 ** torch.arange(k - 1, -1, -1, device=tokens.device)).sum(-1)
    return torch.where(known, number, -1)


def kmer_counts(tokens: Tensor, k: int, *, canonical: bool = True) -> Tensor:
    """How often each word of k letters stands in a sequence: (sequences, length) -> float32 (sequences, words).

    canonical: a word and its reverse complement are one, as a strand and the other are: 2,080 words of six letters in
    place of 4,096; in the order of kmer_names(k, canonical). Words with unknown letters count for nothing.

    >>> kmer_counts(torch.tensor([[0, 0, 3, 3]]), 1), kmer_names(1)
    (tensor([[4., 0.]]), ('A', 'C'))
    """
    words = kmers(tokens, k)
    _, place = _canonical(k) if canonical else ([], torch.arange(4**k))
    places = place.to(tokens.device)[words.clamp(min=0)]
    counts = torch.zeros(*tokens.shape[:-1], int(place.max()) + 1, device=tokens.device)
    return counts.scatter_add_(-1, places, (words >= 0).float())


def kmer_names(k: int, canonical: bool = True) -> tuple[str, ...]:
    """The words of k letters in alphabetical order; canonical leaves out those whose reverse complement comes before.

    >>> kmer_names(2)
    ('AA', 'AC', 'AG', 'AT', 'CA', 'CC', 'CG', 'GA', 'GC', 'TA')
    """
    names = ["".join(letters) for letters in itertools.product(LETTERS, repeat=_k(k))]
    return tuple(names[number] for number in _canonical(k)[0]) if canonical else tuple(names)


@cache
def _canonical(k: int) -> tuple[list[int], Tensor]:
    """The words that are kept, and where among them each of the 4 ** k words counts."""
    k = _k(k)
    words = torch.arange(4**k)
    letters = torch.stack([words // 4**i % 4 for i in range(k - 1, -1, -1)], -1)
    first = torch.minimum(words, kmers(reverse_complement(letters), k).squeeze(-1))
    kept, place = first.unique(return_inverse=True)
    return kept.tolist(), place


def _k(k: int) -> int:
    if nd.count(k, "k") > MOST:
        raise ValueError(f"k {k} is more than {MOST}: there would be {4**k} words")
    return k
