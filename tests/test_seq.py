"""DeepBind's and Zeng's sequences: told apart by their first line, every row held against the rules."""

import gzip

import hostile_texts
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import seq
from sigconv.readers.seq import Row

DEEPBIND = b"FoldID\tEventID\tseq\tBound\nA\tseq_00001_peak\tTGCCAtn\t1\nB\tseq_00001_shuf\tACGU\t0\n"
ZENG = b">chr20:42901189-42901289 CAGTT 1\n>chr9:120407047-120407147_shuf ACGGC 0\n"


def written(folder, content):
    path = folder / "a.seq.gz"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_two_formats_are_told_apart_by_content(tmp_path):
    assert seq.read(written(tmp_path, DEEPBIND)) == [
        Row("A", "seq_00001_peak", "TGCCATN", True),
        Row("B", "seq_00001_shuf", "ACGT", False),
    ]
    zeng = [Row("", "chr20:42901189-42901289", "CAGTT", True), Row("", "chr9:120407047-120407147_shuf", "ACGGC", False)]
    assert seq.read(written(tmp_path, ZENG)) == zeng
    assert seq.read(written(tmp_path, ZENG.replace(b" ", b"\t").replace(b">", b""))) == zeng


@pytest.mark.parametrize("content", [DEEPBIND, ZENG])
def test_a_file_is_read_whatever_machine_wrote_it(tmp_path, content):
    hostile_texts.check_forms(seq.read, tmp_path / "a.seq", content)


def test_numbers_are_kept_and_yes_or_no_is_bool(tmp_path):
    assert [row.bound for row in seq.read(written(tmp_path, "a AC 1\nb AC 0.0\n"))] == [True, False]
    assert all(isinstance(row.bound, bool) for row in seq.read(written(tmp_path, DEEPBIND)))
    found = [row.bound for row in seq.read(written(tmp_path, "a AC 1\nb AC -2.5e1\n"))]
    assert found == [1.0, -25.0]
    assert all(isinstance(bound, float) for bound in found)


BAD = {
    "empty": ("", "it has no rows"),
    "header only": ("FoldID\tEventID\tseq\tBound\n", "it has no rows"),
    "five columns": ("FoldID\tEventID\tseq\tBound\nA\tb\tAC\t1\t1\n", "line 2: .* is not a fold, a name"),
    "another header": ("Fold\tEvent\tseq\tBound\n", "line 1: .* nor the line FoldID EventID seq Bound"),
    "masked by X": ("a AC 1\nb MKVX 0\n", "line 2: letter 'X' is one of proteins"),
    "protein": ("a AC 1\n\nb AEC 0\n", "line 3: letter 'E' is one of proteins"),
    "no sequence": ("A\t\t1\n", "line 1: the sequence of 'A' is empty"),
    "no name": ("\tAC\t1\n", "line 1: '' is not a name"),
    "what binds": ("a AC 1\nb AC yes\n", "line 2: 'yes' does not say what binds"),
    "no number": ("a AC nan\n", "line 1: 'nan' does not say what binds"),
    "infinite": ("a AC 1e999\n", "line 1: '1e999' does not say"),
    "endless": ("a " + "A" * 2_000_000 + " 1\n", "line 1: it has more than 1048576 bytes"),
    "FASTA": (">a\nACGT\n", "line 1: '>a' is not a name, a sequence"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_rule_is_told_in_one_line_with_file_and_line(tmp_path, case):
    content, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        seq.read(written(tmp_path, content))
    assert "a.seq.gz" in str(caught.value)
    hostile_texts.assert_one_line(str(caught.value), case)


@pytest.mark.parametrize("content", [DEEPBIND, ZENG])
def test_hostile_files_end_in_one_line(tmp_path, content):
    hostile_texts.check_refused(seq.read, tmp_path / "bad.seq", content * 20, b" " * 1000 + b"\n")
    hostile_texts.check_no_file(seq.read, tmp_path)


@examples(200)
@given(st.data(), st.booleans(), st.sampled_from([DEEPBIND, ZENG]))
def test_any_damage_is_read_or_refused(tmp_path_factory, data, packed, content):
    path = tmp_path_factory.mktemp("seq") / "a.seq"
    found = hostile_texts.check_damaged(seq.read, path, gzip.compress(content, mtime=0) if packed else content, data)
    assert found is None or all(row.sequence and set(row.sequence) <= set("ACGTRYSWKMBDHVN") for row in found)


def test_every_file_of_deepbind_is_read(data_root):
    paths = sorted((data_root / "tfbs").rglob("*.seq.gz"))
    if not paths:
        pytest.skip(f"no DeepBind files under {data_root / 'tfbs'}")
    for path in paths:
        rows = seq.read(path)
        with gzip.open(path, "rt") as file:
            lines = [line.rstrip("\n").split("\t") for line in file][1:]
        assert [[row.fold, row.event, row.sequence, str(int(row.bound))] for row in rows] == lines
        assert all(isinstance(row.bound, bool) for row in rows)
