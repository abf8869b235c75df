"""describe: shapes, parameters, multiply-accumulates and receptive fields of any model, without running it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigconv import nd
from sigconv.summary._fields import numbers
from sigconv.summary._modules import banks_answer_without_values
from sigconv.summary._table import Row, Summary
from sigconv.summary._watch import Reached, Watcher

__all__ = ["ReceptiveField", "Row", "Summary", "describe", "receptive_field"]


class ReceptiveField(NamedTuple):
    """How much of the input a position sees, how far apart neighbours look, where the first one's middle lies.

    One number per axis of space, in samples of the input; no jump where nothing moves any more.
    """

    size: tuple
    jump: tuple | None
    start: tuple


def describe(model: nn.Module, input_shape: Any, *, dtype: torch.dtype | None = None) -> Summary:
    """Every layer of a model with its shape, parameters, multiply-accumulates and receptive field (RF3, AR23).

    input_shape is (batch, channels, *space), or a list of shapes for several inputs; dtype is the model's own, or an
    integer one for tokens, (batch, *space). The model answers on torch's meta device: nothing is computed, no memory is
    taken, its state is left as it is. Any graph is followed, with branches, functions between the layers and torch's
    own modules; a receptive field is told too large rather than too small, and is not cut off at the input's ends. What
    a border copies, and what a normalization takes its statistics from, is not counted as seen. Models that look at
    their values are run once, on zeros.

    Returns a Summary: rows of name, kind, shape, parameters, macs, receptive_field, jump, start, depth, with totals.
    Raises ValueError where the model does not take the shape.

    >>> rows = describe(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 4, 3)), (1, 3, 33, 33))
    >>> rows[2].shape, rows[2].parameters, rows[2].macs, rows[2].receptive_field, rows.macs
    ((1, 4, 14, 14), 292, 56448, (7, 7), 111744)
    """
    model = _unwrapped(model)
    watcher, failed = _watch(model, _shapes(input_shape), dtype)
    if failed is not None:
        raise ValueError(f"the model does not take an input of shape {input_shape}: {_line(failed)}") from failed
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Summary(watcher.rows, total, trainable, input_shape)


def receptive_field(
    model: nn.Module, *, node: str | None = None, input_shape: Any = None, dtype: torch.dtype | None = None
) -> ReceptiveField:
    """What one position of a layer sees of the input: size, jump and start, a number per axis (RF3, C.7).

    node is a module's name as in named_modules(), or a row's in describe; without one, the last that has axes of space.
    Without an input_shape, one is made from the first convolution. ValueError for unknown nodes, with those there are.

    >>> receptive_field(nn.Sequential(nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 3, stride=2)))
    ReceptiveField(size=(7,), jump=(2,), start=(3,))
    """
    model = _unwrapped(model)
    for shape in [_shapes(input_shape)] if input_shape is not None else _guesses(model):
        watcher, failed = _watch(model, shape, dtype, node)
        spatial = [name for name, (out, _) in watcher.found.items() if out.ndim > 2]
        spatial = [name for name in spatial if name] or spatial
        wanted = node if node is not None else spatial[-1] if spatial else None
        if wanted in watcher.found and watcher.found[wanted][1] is not None:
            return ReceptiveField(*numbers(watcher.found[wanted][1]))  # type: ignore[arg-type]
    if node is not None and node not in watcher.found and failed is None:
        raise ValueError(f"node {node!r} is not one of {sorted(filter(None, watcher.found))}")
    why = "give input_shape=" if input_shape is None and failed is None else _line(failed) or "no space is left of it"
    raise ValueError(f"the receptive field of {node or 'the model'!r} was not found: {why}")


def _unwrapped(model: Any) -> nn.Module:
    """The module itself, out of what compiles or distributes it."""
    while isinstance(model, nn.Module):
        inner = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
            inner = model.module
        if inner is None:
            break
        model = inner
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise TypeError(f"model is a {type(model).__name__}: expected a torch.nn.Module that is not scripted")
    lazy = next((name for name, p in model.named_parameters() if isinstance(p, nn.UninitializedParameter)), None)
    if lazy is not None:
        raise ValueError(f"parameter {lazy!r} has no size yet: call the model once, then describe it")
    return model


def _line(error: Exception | None) -> str:
    """An error's text in one line, whatever its writer made of it."""
    text = " ".join(str(error).split("\n", 1)[0].split()) if error is not None else ""
    return text or (type(error).__name__ if error is not None else "")


