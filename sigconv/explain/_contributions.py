"""What each letter of a sequence adds to a model's answer, against sequences that are like it and mean nothing."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.explain._answers import at_once, at_rest, inputs, letters, like, wanted
from sigconv.explain._rules import slope
from sigconv.transforms import dna

REFERENCES = 8


def contributions(
    model: nn.Module,
    sequences: Any,
    *,
    references: int = REFERENCES,
    target: Any = None,
    seed: int = 0,
    batch_size: int = 128,
) -> Any:
    """What each letter adds to the answer, against shuffles of its sequence: (batch, length).

    Each sequence is compared with so many dinucleotide shuffles of itself, drawn by the seed and its place among the
    sequences: the gradient somewhere on the way from a shuffle to the sequence, times what differs. Unknown letters at
    the ends stay. The sum over a sequence is about its answer less the
    mean answer of the shuffles: exactly where the model is linear, nearer with more references elsewhere. sequences,
    target and how the model answers are as for mutagenesis; the model is given channels, whatever sequences are.
    Source: Erion et al. 2021, doi:10.1038/s42256-021-00343-w (expected gradients).

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    >>> contributions(net, ["ACGT", "TTTT"])[1]
    tensor([0., 0., 0., 0.])
    """
    with torch.inference_mode(False):  # gradients are needed, whoever asks
        x = inputs(sequences)
        x = x.clone() if x.is_inference() else x
        return like(_found(model, x, references, target, seed, batch_size), sequences)


def _found(model: nn.Module, x: Tensor, references: int, target: Any, seed: int, batch_size: int) -> Tensor:
    """contributions of tokens or channels."""
    references, batch_size = nd.count(references, "references"), at_once(batch_size, x.shape[-1])
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    targets = None if target is None else wanted(target, len(x))
    found = torch.zeros(len(x), x.shape[-1], dtype=dtype)
    with at_rest(model):
        for number in range(references):
            for part in torch.arange(len(x)).split(batch_size):
                tokens = letters(x[part])
                there = x[part].to(dtype) if x.is_floating_point() else dna.one_hot(tokens, dtype=dtype)
                lots = [_lot(seed, row, number) for row in part.tolist()]
                away = there - dna.one_hot(dna.between_flanks(tokens, lots), dtype=dtype).to(there.device)
                # one place in each of as many equal parts of the way: nearer to the integral than places anywhere
                places = torch.stack([torch.rand(1, 1, generator=lot) for lot in lots])
                along = (number + places) / references
                steep = slope(model, there - away * along.to(there), None if targets is None else targets[part])
                found[part] += (away * steep.to(away.device)).sum(1).cpu() / references
    return found


def _lot(seed: int, row: int, number: int) -> torch.Generator:
    """What draws the reference of this number for a sequence: the same, whatever else is asked about."""
    drawn = hashlib.sha256(f"{seed} {row} {number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(drawn[:8], "little", signed=True))
