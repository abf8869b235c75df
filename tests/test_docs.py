"""The pages: they build with no warning, all their Python runs, every picture is made, every page is found."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

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
def site(tmp_path_factory):
    """All pages, built as they are published; what a page's Python raises ends it, and so does any warning."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert not done.stderr + done.stdout
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


def page_of(tmp_path, monkeypatch, text):
    """What the hook makes of a folder with one page: the files that are published."""
    from mkdocs.structure.files import File, Files

    hooks = made("hooks")
    monkeypatch.setattr(hooks, "MADE", ())
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "page.md").write_text(text)
    files = Files([File("some/page.md", str(tmp_path), str(tmp_path / "site"), use_directory_urls=False)])
    config = SimpleNamespace(site_dir="", use_directory_urls=False, plugins=SimpleNamespace(_current_plugin="hooks"))
    return {one.src_uri: one for one in hooks.on_files(files, config)}


def test_a_picture_that_a_page_saves_is_published_beside_it(tmp_path, monkeypatch):
    text = "```python\nopen('x.png', 'wb').write(b'1')\n```\n![x](x.png)\n![again](../some/x.png)\n"
    assert page_of(tmp_path, monkeypatch, text)["some/x.png"].content_bytes == b"1"


@pytest.mark.parametrize("name", ["y.png", "../x.png"])
def test_a_picture_that_is_not_made_ends_the_build(tmp_path, monkeypatch, name):
    text = f"```python\nopen('x.png', 'wb').write(b'1')\n```\n![x]({name})\n"
    with pytest.raises(Exception, match=f"some/page.md shows {name}, which neither") as raised:
        page_of(tmp_path, monkeypatch, text)
    assert type(raised.value).__name__ == "PluginError"


def test_a_picture_of_a_page_without_python_has_to_lie_there(tmp_path, monkeypatch):
    with pytest.raises(Exception, match=r"some/page.md shows z.png, which neither"):
        page_of(tmp_path, monkeypatch, "![z](z.png)\n")


def test_pages_are_run_apart_whatever_ran_before():
    page = "```python\nimport builtins, os\nprint(hasattr(builtins, 'left'), os.listdir())\nbuiltins.left = 1\n```\n"
    page += "```python\nopen('here', 'w').close()\n```\n"
    done = made("blocks").run_all({f"page {n}": page for n in range(12)})
    assert list(done) == [f"page {n}" for n in range(12)]
    assert {tuple(run.printed) for run in done.values()} == {("False []\n", "")}
    assert all(len(run.seconds) == 2 for run in done.values())


@pytest.mark.parametrize("end", ["raise SystemExit(0)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_page_that_ends_early_ends_the_build(end):
    with pytest.raises(RuntimeError, match=r"^bad.md: "):
        made("blocks").run_all({"good.md": "```python\n1\n```\n", "bad.md": f"```python\n{end}\n```\n"})


def test_a_page_that_takes_too_long_ends_the_build(monkeypatch):
    blocks = made("blocks")
    monkeypatch.setattr(blocks, "LONGEST", 1)
    with pytest.raises(RuntimeError, match=r"page.md: took longer than 1 s"):
        blocks.run("```python\nwhile True: pass\n```\n", "page.md")


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
    assert len(done.seconds) == 2
    assert blocks.pictures(page) == ["x.png"]
    assert "```text\n2\n```" in blocks.told(page, done.printed)
