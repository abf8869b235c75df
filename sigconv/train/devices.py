"""Where a training runs: alone by torch itself, among the processes of torchrun by Lightning Fabric."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Iterator
from typing import Any

import torch

from sigconv import nd
from sigconv.train import processes

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}  # in which a GPU's convolutions are quickest
STRATEGIES = ("auto", "ddp", "fsdp")
PRECISIONS = {"auto": None, "32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


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
def fabric(device: str = "auto", strategy: str = "auto", precision: str = "auto") -> Any:
    """A Fabric on this device and, under torchrun, among its processes, which meet here.

    strategy     "auto" and "ddp" keep the model whole in every process; "fsdp" shares it out (FSDP2)
    precision    "auto" is bfloat16 mixed precision on CUDA, float32 on the CPU; "32", "bf16", or "16" (CUDA, scaled)
    """
    kind = name(device)
    nd.one_of(strategy, STRATEGIES, "strategy")
    nd.one_of(precision, tuple(PRECISIONS), "precision")
    if precision == "16" and kind == "cpu":
        raise ValueError("precision '16' needs a CUDA device: on the CPU take 'bf16' or '32'")
    wanted = PRECISIONS[precision] or ("bf16-mixed" if kind == "cuda" else "32-true")
    among = processes.started()
    if strategy == "fsdp" and among == 1:
        raise ValueError("strategy 'fsdp' shares a model among processes: start them by torchrun --nproc-per-node N")
    if among == 1 and precision != "16":
        return StandIn(kind, wanted)
    found = _fabric_class()
    if found is None:
        raise ValueError("many processes, and precision '16', need Lightning Fabric: pip install lightning-fabric")
    for package in ("lightning.fabric", "lightning_fabric"):
        logging.getLogger(package).setLevel(logging.ERROR)
    if among == 1:
        return found(accelerator=kind, devices=1, precision=wanted, plugins=[_alone()])
    here = int(os.environ.get("LOCAL_WORLD_SIZE", among))
    shape = {"devices": here, "num_nodes": among // here, "strategy": "ddp" if strategy == "auto" else strategy}
    if strategy == "fsdp":
        shape["strategy"] = _sharing(among)
    made = found(accelerator=kind, precision=wanted, **shape)
    made.launch()
    return made


def prepared(model: torch.nn.Module, fabric: Any, compiled: bool = False) -> torch.nn.Module:
    """The model on its device, laid out, compiled and shared as it will be trained; the model itself stays its own."""
    if fabric.device.type == "cuda":
        model.to(fabric.device)
        for parameter in model.parameters():
            if parameter.ndim in LAYOUTS:
                parameter.data = parameter.data.contiguous(memory_format=LAYOUTS[parameter.ndim])
        if processes.count() > 1:
            torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    else:
        model.to(fabric.device)
    return fabric.setup_module(torch.compile(model) if compiled else model)


def _alone() -> Any:
    """One process, even inside a cluster's job, whose variables Fabric would otherwise go by."""
    from sigconv.train.sharding import part_of_fabric

    return part_of_fabric("plugins.environments").LightningEnvironment()


def _sharing(among: int) -> Any:
    from sigconv.train.sharding import part_of_fabric, share_out

    strategy = part_of_fabric("strategies").ModelParallelStrategy
    return strategy(share_out, data_parallel_size=among, tensor_parallel_size=1)


def _fabric_class() -> Any:
    from sigconv.train.sharding import part_of_fabric

    with contextlib.suppress(ImportError):
        return part_of_fabric("").Fabric
    return None


class StandIn:
    """What fit asks of Fabric, on one device, with torch alone: seconds less to import, microseconds less a step."""

    def __init__(self, kind: str, precision: str) -> None:
        self.device = torch.device(kind)
        self.mixed = precision == "bf16-mixed"

    def setup_module(self, model: Any) -> Any:
        """The model on the device."""
        model.to(self.device)
        return _Autocast(model, self.device.type) if self.mixed else model

    def setup_optimizers(self, optimizer: Any) -> Any:
        """The optimizer as it is."""
        return optimizer

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of the loss."""
        loss.backward()

    def no_backward_sync(self, module: Any, enabled: bool = True) -> Any:
        """Nothing: there is no one to agree with."""
        return contextlib.nullcontext()

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
