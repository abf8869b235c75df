"""Sampled convolutions: the one set of Hypothesis strategies every test of convolution and pooling draws from.

A Case is shapes and options; laid before a method by `inputs`, which knows that lookup takes tokens and separable
factors; checked against `definition`, loops over outputs in float64, within `allowed`, the error promised.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st

import sigconv as sc
from sigconv import methods, nd

LAYOUTS = ("contiguous", "transposed", "strided", "expanded", "offset")


def examples(number: int) -> settings:
    """So many cases for a dear test; ten times as many under --thorough, as all tests have."""
    return settings(max_examples=number * settings.default.max_examples // 100)


@dataclass(frozen=True)
class Case:
    """One convolution: shapes, options, and the seed its values come from."""

    batch: int
    groups: int
    channels: tuple[int, int]  # per group, in and out
    size: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Any
    padding_mode: Any
    bias: bool
    flip: bool
    layout: str
    seed: int = field(repr=False)

    @property
    def ndim(self) -> int:
        return len(self.size)

    @property
    def options(self) -> dict[str, Any]:
        names = ("stride", "padding", "padding_mode", "dilation", "groups", "flip")
        return {name: getattr(self, name) for name in names}

    def tensors(self, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """x in the layout drawn, weight, bias."""
        generator = torch.Generator().manual_seed(self.seed)
        inside, outside = (self.groups * c for c in self.channels)
        x = torch.randn(self.batch, inside, *self.size, generator=generator, dtype=torch.float64)
        weight = torch.randn(outside, self.channels[0], *self.kernel_size, generator=generator, dtype=torch.float64)
        bias = torch.randn(outside, generator=generator, dtype=torch.float64)
        return laid_out(x.to(dtype), self.layout), weight.to(dtype), bias.to(dtype) if self.bias else None


def inputs(case: Case, method: str, dtype: torch.dtype) -> tuple[Any, Any, Any, torch.Tensor, torch.Tensor, Case]:
    """x, weight and bias as a method takes them; x and weight as the definition does; the case they make."""
    if dtype.is_complex:
        x, weight, bias = (None if t is None else torch.complex(t, 2 * t.flip(-1)) for t in case.tensors())
        x = laid_out(x.to(dtype), case.layout)
        weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
    else:
        x, weight, bias = case.tensors(dtype)
    if method == "separable" and not dtype.is_complex:
        generator = torch.Generator().manual_seed(case.seed)
        parts = [torch.randn(n, 2, generator=generator, dtype=torch.float64).to(dtype) for n in weight.shape]
        factors = sc.Factors(parts[0], parts[1], tuple(parts[2:]))
        return (
            x,
            factors,
            bias,
            x,
            sc.Factors(*[f.double() for f in parts[:2]], tuple(f.double() for f in parts[2:])),
            case,
        )
    if method == "lookup":
        symbols = 3
        case = replace(case, groups=1, channels=(symbols, case.channels[1]))
        _, weight, bias = case.tensors(torch.float64)
        weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
        tokens = torch.randint(0, symbols, (case.batch, *case.size), generator=torch.Generator().manual_seed(case.seed))
        seen = torch.nn.functional.one_hot(tokens, symbols).movedim(-1, 1).double()
        return tokens.to(torch.uint8), weight, bias, seen, weight, case
    return x, weight, bias, x, weight, case


def taken(case: Case, method: str, dtype: torch.dtype) -> str:
    """The method, or auto where it cannot be had for such a case."""
    constant = "constant" in (case.padding_mode if isinstance(case.padding_mode, tuple) else (case.padding_mode,))
    if (method == "lookup" and constant) or (method == "separable" and dtype.is_complex):
        return "auto"
    if method == "toeplitz" and case.ndim > 3:  # the matrix has as many entries as inputs times outputs
        return "auto"
    return method


def allowed(case: Case, x: Any, weight: Any, bias: Any, dtype: torch.dtype, method: str) -> np.ndarray:
    """The error promised of each output: DESIGN's promises, section 3 of the bounds."""
    extra = 0.0
    if isinstance(weight, sc.Factors):  # factors are held against the sum of their absolute values
        extra = np.sqrt(weight.shape[1:].numel()) * (np.sqrt(weight.rank) - 1) + weight.ndim / 2
        magnitudes = sc.Factors(weight.out.abs(), weight.into.abs(), tuple(t.abs() for t in weight.taps))
        scale = definition(x.abs(), magnitudes.dense(), None if bias is None else bias.abs(), case, absolute=True)
        weight = weight.dense()
    else:
        scale = definition(x, weight, bias, case, absolute=True)
    tiny = np.finfo(np.float64).tiny
    if dtype in (torch.float16, torch.bfloat16):
        return 0.51 * torch.finfo(dtype).eps * scale + 2**-25
    eps = torch.finfo(dtype).eps
    if method != "auto" and not methods.METHODS[method].EXACT:
        margins = nd.margins(case.padding, case.kernel_size, case.dilation)
        padded = numpy_pad(np.asarray(x), margins, case.padding_mode)
        factor = max(0.1 * np.log2(max(np.prod(padded.shape[2:]), 1)), 2.5)
        norm = np.linalg.norm(padded.ravel()) * np.linalg.norm(np.asarray(weight).ravel())
        return eps * (factor * norm + scale) * (2 if dtype.is_complex else 1) + tiny
    terms = max(weight[0].numel(), 1)
    return eps * (np.sqrt(terms) + dtype.is_complex + extra) * scale + tiny


