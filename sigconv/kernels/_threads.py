"""Work shared out to as many threads as torch uses: compiled loops release the interpreter's lock.

Every unit is computed whole by one thread, so a compiled loop gives the same bits whatever their number (torch's own
routines may not). Threads of our own, and not numba's, for those may neither be forked nor called from two places.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

PARTS = 4  # for each thread, so that a late one holds nobody up for long


def share(work: Callable[[int, int], None], units: int, parts: int | None = None) -> None:
    """Call work(first, last) until all units are done, in so many parts; in each thread torch itself uses one."""
    with _lock:  # a pool that is just beginning counts torch's threads down for a moment
        threads = min(torch.get_num_threads(), units)
    pool = _pool(threads) if threads > 1 else None
    if pool is None:
        work(0, units)
        return
    inference = torch.is_inference_mode_enabled()

    def part(first: int, last: int) -> None:
        with torch.inference_mode(inference), torch.no_grad():  # a thread has modes of its own
            work(first, last)

    parts = min(parts or PARTS * threads, units)
    edges = [units * n // parts for n in range(parts + 1)]
    list(pool.map(part, edges[:-1], edges[1:]))


def _pool(threads: int) -> ThreadPoolExecutor | None:
    """The pool of this process (threads do not outlive a fork), or None where no threads can be had."""
    key = (os.getpid(), threads)
    with _lock:
        if key not in _pools:
            _pools[key] = _begun(threads)
        return _pools[key]


def _begun(threads: int) -> ThreadPoolExecutor | None:
    own = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "sigconv", initializer=lambda: torch.set_num_threads(1))
    gate = threading.Barrier(threads + 1)
    try:
        for _ in range(threads):
            pool.submit(gate.wait, 30)
        gate.wait(30)
        return pool
    except (RuntimeError, threading.BrokenBarrierError):
        return None
    finally:  # torch gives threads to come the last number set: one that begins in these milliseconds may get 1
        torch.set_num_threads(own)


_lock = threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor | None] = {}


def _renew() -> None:
    """A fork may have come while the lock was held."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
