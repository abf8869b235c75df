"""Work shared out to as many threads as torch uses: compiled loops release the interpreter's lock.

Every unit is computed whole by one thread, so the number of threads never changes a bit of the answer. Threads of our
own, and not numba's, for those may neither be forked nor called from two places at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

PARTS = 4  # for each thread, so that a late one holds nobody up for long


def share(work: Callable[[int, int], None], units: int) -> None:
    """Call work(first, last) until all units are done."""
    threads = min(torch.get_num_threads(), units)
    if threads <= 1:
        work(0, units)
        return
    parts = min(PARTS * threads, units)
    edges = [units * part // parts for part in range(parts + 1)]
    list(_pool(os.getpid(), threads).map(work, edges[:-1], edges[1:]))


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """One pool a process: threads do not outlive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"sigconv-{process}")
