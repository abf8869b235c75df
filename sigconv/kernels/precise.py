"""float32 convolutions on CUDA in float32: cuDNN rounds their factors to ten bits (TF32) unless it is told not to (N6).

torch leaves cuDNN free to do so from the start, for the whole process, and cuBLAS once a process asks for it. A
convolution of ours keeps float32, forward and backward, and what the process has set is as it was after each call.
Where torch keeps float32 by itself, its own function is called and nothing is paid for this.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from sigconv import nd
from sigconv.kernels._op import custom_op
from sigconv.kernels._state import transformed as transformed_away

LOOSE = ("tf32", "bf16")  # float32 of ten bits, or of seven
_allowed = [False]


class allow_tf32:  # noqa: N801  it is called like a function, as torch.set_grad_enabled is
    """Let float32 convolutions on CUDA round their factors to ten bits (TF32): several times faster, errors of 1e-3.

    Called, it holds from then on; as a context manager, inside the with. Without it convolutions of float32 keep
    float32's precision on every device, whatever torch.backends says. A backward pass follows its forward pass. Under
    functorch's transforms, forward-mode differentiation and autocast torch's own settings hold. Source: numerics N6.

    >>> with allow_tf32():
    ...     tf32()
    True
    >>> tf32()
    False
    """

    def __init__(self, allowed: bool = True) -> None:
        self.before = _allowed[0]
        _allowed[0] = bool(allowed)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        _allowed[0] = self.before


def tf32() -> bool:
    """Whether convolutions of ours may round factors to ten bits."""
    return _allowed[0]


def precision(holder: Any) -> str:
    """What holds for a library and kind of work, say torch.backends.cudnn.conv: "ieee", "none", "tf32" or "bf16"; ""
    where this torch does not say."""
    try:
        return str(holder.fp32_precision)  # the older allow_tf32 raises where both ways of setting were used
    except (AttributeError, RuntimeError):
        return ""


def holders() -> dict[str, Any]:
    """What holds torch's precision of float32, by name: one for each library and kind of work."""
    backends = torch.backends
    found = {
        "cudnn.conv": getattr(backends.cudnn, "conv", None),
        "cuda.matmul": backends.cuda.matmul,
        "mkldnn.conv": getattr(backends.mkldnn, "conv", None),
        "mkldnn.matmul": getattr(backends.mkldnn, "matmul", None),
    }
    return {name: holder for name, holder in found.items() if precision(holder)}


@contextlib.contextmanager
def kept(found: Sequence[Any]) -> Iterator[None]:
    """These holders keep float32 for a while; afterwards each is as it was, inherited or set."""
    own = [(holder, was) for holder in found if (was := precision(holder)) in LOOSE]
    for holder, _ in own:
        holder.fp32_precision = "ieee"
    try:
        yield
    finally:
        for holder, was in own:
            holder.fp32_precision = "none"
            if precision(holder) != was:
                holder.fp32_precision = was


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """torch's convolution on one to three axes, in the precision of its inputs."""
    if _rounded(x, weight, bias):
        return _op(x, weight, bias, *map(list, (stride, padding, dilation)), False, groups)
    plain: Any = nd.primitive("conv", weight.ndim - 2)
    return plain(x, weight, bias, stride, padding, dilation, groups)


def transposed(x: Tensor, weight: Tensor, stride: Sequence[int], dilation: Sequence[int], groups: int) -> Tensor:
    """torch's transposed convolution on one to three axes without margins, in the precision of its inputs."""
    if _rounded(x, weight):
        return _op(x, weight, None, list(stride), [0] * len(stride), list(dilation), True, groups)
    plain: Any = nd.primitive("conv_transpose", weight.ndim - 2)
    return plain(x, weight, None, stride, 0, 0, groups, dilation)


def gradients(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    mask: Sequence[bool],
) -> list[Tensor]:
    """Of input, weight and bias, where the mask wants them; what stands elsewhere is of no use."""
    options = (list(stride), list(padding), list(dilation), False, groups)
    if _rounded(g, x, weight):
        return _gradients_op(g, x, weight, *options, list(mask))
    return torch.ops.aten.convolution_backward(g, x, weight, None, *_all(*options), list(mask))


def products(equation: str, a: Tensor, b: Tensor) -> Tensor:
    """torch.einsum of two tensors in their precision; what is summed over stands in both."""
    return _products_op(equation, a, b)


def rounds_products(a: Tensor, b: Tensor) -> bool:
    """Whether torch would round the factors of a matrix product of ours: products does not."""
    return _loose(torch.backends.cuda.matmul, (torch.float32, torch.complex64), a, b)


