"""How fast: what README says, and every race whose record was kept under benchmarks/results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "results"  # what `sigconv bench NAME --output FILE` writes
HEAD = (
    "| work | ours, ms | MB | peers, ms | ratio (least, most) | GB/s, of copy | goal |\n|---|---|---|---|---|---|---|"
)
RECORDS = """\
## Records

What `sigconv bench` wrote on the machines that are named, one file each, unrounded there. A ratio is the best peer's
time over ours; a median with the least and the most of its repeats. MB is what ours took beside what was there. GB/s
are of bytes that the work must read or write at least once, of copy is their part of what a copy moved in the same run.
"""


def pages() -> dict[str, str]:
    """The page."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = readme[readme.index("## How fast") : readme.index("## Training your own")]
    parts = [said.replace("## How fast", "# How fast", 1)]
    places = sorted(KEPT.glob("*.json"))
    return {"performance.md": "\n".join(parts + [RECORDS] * bool(places) + [_kept(place) for place in places])}


def _kept(place: Path) -> str:
    """A record as it lies there; one that is none is named."""
    try:
        return _races(place.stem, json.loads(place.read_text(encoding="utf-8")))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        told = f"benchmarks/results/{place.name} is no record of `sigconv bench --output`: {error!r}; write it again"
        raise ValueError(told) from error


def _races(name: str, record: dict[str, Any]) -> str:
    """All races of one record: where and when it was made, a line a case, and what was pointed out about them."""
    sets = " ".join(dict.fromkeys(case["set"] for case in record["results"]))
    where = f"{record['device']}, {record['threads']} thread{'s' * (record['threads'] != 1)}"
    what = f"sigconv {record['sigconv']}, torch {record['torch']}, cost table {record['cost_table']}"
    when = record.get("date", "on a day that the record does not tell")
    lines = [f"### {name}\n", f"`sigconv bench {sets}`, medians of {record['repeats']}: {where}; {what}; {when}.\n"]
    lines += _limits(record)
    lines += [HEAD, *(_race(case) for case in record["results"])]
    lost = [f"- {case['set']}, {case['case']} failed: {case['error']}" for case in record.get("failures", [])]
    warned = lost + [f"- {case['case']}: {warning}" for case in record["results"] for warning in case["warnings"]]
    return "\n".join([*lines, "", *warned]).rstrip() + "\n"


def _limits(record: dict[str, Any]) -> list[str]:
    """What the device could at most, and what a GPU is driven by, where the record tells."""
    gpu, ceilings = record.get("gpu"), record.get("ceilings")
    told = [f"driver {gpu['driver_version']}, CUDA {gpu['cuda']}, cuDNN {gpu['cudnn']}"] if gpu else []
    if ceilings:
        products = [f"{name} {found:.3g}" for name, found in ceilings["product_tflop_per_s"].items()]
        told += [f"copy {ceilings['copy_gb_per_s']:.3g} GB/s, products {', '.join(products)} TFLOP/s"]
    return [f"{'; '.join(told)}.\n"] if told else []


def _race(case: dict[str, Any]) -> str:
    """Ours, every peer, the best of them in bold, and how many times longer that one takes."""
    (_, ours), *peers = case["runners"].items()
    told = ", ".join(
        f"**{peer} {found['median_ms']:.3g}**" if peer == case["best_peer"] else f"{peer} {found['median_ms']:.3g}"
        for peer, found in peers
    )
    ratio, peak = case["ratio"], case["peak_bytes"]
    spread = f"{ratio['median']:.2g} ({ratio['least']:.2g}, {ratio['most']:.2g})" if peers else ""
    verdict = lambda met: "met" if met else "not met"
    goals = [] if case["goal"] is None else [f"{case['goal']:.2g} {verdict(case['met'])}"]
    if case.get("share_met") is not None:
        goals.append(f"{100 * case['share_goal']:.0f}% of copy {verdict(case['share_met'])}")
    part = "" if case.get("of_copy") is None else f", {100 * case['of_copy']:.3g}%"
    speed = f"{case['gb_per_s']:.3g}{part}" if "gb_per_s" in case else ""
    taken = "" if peak is None else f"{peak / 1e6:.0f}"
    return f"| {case['case']} | {ours['median_ms']:.3g} | {taken} | {told} | {spread} | {speed} | {', '.join(goals)} |"
