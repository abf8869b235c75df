"""What may be done with a tensor just now: whether its values may be read, whether an op of ours may see it."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad

_hidden: contextvars.ContextVar[bool] = contextvars.ContextVar("hidden", default=False)


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """No values are looked at for a while: a call goes the way it will go when a CUDA graph is captured of it."""
    before = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(before)


def transformed(*tensors: Tensor | None) -> bool:
    """Whether a functorch transform or forward mode is at work: the jvp of a custom op would silently be zero."""
    for tensor in tensors:
        if tensor is None:
            continue
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor) or torch._C._functorch.is_legacy_batchedtensor(
            tensor
        ):
            return True
        if forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None:
            return True
    return False


def readable(*tensors: Tensor | None) -> bool:
    """Whether values may be looked at: not under compile, export, transforms or CUDA graph capture, nor on meta."""
    if torch.compiler.is_compiling() or _hidden.get() or transformed(*tensors):
        return False
    present = [tensor for tensor in tensors if tensor is not None]
    if any(tensor.is_meta or isinstance(tensor, FakeTensor) for tensor in present):
        return False
    return not (any(tensor.is_cuda for tensor in present) and torch.cuda.is_current_stream_capturing())