def _rounded(x: Tensor, *others: Tensor | None) -> bool:
    """Whether torch would round what it is to keep."""
    return _loose(getattr(torch.backends.cudnn, "conv", None), (torch.float32,), x, *others)


def _loose(holder: Any, kinds: tuple[torch.dtype, ...], x: Tensor, *others: Tensor | None) -> bool:
    if _allowed[0] or x.dtype not in kinds or not x.is_cuda or torch.is_autocast_enabled("cuda"):
        return False
    if transformed_away(x, *others):
        return False
    return torch.compiler.is_compiling() or precision(holder) in LOOSE


def _full() -> contextlib.AbstractContextManager[None]:
    return kept([torch.backends.cudnn.conv])  # type: ignore[attr-defined]


def _all(stride: list[int], padding: list[int], dilation: list[int], turned: bool, groups: int) -> tuple[Any, ...]:
    """The options in the order of torch's own: nothing is added to an output."""
    return stride, padding, dilation, turned, [0] * len(stride), groups


@custom_op("convolution")
def _op(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    turned: bool,
    groups: int,
) -> Tensor:
    with _full():
        return torch.ops.aten.convolution(x, weight, bias, *_all(stride, padding, dilation, turned, groups))


@_op.register_fake
def _like(x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    return torch.ops.aten.convolution(x, weight, bias, *_all(*options))


@custom_op("convolution_gradients")
def _gradients_op(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    turned: bool,
    groups: int,
    mask: list[bool],
) -> list[Tensor]:
    with _full():
        options = _all(stride, padding, dilation, turned, groups)
        found = torch.ops.aten.convolution_backward(g, x, weight, [_outs(weight, turned, groups)], *options, mask)
    return [g.new_empty(0) if one is None else one for one in found]


@_gradients_op.register_fake
def _gradients_like(g: Tensor, x: Tensor, weight: Tensor, *options: Any) -> list[Tensor]:
    *_, turned, groups, mask = options
    sizes = (x.shape, weight.shape, (_outs(weight, turned, groups),))
    return [g.new_empty(size if wanted else (0,)) for size, wanted in zip(sizes, mask, strict=True)]


def _outs(weight: Tensor, turned: bool, groups: int) -> int:
    """Channels of the answer."""
    return weight.shape[1] * groups if turned else weight.shape[0]


def _keep(ctx: Any, inputs: tuple, output: Any) -> None:
    x, weight, _, *ctx.options = inputs
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, g: Tensor) -> tuple:
    mask = list(ctx.needs_input_grad[:3])
    found = _gradients_op(g, *ctx.saved_tensors, *ctx.options, mask)
    return *(one if wanted else None for one, wanted in zip(found, mask, strict=True)), *[None] * 5


def _keep_gradients(ctx: Any, inputs: tuple, output: Any) -> None:
    g, x, weight, *ctx.options, ctx.mask = inputs
    ctx.save_for_backward(g, x, weight)


def _gradients_backward(ctx: Any, found: list[Tensor]) -> tuple:
    """The gradients' own: torch's formula, made of convolutions that are differentiable again."""
    g, x, weight = ctx.saved_tensors
    given = [one if wanted else None for one, wanted in zip(found, ctx.mask, strict=True)]
    with _full():
        options = _all(*ctx.options)
        made = torch.ops.aten._convolution_double_backward(*given, g, weight, x, *options, [True] * 3)
    return *made, *[None] * 6


_op.register_autograd(_backward, setup_context=_keep)
_gradients_op.register_autograd(_gradients_backward, setup_context=_keep_gradients)


@custom_op("products")
def _products_op(equation: str, a: Tensor, b: Tensor) -> Tensor:
    with kept([torch.backends.cuda.matmul]):
        return torch.einsum(equation, a, b).contiguous()  # never a view of what was given


@_products_op.register_fake
def _products_like(equation: str, a: Tensor, b: Tensor) -> Tensor:
    return torch.einsum(equation, a, b).contiguous()


def _keep_factors(ctx: Any, inputs: tuple, output: Any) -> None:
    ctx.equation, *factors = inputs
    ctx.save_for_backward(*factors)


def _products_backward(ctx: Any, g: Tensor) -> tuple:
    """Each factor's gradient is the answer's times the other: the equation with its parts in other places."""
    a, b = ctx.saved_tensors
    given, answer = ctx.equation.split("->")
    left, right = given.split(",")
    to_a = _products_op(f"{answer},{right}->{left}", g, b.conj().resolve_conj()) if ctx.needs_input_grad[1] else None
    to_b = _products_op(f"{answer},{left}->{right}", g, a.conj().resolve_conj()) if ctx.needs_input_grad[2] else None
    return None, to_a, to_b


_products_op.register_autograd(_products_backward, setup_context=_keep_factors)
