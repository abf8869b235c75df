"""Pictures of run reports for the pages, taken by a headless chromium: of a desktop's width, and of a phone's.

python docs/_make/shots.py RUN=NAME … [--phone RUN=NAME …] [--into docs/start] writes NAME.png of each run's report.
RUN#HEADING=NAME begins at a heading, by its words or id, instead of at the top.
"""

from __future__ import annotations

import argparse
import html
import io
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = (1000, 2000), (390, 1600)  # CSS pixels
COLOURS = 256  # of a palette: a report is mostly flat
LARGEST = 200_000  # bytes of a picture
SCROLL = """onload = () => [...document.querySelector("iframe").contentDocument.querySelectorAll("h2,h3")]
  .find(one => one.id === HEADING || one.textContent === HEADING).scrollIntoView()"""
START = Path(__file__).resolve().parents[1] / "start"


def main(words: list[str] | None = None) -> None:
    """Read the command line, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=_named, metavar="RUN=NAME")
    parser.add_argument("--phone", nargs="*", type=_named, default=[], metavar="RUN=NAME")
    parser.add_argument("--into", type=Path, default=START)
    asked = parser.parse_args(words)
    for runs, size in ((asked.runs, DESKTOP), (asked.phone, PHONE)):
        for page, heading, name in runs:
            (asked.into / f"{name}.png").write_bytes(smaller(shot(page, size, heading)))


def _named(word: str) -> tuple[Path, str, str]:
    """A run folder's report, the heading to begin at, and what the picture is to be called."""
    place, _, name = word.rpartition("=")
    run, _, heading = place.partition("#")
    page = Path(run) / "report.html"
    if not page.is_file() or not name:
        raise argparse.ArgumentTypeError(f"{word!r}: expected RUN=NAME, and report.html in the folder RUN")
    text = page.read_text(encoding="utf-8")
    if heading and not (f'id="{heading}"' in text or f">{html.escape(heading)}</h" in text):
        raise argparse.ArgumentTypeError(f"{word!r}: the report in {run} has no heading {heading!r}")
    return page, heading, name


def shot(page: Path, size: tuple[int, int], heading: str = "") -> bytes:
    """A page as a window of this size shows it, from its top or a heading on, a PNG.

    The page stands in a frame: a browser's own window cannot be as narrow as a phone.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise RuntimeError(f"none of {', '.join(BROWSERS)} is installed: apt-get install chromium")
    width, height = size
    frame = f'<iframe style="border:0;width:{width}px;height:{height}px" srcdoc="{{}}"></iframe>'
    around = f'<!doctype html><meta charset="utf-8"><style>body{{margin:0;overflow:hidden}}</style>{frame}'
    around = around.replace("{}", html.escape(page.read_text(encoding="utf-8")))
    around += f"<script>{SCROLL.replace('HEADING', json.dumps(heading))}</script>" if heading else ""
    with tempfile.TemporaryDirectory() as folder:
        place, picture = Path(folder) / "page.html", Path(folder) / "page.png"
        place.write_text(around, encoding="utf-8")
        words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        words += [f"--user-data-dir={folder}/browser", f"--window-size={max(width, 600)},{height}"]
        words += [f"--screenshot={picture}", place.as_uri()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        if not picture.is_file():
            raise RuntimeError(f"{browser} took no picture of {page}: {done.stderr.strip()[-300:]}")
        return _cut(picture.read_bytes(), size)


def _cut(picture: bytes, size: tuple[int, int]) -> bytes:
    """What lies in the frame."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as whole:
        return _png(whole.convert("RGB").crop((0, 0, *size)))


def smaller(picture: bytes) -> bytes:
    """The same in a palette; ValueError where that is still larger than a page should carry."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as whole:
        found = _png(whole.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE))
    if len(found) > LARGEST:
        raise ValueError(f"a picture of {len(found)} bytes is larger than {LARGEST}: show less of the page")
    return found


def _png(image: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)  # type: ignore[attr-defined]
    return file.getvalue()


if __name__ == "__main__":
    main()
