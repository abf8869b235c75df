"""What cannot be streamed, and why: one line with the module's name, and what to do instead."""

from __future__ import annotations

from typing import NoReturn

from torch import nn

from sigconv.summary._locality import Refused, Use, culprits, over_time

__all__ = ["Refused", "by_name", "culprits", "in_training", "refuse"]

USE = Use("streamed", "stream what stands before it, or slide the whole model over fixed clips with window=")


def refuse(name: str, module: nn.Module, why: str) -> NoReturn:
    """Say so."""
    USE.refuse(name, module, why)


def by_name(name: str, module: nn.Module) -> None:
    """Refuse what is known to be global over time, in the module or anywhere inside it."""
    for inner, part in module.named_modules():
        why = over_time(part, not inner)
        if why is not None:
            refuse(f"{name}.{inner}" if inner else name, part, why)


def in_training(model: nn.Module) -> None:
    """Refuse a model that answers otherwise while it trains."""
    USE.in_training(model)
