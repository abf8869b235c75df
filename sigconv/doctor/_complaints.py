"""What was found wrong, gathered from all parts of an examination, each with its remedy."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from sigconv.doctor import _machine, _places

Line = dict[str, Any]  # what, remedy, source


def problems(found: dict[str, Any]) -> list[Line]:
    """Numbers that are not what they should be: a line per device, precision and kind of check."""
    broken: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in found["golden"]:
        broken[row["device"], row["dtype"], f"golden values of {row['kind']}s"].append(row)
    for row in found["checks"]:
        broken[row["device"], row["dtype"], "methods"].append(row)
    lines = []
    for (device, dtype, kind), rows in broken.items():
        wrong = [row for row in rows if not row["kept"]]
        if wrong:
            first = max(wrong, key=lambda row: row["worst_error"])
            what = f"{device} {dtype}: {len(wrong)} of {len(rows)} {kind} wrong: {_told(first)}"
            lines.append(_line(what, _remedy(device, dtype)))
    return lines


def _told(row: dict[str, Any]) -> str:
    """What is wrong with the worst of them."""
    name = row.get("case") or row["method"]
    if row["error"]:
        return f"{name} fails ({row['error']})"
    if row["worst_error"] <= 1:
        return f"{name} spreads a NaN beyond its windows"
    if row["worst_error"] == math.inf:
        return f"{name} gives values that are not finite"
    return f"{name} is off by {row['worst_error']:.3g} times what rounding allows"


def _remedy(device: str, dtype: str) -> str:
    if device == "cpu":
        return "try another build of torch, or OMP_NUM_THREADS=1; results of this one are not to be trusted"
    if dtype in ("bfloat16", "float16"):
        return f"use float32 on {device}, or another driver or build of torch"
    return f"try another driver or build of torch; until then compute on the CPU (--device cpu), not on {device}"


def warned(found: dict[str, Any]) -> list[Line]:
    """What changes results, wastes time or is about to fail, though the numbers checked are right."""
    lines = [_line(row["what"], row["remedy"], row["source"]) for row in found["outside"]]
    lines += [_line(row["what"], row["remedy"], row["source"]) for row in found["known_bad"] if row["level"] != "note"]
    lines += [_line(f"{row['name']}: {row['value']}", row["remedy"]) for row in found["state"] if _differs(row)]
    lines += [_line(row["what"], row["remedy"]) for row in _machine.complaints(found["gpus"], found["distributed"])]
    for row in found["places"]:
        if row["wrong"]:
            lines.append(_line(f"{row['place']} ({row['path']}) {row['wrong']}", row["remedy"]))
    if found["table"]["wrong"]:
        lines.append(_line(f"cost table {found['table']['path']} {found['table']['wrong']}", found["table"]["remedy"]))
    most = found["limits"]["open_files"]
    if most is not None and 0 <= most < _places.FEW_FILES:
        remedy = f"workers and shards need more: ulimit -n {_places.FEW_FILES * 4}"
        lines.append(_line(f"a process may open {most} files", remedy))
    return lines


def _differs(row: dict[str, Any]) -> bool:
    return bool(row["verdict"] == "differs")


def _line(what: str, remedy: str, source: str = "") -> Line:
    return {"what": what, "remedy": remedy, "source": source}
