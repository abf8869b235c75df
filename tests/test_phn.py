"""TIMIT's marks of time: strict lines, and one line of error with the number of the one that is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import phn

MARKS = [(0, 3050, "h#"), (3050, 4559, "sh"), (4600, 5723, "ix")]
TEXT = "".join(f"{begin} {end} {label}\n" for begin, end, label in MARKS)


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        "\ufeff" + TEXT,
        TEXT.strip(),
        TEXT + "\x1a",
        TEXT.strip() + "\x1a",
        "\n\n" + TEXT.replace("\n", " \n\n"),
        TEXT.replace(" ", "\t"),
    ],
)
def test_marks_are_read_with_any_line_ends(tmp_path, content):
    (tmp_path / "SA1.PHN").write_bytes(content.encode())
    assert phn.read(tmp_path / "SA1.PHN") == MARKS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has no marks"),
        (b"\n \n", "it has no marks"),
        (b"0 10 a\n10 20\n", "line 2 '10 20' is not"),
        (b"\x1a", "it has no marks"),
        (b"0 10 a\n\x1a\n10 20 b\n", "line 2"),
        (b"0 10 a b\n", "line 1 '0 10 a b' is not"),
        (b"0 1.5 a\n", "line 1"),
        (b"-1 5 a\n", "line 1"),
        ("\u0660 \u0665 a\n".encode(), "line 1"),
        (b"0 10 a\n\n10 10 b\n", "line 3 '10 10 b' ends before it has begun"),
        (b"0 10 a\n9 20 b\n", "line 2 '9 20 b' begins before the last ended"),
        (b"0 10 a\n10 20 \xff\n", "line 2 is not UTF-8"),
        (b"0 " + b"9" * 5000 + b" a", "line 1"),
        (b"0 10 " + b"a" * 5000, "line 1"),
    ],
)
def test_a_line_that_is_none_is_refused_with_its_number(tmp_path, content, message):
    (tmp_path / "a.phn").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        phn.read(tmp_path / "a.phn")
    assert "a.phn" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_words_may_run_into_each_other_and_phones_may_not(tmp_path):
    words = b"7470 11362 she\n11362 16000 had\n15420 17503 your\n"
    for name in ("a.WRD", "a.phn"):
        (tmp_path / name).write_bytes(words)
    assert [mark.label for mark in phn.read(tmp_path / "a.WRD")] == ["she", "had", "your"]
    assert phn.read(tmp_path / "a.phn", overlap=True) == phn.read(tmp_path / "a.WRD")
    with pytest.raises(ValueError, match="line 3"):
        phn.read(tmp_path / "a.phn")
    (tmp_path / "a.WRD").write_bytes(b"10 30 a\n5 20 b\n")
    with pytest.raises(ValueError, match="line 2 '5 20 b' begins before the last began"):
        phn.read(tmp_path / "a.WRD")


def test_what_is_no_file_is_refused(tmp_path, monkeypatch):
    with pytest.raises(OSError, match="is not a regular file"):
        phn.read(tmp_path)
    (tmp_path / "a.phn").write_text(TEXT)
    monkeypatch.setattr(phn, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="more than the 10 read at once"):
        phn.read(tmp_path / "a.phn")


@examples(150)
@given(st.data())
def test_any_damage_is_read_or_refused(tmp_path_factory, data):
    content = bytearray(TEXT.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("marks") / "a.phn"
    path.write_bytes(bytes(content))
    try:
        marks = phn.read(path)
    except ValueError as error:
        said = str(error)
    else:
        said = "a.phn" if all(mark.begin < mark.end for mark in marks) else "nothing"
    assert "a.phn" in said
    assert "\n" not in said
