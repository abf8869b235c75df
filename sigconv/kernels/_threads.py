"""Work shared out to as many threads as torch uses: compiled loops release the interpreter's lock.

Every unit is computed whole by one thread, so the number of threads never changes a bit of the answer. Threads of our
own, and not numba's, for those may neither be forked nor called from two places at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

PARTS = 4  # for each thread, so that a late one holds nobody up for long


def share(work: Callable[[int, int], None], units: int, parts: int | None = None) -> None:
    """Call work(first, last) until all units are done, in so many parts; in each thread torch itself uses one."""
    threads = min(torch.get_num_threads(), units)
    if threads <= 1:
        work(0, units)
        return
    inference = torch.is_inference_mode_enabled()

    def part(first: int, last: int) -> None:
        with torch.inference_mode(inference), torch.no_grad():  # a thread has modes of its own
            work(first, last)

    parts = min(parts or PARTS * threads, units)
    edges = [units * n // parts for n in range(parts + 1)]
    list(_pool(os.getpid(), threads).map(part, edges[:-1], edges[1:]))


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """One pool a process: threads do not outlive a fork."""
    pool = ThreadPoolExecutor(threads, f"sigconv-{process}", initializer=lambda: torch.set_num_threads(1))
    own = torch.get_num_threads()
    gate = threading.Barrier(threads + 1)
    for _ in range(threads):
        pool.submit(gate.wait)
    gate.wait()  # all have begun, so torch's number for threads to come can be put back
    torch.set_num_threads(own)
    return pool
