"""Functions of tensors that take NumPy arrays as well."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128)
WHOLE = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64)
KINDS = frozenset((*FLOATING, *WHOLE, torch.bool))  # float8, complex32, quantized: kept so, not computed with
Watcher = Callable[[Callable[..., Any], tuple, dict[str, Any]], Any]
_watchers: dict[int, Watcher] = {}  # by thread: nobody else is watched


@contextlib.contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """In this thread, watcher(function, args, options) is called in place of our functions, and answers for them."""
    me = threading.get_ident()
    before = _watchers.get(me)
    _watchers[me] = watcher
    try:
        yield
    finally:
        del _watchers[me]
        if before is not None:
            _watchers[me] = before


def _call(function: Callable[..., Any], args: tuple, options: dict[str, Any]) -> Any:
    watcher = _watchers.get(threading.get_ident())
    return function(*args, **options) if watcher is None else watcher(function, args, options)


def numpy_too(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors that takes NumPy arrays as well: what kind the first argument is, the answer is too."""

    @functools.wraps(function)
    def either(x: Any, *args: Any, **options: Any) -> Any:
        if isinstance(x, Tensor):
            if x.layout is not torch.strided or x.is_nested or x.dtype not in KINDS:
                _refuse(x)
            return _call(function, (x, *args), options) if _watchers else function(x, *args, **options)
        if not isinstance(x, np.ndarray):
            raise TypeError(f"{function.__name__} takes a tensor or a NumPy array, not {type(x).__name__}")
        if any(isinstance(a, np.ma.MaskedArray) for a in (x, *args, *options.values())):
            raise TypeError(f"{function.__name__} has no place for a masked array's mask: see masked_conv(…, mask)")
        args = tuple(as_tensor(a) if isinstance(a, np.ndarray) else a for a in args)
        options = {name: as_tensor(a) if isinstance(a, np.ndarray) else a for name, a in options.items()}
        answer = function(as_tensor(x), *args, **options)
        return tuple(map(_array, answer)) if isinstance(answer, tuple) else _array(answer)

    return either


def _refuse(x: Tensor) -> None:
    if x.is_nested:
        raise TypeError("x is a nested tensor, whose rows differ in size: pad them, as by x.to_padded_tensor(0.0)")
    if x.layout is not torch.strided:
        raise TypeError(f"x lies in memory as {x.layout}: convert it, for example by x.to_dense()")
    plain = "x.dequantize()" if x.is_quantized else "x.to(torch.complex64)" if x.is_complex() else "x.float()"
    raise TypeError(f"x is {x.dtype}, which is not computed with: convert it, for example by {plain}")


def as_tensor(values: Any) -> Tensor:
    """A tensor of these values; an array's copied where torch cannot share it (read-only, byte-swapped, reversed).

    >>> as_tensor(np.arange(3, dtype=">f4")[::-1])
    tensor([2., 1., 0.])
    """
    if not isinstance(values, np.ndarray):
        return torch.as_tensor(values)
    array = values
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.writeable or any(step < 0 or step % array.itemsize for step in array.strides):
        array = array.copy()
    try:
        return torch.from_numpy(array)
    except TypeError:
        raise TypeError(
            f"an array of {array.dtype} has no tensor: convert it, for example by astype('float64')"
        ) from None


def _array(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy() if isinstance(tensor, Tensor) else tensor
