"""One convolution by the method named, or by the planner's: what all methods share is done here, once.

Complex numbers become real ones, half precision is summed in float32, tokens become channels where a method has no
tokens; parts keep to the memory allowed; and what a method spreads beyond its windows is mended (N1, N2).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels._state import readable
from sigconv.methods import _prices
from sigconv.methods._backward import Guarded
from sigconv.methods._factors import Factors
from sigconv.methods._guard import Guard
from sigconv.methods._plan import HALVES, METHODS, as_summed, plan
from sigconv.methods._problem import Problem
from sigconv.methods._regions import section, slabs

MOST = 2**31 - 1  # values of a tensor that torch's own routines are trusted with (N14)
LESS = 8  # times the memory is halved for a call that found too little
REAL = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}
Options = dict[str, Any]  # stride, margins, dilation, groups


def correlate(
    x: Tensor,
    weight: Tensor | Factors,
    bias: Tensor | None,
    *,
    stride: tuple[int, ...],
    margins: nd.Margins,
    dilation: tuple[int, ...],
    groups: int,
    method: str = "auto",
    memory: int | None = None,
    kept: int = 0,
) -> Tensor:
    """Cross-correlation with margins of zeros; memory: bytes to be allocated at most, of which kept are already."""
    options = {"stride": stride, "margins": margins, "dilation": dilation, "groups": groups}
    if x.is_complex() or weight.dtype.is_complex:
        return _complex(
            x, weight.dense() if isinstance(weight, Factors) else weight, bias, options, method, memory, kept
        )
    try:
        return _real(x, weight, bias, options, method, memory, kept).to(weight.dtype)
    except torch.OutOfMemoryError:
        if method != "auto" or memory is not None or not _divisible(x, weight, bias):
            raise
    return _in_less(x, weight, bias, options).to(weight.dtype)  # here, where nothing holds what was half made


def precision(dtype: torch.dtype) -> torch.dtype:
    """Of the numbers a dtype is made of: two for a complex one."""
    return REAL.get(dtype, dtype)


def describe(
    x: Tensor, weight: Tensor | Factors, options: Options, device: torch.device | None = None, kept: int = 0
) -> Problem:
    """The problem as the planner sees it: a complex number is two real ones; kept bytes are there before it starts."""
    device = device or x.device
    tokens = not (x.is_floating_point() or x.is_complex())
    dtype = precision(weight.dtype)
    return Problem(
        batch=x.shape[0] * (2 if x.is_complex() else 1),
        in_channels=weight.shape[1] if tokens else x.shape[1],
        out_channels=weight.shape[0] * (2 if weight.dtype.is_complex else 1),
        size=tuple(x.shape[1 if tokens else 2 :]),
        kernel_size=tuple(weight.shape[2:]),
        dtype=torch.float32 if dtype in HALVES and device.type != "cuda" else dtype,
        device=device.type,
        card=_prices.card(device) if device.type == "cuda" else "",
        kept=kept,
        rank=weight.rank if isinstance(weight, Factors) else 0,
        tokens=tokens,
        **options,
    )


def _real(
    x: Tensor,
    weight: Tensor | Factors,
    bias: Tensor | None,
    options: Options,
    method: str,
    memory: int | None,
    kept: int,
) -> Tensor:
    auto = method == "auto"
    tokens = not x.is_floating_point()
    live = readable(x, bias, *((weight,) if isinstance(weight, Tensor) else weight.tensors))
    parts = 1
    if 0 in x.shape or 0 in weight.shape:
        method = "windows"  # torch's own convolution answers an empty input with a wrong shape (N13)
    elif auto and not live:
        method = "lookup" if tokens else "separable" if isinstance(weight, Factors) else "direct"
    elif auto:
        chosen = plan(describe(x, weight, options, kept=kept), live, memory)
        method, parts = chosen.method, chosen.parts
    elif live or memory is not None:
        parts = _parts_of(method, describe(x, weight, options, kept=kept), memory)
    if weight.dtype in HALVES and not (method == "direct" and x.device.type == "cuda"):
        x = x.float() if x.is_floating_point() else x
        weight, bias = weight.to(torch.float32), None if bias is None else bias.float()
    if isinstance(weight, Factors) and method != "separable":
        weight = weight.dense()
    if tokens and live and method != "lookup" and isinstance(weight, Tensor) and not torch.isfinite(weight).all():
        method = "lookup"  # a token selects: what it does not select counts for nothing, be it infinite
    if tokens and method != "lookup":
        x = torch.nn.functional.one_hot(x.long(), weight.shape[1]).movedim(-1, 1).to(weight.dtype)
    if live:
        values = max(x.numel(), x.shape[0] * weight.shape[0] * math.prod(_positions(x, weight, options)))
        parts = max(parts, -(-values // MOST))
    if parts > 1:
        rows = _rows(describe(x, weight, options, kept=kept), method, parts, memory)
        return _in_parts(x, weight, bias, options, method, parts, rows, auto)
    return _whole(x, weight, bias, options, method, auto and live)


def _parts_of(method: str, problem: Problem, memory: int | None) -> int:
    """Into how many parts a method asked for by name must go; ValueError where it cannot be had."""
    chosen, problem = METHODS[method], as_summed(method, problem)
    reason = chosen.refused(problem) if hasattr(chosen, "refused") else ""
    if reason:
        raise ValueError(f"method {method!r} {reason}")
    return 1 if memory is None else -(-(problem.kept + chosen.memory(problem)) // memory)


def _rows(problem: Problem, method: str, parts: int, memory: int | None) -> int:
    """How many of a batch are done at once: no more than the memory holds beside the whole output."""
    rows = max(problem.batch // parts, 1)
    if memory is not None:
        spare = memory - problem.kept - problem.itemsize * problem.outputs
        needs = lambda rows: METHODS[method].memory(as_summed(method, dataclasses.replace(problem, batch=rows)))
        while rows > 1 and needs(rows) > spare:
            rows = -(-rows // 2)
    return rows


def _divisible(x: Tensor, weight: Tensor | Factors, bias: Tensor | None) -> bool:
    """Whether a call that found too little memory may be done again in parts.

    Not where gradients are wanted: parts would keep for the backward pass what the whole keeps, and there each would
    make a gradient as large as the input.
    """
    given = (x, bias, *((weight,) if isinstance(weight, Tensor) else weight.tensors))
    wanted = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
    return readable(*given) and not wanted


def _in_less(x: Tensor, weight: Tensor | Factors, bias: Tensor | None, options: Options) -> Tensor:
    """In parts that take half of the memory there is, and half of that, …; or one line that says what it would need."""
    chosen = plan(describe(x, weight, options), True)
    free = _free(x.device)
    memory = chosen.memory if free is None else min(chosen.memory, free)
    for _ in range(LESS):
        memory = max(memory // 2, 1)
        try:
            return _real(x, weight, bias, options, "auto", memory, 0)
        except torch.OutOfMemoryError:
            pass
    there = "" if free is None else f", of which {free / 2**20:,.1f} MiB are free"
    raise torch.OutOfMemoryError(
        f"conv of x {tuple(x.shape)} with weight {tuple(weight.shape)} needs about {chosen.memory / 2**20:,.1f} MiB of "
        f"{x.device}{there}, and does not fit in parts of {memory / 2**20:,.1f} MiB either: free some, or give less"
    )


def _free(device: torch.device) -> int | None:
    """Bytes that a GPU still has, those included that torch holds and does not use; None of other devices."""
    if device.type != "cuda":
        return None
    return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _whole(x: Tensor, weight: Any, bias: Tensor | None, options: Options, method: str, exact: bool) -> Tensor:
    """One call of one method, mended where it must be."""
    chosen = METHODS[method]
    if not chosen.EXACT and readable(x, weight, bias):
        wants = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
        run = lambda x, weight: _mended(x, weight, options, method, exact)
        y = Guarded.apply(x, weight, run, options, correlate) if exact and wants else run(x, weight)
        if bias is None:
            return y
        bias = nd.per_channel(bias, len(options["stride"]))
        return y + bias if y.requires_grad or bias.requires_grad else y.add_(bias)
    margins = options["margins"]
    seen = method == "direct" and any(map(any, margins)) and readable(x, weight) and not x.is_cuda
    if seen and not torch.isfinite(weight.sum()):  # torch leaves margins out, and a zero times an infinity is NaN
        x, options = nd.pad(x, margins), options | {"margins": ((0, 0),) * len(margins)}
    y = chosen.correlate(x, weight, bias, **options)
    if not chosen.LOCAL and readable(x, y) and not torch.isfinite(y).all():
        y = METHODS["direct"].correlate(x, weight, bias, **options)
    return y


def _mended(x: Tensor, weight: Tensor, options: Options, method: str, exact: bool) -> Tensor:
    """By spectra, and directly where the guard does not trust them."""
    direct = METHODS["direct"].correlate
    stride, span = options["stride"], nd.spans(weight.shape[2:], options["dilation"])
    guard = Guard(x, weight, options["groups"], options["dilation"], exact)
    y = METHODS[method].correlate(x, weight, None, **options, multiple=guard.cell[0], watch=guard.watch)
    dense = [n + b + a - s + 1 for n, (b, a), s in zip(x.shape[2:], options["margins"], span, strict=True)]
    padded = tuple(n + s - 1 for n, s in zip(dense, span, strict=True))
    _, hop = METHODS[method].blocking(padded, span, math.lcm(stride[0], guard.cell[0]))
    regions = guard.untrusted(dense, hop)
    if regions is None:
        return direct(x, weight, None, **options)
    for region in regions:
        kept = tuple((-(-first // s), -(-last // s)) for (first, last), s in zip(region, stride, strict=True))
        if all(last > first for first, last in kept):
            seen, margins = section(x, kept, span, stride, options["margins"])
            place = (..., *(slice(first, last) for first, last in kept))
            y[place] = direct(seen, weight, None, **(options | {"margins": margins}))
    return y


def _in_parts(
    x: Tensor, weight: Any, bias: Tensor | None, options: Options, method: str, parts: int, rows: int, auto: bool
) -> Tensor:
    """Some rows of a batch at a time, or one in slabs along its longest axis, so that less is allocated at once."""
    span, size = nd.spans(weight.shape[2:], options["dilation"]), _positions(x, weight, options)
    y = torch.empty(x.shape[0], weight.shape[0], *size, dtype=weight.dtype, device=x.device)
    for row in range(0, x.shape[0], rows):
        taken = slice(row, row + rows)
        for region in slabs(size, -(-parts * rows // x.shape[0])):
            seen, margins = section(x[taken], region, span, options["stride"], options["margins"])
            place = (taken, slice(None), *(slice(first, last) for first, last in region))
            y[place] = _whole(seen, weight, bias, options | {"margins": margins}, method, auto)  # and is let go
    return y


def _positions(x: Tensor, weight: Any, options: Options) -> tuple[int, ...]:
    kernel = weight.shape[2:]
    return nd.output_size(x.shape[-len(kernel) :], kernel, options["stride"], options["dilation"], options["margins"])


def _complex(
    x: Tensor, weight: Tensor, bias: Tensor | None, options: Options, method: str, memory: int | None, kept: int
) -> Tensor:
    """Real and imaginary parts as batch rows and as filters of one real convolution; nothing is conjugated (N22)."""
    batch, groups = x.shape[0], options["groups"]
    rows = torch.cat([x.real, x.imag]) if x.is_complex() else x
    filters = weight
    if weight.is_complex():
        filters = torch.cat([part.unflatten(0, (groups, -1)) for part in (weight.real, weight.imag)], 1).flatten(0, 1)
    y = correlate(rows, filters, None, **options, method=method, memory=memory, kept=kept)
    if weight.is_complex():
        real, imaginary = (part.flatten(1, 2) for part in y.unflatten(1, (groups, 2, -1)).unbind(2))
        if x.is_complex():
            real, imaginary = real[:batch] - imaginary[batch:], imaginary[:batch] + real[batch:]
    else:
        real, imaginary = y[:batch], y[batch:]
    whole = torch.complex(real, imaginary)
    return whole if bias is None else whole + nd.per_channel(bias, len(options["stride"]))
