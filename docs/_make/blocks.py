"""The Python of a page is one program: what a block prints stands below it, the pictures it leaves on the page.

python docs/_make/blocks.py [PAGE.md …] runs pages, all by default, and tells the CPU seconds of each and of its blocks.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"!\[[^]]*\]\(([\w./-]+)\)")
MARK = "\x1e"  # as program.py prints it
LONGEST = 300  # seconds a page may take
AT_ONCE = 2  # pages
ALONE = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # threads that wait for a busy core take all of another
ALONE |= {"MPLBACKEND": "agg", "PYTHONWARNINGS": "error"}


class Run(NamedTuple):
    """What a page's program came to: the text that each block printed, the files it left by name, CPU seconds."""

    printed: list[str]
    files: dict[str, bytes]
    seconds: list[float]


def blocks(page: str) -> list[str]:
    """The Python of a page, block by block."""
    return FENCE.findall(page)


def run(page: str, name: str) -> Run:
    """Run a page's program in a folder of its own; RuntimeError with its traceback where it fails."""
    return run_all({name: page})[name]


def run_all(pages: dict[str, str]) -> dict[str, Run]:
    """The same of many pages by name, which share the time it takes to import what they use."""
    with tempfile.TemporaryDirectory() as folder:
        places = {name: Path(folder) / f"{number}.json" for number, name in enumerate(pages, 1)}
        for name, place in places.items():
            place.write_text(json.dumps([name, blocks(pages[name])]), encoding="utf-8")
        words = [sys.executable, str(Path(__file__).with_name("program.py")), folder, str(LONGEST), str(AT_ONCE)]
        done = subprocess.run(words, check=False, env=os.environ | ALONE, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the pages could not be run: {done.stderr.strip()}")
        return {name: _done(name, place) for name, place in places.items()}


def _done(name: str, place: Path) -> Run:
    """What a page's program left, or why it ended."""
    status, seconds = json.loads(place.with_suffix(".done").read_text(encoding="utf-8"))
    if status:
        said = place.with_suffix(".err").read_text(encoding="utf-8").strip()
        slow = f"took longer than {LONGEST} s: make less of it" if -status == signal.SIGALRM else ""
        raise RuntimeError(f"{name}: {slow or said or f'ended with status {status}'}")
    left = {path.name: path.read_bytes() for path in place.with_suffix("").iterdir() if path.is_file()}
    return Run(place.with_suffix(".out").read_text(encoding="utf-8").split(MARK)[:-1], left, seconds)


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


def main() -> None:
    """Where the time goes."""
    places = [Path(word) for word in sys.argv[1:]] or sorted(DOCS.rglob("*.md"))
    texts = {str(place): place.read_text(encoding="utf-8") for place in places}
    for name, done in run_all({name: text for name, text in texts.items() if blocks(text)}).items():
        sys.stdout.write(f"{sum(done.seconds):7.2f} s  {name}: {' '.join(map(str, done.seconds))}\n")


if __name__ == "__main__":
    main()
