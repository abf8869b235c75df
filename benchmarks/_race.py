"""Ours and peers side by side: interleaved in one process, so that whatever else the machine does slows all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from sigconv import console
from sigconv.benchmarks._ceilings import Ceilings, Work
from sigconv.benchmarks._clock import peak as _peak
from sigconv.benchmarks._clock import seconds as _timed

WARM = 3  # calls on CUDA before the clock starts: what is compiled, chosen and cached by then is no one's time
LEAST = 0.02  # seconds measured at a time: short calls are made many in a row


@dataclass(frozen=True)
class Case:
    """One piece of work and those who do it: ours first, then peers; every runner answers with the same numbers."""

    name: str
    runners: dict[str, Callable[[], Any]]
    goal: float | None = None  # times the best peer
    tolerance: float = 1e-4  # of the largest value: answers that differ by more are not the same work; inf for any
    harder_than: str = ""  # a case of the same runners that must not take longer
    cap: int | None = None  # bytes that ours was told to keep to
    work: Work | None = None  # what is compared with the ceilings
    share: float | None = None  # of a copy's bytes a second that the work's should reach


@dataclass
class Result:
    """What a race came to, in seconds and ratios."""

    case: str
    seconds: dict[str, list[float]]
    differ: dict[str, float]
    goal: float | None
    warnings: list[str] = field(default_factory=list)
    peak: int | None = None  # bytes that ours took beside what was there
    work: Work | None = None
    share: float | None = None
    ceilings: Ceilings | None = None

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
        } | self._achieved()

    def _achieved(self) -> dict[str, Any]:
        """What ours came to, and which part that is of what the device can; nothing of what the case does not tell."""
        if self.work is None:
            return {}
        ours = statistics.median(self.seconds[self.ours])
        speed, pace = self.work.traffic / ours, self.work.flops / ours
        found: dict[str, Any] = {"bytes": self.work.traffic, "flops": self.work.flops, "dtype": self.work.dtype}
        found |= {"gb_per_s": speed / 1e9, "tflop_per_s": pace / 1e12, "of_copy": None, "of_product": None}
        found |= {"share_goal": self.share, "share_met": None}
        if self.ceilings is not None:
            most = self.ceilings.products.get(self.work.dtype)
            found |= {"of_copy": speed / self.ceilings.copy, "of_product": pace / most if most else None}
            found["share_met"] = None if self.share is None else found["of_copy"] >= self.share
        return found


def run(
    cases: list[Case],
    repeats: int,
    device: str,
    told: Callable[[int, Result], None],
    ceilings: Ceilings | None = None,
    failed: Callable[[str, Exception], None] | None = None,
) -> Iterator[Result]:
    """Race every case; told hears of each as it ends, failed of one that does not end, without whom it is raised."""
    done: dict[str, Result] = {}
    for number, case in enumerate(cases, start=1):
        try:
            result = race(case, repeats, device, ceilings)
        except Exception as error:
            if failed is None:
                raise
            failed(case.name, error)
            continue
        for name in result.seconds if case.harder_than in done else ():
            easier = done[case.harder_than].seconds.get(name)
            if easier and statistics.median(easier) > 1.3 * statistics.median(result.seconds[name]):
                result.warnings.append(f"{name} took longer for less work in {case.harder_than!r}: run again")
        done[case.name] = result
        told(number, result)
        yield result


def race(case: Case, repeats: int, device: str, ceilings: Ceilings | None = None) -> Result:
    """One round that does not count, whose answers are compared; then every runner in turn, so many times.

    A peer that fails is left out, and that is pointed out; ours must not.
    """
    answers, calls, lost = {}, {}, []
    for name, work in case.runners.items():
        try:
            answers[name], calls[name] = _first(work, device)
        except Exception as error:
            if not answers:
                raise
            lost.append(f"{name} failed: {console.one_line(error, 200)}")
    differ = _differ(answers)
    seconds: dict[str, list[float]] = {name: [] for name in answers}
    names = list(answers)
    for turn in range(repeats):
        for place in range(len(names)):  # everyone begins once: what comes first finds a cold cache
            name = names[(place + turn) % len(names)]
            seconds[name].append(_timed(case.runners[name], calls[name], device))
    peak = _peak(case.runners[names[0]], device)
    result = Result(case.name, seconds, differ, case.goal, lost, peak, case.work, case.share, ceilings)
    if case.cap is not None and peak is not None and peak > case.cap:
        result.warnings.append(f"took {peak / 1e6:.0f} MB, told to keep to {case.cap / 1e6:.0f}")
    result.warnings += [f"{name} differs by {d:.1e}" for name, d in differ.items() if not d <= case.tolerance]
    return result


def _first(work: Callable[[], Any], device: str) -> tuple[list[np.ndarray], int]:
    """The answer, and how many calls last long enough to be timed."""
    begun = time.perf_counter()
    answer = _numbers(work())
    slow = time.perf_counter() - begun > 100 * LEAST  # even where part of it was loading and compiling
    if device == "cuda":
        for _ in range(WARM):
            work()
    elif slow:
        return answer, 1
    return answer, max(int(LEAST / _timed(work, 1, device)), 1)


def _differ(answers: dict[str, list[np.ndarray]]) -> dict[str, float]:
    """How far each is from the first, part by part, as a part of the largest value there."""
    reference = next(iter(answers.values()))
    scales = [max(float(np.abs(part).max(initial=0.0)), 1e-30) for part in reference]

    def distance(answer: list[np.ndarray]) -> float:
        if len(answer) != len(reference):
            return math.inf
        return max(_distance(*pair) / scale for *pair, scale in zip(reference, answer, scales, strict=True))

    return {name: distance(answer) for name, answer in answers.items()}


def _numbers(answer: Any) -> list[np.ndarray]:
    """An answer's parts: an array is one, a tuple is as many; from wherever they live, halves as float32."""
    if isinstance(answer, tuple):
        return [part for one in answer for part in _numbers(one)]
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().cpu()
        return [(answer.float() if answer.dtype in (torch.bfloat16, torch.float16) else answer).numpy()]
    return [np.asarray(answer.get() if hasattr(answer, "get") else answer)]  # CuPy's arrays are fetched


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    if one.size != other.size:
        return float("inf")
    return float(np.abs(one.ravel() - other.ravel()).max()) if one.size else 0.0


