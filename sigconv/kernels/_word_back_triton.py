# ruff: noqa: N803 - what a kernel is compiled for stands in capitals
"""The gradient of a weight that tokens looked up, on CUDA: every number of it is gathered by one program, in order.

Nothing is added from two sides, as torch's index_add does by atomics: the same bits every run. A program has one
filter, some symbols and taps; it reads a slope and the letters that its taps met, and adds the slope to those letters'
sums. In `put` slopes are those of the best windows; in `spread` those of all, of which a program has a part, and parts
are summed afterwards, in their order. How many there are hangs on shapes alone.

Roofline, 256 filters of 24 letters along (64, 1000): put adds 0.4e6 slopes, a launch's 5 µs. spread: 64 MB of slopes,
15 µs; 64 · 977 · 256 · 24 letters read, 32 at a time, 12e6 at one a cycle of 132 multiprocessors, 52 µs; for every
letter four comparisons and sums, 3.1e9 at 29e12/s, 107 µs: predicted 0.15 ms. torch's conv1d, for its weight: 3.1
GFLOP, 46 µs at the peak, and of the best windows alone as much, for it does not know where they are.

Blocks: symbols · taps = 32 sums for each of 128 positions, 32 registers a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from torch import Tensor

from sigconv.kernels import _triton as shared
from sigconv.kernels._word_triton import letters

SUMS, SYMBOLS = 32, 8  # sums of a program, and symbols among them at most
PROGRAMS = 2048  # at least, where there is work for them
tl: Any = None  # Triton's language and a kernel's helper, once a kernel is asked for
letter: Any = None


def put(
    g: Tensor, x: Tensor, where: Tensor, size: Sequence[int], stride: int, before: int, after: int, dilation: int
) -> Tensor:
    """The adjoint of the best windows' sums in the weight, which has this size."""
    into = g.new_empty(tuple(size))
    steps = size[0], stride, dilation, before
    given = letters(x), g.contiguous(), where.contiguous(), into, x.shape[1], len(x), *steps
    programs, sizes, fixed = _shared_out(g, size)
    shared.launch(_loops()[0], programs, g, *given, *sizes, **fixed, ITEMS=32, num_warps=4)
    return into


def spread(g: Tensor, x: Tensor, size: Sequence[int], stride: int, before: int, after: int, dilation: int) -> Tensor:
    """The adjoint of the sums of all windows in the weight, which has this size."""
    windows = g.shape[2]
    block = shared.power_of_two(windows, 32, 128)
    tiles = -(-windows // block)
    programs, sizes, fixed = _shared_out(g, size)
    units = len(x) * tiles
    chunks = max(min(-(-PROGRAMS // programs), units), 1)
    found = g.new_empty((chunks, *size), dtype=shared.SUMS[g.dtype])
    counts = windows, tiles, units, chunks, found[0].numel(), size[0], stride, dilation, before
    given = letters(x), g.contiguous(), found, x.shape[1], *counts
    shared.launch(_loops()[1], programs * chunks, g, *given, *sizes, **fixed, BLOCK=block, num_warps=4)
    return (found[0] if chunks == 1 else found.sum(0)).to(g.dtype)


def _shared_out(g: Tensor, size: Sequence[int]) -> tuple[int, tuple[int, ...], dict[str, Any]]:
    """Programs for a weight of this size, its sizes as the kernels take them, and what those are compiled for."""
    filters, symbols, taps = size
    some = shared.power_of_two(symbols, 1, SYMBOLS)
    many = shared.power_of_two(taps, 1, SUMS // some)
    parts = -(-symbols // some), -(-taps // many)
    fixed = {"SYMBOLS": some, "TAPS": many, "KIND": shared.sum_kind(g.dtype)}
    return filters * parts[0] * parts[1], (symbols, taps, *parts), fixed


@cache
def _loops() -> tuple[Any, Any]:
    global tl, letter
    import triton
    from triton import language as tl

    @triton.jit
    def letter(x, b, place, seen, n, symbols):
        """The symbol at each place of sequence b; -1 where nothing is seen."""
        seen = seen & (place >= 0) & (place < n)
        token = tl.load(x + b * n + place, seen, 0).to(tl.int64)
        token = tl.where((token >= 0) & (token < symbols), token, symbols - 1)
        return tl.where(seen, token, -1).to(tl.int32)

    @triton.jit(
        do_not_specialize=["n", "batch", "filters", "stride", "gap", "before", "symbols", "taps", "s_parts", "t_parts"]
    )
    def put(
        x, g, where, into, n, batch, filters, stride, gap, before, symbols, taps, s_parts, t_parts,
        SYMBOLS: tl.constexpr, TAPS: tl.constexpr, KIND: tl.constexpr, ITEMS: tl.constexpr,
    ):  # fmt: skip
        t, rest = tl.program_id(0) % t_parts * TAPS + tl.arange(0, TAPS), tl.program_id(0) // t_parts
        s, f = rest % s_parts * SYMBOLS + tl.arange(0, SYMBOLS), (rest // s_parts).to(tl.int64)
        total = tl.zeros((SYMBOLS, TAPS, ITEMS), KIND)
        for b0 in range(0, batch, ITEMS):
            b = (b0 + tl.arange(0, ITEMS)).to(tl.int64)
            there = b < batch
            slope = tl.load(g + b * filters + f, there, 0.0).to(KIND)
            place = (tl.load(where + b * filters + f, there, 0) * stride - before)[None, :] + (t * gap)[:, None]
            met = letter(x, b[None, :], place, there[None, :], n, symbols)
            total += tl.where(met[None, :, :] == s[:, None, None], slope[None, None, :], 0.0)
        inside = (s < symbols)[:, None] & (t < taps)[None, :]
        place = (f * symbols + s)[:, None] * taps + t[None, :]
        tl.store(into + place, tl.sum(total, 2).to(into.dtype.element_ty), inside)

    @triton.jit(
        do_not_specialize=[
            "n",
            "windows",
            "tiles",
            "units",
            "chunks",
            "numbers",
            "filters",
            "stride",
            "gap",
            "before",
            "symbols",
            "taps",
            "s_parts",
            "t_parts",
        ]
    )
    def spread(
        x, g, found, n, windows, tiles, units, chunks, numbers, filters, stride, gap, before,
        symbols, taps, s_parts, t_parts,
        SYMBOLS: tl.constexpr, TAPS: tl.constexpr, KIND: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        chunk, rest = tl.program_id(0) % chunks, tl.program_id(0) // chunks
        t, rest = rest % t_parts * TAPS + tl.arange(0, TAPS), rest // t_parts
        s, f = rest % s_parts * SYMBOLS + tl.arange(0, SYMBOLS), (rest // s_parts).to(tl.int64)
        total = tl.zeros((SYMBOLS, TAPS, BLOCK), KIND)
        for unit in range(chunk, units, chunks):
            b, p = (unit // tiles).to(tl.int64), unit % tiles * BLOCK + tl.arange(0, BLOCK)
            there = p < windows
            slope = tl.load(g + (b * filters + f) * windows + p, there, 0.0).to(KIND)
            met = letter(x, b, (p * stride - before)[None, :] + (t * gap)[:, None], there[None, :], n, symbols)
            total += tl.where(met[None, :, :] == s[:, None, None], slope[None, None, :], 0.0)
        inside = (s < symbols)[:, None] & (t < taps)[None, :]
        place = chunk.to(tl.int64) * numbers + (f * symbols + s)[:, None] * taps + t[None, :]
        tl.store(found + place, tl.sum(total, 2), inside)

    return put, spread
