"""How much memory a model holds at a time, counted on tensors without values."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from sigconv.summary._modules import banks_answer_without_values

UNKNOWN = 16  # times the input, for a model that cannot be counted
BESIDE = 3  # times the largest tensor: a convolution lays out what it is given, and what it makes, anew


class Meter(TorchDispatchMode):
    """Bytes of the tensors that are alive, and the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = self.largest = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        """Count what comes into being, and count it off when it goes."""
        answer = function(*args, **(kwargs or {}))
        for tensor in answer if isinstance(answer, tuple | list) else [answer]:
            if isinstance(tensor, Tensor):
                self._counted(tensor.untyped_storage())
        return answer

    def _counted(self, storage: Any) -> None:
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known.add(storage)
        weakref.finalize(storage, self._gone, size)
        self.now += size
        self.most, self.largest = max(self.most, self.now), max(self.largest, size)

    def _gone(self, size: int) -> None:
        self.now -= size


def peak(model: nn.Module, shape: Sequence[int], dtype: torch.dtype) -> int:
    """Bytes beside its weights and x that model(x) takes at the most, x of this shape.

    >>> peak(nn.Sequential(nn.ReLU(), nn.ReLU()), (1, 1, 1000), torch.float32) >= 2 * 4000
    True
    """
    state = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    bare = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    meter, x = Meter(), torch.empty(tuple(shape), dtype=dtype, device="meta")
    try:
        with torch.no_grad(), banks_answer_without_values(model), meter:
            torch.func.functional_call(model, bare, (x,))
    except Exception:  # whatever a model raises that wants values: it is told when it is run
        return UNKNOWN * math.prod(shape) * dtype.itemsize
    return meter.most + BESIDE * max(meter.largest, math.prod(shape) * dtype.itemsize)
