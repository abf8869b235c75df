"""Looks at every step before it is taken: gradients that are no numbers would spoil the weights for good (F16)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sigconv.train import processes

LOOK_EVERY = 100  # steps between two looks at a GPU, which would have to be waited for


class Guard:
    """Lets a step pass whose loss and gradients are numbers, clipped on the way, and counts those it does not.

    Buffers, such as the running means that a forward pass has already changed, are put back. On a GPU the optimizer
    itself leaves the weights as they were, from the first bad step on; that there was one is noticed when next looked
    for. Elsewhere, and where bad steps are allowed, every step is looked at before it is taken.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, clip: float, allowed: int, scaler: Any = None
    ) -> None:
        self.optimizer, self.clip, self.allowed, self.scaler = optimizer, clip, allowed, scaler
        self.skipped = self.since = self.began = 0  # began at this step, where a run goes on
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        on_gpu = bool(parameters) and parameters[0].device.type == "cuda"
        fused = getattr(optimizer, "_step_supports_amp_scaling", False)
        self.later = on_gpu and fused and not allowed and scaler is None
        self.alone = processes.count() == 1  # of many, each has its own loss, but all the same gradients
        self.learning = [p for p in parameters if p.requires_grad]
        self.buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self.kept = [buffer.clone() for buffer in self.buffers]
        self._found: Tensor | None = None
        self._one: Tensor | None = None
        self._good: Tensor | None = None  # steps before the first bad one, counted on the GPU

    def before(self) -> None:
        """Keep what the step's forward pass will change."""
        if self.buffers and not (self.later and self.since % LOOK_EVERY):
            torch._foreach_copy_(self.kept, self.buffers)

    def passes(self, error: Tensor) -> bool:
        """Whether the step may be taken. A scaler looks at the gradients itself, and skips by itself."""
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        gradients = [_dense(p.grad) for p in self.learning if p.grad is not None]
        if not gradients:
            return True
        found = self._broken(gradients, error)
        if self.clip:
            torch.nn.utils.clip_grads_with_norm_(self.learning, self.clip, _norm(gradients))
        if self.scaler is not None:
            return True
        self.since += 1
        if self.later:
            self.optimizer.found_inf = found  # type: ignore[attr-defined]
            self._good = 1 - found if self._good is None else self._good + (1 - found)
            return bool(self.since % LOOK_EVERY) or not self.broken()
        if not bool(found):
            return True
        self.skipped += 1
        self._restore()
        return False

    def broken(self) -> bool:
        """Whether more steps were skipped than are allowed."""
        if self.later and self._found is not None and bool(self._found):
            self._restore()
            return True
        return self.skipped > self.allowed

    def first_bad(self, now: int) -> int:
        """The step, counted from 0, that was the first bad one: the present one, unless it is noticed later."""
        return self.began + int(self._good) if self.later and self._good is not None else now

    def _restore(self) -> None:
        if self.buffers:
            torch._foreach_copy_(self.buffers, self.kept)

    def _broken(self, gradients: list[Tensor], error: Tensor) -> Tensor:
        """1 where a gradient holds a value that is not finite, in one pass over them; on a GPU it stays 1."""
        if self._found is None or self._one is None:
            self._found, self._one = (torch.full((), fill, device=gradients[0].device) for fill in (0.0, 1.0))
        if not self.later:
            self._found.zero_()
        if any(hasattr(g, "full_tensor") or not g.is_floating_point() for g in gradients):
            self._found.logical_or_(~torch.isfinite(_norm(gradients)))
        else:
            own = [error] if self.alone else []
            torch._amp_foreach_non_finite_check_and_unscale_([*gradients, *own], self._found, self._one)
        return self._found


def _dense(gradient: Tensor) -> Tensor:
    """What a gradient holds, be it a sparse one."""
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def _norm(gradients: list[Tensor]) -> Tensor:
    """The norm of all gradients together, whole on every process."""
    norm: Any = torch.nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
