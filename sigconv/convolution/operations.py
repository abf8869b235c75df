"""conv, and plan, which says how conv would go about it. Options are read and checked here; methods/ does the sums."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigconv import methods, nd


class _Call(NamedTuple):
    """One convolution with every option resolved to a number per axis."""

    stride: tuple[int, ...]
    margins: nd.Margins
    dilation: tuple[int, ...]
    modes: tuple[str, ...]
    problem: methods.Problem


@nd.numpy_too
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    value: float = 0.0,
    strict: bool = False,
    flip: bool = False,
    method: str = "auto",
) -> Tensor:
    """Convolution layer of any number of axes: cross-correlation as in torch, true convolution with flip=True.

    x (batch, in_channels, *space), weight (out_channels, in_channels / groups, *kernel_size), bias (out_channels,)
    -> (batch, out_channels, *positions). The weight says how many axes of space there are.

    stride, dilation   whole numbers, one for all axes or one per axis
    padding            "valid" "same" "causal" "full" "half", a number, or per axis a word, a number or (before, after);
                       "same" with a stride is every stride-th output of stride 1, the first kept
    padding_mode       "zeros" "constant" (value) "replicate" "reflect" "symmetric" "circular": one, or one per axis
    strict             refuse a stride that does not divide exactly (PD6)
    method             "auto" or one of sigconv.methods: see plan

    Floating and complex tensors or NumPy arrays; the answer has x's kind, dtype and device. float16 and bfloat16 are
    summed in float32; float32 on CUDA follows torch.backends.cudnn.allow_tf32. Integers raise TypeError; shapes that do
    not fit, unknown words and windows larger than the padded input raise ValueError with the sizes.

    >>> x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    >>> conv(x, torch.tensor([[[1.0, 0.0, -1.0]]]), padding="same")
    tensor([[[-2., -2., -2.,  3.]]])
    >>> conv(x, torch.tensor([[[1.0, 0.0, -1.0]]]), padding="full", flip=True)
    tensor([[[ 1.,  2.,  2.,  2., -3., -4.]]])

    Requirements CV8-CV18, PD1-PD8, ST1, ST3, ST8 of the lectures.
    """
    x, weight, bias = _autocast(x, weight, bias)
    call = _resolve(x, weight, bias, stride, padding, padding_mode, dilation, groups, strict)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"value {value!r} is not a number")
    if flip:
        weight = weight.flip(tuple(range(2, weight.ndim)))
    filled = tuple(((0, 0) if mode == "zeros" else both) for mode, both in zip(call.modes, call.margins, strict=True))
    zeros = tuple((both if mode == "zeros" else (0, 0)) for mode, both in zip(call.modes, call.margins, strict=True))
    if method == "auto":
        method = methods.choose(call.problem)
    nd.one_of(method, ["auto", *methods.METHODS], "method")
    return methods.correlate(
        nd.pad(x, filled, call.modes, value),
        weight,
        bias,
        stride=call.stride,
        margins=zeros,
        dilation=call.dilation,
        groups=call.problem.groups,
        method=method,
    )


@nd.numpy_too
def plan(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    value: float = 0.0,
    strict: bool = False,
    flip: bool = False,
) -> methods.Plan:
    """What conv(…, method="auto") would choose for these shapes, what each method is predicted to cost, and why.

    Takes conv's options; value and flip change nothing about it.

    Values are never read: tensors on the meta device will do. Raises as conv does.

    >>> plan(torch.empty(1, 1, 1000, device="meta"), torch.empty(1, 1, 5, device="meta")).method
    'direct'
    """
    return methods.plan(_resolve(x, weight, bias, stride, padding, padding_mode, dilation, groups, strict).problem)


def _autocast(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Under autocast every method sees the lower precision, as torch's own layers would."""
    kind = x.device.type
    if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
        return x, weight, bias
    lower = torch.get_autocast_dtype(kind)
    cast = [
        t.to(lower) if t is not None and t.is_floating_point() and t.dtype != torch.float64 else t
        for t in (x, weight, bias)
    ]
    return cast[0], cast[1], cast[2]  # type: ignore[return-value]


def _resolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    padding_mode: Any,
    dilation: Any,
    groups: int,
    strict: bool,
) -> _Call:
    """Every option as numbers, or one line that says what does not fit."""
    groups = nd.count(groups, "groups")
    _check(x, weight, bias, groups)
    ndim = weight.ndim - 2
    kernel_size = tuple(weight.shape[2:])
    stride, dilation = nd.ntuple(stride, ndim, "stride"), nd.ntuple(dilation, ndim, "dilation")
    margins = nd.margins(padding, kernel_size, dilation)
    size = tuple(n + before + after for n, (before, after) in zip(x.shape[2:], margins, strict=True))
    problem = methods.Problem(
        batch=x.shape[0],
        in_channels=x.shape[1],
        out_channels=weight.shape[0],
        groups=groups,
        size=size,
        kernel_size=kernel_size,
        output_size=nd.output_size(x.shape[2:], kernel_size, stride, dilation, margins, strict=strict),
        dtype=x.dtype,
        device=x.device.type,
    )
    return _Call(stride, margins, dilation, nd.border_modes(padding_mode, ndim), problem)


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    _check_kinds(x, weight, bias)
    if weight.ndim < 3 or x.ndim != weight.ndim:
        raise ValueError(
            f"x has shape {tuple(x.shape)} and weight {tuple(weight.shape)}: expected (batch, in_channels, *space) and "
            "(out_channels, in_channels / groups, *kernel_size) with as many axes of space, at least one"
        )
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ValueError(
            f"x with {x.shape[1]} channels does not fit weight {tuple(weight.shape)} in groups={groups}: expected "
            f"{weight.shape[1]} channels a group, and out_channels ({weight.shape[0]}) divisible by groups"
        )
    if 0 in weight.shape[2:]:
        raise ValueError(f"weight {tuple(weight.shape)} has an empty kernel: every axis of it needs at least one tap")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(f"bias has shape {tuple(bias.shape)}: expected ({weight.shape[0]},), one per output channel")


def _check_kinds(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(f"x is {x.dtype}: conv takes floating or complex values; convert it, for example by x.float()")
    named = [("weight", weight)] if bias is None else [("weight", weight), ("bias", bias)]
    for name, other in named:
        if not isinstance(other, Tensor):
            raise TypeError(f"{name} is a {type(other).__name__} and x a tensor: convert one to the other's kind")
        if other.dtype != x.dtype:
            raise TypeError(f"{name} is {other.dtype} and x is {x.dtype}: convert one to the other's dtype")
        if other.device != x.device:
            raise ValueError(f"{name} is on {other.device} and x on {x.device}: move one to the other")
