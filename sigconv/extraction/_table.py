"""The one table of pooled features: a row an input, or a record of one; columns by name."""

from __future__ import annotations

import io
import json
from typing import Any

from sigconv import words

Line = dict[str, Any]


def columns(line: Line, banks: dict[str, Any], pools: list[str]) -> list[str]:
    """The names of a line's numbers, as get_feature_names_out has them.

    >>> columns({"bank": "b", "channels": 2}, {"b": {"filters": ["f", "g"]}}, ["mean"])
    ['mean_c0_f', 'mean_c0_g', 'mean_c1_f', 'mean_c1_g']
    """
    bank = banks[line["bank"]]
    return words.columns(pools, 1 if "mixes" in bank else line["channels"], bank["filters"])


def rows(lines: list[Line], banks: dict[str, Any], pools: list[str]) -> tuple[list[str], list[list[Any]]]:
    """The names of all columns and the rows, by path; None where an input has no such column."""
    names: dict[str, int] = {}
    told = {json.dumps([line["bank"], line["channels"]]): columns(line, banks, pools) for line in lines}
    for line in lines:
        for name in told[json.dumps([line["bank"], line["channels"]])]:
            names.setdefault(name, len(names))
    records = any("records" in line for line in lines)
    found = []
    for line in lines:
        places = [names[name] for name in told[json.dumps([line["bank"], line["channels"]])]]
        for record, values in zip(line.get("records", [None]), line["rows"], strict=True):
            row: list[Any] = [None] * len(names)
            for place, value in zip(places, values, strict=True):
                row[place] = float(value)
            found.append([line["path"], *([record] if records else []), *row])
    return ["path", *(["record"] if records else []), *names], found


def tsv(names: list[str], found: list[list[Any]]) -> bytes:
    """Text with a line of names; numbers by their fewest digits, names of files escaped as in JSON.

    >>> tsv(["path", "mean"], [["a b", 0.1], ["tab\\t", float("nan")]])
    b'path\\tmean\\na b\\t0.1\\ntab\\\\t\\tnan\\n'
    """
    lines = [names, *found]
    text = "".join("\t".join(map(_cell, line)) + "\n" for line in lines)
    return text.encode("utf-8", "backslashreplace")


def parquet(names: list[str], found: list[list[Any]]) -> bytes:
    """The same as Parquet, by pyarrow."""
    pyarrow, writer = library()
    columns = list(zip(*found, strict=True)) if found else [()] * len(names)
    arrays = {}
    for name, values in zip(names, columns, strict=True):
        text = name in ("path", "record")
        kept = [None if value is None else _cell(value) for value in values] if text else list(values)
        arrays[name] = pyarrow.array(kept, pyarrow.string() if text else pyarrow.float32())
    file = io.BytesIO()
    writer.write_table(pyarrow.table(arrays), file)
    return file.getvalue()


def library() -> Any:
    """pyarrow and its parquet; ImportError with the remedy."""
    try:
        import pyarrow
        from pyarrow import parquet as writer
    except ImportError:
        raise ImportError("format 'parquet' needs pyarrow: pip install pyarrow") from None
    return pyarrow, writer


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)[1:-1]
    return repr(value)
