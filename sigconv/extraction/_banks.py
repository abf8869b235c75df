"""Banks as workers make them: from a word, a file of options, a trained run or a module, for the signals at hand."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sigconv import console, filters, words
from sigconv.filters import FilterBank, _spec, _steady

MOST_KEPT = 64  # banks of different rates at a time

Maker = Callable[[int, Any], Any]  # axes of space, rates -> a bank


class BankError(ValueError):
    """A bank that there is not, whatever the signal."""


def bare(plan: dict[str, Any]) -> None:
    """BankError for options that a layer does not take: it has its own."""
    for name, usual in (("stride", 1), ("padding_mode", "symmetric")):
        if plan[name] != usual:
            raise BankError(f"{name} {plan[name]!r} is a filter bank's: a layer has its own")


def steps(layer: nn.Module, channels: int, space: Sequence[int]) -> list[int | float]:
    """Samples per position along each axis of what a layer answers; ValueError where it is not local in space."""
    from sigconv.tiles import _model

    found = _model.ModelWork(layer, channels, space, torch.float32).steps
    return [int(step) if step == int(step) else float(step) for step in found]


class Layer(nn.Module):
    """A trained layer as a bank: its answers as they are, their magnitude, or their square."""

    def __init__(self, layer: nn.Module, output: str) -> None:
        super().__init__()
        self.layer, self.output = layer, output

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, *space) -> (batch, filters, *positions)."""
        y = self.layer(x)
        if self.output == "energy":
            return y.real.square() + y.imag.square() if y.is_complex() else y.square()
        return y.abs() if self.output == "magnitude" else y


class Banks:
    """Makes a bank for so many axes and rates once, and keeps it."""

    def __init__(self, bank: dict[str, Any], output: str, device: str) -> None:
        self.output, self.device = output, device
        self.ndim: int | None = None  # axes that it comes in alone
        self.layer = False  # whether it is no FilterBank
        self._before: list[tuple[nn.Module, bool]] = []  # of a module that was given, whether its parts are in training
        self._home: torch.device | None = None
        self._make = self._maker(bank)
        self._kept: dict[tuple[int, Any], nn.Module] = {}

    def get(self, ndim: int, fs: tuple[float, ...]) -> tuple[nn.Module, str]:
        """The bank and the word it is kept under; ValueError where there is none for this."""
        rates = fs[0] if len(set(fs)) == 1 else fs
        if self.ndim not in (None, ndim):
            raise ValueError(f"the bank has {self.ndim} axes of space, and the signal {ndim}")
        if (ndim, rates) not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            try:
                made = self._make(ndim, rates)
            except (ValueError, TypeError) as error:
                raise BankError(console.one_line(error)) from None
            if getattr(made, "ndim", ndim) != ndim:
                raise ValueError(f"the bank has {made.ndim} axes of space, and the signal {ndim}")
            self._kept[ndim, rates] = made.to(self.device).eval()
            if isinstance(made, FilterBank):
                _steady.keep(made)  # nobody trains it meanwhile
        found = self._kept[ndim, rates]
        told = f"{rates:g}" if isinstance(rates, float) else ",".join(f"{rate:g}" for rate in rates)
        return found, f"{ndim}-D fs={told}"

    def restore(self) -> None:
        """A module that was given, back where it was, and in training if it was."""
        for part, training in self._before:
            part.training = training
            if isinstance(part, FilterBank):
                _steady.forget(part)
        if self._before and self._home is not None:
            self._before[0][0].to(self._home)

    def _maker(self, bank: dict[str, Any]) -> Maker:
        if "object" in bank:
            given = bank["object"]
            self._before = [(part, part.training) for part in given.modules()]
            self._home = next((t.device for t in (*given.parameters(), *given.buffers())), None)
            return self._module(given)
        if "run" in bank:
            return self._module(_found(bank["run"], bank["node"]))
        try:
            if "maker" in bank:
                head, options = bank["maker"], bank["options"]
                return self._called(_function(head), head, options)
            head, *parts = bank["word"].split(":")
            function = _function(head)
            taken, passes = _taken(function)
            return self._called(function, head, words.options(parts, taken, f"bank {head}", more=passes))
        except (ValueError, TypeError) as error:
            raise BankError(str(error)) from None

    def _called(self, function: Callable[..., Any], head: str, options: dict[str, Any]) -> Maker:
        """A maker with its options, once all of them are its own and none is missing."""
        taken, passes = _taken(function)
        for name in options:
            if name not in taken and not passes:
                raise ValueError(f"bank {head!r} has no option {name!r}: {console.nearest(name, taken)}")
        needed = [name for name, usual in taken.items() if usual is inspect.Parameter.empty]
        missing = [name for name in needed if name not in (*options, "ndim", "fs")]
        if missing:
            raise ValueError(f"bank {head!r} needs {', '.join(missing)}: {head}:{missing[0]}=…")
        if "ndim" not in taken or "ndim" in options:
            self.ndim = 0  # to be told by the first that is made

        def make(ndim: int, fs: Any) -> nn.Module:
            known = {name: value for name, value in (("ndim", ndim), ("fs", fs)) if name in taken}
            found: nn.Module = function(**{**known, **options})
            return found

        return make

    def settle(self, fs: Any) -> None:
        """Find out how many axes a bank has that comes in so many alone; where that takes a rate, it is later."""
        if self.ndim == 0:
            try:
                self.ndim = self._make(1, 1.0 if fs is None else fs).ndim
            except (ValueError, TypeError):
                self.ndim = None

    def _module(self, module: nn.Module) -> Maker:
        if isinstance(module, FilterBank):
            self.ndim = module.ndim
            return lambda ndim, fs: module
        weight = getattr(module, "weight", None)
        self.layer = True
        self.ndim = None if weight is None else weight.ndim - 2
        if self.output in ("imag", "complex"):
            raise BankError(f"output {self.output!r} is a filter bank's: a layer has magnitude, energy or real")
        layer = Layer(module, self.output)
        return lambda ndim, fs: layer


