"""Convolution of tokens along one axis by tables of words, and each filter's best window without all the others.

A token's part in a sum is a row of the weight; those of neighbouring taps are added beforehand, for every word that
tokens can spell: 24 taps over four letters are eight rows to add in place of 96 products. Of the best windows the
places are kept, and a gradient goes there alone.

On CUDA _word_triton.py sums and searches, _word_back_triton.py gathers the weight's gradient; all that the loops here
do has a kernel there.

Roofline: reads of the first cache, one vector of filters a word; the tables of 32 filters and three letters stay there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv.kernels import _triton as shared
from sigconv.kernels import _word_back_triton as back
from sigconv.kernels import _word_loops as loops
from sigconv.kernels import _word_triton as triton
from sigconv.kernels._axis import at_hand
from sigconv.kernels._lanes import BYTES
from sigconv.kernels._memory import empty
from sigconv.kernels._numba import compiled
from sigconv.kernels._op import custom_op
from sigconv.kernels._state import readable
from sigconv.kernels._word_layout import Layout, letters, run
from sigconv.kernels._word_tables import matched, search, spelled, window_count

MOST = 1 << 30  # places of a sequence, and offsets into a table: numbers of 32 bits
PARTS = 4  # of all windows, whose gradients are summed apart: as many however many threads there are


def usable(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether a kernel may take these: one axis of tokens; on a CPU float32 or float64 weights, with numba."""
    if triton.usable(x, weight, bias):
        return True
    if weight.ndim != 3 or x.ndim != 2 or 0 in weight.shape or x.shape[0] == 0 or x.device.type != "cpu":
        return False
    if max(x.shape[1], weight.shape[1] * BYTES) >= MOST:
        return False
    return at_hand(weight, x, *(() if bias is None else (bias,)))


def word_sums(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, before: int, after: int, dilation: int
) -> Tensor:
    """Convolution, where usable, of tokens x (batch, n) and weight (filters, symbols, taps): (batch, filters, windows).

    A token that is no symbol counts as the last of them; the margins hold nothing.
    """
    return _sums(x, weight, bias, stride, before, after, dilation)


def best_match(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, before: int, after: int, dilation: int
) -> Tensor:
    """The largest of word_sums along the windows, (batch, filters): by a kernel where one is usable, or by its twin.

    The gradient goes to the first of equal windows.
    """
    if usable(x, weight, bias):
        return _best(x, weight, bias, stride, before, after, dilation)[0]
    return twin(x, weight, bias, stride, before, after, dilation)


def twin(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, before: int, after: int, dilation: int) -> Tensor:
    """The same in torch: the best windows are found first, without gradients, and then are summed with them."""
    wants = torch.is_grad_enabled() and (weight.requires_grad or (bias is not None and bias.requires_grad))
    places = wants or not readable(x, weight, bias)
    fixed = weight.detach(), None if bias is None else bias.detach()
    value, where = search(x, *fixed, (stride, before, after, dilation), places)
    if where is None:
        return value
    y = matched(spelled(x, weight.shape[1], before, after), weight, where, stride, dilation)
    return y if bias is None else y + bias


# ---- the sums of all windows


