"""The trained networks of a run folder, or of one folder that models.save_pretrained wrote."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sigconv.models._pretrained import from_pretrained

CONFIG = "config.json"
NAME = re.compile(r"network(?:_([0-9]{1,6}))?")


def load(folder: str) -> list[Any]:
    """The networks network/, network_1/ … of a run in their order, or the one that a folder itself is; in eval mode.

    ValueError for a folder that holds none, or a damaged one; FileNotFoundError where there is no such folder.
    """
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"{folder!r} is no folder")
    if (path / CONFIG).is_file():
        return [from_pretrained(path)]
    found = {int(match[1] or 0): part for part in path.iterdir() if (match := NAME.fullmatch(part.name))}
    if not found:
        raise ValueError(f"{folder!r} holds no network/: expected a run of dna_binding, or models.save_pretrained's")
    return [from_pretrained(found[number]) for number in sorted(found)]
