"""How a bank meets a signal: checked, planned, computed by one of three ways, and handed out as asked.

direct     sigconv.conv with the kernels: tiny filters, short rows, strided 1-D banks (it plans further for itself)
separable  an axis at a time, what filters share computed once            (_passes.py; banks that have terms)
spectral   one forward transform for all filters, products folded under a stride, small inverse ones    (_spectra.py)

All three see rows (batch·channels, *space) and put what they find into a Sink, some filters at a time.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.convolution import conv
from sigconv.convolution._options import bytes_of, number, settled
from sigconv.filters import _passes, _spectra
from sigconv.filters._blocks import blockwise
from sigconv.filters._call import Call, like
from sigconv.filters._grid import grid
from sigconv.filters._sink import OUTPUTS, Sink, TooLittleError
from sigconv.filters._steady import made
from sigconv.kernels._state import readable

METHODS = ("direct", "separable", "spectral")


def respond(
    bank: Any,
    x: Tensor,
    *,
    output: str = "auto",
    stride: Any = 1,
    padding_mode: Any = "zeros",
    value: float = 0.0,
    method: str = "auto",
    memory: Any = None,
    inside: bool = False,
) -> Tensor:
    """FilterBank.forward for tensors.

    inside: of whole windows only, as the midst of a larger signal has them: x is (batch, channels, *space) with half a
    kernel of neighbours on every side, and neither borders nor what they would touch are computed or held.
    """
    _check(bank, x)
    nd.one_of(output, ("auto", *OUTPUTS), "output")
    nd.one_of(method, ("auto", *METHODS), "method")
    if output == "imag" and not (bank.complex or x.is_complex()):
        raise ValueError(f"output 'imag' of {len(bank)} real filters is nothing but zeros: ask for 'real'")
    if output == "auto":
        output = "complex" if bank.complex or x.is_complex() else "real"
    modes, stride = nd.border_modes(padding_mode, bank.ndim), nd.ntuple(stride, bank.ndim, "stride")
    space = tuple(x.shape[2:])
    if inside:
        space, modes = _within(bank, space), ("zeros",) * bank.ndim
    positions = tuple(-(-n // s) for n, s in zip(space, stride, strict=True))
    if not math.isfinite(number(value, "value")):
        raise ValueError(f"value {value} must be a finite number: it is what lies beyond the ends")
    call = Call(stride, modes, value, positions, bytes_of(memory), inside)
    with settled(x):  # autocast would take a bank's phases away
        return _answered(bank, x, call, output, method)


def _within(bank: Any, space: tuple[int, ...]) -> tuple[int, ...]:
    """How many whole windows there are along each axis."""
    if bank.kernel_size is None:
        raise ValueError("a bank made in frequency sees all of a signal: no window of it is whole")
    if any(n < k for n, k in zip(space, bank.kernel_size, strict=True)):
        raise ValueError(f"x has {space} samples, and a window {bank.kernel_size}: none is whole")
    return tuple(n - k + 1 for n, k in zip(space, bank.kernel_size, strict=True))


def _answered(bank: Any, x: Tensor, call: Call, output: str, method: str) -> Tensor:
    """By the way asked for or the quickest; what is not finite kept to the windows it touches."""
    rows = x.to(_working(x.dtype)).flatten(0, 1)
    grows = torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in bank.parameters()))
    grows = grows or not readable(x, *bank.parameters())
    rows, bad, loud = _finite(rows)
    sink = Sink(rows, len(bank), call.positions, output, grows, x.real.dtype if x.is_complex() else x.dtype)
    sink.held = rows.numel() * (rows.element_size() * ((x.dtype != rows.dtype) + (bad is not None)) + (bad is not None))
    if 0 not in rows.shape and len(bank):
        _run([method] if method != "auto" else _ranked(bank, rows, call, loud), bank, rows, call, sink)
    y = sink.whole()
    if bad is not None:
        touched = _touched(bank, bad, call).unsqueeze(1)
        y = y.masked_fill(touched, torch.nan) if grows else y.masked_fill_(touched, torch.nan)
    return y.reshape(x.shape[0], x.shape[1] * len(bank), *call.positions)


def _check(bank: Any, x: Tensor) -> None:
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(
            f"x is {x.dtype}: a bank filters floating or complex values; convert it, for example by x.float()"
        )
    if x.ndim != bank.ndim + 2:
        raise ValueError(
            f"x has shape {tuple(x.shape)}, and the bank {bank.ndim} axes of space: expected {bank.ndim + 2} axes, "
            "(batch, channels, *space)"
        )
    if bank.device != x.device:
        raise ValueError(f"x is on {x.device} and the bank on {bank.device}: move one to the other")


def _working(dtype: torch.dtype) -> torch.dtype:
    """The precision sums are made in."""
    if dtype in (torch.float16, torch.bfloat16):
        return torch.float32
    return torch.complex64 if dtype == torch.complex32 else dtype


def _finite(rows: Tensor) -> tuple[Tensor, Tensor | None, bool]:
    """x with zeros for what is not finite; where that was, or None; and whether its sums overflow.

    Where values may not be looked at, anything may not be finite, and nothing is known to be loud.
    """
    if readable(rows) and torch.isfinite(rows.abs().sum()):
        return rows, None, False
    bad = ~torch.isfinite(rows)
    if readable(rows) and not bad.any():
        return rows, None, True
    return torch.where(bad, 0, rows), bad, False


def _touched(bank: Any, bad: Tensor, call: Call) -> Tensor:
    """The positions whose window sees what is not finite: (rows, *positions). N1, N3: nothing else does."""
    if bank.kernel_size is None:  # kernels as large as the signal
        return bad.flatten(1).any(1).reshape(-1, *[1] * bank.ndim).expand(-1, *call.positions)
    for axis, (k, s, mode) in enumerate(zip(bank.kernel_size, call.stride, call.modes, strict=True), start=1):
        seen, wide = nd.pad(bad.movedim(axis, -1), ((call.half(k),) * 2,), mode), 1
        while wide < k:  # a window is two that overlap, each half as wide at least
            step = min(wide, k - wide)
            seen, wide = seen[..., :-step] | seen[..., step:], wide + step
        bad = seen[..., ::s].movedim(-1, axis)
    return bad


def _run(ways: list[str], bank: Any, rows: Tensor, call: Call, sink: Sink) -> None:
    """The first of the ways that keeps to the memory allowed."""
    for way in ways[:-1]:
        with contextlib.suppress(TooLittleError):
            return WAYS[way](bank, rows, call, sink)
    WAYS[ways[-1]](bank, rows, call, sink)


def _ranked(bank: Any, rows: Tensor, call: Call, loud: bool) -> list[str]:
    """The ways there are, what is predicted to be quickest first; shapes decide, unless transforms would overflow."""
    if bank.kernel_size is None:
        return ["spectral"]
    if loud:
        return ["direct"]
    if torch.compiler.is_compiling():  # a batch may be any size
        rows = rows.new_empty((1, *rows.shape[1:]), device="meta")
    costs = {"direct": _direct_cost(bank, rows, call), "spectral": _spectra.cost(bank, rows, call)}
    if bank.separable and bank.ndim > 1 and not ("constant" in call.modes and call.value):
        costs["separable"] = _passes.cost(bank, rows, call)
    return sorted(costs, key=costs.__getitem__)


DIRECT_CALL, DIRECT_MAC, TORCH_MAC = 3e-4, 2.5e-11, 1e-10  # seconds, two threads
CUDA_MAC = 1e-13  # on CUDA, predicted: a third of what multiplications alone would take


def _direct_cost(bank: Any, rows: Tensor, call: Call) -> float:
    """Every tap of every filter; a kernel of ours at stride 1, torch's own otherwise."""
    macs = rows.shape[0] * len(bank) * math.prod(call.positions) * math.prod(bank.kernel_size)
    macs *= (2 if bank.complex else 1) * (2 if rows.is_complex() else 1)
    if bank.device.type == "cuda":
        return DIRECT_CALL + macs * CUDA_MAC
    return DIRECT_CALL + macs * (DIRECT_MAC if max(call.stride) == 1 else TORCH_MAC)