def _function(head: str) -> Callable[..., Any]:
    """A family's default, or one of its functions that make banks; no other family is loaded."""
    name, _, function = head.partition(".")
    known = [found.name for found in pkgutil.iter_modules(filters.__path__) if not found.name.startswith("_")]
    family = importlib.import_module(f"sigconv.filters.{name}") if name in known else None
    if not hasattr(family, "default"):
        raise ValueError(f"bank {name!r} is not one of those known: {console.nearest(name, known)}")
    makers = _spec._makers(family)  # type: ignore[arg-type]
    if (function or "default") not in makers:
        raise ValueError(f"bank {head!r}: {name} makes banks by {', '.join(makers)}")
    found: Callable[..., Any] = getattr(family, function or "default")
    return found


def _taken(function: Callable[..., Any]) -> tuple[dict[str, Any], bool]:
    """What a maker takes, each with its usual value, and whether it takes more than it names."""
    found = inspect.signature(function).parameters
    passes = any(one.kind is one.VAR_KEYWORD for one in found.values())
    return {name: one.default for name, one in found.items() if one.kind is not one.VAR_KEYWORD}, passes


def _found(folder: str, node: str) -> nn.Module:
    """The bank of a trained run: the node of that name, or its first network's first bank or layer of filters."""
    from sigconv.models import _networks

    network = _networks.load(folder)[0]
    modules = dict(network.named_modules())
    if node:
        if node not in modules:
            names = [name for name in modules if name]
            raise BankError(f"bank {folder!r} has no node {node!r}: {console.nearest(node, names)}")
        return modules[node]
    banks = [module for module in modules.values() if isinstance(module, FilterBank)]
    layers = [module for module in modules.values() if getattr(module, "weight", None) is not None]
    layers = [module for module in layers if hasattr(module, "kernel_size") and module.weight.ndim >= 3]
    if not banks + layers:
        raise BankError(f"bank {folder!r} has neither a bank nor a layer of filters: name one, {folder}:node=NAME")
    return (banks + layers)[0]


def described(module: nn.Module, channels: int, maps: int) -> dict[str, Any]:
    """What is kept of a bank: its name, filters, their properties; of a layer as many as it answers with."""
    if isinstance(module, FilterBank):
        told = {"bank": repr(module), "filters": list(module.names), "table": list(module.table())}
        return dict(console.plain(told))
    layer = module.layer if isinstance(module, Layer) else module
    return {"bank": repr(layer)[:1000], "filters": [f"f{n}" for n in range(maps)], "mixes": channels}
