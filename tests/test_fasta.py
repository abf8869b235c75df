"""FASTA: the rules one by one, the same letters whole, in pieces and by index, and one line for what breaks a rule."""

import copy
import gzip
import io
import os

import hostile_texts
import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import _lines, fasta

GOOD = b">chr1 the first\nACGTN\nACG\n\n>chr2\nryswkmbdhv\n>chr3|x y z\nuuaa\n"
RECORDS = [("chr1", "ACGTNACG"), ("chr2", "RYSWKMBDHV"), ("chr3|x", "TTAA")]


def written(folder, content, name="a.fa"):
    path = folder / name
    path.write_bytes(content)
    return path


def joined(pieces):
    """Records put together again from their pieces, each of which must follow the last."""
    records, whole = [], True
    for piece in pieces:
        if whole:
            records.append((piece.name, ""))
        name, letters = records[-1]
        assert (piece.name, piece.start) == (name, len(letters))
        records[-1] = name, letters + piece.letters.decode()
        whole = piece.last
    assert whole
    return records


def test_a_file_is_read_whatever_machine_wrote_it(tmp_path):
    assert fasta.read(written(tmp_path, GOOD)) == RECORDS
    hostile_texts.check_forms(fasta.read, tmp_path / "a.fa", GOOD)


@pytest.mark.parametrize(
    ("content", "records"),
    [
        (b"\n\n>a\n\nAC\n\n\nGT\n\n", [("a", "ACGT")]),
        (b">a\tdescription\nAC GT\n\tAC \n", [("a", "ACGTAC")]),
        (b"> a b\nACGT", [("a", "ACGT")]),
        (b">a\nAcgUutN", [("a", "ACGTTTN")]),
        (">größe\nA\n>größer \xa0\nC".encode(), [("größe", "A"), ("größer", "C")]),
        (b">a caf\xe9\nA", [("a", "A")]),
        (b">a\nA\n>A\nC", [("a", "A"), ("A", "C")]),
        (b">a >b\nAC", [("a", "AC")]),
    ],
)
def test_blanks_case_u_and_descriptions_follow_the_rules(tmp_path, content, records):
    assert fasta.read(written(tmp_path, content)) == records


