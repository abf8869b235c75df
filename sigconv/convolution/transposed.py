"""conv_transpose: the transpose of a convolution's matrix, for every border, stride, dilation and group."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sigconv import methods, nd
from sigconv.convolution import _options
from sigconv.kernels import precise


@nd.numpy_too
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    output_padding: Any = 0,
    output_size: Any = None,
    flip: bool = False,
    method: str = "auto",
) -> Tensor:
    """The transpose of conv with the same weight and options: ⟨conv(u), x⟩ = ⟨u, conv_transpose(x)⟩, to rounding.

    x (batch, in_channels, *positions), weight (in_channels, out_channels / groups, *kernel_size), bias (out_channels,)
    -> (batch, out_channels, *space), as torch's layers have them. Space is (positions - 1)·stride - margins + span +
    output_padding; output_size says instead which of the sizes that conv would bring to these positions is meant.

    padding, padding_mode, stride, dilation, groups, flip, method: as in conv. What a border copied outwards is added
    back to the samples it came from; zeros and constants came from nowhere and are cut off. Complex values are not
    conjugated. Dtypes and devices as in conv; ValueError for an output_padding that is not below stride or dilation,
    and for an output_size that conv would not bring to these positions.

    >>> conv_transpose(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[1.0, 1.0, 1.0]]]), stride=2)
    tensor([[[1., 1., 3., 2., 2.]]])

    Requirements ST7, BP1, BP5 of the lectures.
    """
    x, weight, bias = _options.autocast(x, weight, bias)
    groups = nd.count(groups, "groups")
    _check(x, weight, bias, groups)
    if method != "auto":
        nd.one_of(method, ["auto", *methods.METHODS], "method")
    ndim = weight.ndim - 2
    kernel_size = tuple(weight.shape[2:])
    stride, dilation = nd.ntuple(stride, ndim, "stride"), nd.ntuple(dilation, ndim, "dilation")
    margins, modes = nd.margins(padding, kernel_size, dilation), nd.border_modes(padding_mode, ndim)
    span = nd.spans(kernel_size, dilation)
    rows = zip(x.shape[2:], stride, span, margins, strict=True)
    least = [(p - 1) * s + reach - b - a for p, s, reach, (b, a) in rows]
    rest = _rest(output_padding, output_size, least, stride, dilation)
    size = tuple(n + r for n, r in zip(least, rest, strict=True))
    for axis, n in enumerate(size):
        if n < 0 or (n == 0 and modes[axis] in nd.EXTEND):
            raise ValueError(
                f"padding {margins[axis]} leaves {n} samples on axis {axis} (positions {x.shape[2 + axis]})"
            )
    padded = tuple(n + b + a for n, (b, a) in zip(size, margins, strict=True))
    with _options.settled(x):
        y = _spread_out(x, _options.turned(weight, flip), padded, stride, dilation, groups, method)
    y = nd.unpad(y, margins, modes)
    return y if bias is None else y + nd.per_channel(bias, ndim)


def _spread_out(
    x: Tensor, weight: Any, padded: tuple, stride: tuple, dilation: tuple, groups: int, method: str
) -> Tensor:
    """Without margins: torch's own routine where strided, up to three axes; else a convolution of the spread input."""
    ndim = len(stride)
    wide = weight.dtype in (torch.float16, torch.bfloat16) and x.device.type == "cpu"
    if ndim <= 3 and max(stride) > 1 and method in ("auto", "direct") and x.numel() and weight.numel():
        if x.is_complex() != weight.is_complex():
            x, weight = (t.to(torch.promote_types(x.dtype, weight.dtype)) for t in (x, weight))
        reach = [
            (p - 1) * s + k for p, s, k in zip(x.shape[2:], stride, nd.spans(weight.shape[2:], dilation), strict=True)
        ]
        given = (x.float(), weight.float()) if wide else (x, weight)
        y = precise.transposed(*given, stride, dilation, groups)
        extra = [side for n, r in zip(reversed(padded), reversed(reach), strict=True) for side in (0, n - r)]
        return torch.nn.functional.pad(y.to(x.dtype), extra) if any(extra) else y.to(x.dtype)
    zeros = ((0, 0),) * ndim
    options: dict[str, Any] = {
        "size": padded,
        "stride": stride,
        "margins": zeros,
        "dilation": dilation,
        "groups": groups,
    }
    correlate = lambda *args, **kwargs: methods.correlate(*args, **kwargs, method=method)
    return methods.input_gradient(x, weight, **options, correlate=correlate)


def _rest(output_padding: Any, output_size: Any, least: list[int], stride: tuple, dilation: tuple) -> tuple[int, ...]:
    """Samples beyond the least size, per axis: what a strided convolution would not have seen."""
    ndim = len(least)
    if output_size is not None:
        wanted = nd.ntuple(output_size, ndim, "output_size", least=0)
        rest = tuple(w - n for w, n in zip(wanted, least, strict=True))
        if any(not 0 <= r < s for r, s in zip(rest, stride, strict=True)):
            most = [n + s - 1 for n, s in zip(least, stride, strict=True)]
            raise ValueError(f"output_size {wanted} is not between {tuple(least)} and {tuple(most)}")
        return rest
    rest = nd.ntuple(output_padding, ndim, "output_padding", least=0)
    if any(r >= max(s, d) for r, s, d in zip(rest, stride, dilation, strict=True)):
        raise ValueError(f"output_padding {rest} must be smaller than stride {stride} or dilation {dilation}")
    return rest


def _check(x: Tensor, weight: Any, bias: Tensor | None, groups: int) -> None:
    """The shapes of conv, with input and output exchanged."""
    if not isinstance(weight, Tensor):
        raise TypeError(f"weight is a {type(weight).__name__}: conv_transpose takes a tensor (factors: .dense())")
    if weight.ndim < 3 or x.ndim != weight.ndim or x.shape[1] != weight.shape[0] or weight.shape[0] % groups:
        raise ValueError(
            f"x has shape {tuple(x.shape)} and weight {tuple(weight.shape)} in groups={groups}: expected "
            "(batch, in_channels, *positions) and (in_channels, out_channels / groups, *kernel_size), in whole groups"
        )
    like = torch.empty(0, weight.shape[1] * groups, *x.shape[2:], dtype=x.dtype, device=x.device)
    across = weight[:0].reshape(0, weight.shape[1], *weight.shape[2:]) if groups == 1 else weight[:0]
    _options.check(like, across, None, groups)
    if isinstance(bias, Tensor):
        _options.check_bias(x, weight, bias)
    if bias is not None and tuple(bias.shape) != (weight.shape[1] * groups,):
        raise ValueError(
            f"bias has shape {tuple(bias.shape)}: expected ({weight.shape[1] * groups},), one per output channel"
        )
