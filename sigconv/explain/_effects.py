"""What variants of a genome do to a model's answer: a window with the reference's letters, and one with the others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from sigconv import nd
from sigconv.explain._answers import answer, asked, at_once, at_rest, models_of
from sigconv.readers.fasta import Genome
from sigconv.readers.vcf import Variant
from sigconv.transforms import dna

LONGEST = 1 << 22  # letters of a window


class Effect(NamedTuple):
    """A variant with the answers to both windows; where there are none (NaN), note says why."""

    variant: Variant
    reference: float
    alternate: float
    note: str = ""

    @property
    def difference(self) -> float:
        """The alternate answer less the reference's."""
        return self.alternate - self.reference

    @property
    def failed(self) -> bool:
        """Whether the variant should have had answers: it does not fit the genome, or the window."""
        return bool(self.note) and not self.variant.symbolic


def effects(
    model: nn.Module | Sequence[nn.Module],
    variants: Iterable[Variant],
    genome: Genome | Mapping[str, str],
    *,
    length: int,
    target: Any = None,
    batch_size: int = 128,
) -> Iterator[Effect]:
    """The answers to the reference and to the alternate allele of each variant, in order, in constant memory.

    model takes tokens (batch, length); of several the mean answers. genome is a Genome or maps names to sequences; a
    chromosome may be called with or without `chr`. Windows have so many letters, unknown ones beyond a chromosome's
    ends. As many stand before both alleles, so that the longer one lies in the middle; what follows fills the window. A
    variant whose REF is not what the genome has there (where the genome knows), whose place or chromosome it has not,
    or that is longer than the window has no answers, nor has one that is no letters; its note says so. target is the
    class whose answer is meant, of more than two.

    >>> from sigconv import models
    >>> net = models.build("dna:zeng", classes=1, hidden=0)
    >>> variants = [Variant("1", 3, "", "T", "G"), Variant("1", 3, "", "A", "G")]
    >>> [effect.note for effect in effects(net, variants, {"chr1": "ACGT" * 9}, length=21)]
    ['', 'REF A is not T, as the genome has it']
    """
    models = models_of(model)
    nd.count(length, "length")
    if length > LONGEST:
        raise ValueError(f"length {length} of a window is more than {LONGEST}")
    windows = _Windows(genome, length)
    source = iter(variants)
    while part := list(itertools.islice(source, at_once(batch_size, length))):
        laid = [windows.of(variant) for variant in part]
        texts = [text for found in laid if not isinstance(found, str) for text in found]
        scores = iter(_scores(models, texts, target))
        for variant, found in zip(part, laid, strict=True):
            if isinstance(found, str):
                yield Effect(variant, math.nan, math.nan, found)
            else:
                yield Effect(variant, next(scores), next(scores))


@torch.no_grad()
def _scores(models: Sequence[nn.Module], texts: Sequence[str], target: Any) -> list[float]:
    """The mean of the models' answers to each text."""
    if not texts:
        return []
    tokens = dna.encode(texts)
    total = torch.zeros(len(texts), dtype=torch.float64)
    for model in models:
        with at_rest(model):
            total += answer(asked(model, tokens), target).double().cpu()
    return [float(score) for score in total / len(models)]


class _Windows:
    """Windows of a genome about variants."""

    def __init__(self, genome: Genome | Mapping[str, str], length: int) -> None:
        self.genome, self.length = genome, length
        lengths = genome.lengths if isinstance(genome, Genome) else {name: len(text) for name, text in genome.items()}
        others = {name[3:] if name.startswith("chr") else f"chr{name}": name for name in lengths}
        self.sizes = lengths
        self.names = others | {name: name for name in lengths}

    def of(self, variant: Variant) -> tuple[str, str] | str:
        """The windows with the reference's letters and with the others; or why there are none."""
        chrom, start, _, ref, alt = variant
        if variant.symbolic:
            return f"ALT {alt[:40]} is no sequence"
        if chrom not in self.names:
            return "the genome has no such chromosome"
        name, end = self.names[chrom], start + len(ref)
        if end > self.sizes[name]:
            return f"it ends beyond {name}, which has {self.sizes[name]} letters"
        there = self._letters(name, start, end)
        if any(a != b and b in dna.LETTERS for a, b in zip(ref, there, strict=True)):
            return f"REF {ref[:40]} is not {there[:40]}, as the genome has it"
        longest = max(len(ref), len(alt))
        if longest > self.length:
            return f"an allele of {longest} letters is longer than the window, {self.length}"
        before = (self.length - longest) // 2
        left = self._letters(name, start - before, start)
        right = self._letters(name, end, end + self.length)
        one, other = ((left + allele + right)[: self.length] for allele in (ref, alt))
        return one, other

    def _letters(self, name: str, start: int, end: int) -> str:
        """Letters of a chromosome in capitals, unknown ones beyond its ends."""
        size = self.sizes[name]
        first, last = min(max(start, 0), size), min(max(end, 0), size)
        if isinstance(self.genome, Genome):
            found = self.genome.fetch(name, first, last)
        else:
            found = self.genome[name][first:last].upper().replace("U", "T")
        return "N" * (first - start) + found + "N" * (end - last)