BAD = {
    "empty": (b"", "it has no records"),
    "blank": (b"\n \n", "it has no records"),
    "text first": (b"\nACGT\n>a\nAC", "line 2: it has text before the first line that begins with '>'"),
    "FASTQ": (b"@a\nACGT\n+\nIIII\n", "line 1: it has text before"),
    "protein": (b">a\nACGT\nMEVL\n", "line 3: letter 'E' is one of proteins"),
    "protein in small": (b">a\nacgt\n>b\n\nmf\n", "line 5: letter 'f' is one of proteins"),
    "gap": (b">a\nAC-GT\n", "line 2: '-' is a gap"),
    "star": (b">a\nACGT*\n", r"line 2: '\*' is no letter of DNA"),
    "digit": (b">a\n1 ACGT\n", "line 2: '1' is no letter of DNA"),
    "zero byte": (b">a\nAC\0GT\n", r"line 2: '\\x00' is no letter"),
    "title that is none": (b">a\nAC\n >b\nAC", "line 3: '>' is no letter"),
    "empty record": (b">a\nAC\n>b\n>c\nAC\n", "line 3: record 'b' is empty"),
    "empty last record": (b">a\nAC\n>b", "line 3: record 'b' is empty"),
    "empty only record": (b">a", "line 1: record 'a' is empty"),
    "no name": (b">a\nAC\n>\nAC\n", "line 3: a record has no name"),
    "blank name": (b"> \t\nAC\n", "line 1: a record has no name"),
    "double name": (b">a one\nAC\n>a two\nAC\n", "line 3: name 'a' is the one of line 1 already"),
    "name that is no text": (b">\xff\xfe\nAC\n", "line 1: name b'.xff.xfe' is not UTF-8"),
    "name that rings": (b">a\x07\nAC\n", "line 1: name 'a.x07' has characters"),
    "endless name": (b">a\nAC\n>" + b"x" * 70_000 + b"\nAC\n", "line 3: a name and its description have more than"),
    "endless name, last": (b">a\nAC\n>" + b"x" * 3_000_000, "line 3: a name and its description have more than"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_rule_is_told_in_one_line_with_file_and_line(tmp_path, case):
    content, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        fasta.read(written(tmp_path, content))
    assert "a.fa" in str(caught.value)
    hostile_texts.assert_one_line(str(caught.value), case)
    with pytest.raises(ValueError, match=message):
        list(fasta.pieces(written(tmp_path, content.replace(b"\n", b"\r\n")), 1))


def test_empty_records_are_taken_when_asked_for(tmp_path):
    path = written(tmp_path, b">a\n>b\nAC\n>c\n")
    assert fasta.read(path, empty=True) == [("a", ""), ("b", "AC"), ("c", "")]
    assert list(fasta.pieces(path, 1, empty=True)) == [
        ("a", 0, b"", True),
        ("b", 0, b"A", False),
        ("b", 1, b"C", True),
        ("c", 0, b"", True),
    ]


RECORD = st.text("ACGTUNRYacgtn", min_size=1, max_size=40)


@examples(150)
@given(
    st.lists(RECORD, min_size=1, max_size=5),
    st.integers(1, 12),
    st.integers(1, 45),
    st.integers(2, 60),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_pieces_are_the_records_wherever_lines_blocks_and_pieces_end(
    tmp_path_factory, records, width, length, block, end
):
    lines = []
    for number, record in enumerate(records):
        lines += [f">r{number} said", *(record[at : at + width] for at in range(0, len(record), width))]
    path = written(tmp_path_factory.mktemp("fasta"), end.join(lines).encode())
    wanted = [(f"r{n}", record.upper().replace("U", "T")) for n, record in enumerate(records)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lines, "BLOCK", block)
        found = list(fasta.pieces(path, length))
    assert joined(found) == wanted == fasta.read(path)
    assert all(len(piece.letters) == length for piece in found if not piece.last)
    assert all(1 <= len(piece.letters) <= length for piece in found if piece.last)


@examples(100)
@given(st.binary(max_size=3), st.integers(2, 9), st.data())
def test_the_line_of_an_error_is_right_wherever_blocks_end(tmp_path_factory, noise, block, data):
    lines = [">a", "ACGT", "", "AC", ">b", "GGG", "TTT"]
    place = data.draw(st.sampled_from([1, 3, 5, 6]))
    lines[place] += "!"
    path = written(tmp_path_factory.mktemp("fasta"), "\n".join(lines).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lines, "BLOCK", block)
        with pytest.raises(ValueError, match=f"line {place + 1}: '!' is no letter"):
            fasta.read(path)


@examples(60)
@given(st.lists(RECORD, min_size=1, max_size=5))
def test_biopython_reads_the_same(tmp_path_factory, records):
    text = "".join(f">r{n} x\n{record}\n" for n, record in enumerate(records))
    theirs = [
        (title.split()[0], letters.upper().replace("U", "T")) for title, letters in SimpleFastaParser(io.StringIO(text))
    ]
    assert fasta.read(written(tmp_path_factory.mktemp("fasta"), text.encode())) == theirs


def test_a_chromosome_on_one_line_is_read_in_pieces(tmp_path):
    path = written(tmp_path, b">chr1\n" + b"ACGTTGCANN" * 500_000)
    found = list(fasta.pieces(path, 1 << 20))
    assert joined(found) == [("chr1", "ACGTTGCANN" * 500_000)]
    assert [len(piece.letters) for piece in found] == [1 << 20] * 4 + [5_000_000 - (4 << 20)]


@pytest.mark.parametrize("read", [fasta.read, lambda path: list(fasta.pieces(path))])
def test_hostile_files_end_in_one_line(tmp_path, read):
    hostile_texts.check_refused(read, tmp_path / "bad.fa", GOOD, b">a\nACGT\n")
    hostile_texts.check_refused(read, tmp_path / "long.fa.gz", b">a\n" + b"ACGT" * 1000, b"N")
    hostile_texts.check_no_file(read, tmp_path)


def test_pieces_find_no_file_before_the_first_is_asked_for(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        fasta.pieces(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="length 0 of a piece"):
        fasta.pieces(written(tmp_path, GOOD), 0)


@examples(200)
@given(st.data(), st.booleans())
def test_any_damage_is_read_or_refused(tmp_path_factory, data, packed):
    path = tmp_path_factory.mktemp("fasta") / "a.fa"
    found = hostile_texts.check_damaged(fasta.read, path, gzip.compress(GOOD, mtime=0) if packed else GOOD, data)
    assert found is None or all(name and set(letters) <= set("ACGTRYSWKMBDHVN") for name, letters in found)


LETTERS = {"chr1": "ACGTACGTNN" * 7 + "AC", "chr2": "RYSW"}


@pytest.fixture(params=["plain", "bgzip"])
def genome_file(request, tmp_path):
    pytest.importorskip("pyfaidx")
    text = "".join(
        f">{n} x\n" + "".join(s[at : at + 11].lower() + "\n" for at in range(0, len(s), 11)) for n, s in LETTERS.items()
    )
    content = text.encode()
    return (
        written(tmp_path, hostile_texts.bgzipped(content), "a.fa.gz")
        if request.param == "bgzip"
        else written(tmp_path, content)
    )


def test_a_genome_is_entered_anywhere(genome_file):
    with fasta.Genome(genome_file) as genome:
        assert genome.lengths == {name: len(letters) for name, letters in LETTERS.items()}
        assert dict(fasta.read(genome_file)) == {name: genome.fetch(name) for name in LETTERS}
        for start in range(0, 73, 5):
            for end in range(start, 73, 7):
                assert genome.fetch("chr1", start, end) == LETTERS["chr1"][start:end]
        assert genome.fetch("chr2", strand="-") == "WSRY"
        assert genome.fetch("chr1", 1, 5, "-") == "TACG"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("chr9",), "no chromosome 'chr9': it has chr1, chr2"),
        (("chr1", 0, 73), "chr1:0-73 is not within the 72 letters"),
        (("chr1", -1, 3), "chr1:-1-3 is not within"),
        (("chr1", 5, 3), "chr1:5-3 is not within"),
        (("chr1", 0, 3, "."), "strand '.' must be"),
    ],
)
def test_a_genome_has_no_places_beyond_its_ends(genome_file, asked, message):
    with fasta.Genome(genome_file) as genome, pytest.raises(ValueError, match=message):
        genome.fetch(*asked)


def test_a_genome_keeps_its_index_beside_it_and_sees_that_it_is_old(tmp_path):
    pytest.importorskip("pyfaidx")
    path = written(tmp_path, b">a\nACGT\n")
    fasta.Genome(path).close()
    assert (tmp_path / "a.fa.fai").read_text() == "a\t4\t3\t4\t5\n"
    path.write_bytes(b">b\nACGTT\n")
    os.utime(tmp_path / "a.fa.fai", (1, 1))
    with fasta.Genome(path) as genome:
        assert genome.lengths == {"b": 5}
    (tmp_path / "a.fa.fai").write_text("b\t4000\t3\t5\t6\n")
    with pytest.raises(ValueError, match="is not its index"):
        fasta.Genome(path)


@pytest.mark.parametrize(
    "index",
    ["b\t4000\t3\t5\t6\n", "a\t5\t3\t5\t6\n", "b\t0\t3\t0\t0\n", "b\t5\t0\t5\t6\n", "b\t5\n", "\xff", "", "a line"],
)
def test_an_index_that_is_not_the_files_is_refused(tmp_path, index):
    pytest.importorskip("pyfaidx")
    path = written(tmp_path, b">b\nACGTT\n")
    (tmp_path / "a.fa.fai").write_text(index)
    with pytest.raises(ValueError, match=r"a\.fa\.fai is not its index: delete that") as caught:
        fasta.Genome(path)
    hostile_texts.assert_one_line(str(caught.value), index)


def test_an_index_that_ends_before_the_file_does_is_refused(tmp_path):
    pytest.importorskip("pyfaidx")
    path = written(tmp_path, b">b\nACGTT\n>c\nAC\n")
    (tmp_path / "a.fa.fai").write_text("b\t5\t3\t5\t6\n")
    with pytest.raises(ValueError, match="is not its index: delete that"):
        fasta.Genome(path)


def test_lines_that_end_by_cr_alone_cannot_be_entered_anywhere(tmp_path):
    pytest.importorskip("pyfaidx")
    with pytest.raises(ValueError, match="its lines end by CR alone"):
        fasta.Genome(written(tmp_path, b">b\rACGTT\r>c\rAC\r"))


@pytest.mark.parametrize("content", [b">a\nACGT\nAC", b">a\nACGT\nACGT", b"> a x\r\nACGT\r\nAC", b">a\nACGTAC"])
def test_a_last_line_may_have_no_end(tmp_path, content):
    pytest.importorskip("pyfaidx")
    path = written(tmp_path, content)
    for _ in range(2):  # with the index it makes, and with the one it finds
        with fasta.Genome(path) as genome:
            assert [(name, genome.fetch(name)) for name in genome.lengths] == fasta.read(path)


def test_a_genome_without_a_place_for_its_index_is_read_all_the_same(tmp_path, monkeypatch):
    pytest.importorskip("pyfaidx")
    path = written(tmp_path, b">a\nACGT\n")

    def closed(*_):
        raise PermissionError("closed")

    monkeypatch.setattr("sigconv.files.writing", closed)
    with fasta.Genome(path) as genome:
        assert genome.fetch("a", 1, 3) == "CG"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.fa"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.fa", b""),
        ("a.fa", b"ACGT\n"),
        ("a.fa", b">a\n>b\nAC\n"),
        ("a.fa", b">a\nAC\n>a\nAC\n"),
        ("a.fa", b">a\nAC\nACGT\nAC\n"),
        ("a.fa", gzip.compress(GOOD, mtime=0)),
        ("a.fa", hostile_texts.bgzipped(GOOD)),
        ("a.fa.gz", gzip.compress(GOOD, mtime=0)),
        ("a.fa.gz", GOOD),
        ("a.fa.gz", hostile_texts.bgzipped(GOOD)[:-28]),
        ("a.fa.gz", hostile_texts.bgzipped(GOOD)[:-70]),
    ],
)
def test_what_has_no_index_is_refused_in_one_line(tmp_path, name, content):
    pytest.importorskip("pyfaidx")
    with pytest.raises(ValueError, match=name) as caught:
        fasta.Genome(written(tmp_path, content, name))
    hostile_texts.assert_one_line(str(caught.value), name)


def test_letters_of_proteins_are_found_when_they_are_fetched(tmp_path):
    pytest.importorskip("pyfaidx")
    with fasta.Genome(written(tmp_path, b">a\nACGTMEVL\n")) as genome:
        assert genome.fetch("a", 0, 4) == "ACGT"
        with pytest.raises(ValueError, match="letter 'E' is one of proteins"):
            genome.fetch("a")


def test_a_genome_goes_to_other_processes(genome_file):
    with fasta.Genome(genome_file) as genome, copy.copy(genome) as sent:
        assert sent.fetch("chr1", 2, 6) == genome.fetch("chr1", 2, 6)
        before, genome._process = genome._index, -1  # as after a fork
        assert genome.fetch("chr1", 2, 6) == LETTERS["chr1"][2:6]
        assert genome._index is not before
