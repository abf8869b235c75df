"""Undecimated separable wavelets: any discrete wavelet by name, any subband, in any number of dimensions.

bank("db2", "LHL")                  the filter of a subband: a letter per axis, L low-pass and H high-pass
bank("haar", "all", 2, ndim=3)      all 2³ of them, at level 2

Level j filters what j - 1 low-pass filters left, its own taps spread 2^(j-1) samples apart (à trous).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import console, nd
from sigconv.filters._bank import FilterBank
from sigconv.filters._respond import _working
from sigconv.filters._terms import Terms
from sigconv.filters.masks import Mask


class Wavelet(FilterBank):
    """What bank makes: stages, one after the other, the last of which has the subbands."""

    def __init__(self, stages: Sequence[Mask], names: Sequence[str], fs: Any) -> None:
        sizes = zip(*(stage.kernel_size or () for stage in stages), strict=True)
        size = [1 + sum(k - 1 for k in along) for along in sizes]
        super().__init__(names, stages[0].ndim, fs, kernel_size=size, rank=1)
        self.stages = nn.ModuleList(stages)

    def terms(self) -> Terms:
        """The whole cascade's taps: those of its stages, convolved."""
        found = [_taps(stage) for stage in self.stages]
        return [functools.reduce(_convolved, lines) for lines in zip(*found, strict=True)]

    def forward(self, x: Any, *, output: str = "auto", stride: Any = 1, **options: Any) -> Any:
        """Every subband's response, as FilterBank's; the border is applied at each stage, as in IBSI 2."""
        run = nd.numpy_too(lambda x: self._staged(x, output, stride, options))
        return run(x)

    def _staged(self, x: Tensor, output: str, stride: Any, options: dict[str, Any]) -> Tensor:
        *lower, last = self.stages
        y = x.to(_working(x.dtype)) if lower else x  # half precision is rounded once, at the end
        for stage in lower:
            y = stage(y, **options)
        y = last(y, output=output, stride=stride, **options)
        return y.to(x.dtype) if not y.is_complex() and not x.is_complex() else y


def _taps(stage: Any) -> Terms:
    terms: Terms = stage.terms()
    return terms


def _convolved(a: Tensor, b: Tensor) -> Tensor:
    """Full convolution along the last axis of (filters, 1, taps), one low-pass with every filter."""
    a = a.expand(max(len(a), len(b)), -1, -1)
    n = b.shape[-1]
    wide = nn.functional.pad(a, (n - 1, n - 1))
    return (wide.unfold(-1, n, 1) * b.flip(-1).unsqueeze(-2)).sum(-1)


def bank(
    wavelet: str, subbands: str | Sequence[str], level: int = 1, *, ndim: int | None = None, fs: Any = 1.0
) -> FilterBank:
    """The undecimated filters of a wavelet's subbands at a level.

    wavelet   a discrete one of PyWavelets, "haar", "db2", "coif1", …: its decomposition filters, taps as they are
    subbands  "LHL", a letter per axis, which says the number of dimensions; a list of such; or "all" with ndim
    level     1, 2, …

    A filter of even length gets one zero at its end, so that it has a middle; then it is spread for its level. The
    border stands at every stage: for level 2, x is filtered by the low-pass on each axis, extended anew, and filtered
    again; .kernels are the stages convolved. ValueError for an unknown wavelet or letter.

    >>> bank("db2", "LHL")(torch.zeros(1, 1, 9, 9, 9)).shape
    torch.Size([1, 1, 9, 9, 9])
    >>> bank("haar", "all", 2, ndim=2).names
    ['LL', 'LH', 'HL', 'HH']

    Source: IBSI 2, arXiv:2006.05470; Daubechies 1992; Holschneider et al. 1989 (à trous).
    """
    level = nd.count(level, "level")
    words = _words(subbands, ndim)
    filters = _filters(wavelet)
    lowest = ["L" * len(words[0])]
    stages = [_stage(filters, words if j == level else lowest, 2 ** (j - 1)) for j in range(1, level + 1)]
    return Wavelet(stages, words, fs)


def _words(subbands: str | Sequence[str], ndim: int | None) -> list[str]:
    """Subbands, a letter per axis each, all of one number of dimensions."""
    if isinstance(subbands, str) and subbands == "all":
        if ndim is None:
            raise ValueError("subbands 'all' are 2 ** ndim: give ndim=")
        if ndim > 16:
            raise ValueError(f"subbands 'all' of ndim={ndim} axes are {2**ndim}: name those wanted")
        return ["".join(word) for word in itertools.product("LH", repeat=nd.count(ndim, "ndim"))]
    words = [subbands] if isinstance(subbands, str) else list(subbands)
    for word in words:
        if not isinstance(word, str) or not word or set(word) - set("LH"):
            raise ValueError(f"subband {word!r} is not made of the letters L and H, one per axis, as in 'LHL'")
    lengths = {len(word) for word in words}
    if len(lengths) != 1 or ndim not in (None, *lengths):
        wanted = "one number of" if ndim is None else f"{ndim}"
        raise ValueError(f"subbands {words} do not have {wanted} letters: one per axis")
    return words


def _filters(name: str) -> dict[str, list[float]]:
    """Decomposition filters by letter."""
    import pywt

    known = pywt.wavelist(kind="discrete")
    if name not in known:
        raise ValueError(f"unknown wavelet {name!r}: {console.nearest(name, known)}")
    found = pywt.Wavelet(name)
    return {"L": found.dec_lo, "H": found.dec_hi}


def _stage(filters: dict[str, list[float]], words: Sequence[str], gap: int) -> Mask:
    """One level: each filter with a middle, its taps gap samples apart."""
    found = {letter: torch.tensor(taps, dtype=torch.float64) for letter, taps in filters.items()}
    odd = {letter: nn.functional.pad(taps, (0, 1 - len(taps) % 2)) for letter, taps in found.items()}
    apart = {letter: nd.spread(taps, (gap,)) for letter, taps in odd.items()}
    lines = [torch.stack([apart[letter] for letter in letters]) for letters in zip(*words, strict=True)]
    return Mask([line.unsqueeze(1) for line in lines], words)


def default(ndim: int, fs: Any = 1.0) -> FilterBank:
    """All subbands of db2 at level 1: 2 ** ndim."""
    return bank("db2", "all", ndim=ndim, fs=fs)
