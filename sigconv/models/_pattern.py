"""Networks written as a word: "CRCRP" and the tokens of the lectures' tables, C3D64 (AR1, E1, E2)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from sigconv import nd
from sigconv.blocks import BatchNorm, LocalResponseNorm, he
from sigconv.blocks import activation as activated
from sigconv.convolution import Conv
from sigconv.models._common import recorded, scaled
from sigconv.pooling import AvgPool, GlobalAvgPool, MaxPool

GRAMMAR = (
    r"(?P<C>C([0-9]+)?(?:[SDXZ][0-9]+)*)|(?P<P>[PM]([0-9]+)?(?:[SZ][0-9]+|U)*)|(?P<A>A([0-9]+)?(?:[SZ][0-9]+|U)*)"
    r"|(?P<F>FC?[0-9]+)|(?P<N>LRN|N)|(?P<R>R)|(?P<B>B)|(?P<D>D)|(?P<G>G)"
    r"|(?P<open>\()|(?P<close>\))|(?P<times>[\u00d7*][0-9]+)|(?P<gap>[\s,-]+)"
)
MOST_CHANNELS = 4096  # that doubling comes to by itself
LONGEST = 10_000  # tokens after repetition: what no network needs is a slip
WORDS = {"C": "conv", "R": "act", "P": "pool", "A": "pool", "B": "bn", "N": "lrn", "D": "drop", "F": "fc"}


class Token(NamedTuple):
    """One letter of a pattern with the numbers behind it, and where it stands."""

    kind: str
    numbers: dict[str, int]
    position: int


def parse(pattern: str) -> list[Token]:
    """The tokens of a pattern, repetitions written out; ValueError with the position of what is none.

    >>> [(token.kind, token.numbers) for token in parse("(C1D256 R)*2 P3S2")][2:]
    [('C', {'': 1, 'D': 256}), ('R', {}), ('P', {'': 3, 'S': 2})]
    """
    if not isinstance(pattern, str):
        raise TypeError(f"pattern {pattern!r} is a {type(pattern).__name__}: expected text such as 'CRCRP'")
    done: list[list[Token]] = [[]]  # an open bracket begins a list
    last: list[Token] = []  # what a repetition repeats
    opened: list[int] = []
    at = 0
    while at < len(pattern):
        found = re.compile(GRAMMAR).match(pattern, at)
        kind = found.lastgroup if found else None
        if found is None or (kind == "close" and not opened) or (kind == "times" and not last):
            raise ValueError(
                f"pattern {_clipped(pattern)} at position {at}: {pattern[at:][:8]!r} is none of C P A R B N D G "
                "F<units>, with numbers as in C3D64 or P3S2, brackets and *2"
            )
        if kind == "open":
            done.append([])
            opened.append(at)
            last = []
        elif kind == "close":
            opened.pop()
            last = done.pop()
            done[-1] += last
        elif kind == "times":
            times = int(found.group()[1:])
            if not 1 <= times * len(last) <= LONGEST:
                raise ValueError(
                    f"pattern {_clipped(pattern)} at position {at}: {found.group()} repeats 1 to {LONGEST} tokens"
                )
            done[-1] += last * (times - 1)
            last = []
        elif kind != "gap":
            last = [Token(str(kind), _numbers(found.group()), at)]
            done[-1] += last
        at = found.end()
    if len(done[0]) > LONGEST:
        raise ValueError(f"pattern {_clipped(pattern)} has {len(done[0])} layers: expected {LONGEST} at most")
    if opened:
        raise ValueError(f"pattern {_clipped(pattern)} at position {opened[-1]}: the bracket is not closed")
    return done[0]


def _clipped(text: str) -> str:
    """A long text by its beginning."""
    return repr(text) if len(text) <= 60 else f"{text[:50]!r}…"


def _numbers(text: str) -> dict[str, int]:
    """C5S2D32 -> {"": 5, "S": 2, "D": 32}; a letter without number counts 1."""
    rest = "" if text == "LRN" else re.sub("^FC?|^.", "", text)
    return {letter: int(digits or 1) for letter, digits in re.findall(r"([A-Z]?)([0-9]+|(?<=U))", rest)}


def spatial(
    tokens: list[Token],
    in_channels: int,
    *,
    ndim: int,
    width: float = 1.0,
    channels: Any = 64,
    activation: Any = "relu",
    dropout: float = 0.5,
    padding: Any = "same",
    strict: bool = False,
    after: str = "",
) -> tuple[list[tuple[str, nn.Module]], int]:
    """The layers of tokens that keep axes of space, each with its letter, and how many channels they give.

    `after` are letters put behind every C: "R", "BR".
    """
    multiple = math.lcm(*(token.numbers.get("X", 1) for token in tokens))
    depths, layers = _depths(tokens, channels), []
    for token in [new for t in tokens for new in (t, *(parse(after) if t.kind == "C" else ()))]:
        numbers = token.numbers
        if token.kind == "C":
            depth = next(depths)
            out = depth if width == 1 else scaled(depth, width, multiple)
            groups, margin = numbers.get("X", 1), numbers.get("Z", padding)
            options = {"stride": numbers.get("S", 1), "padding": margin, "groups": groups, "strict": strict}
            layer: nn.Module = Conv(in_channels, out, numbers.get("", 3), ndim=ndim, **options)
            in_channels = out
        elif token.kind in "PA":
            size = numbers.get("", 2)
            kind = MaxPool if token.kind == "P" else AvgPool
            options = {"padding": numbers["Z"]} if "Z" in numbers else {}
            options |= {"ceil_mode": True} if "U" in numbers else {}
            layer = kind(size, numbers.get("S", size), **options)
        else:
            layer = _plain(token.kind, in_channels, ndim, activation, dropout)
        layers.append((token.kind, layer))
    return layers, in_channels


def _plain(kind: str, channels: int, ndim: int, activation: Any, dropout: float) -> nn.Module:
    """The layers that keep their input's shape."""
    if kind == "R":
        return activated(activation, channels, ndim)
    return BatchNorm(channels) if kind == "B" else LocalResponseNorm() if kind == "N" else nn.Dropout(dropout)