@custom_op("word_sums", device="cpu")
def _sums(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, before: int, after: int, dilation: int
) -> Tensor:
    lay = Layout(x, weight.shape, weight, stride, before, after, dilation)
    y = empty((lay.batch, lay.filters, lay.windows), weight)
    rows, start, into = lay.weight(weight), lay.bias(bias), y.numpy()
    parts = lay.parts(lay.batch * -(-lay.windows // loops.TILE))

    def work(lo: int, hi: int) -> None:
        given = lay.words, rows, lay.table(), start, lay.tile(), into
        compiled(loops.sum_units)(*given, *lay.sizes, parts, lo, hi)

    run(work, lay.blocks * parts, lay.effort)
    return y


shared.kernel_of(_sums)(triton.sums)


@_sums.register_fake
def _sums_empty(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, before: int, after: int, dilation: int
) -> Tensor:
    windows = window_count(x.shape[1] + before + after, weight.shape[2], stride, dilation)
    return weight.new_empty(x.shape[0], weight.shape[0], windows)


@custom_op("word_spread", device="cpu")
def _spread(g: Tensor, x: Tensor, size: list[int], stride: int, before: int, after: int, dilation: int) -> Tensor:
    """The adjoint of the sums in the weight, whose shape is size."""
    lay = Layout(x, size, g, stride, before, after, dilation)
    into = np.zeros((PARTS, lay.filters, lay.base, lay.taps), lay.kind)
    seen = g.detach().contiguous().numpy()

    def work(lo: int, hi: int) -> None:
        given = lay.words, seen, lay.table(), lay.tile(), into
        compiled(loops.spread_units)(*given, *lay.sizes, PARTS, lo, hi)

    run(work, lay.blocks * PARTS, lay.effort)
    return torch.from_numpy(np.ascontiguousarray(into.sum(0)[:, :-1]))


shared.kernel_of(_spread)(back.spread)


@_spread.register_fake
def _spread_empty(g: Tensor, x: Tensor, size: list[int], stride: int, before: int, after: int, dilation: int) -> Tensor:
    return g.new_empty(size)


def _keep(ctx: Any, inputs: tuple, output: Any) -> None:
    x, weight, bias, *ctx.options = inputs
    ctx.size, ctx.biased = list(weight.shape), bias is not None
    ctx.save_for_backward(x, *output[1:])


def _sums_backward(ctx: Any, g: Tensor) -> tuple:
    (x,) = ctx.saved_tensors
    to_weight = _spread(g, x, ctx.size, *ctx.options) if ctx.needs_input_grad[1] else None
    to_bias = g.sum((0, 2)) if ctx.biased and ctx.needs_input_grad[2] else None
    return None, to_weight, to_bias, None, None, None, None


def _spread_backward(ctx: Any, g: Tensor) -> tuple:
    (x,) = ctx.saved_tensors
    return word_sums(x, g, None, *ctx.options), None, None, None, None, None, None


def _keep_spread(ctx: Any, inputs: tuple, output: Any) -> None:
    _, x, _, *ctx.options = inputs
    ctx.save_for_backward(x)


_sums.register_autograd(_sums_backward, setup_context=lambda ctx, inputs, output: _keep(ctx, inputs, (output,)))
_spread.register_autograd(_spread_backward, setup_context=_keep_spread)


# ---- the best window of every filter


@custom_op("best_match", device="cpu")
def _best(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, before: int, after: int, dilation: int
) -> tuple[Tensor, Tensor]:
    lay = Layout(x, weight.shape, weight, stride, before, after, dilation)
    top, where = (np.empty((lay.batch, lay.blocks * lay.lanes), kind) for kind in (lay.kind, np.int32))
    low = np.full(lay.lanes, -np.inf, lay.kind)
    rows, start, parts = lay.weight(weight), lay.bias(bias), lay.parts(lay.batch)

    def work(lo: int, hi: int) -> None:
        given = lay.words, rows, lay.table(), start, low, top, where
        compiled(loops.best_units)(*given, *lay.sizes, parts, lo, hi)

    run(work, lay.blocks * parts, lay.effort)
    y, place = (torch.from_numpy(np.ascontiguousarray(rows[:, : lay.filters])) for rows in (top, where))
    return y, place.long()


shared.kernel_of(_best)(triton.best)


@_best.register_fake
def _best_empty(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, before: int, after: int, dilation: int
) -> tuple[Tensor, Tensor]:
    return weight.new_empty(x.shape[0], weight.shape[0]), x.new_empty((x.shape[0], weight.shape[0]), dtype=torch.long)


@custom_op("put_match", device="cpu")
def _put(
    g: Tensor, x: Tensor, where: Tensor, size: list[int], stride: int, before: int, after: int, dilation: int
) -> Tensor:
    """The adjoint of the best windows' sums in the weight: what has the same place adds up, in the batch's order."""
    into = g.new_zeros(size)
    seen = letters(x), where.contiguous().numpy(), g.detach().contiguous().numpy(), into.numpy()
    work = lambda lo, hi: compiled(loops.scatter_units)(*seen, stride, dilation, before, lo, hi)
    run(work, size[0], g.numel() * size[2])
    return into


shared.kernel_of(_put)(back.put)


@_put.register_fake
def _put_empty(
    g: Tensor, x: Tensor, where: Tensor, size: list[int], stride: int, before: int, after: int, dilation: int
) -> Tensor:
    return g.new_empty(size)


def _best_backward(ctx: Any, g: Tensor, _: Any) -> tuple:
    x, where = ctx.saved_tensors
    to_weight = _put(g, x, where, ctx.size, *ctx.options) if ctx.needs_input_grad[1] else None
    to_bias = g.sum(0) if ctx.biased and ctx.needs_input_grad[2] else None
    return None, to_weight, to_bias, None, None, None, None


def _put_backward(ctx: Any, g: Tensor) -> tuple:
    x, where = ctx.saved_tensors
    stride, before, after, dilation = ctx.options
    to_g = matched(spelled(x, g.shape[1], before, after), g, where, stride, dilation)
    return to_g, None, None, None, None, None, None, None


def _keep_put(ctx: Any, inputs: tuple, output: Any) -> None:
    _, x, where, _, *ctx.options = inputs
    ctx.save_for_backward(x, where)


_best.register_autograd(_best_backward, setup_context=lambda ctx, inputs, output: _keep(ctx, inputs, output))
_put.register_autograd(_put_backward, setup_context=_keep_put)
