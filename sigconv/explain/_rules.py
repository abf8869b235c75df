"""How an answer changes with what was given, by three rules for the way back through a ReLU (VZ1, VZ2, VZ3)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from sigconv.explain._answers import answer, asked

RULES = ("gradient", "deconvnet", "guided")
FLOORS = ("clamp", "clip", "clamp_min", "threshold")  # a ReLU if what they bound x by is 0
IN_PLACE = {"relu": 1, "threshold": 3}  # where inplace= stands
OTHERS = {name.lower(): name for name in nn.modules.activation.__all__ if name not in ("ReLU", "Threshold")}


@contextlib.contextmanager
def differentiable() -> Iterator[None]:
    """Gradients are made inside, whoever asks."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def slope(model: nn.Module, x: Tensor, target: Any, rule: str = "gradient") -> Tensor:
    """The derivative of every item's answer by x, or what the rule makes of it; ValueError where there is none."""
    with differentiable():
        leaf = x.detach().clone().requires_grad_()
        if rule == "gradient":
            return derivative(answers_to(model, leaf, target), leaf, "x")
        _check_seen(model)
        with Rectifiers(rule) as seen:
            found = derivative(answers_to(model, leaf, target), leaf, "x")
    if not seen.passed:
        others = ", ".join(sorted(seen.others)) or "none"
        raise ValueError(
            f"rule {rule!r} is for ReLU, and none is between x and the answer of this {type(model).__name__}"
            f" (other activations: {others}): rule='gradient' takes any model"
        )
    return found


def answers_to(model: nn.Module, leaf: Tensor, target: Any) -> Tensor:
    """The answers to a copy of the leaf, for the model's first layer may work in place."""
    chosen = target.clone() if isinstance(target, Tensor) else target  # one made in inference mode is of no use here
    return answer(asked(model, leaf.clone()), chosen)


def derivative(answers: Tensor, by: Tensor, name: str) -> Tensor:
    """The derivative of the answers' sum by a tensor of the graph; ValueError if nothing leads there."""
    found = None
    if answers.requires_grad and by.requires_grad:
        (found,) = torch.autograd.grad(answers.sum(), by, allow_unused=True)
    if found is None:
        raise ValueError(f"no derivative leads from the model's answer to {name}: something between them cuts it off")
    return found


def _check_seen(model: nn.Module) -> None:
    """ValueError for TorchScript, into which no rule can look."""
    scripts = [name for name, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    if scripts:
        raise ValueError(
            f"{scripts[0] or 'the model'!r} is TorchScript, whose ReLUs are out of reach: give the nn.Module"
        )


class Rectifiers(TorchFunctionMode):
    """While it is entered, every ReLU is made with a way back by the rule, whatever it is called as.

    Functions are seen, not modules: one module called twice, or none at all, makes no difference.
    """

    def __init__(self, rule: str) -> None:
        super().__init__()
        self.guided = rule == "guided"
        self.passed = 0  # ReLUs that lay on the way back
        self.others: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The function as it is, or a ReLU with the rule's way back."""
        kwargs = kwargs or {}
        word = getattr(func, "__name__", "").split(".")[0]  # of torch.ops the overload follows
        name = word.strip("_")
        if name == "relu" or name in FLOORS:
            x = _given(args, kwargs, 0, "self" if "self" in kwargs else "input")
            # the package's own clamps keep numbers in bounds, and are no activation
            own = name != "relu" and sys._getframe(1).f_globals.get("__name__", "").startswith("sigconv.")
            if not own and isinstance(x, Tensor) and x.requires_grad and _rectifies(name, args, kwargs):
                in_place = word.endswith("_") or (name in IN_PLACE and _given(args, kwargs, IN_PLACE[name], "inplace"))
                return Rectified.apply(x, name, bool(in_place), self)
        elif name.replace("_", "") in OTHERS:
            self.others.add(OTHERS[name.replace("_", "")])
        return func(*args, **kwargs)


def _given(args: tuple, options: dict[str, Any], place: int, name: str) -> Any:
    """An argument of a call, by its place or name; None if it was not given."""
    return args[place] if len(args) > place else options.get(name)


def _rectifies(name: str, args: tuple, options: dict[str, Any]) -> bool:
    """Whether a call is max(x, 0) and no more: no upper bound, no other least value."""
    if "out" in options:
        return False
    if name == "threshold":
        return _is_zero(_given(args, options, 1, "threshold")) and _is_zero(_given(args, options, 2, "value"))
    if name in ("clamp", "clip") and _given(args, options, 2, "max") is not None:
        return False
    return name == "relu" or _is_zero(_given(args, options, 1, "min"))


def _is_zero(value: Any) -> bool:
    return value is not None and (not isinstance(value, Tensor) or value.numel() == 1) and float(value) == 0


class Rectified(torch.autograd.Function):
    """ReLU with the way back of deconvnet or of guided backpropagation; in place it writes to x, as torch does.

    It keeps what torch's own keep: checkpoints, which make anew what was kept, then find it at its place.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, name: str, in_place: bool, mode: Rectifiers) -> Tensor:
        """max(x, 0); NaN stays."""
        ctx.mode = mode
        kept = None if name == "relu" else x.clone() if in_place else x
        if in_place:
            ctx.mark_dirty(x)
        y = x.relu_() if in_place else x.relu()
        ctx.save_for_backward(y if kept is None else kept)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None, None, None]:
        """What is positive of the signal; where guided, of that what x was positive for."""
        ctx.mode.passed += 1
        (kept,) = ctx.saved_tensors  # x, or what became of it: neither is above 0 where the other is not
        stopped = (signal <= 0) | (kept <= 0) if ctx.mode.guided else signal <= 0
        return signal.masked_fill(stopped, 0), None, None, None
