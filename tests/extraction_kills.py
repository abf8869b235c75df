"""An extraction that is killed at random instants and goes on; run by itself: extraction_kills.py FOLDER KILLS SEED.

The process that does the killing has extracted once itself, and so imported and compiled everything: what it forks
starts at once.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import extraction_trees as made
import torch

import sigconv as sc
from sigconv.extraction import _desk


def work(root: Path, out: Path) -> None:
    """Maps of several formats."""
    sc.extract("gabor", root, out, stride=2)


def forked(root: Path, out: Path) -> int:
    """A process that extracts, or goes on."""
    child = os.fork()
    if child:
        return child
    try:
        sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        work(root, out)
        os._exit(0)
    except BaseException as error:
        (out.parent / "error.txt").write_text(repr(error))
        os._exit(1)


def main(folder: str, kills: str, seed: str) -> None:
    torch.set_num_threads(1)
    _desk.MOST_WAITING = 8  # so that a short run has many ends of groups to be killed at
    base, wanted, delays = Path(folder), int(kills), random.Random(int(seed))
    root = made.small(base / "in", 60)
    made.array(root / "more" / "z.npy", (3, 200, 200))
    for _ in range(2):  # the second time takes what a forked one will
        shutil.rmtree(base / "whole", ignore_errors=True)
        began = time.monotonic()
        work(root, base / "whole")
    whole, reference = time.monotonic() - began, made.tree(base / "whole")
    done = runs = equal = 0
    while done < wanted:
        out = base / f"run-{runs}"
        while True:
            child = forked(root, out)
            time.sleep(delays.uniform(0, 0.7 * whole))
            os.kill(child, signal.SIGKILL)  # a child that has ended is a zombie still: this does nothing to it
            _, status = os.waitpid(child, 0)
            if not os.WIFSIGNALED(status):
                if os.WEXITSTATUS(status):
                    raise SystemExit("a resumed extraction failed: " + (base / "error.txt").read_text())
                break
            done += 1
        runs, equal = runs + 1, equal + (made.tree(out) == reference)
        shutil.rmtree(out)
    print(json.dumps({"kills": done, "runs": runs, "equal": equal, "files": len(reference)}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
