"""The loops of the Haar butterfly, as numba compiles them: units lo … hi of (group of rows of a subband, tile of it).

x is flat, n its last axes, those transformed; what stands before them is counted by the rows. A block's rows of x meet
in cache, two at a time, and leave as rows of 2^N pieces. Adding, not multiplying, is repeated: `scale` is applied once,
first, so that no sum is larger than the coefficient it becomes. scratch holds a group of rows of every piece, so that
short rows reach memory as a long stretch; laid holds two rows of x with what stands beyond their ends.
"""

import numpy as np

MARGIN = 16  # numbers between rows of scratch, lest they all fall into the same lines of the cache


def analyse(x, approximation, details, n, step, gap, beyond, scale, tile, group, scratch, laid, lo, hi):
    """Two rows of a block at a time are split along the last two axes, then the pieces along the others.

    Pairs are step samples from one another and gap within: 2 and 1, or 1 and any.
    """
    ndim, last = n.size, n[-1]
    rows, m = 1 << (ndim - 1), -(-last // step)
    tiles, total = -(-m // tile), approximation.size // m
    where = np.empty(rows, np.int64)
    for unit in range(lo, hi):
        j0, row0 = unit % tiles * tile, unit // tiles * group
        v, count = min(tile, m - j0), min(group, total - row0)
        for row in range(row0, row0 + count):
            at, k = row * m + j0, (row - row0) * m  # where the row stands in a piece, and in scratch
            where[:] = 0
            stride, rest = last, row
            for i in range(ndim - 2, -1, -1):  # where the rows of this block begin; -1 for one beyond a border of zeros
                half = -(-n[i] // step)
                for p in range(rows):
                    position = step * (rest % half) + gap * ((p >> (ndim - 2 - i)) & 1)
                    if position >= n[i]:
                        position = beyond[i, position - n[i]]
                    where[p] = -1 if position < 0 or where[p] < 0 else where[p] + position * stride
                stride *= n[i]
                rest //= half
            first, need = step * j0, step * (v - 1) + gap + 1
            for p in range(0, rows, 2):
                one = other = laid[0, :need]
                for r in range(min(rows, 2)):
                    w = where[p + r] if where[p + r] < 0 else where[p + r] + rest * stride
                    if w >= 0 and first + need <= last:
                        source = x[w + first : w + first + need]
                    else:  # laid out with what stands beyond its end
                        source = laid[r, :need]
                        source[:] = 0
                        inside = min(need, last - first) if w >= 0 else 0
                        for j in range(inside):
                            source[j] = x[w + first + j]
                        for j in range(inside, need if w >= 0 else 0):
                            t = beyond[ndim - 1, first + j - last]
                            source[j] = 0 if t < 0 else x[w + t]
                    if r == 0:
                        one = source
                    else:
                        other = source
                a0, a1, b0, b1 = one, one[gap:], other, other[gap:]
                if rows == 1:
                    y0, y1 = approximation[at : at + v], details[0, at : at + v]
                    if step == 1:
                        for j in range(v):
                            a, b = a0[j] * scale, a1[j] * scale
                            y0[j], y1[j] = a + b, a - b
                    else:
                        for j in range(v):
                            a, b = one[2 * j] * scale, one[2 * j + 1] * scale
                            y0[j], y1[j] = a + b, a - b
                    continue
                y0, y1, y2, y3 = (
                    scratch[2 * p, k:],
                    scratch[2 * p + 1, k:],
                    scratch[2 * p + 2, k:],
                    scratch[2 * p + 3, k:],
                )
                if rows == 2:
                    y0, y1 = approximation[at : at + v], details[0, at : at + v]
                    y2, y3 = details[1, at : at + v], details[2, at : at + v]
                if step == 1:
                    for j in range(v):
                        a, b, c, d = a0[j] * scale, a1[j] * scale, b0[j] * scale, b1[j] * scale
                        s, t, e, f = a + b, c + d, a - b, c - d
                        y0[j], y1[j], y2[j], y3[j] = s + t, e + f, s - t, e - f
                else:
                    for j in range(v):
                        a, b, c, d = (
                            one[2 * j] * scale,
                            one[2 * j + 1] * scale,
                            other[2 * j] * scale,
                            other[2 * j + 1] * scale,
                        )
                        s, t, e, f = a + b, c + d, a - b, c - d
                        y0[j], y1[j], y2[j], y3[j] = s + t, e + f, s - t, e - f
        at, v = row0 * m + j0, (count - 1) * m + v
        bit = 4
        while bit <= rows:
            for p in range(2 * rows):
                if p & bit:
                    continue
                one, other = scratch[p], scratch[p + bit]
                low, high = one, other
                if bit == rows:
                    low = approximation[at : at + v] if p == 0 else details[p - 1, at : at + v]
                    high = details[p + bit - 1, at : at + v]
                for j in range(v):
                    a, b = one[j], other[j]
                    low[j], high[j] = a + b, a - b
            bit *= 2


def synthesise(x, approximation, details, n, scale, tile, group, scratch, laid, lo, hi):
    """The pieces are joined along all axes but the last two, then two rows of a block at a time along those."""
    ndim, last = n.size, n[-1]
    rows, m = 1 << (ndim - 1), (last + 1) // 2
    tiles, total = -(-m // tile), approximation.size // m
    where = np.empty(rows, np.int64)
    for unit in range(lo, hi):
        j0, row0 = unit % tiles * tile, unit // tiles * group
        v, count = min(tile, m - j0), min(group, total - row0)
        at, length = row0 * m + j0, (count - 1) * m + v
        bit = rows
        while bit > 2:
            for p in range(2 * rows):
                if p & bit:
                    continue
                low, high = scratch[p], scratch[p + bit]
                one, other = low, high
                if bit == rows:
                    one = approximation[at : at + length] if p == 0 else details[p - 1, at : at + length]
                    other = details[p + bit - 1, at : at + length]
                for j in range(length):
                    a, b = one[j], other[j]
                    low[j], high[j] = a + b, a - b
            bit //= 2
        for row in range(row0, row0 + count):
            at, k = row * m + j0, (row - row0) * m  # where the row stands in a piece, and in scratch
            where[:] = 0
            stride, rest = last, row
            for i in range(ndim - 2, -1, -1):  # where the rows of this block go; -1 for one that is cut away
                half = (n[i] + 1) // 2
                for p in range(rows):
                    position = 2 * (rest % half) + ((p >> (ndim - 2 - i)) & 1)
                    where[p] = -1 if position >= n[i] or where[p] < 0 else where[p] + position * stride
                stride *= n[i]
                rest //= half
            for p in range(0, rows, 2):
                y0, y1, y2, y3 = scratch[2 * p, k:], scratch[2 * p + 1, k:], scratch[2 * p, k:], scratch[2 * p, k:]
                if rows <= 2:
                    y0, y1 = approximation[at : at + v], details[0, at : at + v]
                if rows == 2:
                    y2, y3 = details[1, at : at + v], details[2, at : at + v]
                elif rows > 2:
                    y2, y3 = scratch[2 * p + 2, k:], scratch[2 * p + 3, k:]
                one, other = laid[0, : 2 * v], laid[1, : 2 * v]
                whole = 2 * (j0 + v) <= last
                start = rest * stride + 2 * j0
                if whole and where[p] >= 0:
                    one = x[start + where[p] : start + where[p] + 2 * v]
                if rows == 1:
                    for j in range(v):
                        a, b = y0[j] * scale, y1[j] * scale
                        one[2 * j], one[2 * j + 1] = a + b, a - b
                else:
                    if whole and where[p + 1] >= 0:
                        other = x[start + where[p + 1] : start + where[p + 1] + 2 * v]
                    for j in range(v):
                        a, b, c, d = y0[j] * scale, y1[j] * scale, y2[j] * scale, y3[j] * scale
                        s, t, e, f = a + c, b + d, a - c, b - d
                        one[2 * j], one[2 * j + 1], other[2 * j], other[2 * j + 1] = s + t, s - t, e + f, e - f
                for r in range(min(rows, 2)):
                    if not whole and where[p + r] >= 0:  # the last sample was laid out beside, and is cut away
                        x[start + where[p + r] : where[p + r] + rest * stride + last] = laid[r, : last - 2 * j0]
