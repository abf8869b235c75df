"""Separable filters: sums of a few outer products of taps, one short filter per axis.

Terms are one tensor per axis, (filters, rank, taps): filter f is Σ_r ⊗_axis terms[axis][f, r].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Terms = list[Tensor]


def outer(terms: Terms) -> Tensor:
    """The filters themselves: (filters, *size).

    >>> outer([torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 0.0, 3.0]]])])
    tensor([[[1., 0., 3.],
             [2., 0., 6.]]])
    """
    product = terms[0]
    for taps in terms[1:]:
        product = product.unsqueeze(-1) * taps.reshape(*taps.shape[:2], *[1] * (product.ndim - 2), -1)
    return product.sum(1)


def gain(terms: Terms, frequency: Tensor) -> Tensor:
    """The response of each filter to its own frequency, (filters, ndim) in cycles per sample: complex (filters,)."""
    total: Tensor | None = None
    for axis, taps in enumerate(terms):
        place = torch.arange(taps.shape[-1], dtype=frequency.dtype, device=taps.device) - (taps.shape[-1] - 1) / 2
        turn = 2 * math.pi * frequency[:, axis, None] * place
        one = (taps * torch.polar(torch.ones_like(turn), -turn)[:, None]).sum(-1)
        total = one if total is None else total * one
    assert total is not None
    return total.sum(1)


def energy(terms: Terms) -> Tensor:
    """Σ|h|² of each filter: (filters,)."""
    total: Tensor | None = None
    for taps in terms:
        one = torch.einsum("frk,fsk->frs", taps, taps.conj())
        total = one if total is None else total * one
    assert total is not None
    return total.sum((1, 2)).real


def without_mean(waves: Terms, envelopes: Terms) -> Terms:
    """Waves (filters, taps per axis) less so much of their envelopes that every filter sums to exactly 0: two terms."""
    share = [w.sum(1, keepdim=True) / e.sum(1, keepdim=True) for w, e in zip(waves, envelopes, strict=True)]
    terms = [torch.stack([w, e * s], 1) for w, e, s in zip(waves, envelopes, share, strict=True)]
    return scaled(terms, envelopes[0].new_tensor([[1.0, -1.0]]))


def scaled(terms: Terms, factor: Tensor) -> Terms:
    """Each filter times a number, (filters,), or each of its terms, (filters, rank)."""
    factor = factor.unsqueeze(-1) if factor.ndim == 1 else factor
    return [terms[0] * factor.unsqueeze(-1), *terms[1:]]