def laid_out(x: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values lying otherwise in memory."""
    if layout == "transposed":
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "strided":
        return torch.stack([x, x + 1], -1)[..., 0]
    if layout == "expanded":
        return x[:1].expand_as(x) if len(x) else x
    if layout == "offset":
        return torch.cat([x.new_ones(1, *x.shape[1:]), x])[1:]
    return x


@st.composite
def cases(draw: Any, ndims: tuple[int, int] = (1, 4), most: int = 6) -> Case:
    """A convolution that is defined: its kernel fits its padded input."""
    ndim = draw(st.integers(*ndims))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(ndim))
    big = most if ndim < 4 else 4 if ndim == 4 else 2
    kernel, dilation = each(1, min(3, big) if ndim > 1 else 5), each(1, 2)
    size = tuple(draw(st.integers(1, big + 2)) for _ in range(ndim))
    modes = st.sampled_from(nd.PADDING_MODES)
    words = [word for word in nd.PADDINGS if word != "half" or all(s % 2 for s in nd.spans(kernel, dilation))]
    pair = st.tuples(st.integers(0, 3), st.integers(0, 3))
    padding = draw(
        st.one_of(st.sampled_from(words), st.integers(0, 3), st.tuples(*[st.one_of(pair, st.integers(0, 2))] * ndim))
    )
    if ndim == 1 and isinstance(padding, tuple) and isinstance(padding[0], int):
        padding = padding[0]
    margins = nd.margins(padding, kernel, dilation)
    fits = tuple(max(n, s - b - a, 1) for n, s, (b, a) in zip(size, nd.spans(kernel, dilation), margins, strict=True))
    return Case(
        batch=draw(st.sampled_from([1, 2, 1, 2, 1, 2, 1, 0])),
        groups=draw(st.integers(1, 3)),
        channels=draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        size=fits,
        kernel_size=kernel,
        stride=each(1, 3),
        dilation=dilation,
        padding=padding,
        padding_mode=draw(st.one_of(modes, st.tuples(*[modes] * ndim))),
        bias=draw(st.booleans()),
        flip=draw(st.booleans()),
        layout=draw(st.sampled_from(LAYOUTS)),
        seed=draw(st.integers(0, 2**31)),
    )


NUMPY_MODE = {"replicate": "edge", "reflect": "reflect", "symmetric": "symmetric", "circular": "wrap"}


def numpy_pad(x: np.ndarray, margins: Any, padding_mode: Any, value: float = 0.0) -> np.ndarray:
    """numpy.pad, one axis after the other; zeros last, so that they win the corners."""
    modes = nd.border_modes(padding_mode, len(margins))
    first = x.ndim - len(margins)
    for zeros in (False, True):
        for axis, (mode, margin) in enumerate(zip(modes, margins, strict=True), start=first):
            widths = [(0, 0)] * axis + [margin] + [(0, 0)] * (x.ndim - axis - 1)
            if mode == "constant" and not zeros:
                x = np.pad(x, widths, constant_values=value)
            elif mode == "zeros" and zeros:
                x = np.pad(x, widths)
            elif mode in NUMPY_MODE and not zeros:
                x = np.pad(x, widths, mode=NUMPY_MODE[mode])
    return x


def definition(x: Any, weight: Any, bias: Any, case: Case, absolute: bool = False) -> np.ndarray:
    """The sum as loops over outputs, float64: the only oracle. absolute: Σ|x||w| + |b|, the gates' scale."""
    weight = weight.dense() if isinstance(weight, sc.Factors) else weight
    x, weight, bias = (
        t.double() if isinstance(t, torch.Tensor) and t.is_floating_point() else t for t in (x, weight, bias)
    )
    x, weight = (np.asarray(t, dtype=np.result_type(np.asarray(t), np.float64)) for t in (x, weight))
    if case.flip:
        weight = np.flip(weight, tuple(range(2, weight.ndim)))
    margins = nd.margins(case.padding, case.kernel_size, case.dilation)
    x = numpy_pad(x, margins, case.padding_mode)
    if absolute:
        x, weight, bias = np.abs(x), np.abs(weight), None if bias is None else np.abs(np.asarray(bias))
    spans = nd.spans(case.kernel_size, case.dilation)
    positions = [(n - s) // step + 1 for n, s, step in zip(x.shape[2:], spans, case.stride, strict=True)]
    per_group, channels = weight.shape[0] // case.groups, weight.shape[1]
    y = np.zeros((x.shape[0], weight.shape[0], *positions), dtype=np.result_type(x, weight))
    for out in range(weight.shape[0]):
        first = out // per_group * channels
        for position in np.ndindex(*positions):
            rows = zip(position, case.stride, spans, case.dilation, strict=True)
            window = tuple(slice(p * s, p * s + span, gap) for p, s, span, gap in rows)
            seen = x[(slice(None), slice(first, first + channels), *window)]
            y[(slice(None), out, *position)] = (seen * weight[out]).sum(tuple(range(1, seen.ndim)))
    return y if bias is None else y + np.asarray(bias).reshape(-1, *[1] * case.ndim)
