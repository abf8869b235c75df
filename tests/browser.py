"""Pages opened in a headless browser, as wide as a phone: what went wrong, what is shown, how tables are sorted."""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to open pages with; .ci/run installs it")
PHONE = 390  # CSS pixels
BLANK = ("", "\u2013")

# In a page, before all else: what goes wrong is kept.
WATCH = """<script>
window.wrong = [];
addEventListener("error", e => wrong.push(e.message || `not loaded: ${e.target.outerHTML.slice(0, 80)}`), true);
addEventListener("unhandledrejection", e => wrong.push(String(e.reason)));
for (const kind of ["error", "warn"]) console[kind] = (...words) => wrong.push(words.join(" "));
</script>"""

# Around the pages, when all of them are there: what each shows, and its tables before and after clicks.
MEASURE = """
const column = table => [...table.tBodies[0].rows].map(row => row.cells[COLUMN]).map(cell =>
  cell ? [cell.textContent, cell.dataset.v ?? null] : ["", null]);
function clicked(table) {
  const head = table.tHead.rows[0].cells[COLUMN], button = head.querySelector("button"), before = column(table);
  button?.focus();
  const found = {before, focus: button !== null && table.ownerDocument.activeElement === button, clicks: []};
  for (const what of [button ?? head, head]) {
    what.click();
    found.clicks.push([head.getAttribute("aria-sort"), column(table)]);
  }
  return found;
}
function measured(frame) {
  const inside = frame.contentWindow, page = inside.document, root = page.documentElement;
  const wide = [root.scrollWidth - inside.innerWidth];
  page.querySelectorAll("details").forEach(part => part.open = true);
  wide.push(root.scrollWidth - inside.innerWidth);
  const long = [...page.querySelectorAll("table")].filter(t => t.tHead && t.tBodies[0].rows.length >= 3);
  return {
    title: page.title, text: page.body.innerText, wide, wrong: inside.wrong,
    pictures: page.images.length,
    missing: [...page.images].filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.alt),
    tables: long.filter(t => t.tHead.rows[0].cells.length > COLUMN).map(clicked),
  };
}
onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(measured);
  document.querySelector("pre").textContent = JSON.stringify(found);
};
"""


def opened(pages: Sequence[str], folder: Path, column: int = 0) -> list[dict[str, Any]]:
    """Each page's wrong, missing, wide (folded, unfolded), text, and tables of three rows or more, one column clicked.

    All are opened by one start of the browser, in frames 390 wide.
    """
    frames = [
        f'<iframe width="{PHONE}" height="800" srcdoc="{html.escape(_watched(page))}"></iframe>' for page in pages
    ]
    script = MEASURE.replace("COLUMN", str(column))
    around = folder / "opened.html"
    around.write_text(f'<!doctype html><meta charset="utf-8">{"".join(frames)}<pre></pre><script>{script}</script>')
    words = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}"]
    words += ["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"]  # as in a bare container
    words += ["--window-size=900,900", "--dump-dom", around.as_uri()]
    told, errors = folder / "told.html", folder / "errors.txt"
    with told.open("wb") as out, errors.open("wb") as err:  # files: pipes would stay open with its helper processes
        browser = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that does not end may have told all the same
            browser.wait(120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)  # its helpers too
        browser.wait(10)
    said = re.search(r"<pre>(\[.*\])</pre>", told.read_text(encoding="utf-8"), re.DOTALL)
    assert said, errors.read_text(encoding="utf-8", errors="replace")
    return json.loads(html.unescape(said[1]))


def _watched(page: str) -> str:
    assert page.count("<head>") == 1
    return page.replace("<head>", f"<head>{WATCH}")


def flaws(found: dict[str, Any]) -> list[str]:
    """What is wrong with an opened page, a line each; none of a good one."""
    lines = [f"error: {line}" for line in found["wrong"]]
    lines += [f"picture {alt!r} is not shown" for alt in found["missing"]]
    names = ("folded", "unfolded")
    lines += [f"{name}, {wide} px too wide" for name, wide in zip(names, found["wide"], strict=True) if wide > 0]
    return lines + [line for table in found["tables"] for line in _unsorted(table)]


def _unsorted(table: dict[str, Any]) -> list[str]:
    """Whether clicks on a heading put a table's rows in order, then in the reverse of it, empty ones last."""
    lines = [] if table["focus"] else ["a heading cannot be reached by keys"]
    for (sort, after), name in zip(table["clicks"], ("ascending", "descending"), strict=True):
        wanted = ordered(table["before"], reverse=name == "descending")
        if sort != name or [key(cell) for cell in after] != wanted:
            lines.append(f"{name}: aria-sort is {sort}, cells are {after}")
        if sorted(map(str, after)) != sorted(map(str, table["before"])):
            lines.append(f"{name}: rows were lost")
    return lines


def key(cell: Sequence[str | None]) -> tuple[int, float, str]:
    """What a cell [text, number] counts as: a number, a word, or nothing."""
    text = (cell[0] or "").strip()
    if cell[1] is not None:
        return (0, float(cell[1]), "")
    if text in BLANK:
        return (2, 0.0, "")
    try:
        return (0, float(text), "")
    except ValueError:
        return (1, 0.0, text)


def ordered(cells: Sequence[Sequence[str | None]], reverse: bool = False) -> list[tuple[int, float, str]]:
    """Numbers by value, words by their code points, what is empty last whichever way."""
    keys = [key(cell) for cell in cells]
    return sorted((k for k in keys if k[0] < 2), reverse=reverse) + [k for k in keys if k[0] == 2]
