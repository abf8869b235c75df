"""One call of a function, as a rule reads it: arguments by name, what its tensors see, what it answered."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from sigconv.summary._fields import Seen

CONV = "input weight bias stride padding dilation groups"
TRANSPOSED = "input weight bias stride padding output_padding groups dilation"
POOL = "input kernel_size stride padding dilation ceil_mode"
NDIMS = ("1d", "2d", "3d")
ORDER = {  # of arguments, for functions that inspect cannot read
    **{f"conv{n}": CONV for n in NDIMS},
    **{f"conv_transpose{n}": TRANSPOSED for n in NDIMS},
    **{f"{name}{n}{tail}": POOL for n in NDIMS for name, tail in (("max_pool", ""), ("max_pool", "_with_indices"))},
    **{f"avg_pool{n}": "input kernel_size stride padding" for n in NDIMS},
    **{f"lp_pool{n}": "input norm_type kernel_size stride" for n in NDIMS},
    **dict.fromkeys(("linear", "matmul", "mm", "bmm"), "input weight bias"),
    **dict.fromkeys(("addmm", "baddbmm"), "bias input weight"),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "logsumexp", "std", "var", "norm"), "input dim"),
    **dict.fromkeys(("softmax", "log_softmax", "cumsum", "cumprod", "flip", "sort"), "input dim"),
    "roll": "input shifts dim",
    "pad": "input pad mode value",
    "__getitem__": "input index",
}


@dataclass
class Call:
    """A function called with args and options, that answered with a tensor."""

    function: Any
    args: tuple
    options: dict[str, Any]
    answer: Tensor
    see: Callable[[Any], Seen | None]

    @cached_property
    def name(self) -> str:
        """The function's word, whether torch's, a tensor's or ours."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return self.function.__self__.__name__ if name == "__get__" else name  # an attribute, such as x.mT

    @cached_property
    def named(self) -> dict[str, Any]:
        """The arguments by name; the first is always `input`."""
        if self.name in ORDER:
            return dict(zip(ORDER[self.name].split(), self.args, strict=False)) | self.options
        try:
            filled = inspect.signature(self.function).bind(*self.args, **self.options)
            filled.apply_defaults()
            bound = dict(filled.arguments)
            for parameter in filled.signature.parameters.values():
                if parameter.kind is parameter.VAR_POSITIONAL:  # a dispatcher's: names are not told
                    raise TypeError(f"{self.name} takes any arguments")
                if parameter.kind is parameter.VAR_KEYWORD:  # options passed on are named like the others
                    bound |= bound.pop(parameter.name, {})
        except (TypeError, ValueError):
            bound = {str(place): arg for place, arg in enumerate(self.args)} | self.options
        first = next(iter(bound), None)
        return {"input" if name == first else name: value for name, value in bound.items()}

    def get(self, name: str, default: Any = None) -> Any:
        """One argument by its name."""
        found = self.named.get(name)
        return default if found is None else found

    @property
    def x(self) -> Tensor:
        """The tensor the function is of."""
        return self.named["input"]

    @cached_property
    def seen(self) -> Seen | None:
        """What x sees."""
        return self.see(self.x) if isinstance(self.x, Tensor) else None

    @cached_property
    def tensors(self) -> list[Tensor]:
        """Every tensor among the arguments, those in lists too."""
        return _tensors(self.named.values())


def _tensors(values: Any) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += _tensors(value)
    return found
