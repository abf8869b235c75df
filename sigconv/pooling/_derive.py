"""How a pooling function becomes a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn


class Pool(nn.Module):
    """A pooling function with its options held: what every pooling layer is. It takes the function's options."""

    function: ClassVar[Callable[..., Tensor]]
    preset: ClassVar[dict[str, Any]]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        try:
            self.options = dict(inspect.signature(type(self)).bind(*args, **options).arguments)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None

    def forward(self, x: Tensor) -> Tensor:
        """The function of x with this layer's options."""
        return type(self).function(x, **self.options, **self.preset)

    def extra_repr(self) -> str:
        """The options given."""
        return ", ".join(f"{name}={option!r}" for name, option in self.options.items())


def layer(name: str, **preset: Any) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Give a pooling function a layer of this name; preset fixes some of its options."""

    def derive(function: Any) -> Callable[..., Tensor]:
        signature = inspect.signature(function)
        options = [p for p in list(signature.parameters.values())[1:] if p.name not in preset]
        call = f"{function.__name__}(x{', …' if options else ''}{''.join(f', {k}={v!r}' for k, v in preset.items())})"
        body = {
            "function": staticmethod(function),
            "preset": preset,
            "__module__": "sigconv.pooling",
            "__signature__": signature.replace(parameters=options, return_annotation=None),
            "__doc__": f"The layer of {call}: same options, same shapes.\n\n{inspect.getdoc(function)}",
        }
        function.layers = [*getattr(function, "layers", []), type(name, (Pool,), body)]
        return function

    return derive
