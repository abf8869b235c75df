"""Separable filters on CUDA, an axis at a time: many short filters along one axis in one launch; ops and their twins.

Signals are (signals, parts, rows, before, n, after), contiguous: the axis of the pass is n, what stands before and
after it is flat, and a complex signal is two parts, real and imaginary, each whole. Filters are (filters, parts, taps)
and correlate: who wants true convolution gives them turned over. A table (outputs, terms, 2) says for each output which
signal meets which filter, and sums over its terms.

A pass makes signals of signals. The last pass makes what was asked for and puts it where it belongs: the complex
responses of a bank never stand in memory. Nothing is differentiated through here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import _passes_triton as loops
from sigconv.kernels import _triton as shared
from sigconv.kernels._op import custom_op


def usable(x: Tensor, lines: Sequence[Tensor]) -> bool:
    """Whether the kernels take rows (rows, *space) and a filter's lines for each axis, (filters, taps), of one kind."""
    plain, *others = (torch.view_as_real(t.resolve_conj()) if t.is_complex() else t for t in (x, *lines))
    alike = all(t.device == x.device and t.dtype == plain.dtype for t in others)
    space = math.prod(x.shape[1:])
    wide = [space // max(n, 1) * (n + f.shape[1] + 2 * loops.SPARE) for n, f in zip(x.shape[1:], lines, strict=True)]
    return alike and shared.takes(plain, *others) and 2 * max(wide) < shared.SPACE


def parts(t: Tensor) -> Tensor:
    """A tensor as one part, or a complex one as two: (parts, *size)."""
    return torch.view_as_real(t.resolve_conj()).movedim(-1, 0) if t.is_complex() else t.unsqueeze(0)


@custom_op("filter_pass", device="cuda")
def filtered(x: Tensor, filters: Tensor, table: Tensor, before: int, stride: int, positions: int) -> Tensor:
    """Each output's sum of terms along the axis, zeros beyond its ends: (outputs, parts, rows, …, positions, …).

    Output q sees the samples from q·stride - before on.
    """
    y = _filtered_empty(x, filters, table, before, stride, positions)
    loops.run(x.contiguous(), filters.contiguous(), table.contiguous(), y, before, stride, positions)
    return y


@filtered.register_fake
def _filtered_empty(x: Tensor, filters: Tensor, table: Tensor, before: int, stride: int, positions: int) -> Tensor:
    size = table.shape[0], max(x.shape[1], filters.shape[1]), *x.shape[2:4], positions, x.shape[5]
    return x.new_empty(size)


@custom_op("filter_last_pass", device="cuda", mutates_args=("y",))
def answered(x: Tensor, filters: Tensor, table: Tensor, before: int, stride: int, y: Tensor, output: str) -> None:
    """The same sums along the first axis of space, made into an output and written into y.

    y is (rows, outputs, positions, …), contiguous, of pairs if complex. A term's filter says where its output goes:
    filter f is a term of output f // terms.
    """
    if x.shape[3] != 1:
        raise ValueError(f"x has {x.shape[3]} rows before its axis: the last pass is along the first axis of space")
    loops.run(x.contiguous(), filters.contiguous(), table.contiguous(), y, before, stride, y.shape[2], output)


@answered.register_fake
def _answered_empty(*given: Any) -> None:
    return None


def filtered_twin(x: Tensor, filters: Tensor, table: Tensor, before: int, stride: int, positions: int) -> Tensor:
    """The same sums in torch, a window at a time."""
    k = filters.shape[2]
    wide = nd.pad(x, ((before, max((positions - 1) * stride + k - before - x.shape[4], 0)), (0, 0)))
    windows = wide.unfold(4, k, stride)[:, :, :, :, :positions]
    signal, taps = (table[..., column].flatten().long() for column in (0, 1))
    one, other = _joined(windows[signal], 1), _joined(filters[taps], 1)
    kind = torch.promote_types(one.dtype, other.dtype)
    terms = torch.einsum("orbpak,ok->orbpa", one.to(kind), other.to(kind))
    y = terms.unflatten(0, table.shape[:2]).sum(1)
    return parts(y).movedim(0, 1).contiguous()


def answered_twin(x: Tensor, filters: Tensor, table: Tensor, before: int, stride: int, y: Tensor, output: str) -> None:
    """The same answers in torch."""
    found = _joined(filtered_twin(x, filters, table, before, stride, y.shape[2]), 1)[:, :, 0]
    if output == "complex":
        made = torch.stack([found.real, found.imag if found.is_complex() else torch.zeros_like(found)], -1)
    elif output in ("real", "imag"):
        made = getattr(found, output) if found.is_complex() else found
    else:
        made = found.abs() if output == "magnitude" else found.abs().square()
    y[:, table[:, 0, 1].long() // table.shape[1]] = (
        made.transpose(0, 1).reshape(y.shape[0], -1, *y.shape[2:]).to(y.dtype)
    )


def _joined(t: Tensor, dim: int) -> Tensor:
    """Parts made one number."""
    some = t.unbind(dim)
    return torch.complex(*some) if len(some) == 2 else some[0]


shared.OPS.extend(((filtered, filtered.function), (answered, answered.function)))
