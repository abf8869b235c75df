"""The loops of words.py, compiled by numba; uncompiled they are NumPy.

A unit of work is a block of as many filters as a vector has numbers, and a part of the windows. Its table, the sum of
every word's taps, is made where it is used: words of a window × rows × lanes numbers, in that order. A word's number is
told times the lanes, as an offset into it.
"""

from __future__ import annotations

from sigconv.kernels._lanes import add, better, load, nowhere, store

TILE = 64  # windows summed before they are turned about: they stay in the first cache


def number_words(x, words, clean, symbols, length, step, before, unit, lo, hi):
    """The word that begins at each place of the padded x: what is no symbol is the last, what is no place is none."""
    n, size, base = x.shape[1], words.shape[1], symbols + 1
    for b in range(lo, hi):
        row, into = x[b], words[b]
        for p in range(clean.size):
            at = p - before
            letter = symbols
            if 0 <= at < n:
                letter = row[at]
                letter = letter if 0 <= letter < symbols else symbols - 1
            clean[p] = letter * unit
        into[:] = clean[:size]
        for i in range(1, length):
            more = clean[i * step : i * step + size]
            for p in range(size):
                into[p] = into[p] * base + more[p]


def fill_table(rows, table, block, length, lanes):
    """rows (taps, base, filters) -> the sums of all words of length taps, of a block of filters."""
    taps, base, _ = rows.shape
    first = block * lanes
    for word in range(taps // length):
        start, size = word * base**length * lanes, 1
        for letter in range(base):
            store(table, start + letter * lanes, load(rows[word * length, letter], first))
        for i in range(1, length):
            size *= base
            tap = rows[word * length + i]
            for prefix in range(
                size - 1, -1, -1
            ):  # from the last on, for the longer words take the shorter ones' place
                v = load(table, start + prefix * lanes)
                for letter in range(base - 1, -1, -1):
                    store(table, start + (prefix * base + letter) * lanes, add(v, load(tap[letter], first)))


def best_units(words, rows, table, bias, low, top, where, windows, length, count, stride, hop, parts, lo, hi):
    """For every sequence and filter the largest sum of any window, and where it was."""
    batch, lanes = words.shape[0], low.size
    step, filled = table.size // count, -1
    for unit in range(lo, hi):
        block, part = unit // parts, unit % parts
        if block != filled:
            fill_table(rows, table, block, length, lanes)
            filled = block
        start = load(bias, block * lanes)
        for b in range(batch * part // parts, batch * (part + 1) // parts):
            row, most = words[b], load(low, 0)
            place = nowhere(most)
            for p in range(windows):
                v, at = start, p * stride
                for k in range(count):
                    v = add(v, load(table, row[at] + k * step))
                    at += hop
                most, place = better(v, p, most, place)
            store(top[b], block * lanes, most)
            store(where[b], block * lanes, place)


def sum_units(words, rows, table, bias, tile, y, windows, length, count, stride, hop, parts, lo, hi):
    """The sums of all windows, a tile of them at a time, turned about: y (batch, filters, windows)."""
    batch, filters, tiles = y.shape[0], y.shape[1], -(-windows // TILE)
    lanes, step, filled = tile.size // TILE, table.size // count, -1
    for unit in range(lo, hi):
        block, part = unit // parts, unit % parts
        if block != filled:
            fill_table(rows, table, block, length, lanes)
            filled = block
        first = block * lanes
        start = load(bias, first)
        for stretch in range(batch * tiles * part // parts, batch * tiles * (part + 1) // parts):
            b, p0 = stretch // tiles, stretch % tiles * TILE
            row, n = words[b], min(TILE, windows - p0)
            for p in range(n):
                v, at = start, (p0 + p) * stride
                for k in range(count):
                    v = add(v, load(table, row[at] + k * step))
                    at += hop
                store(tile, p * lanes, v)
            for f in range(min(lanes, filters - first)):
                into = y[b, first + f]
                for p in range(n):
                    into[p0 + p] = tile[p * lanes + f]


def spread_units(words, g, table, tile, into, windows, length, count, stride, hop, parts, lo, hi):
    """The adjoint of sum_units, of a block of filters and a part of the batch: into (parts, filters, base, taps)."""
    batch, filters, tiles = g.shape[0], g.shape[1], -(-windows // TILE)
    base, taps = into.shape[2], into.shape[3]
    lanes, rows = tile.size // TILE, base**length
    for unit in range(lo, hi):
        block, part = unit // parts, unit % parts
        first = block * lanes
        some = min(lanes, filters - first)
        table[:] = 0
        tile[:] = 0
        for stretch in range(batch * tiles * part // parts, batch * tiles * (part + 1) // parts):
            b, p0 = stretch // tiles, stretch % tiles * TILE
            row, n = words[b], min(TILE, windows - p0)
            for f in range(some):
                seen = g[b, first + f]
                for p in range(n):
                    tile[p * lanes + f] = seen[p0 + p]
            for p in range(n):
                v, at = load(tile, p * lanes), (p0 + p) * stride
                for k in range(count):
                    place = row[at] + k * rows * lanes
                    store(table, place, add(load(table, place), v))
                    at += hop
        for k in range(count):
            for number in range(rows):
                rest, size = number, rows // base
                for i in range(length):
                    letter, tap = rest // size, k * length + i
                    rest, size = rest % size, max(size // base, 1)
                    for f in range(some if tap < taps else 0):
                        into[part, first + f, letter, tap] += table[(k * rows + number) * lanes + f]


def scatter_units(x, where, g, into, stride, step, before, lo, hi):
    """The adjoint of the best window's sum: into (filters, symbols, taps)."""
    n, (_, symbols, taps) = x.shape[1], into.shape
    for f in range(lo, hi):
        for b in range(x.shape[0]):
            slope = g[b, f]
            if slope == 0:
                continue
            for tap in range(taps):
                at = where[b, f] * stride + tap * step - before
                if 0 <= at < n:
                    letter = x[b, at]
                    into[f, letter if 0 <= letter < symbols else symbols - 1, tap] += slope
