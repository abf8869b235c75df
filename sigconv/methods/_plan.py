"""The planner: which method, at what predicted cost, in how many parts, and why. It never sees a value."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import torch

from sigconv.methods import _prices
from sigconv.methods._guard import likely
from sigconv.methods._problem import Candidate, Plan, Problem

METHODS: Mapping[str, ModuleType] = {
    found.name: importlib.import_module(f"sigconv.methods.{found.name}")
    for found in pkgutil.iter_modules([str(Path(__file__).parent)])
    if not found.name.startswith("_")
}

HALVES = (torch.float16, torch.bfloat16)
PLAIN = ("direct", "separable", "lookup")  # what auto takes without a look at values or prices, the last that fits


def plan(problem: Problem, guarded: bool, memory: int | None = None) -> Plan:
    """The cheapest method by prediction of those that keep the direct error gate.

    guarded: values may be looked at, so spectra are candidates too; their outputs are checked against the gate.
    memory: bytes allowed beyond the input; a dearer method that fits is preferred to doing the call in parts.
    """
    return _plan(problem, guarded, memory, _prices.table()[1], torch.get_num_threads())


@functools.lru_cache(maxsize=4096)
def _plan(problem: Problem, guarded: bool, memory: int | None, prices: str, threads: int) -> Plan:
    """The plan for a cost table and a number of threads, which memory depends on.

    Prices of a GPU are its own where they were measured, else those of any.
    """
    del threads
    rows = tuple(_candidate(name, problem, guarded) for name in METHODS)
    fair = [row for row in rows if not row.refused]
    small = [row for row in fair if memory is None or row.memory <= memory]
    best = min(small or fair, key=lambda row: row.seconds)
    parts = 1 if memory is None or small else -(-best.memory // max(memory, 1))
    why = "the cheapest by prediction of those that keep the error gate"
    if not METHODS[best.method].EXACT:
        why += "; outputs its error might reach are summed directly (value guard)"
    if problem.device == "cuda" and not _prices.measured(problem.card):
        why += ", which no one measured on this GPU: sigconv doctor --calibrate --device cuda does"
    if memory is not None and best is not min(fair, key=lambda row: row.seconds):
        why += "; the cheapest of all needs more memory than allowed"
    return Plan(best.method, rows, why, parts, prices)


def as_summed(name: str, problem: Problem) -> Problem:
    """The problem in the precision a method does it in: halves are float32 to all but direct (N5)."""
    wide = problem.dtype in HALVES and name != "direct"
    return dataclasses.replace(problem, dtype=torch.float32) if wide else problem


def _candidate(name: str, problem: Problem, guarded: bool) -> Candidate:
    method, problem = METHODS[name], as_summed(name, problem)
    refused = method.refused(problem) if hasattr(method, "refused") else ""
    if name == "windows":
        refused = "the definition: every window is written out"
    elif not (method.EXACT or refused):
        refused = _no_spectra(method, problem, guarded)
    price = 0.0
    if not refused:
        price = _prices.seconds(name, method.cost(problem), problem.dtype, problem.device, problem.card)
    return Candidate(name, price, problem.kept + method.memory(problem) if not refused else 0, refused)


def _no_spectra(method: ModuleType, problem: Problem, guarded: bool) -> str:
    """Why spectra are not to be trusted here, if so.

    On a GPU transforms are in the precision of the answer, so the guard's cells would be a few samples each: more work
    than the transforms; and every call would wait for the device to say which outputs to mend.
    """
    if problem.device not in ("cpu", "meta"):
        return "the value guard looks at values on a CPU only"
    if not guarded:
        return "needs a look at values, which this call does not allow"
    if max(problem.dilation) > 1:
        return "the value guard does not bound dilated kernels"
    if problem.dtype == torch.float64:
        block, _ = method.blocking(problem.padded, problem.span, problem.stride[0])
        period = block * math.prod(problem.padded[1:])
        padded = any(map(any, problem.margins))
        if not likely(problem.terms, problem.per_group, len(problem.size), period, padded):
            return "an error of float64 transforms could exceed the gate"
    return ""
