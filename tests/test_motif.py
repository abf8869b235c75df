"""Motifs: three formats read to the same tables, two written, Biopython the oracle, one line for what breaks a rule."""

import gzip
import io

import hostile_texts
import numpy as np
import pytest
from Bio import motifs as bio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from strategies import examples

from sigconv.readers import motif
from sigconv.readers.motif import Motif

ARNT = np.array([[4, 19, 0, 0, 0, 0], [16, 0, 20, 0, 0, 0], [0, 1, 0, 20, 0, 20], [0, 0, 0, 0, 20, 0]], float)
ROWS = {letter: " ".join(f"{n:g}" for n in row) for letter, row in zip("ACGT", ARNT, strict=True)}
JASPAR = ">MA0004.1\tArnt\n" + "".join(f"{letter}  [ {row} ]\n" for letter, row in ROWS.items())
PLACES = "".join(f"{n:02d}\t" + "\t".join(f"{c:.1f}" for c in place) + "\n" for n, place in enumerate(ARNT.T, 1))
TRANSFAC = f"AC MA0004.1\nXX\nID Arnt\nXX\nDE MA0004.1 Arnt\nPO\tA\tC\tG\tT\n{PLACES}XX\nCC data_type:SELEX\nXX\n//\n"
HEAD = "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\nA 0.3 C 0.2 G 0.2 T 0.3\n\n"
TABLE = "".join(" ".join(f"{p:.6f}" for p in place) + "\n" for place in (ARNT / 20).T)
MEME = f"{HEAD}MOTIF MA0004.1 Arnt\nletter-probability matrix: alength= 4 w= 6 nsites= 20 E= 0\n{TABLE}URL none\n"
FORMATS = {"jaspar": JASPAR, "transfac": TRANSFAC, "meme": MEME}


