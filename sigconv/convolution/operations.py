"""conv; conv_max, which keeps each filter's best match; and plan, which says how conv would go about it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import methods, nd
from sigconv.convolution import _options
from sigconv.convolution._options import Weight
from sigconv.kernels import words


@nd.numpy_too
def conv(
    x: Tensor,
    weight: Weight,
    bias: Tensor | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    value: complex = 0.0,
    strict: bool = False,
    flip: bool = False,
    method: str = "auto",
    unknown: str = "mean",
    memory: Any = None,
) -> Tensor:
    """Convolution layer of any number of axes: cross-correlation as in torch, true convolution with flip=True.

    x (batch, in_channels, *space), weight (out_channels, in_channels / groups, *kernel_size), bias (out_channels,)
    -> (batch, out_channels, *positions). The weight says how many axes of space there are; it may be sc.Factors.

    stride, dilation   whole numbers, one for all axes or one per axis
    padding            "valid" "same" "causal" "full" "half", a number, or per axis a word, a number or (before, after);
                       "same" with a stride is every stride-th output of stride 1, the first kept
    padding_mode       "zeros" "constant" (value) "replicate" "reflect" "symmetric" "circular": one, or one per axis
    strict             refuse a stride that does not divide exactly (PD6)
    method             "auto" or one of sigconv.methods: see plan
    memory             what the call may allocate, 200_000_000 or "200 MB": it is done in parts where that is less
    unknown            of tokens: what is no channel counts as the "mean" of all, or as "zero"

    Floating and complex tensors or NumPy arrays, real and complex of a precision together; the answer has x's kind,
    dtype (complex, if the weight is) and device. Integers of shape (batch, *space), without a channel axis, are tokens:
    each stands for the channel of its number, and the answer has the weight's dtype. float16 and bfloat16 are summed
    in float32; float32 stays float32 on CUDA too, unless sc.allow_tf32 lets it not. Every output is within
    eps·sqrt(K)·(Σ|x||w| + |b|) of the exact sum of its K products (spectral methods asked for by name keep to a block's
    norm instead), and is NaN or infinite only where its own window makes it so. Other integers raise TypeError; shapes
    that do not fit, unknown words and windows larger than the padded input raise ValueError with the sizes.

    >>> x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    >>> conv(x, torch.tensor([[[1.0, 0.0, -1.0]]]), padding="same")
    tensor([[[-2., -2., -2.,  3.]]])
    >>> conv(x, torch.tensor([[[1.0, 0.0, -1.0]]]), padding="full", flip=True)
    tensor([[[ 1.,  2.,  2.,  2., -3., -4.]]])

    Requirements CV8-CV18, PD1-PD8, ST1, ST3, ST8 of the lectures.
    """
    x, weight, bias = _options.autocast(x, weight, bias)
    call = _options.resolve(
        x,
        weight,
        bias,
        stride=stride,
        padding=padding,
        padding_mode=padding_mode,
        dilation=dilation,
        groups=groups,
        value=value,
        strict=strict,
    )
    if method != "auto":
        nd.one_of(method, ["auto", *methods.METHODS], "method")
    weight = _options.turned(weight, flip)
    if _options.is_tokens(x):
        x, weight = _options.symbols(x, weight, unknown)
    given = x
    x = nd.pad(x, call.filled, call.modes, value)
    most = _options.bytes_of(memory)
    kept = 0 if most is None else _kept(given, x, weight)
    with _options.settled(x):
        return methods.correlate(x, weight, bias, **call.options, method=method, memory=most, kept=kept)


@nd.numpy_too
def conv_max(x: Tensor, weight: Weight, bias: Tensor | None = None, **options: Any) -> Tensor:
    """The best match of every filter anywhere: conv, ReLU and the maximum over space.

    (batch, in_channels, *space), or tokens (batch, *space), -> (batch, out_channels). Takes conv's options, kinds and
    errors. The gradient goes to the window that matched best, the first of equals; where none is above zero the answer
    is 0 and the gradient too. Tokens of one axis are looked up, and no window but the best is kept: 64 sequences of
    1000 against 256 filters take 0.1 MB in place of 64.

    >>> conv_max(torch.tensor([[0, 1, 2, 3, 0, 1]]), torch.eye(4)[None])
    tensor([[4.]])

    Source: Alipanahi et al. 2015 (DeepBind), the first layer.
    """
    if x.is_complex() or weight.dtype.is_complex:
        raise TypeError("conv_max takes real values: complex ones have no largest")
    best = _looked_up(x, weight, bias, **options)
    if best is None:
        y = conv(x, weight, bias, **options).flatten(2)
        best = y.max(2).values if y.requires_grad else y.amax(2)
    return best.relu()


def _looked_up(
    x: Tensor,
    weight: Weight,
    bias: Tensor | None,
    *,
    method: str = "auto",
    unknown: str = "mean",
    flip: bool = False,
    memory: Any = None,
    **options: Any,
) -> Tensor | None:
    """The best windows of one axis of tokens by their words; None for what is not that, or another method is to do."""
    x, weight, bias = _options.autocast(x, weight, bias)
    if not _options.is_tokens(x) or weight.ndim != 3 or method not in ("auto", "lookup"):
        return None
    halves = weight.dtype not in (torch.float32, torch.float64)
    if halves and not (isinstance(weight, Tensor) and weight.is_cuda and words.usable(x, weight, bias)):
        return None
    call = _options.resolve(x, weight, bias, **options)
    _options.bytes_of(memory)
    if 0 in weight.shape or 0 in x.shape:
        return None
    seen = nd.pad(x, call.filled, call.modes)
    weight = _options.with_unknown(_options.turned(weight, flip), unknown)
    with _options.settled(x):
        return words.best_match(seen, weight, bias, call.stride[0], *call.zeros[0], call.dilation[0])


@nd.numpy_too
def plan(
    x: Tensor,
    weight: Weight,
    bias: Tensor | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    value: complex = 0.0,
    strict: bool = False,
    flip: bool = False,
    method: str = "auto",
    unknown: str = "mean",
    memory: Any = None,
) -> methods.Plan:
    """What conv(…, method="auto") would choose for these shapes, what each method would cost and allocate, and why.

    Takes conv's options; value, flip, method and unknown change nothing about it. Printed, it is a table of candidates:
    predicted time, memory at the peak (the output included), or why a method is none. Values are never read: tensors on
    the meta device will do, and are planned for as a CPU's. Compiled, exported or transformed calls look at no values
    either, and take the direct sum. Raises as conv does.

    >>> plan(torch.empty(1, 1, 1000, device="meta"), torch.empty(1, 1, 5, device="meta")).method
    'direct'
    >>> plan(torch.empty(1, 1, 10**6, device="meta"), torch.empty(1, 1, 4001, device="meta")).method
    'overlap'
    """
    del flip, method
    call = _options.resolve(
        x,
        weight,
        bias,
        stride=stride,
        padding=padding,
        padding_mode=padding_mode,
        dilation=dilation,
        groups=groups,
        value=value,
        strict=strict,
    )
    device, x = x.device, x.to("meta")
    if _options.is_tokens(x):
        x, weight = _options.symbols(x, weight.to("meta"), unknown)
    padded = nd.pad(x, call.filled, call.modes, value)
    problem = methods.describe(padded, weight, call.options, device, _kept(x, padded, weight))
    return methods.plan(problem, guarded=device.type in ("cpu", "meta"), memory=_options.bytes_of(memory))


def _kept(x: Tensor, padded: Tensor, weight: Weight) -> int:
    """Bytes made before any method starts: what a border was copied into, and numbers in another precision."""
    copies = 2 * padded.numel() * padded.element_size() if padded.shape != x.shape else 0
    if x.dtype in (torch.float16, torch.bfloat16):
        copies += 4 * padded.numel()
    if x.is_complex() or weight.dtype.is_complex:
        copies += padded.numel() * padded.element_size()
    return copies + (16 * padded.numel() if _options.is_tokens(x) else 0)
