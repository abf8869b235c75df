"""Golden values: convolutions and banks whose answers were written down once, from their definitions alone.

The other checks compare this machine with itself; these compare it with numbers that no machine, library or device of
the user's had a part in. The inputs are fractions of a power of two, which every precision holds as they are: of 24
bits for float32 and float64, so that sums in TF32 are noticed, and of 8 bits for the half precisions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigconv import console, conv
from sigconv.doctor import _numbers
from sigconv.doctor._published import PUBLISHED
from sigconv.filters import auditory, gabor, gaussian, haar, laws, masks, riesz

PLACES = 6  # of an answer, evenly spread from its first value to its last, that are compared


class Convolution(NamedTuple):
    """A convolution of made inputs: the shapes, and what conv is told."""

    name: str
    x: tuple[int, ...]
    weight: tuple[int, ...]
    options: dict[str, Any]


class Bank(NamedTuple):
    """A bank's response to a made input; published ones bring their own input."""

    name: str
    build: Callable[[], Any]
    x: tuple[int, ...]
    options: dict[str, Any]


CONVOLUTIONS = (
    Convolution("1-D stride 2 reflect", (1, 3, 40), (2, 3, 7), {"stride": 2, "padding": 3, "padding_mode": "reflect"}),
    Convolution("1-D of 301 taps", (1, 1, 4096), (1, 1, 301), {"padding": "same"}),
    Convolution("2-D of 32 channels", (1, 32, 24, 24), (32, 32, 3, 3), {"padding": "same"}),
    Convolution(
        "2-D dilated groups circular",
        (2, 4, 9, 10),
        (4, 2, 3, 2),
        {"groups": 2, "dilation": 2, "padding": "same", "padding_mode": "circular"},
    ),
    Convolution("3-D symmetric", (1, 2, 7, 8, 9), (3, 2, 3, 3, 3), {"padding": "same", "padding_mode": "symmetric"}),
    Convolution("4-D strided", (1, 2, 5, 5, 4, 6), (2, 2, 3, 2, 3, 2), {"stride": (1, 2, 1, 1)}),
)

BANKS = (
    Bank(
        "gabor 2-D real", lambda: gabor.bank([[0.11, 0.2]], [[2.0, 3.0]], size=(11, 13)), (12, 14), {"output": "real"}
    ),
    Bank("gabor 3-D imag", lambda: gabor.bank([[0.1, 0.2, 0.05]], 1.5, size=7), (8, 8, 8), {"output": "imag"}),
    Bank("mel 1-D real", lambda: auditory.bank("mel", 4, 200, 3400, 8000, size=61), (80,), {"output": "real"}),
    Bank("haar 2-D", lambda: haar.bank(2, 2), (8, 9), {"padding_mode": "circular"}),
    Bank("gaussian 4-D", lambda: gaussian.bank(0.6, 4, size=5), (5, 6, 5, 5), {}),
    Bank("gaussian log 3-D", lambda: gaussian.log(1.5, 3, truncate=2.0), (8, 8, 8), {}),
    Bank("laws L5E5S5 3-D", lambda: laws.bank("L5E5S5"), (7, 7, 7), {}),
    Bank("binomial 1-D", lambda: masks.binomial(5, 1), (20,), {}),
)


def made(shape: tuple[int, ...], bits: int, seed: int) -> Tensor:
    """Fractions in [-1, 1) that look random and are the same everywhere: float64, with so many bits each.

    >>> (128 * made((1, 3), 8, 0)).int()
    tensor([[ 72, -76,  22]], dtype=torch.int32)
    """
    n = torch.arange(1, math.prod(shape) + 1, dtype=torch.int64)
    mixed = (n * 2654435761 + seed * 2246822519) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 739982445) & 0xFFFFFFFF
    whole = (mixed ^ (mixed >> 13)) >> (32 - bits)
    return ((whole - (1 << (bits - 1))).double() / (1 << (bits - 1))).reshape(shape)


