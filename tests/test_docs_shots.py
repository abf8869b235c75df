"""Pictures of reports: as wide as they are asked, small, and of run folders that are there."""

import importlib.util
import io

import pytest
from browser import needed
from conftest import ROOT

Image = pytest.importorskip("PIL.Image", reason="pictures are read by pillow: pip install 'sigconv[plot]'")
START = ROOT / "docs" / "start"
PAGE = """<!doctype html><html><head><meta name="viewport" content="width=device-width"><style>
body { margin: 0; background: #0000ff; height: 3000px } @media (max-width: 500px) { body { background: #ff0000 } }
</style></head><body></body></html>"""


@pytest.fixture(scope="module")
def shots():
    """The script, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("docs_shots", ROOT / "docs" / "_make" / "shots.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needed
def test_a_report_is_shown_as_a_desktop_and_as_a_phone_show_it(shots, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.html").write_text(PAGE)
    run = tmp_path / "run"
    shots.main([f"{run}=wide", "--phone", f"{run}=narrow", "--into", str(tmp_path)])
    for name, size, colour in (("wide", shots.DESKTOP, (0, 0, 255)), ("narrow", shots.PHONE, (255, 0, 0))):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.size == size
            assert {colour} == {c for _, c in picture.convert("RGB").getcolors()}, f"{name}: all of the page, no bars"


@needed
@pytest.mark.parametrize("heading", ["there", "By its words"])
def test_a_report_is_shown_from_a_heading_on(shots, tmp_path, heading):
    style = "position: absolute; left: 0; right: 0; height: 3000px; margin: 0; background:"
    parts = f'<h2 style="{style} #ff0000">Top</h2><h3 id="there" style="{style} #00ff00; top: 3000px">By its words</h3>'
    (tmp_path / "report.html").write_text(PAGE.replace("<body>", f"<body>{parts}"))
    shots.main([f"{tmp_path}#{heading}=low", "--into", str(tmp_path)])
    with Image.open(tmp_path / "low.png") as picture:
        assert picture.convert("RGB").getpixel((900, 1000)) == (0, 255, 0)


def test_a_heading_that_a_report_has_not_is_a_word_that_cannot_be(shots, tmp_path, capsys):
    (tmp_path / "report.html").write_text(PAGE)
    with pytest.raises(SystemExit):
        shots.main([f"{tmp_path}#there=low"])
    assert "has no heading 'there'" in capsys.readouterr().err


def test_a_folder_without_a_report_is_a_word_that_cannot_be(shots, tmp_path, capsys):
    with pytest.raises(SystemExit):
        shots.main([f"{tmp_path}=name"])
    assert "expected RUN=NAME, and report.html in the folder RUN" in capsys.readouterr().err


def test_a_picture_that_is_too_large_for_a_page_is_refused(shots, monkeypatch):
    file = io.BytesIO()
    Image.effect_noise((100, 100), 90).convert("RGB").save(file, format="PNG")
    assert len(shots.smaller(file.getvalue())) < 12_000
    monkeypatch.setattr(shots, "LARGEST", 1000)
    with pytest.raises(ValueError, match="larger than 1000: show less"):
        shots.smaller(file.getvalue())


@pytest.mark.parametrize("place", sorted(START.glob("*.png")), ids=lambda place: place.name)
def test_pictures_that_pages_carry_are_small_and_shown(shots, place):
    assert place.stat().st_size <= shots.LARGEST
    with Image.open(place) as picture:
        assert picture.width in (shots.DESKTOP[0], shots.PHONE[0])
    assert any(f"]({place.name})" in page.read_text(encoding="utf-8") for page in START.glob("*.md"))
