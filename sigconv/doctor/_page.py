"""The examination for a person to read, and to paste into a bug report: aligned, short, what is wrong last."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from sigconv.doctor._places import size

WIDTH = 116


def report(found: dict[str, Any]) -> str:
    """What examine found, as a page of text."""
    parts = [_head(found), _installed(found), _state(found), _errors(found), _disk(found), _together(found)]
    lines = [line for part in parts for line in [*part, ""]]
    return "\n".join([*lines, *_last(found)])


def _head(found: dict[str, Any]) -> Iterator[str]:
    limits, gpu = found["limits"], found["gpus"]
    yield f"sigconv {found['sigconv']}, Python {found['python']}, {found['threads']} threads"
    yield f"  {found['platform']}"
    yield f"  {found['processor']}, {size(limits['memory_free_bytes'])} of {size(limits['memory_bytes'])} memory free"
    yield f"  devices: {', '.join(found['devices'])}"
    for row in gpu["each"]:
        yield f"    {row['device']}: capability {row['capability']}, {size(row['memory_bytes'])}"
    if gpu["usable"]:
        yield f"    CUDA {gpu['built_for']}, cuDNN {gpu['cudnn']}, NCCL {gpu['nccl'] or '(missing)'}"


def _installed(found: dict[str, Any]) -> Iterator[str]:
    named = [f"{name}~{version or '(missing)'}" for name, version in found["versions"].items()]  # ~ is not wrapped at
    yield "versions"
    for line in textwrap.wrap(", ".join(named), WIDTH, initial_indent="  ", subsequent_indent="  "):
        yield line.replace("~", " ")
    whole = [row["extra"] for row in found["extras"] if row["complete"]]
    if whole:
        yield f"  extras that are here: {', '.join(whole)}"
    for row in found["extras"]:
        if not row["complete"]:
            yield f"  extra {row['extra']} lacks {', '.join(row['missing'])}: {row['remedy']}"
    for row in found["known_bad"]:
        if row["level"] == "note":
            yield from _wrapped(f"  note: {row['what']}; {row['remedy']}", "    ")


def _state(found: dict[str, Any]) -> Iterator[str]:
    yield "torch in this process"
    rows = found["state"]
    names, values = (max(len(row[key]) for row in rows) for key in ("name", "value"))
    for row in rows:
        remedy = f": {row['remedy']}" if row["verdict"] == "note" else ""
        yield f"  {row['name']:<{names}}  {row['value']:<{values}}  {row['verdict']}{remedy}"


def _errors(found: dict[str, Any]) -> Iterator[str]:
    """A line per device and precision, a column per kind of check."""
    methods = list(dict.fromkeys(row["method"] for row in found["checks"]))
    kinds = list(dict.fromkeys(row["kind"] for row in found["golden"]))
    columns = kinds + methods
    yield "worst errors, in units of what is allowed (1 is the most; ! is more, or a failure, or a NaN that spreads)"
    yield f"  {'':<18}{'golden values':<{10 * len(kinds)}}{'methods against float64 sums'}"
    yield f"  {'device':<8}{'dtype':<10}" + "".join(f"{name:<10}" for name in columns).rstrip()
    for device, dtype in dict.fromkeys((row["device"], row["dtype"]) for row in [*found["checks"], *found["golden"]]):
        mine = [row for row in [*found["golden"], *found["checks"]] if (row["device"], row["dtype"]) == (device, dtype)]
        cells = [_cell([row for row in mine if name in (row.get("kind"), row.get("method"))]) for name in columns]
        yield f"  {device:<8}{dtype:<10}" + "".join(f"{cell:<10}" for cell in cells).rstrip()


def _cell(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "-"
    worst = max(row["worst_error"] for row in rows)
    short = f"{worst:.2g}" if worst < 10 else f"{worst:.0f}" if worst < 1e5 else f"{worst:.0e}"
    return short + ("" if all(row["kept"] for row in rows) else "!")


def _disk(found: dict[str, Any]) -> Iterator[str]:
    yield "disk and caches"
    for row in found["places"]:
        there = "" if row["there"] else ", not made yet"
        room = f"{size(row['free_bytes'])} free of {size(row['total_bytes'])}"
        state = "" if row["writable"] else ", cannot be written"
        yield f"  {row['place']:<14}{room:<30}{row['path']}{there}{state}"
    for row in found["caches"]:
        yield f"  {'cache of':<14}{row['cache'] + ': ' + size(row['bytes']):<30}{row['path']}"
    table = found["table"]
    origin = "measured here" if table["of_this_machine"] else "shipped; sigconv doctor --calibrate measures here"
    yield f"  {'cost table':<14}{table['digest']} ({table['wrong'] or origin})"
    limits = found["limits"]
    yield f"  {'open files':<14}{_many(limits['open_files'])}, {_many(limits['open_files_most'])} at most"


def _many(count: int | None) -> str:
    return "?" if count is None else "unlimited" if count < 0 or count > 1 << 40 else str(count)


def _together(found: dict[str, Any]) -> Iterator[str]:
    both = found["distributed"]
    yield "many processes"
    backends = ", ".join(both["backends"]) or "no backend"
    torchs = f"with {backends}" if both["available"] else "(missing)"
    yield f"  torch.distributed {torchs}, Fabric {both['fabric'] or '(missing)'}"
    told = ", ".join(f"{name}={value}" for name, value in both["variables"].items())
    yield from _wrapped(f"  {told or 'no launcher: this process stands alone'}", "  ")


def _last(found: dict[str, Any]) -> Iterator[str]:
    """Warnings, then what is broken, then the verdict."""
    for title in ("warnings", "problems"):
        for number, line in enumerate(found[title], start=1):
            if number == 1:
                yield title
            source = f" [{line['source']}]" if line["source"] else ""
            yield from _wrapped(f"  {number}. {line['what']}{source}", "     ")
            yield from _wrapped(f"     -> {line['remedy']}", "        ")
        if found[title]:
            yield ""
    yield "every promise is kept" if found["healthy"] else "some promises are not kept on this machine"


def _wrapped(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
