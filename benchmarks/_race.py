"""Ours and peers side by side: interleaved in one process, so that whatever else the machine does slows all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

LEAST = 0.02  # seconds measured at a time: short calls are made many in a row


@dataclass(frozen=True)
class Case:
    """One piece of work and those who do it: ours first, then peers; every runner answers with the same numbers."""

    name: str
    runners: dict[str, Callable[[], Any]]
    goal: float | None = None  # times the best peer
    tolerance: float = 1e-4  # of the largest value: answers that differ by more are not the same work
    harder_than: str = ""  # a case of the same runners that must not take longer
    cap: int | None = None  # bytes that ours was told to keep to


@dataclass
class Result:
    """What a race came to, in seconds and ratios."""

    case: str
    seconds: dict[str, list[float]]
    differ: dict[str, float]
    goal: float | None
    warnings: list[str] = field(default_factory=list)
    peak: int | None = None  # bytes that ours took beside what was there

    @property
    def ours(self) -> str:
        """The first runner."""
        return next(iter(self.seconds))

    @property
    def best(self) -> str:
        """The quickest of the others, by medians; ours, if it runs alone."""
        others = [name for name in self.seconds if name != self.ours] or [self.ours]
        return min(others, key=lambda name: statistics.median(self.seconds[name]))

    @property
    def ratios(self) -> list[float]:
        """The best peer's time over ours, repeat by repeat."""
        return [peer / ours for ours, peer in zip(self.seconds[self.ours], self.seconds[self.best], strict=True)]

    def record(self) -> dict[str, Any]:
        """For JSON: medians and spreads."""
        ratios = sorted(self.ratios)
        rows = {
            name: {"median_ms": 1e3 * statistics.median(t), "least_ms": 1e3 * min(t), "most_ms": 1e3 * max(t)}
            for name, t in self.seconds.items()
        }
        ratio = {"median": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]}
        met = None if self.goal is None else ratio["median"] >= self.goal
        return {
            "case": self.case,
            "runners": rows,
            "best_peer": self.best,
            "ratio": ratio,
            "goal": self.goal,
            "met": met,
            "differ": self.differ,
            "peak_bytes": self.peak,
            "warnings": self.warnings,
        }


def run(cases: list[Case], repeats: int, device: str, told: Callable[[int, Result], None]) -> Iterator[Result]:
    """Race every case; told hears of each as it ends."""
    done: dict[str, Result] = {}
    for number, case in enumerate(cases, start=1):
        result = race(case, repeats, device)
        for name in result.seconds if case.harder_than in done else ():
            easier = done[case.harder_than].seconds.get(name)
            if easier and statistics.median(easier) > 1.3 * statistics.median(result.seconds[name]):
                result.warnings.append(f"{name} took longer for less work in {case.harder_than!r}: run again")
        done[case.name] = result
        told(number, result)
        yield result


def race(case: Case, repeats: int, device: str) -> Result:
    """One round that does not count, whose answers are compared; then every runner in turn, so many times."""
    answers, calls = {}, {}
    for name, work in case.runners.items():
        begun = time.perf_counter()
        answers[name] = _numbers(work())
        slow = time.perf_counter() - begun > 100 * LEAST  # even where part of it was loading and compiling
        calls[name] = 1 if slow else max(int(LEAST / _timed(work, 1, device)), 1)
    reference = next(iter(answers.values()))
    scale = max(float(np.abs(reference).max()), 1e-30)
    differ = {name: _distance(reference, answer) / scale for name, answer in answers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in case.runners}
    names = list(case.runners)
    for turn in range(repeats):
        for place in range(len(names)):  # everyone begins once: what comes first finds a cold cache
            name = names[(place + turn) % len(names)]
            seconds[name].append(_timed(case.runners[name], calls[name], device))
    peak = _peak(case.runners[names[0]]) if device == "cpu" else None
    result = Result(case.name, seconds, differ, case.goal, peak=peak)
    if case.cap is not None and peak is not None and peak > case.cap:
        result.warnings.append(f"took {peak / 1e6:.0f} MB, told to keep to {case.cap / 1e6:.0f}")
    result.warnings += [f"{name} differs by {d:.1e}" for name, d in differ.items() if not d <= case.tolerance]
    return result


def _timed(work: Callable[[], Any], calls: int, device: str) -> float:
    """Seconds a call, the mean of so many in a row."""
    begun = time.perf_counter()
    for _ in range(calls):
        work()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - begun) / calls


def _peak(work: Callable[[], Any]) -> int | None:
    """Bytes that the process grew by at most while at work; None where the system does not tell."""
    clear, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    try:
        clear.write_text("5")  # the highest mark begins anew
        told = lambda name: next(int(li.split()[1]) for li in status.read_text().splitlines() if li.startswith(name))
        before = told("VmRSS")
        work()
        return 1024 * (told("VmHWM") - before)
    except (OSError, StopIteration):
        return None


def _numbers(answer: Any) -> np.ndarray:
    return answer.detach().cpu().numpy() if isinstance(answer, torch.Tensor) else np.asarray(answer)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    if one.size != other.size:
        return float("inf")
    return float(np.abs(one.ravel() - other.ravel()).max()) if one.size else 0.0


def table(results: list[Result]) -> str:
    """A line a case: ours, the best peer, the ratio with its spread, the goal."""
    lines = [f"{'case':<38}{'ours ms':>9}{'MB':>6}{'best peer':>22}{'ms':>9}{'ratio (least-most)':>22}  goal"]
    for result in results:
        row = result.record()
        ratio, runners = row["ratio"], row["runners"]
        spread = f"{ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['most']:.2f})"
        goal = "" if row["goal"] is None else f"{row['goal']:.2f} {'met' if row['met'] else 'NOT MET'}"
        ours, best = runners[result.ours]["median_ms"], runners[result.best]["median_ms"]
        peak = "" if result.peak is None else f"{result.peak / 1e6:.0f}"
        lines.append(f"{result.case:<38}{ours:>9.2f}{peak:>6}{result.best:>22}{best:>9.2f}{spread:>22}  {goal}")
        lines += [f"    {warning}" for warning in result.warnings]
    return "\n".join(lines)
