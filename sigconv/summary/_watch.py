"""Watching a model at work on tensors without values: every function it calls, in the module that calls it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sigconv.summary._calls import Call
from sigconv.summary._fields import Axis, Seen, numbers, union
from sigconv.summary._locality import everywhere
from sigconv.summary._modules import own_rule
from sigconv.summary._names import rule_of
from sigconv.summary._rules import everything, whole
from sigconv.summary._table import Row

# functions called outside of any layer that a report must not leave out (AC3); merging two branches is one too
TOLD = {"relu", "leaky_relu", "prelu", "selu", "elu", "gelu", "silu", "sigmoid", "tanh", "softmax", "log_softmax"}
TOLD |= {"cat", "flatten", "interpolate", "batch_norm", "mean", "amax"}


class Reached(Exception):  # noqa: N818  not an error: what was looked for is found
    """The node that was asked for has answered."""


class Watcher(TorchFunctionMode):
    """Rows of a model's layers, and what every tensor sees of the input."""

    def __init__(self, names: dict[nn.Module, str], parameters: dict[int, Tensor], node: str | None = None) -> None:
        super().__init__()
        self.names, self.node = names, node
        self.rows: list[Row] = []
        self.found: dict[str, tuple[Tensor, Seen | None]] = {}
        self.everywhere: dict[str, str] = {}  # what sees all of space, though its field does not say so
        self._seen: dict[int, tuple[Tensor, Seen]] = {}  # the tensors are held, so that no id is given twice
        self._free = dict(parameters)  # by id: those no row has counted yet
        self._stack: list[nn.Module] = []
        self._layer: nn.Module | None = None  # the childless module at work: one row for all it does
        self._macs, self._quiet = 0, False

    def begin(self, x: Tensor) -> None:
        """An input: every dimension of space sees itself. Integers are tokens, without a channel axis."""
        first = 2 if x.is_floating_point() or x.is_complex() else 1
        self._seen[id(x)] = x, Seen(tuple(Axis(dim) for dim in range(first, x.ndim)))

    def see(self, x: Any) -> Seen | None:
        """What a tensor sees of the input, if anything."""
        return self._seen[id(x)][1] if id(x) in self._seen else None

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        """Every function of torch that the model calls."""
        answer = function(*args, **(kwargs or {}))
        if not self._quiet:
            self._follow(function, args, kwargs or {}, answer)
        return answer

    def ours(self, function: Callable[..., Any], args: tuple, options: dict[str, Any]) -> Any:
        """Every function of sigconv that it calls, as one."""
        with self.quietly() as outermost:
            answer = function(*args, **options)
        if outermost:
            self._follow(function, args, options, answer)
        return answer

    @contextlib.contextmanager
    def quietly(self) -> Iterator[bool]:
        """What is called meanwhile is not looked at."""
        before, self._quiet = self._quiet, True
        try:
            yield not before
        finally:
            self._quiet = before

    def _follow(self, function: Any, args: tuple, options: dict[str, Any], answer: Any) -> None:
        """What the tensors of an answer see; a row, if there is anything to tell outside of a layer."""
        several = [a for a in (answer if isinstance(answer, tuple | list) else [answer]) if isinstance(a, Tensor)]
        calls = [Call(function, args, options, out, self.see) for out in several]
        with self.quietly():
            for place, call in enumerate(calls):
                seen, macs = rule_of(call)(call)
                if seen is not None:
                    self._seen[id(call.answer)] = call.answer, seen
                self._macs += macs if place == 0 else 0  # the others come with the first
                if place == 0 and (why := everywhere(call)) is not None:
                    self.everywhere.setdefault(self._where(call.name), why)
            self._written(function, args)
            if self._layer is None and calls and self.see(several[0]) is not None:
                name, merges = calls[0].name.strip("_"), sum(self.see(x) is not None for x in calls[0].tensors) > 1
                if self._macs or merges or name in TOLD or "pool" in name:
                    self._tell(self._named(name), name, several[0], self._count(calls[0].tensors))

    def _written(self, function: Any, args: tuple) -> None:
        """What is written into a tensor in place is seen by it, and by what it is a view of, wherever in them."""
        name = getattr(function, "__name__", "")
        sets = name in ("__setitem__", "copy_") or name.startswith(("index_", "scatter_", "masked_scatter_"))
        in_place = sets or (name.endswith("_") and not name.endswith("__")) or name.startswith("__i")
        target = args[0] if args and isinstance(args[0], Tensor) else None
        if target is None or not in_place:
            return
        known = [(x, self.see(x)) for x in args if isinstance(x, Tensor)]
        everywhere = [whole(seen, x) for x, seen in known if seen is not None]
        for tensor in ([target] if sets else []) + ([target._base] if target._base is not None else []):
            before = self.see(tensor)
            if everywhere:
                self._seen[id(tensor)] = (
                    tensor,
                    union([*everywhere, *([] if before is None else [whole(before, tensor)])]),
                )

    def enter(self, module: nn.Module, args: tuple, options: dict[str, Any]) -> None:
        """A module begins."""
        self._stack.append(module)
        if self._layer is None and not any(True for _ in module.children()):
            self._layer, self._macs = module, 0

    def leave(self, module: nn.Module, args: tuple, options: dict[str, Any], answer: Any) -> None:
        """A module has answered."""
        self._stack.pop()
        out = answer[0] if isinstance(answer, tuple | list) else answer
        name = self.names.get(module, "")
        if isinstance(out, Tensor):
            with self.quietly():
                self._measure(module, (*args, *options.values()), out)
            if self._layer is module:
                self._tell(name or "model", type(module).__name__, out, self._count(module.parameters()))
            self.found[name] = out, self.see(out)
        if self._layer is module:
            self._layer = None
        if self.node is not None and self.node in self.found:
            raise Reached

    def _measure(self, module: nn.Module, args: tuple, out: Tensor) -> None:
        """What the functions watched have not told: layers with rules of their own, and ways nobody can watch."""
        x = args[0] if args and isinstance(args[0], Tensor) else None
        own = None if x is None else own_rule(module, x, out)
        seen = None if x is None else self.see(x)
        if own is not None:
            self._macs = own.macs
            if seen is not None and own.look is not None:
                axes = (axis if axis.dim is None else own.look(axis) for axis in seen.axes)
                self._seen[id(out)] = out, Seen(tuple(axes), seen.depth + own.layers)
        elif id(out) not in self._seen and module is self._layer:
            found, _ = everything(Call(type(module), args, {}, out, self.see))
            if found is not None:
                self._seen[id(out)] = out, found

    def steps(self, place: int) -> set[int]:
        """How far apart positions look along an axis of the input, wherever in the model: whole numbers of samples."""
        axes = [seen.axes[place] for _, seen in self._seen.values() if place < len(seen.axes)]
        return {Fraction(axis.jump).numerator for axis in axes if axis.dim is not None}

    def grain(self, place: int) -> Fraction:
        """How far apart the coarsest map looks whose positions others lie between, wherever in the model; 0 if none."""
        axes = [seen.axes[place] for _, seen in self._seen.values() if place < len(seen.axes)]
        return max((Fraction(axis.grain) for axis in axes), default=Fraction(0))

    def _where(self, function: str) -> str:
        """The module at work with its class, or the function it calls itself."""
        module = self._stack[-1] if self._stack else None
        name = self.names.get(module, "") if module is not None else ""
        return f"{name or 'the model'} ({type(module).__name__ if self._layer is not None else function})"

    def _tell(self, name: str, kind: str, out: Tensor, parameters: int) -> None:
        """A row more."""
        seen = self.see(out)
        depth = 0 if seen is None else seen.depth
        self.rows.append(Row(name, kind, tuple(out.shape), parameters, self._macs, *numbers(seen), depth))
        self.found[name] = out, seen
        self._macs = 0

    def _count(self, tensors: Any) -> int:
        """Parameters among these that no row has counted."""
        return sum(self._free.pop(id(tensor)).numel() for tensor in tensors if id(tensor) in self._free)

    def _named(self, function: str) -> str:
        inside = self.names.get(self._stack[-1], "") if self._stack else ""
        name = f"{inside}.{function}".strip(".")
        again = sum(row.name == name or row.name.startswith(f"{name}_") for row in self.rows)
        return f"{name}_{again}" if again else name