def direct(bank: Any, rows: Tensor, call: Call, sink: Sink) -> None:
    """By sigconv.conv, which chooses its own method and keeps to the memory allowed."""
    if bank.kernel_size is None:
        raise ValueError(
            "method 'direct' needs kernels of one size, and this bank is made in frequency: use 'spectral'"
        )
    kernels = made(bank, "taps")
    part = {"real": "real", "imag": "imag"}.get(sink.output)
    if bank.complex and part and not rows.is_complex():
        kernels = getattr(kernels, part)
        sink = sink.already()
    kernels = kernels.to(like(rows, kernels)).unsqueeze(1)
    responses = rows.shape[0] * math.prod(call.positions) * rows.element_size() * (2 if kernels.is_complex() else 1)
    beside = 2 * rows.numel() * rows.element_size()
    room, method = None, "auto"
    if call.memory is not None:
        room = max(call.memory - sink.bytes - sink.held - int(2 * responses + beside), 1 << 20)
        method = "auto" if bank.ndim == 1 else "direct"  # thin slabs of more axes have spectra that keep to no memory
    for first, last in sink.parts(call.memory, 4 * responses, beside):
        y = conv(
            rows.unsqueeze(1),
            kernels[first:last],
            stride=call.stride,
            padding=tuple(call.half(k) for k in bank.kernel_size),
            padding_mode=call.modes,
            value=call.value,
            flip=True,
            method=method,
            memory=room,
        )
        sink.put(first, last, y)


def spectral(bank: Any, rows: Tensor, call: Call, sink: Sink) -> None:
    """Through spectra, of the whole signal or of blocks of a long one."""
    where = grid(bank, tuple(rows.shape[1:]), call)
    (blockwise if where.blocks else _spectra.whole)(bank, rows, call, sink, where)


WAYS = {"direct": direct, "separable": _passes.separable, "spectral": spectral}
