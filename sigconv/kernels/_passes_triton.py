# ruff: noqa: N803, RUF005 - what a kernel is compiled for stands in capitals; its tuples grow by sums
# mypy: disable-error-code="assignment, var-annotated"
"""Short filters along one axis on CUDA, products summed in registers; the last pass writes what was asked for.

A program has one output of one row and a block of its columns: positions flat over what stands before and after the
axis, ROWS outputs along it for each. Lanes go along the last axis of space, reads are whole lines of memory. A sample
stays in registers while the taps pass over it: T taps at a time, T new samples, ROWS · T products. Where the axis of
the pass is itself the last one, lanes go along it, a row each, and neighbours' samples meet in the first cache.

Roofline, 39 complex filters of 37 taps on 128^3 float32, three passes, prefixes not shared: 2 + 4 + 4 multiplications
a tap, 30e9, 0.9 ms of 33e12/s; 8 taps at a time make 40 of 37, and of a compiled loop's instructions 64 in a hundred
are multiplications, 73 with 16 rows, half in the first pass: 1.4 to 1.6 ms. Beside them: signals between passes, 1.3 GB
written and read, 0.6 ms, less what the second cache holds; answers, 327 MB as magnitudes, 76 µs; reads from the first
cache, 7.4e12/s, half a number for 4 multiplications, 0.2 ms a pass. Predicted 1.5 to 2 ms, bound by multiplications,
ten times what a copy of complex answers would take; a prefix that two filters share saves its pass. The first pass,
along the last axis, reads what is real, and several filters of a program share its samples.

Blocks: 128 columns of four warps, 16 sums and up to 30 samples a thread, 90 to 100 registers: five blocks at a time on
a multiprocessor, 20 warps; 16 rows take 125 registers, four blocks. Along the last axis 512 lanes, 4 a thread, with 4
filters: 32 sums a thread.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor

from sigconv import nd
from sigconv.kernels import _triton as shared

tl: Any = None  # Triton's language and a kernel's helper, once a kernel is asked for
sample: Any = None
SIGNAL, COMPLEX, REAL, IMAGINARY, MAGNITUDE, ENERGY = range(6)  # what a pass writes
WRITES = {"complex": COMPLEX, "real": REAL, "imag": IMAGINARY, "magnitude": MAGNITUDE, "energy": ENERGY}
COLUMNS = ((8, 128, 4, 1), (16, 128, 4, 1), (12, 128, 4, 1), (4, 256, 4, 1))  # rows, block, warps, filters together
LANES = ((1, 512, 4, 4), (1, 256, 4, 4), (1, 512, 4, 2))  # where lanes go along the axis of the pass
SPARE = 16  # samples that rows and taps at once may reach beyond an axis, at most
WHOLE = 12  # taps up to which all are met at once
SIZES = ["count", "places", "outputs", "before", "rows", "tiles", "k", "n", "after", "p", "lanes", "xs", "ys"]


def run(
    x: Tensor, filters: Tensor, table: Tensor, y: Tensor, before: int, stride: int, positions: int, output: str = ""
) -> None:
    """Fill y with the signals of a pass, or with the outputs of the last one."""
    if y.numel() == 0 or table.shape[0] == 0:
        return
    k, parts, more, t = filters.shape[2], x.shape[1], filters.shape[1], _at_once(filters.shape[2])
    fixed = {"X": parts, "H": more, "TERMS": table.shape[1], "S": stride, "T": t, "EDGE": x.shape[5] > 1}
    fixed |= {"WRITE": WRITES[output] if output else SIGNAL, "KIND": shared.sum_kind(x.dtype)}
    if not fixed["EDGE"]:  # no sample is asked whether it is there: zeros stand around the axis, once for all filters
        room = (positions - 1) * stride + SPARE + -(-k // t) * t
        x, before = nd.pad(x, ((before, max(room - before - x.shape[4], 0)), (0, 0))), 0
    rows, ahead, n, after = x.shape[2:]
    places = ahead * positions * after
    alone = x.shape[0] > 1 or table.shape[1] > 1 or bool(output)

    def pass_by(configuration: tuple[int, int, int, int]) -> None:
        count, block, warps, together = configuration
        count = min(max(count // stride, 1), shared.power_of_two(positions, 1, count))
        together = 1 if alone else min(together, shared.power_of_two(table.shape[0], 1, together))
        lanes = ahead * -(-positions // count) * after
        block = shared.power_of_two(lanes, 32, block)
        tiles = -(-lanes // block)
        outputs = y.shape[1] if output else table.shape[0]
        given = table.shape[0], places, outputs, before, rows, tiles, k, n, after, positions, lanes
        steps = x[0, 0].numel(), places * rows
        options = {"ROWS": count, "BLOCK": block, "FILTERS": together, "num_warps": min(warps, block // 32)}
        programs = -(-table.shape[0] // together) * rows * tiles
        shared.launch(_loop(), programs, x, x, filters, table, y, *given, *steps, **fixed, **options)

    key = x.dtype, k, stride, parts, more, fixed["WRITE"], after > 1, (table.shape[0] * rows * places).bit_length()
    pass_by(shared.chosen("passes", key, x, COLUMNS if after > 1 else LANES, pass_by))


def _at_once(k: int) -> int:
    """Taps whose products are written out: all of a few, else as many as leave the fewest empty places at the end.

    >>> _at_once(11), _at_once(37), _at_once(49)
    (11, 8, 7)
    """
    return k if k <= WHOLE else min((8, 7, 6, 5), key=lambda t: -(-k // t) * t)


@cache
def _loop() -> Any:
    global tl, sample
    import triton
    from triton import language as tl

    @triton.jit
    def sample(signal, at, after, n, there, EDGE: tl.constexpr):
        """The sample of a line, 0 beyond its ends."""
        return tl.load(signal + at * after, there & (at >= 0) & (at < n) if EDGE else None, 0.0 if EDGE else None)

    @triton.jit(do_not_specialize=SIZES)
    def filtered(
        x, h, table, y, count, places, outputs, before, rows, tiles, k, n, after, p, lanes, xs, ys,
        X: tl.constexpr, H: tl.constexpr, TERMS: tl.constexpr, S: tl.constexpr, T: tl.constexpr,
        EDGE: tl.constexpr, WRITE: tl.constexpr, KIND: tl.constexpr,
        ROWS: tl.constexpr, BLOCK: tl.constexpr, FILTERS: tl.constexpr,
    ):  # fmt: skip
        tile, row = tl.program_id(0) % tiles, (tl.program_id(0) // tiles % rows).to(tl.int64)
        output = tl.program_id(0) // tiles // rows * FILTERS
        j = tile * BLOCK + tl.arange(0, BLOCK)
        there, j = j < lanes, tl.minimum(j, lanes - 1)
        columns = (p + ROWS - 1) // ROWS
        aside, column, ahead = j % after, j // after % columns * ROWS, j // after // columns
        start, line = column * S - before, ahead * n * after + aside
        nothing = tl.zeros((BLOCK,), KIND)
        real, imaginary = (), ()  # of each filter, of each row
        for _ in tl.static_range(FILTERS * ROWS):
            real, imaginary = real + (nothing,), imaginary + (nothing,)
        for term in range(TERMS):
            signal = x + tl.load(table + (output * TERMS + term) * 2).to(tl.int64) * X * xs + row * (xs // rows) + line
            seen, beside = (), ()  # samples that later taps meet again
            for i in tl.static_range((ROWS - 1) * S):
                seen = seen + (sample(signal, start + i, after, n, there, EDGE),)
                if X == 2:
                    beside = beside + (sample(signal + xs, start + i, after, n, there, EDGE),)
                else:
                    beside = beside + (nothing,)
            for t0 in range(0, k, T):
                for t in tl.static_range(T):
                    at = start + (ROWS - 1) * S + t0 + t
                    seen = seen + (sample(signal, at, after, n, there, EDGE),)
                    if X == 2:
                        beside = beside + (sample(signal + xs, at, after, n, there, EDGE),)
                    else:
                        beside = beside + (nothing,)
                some, others = (), ()
                for f in tl.static_range(FILTERS):
                    entry = table + (tl.minimum(output + f, count - 1) * TERMS + term) * 2 + 1
                    taps = h + tl.load(entry).to(tl.int64) * (H * k) + t0
                    mine, its = (), ()
                    for r in tl.static_range(ROWS):
                        mine, its = mine + (real[f * ROWS + r],), its + (imaginary[f * ROWS + r],)
                    for t in tl.static_range(T):
                        c, d = tl.load(taps + t, t0 + t < k, 0.0), 0.0
                        if H == 2:
                            d = tl.load(taps + k + t, t0 + t < k, 0.0)
                        grown, other = (), ()
                        for r in tl.static_range(ROWS):
                            a, b, re, im = seen[t + r * S], beside[t + r * S], mine[r], its[r]
                            if WRITE != 3:
                                re += a * c
                                if X == 2 and H == 2:
                                    re -= b * d
                            if WRITE != 2:
                                if H == 2:
                                    im += a * d
                                if X == 2:
                                    im += b * c
                            grown, other = grown + (re,), other + (im,)
                        mine, its = grown, other
                    for r in tl.static_range(ROWS):
                        some, others = some + (mine[r],), others + (its[r],)
                real, imaginary = some, others
                kept, apart = (), ()
                for i in tl.static_range((ROWS - 1) * S):
                    kept, apart = kept + (seen[T + i],), apart + (beside[T + i],)
                seen, beside = kept, apart
        for f in tl.static_range(FILTERS):
            if WRITE == 0:
                into = y + ((output + f).to(tl.int64) * max(X, H) * rows + row) * places
            else:  # where the filter stands among all
                owner = tl.load(table + output * TERMS * 2 + 1) // TERMS
                into = y + (row * outputs + owner) * places * (2 if WRITE == 1 else 1)
            for r in tl.static_range(ROWS):
                place = (ahead * p + column + r) * after + aside
                inside = there & (column + r < tl.where(output + f < count, p, 0))
                re, im = real[f * ROWS + r], imaginary[f * ROWS + r]
                if WRITE == 0:
                    tl.store(into + place, re, inside)
                    if X == 2 or H == 2:
                        tl.store(into + ys + place, im, inside)
                elif WRITE == 1:
                    tl.store(into + 2 * place, re, inside)
                    tl.store(into + 2 * place + 1, im, inside)
                elif WRITE == 2:
                    tl.store(into + place, re.to(y.dtype.element_ty), inside)
                elif WRITE == 3:
                    tl.store(into + place, im.to(y.dtype.element_ty), inside)
                elif WRITE == 4:  # relative to the larger part: no square overflows
                    top = tl.maximum(tl.abs(re), tl.abs(im))
                    unit = tl.where((top > 0) & (top < float("inf")), top, 1.0)
                    re, im = re / unit, im / unit
                    tl.store(into + place, (unit * tl.sqrt(re * re + im * im)).to(y.dtype.element_ty), inside)
                else:
                    tl.store(into + place, (re * re + im * im).to(y.dtype.element_ty), inside)

    return filtered