def written(folder, content, name="a.motifs"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def plain(found):
    """Motifs as what compares equal."""
    return [(m.name, m.alternate, m.matrix.tolist(), m.counts, m.sites, m.background) for m in found]


@pytest.mark.parametrize("name", FORMATS)
def test_the_three_formats_are_told_apart_by_content(tmp_path, name):
    (found,) = motif.read(written(tmp_path, FORMATS[name]))
    assert (found.name, found.alternate, found.width, found.sites) == ("MA0004.1", "Arnt", 6, 20.0)
    assert found.consensus == "CACGTG"
    assert found.counts == (name != "meme")
    np.testing.assert_allclose(found.matrix, ARNT if found.counts else ARNT / 20, rtol=0, atol=1e-12)
    assert found.background == pytest.approx((0.3, 0.2, 0.2, 0.3) if name == "meme" else motif.UNIFORM)
    hostile_texts.check_forms(lambda path: plain(motif.read(path)), tmp_path / "a", FORMATS[name].encode())


@pytest.mark.parametrize(
    "content",
    [
        JASPAR.replace("[", "").replace("]", ""),
        JASPAR.replace("  [ ", " [").replace(" ]", "]"),
        JASPAR.replace("A  ", "a| ").replace("T ", "U "),
        ">MA0004.1 Arnt\n" + "\n".join(ROWS.values()),
        "> MA0004.1   Arnt \n\n" + "\n".join(f"{letter} {ROWS[letter]}" for letter in "TGCA"),
        TRANSFAC.replace("\t", "    "),
        "VV  a table\nXX\n//\n" + TRANSFAC.replace("PO", "P0").replace(".0\n", ".0\tN\n"),
        TRANSFAC.replace("ID Arnt", "ID V$ARNT_01\nNA Arnt"),
    ],
)
def test_the_ways_people_write_the_same_table(tmp_path, content):
    (found,) = motif.read(written(tmp_path, content))
    assert (found.name, found.alternate) == ("MA0004.1", "Arnt")
    np.testing.assert_array_equal(found.matrix, ARNT)


def test_a_table_without_a_name_has_the_files(tmp_path):
    (found,) = motif.read(written(tmp_path, "\n".join(ROWS.values()), "MA0004.1.pfm"))
    assert (found.name, found.consensus) == ("MA0004", "CACGTG")


def test_probabilities_in_a_table_of_counts_are_known_by_their_sums(tmp_path):
    rows = lambda values: (
        ">m\n" + "".join(f"{letter} [ {value} ]\n" for letter, value in zip("ACGT", values, strict=True))
    )
    (found,) = motif.read(written(tmp_path, rows(["0.5", "0.25", "0.25", "0"])))
    assert not found.counts
    (found,) = motif.read(written(tmp_path, rows(["1", "0", "0", "0"])))
    assert found.counts
    assert found.sites == 1


REPORT = f"""********************************************************************************
MEME - Motif discovery tool
********************************************************************************
MEME version 5.5.5 (Release date: Thu Sep 14 08:48:04 2023 +1000)

TRAINING SET
ALPHABET= ACGT
Letter frequencies in dataset:
A 0.249 C 0.251 G 0.251 T 0.249
Background letter frequencies (from file dataset with add-one prior applied):
A 0.249 C 0.251
G 0.251 T 0.249

MOTIF CACGTG MEME-1\twidth =   6  sites =  20  llr = 100  E-value = 1.0e-010
    Motif CACGTG MEME-1 Description
Simplified        A  2911::
    Motif CACGTG MEME-1 position-specific scoring matrix
log-odds matrix: alength= 4 w= 2 n= 100 bayes= 5 E= 1.0e-010
   -12   120  -300     3
   -12   120  -300     3
    Motif CACGTG MEME-1 position-specific probability matrix
letter-probability matrix: alength= 4 w= 6 nsites= 20 E= 1.0e-010
{TABLE}--------------------------------------------------------------------------------
MOTIF  2 width = 2 sites = 3
letter-probability matrix: alength= 4
 .5 .5 0 0
 0 0 1e0 0

Stopped because requested number of motifs (2) found.
"""


def test_a_full_report_of_meme_is_read_as_its_minimal_form(tmp_path):
    first, second = motif.read(written(tmp_path, REPORT))
    assert (first.name, first.alternate, first.sites) == ("CACGTG", "MEME-1", 20.0)
    assert first.background == pytest.approx((0.249, 0.251, 0.251, 0.249))
    assert (second.name, second.alternate, second.width, second.sites) == ("2", "", 2, 0.0)


BAD = {
    "empty": ("", "it has no motifs"),
    "blank": ("\n\n", "it has no motifs"),
    "MEME without motifs": (HEAD, "it has no motifs"),
    "another format": ("\n#motif\n", "line 2: '#motif' begins neither MEME"),
    "three rows": (JASPAR.rpartition("T ")[0], "line 1: motif 'MA0004.1' has not one row each of A C G T"),
    "five rows": (JASPAR + "A [ 1 ]\n", "line 6: a row of A is one too many"),
    "five bare rows": (">m\n" + "1 2\n" * 5, "line 6: a row of T is one too many"),
    "two widths": (">m\nA [1 2]\nC [1]\nG [1 2]\nT [1 2]\n", "line 1: motif 'm' has not one row .*C: 1"),
    "zero width": (">m\nA []\nC []\nG []\nT []\n", r"line 1: motif 'm': a matrix \(4, 0\)"),
    "too wide": (">m\n" + f"{'1 ' * 1001}\n" * 4, r"line 1: motif 'm': a matrix \(4, 1001\)"),
    "name only": (">m\n", "line 1: motif 'm' has not one row"),
    "no name": (">\n1\n1\n1\n1\n", "line 1: motif '': a name is one printable word"),
    "double name": (JASPAR + JASPAR, "line 6: motif 'MA0004.1' is the one of line 1 already"),
    "only zeros": (JASPAR.replace("16 0", "16 0").replace("4 19", "0 19").replace("16", "0"), "line 1: .* place 1 has"),
    "negative": (JASPAR.replace("19", "-19"), "line 1: .* negative or not finite"),
    "no number": (JASPAR.replace("19", "nan"), "line 2: 'nan' is not a number"),
    "endless number": (JASPAR.replace("19", "1e999"), "line 2: '1e999' is not a number"),
    "an open bracket": (JASPAR.replace("]", "", 1), "line 2: .* is not a row like"),
    "TRANSFAC, cut": (TRANSFAC.replace("//\n", ""), "line 1: its last motif does not end by '//'"),
    "TRANSFAC without a table": ("AC m\n//\n", "line 1: motif 'm' has no table"),
    "TRANSFAC of proteins": (TRANSFAC.replace("A\tC\tG\tT", "A\tC\tD\tE"), "line 6: .* is not the first to name four"),
    "TRANSFAC, three numbers": (TRANSFAC.replace("01\t4.0", "01"), "line 7: .* is not a place's four numbers"),
    "MEME of proteins": (
        MEME.replace("ALPHABET= ACGT", "ALPHABET= ACDEFGHIKLMNPQRSTVWY"),
        "line 3: .* alphabet of DNA",
    ),
    "MEME, 20 letters": (MEME.replace("alength= 4", "alength= 20"), "line 11: alength= 20 is not that of DNA"),
    "MEME, no width": (MEME.replace("w= 6", "w= six"), "line 11: w= six is not a motif's width"),
    "MEME, width 0": (MEME.replace("w= 6", "w= 0"), "line 11: w= 0 is not a motif's width"),
    "MEME, too few rows": (MEME.replace("w= 6", "w= 7"), "line 18: 'URL none' is not row 7 of 7"),
    "MEME, cut": (MEME[: MEME.index("0.95")], "line 12: the matrix has 1 rows of 6: cut short"),
    "MEME, cut earlier": (MEME[: MEME.index("letter-prob")], "line 10: motif 'MA0004.1 Arnt' has no letter-prob"),
    "MEME, no motif": (MEME.replace("MOTIF", "motive"), "line 11: a letter-probability matrix follows no MOTIF"),
    "MEME, no sum of one": (MEME.replace("0.950000", "0.850000"), "line 10: .* place 2 sum to 0.9"),
    "MEME, background": (MEME.replace("A 0.3", "A 0.9"), "line 10: .* background"),
    "MEME, half a background": (HEAD.replace("T 0.3", ""), "line 8: .* are not the frequencies"),
    "MEME without its version": (REPORT.replace("MEME version", "MEME"), "no line of it says 'MEME version'"),
    "no text": (JASPAR.encode() + b">\xff\n", "line 6: it is not UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_rule_is_told_in_one_line_with_file_and_line(tmp_path, case):
    content, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        motif.read(written(tmp_path, content))
    assert "a.motifs" in str(caught.value)
    hostile_texts.assert_one_line(str(caught.value), case)


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_files_end_in_one_line(tmp_path, name):
    blank = b" " * 1000 + b"\n"
    hostile_texts.check_refused(motif.read, tmp_path / "bad.motifs", FORMATS[name].encode(), blank)
    hostile_texts.check_no_file(motif.read, tmp_path)


@examples(300)
@given(st.data(), st.booleans(), st.sampled_from([*FORMATS.values(), REPORT]))
def test_any_damage_is_read_or_refused(tmp_path_factory, data, packed, text):
    path = tmp_path_factory.mktemp("motif") / "a.motifs"
    content = gzip.compress(text.encode(), mtime=0) if packed else text.encode()
    found = hostile_texts.check_damaged(motif.read, path, content, data)
    assert found is None or all(np.isfinite(m.probabilities(0.5)).all() for m in found)


MATRICES = (
    st.integers(1, 12)
    .flatmap(lambda width: arrays.arrays(np.float64, (4, width), elements=st.integers(0, 999).map(float)))
    .filter(lambda matrix: (matrix.sum(0) > 0).all())
)
NAMES = st.text(st.characters(categories=["L", "N"]) | st.sampled_from("._:$()-"), min_size=1, max_size=9)


@examples(150)
@given(
    st.lists(st.tuples(NAMES, st.just("") | NAMES, MATRICES), min_size=1, max_size=4, unique_by=lambda item: item[0])
)
def test_what_is_written_is_read_back(tmp_path_factory, tables):
    path = tmp_path_factory.mktemp("motif") / "a.motifs"
    motifs = [Motif(name, alternate, matrix) for name, alternate, matrix in tables]
    motif.write(path, motifs, "jaspar")
    assert plain(motif.read(path)) == plain(motifs)
    motif.write(path, motifs)
    for found, wanted in zip(motif.read(path), motifs, strict=True):
        assert (found.name, found.alternate, found.sites) == (wanted.name, wanted.alternate, wanted.sites)
        np.testing.assert_allclose(found.matrix, wanted.probabilities(), rtol=0, atol=0.5e-9 + 2**-53)


def assert_rounded(counts, made):
    """Biopython's counts are whole ones of MEME's probabilities, which have nine places."""
    exact = made.probabilities() * made.sites
    assert np.abs(np.array(counts) - exact).max() <= 0.5 + made.sites * 0.5e-9


@examples(60)
@given(MATRICES, st.floats(0, 3))
def test_biopython_reads_what_is_written_and_finds_the_same_probabilities(tmp_path_factory, matrix, pseudocount):
    path = tmp_path_factory.mktemp("motif") / "a.motifs"
    made = Motif("M1", "one", matrix)
    for name, reader in [("jaspar", "jaspar"), ("meme", "minimal")]:
        motif.write(path, [made], name)
        (theirs,) = bio.parse(io.StringIO(path.read_text()), reader)
        counts = [theirs.counts[letter] for letter in "ACGT"]
        if name == "meme":
            assert_rounded(counts, made)
        else:
            np.testing.assert_array_equal(counts, matrix)
            normal = theirs.counts.normalize(pseudocounts=pseudocount)
            expected = np.array([normal[letter] for letter in "ACGT"])
            np.testing.assert_allclose(made.probabilities(pseudocount), expected, rtol=1e-14)
            assert made.consensus == str(theirs.consensus)


@examples(60)
@given(MATRICES)
def test_a_motif_reversed_is_biopythons_reverse_complement(matrix):
    made = Motif("M1", "", matrix, background=(0.1, 0.2, 0.3, 0.4))
    theirs = bio.Motif("ACGT", counts={letter: row.tolist() for letter, row in zip("ACGT", matrix, strict=True)})
    turned = theirs.reverse_complement()
    np.testing.assert_array_equal(made.reversed().matrix, [turned.counts[letter] for letter in "ACGT"])
    assert made.reversed().background == (0.4, 0.3, 0.2, 0.1)
    assert plain([made.reversed().reversed()]) == plain([made])


def test_a_matrix_of_probabilities_counts_by_its_sites():
    known = Motif("M1", "", ARNT / 20, counts=False, sites=20)
    np.testing.assert_allclose(known.probabilities(0.7), Motif("M1", "", ARNT).probabilities(0.7), rtol=1e-14)
    unknown = Motif("M1", "", ARNT / 20, counts=False)
    assert unknown.sites == 0
    np.testing.assert_allclose(unknown.probabilities(0.7), known.probabilities(0.7), rtol=1e-14)
    np.testing.assert_allclose(unknown.probabilities(1e6), 0.25, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a b"}, "a name is one printable word"),
        ({"name": "a\n"}, "a name is one printable word"),
        ({"alternate": "a\nb"}, "alternate name .* cannot be printed"),
        ({"matrix": np.ones((3, 4))}, r"a matrix \(3, 4\) is not"),
        ({"matrix": np.ones(4)}, r"a matrix \(4,\) is not"),
        ({"matrix": np.full((4, 2), np.nan)}, "negative or not finite"),
        ({"matrix": np.full((4, 2), 1e308)}, "negative or not finite"),
        ({"matrix": np.full((4, 2), 1e300)}, "place 1 counts 4e"),
        ({"counts": False}, "probabilities of place 1 sum to 20"),
        ({"sites": -1.0}, "-1.0 sites cannot be"),
        ({"background": (1, 0, 0, 0)}, "is not four probabilities"),
        ({"background": (0.1, 0.1, 0.1, 0.1)}, "is not four probabilities"),
    ],
)
def test_a_motif_that_cannot_be_is_none(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        Motif(**{"name": "M1", "alternate": "", "matrix": ARNT} | fields)
    hostile_texts.assert_one_line(str(caught.value), "motif")


def test_what_cannot_be_written_leaves_no_file(tmp_path):
    made = Motif("M1", "two words", ARNT)
    for motifs, format_, message in [
        ([], "meme", "no motifs to write"),
        ([made, made], "meme", "motif 'M1' comes twice"),
        ([made], "homer", "format 'homer' must be 'meme' or 'jaspar'"),
    ]:
        with pytest.raises(ValueError, match=message):
            motif.write(tmp_path / "a", motifs, format_)
    with pytest.raises(ValueError, match="pseudocount -1 must be"):
        made.probabilities(-1)
    assert not list(tmp_path.iterdir())
    motif.write(tmp_path / "a", [made])
    assert motif.read(tmp_path / "a")[0].alternate == "two_words"


def test_all_of_jaspar_is_read_as_biopython_reads_it(data_root, tmp_path):
    paths = sorted((data_root / "jaspar").glob("*.txt"))
    if len(paths) < 2:
        pytest.skip(f"no JASPAR and TRANSFAC files under {data_root / 'jaspar'}")
    ours, transfac = (motif.read(path) for path in paths)
    assert plain(ours) == plain(transfac)
    with open(paths[0]) as file:
        theirs = bio.parse(file, "jaspar")
    assert len(ours) == len(theirs) == 879
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.name, mine.alternate) == (other.matrix_id, other.name)
        np.testing.assert_array_equal(mine.matrix, [other.counts[letter] for letter in "ACGT"])
    motif.write(tmp_path / "a.jaspar", ours, "jaspar")
    assert plain(motif.read(tmp_path / "a.jaspar")) == plain(ours)
    motif.write(tmp_path / "a.meme", ours)
    with open(tmp_path / "a.meme") as file:
        minimal = bio.parse(file, "minimal")
    assert [m.name for m in minimal] == [m.name for m in ours]
    for mine, other in zip(ours, minimal, strict=True):
        assert_rounded([other.counts[letter] for letter in "ACGT"], mine)


@pytest.mark.parametrize(
    "text",
    [
        f">a\nA{' ' * 60_000}[[\n",
        f"MEME version 4\nMOTIF a\nletter-probability matrix: {'x' * 60_000}\n",
        f"MEME version 4\nMOTIF a\nletter-probability matrix: {'a ' * 30_000}\n",
    ],
)
def test_lines_made_to_be_slow_are_refused_at_once(text, tmp_path):
    path = tmp_path / "slow.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"slow\.txt"):
        motif.read(path)


def test_a_name_may_hold_the_word_width(tmp_path):
    path = tmp_path / "m.meme"
    columns = np.full((4, 3), 0.25)
    named = [motif.Motif(name, "", columns, counts=False) for name in ("bandwidth_1", "bandwidth_2")]
    motif.write(path, named)
    assert [one.name for one in motif.read(path)] == ["bandwidth_1", "bandwidth_2"]
    path.write_text(path.read_text().replace("MOTIF bandwidth_1", "MOTIF bandwidth_1 other width = 3 seqs = 2"))
    assert [one.alternate for one in motif.read(path)] == ["other", ""]