def picked(y: Tensor) -> Tensor:
    """The values of an answer that are compared: PLACES of them, from the first to the last."""
    flat = y.flatten()
    return flat[[place * (len(flat) - 1) // (PLACES - 1) for place in range(PLACES)]].double().cpu()


def golden(device: str, dtype: torch.dtype, gate: float | None = None) -> Iterator[dict[str, Any]]:
    """A row per case: the worst error on this device in this precision, in units of what is allowed, and whether kept.

    gate   what is allowed, in units of sqrt(K)·Σ|x||w|, where that is not the precision's own eps (TF32: 2·2⁻¹⁰)

    A case that raises is a row with its error in one line, and not kept.
    """
    allowed = _gate(dtype) if gate is None else lambda terms, scale: gate * math.sqrt(terms) * scale
    checks: list[tuple[str, str, Callable[[], float]]] = []
    for name, published in PUBLISHED.items():
        checks.append((name, "conv", partial(_published, published, device, dtype, allowed)))
    for case in CONVOLUTIONS:
        checks.append((case.name, "conv", partial(_convolved, case, device, dtype, allowed)))
    for bank in BANKS:
        checks.append((bank.name, "bank", partial(_responded, bank, device, dtype, allowed)))
    checks.append(("riesz 1-D", "bank", partial(_hilbert, device, dtype, allowed)))
    for name, kind, check in checks:
        worst, error = math.inf, ""
        try:
            worst = check()
        except Exception as failure:  # of a driver, a library, a kernel: whatever it is, the user is to read it
            error = console.one_line(failure, 200)
        row = {"device": device, "dtype": str(dtype)[6:] if gate is None else "tf32", "case": name, "kind": kind}
        yield row | {"worst_error": round(worst, 4), "kept": worst <= 1, "error": error}


Gate = Callable[[int, Tensor], Tensor]  # terms of a sum, Σ|x||w| -> the error allowed


def _gate(dtype: torch.dtype) -> Gate:
    eps = torch.finfo(dtype).eps
    if dtype in (torch.float16, torch.bfloat16):
        return lambda terms, scale: 0.51 * eps * scale + 2**-25
    return lambda terms, scale: eps * math.sqrt(terms) * scale


def _worst(y: Tensor, exact: Tensor, allowed: Tensor) -> float:
    """The largest error in units of what is allowed; infinite where y is not finite."""
    return float(((y - exact).abs() / allowed.clamp(min=1e-300)).nan_to_num(nan=math.inf).max())


def _written(name: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The answer written down at the places compared, and Σ|x||w| there."""
    table = torch.tensor(_numbers.GOLDEN[name][_bits(dtype)], dtype=torch.float64)
    return table[:, 0], table[:, 1]


def _bits(dtype: torch.dtype) -> int:
    return 8 if dtype in (torch.float16, torch.bfloat16) else 24


def _published(case: dict[str, Any], device: str, dtype: torch.dtype, allowed: Gate) -> float:
    """Whole numbers, or fractions that all precisions hold."""
    x, weight, y = (torch.tensor(case[key], dtype=torch.float64) for key in ("x", "weight", "y"))
    shape = (1, 1, *x.shape), (1, 1, *weight.shape)
    given = x.reshape(shape[0]).to(device, dtype), weight.reshape(shape[1]).to(device, dtype)
    scale = x.abs().max() * weight.abs().sum() * torch.ones_like(y)
    found = [conv(*given, **case["options"], method=method) for method in ("auto", "windows")]
    return max(_worst(one.reshape(y.shape).double().cpu(), y, allowed(weight.numel(), scale)) for one in found)


def _convolved(case: Convolution, device: str, dtype: torch.dtype, allowed: Gate) -> float:
    exact, scale = _written(case.name, dtype)
    x, weight = made(case.x, _bits(dtype), 1), made(case.weight, _bits(dtype), 2)
    given = x.to(device, dtype), weight.to(device, dtype)
    found = [picked(conv(*given, **case.options, method=method)) for method in ("auto", "windows")]
    return max(_worst(y, exact, allowed(weight[0].numel(), scale)) for y in found)


def _responded(case: Bank, device: str, dtype: torch.dtype, allowed: Gate) -> float:
    """Every way a bank has to respond; spectra are allowed what is promised of them."""
    exact, scale = _written(case.name, dtype)
    bank, x = case.build().to(device), made(case.x, _bits(dtype), 1)
    given = x.to(device, dtype)[None, None]
    terms = math.prod(bank.kernel_size)
    norm = float(x.norm()) * float(torch.linalg.vector_norm(bank.kernels[:1].flatten(1)).cpu())
    spectral = allowed(1, scale) + 2.5 * torch.finfo(_working(dtype)).eps * norm
    ways = [("direct", allowed(terms, scale)), ("spectral", spectral)]
    ways += [("separable", allowed(terms, scale))] if bank.separable and bank.ndim > 1 else []
    with torch.no_grad():
        return max(_worst(picked(bank(given, **case.options, method=way)), exact, most) for way, most in ways)


def _hilbert(device: str, dtype: torch.dtype, allowed: Gate) -> float:
    """The first order in one dimension is Hilbert's transform: it makes a sine of a cosine (four samples a cycle)."""
    x = torch.tensor([1.0, 0.0, -1.0, 0.0] * 8, dtype=torch.float64)
    exact = torch.tensor([0.0, 1.0, 0.0, -1.0] * 8, dtype=torch.float64)
    bank = riesz.transform((1,)).to(device)
    y = bank(x.to(device, dtype)[None, None], padding_mode="circular").flatten().double().cpu()
    most = allowed(1, torch.ones_like(exact)) + 2.5 * torch.finfo(_working(dtype)).eps * float(x.norm())
    return _worst(y, exact, most)


def _working(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if _bits(dtype) == 8 else dtype
