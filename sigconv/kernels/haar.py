"""The Haar butterfly over any number of axes at once: 2^N neighbours become 2^N subbands in one pass over memory.

Along one axis a pair (a, b) becomes (a + b, a - b) / √2; along N axes a block of 2^N samples is turned by the product
of N such steps, which is orthogonal: the way back is the transpose, and so is the derivative. Pieces are counted by
their letters, a = 0 and d = 1, the first axis the highest bit: 00 … 0 is the approximation, all others are details.

Roofline: memory alone. Every sample is read once and every coefficient written once; rows of a block meet in cache.
Touching the fresh memory of the answer costs about as much as the transform itself (see _memory).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels import _butterfly
from sigconv.kernels import _haar_triton as loops
from sigconv.kernels import _triton as triton
from sigconv.kernels._memory import empty
from sigconv.kernels._numba import compiled, numba_at_hand
from sigconv.kernels._op import custom_op
from sigconv.kernels._state import readable, transformed
from sigconv.kernels._threads import share

ROOM = 8192  # numbers of scratch a thread keeps in the first cache
SMALL = 1 << 19  # numbers up to which threads cost more than they bring
HALVES = (torch.float16, torch.bfloat16)


def usable(x: Tensor) -> bool:
    """Whether the kernel takes this tensor: float32 or float64 on a CPU, with numba."""
    return x.dtype in (torch.float32, torch.float64) and x.device.type == "cpu" and numba_at_hand()


def analysis(x: Tensor, modes: Sequence[str], gap: int = 0) -> tuple[Tensor, Tensor]:
    """One level over the last len(modes) axes: (…, *n) -> (…, *ceil(n / 2)) and details (2^N - 1, …, *ceil(n / 2)).

    With a gap nothing is halved: every sample meets the one that is gap after it. Axes are extended by what they need,
    one sample where odd, gap with a gap, as their modes say. Halves are computed in float32.
    """
    if loops.usable(x, len(modes)):
        return _analysis(x, " ".join(modes), gap)
    if x.dtype in HALVES:
        approximation, details = analysis(x.float(), modes, gap)
        return approximation.to(x.dtype), details.to(x.dtype)
    if torch.compiler.is_compiling() or not usable(x) or transformed(x):  # a compiler fuses the twin
        return twin(x, modes, gap)
    return _analysis(x, " ".join(modes), gap)


def synthesis(approximation: Tensor, details: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """The way back, cut to size: 2h or 2h - 1 samples of an axis of h; details in the order of their letters."""
    dtype = approximation.dtype
    if loops.usable(approximation, len(size), *details):
        return _synthesis(approximation, _stacked(details), list(size))
    if dtype in HALVES:
        return synthesis(approximation.float(), [d.float() for d in details], size).to(dtype)
    if torch.compiler.is_compiling() or not usable(approximation) or transformed(approximation, *details):
        return twin_back(approximation, torch.stack(tuple(details)), size)
    return _synthesis(approximation, _stacked(details), list(size))


def _stacked(pieces: Sequence[Tensor]) -> Tensor:
    """One tensor of all pieces: the one they are views of, if they come straight from analysis; a copy otherwise."""
    first = pieces[0]
    places = [piece.storage_offset() for piece in pieces]
    gap = places[1] - places[0] if len(places) > 1 else first.numel()
    plain = all(type(piece) is Tensor and not piece.requires_grad for piece in pieces)
    if not plain or not readable(*pieces) or gap < first.numel():
        return torch.stack(tuple(pieces))
    storage = first.untyped_storage().data_ptr()
    for number, piece in enumerate(pieces):
        alike = piece.untyped_storage().data_ptr() == storage and piece.is_contiguous()
        if not alike or places[number] != places[0] + number * gap:
            return torch.stack(tuple(pieces))
    return first.as_strided((len(pieces), *first.shape), (gap, *first.stride()))


def twin(x: Tensor, modes: Sequence[str], gap: int = 0) -> tuple[Tensor, Tensor]:
    """The same level in torch, an axis at a time."""
    pieces = [x]
    for dim, mode in enumerate(modes, start=-len(modes)):
        pieces = [half for piece in pieces for half in _apart(piece, dim, mode, gap)]
    return pieces[0], torch.stack(pieces[1:])


def twin_back(approximation: Tensor, details: Tensor, size: Sequence[int]) -> Tensor:
    """The same way back in torch, an axis at a time."""
    pieces = [approximation, *details.unbind(0)]
    for dim in range(-1, -len(size) - 1, -1):
        pieces = [_joined(a, d, dim, size[dim]) for a, d in zip(pieces[::2], pieces[1::2], strict=True)]
    return pieces[0]


def _apart(x: Tensor, dim: int, mode: str, gap: int) -> tuple[Tensor, Tensor]:
    shape, place = x.shape, x.ndim + dim
    x = nd.pad(x, *_margin(dim, mode, gap or shape[dim] % 2))
    if gap:
        first, second = (x.narrow(dim, start, shape[dim]) for start in (0, gap))
    else:  # reshape, not unflatten: the older batching has no rule for that
        first, second = x.reshape(*shape[:place], (shape[dim] + 1) // 2, 2, *shape[place + 1 :]).unbind(dim)
    return (first + second) * math.sqrt(0.5), (first - second) * math.sqrt(0.5)


def _margin(dim: int, mode: str, after: int) -> tuple[Any, Any]:
    """So many samples after one axis, and none around those behind it."""
    rest = -dim - 1
    return ((0, after), *[(0, 0)] * rest), (mode, *["zeros"] * rest)


def _joined(a: Tensor, d: Tensor, dim: int, n: int) -> Tensor:
    pairs = torch.stack([(a + d) * math.sqrt(0.5), (a - d) * math.sqrt(0.5)], dim)
    shape, place = a.shape, a.ndim + dim
    return pairs.reshape(*shape[:place], 2 * shape[place], *shape[place + 1 :]).narrow(dim, 0, n)


@custom_op("haar_analysis", device="cpu")
def _analysis(x: Tensor, modes: str, gap: int) -> tuple[Tensor, Tensor]:
    ndim = modes.count(" ") + 1
    size = x.shape[x.ndim - ndim :]
    half, pieces = _sizes(x, ndim, gap)
    approximation, details = empty(half, x), empty((pieces, *half), x)
    if approximation.numel():
        beyond = np.stack([_beyond(mode, n, gap or 1) for mode, n in zip(modes.split(), size, strict=True)])
        step = (1, gap) if gap else (2, 1)
        arrays = _rows(x), _rows(approximation), _rows(details, pieces)
        _run(compiled(_butterfly.analyse), *arrays, size, half[-1], *step, beyond)
    return approximation, details


@triton.kernel_of(_analysis)
def _analysis_cuda(x: Tensor, modes: str, gap: int) -> tuple[Tensor, Tensor]:
    approximation, details = _analysis_empty(x, modes, gap)
    if approximation.numel():
        loops.analyse(x, modes.split(), gap, approximation, details)
    return approximation, details


@_analysis.register_fake
def _analysis_empty(x: Tensor, modes: str, gap: int) -> tuple[Tensor, Tensor]:
    half, pieces = _sizes(x, modes.count(" ") + 1, gap)
    return x.new_empty(half), x.new_empty((pieces, *half))


def _sizes(x: Tensor, ndim: int, gap: int) -> tuple[list[int], int]:
    kept = x.ndim - ndim
    return [*x.shape[:kept], *(n if gap else (n + 1) // 2 for n in x.shape[kept:])], 2**ndim - 1


def _beyond(mode: str, n: int, reach: int) -> np.ndarray:
    """The samples that stand after the last of n, -1 for zeros."""
    after = torch.arange(n, n + reach)
    return (nd.EXTEND[mode](after, n) if mode in nd.EXTEND else torch.full_like(after, -1)).numpy()


@custom_op("haar_synthesis", device="cpu")
def _synthesis(approximation: Tensor, details: Tensor, size: list[int]) -> Tensor:
    x = _synthesis_size(approximation, size, empty)
    if x.numel():
        arrays = _rows(x), _rows(approximation), _rows(details, len(details))
        _run(compiled(_butterfly.synthesise), *arrays, size, approximation.shape[-1])
    return x


@triton.kernel_of(_synthesis)
def _synthesis_cuda(approximation: Tensor, details: Tensor, size: list[int]) -> Tensor:
    x = _synthesis_empty(approximation, details, size)
    if x.numel():
        loops.synthesise(x, approximation, details, size)
    return x


@_synthesis.register_fake
def _synthesis_empty(approximation: Tensor, details: Tensor, size: list[int]) -> Tensor:
    return _synthesis_size(approximation, size, lambda shape, like: like.new_empty(shape))


def _synthesis_size(like: Tensor, size: Sequence[int], make: Any) -> Tensor:
    return make([*like.shape[: like.ndim - len(size)], *size], like)


def _keep_size(ctx: Any, inputs: tuple, output: tuple) -> None:
    x, ctx.modes, ctx.gap = inputs[0], inputs[1].split(), inputs[2]
    ctx.size = x.shape[x.ndim - len(ctx.modes) :]


def _analysis_backward(ctx: Any, approximation: Tensor, details: Tensor) -> tuple:
    """The transpose: the way back, and what an axis was extended by is folded back."""
    if ctx.gap:
        return _gathered(approximation, details, ctx.modes, ctx.gap), None, None
    extended = [n % 2 if mode in nd.EXTEND else 0 for n, mode in zip(ctx.size, ctx.modes, strict=True)]
    grown = [n + more for n, more in zip(ctx.size, extended, strict=True)]
    x = synthesis(approximation, details.unbind(0), grown)
    return nd.unpad(x, tuple((0, more) for more in extended), ctx.modes), None, None


def _gathered(approximation: Tensor, details: Tensor, modes: Sequence[str], gap: int) -> Tensor:
    """The transpose with a gap, an axis at a time: every pair given back to its two samples."""
    pieces = [approximation, *details.unbind(0)]
    for dim in range(-1, -len(modes) - 1, -1):
        margin, border = _margin(dim, modes[dim], gap)
        before = tuple((after, 0) for _, after in margin)
        pairs = zip(pieces[::2], pieces[1::2], strict=True)
        both = [(nd.pad(a + d, margin) + nd.pad(a - d, before)) * math.sqrt(0.5) for a, d in pairs]
        pieces = [nd.unpad(each, margin, border) for each in both]
    return pieces[0]


_analysis.register_autograd(_analysis_backward, setup_context=_keep_size)


def _keep_ndim(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.ndim = len(inputs[2])


def _synthesis_backward(ctx: Any, x: Tensor) -> tuple:
    """The transpose again: what was cut away has no gradient, as if zeros stood there."""
    return *analysis(x, ["zeros"] * ctx.ndim), None


_synthesis.register_autograd(_synthesis_backward, setup_context=_keep_ndim)


def _rows(t: Tensor, rows: int = 1) -> np.ndarray:
    return t.detach().contiguous().numpy().reshape(rows, -1)


def _run(loop: Any, x: Any, approximation: Any, details: Any, size: Sequence[int], m: int, *pairs: Any) -> None:
    """Share out rows of subbands, m long, in tiles; pairs say what makes a pair, and what stands beyond the ends."""
    n, ndim = np.array(size), len(size)
    room = max(ROOM >> ndim, 64)
    tile, group = min(room, m), max(room // m, 1)
    reach = 2 * tile + (pairs[1] if pairs else 0)
    scale = x.dtype.type(2.0 ** (-ndim / 2))

    def work(start: int, stop: int) -> None:
        scratch = np.empty((2**ndim, tile * group + _butterfly.MARGIN), x.dtype)
        laid = np.empty((2, reach), x.dtype)
        loop(x[0], approximation[0], details, n, *pairs, scale, tile, group, scratch, laid, start, stop)

    units = -(-approximation.size // m // group) * -(-m // tile)
    work(0, units) if max(x.size, approximation.size) <= SMALL else share(work, units)
