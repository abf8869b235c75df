"""A model taken apart into nodes: its sequences one after the other, all else as wholes whose reach is found out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from sigconv import nd
from sigconv.convolution import ConvTranspose
from sigconv.nd.reach import checked
from sigconv.streaming._borders import fold
from sigconv.streaming._inner import inner
from sigconv.streaming._nodes import Carried, Local, Node, Op
from sigconv.streaming._refused import by_name, culprits, refuse
from sigconv.summary._reaches import LENGTHS, last_axis, steady

NEAR = 1e-3  # of the largest output: what is told apart from the rounding of another order of sums


class Part(NamedTuple):
    """One step of a model: an operation, and its reach where the module that holds it says so."""

    name: str
    op: Op
    reach: nd.Reach | None = None


def parts(model: nn.Module, name: str = "") -> Iterator[Part]:
    """The steps of a model, in order: children of sequences, what a module's steps() name, and modules."""
    if callable(getattr(type(model), "steps", None)):  # a method: a child of that name is none
        for place, step in enumerate(model.steps()):  # type: ignore[operator]
            where = f"{name}.steps[{place}]".lstrip(".")
            if isinstance(step, nn.Module):
                yield from parts(step, next((f"{name}.{n}" for n, m in model.named_modules() if m is step), where))
            else:
                yield Part(where, step[0], checked(step[1], where))
    elif isinstance(model, nn.Sequential) and type(model).forward is nn.Sequential.forward:
        for word, child in _each(model):
            yield from parts(child, f"{name}.{word}".lstrip("."))
    else:
        where = name or "the model"
        by_name(where, model)
        yield Part(where, model, _told(model, where))


def _told(module: nn.Module, name: str) -> nd.Reach | None:
    """The reach a module says it has; Refused with its words, where it says that there is none."""
    own = getattr(type(module), "reach", None)
    try:
        reach = own.fget(module) if isinstance(own, property) and own.fget else getattr(module, "reach", None)
    except AttributeError as error:  # which torch would not tell
        refuse(name, module, f"has no reach ({error})")
    return None if reach is None else checked(reach, name)


def _each(model: nn.Sequential) -> Iterator[tuple[str, nn.Module]]:
    """A sequence's children by name; named_children() tells one that stands twice once."""
    yield from ((word, child) for word, child in model._modules.items() if child is not None)


def node(part: Part, x: Tensor) -> Node:
    """The node that runs a part on inputs of x's shape, x being without samples. Refused where it sees all of time."""
    module = part.op
    if not isinstance(module, nn.Module):
        assert part.reach is not None  # a step that is no module
        return _made(part, part.reach, (0, 1), x)
    if isinstance(module, nn.Linear | nn.Bilinear):
        refuse(part.name, module, "mixes the samples of the last axis, which is time")
    if getattr(module, "recursive", False):
        return Carried(module, part.name)
    reach = part.reach or _seen(module, part.name, x)
    foreign = not type(module).__module__.startswith(("torch.nn.", "sigconv.")) or any(True for _ in module.children())
    if part.reach is None and (foreign or isinstance(module, _ConvTransposeNd | ConvTranspose)):
        reach = _made_by_then(module, part.name, reach, x)
    made = _made(part, reach, fold(module, reach, part.name), x)
    if part.reach is None and foreign and not _agrees(made, x):
        made = _made(part, reach, (4 * reach.size, 4 * reach.size), x)  # a border that nobody sees from outside
        if not _agrees(made, x):
            what = f"is not local: it answers otherwise where only far samples change{culprits(module)}"
            refuse(part.name, module, what)
    return made


def _made(part: Part, reach: nd.Reach, ends: tuple[int, int], x: Tensor) -> Node:
    """A node without memory where every position answers for itself, and no border adds any."""
    alone = reach == nd.Reach(1, 0, 0) and ends == (0, 1)
    if alone and part.op(x.new_zeros(*x.shape[:-1], 2)).shape[-1] == 2:
        return Node(part.op, part.name)
    own = inner(part.op) if isinstance(part.op, nn.Module) and part.reach is None else None
    return Local(part.op, reach, part.name, ends, own)


