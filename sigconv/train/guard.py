"""Looks at every step before it is taken: gradients that are no numbers would spoil the weights for good (F16)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LOOK_EVERY = 100  # steps between two looks at a GPU, which would have to be waited for


class Guard:
    """Lets a step pass whose gradients are numbers, clipped to a norm on the way, and counts those it does not.

    On a GPU the optimizer itself leaves the weights as they were, from the first bad step on; that there was one is
    noticed when next looked for. Elsewhere, and where bad steps are allowed, every step is looked at before it is
    taken.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, clip: float, allowed: int, scaler: Any = None) -> None:
        self.optimizer, self.clip, self.allowed, self.scaler = optimizer, clip, allowed, scaler
        self.skipped = self.since = 0
        self._one: Tensor | None = None
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        on_gpu = bool(parameters) and parameters[0].device.type == "cuda"
        self.later = on_gpu and not allowed and getattr(optimizer, "_step_supports_amp_scaling", False)
        self._found: Tensor | None = None

    def passes(self) -> bool:
        """Whether the step may be taken. A scaler looks at the gradients itself, and skips by itself."""
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        learning = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in learning]
        if not gradients:
            return True
        found = self._broken(gradients)
        if self.clip:
            torch.nn.utils.clip_grads_with_norm_(learning, self.clip, _norm(gradients))
        if self.scaler is not None:
            return True
        self.since += 1
        if self.later:
            self.optimizer.found_inf = found  # type: ignore[attr-defined]
            return self.since % LOOK_EVERY != 0 or not self.broken()
        bad = bool(found)
        self.skipped += bad
        return not bad

    def broken(self) -> bool:
        """Whether more steps were skipped than are allowed."""
        return self.skipped > self.allowed or (self.later and self._found is not None and bool(self._found))

    def _broken(self, gradients: list[Tensor]) -> Tensor:
        """1 where a gradient holds a value that is not finite, in one pass over them; on a GPU it stays 1."""
        if self._found is None or self._one is None:
            self._found, self._one = (torch.full((), fill, device=gradients[0].device) for fill in (0.0, 1.0))
        if not self.later:
            self._found.zero_()
        if any(hasattr(g, "full_tensor") or not g.is_floating_point() for g in gradients):
            self._found.logical_or_(~torch.isfinite(_norm(gradients)))
        else:
            torch._amp_foreach_non_finite_check_and_unscale_(gradients, self._found, self._one)
        return self._found


def _norm(gradients: list[Tensor]) -> Tensor:
    """The norm of all gradients together, whole on every process."""
    norm: Any = torch.nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
