# ruff: noqa: N803 - what a kernel is compiled for stands in capitals
"""Tokens looked up on CUDA: the sums of every window, or of every filter's best window alone.

A first kernel spells the words of all sequences and sums their table; the others add its rows. All of a block of
filters come before the next, and a program goes through windows of many sequences, so that what runs on a
multiprocessor at a time reads one block's table, 128 kB for 24 letters of DNA, from its first cache. A number read
serves one sum: nothing but those reads binds. Every number of a program's tile keeps the best window it has met, and
they are compared once, in the end.

Roofline, one-hot (64, 4, 1000), 256 filters of 24 letters: 64 · 977 · 256 · 8 rows' numbers, 512 MB from first caches
that give 128 bytes a cycle of 132 multiprocessors, 29 TB/s: 18 µs, a quarter more for words: 22; the tables' way there,
128 of 128 kB, 4; both kernels' first and last programs, 4: predicted 30 µs. Bytes of the answer and of tokens: 0.2 µs.
torch's conv1d, float32: 3.1 GFLOP, 46 µs at the peak, 64 MB written, 64 read for the maximum, 30 µs: 76 at best, 100 to
be expected, so 3 to 4 times ours. Launched from Python both end sooner than they are begun, about 50 µs either way:
measure in a graph. All windows kept: 64 MB out, 15 µs beside 26. Half precision: the tables stay float32, the same.

Blocks: 32 filters, one line of the cache a row; 32 to 128 windows, of which a thread has 4 to 8 numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sigconv.kernels import _triton as shared
from sigconv.kernels._word_tables import window_count, word

MOST = 1 << 30  # places of a sequence, and numbers of all tables: offsets of 32 bits
BLOCK = 32  # filters of a program
BEST = ((64, 16, 128), (64, 8, 256), (32, 4, 1024), (128, 16, 128))  # windows of a step, warps, programs
SUMS = ((64, 4), (32, 4), (128, 8))  # windows, warps
SPELLED = 256  # words, or numbers of a table's columns, that a program makes
Options = tuple[int, int, int, int]  # stride, before, after, dilation


def usable(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the kernels may take these: one axis of tokens, on CUDA."""
    if weight.device.type not in shared.DEVICES or x.device != weight.device or weight.ndim != 3 or x.ndim != 2:
        return False
    if 0 in weight.shape or x.shape[0] == 0:
        return False
    filters, symbols, taps = weight.shape
    rows = -(-taps // word(symbols, taps)) * (symbols + 1) ** word(symbols, taps)
    return max(x.shape[1], rows * (filters + BLOCK)) < MOST and shared.takes(weight, x, bias)


def letters(x: Tensor) -> Tensor:
    """Tokens as the kernels read them: bytes as they are, others as int64."""
    return (x if x.dtype == torch.uint8 else x.long()).contiguous()


class Laid:
    """Words of tokens and the table of a weight, in memory of the device, with the sizes of all loops."""

    def __init__(self, x: Tensor, weight: Tensor, bias: Tensor | None, options: Options) -> None:
        stride, before, after, gap = options
        self.filters, symbols, taps = weight.shape
        self.batch, n = x.shape
        length = word(symbols, taps)
        self.count, self.rows, self.stride, self.hop = -(-taps // length), (symbols + 1) ** length, stride, length * gap
        self.padded, self.blocks = n + before + after, -(-self.filters // BLOCK)
        self.windows, self.width = window_count(self.padded, taps, stride, gap), self.blocks * BLOCK
        self.kind = shared.SUMS[weight.dtype]
        self.words = x.new_empty(self.batch, self.padded, dtype=torch.int32)
        self.table = weight.new_empty(self.count * self.rows, self.width, dtype=self.kind)
        self.bias = None if bias is None else bias.detach().contiguous()
        tiles, high = -(-self.padded // SPELLED), SPELLED // BLOCK
        given = letters(x), weight.detach().contiguous(), self.words, self.table, n, self.padded, before, gap
        sizes = self.filters, self.width, tiles, self.batch * tiles, -(-len(self.table) // high)
        fixed = {"BASE": symbols + 1, "LENGTH": length, "TAPS": taps, "ROWS": self.rows, "COUNT": self.count}
        fixed |= {"HIGH": high, "BLOCK": BLOCK, "KIND": shared.sum_kind(weight.dtype)}
        programs = sizes[3] + sizes[4] * self.blocks
        shared.launch(_loops()[0], programs, x, *given, *sizes, **fixed, num_warps=4)

    def run(self, number: int, programs: int, into: Sequence[Any], step: int, warps: int) -> None:
        """One of the kernels, on what is laid here."""
        bias = self.table if self.bias is None else self.bias
        given = self.words, self.table, bias, *into, self.padded, self.windows, self.filters, self.width
        fixed = {"STRIDE": self.stride, "HOP": self.hop, "ROWS": self.rows, "COUNT": self.count, "STEP": step}
        fixed |= {"BIAS": self.bias is not None, "BLOCK": BLOCK, "KIND": shared.sum_kind(self.kind)}
        shared.launch(_loops()[number], programs, self.words, *given, **fixed, num_warps=warps)


def sums(x: Tensor, weight: Tensor, bias: Tensor | None, *options: int) -> Tensor:
    """The sums of all windows, (batch, filters, windows)."""
    stride, before, after, gap = options
    laid = Laid(x, weight, bias, (stride, before, after, gap))
    y = weight.new_empty(laid.batch, laid.filters, laid.windows)

    def run(configuration: tuple[int, int]) -> None:
        step, warps = configuration
        tiles = -(-laid.windows // step)
        laid.run(2, laid.blocks * laid.batch * tiles, (y, laid.batch, tiles), step, warps)

    run(shared.chosen("word_sums", _key(x, weight, options), y, SUMS, run))
    return y


def best(x: Tensor, weight: Tensor, bias: Tensor | None, *options: int) -> tuple[Tensor, Tensor]:
    """The largest sum of every filter along the windows, NaN above all, and the first window that has it."""
    stride, before, after, gap = options
    laid = Laid(x, weight, bias, (stride, before, after, gap))

    def run(configuration: tuple[int, int, int]) -> Any:
        step, warps, programs = configuration
        fewest = min(laid.batch * laid.blocks, programs)
        each = -(-laid.windows * fewest // (programs * step)) * step  # windows of a part: a few long sequences are cut
        parts = -(-laid.windows // each)
        units = laid.batch * parts
        chunks = max(min(programs // laid.blocks, units), 1)
        size = parts, laid.batch, laid.filters
        y = weight.new_empty(size, dtype=weight.dtype if parts == 1 else laid.kind)
        where = x.new_empty(size, dtype=torch.int64)
        laid.run(1, laid.blocks * chunks, (y, where, laid.batch, parts, each, units, chunks), step, warps)
        if parts == 1:
            return y[0], where[0]
        value, part = y.max(0)  # of equal ones the first, NaN above all, on CUDA as on a CPU
        return value.to(weight.dtype), where.gather(0, part[None])[0]

    work = laid.words[..., None].expand(-1, -1, laid.filters)  # as many numbers as there are sums
    return run(shared.chosen("best_match", _key(x, weight, options), work, BEST, run))


def _key(x: Tensor, weight: Tensor, options: Sequence[int]) -> tuple[Any, ...]:
    """What the choice of a configuration hangs on."""
    return weight.dtype, *weight.shape, options[0], options[3], len(x).bit_length(), x.shape[1].bit_length()


@cache
def _loops() -> tuple[Any, Any, Any]:
    import triton
    from triton import language as tl

    @triton.jit(do_not_specialize=["n", "before", "gap", "filters", "tiles", "spelled", "stacks"])
    def prepare(
        x, w, words, table, n, padded, before, gap, filters, width, tiles, spelled, stacks,
        BASE: tl.constexpr, LENGTH: tl.constexpr, TAPS: tl.constexpr, ROWS: tl.constexpr, COUNT: tl.constexpr,
        HIGH: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr,
    ):  # fmt: skip
        """The word that begins at each place, and the sum of every word's taps: each program makes one or the other."""
        pid = tl.program_id(0)
        if pid < spelled:
            b, p = (pid // tiles).to(tl.int64), pid % tiles * (HIGH * BLOCK) + tl.arange(0, HIGH * BLOCK)
            number = tl.zeros((HIGH * BLOCK,), tl.int32)
            for i in tl.static_range(LENGTH):
                at = p + i * gap - before
                inside = (at >= 0) & (at < n)
                token = tl.load(x + b * n + at, inside, 0).to(tl.int64)
                token = tl.where((token >= 0) & (token < BASE - 1), token, BASE - 2).to(tl.int32)
                number = number * BASE + tl.where(inside, token, BASE - 1)
            tl.store(words + b * padded + p, number, p < padded)
        else:
            stack = (pid - spelled) % stacks
            row, f = stack * HIGH + tl.arange(0, HIGH), (pid - spelled) // stacks * BLOCK + tl.arange(0, BLOCK)
            total = tl.zeros((HIGH, BLOCK), KIND)
            for i in tl.static_range(LENGTH):
                symbol, tap = row % ROWS // (BASE ** (LENGTH - 1 - i)) % BASE, row // ROWS * LENGTH + i
                there = (symbol < BASE - 1) & (tap < TAPS) & (row < ROWS * COUNT)
                place = f.to(tl.int64)[None, :] * ((BASE - 1) * TAPS) + (symbol * TAPS + tap)[:, None]
                total += tl.load(w + place, there[:, None] & (f < filters)[None, :], 0.0).to(KIND)
            tl.store(table + row[:, None] * width + f[None, :], total, (row < ROWS * COUNT)[:, None])

    @triton.jit(do_not_specialize=["windows", "filters", "batch", "parts", "each", "units", "chunks"])
    def best(
        words, table, bias, y, where, batch, parts, each, units, chunks, padded, windows, filters, width,
        STRIDE: tl.constexpr, HOP: tl.constexpr, ROWS: tl.constexpr, COUNT: tl.constexpr, STEP: tl.constexpr,
        BIAS: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr,
    ):  # fmt: skip
        f, row = tl.program_id(0) // chunks * BLOCK + tl.arange(0, BLOCK), tl.arange(0, STEP)
        start = tl.zeros((BLOCK,), KIND)
        if BIAS:
            start += tl.load(bias + f, f < filters, 0.0).to(KIND)
        for unit in range(tl.program_id(0) % chunks, units, chunks):
            b, first = (unit // parts).to(tl.int64), unit % parts * each
            last = tl.minimum(first + each, windows)
            top, place = tl.full((STEP, BLOCK), float("-inf"), KIND), tl.zeros((STEP, BLOCK), tl.int32) + first
            for p0 in range(first, last, STEP):
                p = p0 + row
                total = tl.zeros((STEP, BLOCK), KIND) + start[None, :]
                for k in range(COUNT):
                    number = tl.load(words + b * padded + p * STRIDE + k * HOP, p < last, 0)
                    total += tl.load(table + ((k * ROWS + number) * width)[:, None] + f[None, :])
                later = (p < last)[:, None] & ((total > top) | ((total != total) & (top == top)))
                top, place = tl.where(later, total, top), tl.where(later, p[:, None], place)
            broken = tl.max((top != top).to(tl.int32), 0)
            most = tl.max(tl.where(top != top, float("inf"), top), 0)
            kept = tl.where(broken[None, :] > 0, top != top, top == most[None, :])
            at = (unit % parts * batch + b) * filters + f
            value = tl.where(broken > 0, float("nan"), most)
            tl.store(y + at, value.to(y.dtype.element_ty), f < filters)
            tl.store(where + at, tl.min(tl.where(kept, place, 2147483647), 0).to(tl.int64), f < filters)

    @triton.jit(do_not_specialize=["windows", "filters", "batch", "tiles"])
    def every(
        words, table, bias, y, batch, tiles, padded, windows, filters, width,
        STRIDE: tl.constexpr, HOP: tl.constexpr, ROWS: tl.constexpr, COUNT: tl.constexpr, STEP: tl.constexpr,
        BIAS: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr,
    ):  # fmt: skip
        p, rest = tl.program_id(0) % tiles * STEP + tl.arange(0, STEP), tl.program_id(0) // tiles
        b, f = (rest % batch).to(tl.int64), rest // batch * BLOCK + tl.arange(0, BLOCK)
        total = tl.zeros((STEP, BLOCK), KIND)
        if BIAS:
            total += tl.load(bias + f, f < filters, 0.0).to(KIND)[None, :]
        for k in range(COUNT):
            number = tl.load(words + b * padded + p * STRIDE + k * HOP, p < windows, 0)
            total += tl.load(table + ((k * ROWS + number) * width)[:, None] + f[None, :])
        into = y + (b * filters + f)[None, :] * windows + p[:, None]
        tl.store(into, total.to(y.dtype.element_ty), (p < windows)[:, None] & (f < filters)[None, :])

    return prepare, best, every
