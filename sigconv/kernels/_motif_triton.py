# ruff: noqa: N803 - what a kernel is compiled for stands in capitals
"""Motifs found along letters on CUDA: bytes sieve, float64 decides, and hits come out in the order of motifs.py.

Three passes. `sieve`: what windows lack, in the bytes of the plan's own tables, three letters to a lookup; a sum of 255
and more cannot reach the threshold, whatever was rounded. It marks every block of starts and matrix that have a window
below. `score`, of the blocks marked alone: all their sums in float64, first column to last, the twin's to the bit, once
to count hits and once, when torch has summed the counts up, to write each where it belongs. Sorted by start, stably,
they are by start, then by matrix. Nothing is atomic; what is held is bounded as on a CPU: too many hits halve a block.

Roofline, 10 million letters and JASPAR's 879 motifs, 10 letters wide: four tables a motif, 3.5e10 lookups. A table of
64 bytes lies in half a line of the first cache and is read by 32 lanes at once: 1.1e9 reads, an eighth more for the
letters, at one a cycle of 132 multiprocessors, 5.5 ms; four instructions each, four a cycle, 5 ms beside them. At
p < 1e-4 one in twenty blocks of 512 starts is marked: 4.4e9 float64 sums twice, 2.5 ms of reads. 10 MB to the device,
15 MB of hits back, 1 ms: predicted 10 ms, where conv1d of one-hot letters, 2.1e12 operations at the widest motif's 24
letters, takes 30 ms at the peak and writes 35 GB, 8 ms, that are read again.

Blocks: 512 starts by 4 warps, eight matrices at a time that have about as many tables: letters are read once for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv.kernels import _triton as shared

SPAN = 1 << 20  # starts looked at together
STARTS, GROUP = 512, 8  # starts and matrices of a program
UNKNOWN, CELLS = 4, 8  # the letter, and the numbers of a column of a plan's cells
Row = tuple[np.ndarray, np.ndarray, np.ndarray]  # start, matrix, score


class Placed(NamedTuple):
    """A plan in the device's memory, without the matrices that no window can reach; by falling number of tables."""

    numbers: Tensor  # (matrices,) int32, in the plan
    widths: Tensor  # (matrices,) int32
    rows: Tensor  # (matrices,) int32, where each begins in cells
    bounds: Tensor  # (matrices,) float64
    firsts: Tensor  # (matrices,) int32, where each begins in tables
    counts: Tensor  # (matrices,) int32, its tables
    cells: Tensor
    tables: Tensor
    order: Tensor  # (matrices,) int64, that brings them into the plan's order
    packed: int  # letters to a lookup
    reach: int  # letters beyond its first that a start may read
    room: int  # hits held at once


def placed(plan: Any, device: str, room: int) -> Placed:
    """A plan of motifs.py on a device; so many hits may be held at once."""
    able = np.argsort(-plan.counts, kind="stable")[: int((plan.counts > 0).sum())]
    there = lambda array, kind: torch.from_numpy(np.ascontiguousarray(array, kind)).to(device)
    widths, rows, firsts, counts = (
        there(row[able], np.int32) for row in (plan.widths, plan.rows, plan.firsts, plan.counts)
    )
    bounds, cells = there(plan.thresholds[able], np.float64), there(plan.cells, np.float64)
    order, packed = there(np.argsort(able), np.int64), {16: 2, 64: 3}[plan.tables.shape[1]]
    numbers, tables = there(able, np.int32), there(plan.tables, np.uint8)
    reach = 3 * max(plan.counts, default=0) + max(plan.widths, default=1)
    return Placed(numbers, widths, rows, bounds, firsts, counts, cells, tables, order, packed, int(reach), room)


