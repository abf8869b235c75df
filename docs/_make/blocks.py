"""The Python of a page is one program: what a block prints stands below it, the pictures it leaves on the page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"!\[[^]]*\]\(([\w.-]+)\)")
MARK = "\x1e"  # as program.py prints it
LONGEST = 300  # seconds a page may take


class Run(NamedTuple):
    """What a page's program came to: the text that each block printed, and the files it left by name."""

    printed: list[str]
    files: dict[str, bytes]


def blocks(page: str) -> list[str]:
    """The Python of a page, block by block."""
    return FENCE.findall(page)


def run(page: str, name: str) -> Run:
    """Run a page's program in a folder of its own; RuntimeError with its traceback where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / ".blocks.json"
        place.write_text(json.dumps(blocks(page)), encoding="utf-8")
        words = [sys.executable, str(Path(__file__).with_name("program.py")), str(place), name]
        environment = os.environ | {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "error"}
        options = {"cwd": folder, "env": environment, "capture_output": True, "text": True, "timeout": LONGEST}
        done = subprocess.run(words, check=False, **options)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr.strip()}")
        place.unlink()
        left = {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}
    return Run(done.stdout.split(MARK)[:-1], left)


def pictures(page: str) -> list[str]:
    """The names of pictures that a page shows and does not fetch from elsewhere."""
    return PICTURE.findall(page)


def told(page: str, printed: list[str]) -> str:
    """The page with what each block printed below it."""
    texts = iter(printed)

    def both(block: re.Match[str]) -> str:
        text = next(texts).rstrip()
        return f"{block[0]}\n\n```text\n{text}\n```" if text else block[0]

    return FENCE.sub(both, page)
