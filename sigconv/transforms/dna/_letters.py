"""Letters, tokens and one-hot channels of DNA, and the other strand of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd

LETTERS = "ACGT"
UNKNOWN = 4  # the token of every letter that is none of these
CODES = "RYSWKMBDHVN"  # IUPAC's words for several letters at once
OPPOSITE = str.maketrans("ACGTURYSWKMBDHVNacgturyswkmbdhvn", "TGCAAYRSWMKVHDBNtgcaayrswmkvhdbn")

_TOKENS = np.full(256, 255, np.uint8)
for _letters, _token in (*((two, i) for i, two in enumerate(("Aa", "Cc", "Gg", "TtUu"))), (CODES + CODES.lower(), 4)):
    _TOKENS[[ord(letter) for letter in _letters]] = _token


def known(tokens: Tensor) -> Tensor:
    """Tokens with everything that is none of 0 to 3 as 4, unknown, whatever their dtype."""
    return torch.where((tokens >= 0) & (tokens < UNKNOWN), tokens, UNKNOWN).long()


def encode(sequences: str | bytes | Sequence[str | bytes], *, length: int | None = None) -> Tensor:
    """Letters as tokens: A 0, C 1, G 2, T or U 3, every other IUPAC letter 4 (unknown), in either case.

    One sequence -> uint8 (length,), several -> (sequences, length). With length, longer ones are cut at both ends alike
    and shorter ones stand amid unknown letters; without it all must be equally long. A byte a letter: a sixteenth of
    float32 one-hot channels, and what sc.conv takes in their place. ValueError for a letter that no IUPAC code has,
    and for unequal lengths.

    >>> encode(["ACGT", "acgn"])
    tensor([[0, 1, 2, 3],
            [0, 1, 2, 4]], dtype=torch.uint8)
    """
    if isinstance(sequences, str | bytes):
        return encode([sequences], length=length)[0]
    rows = [_row(sequence, number) for number, sequence in enumerate(sequences)]
    if length is None:
        lengths = {len(row) for row in rows}
        if len(lengths) > 1:
            raise ValueError(f"sequences of {min(lengths)} to {max(lengths)} letters have no one length: give length=")
        return torch.from_numpy(np.stack(rows)) if rows else torch.zeros(0, 0, dtype=torch.uint8)
    out = np.full((len(rows), nd.count(length, "length")), UNKNOWN, np.uint8)
    for into, row in zip(out, rows, strict=True):
        spare = length - len(row)
        if spare >= 0:
            into[spare // 2 : spare // 2 + len(row)] = row
        else:
            into[:] = row[-spare // 2 : -spare // 2 + length]
    return torch.from_numpy(out)


def _row(sequence: str | bytes, number: int) -> np.ndarray:
    raw = sequence.encode("latin-1", "replace") if isinstance(sequence, str) else sequence
    row = np.asarray(_TOKENS[np.frombuffer(raw, np.uint8)])
    wrong = np.flatnonzero(row == 255)
    if len(wrong):
        where = int(wrong[0])
        raise ValueError(
            f"letter {chr(raw[where])!r} at {where} of sequence {number} is no letter of DNA (ACGTU, IUPAC)"
        )
    return row


def decode(tokens: Any) -> Any:
    """Tokens as letters: (length,) -> a string, (sequences, length) -> a list of them; unknown is N.

    >>> decode(encode(["ACGT", "ACGR"]))
    ['ACGT', 'ACGN']
    """
    values = known(torch.as_tensor(tokens)).cpu().numpy()
    if values.ndim > 1:
        return [decode(row) for row in values]
    return np.frombuffer(b"ACGTN", np.uint8)[values].tobytes().decode()


def one_hot(tokens: Tensor, *, unknown: str = "mean", dtype: torch.dtype = torch.float32) -> Tensor:
    """Tokens as four channels, A C G T: (..., length) -> (..., 4, length), on the tokens' device.

    An unknown letter is a quarter of each ("mean") or nothing ("zero"). What sc.conv makes of the tokens is what it
    makes of these, for unknown="mean" and "zero" alike.

    >>> one_hot(encode("GN"))
    tensor([[0.0000, 0.2500],
            [0.0000, 0.2500],
            [1.0000, 0.2500],
            [0.0000, 0.2500]])
    """
    nd.one_of(unknown, ("mean", "zero"), "unknown")
    rows = torch.eye(5, 4, dtype=dtype, device=tokens.device)
    rows[UNKNOWN] = 0.25 if unknown == "mean" else 0.0
    return rows[known(tokens)].mT


def reverse_complement(x: Any) -> Any:
    """The other strand, read its own way.

    Of a string, of several, of tokens (..., length) or of one-hot channels (..., 4, length): the same kind. Integers
    are tokens, floating numbers are channels in the order A C G T.

    >>> reverse_complement("AACGN"), reverse_complement(encode("AACGN"))
    ('NCGTT', tensor([4, 1, 2, 3, 3], dtype=torch.uint8))
    """
    if isinstance(x, str):
        return x.translate(OPPOSITE)[::-1]
    if not isinstance(x, Tensor):
        return [reverse_complement(one) for one in x]
    if x.is_floating_point():
        if x.ndim < 2 or x.shape[-2] != len(LETTERS):
            raise ValueError(f"x of shape {tuple(x.shape)} has no four channels A C G T before the last axis")
        return x.flip(-2, -1)
    turned = x.flip(-1)
    return torch.where((turned >= 0) & (turned < UNKNOWN), 3 - turned, turned)