def _watch(
    model: nn.Module,
    shapes: list[tuple[int, ...]],
    dtype: torch.dtype | None,
    node: str | None = None,
    most: float = math.inf,
) -> tuple[Watcher, Exception | None]:
    """The model, watched at work on inputs without values; on zeros, most of them, where it cannot do without."""
    state = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    bare = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    shared = {id(tensor): bare[name] for name, tensor in state.items()}  # tied parameters stay one
    bare = {name: shared[id(tensor)] for name, tensor in state.items()}
    kinds = [tensor.dtype for tensor in state.values() if tensor.is_floating_point()]
    if dtype is None and kinds and torch.get_default_dtype() not in kinds:
        dtype = kinds[0]
    watcher, failed = _run(model, bare, [torch.empty(shape, dtype=dtype, device="meta") for shape in shapes], node)
    few = sum(map(math.prod, shapes)) <= most
    if failed is not None and few and node not in watcher.found and _wants_values(failed):
        where = next((tensor.device for tensor in state.values()), None)
        state = {name: tensor.detach().clone() for name, tensor in state.items()}
        watcher, failed = _run(model, state, [torch.zeros(shape, dtype=dtype, device=where) for shape in shapes], node)
    return watcher, failed


def _run(
    model: nn.Module, state: dict[str, Tensor], inputs: list[Tensor], node: str | None
) -> tuple[Watcher, Exception | None]:
    names = {module: name for name, module in reversed(list(model.named_modules()))}
    own = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    watcher = Watcher(names, {id(tensor): tensor for name, tensor in state.items() if name in own}, node)
    for x in inputs:
        watcher.begin(x)
    try:
        with _still(model), _hooked(model, watcher), banks_answer_without_values(model), _seeing(watcher):
            torch.func.functional_call(model, state, tuple(inputs))
    except Reached:
        pass
    except Exception as error:  # whatever a model raises, it is told in one line
        return watcher, error
    return watcher, None


def _wants_values(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, NotImplementedError) or "meta" in text or "fake" in text


def _shapes(input_shape: Any) -> list[tuple[int, ...]]:
    if not isinstance(input_shape, tuple | list):
        raise TypeError(f"input_shape {input_shape!r} is not (batch, channels, *space), nor a list of such")
    several = isinstance(input_shape, list) and all(isinstance(shape, tuple | list) for shape in input_shape)
    return [nd.ntuple(tuple(s), len(s), "input_shape", least=0) for s in (input_shape if several else [input_shape])]


def _guesses(model: nn.Module) -> Iterator[list[tuple[int, ...]]]:
    """Inputs a model may take, from its first convolution: larger and larger ones."""
    for module in model.modules():
        weight, channels = getattr(module, "weight", None), getattr(module, "in_channels", None)
        if isinstance(channels, int) and isinstance(weight, Tensor) and weight.ndim > 2:
            for n in (32, 64, 128, 224, 227, 256, 512, 1024, 4096):
                yield [(1, channels, *[n] * (weight.ndim - 2))]
            return
    raise ValueError("the model has no convolution to tell its input by: give input_shape=")


@contextlib.contextmanager
def _still(model: nn.Module) -> Iterator[None]:
    """The model as it is used, not as it is trained; then as it was, with whatever it kept for itself undone."""
    parts = ("_parameters", "_buffers", "_modules")
    before = {module: (dict(vars(module)), [dict(vars(module)[part]) for part in parts]) for module in model.modules()}
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, (own, held) in before.items():
            vars(module).clear()
            vars(module).update(own)
            for part, entries in zip(parts, held, strict=True):
                vars(module)[part].clear()
                vars(module)[part].update(entries)


@contextlib.contextmanager
def _seeing(watcher: Watcher) -> Iterator[None]:
    """Every function, torch's and ours, goes by the watcher."""
    with torch.no_grad(), nd.watched(watcher.ours), watcher:
        yield


@contextlib.contextmanager
def _hooked(model: nn.Module, watcher: Watcher) -> Iterator[None]:
    hooks = [module.register_forward_pre_hook(watcher.enter, with_kwargs=True) for module in model.modules()]
    hooks += [module.register_forward_hook(watcher.leave, with_kwargs=True) for module in model.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
