"""Where what was measured on this machine is kept: the planner's prices, the kernels' choices."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """$SIGCONV_CACHE, else the user's cache; it may not be there yet."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sigconv"
    return Path(os.environ.get("SIGCONV_CACHE") or home)
