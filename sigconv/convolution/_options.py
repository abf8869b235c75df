"""conv's options, read and checked once: numbers per axis, or one line that says what does not fit."""

from __future__ import annotations

import contextlib
import functools
import numbers
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigconv import methods, nd, units

Weight = Tensor | methods.Factors


class Call(NamedTuple):
    """One convolution with every option resolved to a number per axis."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    modes: tuple[str, ...]
    filled: nd.Margins  # what is padded before the method: borders other than zeros
    zeros: nd.Margins  # what the method adds itself

    @property
    def options(self) -> dict[str, Any]:
        """As the methods take them."""
        return {"stride": self.stride, "margins": self.zeros, "dilation": self.dilation, "groups": self.groups}


def resolve(
    x: Tensor,
    weight: Weight,
    bias: Tensor | None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    value: complex = 0.0,
    strict: bool = False,
) -> Call:
    """Every option as numbers, or one line that says what does not fit."""
    groups = nd.count(groups, "groups")
    check(x, weight, bias, groups)
    number(value, "value", imaginary=x.is_complex())
    shape = tuple(x.shape[2 - weight.ndim :]), x.shape[0], weight.shape[0], tuple(weight.shape[2:])
    asked = stride, padding, padding_mode, dilation
    sizes = *shape[0], shape[1], shape[2], *shape[3]
    plain = not torch.compiler.is_compiling()  # a compiler sees through the memory, and warns; sizes are symbols
    again = plain and all(map(_plain, asked)) and all(type(n) is int for n in sizes)
    return (_remembered if again else _resolved)(*shape, *asked, groups, strict, is_tokens(x))


def _resolved(
    size: tuple[int, ...],
    batch: int,
    channels: int,
    kernel_size: tuple[int, ...],
    stride: Any,
    padding: Any,
    padding_mode: Any,
    dilation: Any,
    groups: int,
    strict: bool,
    tokens: bool,
) -> Call:
    """Options for such a space, batch, number of output channels and kernel."""
    ndim = len(kernel_size)
    stride, dilation = nd.ntuple(stride, ndim, "stride"), nd.ntuple(dilation, ndim, "dilation")
    margins, modes = nd.margins(padding, kernel_size, dilation), nd.border_modes(padding_mode, ndim)
    dilation = tuple(d if k > 1 else 1 for d, k in zip(dilation, kernel_size, strict=True))  # one tap has no gaps
    positions = nd.output_size(size, kernel_size, stride, dilation, margins, strict=strict)
    _check_reach(batch, size, margins, channels, positions)
    rows = zip(size, margins, nd.spans(kernel_size, dilation), stride, strict=True)
    stride = tuple(min(s, n + b + a - reach + 1) for n, (b, a), reach, s in rows)  # one position is one position
    filled = tuple(((0, 0) if mode == "zeros" else both) for mode, both in zip(modes, margins, strict=True))
    zeros = tuple((both if mode == "zeros" else (0, 0)) for mode, both in zip(modes, margins, strict=True))
    if tokens and "constant" in modes:
        raise ValueError(
            "padding_mode 'constant' has no meaning for tokens: use 'zeros', or a border that repeats them"
        )
    return Call(stride, dilation, groups, modes, filled, zeros)


_remembered = functools.lru_cache(maxsize=4096)(_resolved)  # a layer asks the same again and again


def _plain(asked: Any) -> bool:
    """Whether an option is what it equals: True equals 1, and is none."""
    return type(asked) in (int, str) or (type(asked) is tuple and all(type(one) is int for one in asked))


def _check_reach(batch: int, size: Any, margins: nd.Margins, channels: int, positions: tuple[int, ...]) -> None:
    """Refuse what no memory could hold, before anything is asked for."""
    nd.holdable([n + b + a for n, (b, a) in zip(size, margins, strict=True)], "padded input", "padding and size")
    nd.holdable((batch, channels, *positions), "output", "padding and size")


def number(value: Any, name: str, imaginary: bool = False) -> Any:
    """A plain number, Python's or NumPy's, or an error that names it; complex ones only where they have a place."""
    if isinstance(value, bool) or not isinstance(value, numbers.Complex):
        raise TypeError(f"{name} {value!r} is not a number")
    if not (imaginary or isinstance(value, numbers.Real)):
        raise TypeError(f"{name} {value!r} is not a real number, as x's are")
    return value.item() if isinstance(value, np.generic) else value


def is_tokens(x: Tensor) -> bool:
    """Whether x holds integers."""
    return not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)


def check(x: Tensor, weight: Weight, bias: Tensor | None, groups: int) -> None:
    """Kinds and shapes that fit each other."""
    tokens = is_tokens(x) and isinstance(weight, Tensor | methods.Factors) and x.ndim == weight.ndim - 1 >= 2
    _check_kinds(x, weight, bias, tokens)
    if weight.ndim < 3 or x.ndim != weight.ndim - tokens:
        raise ValueError(
            f"x has shape {tuple(x.shape)} and weight {tuple(weight.shape)}: expected (batch, in_channels, *space) and "
            "(out_channels, in_channels / groups, *kernel_size) with as many axes of space, at least one"
        )
    channels = weight.shape[1] * groups if tokens else x.shape[1]
    if tokens and weight.shape[1] == 0:
        raise ValueError(f"weight {tuple(weight.shape)} has no symbols: tokens need at least one")
    if tokens and groups > 1:
        raise ValueError(f"groups={groups} has no meaning for tokens: all their symbols are one group")
    if channels != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ValueError(
            f"x with {channels} channels does not fit weight {tuple(weight.shape)} in groups={groups}: expected "
            f"{weight.shape[1]} channels a group, and out_channels ({weight.shape[0]}) divisible by groups"
        )
    if 0 in weight.shape[2:]:
        raise ValueError(f"weight {tuple(weight.shape)} has an empty kernel: every axis of it needs at least one tap")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(f"bias has shape {tuple(bias.shape)}: expected ({weight.shape[0]},), one per output channel")


def _check_kinds(x: Tensor, weight: Weight, bias: Tensor | None, tokens: bool) -> None:
    if not (x.is_floating_point() or x.is_complex() or tokens):
        raise TypeError(
            f"x is {x.dtype}: conv takes floating or complex values, or integer tokens (batch, *space) without a "
            "channel axis; convert it, for example by x.float()"
        )
    named: list[tuple[str, Any]] = [("weight", weight)] if bias is None else [("weight", weight), ("bias", bias)]
    for name, other in named:
        if not isinstance(other, Tensor | methods.Factors):
            raise TypeError(f"{name} is a {type(other).__name__} and x a tensor: convert one to the other's kind")
        if tokens and not (other.dtype.is_floating_point or other.dtype.is_complex):
            raise TypeError(f"{name} is {other.dtype}: tokens take a weight of floating or complex values")
        if not tokens and methods.precision(other.dtype) != methods.precision(x.dtype):
            raise TypeError(f"{name} is {other.dtype} and x is {x.dtype}: convert one to the other's dtype")
        if other.device != x.device:
            raise ValueError(f"{name} is on {other.device} and x on {x.device}: move one to the other")
    if bias is not None:
        check_bias(x, weight, bias)
    if bias is not None and tokens and bias.dtype != weight.dtype:
        raise TypeError(f"bias is {bias.dtype} and weight is {weight.dtype}: convert one to the other's dtype")


def check_bias(x: Tensor, weight: Weight, bias: Tensor) -> None:
    """A bias of the output's kind: complex only where the output is."""
    if not isinstance(bias, Tensor):
        raise TypeError(f"bias is a {type(bias).__name__} and x a tensor: convert one to the other's kind")
    if methods.precision(bias.dtype) != methods.precision(weight.dtype):
        raise TypeError(f"bias is {bias.dtype} and weight is {weight.dtype}: convert one to the other's dtype")
    if bias.is_complex() and not (x.is_complex() or weight.dtype.is_complex):
        raise TypeError(f"bias is {bias.dtype}, and x and weight are real: a real output has no place for it")
    if bias.device != x.device:
        raise ValueError(f"bias is on {bias.device} and x on {x.device}: move one to the other")


