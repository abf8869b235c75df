"""Run the Python of pages, each in a process that begins as a copy of one where what they share is imported already.

program.py FOLDER SECONDS AT_ONCE takes FOLDER/<page>.json, [name, blocks], and leaves what the page did in the folder
FOLDER/<page>, its words in <page>.out and <page>.err, and in <page>.done its exit status and each block's CPU seconds.
"""

import importlib
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

MARK = "\x1e"  # ASCII's record separator, after what each block prints
SHARED = ("numpy", "scipy.signal", "scipy.ndimage", "matplotlib.pyplot", "torch", "torch._dynamo", "sigconv")
SHARED += (
    "sigconv.explain",
    "sigconv.filters",
    "sigconv.models",
    "sigconv.plot",
    "sigconv.train",
    "sigconv.transforms",
)


def main() -> None:
    """All pages, so many at once."""
    folder, seconds, at_once = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])
    waiting, running = sorted(folder.glob("*.json")), {}
    _share([place.read_text(encoding="utf-8") for place in waiting])
    while waiting or running:
        while waiting and len(running) < at_once:
            place = waiting.pop(0)
            running[_begin(place, seconds)] = place
        number, status = os.wait()
        place = running.pop(number).with_suffix(".done")
        used = json.loads(place.read_text(encoding="utf-8")) if place.exists() else []
        place.write_text(json.dumps([os.waitstatus_to_exitcode(status), used]), encoding="utf-8")


def _share(pages: list[str]) -> None:
    """Import what several pages use."""
    for name in SHARED:
        if sum(name.split(".")[0] in page for page in pages) > 1:
            importlib.import_module(name)


def _begin(place: Path, seconds: int) -> int:
    """Start a page's process; its number. A page that takes too long is ended by the alarm."""
    number = os.fork()
    if number:
        return number
    status = 1
    try:
        signal.alarm(seconds)
        for stream, ending in ((1, ".out"), (2, ".err")):
            os.dup2(os.open(place.with_suffix(ending), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), stream)
        page, blocks = json.loads(place.read_text(encoding="utf-8"))
        place.with_suffix("").mkdir()
        os.chdir(place.with_suffix(""))
        _perform(page, blocks, place.with_suffix(".done"))
        status = 0
    except BaseException:  # whatever a page raises, SystemExit too, is told by the process that asked
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # nothing of the process that was copied is to run here again


def _perform(page: str, blocks: list[str], done: Path) -> None:
    """The blocks share their names, as the cells of a notebook do."""
    names = {"__name__": "__main__"}
    used = []
    for number, block in enumerate(blocks, 1):
        before = _used()
        exec(compile(block, f"{page}, block {number}", "exec"), names)
        sys.stdout.write(MARK)
        used.append(round(_used() - before, 2))
    done.write_text(json.dumps(used), encoding="utf-8")


def _used() -> float:
    """CPU seconds so far, those of processes that have ended too."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


if __name__ == "__main__":
    main()