def _seen(module: nn.Module, name: str, x: Tensor) -> nd.Reach:
    """The reach along the last axis, from the receptive field; Refused if it grows with the input."""
    if x.ndim < 3:
        raise ValueError(f"{name} is given {tuple(x.shape[:-1])} and samples: expected (batch, channels, …, samples)")
    shape = (max(x.shape[0], 1), *x.shape[1:-1])
    try:
        found = steady(lambda n: last_axis(module, (*shape, n), x.dtype), LENGTHS)
    except ValueError as error:
        raise ValueError(f"{name} ({type(module).__name__}) has no reach that could be found: {error}") from None
    if found is None:
        refuse(name, module, "sees all of time")
    return found


def _made_by_then(op: Op, name: str, reach: nd.Reach, x: Tensor) -> nd.Reach:
    """The reach of what cuts off its end, as transposed convolutions do: an output is sure only when it is made."""
    late, first = 0, 2 * reach.size + 4 * reach.stride + 8
    for n in range(first, first + reach.stride, max(reach.stride // 64, 1)):
        y: Any = op(x.new_zeros(*x.shape[:-1], n))
        if not isinstance(y, Tensor):
            raise ValueError(f"{name} answered with a {type(y).__name__}: expected a tensor")
        while reach._replace(after=reach.after + late).ready(n) > y.shape[-1] // reach.each:
            late += 1
    return reach._replace(after=reach.after + late)


def _agrees(made: Node, x: Tensor) -> bool:
    """Whether chunks give what the whole gives, on noise that grows: statistics over time would not."""
    size, stride = made.reach.size, made.reach.stride
    n = 3 * size + 5 * stride + 2 * max(getattr(made, "fold", (0, 0))) + 7
    noise = torch.randn(max(x.shape[0], 1), *x.shape[1:-1], n, generator=torch.Generator().manual_seed(0))
    signal = (noise * torch.linspace(0.1, 3, n)).to(x)
    whole = made.op(signal.clone())
    middle = n // 3
    chunks = [made.push(piece) for piece in signal.split([middle, 1, n - middle - 1], -1)]
    rest = made.flush()
    made.reset()
    pieced = torch.cat(chunks if rest is None else [*chunks, rest], -1)
    if pieced.shape != whole.shape:
        return False
    scale = whole.abs().amax() if whole.numel() else torch.zeros(())
    return bool(((pieced - whole).abs() <= NEAR * scale).all())


def chain(steps: list[Part], x: Tensor) -> list[Node]:
    """The nodes of all parts, each planned on what comes out of the one before."""
    nodes = []
    for part in steps:
        made = node(part, x)
        x = made.blank(x)
        nodes.append(made)
    return nodes


def guesses(model: nn.Module, shape: Any) -> Iterator[Tensor]:
    """Inputs without samples that a model may take: of the shape said, or told from its first layers."""
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()} - {torch.get_default_dtype()}
    place = next((p.device for p in [*model.parameters(), *model.buffers()]), None)
    shapes = [tuple(shape)] if shape is not None else list(_shapes(model))
    for dtype in (torch.get_default_dtype(), *sorted(kinds, key=str)):
        yield from (torch.empty(1, *space, 0, dtype=dtype, device=place) for space in shapes)


def _shapes(model: nn.Module) -> Iterator[tuple[int, ...]]:
    """(channels, *bands): waves first, then pictures."""
    channels, ndim = [], 0
    for module in model.modules():
        told = [getattr(module, word, None) for word in ("in_channels", "num_features", "num_parameters", "channels")]
        size: Any = getattr(module, "unflattened_size", ())
        channels += [n for n in told if isinstance(n, int)] + ([math.prod(size)] if size else [])
        weight = getattr(module, "weight", None)
        ndim = ndim or (weight.ndim - 2 if isinstance(weight, Tensor) and weight.ndim > 2 else 0)
    waves = [(c,) for c in dict.fromkeys([*channels[:1], 1, 3, *channels[1:2]])]
    pictures = [(c, bands) for c in dict.fromkeys([*channels[:1], 1]) for bands in (40, 64, 80, 32, 128)]
    yield from [*pictures, *waves] if ndim == 2 else [*waves, *pictures]