def _depths(tokens: list[Token], channels: Any) -> Iterator[int]:
    """The depth of every C: its own D, or the next of `channels`, or that number, doubled by every pooling before."""
    given = iter(channels) if isinstance(channels, Iterable) else None
    pools = 0
    for token in tokens:
        pools += token.kind in "PA"
        if token.kind == "C" and "D" in token.numbers:
            yield nd.count(token.numbers["D"], "depth")
        elif token.kind == "C":
            depth = channels * 2**pools if given is None else next(given, None)
            if depth is None:
                raise ValueError(f"channels {channels}: none is left for the C at position {token.position}")
            if given is None and depth > MOST_CHANNELS:
                raise ValueError(
                    f"the C at position {token.position} would have {depth} channels after {pools} poolings: "
                    "say how many by D, as in C3D64, or give fewer channels="
                )
            yield nd.count(depth, "channels")


@recorded
def from_pattern(
    pattern: str,
    in_channels: int,
    classes: int | None = None,
    *,
    ndim: int = 2,
    channels: Any = 64,
    size: Any = None,
    activation: Any = "relu",
    dropout: float = 0.5,
    padding: Any = "same",
) -> nn.Sequential:
    """A network from a word of stages, in any order and any number of axes: "CRCRP", "(CRP)*3 F64 R" (AR1, AC4).

    (batch, in_channels, *space) -> (batch, classes), behind the mean over space where the pattern does not say
    otherwise; without classes what the pattern gives, (batch, channels, *positions) of "CRCRP".

        C       convolution 3x3 of the same size; C1D256 1x1 to 256 channels, C5S2D32 5x5 of stride 2; Z pads, X groups
        R B N   activation, batch normalization, local response normalization (also LRN)
        P A     maximum (also M) or mean of 2x2; P3S2 of 3x3 with stride 2, Z pads, U lets a last window hang over
        D       dropout         G   mean over space         F64   fully connected (also FC64), for inputs of `size`

    Repetition as *2 or ×2, after a token or a bracket. A C without D has the next of `channels`, or that number doubled
    by every pooling before it (AR3). ValueError names the position of what cannot be read.

    >>> net = from_pattern("CRCRP CRP F32 R", 1, 10, ndim=3, channels=4, size=8)
    >>> net(torch.zeros(2, 1, 8, 8, 8)).shape, len(from_pattern("CRCRCRP", 3))
    (torch.Size([2, 10]), 7)

    Requirements AR1, E1, E2 of the lectures.
    """
    tokens = parse(pattern)
    channels = tuple(channels) if isinstance(channels, Iterable) else channels
    cut = next((i for i, token in enumerate(tokens) if token.kind in "FG"), len(tokens))
    options = {"ndim": ndim, "channels": channels, "activation": activation, "dropout": dropout, "padding": padding}
    layers, features = spatial(tokens[:cut], in_channels, **options)
    rest = tokens[cut:]
    if rest and rest[0].kind == "F":
        if size is None:
            raise ValueError(
                f"pattern {_clipped(pattern)} at position {rest[0].position}: F needs size=, or a G before it"
            )
        with torch.device("meta"):
            trial = nn.Sequential(*(layer for _, layer in spatial(tokens[:cut], in_channels, **options)[0])).eval()
            features = trial(torch.empty(1, in_channels, *nd.ntuple(size, ndim, "size"))).numel()
        layers.append(("flatten", nn.Flatten()))
    elif rest or classes is not None:
        layers.append(("gap", GlobalAvgPool()))
    for token in rest[1:] if rest and rest[0].kind == "G" else rest:
        if token.kind not in "FRBD":
            at = token.position
            raise ValueError(
                f"pattern {_clipped(pattern)} at position {at}: {token.kind} needs axes of space, gone by then"
            )
        if token.kind == "F":
            units = nd.count(token.numbers[""], "units")
            layers.append(("F", nn.Linear(features, units)))
            features = units
        else:
            layers.append((token.kind, _plain(token.kind, features, 0, activation, dropout)))
    if classes is not None:
        layers.append(("out", nn.Linear(features, nd.count(classes, "classes"))))
    return he(_named(layers))


def _named(layers: list[tuple[str, nn.Module]]) -> nn.Sequential:
    """Layers one after the other: conv1, act1, conv2 … by their letter, or by the word they have."""
    seen: Counter[str] = Counter()
    net = nn.Sequential()
    for kind, layer in layers:
        word = WORDS.get(kind, kind)
        seen[word] += 1
        net.add_module(f"{word}{seen[word]}" if kind in WORDS else word, layer)
    return net
