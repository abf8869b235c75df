"""A spectrum times filters' spectra, folded by a stride: every s-th sample of a signal has s bins for one, averaged.

A filter's spectrum is whole, or the outer product of a line for each axis, or a sum of such. On CUDA all is one kernel,
and neither products nor filters ever stand in memory whole; nothing is differentiated through it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from sigconv.kernels import _folding_triton as loops
from sigconv.kernels import _triton as shared
from sigconv.kernels._memory import Scratch
from sigconv.kernels._op import custom_op


def product(found: list[Tensor], spectrum: Tensor, fold: tuple[int, ...], half: bool, scratch: Scratch) -> Tensor:
    """The signal's spectrum times some filters', folded: (rows, *period) -> (rows, filters, *folded).

    found are a line per axis, (filters, rank, n), or one whole, (filters, *period).
    """
    if half:
        found = [*found[:-1], found[-1][..., : spectrum.shape[-1]]]
    if not scratch.grows and usable(spectrum, found):
        return _op(spectrum, found, list(fold))
    return twin(found, spectrum, fold, scratch)


def usable(spectrum: Tensor, found: Sequence[Tensor]) -> bool:
    """Whether the kernel takes these: complex, of one kind, one to four axes whose numbers 32 bits can count."""
    some, *others = (torch.view_as_real(t.resolve_conj()) for t in (spectrum, *found))
    alike = all(t.dtype == some.dtype and t.device == some.device for t in others)
    axes = 0 < spectrum.ndim - 1 <= shared.AXES
    return alike and axes and shared.takes(some, *others) and 2 * math.prod(spectrum.shape[1:]) < shared.SPACE


def lines(found: Sequence[Tensor], ndim: int) -> bool:
    """Whether spectra are products of lines and not whole; on one axis either is a line."""
    return len(found) == ndim and found[0].ndim == 3


@custom_op("fold_product", device="cuda")
def _op(spectrum: Tensor, found: list[Tensor], fold: list[int]) -> Tensor:
    y = _empty(spectrum, found, fold)
    loops.run(spectrum.contiguous(), [f.contiguous() for f in found], y, fold, lines(found, len(fold)))
    return y


@_op.register_fake
def _empty(spectrum: Tensor, found: list[Tensor], fold: list[int]) -> Tensor:
    folded = (n // s for n, s in zip(spectrum.shape[1:], fold, strict=True))
    return spectrum.new_empty(spectrum.shape[0], found[0].shape[0], *folded)


def twin(found: list[Tensor], spectrum: Tensor, fold: tuple[int, ...], scratch: Scratch) -> Tensor:
    """The same in torch: axes are multiplied and folded one after the other, each on what the last one left."""
    ndim = spectrum.ndim - 1
    spectrum = spectrum.unsqueeze(1)
    if not lines(found, ndim):
        return _folded(_mul(spectrum, found[0].unsqueeze(0), "product", scratch), fold)
    total: Tensor | None = None
    for rank in range(found[0].shape[1]):
        factors = [
            f[:, rank].reshape(1, f.shape[0], *(-1 if a == axis else 1 for a in range(ndim)))
            for axis, f in enumerate(found)
        ]
        one, name = spectrum, f"product {min(rank, 1)}"
        if max(fold) == 1 and ndim > 1:  # what is small is multiplied first
            factors = [reduce(torch.mul, factors[1:-1], factors[0]), factors[-1]]
        for axis, line in enumerate(factors):
            one = _mul(one, line, name if max(fold) == 1 else f"{name} {axis}", scratch)
            one = _folded(one, tuple(s if a == axis else 1 for a, s in enumerate(fold)))
        total = one if total is None else total + one if scratch.grows else total.add_(one)
    assert total is not None
    return total


def _mul(one: Tensor, other: Tensor, name: str, scratch: Scratch) -> Tensor:
    """Their product, in a buffer; in place where one already stands there."""
    shape = tuple(map(max, one.shape, other.shape)) if 0 not in one.shape else one.shape
    out = scratch.take(name, shape, torch.promote_types(one.dtype, other.dtype))
    return torch.mul(one, other, out=out)


def _folded(product: Tensor, fold: tuple[int, ...]) -> Tensor:
    """Bins that a stride makes one, averaged."""
    for axis, s in enumerate(fold):
        if s > 1:
            dim = product.ndim - len(fold) + axis
            product = product.unflatten(dim, (s, -1)).mean(dim)
    return product


shared.OPS.append((_op, _op.function))
