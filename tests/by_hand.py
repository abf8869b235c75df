"""What the golden values are by definition, in plain Python: no torch, no sigconv."""

import cmath
import itertools
import math


def made(shape, bits, seed):
    """{index: value}: the input's formula, once more."""
    found = {}
    for n, index in enumerate(itertools.product(*map(range, shape)), start=1):
        mixed = (n * 2654435761 + seed * 2246822519) % 2**32
        mixed = ((mixed ^ mixed >> 15) * 739982445) % 2**32
        whole = (mixed ^ mixed >> 13) >> (32 - bits)
        found[index] = (whole - 2 ** (bits - 1)) / 2 ** (bits - 1)
    return found


def bordered(i, n, mode):
    """The sample that stands at place i of an axis of n; None for a zero."""
    if 0 <= i < n:
        return i
    if mode == "zeros":
        return None
    if mode == "circular":
        return i % n
    if mode == "symmetric":
        return min(i % (2 * n), 2 * n - 1 - i % (2 * n))
    return min(i % (2 * n - 2), 2 * n - 2 - i % (2 * n - 2))  # reflect


def convolved(x, weight, case_x, case_weight, options):
    """conv's answer as a function of the flat place: (value, Σ|x||w|), and how many places there are."""
    size, taps = case_x[2:], case_weight[2:]
    axes = range(len(size))
    each = lambda value: value if isinstance(value, tuple) else (value,) * len(size)
    stride, dilation = each(options.get("stride", 1)), each(options.get("dilation", 1))
    groups, padding = options.get("groups", 1), options.get("padding", 0)
    mode = options.get("padding_mode", "zeros")
    reach = [dilation[a] * (taps[a] - 1) for a in axes]
    before = [reach[a] // 2 if padding == "same" else padding for a in axes]
    total = [reach[a] if padding == "same" else 2 * padding for a in axes]
    out = [(size[a] + total[a] - reach[a] - 1) // stride[a] + 1 for a in axes]
    shape = (case_x[0], case_weight[0], *out)

    def value(flat):
        index = []
        for n in reversed(shape):
            flat, rest = divmod(flat, n)
            index.insert(0, rest)
        batch, channel, *position = index
        first = channel // (case_weight[0] // groups) * case_weight[1]
        terms = []
        for c, *tap in itertools.product(*map(range, case_weight[1:])):
            at = [bordered(position[a] * stride[a] + tap[a] * dilation[a] - before[a], size[a], mode) for a in axes]
            if None not in at:
                terms.append(x[(batch, first + c, *at)] * weight[(channel, c, *tap)])
        return math.fsum(terms), math.fsum(map(abs, terms))

    return value, math.prod(shape)


def filtered(x, size, taps, mode):
    """Filters, {offset: tap} each, convolved with x: as convolved's."""
    places = math.prod(size)

    def value(flat):
        number, flat = divmod(flat, places)
        position = []
        for n in reversed(size):
            flat, rest = divmod(flat, n)
            position.insert(0, rest)
        terms = []
        for offset, tap in taps[number].items():
            at = [bordered(p - o, n, mode) for p, o, n in zip(position, offset, size, strict=True)]
            if None not in at:
                terms.append(x[tuple(at)] * tap)
        return math.fsum(terms), math.fsum(map(abs, terms))

    return value, len(taps) * places


def offsets(size):
    return itertools.product(*(range(-(k // 2), k // 2 + 1) for k in size))


def gabor(frequency, along, across, size, part):
    """C.1 with gain 1 at the centre frequency."""
    length = math.hypot(*frequency)
    envelope = {}
    for place in offsets(size):
        forth = sum(f * p for f, p in zip(frequency, place, strict=True)) / length
        aside = sum(p * p for p in place) - forth**2
        envelope[place] = math.exp(-0.5 * ((forth / along) ** 2 + aside / across**2))
    area = math.fsum(envelope.values())
    wave = lambda place: cmath.exp(2j * math.pi * sum(f * p for f, p in zip(frequency, place, strict=True)))
    return {place: getattr(e / area * wave(place), part) for place, e in envelope.items()}


def slaney(mel):
    """Hz of Slaney's mel: linear, 200/3 Hz each, up to 1000 Hz; then 27 of them to a factor of 6.4."""
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def mel_bank(n, low, high, fs, size):
    """LEAF's: the response falls to half where the root of the triangle does, a quarter up each flank."""
    there = lambda hz: hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000, 6.4)
    marks = [there(low) + (there(high) - there(low)) * i / (n + 1) for i in range(n + 2)]
    hz = [slaney(mark) for mark in marks]
    filters = []
    for begin, centre, end in zip(hz, hz[1:], hz[2:], strict=False):
        width = 0.75 * (end - begin)  # from a quarter of the one flank to a quarter of the other
        sigma = math.sqrt(2 * math.log(2)) / (math.pi * width) * fs
        filters.append(gabor((centre / fs,), sigma, sigma, (size,), "real"))
    return filters


def haar_line(letter, level):
    """2^level taps from the middle back; details change sign half-way."""
    n = 2**level
    return {-i: (-1 if letter == "d" and i >= n // 2 else 1) / n for i in range(n)}


def product(*lines):
    """The outer product of filters of one axis."""
    return {
        tuple(o for (o,) in where): math.prod(line[o] for line, (o,) in zip(lines, where, strict=True))
        for where in itertools.product(*([(o,) for o in line] for line in lines))
    }


def gauss_line(sigma, reach):
    line = {o: math.exp(-0.5 * (o / sigma) ** 2) for o in range(-reach, reach + 1)}
    area = math.fsum(line.values())
    return {o: value / area for o, value in line.items()}


def log_filter(sigma, ndim, reach):
    """IBSI 2's Laplacian of Gaussian."""
    found = {}
    for place in offsets((2 * reach + 1,) * ndim):
        r2 = sum(p * p for p in place) / sigma**2
        found[place] = -(ndim - r2) / sigma**2 * math.exp(-r2 / 2) / (sigma * math.sqrt(2 * math.pi)) ** ndim
    return found


def normed(taps):
    norm = math.sqrt(sum(t * t for t in taps))
    return {i - len(taps) // 2: t / norm for i, t in enumerate(taps)}


def banks():
    words = [("aa", 2), *((w, level) for level in (2, 1) for w in ("ad", "da", "dd"))]
    level, edge, spot = normed((1, 4, 6, 4, 1)), normed((-1, -2, 0, 2, 1)), normed((-1, 0, 2, 0, -1))
    return {
        "gabor 2-D real": ([gabor((0.11, 0.2), 2.0, 3.0, (11, 13), "real")], "zeros"),
        "gabor 3-D imag": ([gabor((0.1, 0.2, 0.05), 1.5, 1.5, (7, 7, 7), "imag")], "zeros"),
        "mel 1-D real": (mel_bank(4, 200, 3400, 8000, 61), "zeros"),
        "haar 2-D": ([product(*(haar_line(c, j) for c in w)) for w, j in words], "circular"),
        "gaussian 4-D": ([product(*[gauss_line(0.6, 2)] * 4)], "zeros"),
        "gaussian log 3-D": ([log_filter(1.5, 3, 3)], "zeros"),
        "laws L5E5S5 3-D": ([product(level, edge, spot)], "zeros"),
        "binomial 1-D": ([product({i - 2: t / 16 for i, t in enumerate((1, 4, 6, 4, 1))})], "zeros"),
    }


def golden(doctor, bits):
    """{name: pairs}, as sigconv/doctor/_numbers.py has them."""
    found = {}
    for case in doctor.CONVOLUTIONS:
        x, weight = made(case.x, bits, 1), made(case.weight, bits, 2)
        found[case.name] = convolved(x, weight, case.x, case.weight, case.options)
    rules = banks()
    for case in doctor.BANKS:
        found[case.name] = filtered(made(case.x, bits, 1), case.x, *rules[case.name])
    places = doctor.PLACES
    return {
        name: [value(place * (n - 1) // (places - 1)) for place in range(places)] for name, (value, n) in found.items()
    }