def autocast(x: Tensor, weight: Weight, bias: Tensor | None) -> tuple[Tensor, Any, Tensor | None]:
    """Under autocast every method sees the lower precision, as torch's own layers would."""
    kind = x.device.type
    if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
        return x, weight, bias
    lower = torch.get_autocast_dtype(kind)
    cast: list[Any] = [
        t.to(lower) if t is not None and t.dtype.is_floating_point and t.dtype != torch.float64 else t
        for t in (x, weight, bias)
    ]
    return cast[0], cast[1], cast[2]


def settled(x: Tensor) -> contextlib.AbstractContextManager:
    """What has been cast stays as it is: no autocast inside."""
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return contextlib.nullcontext()


def turned(weight: Weight, flip: bool) -> Weight:
    """The kernel turned over in space, where true convolution is asked for."""
    if not flip:
        return weight
    return weight.flipped() if isinstance(weight, methods.Factors) else weight.flip(tuple(range(2, weight.ndim)))


def symbols(x: Tensor, weight: Weight, unknown: str) -> tuple[Tensor, Tensor]:
    """Tokens with every unknown one made the symbol after the last, and a weight that has a row for it."""
    known = weight.shape[1]
    x = x.long()
    return torch.where((x >= 0) & (x < known), x, known), with_unknown(weight, unknown)


def with_unknown(weight: Weight, unknown: str) -> Tensor:
    """The weight with a row for unknown tokens after those of its symbols."""
    dense = weight.dense() if isinstance(weight, methods.Factors) else weight
    nd.one_of(unknown, ["mean", "zero"], "unknown")
    row = dense.mean(1, keepdim=True) if unknown == "mean" else torch.zeros_like(dense[:, :1])
    return torch.cat([dense, row], 1)


def bytes_of(memory: Any) -> int | None:
    """Bytes: a whole number, or a number with its unit; None where nothing is said.

    >>> [bytes_of(m) for m in (None, 1024, "200 MB", "1.5GiB")]
    [None, 1024, 200000000, 1610612736]
    """
    return None if memory is None else units.bytes_of(memory)
