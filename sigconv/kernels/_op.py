"""Ops of our own, as torch.library has them: a kernel for each kind of device, a fake one for compilers, a derivative.

torch.library.custom_op makes such ops too, but its first call loads torch's whole compiler, seconds of it, and Triton
with it where that is installed. These load nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

KEYS = {"cpu": "CPU", "cuda": "CUDA", None: "CompositeExplicitAutograd"}
_library = torch.library.Library("sigconv", "FRAGMENT")


def custom_op(
    name: str, *, device: str | None = None, mutates_args: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], Op]:
    """Make an op sigconv::name of the function that follows, its kernel on one kind of device, or on any (None)."""
    return lambda function: Op(name, function, device, mutates_args)


class Op:
    """Called like the function it is made of; what is registered with it, torch finds by itself."""

    def __init__(self, name: str, function: Callable[..., Any], device: str | None, mutates: Sequence[str]) -> None:
        self.name, self.function = f"sigconv::{name}", function
        schema = torch.library.infer_schema(function, mutates_args=mutates)
        _library.define(name + schema, tags=(torch.Tag.pt2_compliant_tag,))
        self.overload = getattr(torch.ops.sigconv, name).default
        self._kernels: dict[str | None, Callable[..., Any]] = {}
        self.register_kernel(device)(function)

    def __call__(self, *given: Any) -> Any:
        """The op's answer."""
        return self.overload(*given)

    def register_kernel(self, device: str | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Take what follows for the op's kernel there, in place of one that was registered before."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            if device not in self._kernels:
                kernel = lambda *given, **options: self._kernels[device](*given, **options)
                _library.impl(self.overload, kernel, KEYS[device])
            self._kernels[device] = function
            return function

        return register

    def register_fake(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Take what follows for the shapes, strides and dtypes of the answer."""
        return torch.library.register_fake(self.name, function, lib=_library)

    def register_autograd(self, backward: Callable[..., Any], *, setup_context: Callable[..., None]) -> None:
        """Take these for the derivative: what is kept of a call, and what leads back from it."""
        torch.library.register_autograd(self.name, backward, setup_context=setup_context, lib=_library)