def table(results: list[Result]) -> str:
    """A line a case: ours, the best peer, the ratio with its spread, bytes a second as part of a copy's, the goals."""
    head = f"{'case':<38}{'ours ms':>9}{'MB':>6}{'best peer':>22}{'ms':>9}{'ratio (least-most)':>22}"
    lines = [f"{head}{'GB/s, % of copy':>18}  goal"]
    for result in results:
        row = result.record()
        ratio, runners = row["ratio"], row["runners"]
        spread = f"{ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['most']:.2f})"
        ours, best = runners[result.ours]["median_ms"], runners[result.best]["median_ms"]
        peak = "" if result.peak is None else f"{result.peak / 1e6:.0f}"
        begun = f"{result.case:<38}{ours:>9.{2 if ours >= 0.1 else 4}f}{peak:>6}{result.best:>22}"
        lines.append(f"{begun}{best:>9.{2 if best >= 0.1 else 4}f}{spread:>22}{speed(row):>18}  {goals(row)}".rstrip())
        lines += [f"    {warning}" for warning in result.warnings]
    return "\n".join(lines)


def speed(row: dict[str, Any]) -> str:
    """GB/s of a record, and their part of a copy's; nothing where the case does not tell its bytes."""
    part = "" if row.get("of_copy") is None else f" {100 * row['of_copy']:.3g}%"
    return f"{row['gb_per_s']:.3g}{part}" if "gb_per_s" in row else ""


def goals(row: dict[str, Any]) -> str:
    """A record's goals: times the best peer, part of a copy's bytes; each met or not."""
    verdict = lambda met: "met" if met else "NOT MET"
    found = [] if row["goal"] is None else [f"{row['goal']:.2f} {verdict(row['met'])}"]
    if row.get("share_met") is not None:
        found.append(f"{100 * row['share_goal']:.0f}% of copy {verdict(row['share_met'])}")
    return ", ".join(found)
