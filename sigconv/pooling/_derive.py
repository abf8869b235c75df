"""How a pooling function becomes a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from sigconv.pooling._options import checked


class Pool(nn.Module):
    """A pooling function with its options held: what every pooling layer is. It takes the function's options.

    A layer that learns or keeps something has options of its own beside: they are taken by hold, and what it holds is
    handed to the function by held. Options are checked when the layer is built, as far as they can be without an x.
    """

    function: ClassVar[Callable[..., Tensor]]
    preset: ClassVar[dict[str, Any]]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        try:
            self.options = dict(inspect.signature(type(self)).bind(*args, **options).arguments)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        self.own = own = {name: self.options.pop(name) for name in _own(type(self)) if name in self.options}
        checked({**self.preset, **self.options})
        for name, option in self.options.items():
            if isinstance(option, nn.Module):  # its parameters are ours
                self.add_module(name, option)
        self.hold(**own)

    def hold(self) -> None:
        """Take the layer's own options, and make what it holds."""

    def held(self) -> dict[str, Any]:
        """What is handed to the function beside the options."""
        return {}

    def forward(self, x: Tensor, *args: Any) -> Tensor:
        """The function of x with this layer's options."""
        return type(self).function(x, *args, **{**self.options, **self.preset, **self.held()})

    def extra_repr(self) -> str:
        """The options given."""
        given = {**self.options, **self.own}
        return ", ".join(f"{name}={option!r}" for name, option in given.items() if name not in self._modules)


def layer(name: str, holder: type[Pool] = Pool, inputs: int = 1, **preset: Any) -> Callable[[Any], Any]:
    """Give a pooling function a layer of this name; preset fixes some of its options.

    holder is the Pool it is built on, where it holds something; inputs of the function's arguments are given to
    forward.
    """

    def derive(function: Any) -> Callable[..., Tensor]:
        signature = inspect.signature(function)
        options = [p for p in list(signature.parameters.values())[inputs:] if p.name not in preset]
        call = f"{function.__name__}(x{', …' if options else ''}{''.join(f', {k}={v!r}' for k, v in preset.items())})"
        own = _own(holder)
        kept = [p for p in options if p.name not in own and p.name not in getattr(holder, "given", ())]
        beside = f"\n\n{inspect.cleandoc(holder.__doc__ or '')}" if own else ""
        body = {
            "function": staticmethod(function),
            "preset": preset,
            "__module__": "sigconv.pooling",
            "__signature__": signature.replace(parameters=[*kept, *own.values()], return_annotation=None),
            "__doc__": f"The layer of {call}: same options, same shapes.{beside}\n\n{inspect.getdoc(function)}",
        }
        function.layers = [*getattr(function, "layers", []), type(name, (holder,), body)]
        return function

    return derive


def _own(kind: type[Pool]) -> dict[str, inspect.Parameter]:
    """The layer's own options: what its hold takes, by keyword."""
    return dict(list(inspect.signature(kind.hold).parameters.items())[1:])
