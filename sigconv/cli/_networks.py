"""The trained networks of a run folder, or of one folder that models.save_pretrained wrote."""

from __future__ import annotations

from typing import Any


def load(folder: str) -> list[Any]:
    """What sigconv.models finds there; torch is imported no sooner than it is asked for."""
    from sigconv.models import _networks

    return _networks.load(folder)
