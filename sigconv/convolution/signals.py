"""convolve and correlate with SciPy's meaning: two arrays, modes full, same and valid, along any axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import methods, nd
from sigconv.convolution._options import number
from sigconv.kernels import taps

MODES = ("full", "same", "valid")


@nd.numpy_too
def convolve(
    x: Tensor,
    h: Tensor,
    mode: str = "full",
    *,
    axes: Any = None,
    padding_mode: Any = "zeros",
    value: complex = 0.0,
    method: str = "auto",
) -> Tensor:
    """The convolution of two arrays, (x * h)[u] = Σ_t x[t] h[u - t], as scipy.signal.convolve has it.

    x and h have as many axes; along `axes` (all, if None) they are convolved, along the others they are broadcast.

    mode           "full": every overlap, n + m - 1 samples; "same": its middle n, as SciPy centres it (the earlier
                   of two middles); "valid": whole overlaps only, of the smaller within the larger
    padding_mode   what lies beyond the ends of x: "zeros", or conv's other borders, one or one per axis
    method         "auto" or one of sigconv.methods, as in conv

    Tensors or NumPy arrays of any real or complex kind; the answer has the kind of both together and x's device.
    Integers and booleans give int64, exactly, or OverflowError where max|x|·Σ|h| needs more than 64 bits. ValueError
    for shapes that do not fit, for empty arrays, and for "valid" where neither array is the larger along every axis.

    >>> convolve(torch.tensor([1, 2, 3]), torch.tensor([0, 1, 1]))
    tensor([0, 1, 3, 5, 3])

    Requirements CV3, CV8, CV9, CV15, PD3, MX9 of the lectures.
    """
    return _both(x, h, mode, axes, padding_mode, value, method, turn=True)


@nd.numpy_too
def correlate(
    x: Tensor,
    h: Tensor,
    mode: str = "full",
    *,
    axes: Any = None,
    padding_mode: Any = "zeros",
    value: complex = 0.0,
    method: str = "auto",
) -> Tensor:
    """The cross-correlation of two arrays, Σ_t x[t] conj(h[t - u]) at every lag u, as scipy.signal.correlate has it.

    Lags run upwards from -(m - 1), m the length of h. All else as in convolve: convolve(x, conj(h) turned over).

    >>> correlate(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 0.5]))
    tensor([0.5000, 2.0000, 3.5000, 3.0000, 0.0000])

    Requirements CV11, CV13 of the lectures.
    """
    return _both(x, h, mode, axes, padding_mode, value, method, turn=False)


def _both(
    x: Tensor, h: Any, mode: str, axes: Any, padding_mode: Any, value: complex, method: str, turn: bool
) -> Tensor:
    if not isinstance(h, Tensor):
        raise TypeError(f"h is a {type(h).__name__} and x a tensor: convert one to the other's kind")
    nd.one_of(mode, MODES, "mode")
    nd.one_of(method, ["auto", *methods.METHODS], "method")
    value = number(value, "value", imaginary=x.is_complex() or h.is_complex())
    if x.ndim != h.ndim:
        raise ValueError(f"x has {x.ndim} axes and h {h.ndim}: they need as many")
    if x.device != h.device:
        raise ValueError(f"h is on {h.device} and x on {x.device}: move one to the other")
    axes = _axes(axes, x.ndim)
    others = [a for a in range(x.ndim) if a not in axes]
    if any(x.shape[a] != h.shape[a] and 1 not in (x.shape[a], h.shape[a]) for a in others):
        raise ValueError(
            f"x {tuple(x.shape)} and h {tuple(h.shape)} do not broadcast along the axes beside {tuple(axes)}"
        )
    if 0 in x.shape or 0 in h.shape:
        raise ValueError(f"x {tuple(x.shape)} or h {tuple(h.shape)} is empty: there is nothing to convolve")
    if mode == "valid" and padding_mode != "zeros":
        raise ValueError(f"padding_mode {padding_mode!r} has no meaning for mode 'valid', which sees no border")
    if not any(t.is_floating_point() or t.is_complex() for t in (x, h)):
        return _whole_numbers(x, h, mode, axes, others, padding_mode, value, method, turn)
    dtype = torch.promote_types(x.dtype, h.dtype)
    if isinstance(value, complex) and not x.is_complex():
        x = x.to(dtype)
    x, h = (t.to(dtype) if dtype.is_complex == t.is_complex() else t.to(methods.precision(dtype)) for t in (x, h))
    return _correlated(x, h if turn else h.conj().resolve_conj(), mode, axes, others, padding_mode, value, method, turn)


def _axes(axes: Any, ndim: int) -> list[int]:
    """The axes meant, counted from the front; all of them for None."""
    if axes is None:
        return list(range(ndim))
    named = list(axes) if isinstance(axes, tuple | list | range | np.ndarray) else [axes]
    if any(isinstance(a, bool) or not hasattr(a, "__index__") or not -ndim <= a < ndim for a in named):
        raise ValueError(f"axes {axes} are not axes of an array that has {ndim}")
    found = [int(a) % ndim for a in named]
    if len(set(found)) != len(found):
        raise ValueError(f"axes {axes} name one axis twice")
    return found


def _correlated(x, h, mode, axes, others, padding_mode, value, method, turn) -> Tensor:
    """Arrays as one grouped convolution: every pair along the other axes is a group of its own."""
    if not axes:  # nothing to slide along: a product
        return x * h
    x, h = (t.permute(*others, *axes) for t in (x, h))
    kept = len(others)
    space, taps = x.shape[kept:], h.shape[kept:]
    if mode == "valid" and not all(n >= m for n, m in zip(space, taps, strict=True)):
        if not all(n <= m for n, m in zip(space, taps, strict=True)):
            raise ValueError(
                f"x {tuple(space)} and h {tuple(taps)}: for 'valid' one must be the larger along every axis"
            )
        x, h, space, taps = h, x, taps, space  # the larger one slides nowhere
        if not turn:  # Σ x[t] h[t - u] seen from h: turned over
            x, h = x.flip(tuple(range(kept, x.ndim))), h.flip(tuple(range(kept, h.ndim)))
    if turn:
        h = h.flip(tuple(range(kept, h.ndim)))
    margins = tuple(margin(mode, m) for m in taps)
    modes = nd.border_modes(padding_mode, len(axes))
    zeros = tuple(both if border == "zeros" else (0, 0) for border, both in zip(modes, margins, strict=True))
    filled = tuple((0, 0) if border == "zeros" else both for border, both in zip(modes, margins, strict=True))
    shape = tuple(m if n == 1 else n for n, m in zip(x.shape[:kept], h.shape[:kept], strict=True))
    ones = (1,) * len(axes)
    if math.prod(h.shape[:kept]) == 1:  # one kernel for all: pairs are batch rows
        rows, weight, groups = x.reshape(-1, 1, *space), h.reshape(1, 1, *taps), 1
    else:
        groups = math.prod(shape)
        rows = x.expand(*shape, *space).reshape(1, groups, *space)
        weight = h.expand(*shape, *taps).reshape(groups, 1, *taps)
    rows = nd.pad(rows, filled, modes, value)
    options: dict[str, Any] = {"stride": ones, "margins": zeros, "dilation": ones, "groups": groups, "method": method}
    if not rows.is_floating_point() and not rows.is_complex():
        y = _exact(rows, weight, options)
    else:
        y = methods.correlate(rows, weight, None, **options)
    y = y.reshape(*shape, *y.shape[2:])
    order = [*others, *axes]
    return y.permute([order.index(a) for a in range(len(order))])


def margin(mode: str, taps: int) -> tuple[int, int]:
    """full sees every overlap; same is the middle of full, the earlier of two middles."""
    if mode == "valid":
        return 0, 0
    if mode == "full":
        return taps - 1, taps - 1
    return taps - 1 - (taps - 1) // 2, (taps - 1) // 2


def _whole_numbers(x, h, mode, axes, others, padding_mode, value, method, turn) -> Tensor:
    """Integers: exact in int64, or refused."""
    for name, t in (("x", x), ("h", h)):
        if t.dtype == torch.uint64 and (t.view(torch.int64) < 0).any():
            raise OverflowError(f"{name} holds values above 2**63 - 1, more than int64 has")
    if value != int(value):
        raise ValueError(f"value {value} is not a whole number, as x's are")
    return _correlated(x.long(), h.long(), mode, axes, others, padding_mode, int(value), method, turn)


def _exact(x: Tensor, weight: Tensor, options: dict[str, Any]) -> Tensor:
    """In float64 while 53 bits hold every sum, in int64 while 63 do."""
    largest = max(abs(int(x.max())), abs(int(x.min())))
    per_filter = sum_of_magnitudes(weight)
    reach = largest * per_filter
    if reach >= 2**63:
        raise OverflowError(f"sums may reach {largest} x {per_filter}, more than int64 holds: convert to float64")
    if reach < 2**53:
        options = options | {
            "method": "direct" if options["method"] in ("auto", "fft", "overlap") else options["method"]
        }
        return methods.correlate(x.double(), weight.double(), None, **options).round().long()
    before, after = ([pair[side] for pair in options["margins"]] for side in (0, 1))
    return taps.twin(x, weight, None, before, after, [1] * len(before))


def sum_of_magnitudes(weight: Tensor) -> int:
    """The largest Σ|w| of any filter, in whole numbers without end.

    >>> sum_of_magnitudes(torch.tensor([[[3, -4]], [[1, 1]]]))
    7
    """
    return max(sum(abs(w) for w in row) for row in weight.flatten(1).tolist())
