"""Where a training runs: Lightning Fabric, or a stand-in for its few calls where only torch is installed."""

from __future__ import annotations

import contextlib
import functools
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from sigconv import nd


def name(device: str = "auto") -> str:
    """The device meant: "auto" is CUDA where there is one.

    >>> name("cpu")
    'cpu'
    """
    nd.one_of(device, ("auto", "cpu", "cuda"), "device")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' is not to be had here: torch sees none; take 'auto' or 'cpu'")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Compute on this many CPU threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def fabric(device: str = "auto") -> Any:
    """A Fabric on one device: bfloat16 mixed precision on CUDA, float32 on the CPU."""
    kind = name(device)
    precision = "bf16-mixed" if kind == "cuda" else "32-true"
    found = _fabric_class()
    if found is None:
        return StandIn(kind, precision)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    return found(accelerator=kind, devices=1, precision=precision)


def _fabric_class() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that Fabric looks for at its import
        for package in ("lightning_fabric", "lightning.fabric"):
            with contextlib.suppress(ImportError):
                return __import__(package, fromlist=["Fabric"]).Fabric
    return None


class StandIn:
    """What fit asks of Fabric on one device, with torch alone."""

    def __init__(self, kind: str, precision: str) -> None:
        self.device = torch.device(kind)
        self.mixed = precision == "bf16-mixed"

    def setup(self, model: Any, optimizer: Any) -> tuple[Any, Any]:
        """The model on the device, and the optimizer as it is."""
        model.to(self.device)
        return _Autocast(model, self.device.type) if self.mixed else model, optimizer

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of the loss."""
        loss.backward()

    def autocast(self) -> Any:
        """The precision a forward pass runs in."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed)


class _Autocast(torch.nn.Module):
    def __init__(self, module: torch.nn.Module, kind: str) -> None:
        super().__init__()
        self.module, self.kind = module, kind

    def forward(self, *args: Any) -> Any:
        with torch.autocast(self.kind, torch.bfloat16):
            answer = self.module(*args)
        return answer.float()
