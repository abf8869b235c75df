"""The lecture companion: every requirement stands in it once, with the tests that cite it, and none goes untested."""

import importlib.util
import re

import pytest
from conftest import ROOT


def loaded():
    """The page's maker, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("docs_lectures", ROOT / "docs" / "_make" / "lectures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lectures = loaded()
COUNTS = {"CV": 25, "MX": 11, "PD": 9, "ST": 13, "PL": 15, "BP": 9, "RF": 8, "FB": 9, "PC": 19}
COUNTS |= {"AR": 24, "AC": 5, "EX": 17, "VZ": 8, "AP": 6}  # in the lectures' order
SLIPS = 24
AWAITED = set()  # none: every requirement is named by a test

TOML = """\
[lectures]
S0 = "A lecture"
[[group]]
title = "A group"
[group.asks]
QQ1 = ["S0", "One thing."]
QQ12 = ["S0 S1", "Another thing."]
ZZ9 = ["S0", "What nobody has done."]
[[errata]]
id = "E3"
lectures = "S0"
slip = "Wrong."
truth = "Right."
"""
TESTS = """\
def test_qq1_and_qq12_of_one(): "QQ9"
class TestSome:
    def test_of_the_lecture_qq1(self): "zz9"
def zz9(): "no test, and neither is test_zz9_ in a string"
async def test_e3_slips(): pass
def test_QQ1_in_capitals(): pass
def test_sqq1_is_none_of_ours(): pass
"""
CODE = '''\
"""A file (QQ12)."""
def door(): "What is asked (QQ1, QQ1)."
def _hidden():
    "Also QQ1, not QQ123."
    def inside(): "QQ7"
class House:
    "Nothing."
    def room(self): "QQ1"
'''


@pytest.fixture
def tree(tmp_path):
    for place, text in {
        "tests/test_one.py": TESTS,
        "tests/peers/test_two.py": "def test_qq12_qq12_again(): pass\n",
        "tests/helper.py": "def test_zz9_is_not_collected(): pass\n",
        "sigconv/a/_file.py": CODE,
        "recipes/run.py": "def run(): 'QQ2, QQ12'\n",
        "docs/written.md": "By QQ12.\n",
    }.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    (tmp_path / "asked.toml").write_text(TOML)
    return tmp_path


def row(page, name):
    """A line of a table, cell by cell."""
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def page():
    return lectures.pages()["lectures.md"]


def test_every_requirement_stands_in_its_place_once():
    wanted = [f"{kind}{n}" for kind, most in COUNTS.items() for n in range(1, most + 1)]
    assert len(wanted) == 178
    assert lectures.names(lectures.read()) == wanted
    assert [slip["id"] for slip in lectures.read()["errata"]] == [f"E{n}" for n in range(1, SLIPS + 1)]


def test_every_requirement_says_what_and_where_in_words_that_fit_a_table():
    book = lectures.read()
    told = [(name, *said) for group in book["group"] for name, said in group["asks"].items()]
    told += [(slip["id"], slip["lectures"], slip[part]) for slip in book["errata"] for part in ("slip", "truth")]
    for name, where, text in told:
        assert re.fullmatch(r"[A-Z]{1,2}[1-9]\d?", name)
        assert set(where.split()) <= set(book["lectures"]), name
        assert where or name == "E23", f"{name} is of no lecture"
        assert text.endswith("."), name
        assert len(text) < 220, f"{name} is long"
        assert not re.search(r"[|\n<>*_`]|\]\(", text), f"{name} would be read as Markdown"


def test_references_between_requirements_and_slips_hold():
    book = lectures.read()
    every = {*lectures.names(book), *(slip["id"] for slip in book["errata"])}
    text = lectures.ASKED.read_text(encoding="utf-8")
    for inside in re.findall(r"\((?:see )?((?:[A-Z]{1,2}\d+(?:, )?)+)", text):
        assert set(inside.split(", ")) <= every, inside


def test_tests_are_found_by_the_words_of_their_names(tree):
    found = lectures.in_tests(tree)
    assert found["QQ1"] == {"test_one.py": ["test_qq1_and_qq12_of_one", "test_of_the_lecture_qq1"]}
    assert found["QQ12"] == {"test_one.py": ["test_qq1_and_qq12_of_one"], "test_two.py": ["test_qq12_qq12_again"]}
    assert set(found) == {"QQ1", "QQ12", "E3"}


def test_code_is_found_by_its_docstrings(tree):
    found = lectures.in_code(tree)
    assert found["QQ1"] == {"sigconv/a/_file.py": ["door", "House.room"]}
    assert found["QQ12"] == {"sigconv/a/_file.py": [], "recipes/run.py": ["run"], "docs/written.md": []}
    assert "QQ7" not in found, "what stands inside a function is its own affair"
    assert found["QQ2"] == {"recipes/run.py": ["run"]}


def test_the_page_tells_who_fulfils_what_and_what_nobody_does(tree):
    page = lectures.page(tree, tree / "asked.toml")
    assert row(page, "QQ1") == [
        "QQ1",
        "S0",
        "One thing.",
        "`sigconv/a/_file.py`: `door`, `House.room`",
        "`test_one.py`: `test_qq1_and_qq12_of_one`, `test_of_the_lecture_qq1`",
    ]
    assert row(page, "QQ12")[3] == "`sigconv/a/_file.py`<br>`recipes/run.py`: `run`<br>`docs/written.md`"
    assert row(page, "ZZ9")[3:] == ["", "**missing**"]
    assert row(page, "E3") == ["E3", "S0", "Wrong.", "Right.", "`test_one.py`: `test_e3_slips`"]
    assert "**2 of 3** are named by a test" in page
    assert "and 2 are cited" in page
    assert "Without a test: ZZ9." in page
    assert lectures.missing(tree, tree / "asked.toml") == ["ZZ9"]


def test_every_test_that_cites_an_id_is_on_the_page(page):
    """Counted another way: by the words of the files, not by their trees."""
    names = set(lectures.names(lectures.read()))
    for path in (ROOT / "tests").rglob("test_*.py"):
        for test in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            for name in names & {word.upper() for word in test.split("_") if word.islower()}:
                assert f"`{test}`" in row(page, name)[4], f"{path.name}: {test} is not told of by {name}"


def test_a_requirement_without_a_test_is_one_that_is_awaited():
    without = set(lectures.missing())
    assert without <= AWAITED, f"{sorted(without - AWAITED)} have lost their tests, or their tests the ID"


def test_every_slip_has_a_test_that_holds_the_code_to_the_truth(page):
    without = [slip["id"] for slip in lectures.read()["errata"] if row(page, slip["id"])[4] == lectures.MISSING]
    assert not without


def test_a_slip_without_a_test_is_shown_to_have_none(tree):
    (tree / "tests" / "test_one.py").write_text("")
    assert row(lectures.page(tree, tree / "asked.toml"), "E3")[4] == "**missing**"


def test_the_page_has_no_links_and_whole_tables(page):
    assert "](" not in page
    tables = re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE)
    assert len(tables) == len(lectures.read()["group"]) + 1
    for one in tables:
        assert {line.count(" | ") for line in one.splitlines()} == {4}
    assert sum(one.count("\n") - 2 for one in tables) == sum(COUNTS.values()) + SLIPS
