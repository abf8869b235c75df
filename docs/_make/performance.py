"""How fast: what README says, and every race whose record was kept under benchmarks/results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "results"  # what `sigconv bench NAME --output FILE` writes


def pages() -> dict[str, str]:
    """The page."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = readme[readme.index("## How fast") : readme.index("## Training your own")]
    parts = [said.replace("## How fast", "# How fast", 1)]
    for path in sorted(KEPT.glob("*.json")):
        parts.append(_races(path.stem, json.loads(path.read_text(encoding="utf-8"))))
    return {"performance.md": "\n".join(parts)}


def _races(name: str, record: dict[str, Any]) -> str:
    """All races of one record: ours, every peer, and how many times longer the best of them takes."""
    head = f"sigconv {record['sigconv']}, torch {record['torch']}, {record['threads']} threads of {record['device']}"
    lines = [f"## sigconv bench {name}\n", f"{head}, medians of {record['repeats']}.\n"]
    lines += ["| work | ours, ms | peers, ms | ratio (least, most) |", "|---|---|---|---|"]
    for case in record["results"]:
        ours, *peers = case["runners"].items()
        told = ", ".join(f"{peer} {found['median_ms']:.3g}" for peer, found in peers)
        ratio = case["ratio"]
        spread = f"{ratio['median']:.2g} ({ratio['least']:.2g}, {ratio['most']:.2g})" if ratio else ""
        lines.append(f"| {case['case']} | {ours[1]['median_ms']:.3g} | {told} | {spread} |")
    return "\n".join(lines) + "\n"
