"""Other sampling rates: exact rational resampling by a windowed sinc, only the outputs that are wanted, as products."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.kernels._state import readable

ZEROS, ROLLOFF, BETA = 48, 0.94, 9.0
MOST_RATIO = 256  # between the rates
MOST_PHASES = 1 << 18  # a ratio of any two audio rates has fewer
BLOCK = 1 << 20  # numbers gathered at a time
HELD = 1 << 21  # weights kept; of more, those needed are made as they are


class Plan(NamedTuple):
    """A ratio in lowest terms and its filter; half is its taps on one side, at up times the rate it comes from."""

    up: int
    down: int
    half: int
    zeros: int
    rolloff: float
    beta: float

    @property
    def together(self) -> int:
        """Outputs made by one product: as many as span the inputs of one, so that half of the product is not zeros."""
        wide = max((2 * self.half + 1) // self.down, 1)
        return self.up * math.ceil(wide / self.up) if self.up < wide else wide

    @property
    def period(self) -> tuple[int, int]:
        """Outputs, and the inputs they take, after which weights repeat."""
        repeats = max(self.together // self.up, 1)
        return self.up * repeats, self.down * repeats

    def seen(self, first: int, last: int) -> tuple[int, int]:
        """First input of output `first`, and last input of output `last`."""
        return -((self.half - first * self.down) // self.up), (last * self.down + self.half) // self.up


def _plan(fs_in: Any, fs_out: Any, zeros: int, rolloff: float, beta: float) -> Plan:
    ratio = _rate(fs_out, "fs_out") / _rate(fs_in, "fs_in")
    up, down = ratio.numerator, ratio.denominator
    if max(up, down) > MOST_RATIO * min(up, down):
        raise ValueError(f"fs_in={fs_in}, fs_out={fs_out}: rates more than {MOST_RATIO} times apart are not resampled")
    if max(up, down) > MOST_PHASES:
        raise ValueError(
            f"fs_in={fs_in}, fs_out={fs_out} are as {down}:{up}, which takes {up} filters, more than {MOST_PHASES}: "
            f"take rates with a common divisor"
        )
    if not 0 < rolloff <= 1 or not 0 <= beta <= 40 or nd.count(zeros, "zeros") > 1024:
        raise ValueError(f"zeros={zeros}, rolloff={rolloff}, beta={beta}: expected 1 … 1024, 0 … 1 and 0 … 40")
    return Plan(up, down, int(zeros * max(up, down) / rolloff), zeros, float(rolloff), float(beta))


def _rate(fs: Any, name: str) -> Fraction:
    """A rate as the fraction it is: a float must be whole, for 0.1 is no tenth."""
    try:
        found = Fraction(fs)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} {fs!r} must be a whole number of Hz or a fractions.Fraction") from None
    if found <= 0 or (isinstance(fs, float) and found.denominator != 1):
        raise ValueError(f"{name} {fs!r} must be above 0 and whole; for others give a fractions.Fraction")
    return found


def taps(plan: Plan, places: Tensor) -> Tensor:
    """The windowed sinc at whole places of its grid, float64; 0 beyond its ends."""
    wide = max(plan.up, plan.down) / plan.rolloff
    t = places.double() / wide
    inside = (1 - (t / plan.zeros).square()).clamp_min(0).sqrt()
    window = torch.special.i0(plan.beta * inside) / torch.special.i0(torch.tensor(plan.beta, dtype=torch.float64))
    return torch.where(places.abs() <= plan.half, torch.sinc(t) * window, 0)


def weights(plan: Plan, first: int, last: int) -> Tensor:
    """What outputs first … last - 1 are made with: float64 (inputs they see, outputs), each column of sum 1."""
    begin, end = plan.seen(first, last - 1)
    outputs, inputs = torch.arange(first, last) * plan.down, torch.arange(begin, end + 1) * plan.up
    found = taps(plan, outputs - inputs[:, None])
    return found / found.sum(0)


def _groups(plan: Plan) -> list[tuple[int, int]]:
    """The products that make up a period: outputs first … last - 1 each."""
    period = plan.period[0]
    return [(first, min(first + plan.together, period)) for first in range(0, period, plan.together)]


@functools.lru_cache(4)
def _all_weights(plan: Plan) -> list[Tensor]:
    """Those of every product of a period, or none where they are too many to keep."""
    groups = _groups(plan)
    wide = max(end - begin + 1 for begin, end in (plan.seen(a, b - 1) for a, b in groups))
    return [weights(plan, *group) for group in groups] if plan.period[0] * wide <= HELD else []


def _resampled(x: Tensor, plan: Plan, padding_mode: str, held: list[Tensor]) -> Tensor:
    if not x.is_floating_point():
        raise TypeError(f"x is {x.dtype}: resample takes real floating values; convert it, for example by x.float()")
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (…, samples), one sample at least")
    nd.one_of(padding_mode, nd.PADDING_MODES, "padding_mode")
    if plan.up == plan.down:
        return x
    n = -(-x.shape[-1] * plan.up // plan.down)
    work = x.to(torch.promote_types(x.dtype, torch.float32))
    marred = readable(work) and not bool(work.detach().sum().isfinite())
    seen = torch.where(work.isfinite(), work, 0) if marred else work
    parts = list(_blocks(seen, plan, n, padding_mode, held))
    found = (parts[0] if len(parts) == 1 else torch.cat(parts, -1))[..., :n]
    return (_marred(found, ~work.isfinite(), plan, padding_mode) if marred else found).to(x.dtype)


def _marred(found: Tensor, bad: Tensor, plan: Plan, padding_mode: str) -> Tensor:
    """NaN where an output's own taps meet an input that is not finite: a product makes many at once (N3)."""
    at = torch.arange(found.shape[-1], device=bad.device) * plan.down
    first, last = -((plan.half - at) // plan.up), (at + plan.half) // plan.up
    begin = int(first[0])
    count = nd.section(bad.long(), begin - 1, int(last[-1]) + 1, padding_mode).cumsum(-1)
    return found.masked_fill(count[..., last - begin + 1] > count[..., first - begin], torch.nan)


def _blocks(x: Tensor, plan: Plan, n: int, padding_mode: str, held: list[Tensor]) -> Iterator[Tensor]:
    """The n outputs, some periods at a time; of what no output needs nothing is computed."""
    period, stride = plan.period
    groups = [(first, min(last, n)) for first, last in _groups(plan) if first < n]
    every = held if held and x.dtype == torch.float32 else _all_weights(plan)
    wide = max(end - begin + 1 for begin, end in (plan.seen(a, b - 1) for a, b in groups))
    repeats = -(-n // period)
    some = max(BLOCK // (wide * max(x[..., 0].numel(), 1)), 1)
    for start in range(0, repeats, some):
        stop = min(start + some, repeats)
        found = []
        for i, (first, last) in enumerate(groups):
            weight = (every[i] if every else weights(plan, first, last)).to(x)
            begin = plan.seen(first, last - 1)[0]
            part = nd.section(x, start * stride + begin, (stop - 1) * stride + begin + len(weight), padding_mode)
            found.append(nd.windows(part, (len(weight),), (stride,), (1,)) @ weight)
        yield torch.cat(found, -1).flatten(-2)


@nd.numpy_too
def resample(
    x: Tensor,
    fs_in: Any,
    fs_out: Any,
    *,
    zeros: int = ZEROS,
    rolloff: float = ROLLOFF,
    beta: float = BETA,
    padding_mode: str = "zeros",
) -> Tensor:
    """x at another rate: (…, samples) at fs_in Hz -> (…, ceil(samples · fs_out / fs_in)) at fs_out Hz.

    Rates are whole numbers or fractions.Fraction. Output m stands exactly at time m / fs_out, without delay. The filter
    is a sinc of `zeros` zero crossings a side under a Kaiser window (beta), cut off at rolloff of half the lower rate:
    by default it passes up to 0.88 of that half to within 1e-3 and leaves less than 1e-4 (-80 dB) of what lies above
    all of it, images and aliases alike. Each output is a mean of inputs (weights of sum 1), so constants stay; what
    lies beyond the ends is padding_mode's. Differentiable, on any device; half precisions are computed in float32.
    What is not finite makes NaN of the outputs whose filter meets it. Equal rates give x itself. Work and memory grow
    with the samples, not with the terms of the ratio. Raises ValueError for rates that are not exact, and for more than
    256 times or 2^18 terms between them.

    >>> resample(torch.zeros(2, 44100), 44100, 16000).shape
    torch.Size([2, 16000])
    """
    return _resampled(x, _plan(fs_in, fs_out, zeros, rolloff, beta), padding_mode, [])


class Resample(nn.Module):
    """resample as a layer, its weights made once: waves (…, samples) -> (…, ceil(samples · fs_out / fs_in)).

    >>> Resample(8000, 16000)(torch.zeros(2, 1, 8000)).shape
    torch.Size([2, 1, 16000])
    """

    def __init__(
        self,
        fs_in: Any,
        fs_out: Any,
        *,
        zeros: int = ZEROS,
        rolloff: float = ROLLOFF,
        beta: float = BETA,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__()
        self.fs_in, self.fs_out, self.padding_mode = fs_in, fs_out, padding_mode
        self.plan = _plan(fs_in, fs_out, zeros, rolloff, beta)
        kept = _all_weights(self.plan) if self.plan.up != self.plan.down else []
        self.held = len(kept)
        for i, weight in enumerate(kept):
            self.register_buffer(f"weights{i}", weight.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The waves at their new rate."""
        held = [self.get_buffer(f"weights{i}") for i in range(self.held)]
        return _resampled(x, self.plan, self.padding_mode, held)

    @property
    def reach(self) -> Any:
        """What a group of `up` outputs sees of the wave."""
        if self.plan.up == self.plan.down:
            return nd.Reach(1, 0, 0)
        before, after = -self.plan.seen(0, 0)[0], self.plan.seen(0, self.plan.up - 1)[1]
        return nd.Reach(self.plan.down, before, after, each=self.plan.up)

    def extra_repr(self) -> str:
        """What print(layer) says."""
        return f"{self.fs_in} -> {self.fs_out}"
