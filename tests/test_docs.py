"""The pages: they build with no warning, all their Python runs, every picture is made, every page is found."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("mkdocs", reason="the pages are built by mkdocs-material: pip install 'sigconv[docs]'")
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_make" not in path.parts)


def made(name):
    """A module that makes pages."""
    sys.path.insert(0, str(ROOT / "docs" / "_make"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def site(tmp_path_factory, request):
    """All pages, built as they are published; what a page's Python raises ends it."""
    if not request.config.getoption("--thorough"):
        pytest.skip("it takes minutes to run all pages: --thorough")
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_built_with_the_pictures_it_shows(site):
    for page in PAGES:
        place = page.relative_to(ROOT / "docs")
        html = (site / place.with_suffix(".html")).read_text(encoding="utf-8")
        for picture in made("blocks").pictures(page.read_text(encoding="utf-8")):
            assert picture in html
            assert (site / place.parent / picture).stat().st_size > 1000, (page, picture)


def test_what_blocks_print_stands_below_them(site):
    html = (site / "start" / "features.html").read_text(encoding="utf-8")
    assert "day1/high.npy" in re.sub(r"<[^>]+>", "", html)


def test_the_reference_has_every_public_name(site):
    import sigconv as sc

    html = "".join(path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html"))
    missing = [name for name in dir(sc) if callable(getattr(sc, name)) and f"<code>{name}</code>" not in html]
    assert not missing


def test_nothing_is_fetched_from_elsewhere(site):
    for path in Path(site).rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"https?://(?!squidfunk)[^\"]+\"", html), path


def test_a_block_that_fails_ends_the_build_with_its_place():
    page = "```python\na = 1\n```\nwords\n```python\nassert a == 2\n```\n"
    with pytest.raises(RuntimeError, match="page.md, block 2"):
        made("blocks").run(page, "page.md")


def test_blocks_share_names_and_print_below_themselves():
    blocks = made("blocks")
    page = "```python\na = 1\n```\n\n```python\nprint(a + 1)\nopen('x.png', 'wb').write(b'1')\n```\n![x](x.png)\n"
    done = blocks.run(page, "page.md")
    assert done.printed == ["", "2\n"]
    assert done.files == {"x.png": b"1"}
    assert blocks.pictures(page) == ["x.png"]
    assert "```text\n2\n```" in blocks.told(page, done.printed)
