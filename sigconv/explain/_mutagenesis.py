"""What every substitution of a letter would do to a model's answer: saturation mutagenesis without a laboratory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv.explain._answers import answer, asked, at_once, at_rest, inputs, letters, like, wanted
from sigconv.transforms import dna

ROWS = len(dna.LETTERS)


@torch.no_grad()
def mutagenesis(model: nn.Module, sequences: Any, *, target: Any = None, batch_size: int = 256) -> Any:
    """The change of the answer for every letter put at every place: (batch, 4, length), rows A C G T.

    sequences are text of one length, tokens (batch, length), or one-hot channels (batch, 4, length), which the model is
    given as they are; 0 stands at the letter that is there. target is a class or one for each item; a model of one
    output needs none, and of two it is the second less the first. So many sequences are answered at once, however many
    there are. The changes have the model's dtype and device, and are an array of NumPy if the sequences are. The model
    answers as it is used, not as it is trained, and is left as it was.

    >>> from sigconv import models
    >>> net = models.build("dna:zeng", classes=1, hidden=0)
    >>> change = mutagenesis(net, ["ACGTNACGTACG"])
    >>> change.shape, change[0, :, 0].eq(0).tolist()
    (torch.Size([1, 4, 12]), [True, False, False, False])
    """
    x = inputs(sequences)
    n, length = len(x), x.shape[-1]
    there, total, batch_size = letters(x), n * ROWS * length, at_once(batch_size, length)
    targets = None if target is None else wanted(target, n)
    with at_rest(model):
        base = torch.cat([_answers(model, x[part], targets, part) for part in torch.arange(n).split(batch_size)])
        found = base.new_zeros(total)
        for start in range(0, total, batch_size):
            number = torch.arange(start, min(start + batch_size, total))
            row, letter, place = number // length // ROWS, number // length % ROWS, number % length
            new = there[row, place].cpu() != letter
            row, letter, place = row[new], letter[new], place[new]
            changed = _answers(model, _put(x[row], place, letter), targets, row)
            found[number[new]] = changed - base[row]
    return like(found.view(n, ROWS, length), sequences)


def importance(changes: Any, sequences: Any) -> Any:
    """How much of the answer each letter holds: (batch, 4, length) of mutagenesis -> (batch, length).

    What the answer would lose in the mean, were the letter one of the three others; NaN where it is unknown. sequences
    are those that were changed. A genome browser draws it: `bedgraph.write(path, [(chrom, start, importance(…)[0])])`.

    >>> importance(torch.tensor([[[0.0, 1.0], [-3.0, 1.0], [-3.0, 1.0], [0.0, 1.0]]]), ["AN"])
    tensor([[2., nan]])
    """
    x = torch.as_tensor(changes)
    if x.ndim != 3 or x.shape[1] != ROWS:
        raise ValueError(f"changes of shape {tuple(x.shape)} are not (batch, 4, length)")
    known = letters(inputs(sequences)).to(x.device) < dna.UNKNOWN
    if known.shape != (len(x), x.shape[2]):
        raise ValueError(f"changes of shape {tuple(x.shape)} are not those of sequences {tuple(known.shape)}")
    return like(torch.where(known, -x.sum(1) / (ROWS - 1), torch.nan), changes)


def _answers(model: nn.Module, x: Tensor, targets: Tensor | None, rows: Tensor) -> Tensor:
    return answer(asked(model, x), None if targets is None else targets[rows.to(targets.device)])


def _put(x: Tensor, place: Tensor, letter: Tensor) -> Tensor:
    """Each sequence with one letter changed, tokens or channels; x is changed."""
    rows = torch.arange(len(x))
    if x.is_floating_point():
        x[rows, :, place] = 0
        x[rows, letter, place] = 1
    else:
        x[rows, place] = letter.to(x)
    return x