def find(placed: Placed, letters: np.ndarray, count: int) -> Iterator[Row]:
    """All hits that begin at the first count of letters, uint8, some blocks of starts after the others."""
    if not len(placed.numbers):
        yield np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0)
        return
    for first in range(0, count, SPAN):
        last = min(first + SPAN, count)
        near = letters[first : last + placed.reach]
        seen = np.full(-(-(last - first) // STARTS) * STARTS + placed.reach, UNKNOWN, np.uint8)
        seen[: len(near)] = np.minimum(near, UNKNOWN)
        text = torch.from_numpy(seen).to(placed.cells.device)
        yield from _stretch(placed, text, _index(text, placed.packed), first, 0, last - first)


def _index(text: Tensor, packed: int) -> Tensor:
    """Two or three letters in a byte, the first in the lowest bits; an unknown one is taken for a chance one."""
    chance = torch.arange(len(text), device=text.device) * 0x9E3779B1
    chance = ((chance ^ (chance >> 15)) * 0x85EBCA77 >> 30 & 3).to(torch.uint8)
    known = torch.where(text < UNKNOWN, text, chance)
    index = known.clone()
    for place in range(1, packed):
        index[:-place] |= known[place:] << 2 * place
    return index


def _stretch(placed: Placed, text: Tensor, index: Tensor, offset: int, first: int, last: int) -> Iterator[Row]:
    """The hits that begin in [first, last) of a text that begins at offset, in halves if they are too many to hold."""
    matrices = len(placed.numbers)
    pairs = _marked(placed, index[first:], last - first)[:, placed.order].nonzero()  # by block, then as in the plan
    block, matrix = pairs[:, 0].int(), placed.order[pairs[:, 1]].int()
    counts = torch.empty_like(block)
    plan = placed.cells, placed.numbers, placed.widths, placed.rows, placed.bounds
    given = text[first:], block, matrix, *plan, last - first
    _score(given, (counts, counts, counts, counts), len(pairs), False)
    ends = counts.cumsum(0)  # in 64 bits
    total = int(ends[-1]) if len(pairs) else 0
    if total > max(placed.room, matrices) and last - first > 1:
        middle = (first + last) // 2
        yield from _stretch(placed, text, index, offset, first, middle)
        yield from _stretch(placed, text, index, offset, middle, last)
        return
    start, which = (torch.empty(total, dtype=torch.int32, device=text.device) for _ in range(2))
    score = torch.empty(total, dtype=torch.float64, device=text.device)
    _score(given, (ends - counts, start, which, score), len(pairs), True)
    start, order = start.sort(stable=True)
    begins, *more = (row.cpu().numpy() for row in (start, which[order], score[order]))
    yield begins.astype(np.int64) + (offset + first), more[0], more[1]


def _marked(placed: Placed, index: Tensor, n: int) -> Tensor:
    """Whether any of a block of the first n starts may be a hit, (blocks, matrices) uint8."""
    blocks, matrices = -(-n // STARTS), len(placed.numbers)
    groups, marked = -(-matrices // GROUP), index.new_empty(blocks, matrices)
    given = index, placed.tables, placed.firsts, placed.counts, marked, n, matrices, groups
    fixed = {"PACKED": placed.packed, "STARTS": STARTS, "GROUP": GROUP}
    shared.launch(_loops()[0], blocks * groups, index, *given, **fixed, num_warps=4)
    return marked


def _score(given: tuple[Any, ...], into: tuple[Tensor, ...], pairs: int, write: bool) -> None:
    """Hits of every pair of a block and a matrix counted, or written where they belong."""
    fixed = {"STARTS": STARTS, "CELLS": CELLS, "WRITE": write}
    shared.launch(_loops()[1], pairs, given[0], *given, *into, **fixed, num_warps=4)


@cache
def _loops() -> tuple[Any, Any]:
    import triton
    from triton import language as tl

    @triton.jit(do_not_specialize=["n", "matrices", "groups"])
    def sieve(
        index, tables, first, count, marked, n, matrices, groups,
        PACKED: tl.constexpr, STARTS: tl.constexpr, GROUP: tl.constexpr,
    ):  # fmt: skip
        block, m = tl.program_id(0) // groups, tl.program_id(0) % groups * GROUP + tl.arange(0, GROUP)
        p, there = block * STARTS + tl.arange(0, STARTS), m < matrices
        begin, tabled = tl.load(first + m, there, 0), tl.load(count + m, there, 0)
        lost = tl.zeros((GROUP, STARTS), tl.int32)
        for k in range(tl.max(tabled, 0)):
            seen = tl.load(index + p + k * PACKED, p < n, 0).to(tl.int32)
            place = ((begin + k) * (1 << 2 * PACKED))[:, None] + seen[None, :]
            lost += tl.load(tables + place, (k < tabled)[:, None] & (p < n)[None, :], 0).to(tl.int32)
        alive = (lost < 255) & (p < n)[None, :]
        tl.store(marked + block.to(tl.int64) * matrices + m, tl.max(alive.to(tl.int32), 1).to(tl.uint8), there)

    @triton.jit(do_not_specialize=["n"])
    def score(
        text, block, matrix, cells, number, width, row, bound, n, at, starts, which, scores,
        STARTS: tl.constexpr, CELLS: tl.constexpr, WRITE: tl.constexpr,
    ):  # fmt: skip
        pair = tl.program_id(0)
        m = tl.load(matrix + pair)
        p = tl.load(block + pair) * STARTS + tl.arange(0, STARTS)
        columns = cells + tl.load(row + m) * CELLS
        total = tl.zeros((STARTS,), tl.float64)
        for c in range(tl.load(width + m)):
            letter = tl.load(text + p + c, p < n, 4).to(tl.int32)
            total += tl.load(columns + c * CELLS + letter)
        hit = (total >= tl.load(bound + m)).to(tl.int32)  # NaN reaches nothing, nor does a start beyond the last
        if WRITE:
            place = tl.load(at + pair) + tl.cumsum(hit, 0) - 1
            tl.store(starts + place, p, hit > 0)
            tl.store(which + place, tl.zeros((STARTS,), tl.int32) + tl.load(number + m), hit > 0)
            tl.store(scores + place, total, hit > 0)
        else:
            tl.store(at + pair, tl.sum(hit, 0))

    return sieve, score
