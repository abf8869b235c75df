"""How items reach the device: made there, made by worker processes, or made ahead of the step that wants them.

Whichever it is, they are the same: an item is a function of (seed, epoch, index).
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from sigconv.train import seeds
from sigconv.transforms.augment import collected

AHEAD = 2  # batches made before they are asked for
Pair = tuple[Tensor, Tensor]
Feed = Callable[[int, list[Tensor]], Iterable[Pair]]


def feed(dataset: Any, seed: int, device: torch.device, workers: int) -> Feed:
    """A function of (epoch, items of each batch) that gives the batches (x, y) on the device, in that order.

    What fits on a GPU lives there. What does not is made by so many worker processes, or by a thread, ahead of time and
    in pinned memory; on the CPU without workers it is made when asked for. What says that it is ready needs none.
    """
    if workers < 0:
        raise ValueError(f"workers {workers} must be at least 0")
    dataset = _resident(dataset, device)
    here = lambda epoch, plan: (
        collected(dataset, indices, seeds.Generators(seed, epoch, indices.tolist())) for indices in plan
    )
    source = _by_workers(dataset, seed, workers, device) if workers and not getattr(dataset, "ready", False) else here
    if device.type == "cpu":
        return source
    return lambda epoch, plan: _moved(source(epoch, plan), device)


def _resident(dataset: Any, device: torch.device) -> Any:
    """The data set on the device, where it can live there and takes no more than half of what is free."""
    if not hasattr(dataset, "to"):
        return dataset
    if device.type == "cuda" and getattr(dataset, "nbytes", 0) > torch.cuda.mem_get_info(device)[0] // 2:
        return dataset
    return dataset.to(device)


def _moved(pairs: Iterable[Pair], device: torch.device) -> Iterator[Pair]:
    """Batches on their way to a GPU while it works: pinned and sent by a thread, a few ahead."""
    ready: queue.Queue[Any] = queue.Queue(AHEAD)
    left = threading.Event()

    def put(entry: Any) -> None:
        while not left.is_set():
            try:
                return ready.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for pair in pairs:
                put(tuple(part.pin_memory() if part.device.type == "cpu" else part for part in pair))
                if left.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        while (entry := ready.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            x, y = entry
            yield x.to(device, non_blocking=True), y.to(device, non_blocking=True)
    finally:
        left.set()


class _Made:
    """A data set as torch's loader knows it: its index is (epoch, items of a batch)."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __getitem__(self, place: tuple[int, Tensor]) -> Pair:
        epoch, indices = place
        return collected(self.dataset, indices, seeds.Generators(self.seed, epoch, indices.tolist()))


def _by_workers(dataset: Any, seed: int, workers: int, device: torch.device) -> Feed:
    from torch.utils.data import DataLoader

    plan: list[tuple[int, Tensor]] = []
    loader: Any = DataLoader(
        _Made(dataset, seed),  # type: ignore[arg-type]
        sampler=plan,
        batch_size=None,
        num_workers=workers,
        persistent_workers=True,
        prefetch_factor=AHEAD,
        worker_init_fn=_begin,
        generator=torch.Generator(),  # or it would draw from the generator that dropout draws from
        pin_memory=device.type == "cuda",
    )

    def source(epoch: int, batches: list[Tensor]) -> Iterable[Pair]:
        plan[:] = [(epoch, indices) for indices in batches]
        return loader

    return source


def _begin(worker: int) -> None:
    """A signal is the training's to answer: it checkpoints and then ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
