"""Results as README has them, and the records of runs that were kept, each as its run folder told it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parent / "runs"  # result.json of run folders, without where the data lay


def pages() -> dict[str, str]:
    """The page."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    measured = readme[readme.index("## Results") : readme.index("## Developing")]
    parts = [measured.replace("## Results", "# Results", 1)]
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(KEPT.glob("*.json"))]
    if records:
        parts += ["## Runs\n", "What run folders tell of themselves (`result.json`), unrounded.\n"]
        parts += [_run(record) for record in records]
    return {"results.md": "\n".join(parts)}


def _run(record: dict[str, Any]) -> str:
    """One run: what was asked, what came out, where and how long."""
    asked = " ".join(f"{name}={value}" for name, value in record["config"].items() if value is not None)
    lines = [f"### {record['recipe']}, seed {record['config'].get('seed', 0)}\n", f"`{asked}`\n"]
    lines += [f"{record['seconds']:.0f} s on {record['device']}, {record['test_size']} to test on.\n"]
    lines += ["| metric | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in record["metrics"].items()]
    return "\n".join(lines) + "\n"
