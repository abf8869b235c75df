"""BED and narrowPeak by their rules, the sequences under them, and bedGraph as it is written."""

import gzip

import hostile_texts
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from strategies import examples

from sigconv.readers import bed, bedgraph, fasta
from sigconv.readers.bed import Interval

GOOD = b"chr1\t0\t10\tone\t7\t+\nchr1\t5\t6\ttwo words\t.\t-\nchr2\t1\t3\t.\t1e3\t.\n"
INTERVALS = [
    Interval("chr1", 0, 10, "one", 7.0, "+"),
    Interval("chr1", 5, 6, "two words", 0.0, "-"),
    Interval("chr2", 1, 3, "", 1000.0, "."),
]
LENGTHS = {"chr1": 20, "chr2": 3}


def written(folder, content, name="a.bed"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_file_is_read_whatever_machine_wrote_it(tmp_path):
    assert bed.read(written(tmp_path, GOOD), LENGTHS) == INTERVALS
    hostile_texts.check_forms(bed.read, tmp_path / "a.bed", GOOD)


@pytest.mark.parametrize(
    ("content", "interval"),
    [
        ("chr1\t3\t4", Interval("chr1", 3, 4)),
        ("# said\ntrack name=x\nbrowser position chr1\n\nchr1 3 4\n", Interval("chr1", 3, 4)),
        ("chr1  3  4  name  2.5", Interval("chr1", 3, 4, "name", 2.5)),
        ("tracks\t3\t4\n", Interval("tracks", 3, 4)),
        ("chr1\t3\t9\tn\t0\t-\t3\t9\t255,0,0\t2\t1,1\t0,5", Interval("chr1", 3, 9, "n", 0.0, "-")),
        ("chr1\t3\t9\tn\t0\t.\t7.1\t4.2\t-1", Interval("chr1", 3, 9, "n")),
        ("chr1\t3\t9\tn\t0\t.\t7.1\t4.2\t-1\t5", Interval("chr1", 3, 9, "n", summit=8)),
        ("chr1\t3\t9\tn\t0\t.\t7.1\t4.2\t-1\t-1", Interval("chr1", 3, 9, "n")),
    ],
)
def test_columns_of_bed_broad_peaks_and_narrow_peaks(tmp_path, content, interval):
    assert bed.read(written(tmp_path, content)) == [interval]


BAD = {
    "empty": ("", "it has no intervals"),
    "comments only": ("# nothing\ntrack x\n", "it has no intervals"),
    "two columns": ("chr1\t1\n", "line 1: 'chr1.t1' has 2 columns"),
    "eleven": ("chr1\t1\t2" + "\t0" * 8, "line 1: .* has 11 columns"),
    "another number": ("chr1\t1\t2\nchr1\t1\t2\tname\n", "line 2: .* has 4 columns, the lines before it 3"),
    "float": ("chr1\t1.0\t2\n", "line 1: '1.0' is not a place"),
    "negative": ("chr1\t-1\t2\n", "line 1: '-1' is not a place"),
    "other digits": ("chr1\t1\t٣\n", "line 1: '٣' is not a place"),
    "endless": ("chr1\t1\t" + "9" * 5000, "line 1: '999"),
    "nothing in it": ("#\nchr1\t5\t5\n", "line 2: chr1:5-5 ends before it has begun"),
    "backwards": ("chr1\t6\t5\n", "line 1: chr1:6-5 ends before it has begun"),
    "score": ("chr1\t1\t2\tn\thigh\n", "line 1: score 'high' is not a number"),
    "no number": ("chr1\t1\t2\tn\tnan\n", "line 1: score 'nan' is not a number"),
    "strand": ("chr1\t1\t2\tn\t0\t1\n", "line 1: strand '1' is not one of"),
    "summit": ("chr1\t3\t9\tn\t0\t.\t7\t4\t-1\t6", "line 1: summit '6' is neither within the 6 letters"),
    "no chromosome": ("\t1\t2\n", "line 1: chromosome ''"),
    "beyond": ("chr1\t0\t20\nchr1\t11\t21\n", "line 2: chr1:11-21 goes beyond the 20 letters of 'chr1'"),
    "elsewhere": ("chr1\t0\t20\n1\t1\t2\n", "line 2: chromosome '1' is not in the genome: it has chr1, chr2"),
    "long": ("chr1\t1\t2\t" + "n" * 70_000, "line 1: it has more than 65536 bytes"),
    "no text": (b"chr1\t1\t2\nchr\xff\t1\t2", "line 2: it is not UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_rule_is_told_in_one_line_with_file_and_line(tmp_path, case):
    content, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        bed.read(written(tmp_path, content), LENGTHS)
    assert "a.bed" in str(caught.value)
    hostile_texts.assert_one_line(str(caught.value), case)


def test_hostile_files_end_in_one_line(tmp_path):
    hostile_texts.check_refused(bed.read, tmp_path / "bad.bed", GOOD * 20, b"#" * 1000 + b"\n")
    hostile_texts.check_no_file(bed.read, tmp_path)


@examples(200)
@given(st.data(), st.booleans())
def test_any_damage_is_read_or_refused(tmp_path_factory, data, packed):
    path = tmp_path_factory.mktemp("bed") / "a.bed"
    read = lambda path: bed.read(path, LENGTHS)
    found = hostile_texts.check_damaged(read, path, gzip.compress(GOOD, mtime=0) if packed else GOOD, data)
    assert found is None or all(0 <= item.start < item.end <= LENGTHS[item.chrom] for item in found)


@pytest.fixture
def genome(tmp_path):
    pytest.importorskip("pyfaidx")
    with fasta.Genome(written(tmp_path, ">chr1\nAACCCGGGGT\nTTTTACGTAC\n>chr2\nNAC\n", "a.fa")) as genome:
        yield genome


def test_sequences_are_those_of_the_strand(tmp_path, genome):
    path = written(tmp_path, "chr1\t0\t5\ta\t0\t+\nchr1\t0\t5\tb\t0\t-\nchr2\t0\t3\tc\t0\t.\n")
    assert [letters for _, letters in bed.sequences(path, genome)] == ["AACCC", "GGGTT", "NAC"]
    assert [letters for _, letters in bed.sequences(path, genome, stranded=False)] == ["AACCC", "AACCC", "NAC"]
    assert [window for window, _ in bed.sequences(path, genome)] == bed.read(path, genome)


def test_windows_stand_around_the_summit_or_the_middle(tmp_path, genome):
    peaks = written(tmp_path, "chr1\t2\t12\tp\t0\t.\t1\t1\t1\t3\n")
    for length in range(1, 9):
        ((window, letters),) = bed.sequences(peaks, genome, length)
        assert len(letters) == length
        assert window.start + length // 2 == window.summit == 5
        assert letters == genome.fetch("chr1", window.start, window.end)
    middle = written(tmp_path, "chr1\t2\t12\n")
    assert [(w.start, w.end) for w, _ in bed.sequences(middle, genome, 5)] == [(5, 10)]


def test_a_window_beyond_the_end_is_refused_or_padded(tmp_path, genome):
    path = written(tmp_path, "chr1\t9\t10\nchr1\t0\t2\n")
    with pytest.raises(ValueError, match=r"a\.bed.* line 2: its window chr1:-2-4 goes beyond the 20 letters"):
        bed.sequences(path, genome, 6)
    assert [letters for _, letters in bed.sequences(path, genome, 6, pad=True)] == ["GGGTTT", "NNAACC"]
    path = written(tmp_path, "chr1\t0\t2\tn\t0\t-\n")
    assert bed.sequences(path, genome, 6, pad=True)[0][1] == "GGTTNN"
    path = written(tmp_path, "chr2\t1\t2\n")
    assert bed.sequences(path, genome, 9, pad=True)[0][1] == "NNNNACNNN"
    with pytest.raises(ValueError, match="length 0 of a window"):
        bed.sequences(path, genome, 0)


def test_intervals_beyond_a_genome_are_refused(tmp_path, genome):
    with pytest.raises(ValueError, match="line 1: chr2:0-4 goes beyond the 3 letters of 'chr2'"):
        bed.read(written(tmp_path, "chr2\t0\t4\n"), genome)
    with pytest.raises(ValueError, match="line 1: chromosome 'chr3' is not in the genome"):
        bed.sequences(written(tmp_path, "chr3\t0\t4\n"), genome)


VALUES = st.sampled_from([0.0, -0.0, 0.1, 1e-30, -2.5, 3e20, float("nan")])


@examples(100)
@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64]), st.integers(0, 30), elements=VALUES | st.floats(-1, 1, width=32)
    )
)
def test_a_bedgraph_says_every_value_again(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("bedgraph") / "a.bedGraph"
    bedgraph.write(path, [("chr1", 7, values)], name="track")
    found = np.full(len(values), np.nan, values.dtype)
    last = -1
    header, *lines = path.read_text().splitlines()
    assert header == 'track type=bedGraph name="track"'
    for line in lines:
        chrom, start, end, value = line.split("\t")
        assert chrom == "chr1"
        assert last <= int(start) < int(end)
        found[int(start) - 7 : int(end) - 7] = values.dtype.type(value)
        last = int(end)
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("track", "options", "message"),
    [
        (("chr 1", 0, [1]), {}, "chromosome 'chr 1' is not one"),
        (("chr1", -1, [1]), {}, "start -1 must not be below 0"),
        (("chr1", 5, [1, np.inf]), {}, "chr1: value inf at 6"),
        (("chr1", 5, [[1]]), {}, r"values \(1, 1\) must have one dimension"),
        (("chr1", 5, [1]), {"name": 'a"b'}, "name .* must be printable"),
    ],
)
def test_a_bedgraph_that_cannot_be_is_not_written(tmp_path, track, options, message):
    with pytest.raises(ValueError, match=message):
        bedgraph.write(tmp_path / "a", [track], **options)
    assert not list(tmp_path.iterdir())
