"""Motifs along genomes: the kernel against its definition to the bit, texts against whole records, the command."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from test_recipes import command

from sigconv import console, scan
from sigconv.cli import scan as verb
from sigconv.kernels import _lookups, rows
from sigconv.kernels import motifs as kernel
from sigconv.readers.motif import Motif
from sigconv.scan import _texts
from sigconv.transforms import dna
from sigconv.transforms.dna import _scores


def drawn(rng, number, widest=24):
    """Score matrices as motifs have them, some with letters that may not be."""
    found = []
    for _ in range(number):
        one = np.log2(rng.dirichlet([rng.choice([0.1, 0.5, 3])] * 4, rng.integers(1, widest + 1)).T * 4 + 1e-6)
        one[:, 0] = np.where(rng.random(4) < 0.1, -np.inf, one[:, 0])
        if not np.isfinite(one[:, 0]).any():
            one[0, 0] = 0
        found.append(one)
    return found


def letters(rng, length, unknown=0.02):
    """Tokens with unknown ones strewn in and a long run of them."""
    found = np.where(rng.random(length) < unknown, 4 + rng.integers(0, 200, length), rng.integers(0, 4, length))
    first = rng.integers(0, max(length, 1))
    found[first : first + rng.integers(0, 300)] = 4
    return found.astype(np.uint8)


def together(parts):
    parts = list(parts)
    kinds = (np.int64, np.int32, np.float64)
    return [
        np.concatenate([np.empty(0, kind), *columns])
        for kind, columns in zip(kinds, zip(*parts, strict=True) if parts else [()] * 3, strict=True)
    ]


def same(found, expected):
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@examples(50)
@given(st.integers(0, 2**31), st.integers(0, 40_000), st.sampled_from(["rare", "some", "best", "all", "mixed"]))
def test_the_kernel_finds_what_its_definition_finds_to_the_bit(seed, length, kind):
    rng = np.random.default_rng(seed)
    matrices = drawn(rng, 3 if length > 4000 else 12)
    best = np.array([one.max(0).sum() for one in matrices])
    share = {"rare": 0.7, "some": 0.2, "best": 1, "all": -1e6, "mixed": rng.uniform(-1, 1.2, len(best))}[kind]
    plan = kernel.plan(matrices, np.where(best > 0, best * share, best / np.maximum(share, 0.1)))
    text = letters(rng, length)
    assert same(together(kernel.find(plan, text)), kernel.twin(plan, text))
    count = int(rng.integers(0, length + 1))
    assert same(together(kernel.find(plan, text, count)), kernel.twin(plan, text, count))


def test_where_there_are_too_many_hits_to_hold_blocks_are_halved(monkeypatch):
    rng = np.random.default_rng(0)
    plan, text = kernel.plan(drawn(rng, 5), [-1e9] * 5), letters(rng, 3000)
    monkeypatch.setattr(kernel, "ROOM", 100)
    parts = list(kernel.find(plan, text))
    assert max(len(part.start) for part in parts) <= 100
    assert same(together(parts), kernel.twin(plan, text))


def test_without_numba_the_twin_finds_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    plan, text = kernel.plan(drawn(rng, 5), [3.0] * 5), letters(rng, 40_000)
    expected = together(kernel.find(plan, text))
    monkeypatch.setattr(kernel, "numba_at_hand", lambda: False)
    assert same(together(kernel.find(plan, text)), expected)


@pytest.mark.parametrize("feature", ["avx2", "ssse3", ""])
def test_every_way_to_look_bytes_up_finds_the_same(feature, tmp_path):
    """In a process that is told it has this processor; the widest way is what all other tests go."""
    from llvmlite import binding

    if feature and not binding.get_host_cpu_features().get(feature, False):
        pytest.skip(f"this processor has no {feature}")
    name, more = {"avx2": ("haswell", "+avx,+avx2,+ssse3"), "ssse3": ("core2", "+ssse3"), "": ("generic", "")}[feature]
    told = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": more}
    code = f"""
import numpy as np
from sigconv.kernels import _lookups, motifs as kernel
rng = np.random.default_rng(1)
matrices = [np.log2(rng.dirichlet([0.3] * 4, width).T * 4 + 1e-6) for width in rng.integers(1, 25, 30)]
plan, text = kernel.plan(matrices, rng.uniform(-3, 9, 30)), rng.integers(0, 5, 20_000).astype(np.uint8)
assert _lookups.way().feature == {feature!r}, _lookups.way()
found = [np.concatenate(parts) for parts in zip(*kernel.find(plan, text))]
assert all(np.array_equal(one, other) for one, other in zip(found, kernel.twin(plan, text), strict=True))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | told, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", _lookups.WAYS, ids=lambda way: way.feature)
def test_every_way_is_code_that_its_processor_has(way):
    """Compiled for processors that are not here, too: one shuffle a vector, and no call of anything else."""
    from llvmlite import binding, ir

    triple = "aarch64-unknown-linux-gnu" if way.feature == "neon" else "x86_64-unknown-linux-gnu"
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip(f"llvmlite here makes no code for {triple}")
    module, long, pointer = ir.Module(), ir.IntType(64), ir.IntType(8).as_pointer()
    module.triple = triple
    kind = ir.FunctionType(long, [pointer, long, pointer, long, long, pointer])
    builder = ir.IRBuilder(ir.Function(module, kind, "survivors").append_basic_block())
    builder.ret(_lookups._emit(builder, way, *builder.function.args))
    feature = "+avx512bw,+avx512vbmi" if way.feature == "avx512vbmi" else f"+{way.feature}"
    code = target.create_target_machine(opt=3, features=feature).emit_assembly(binding.parse_assembly(str(module)))
    words = [line.split()[0] for line in code.splitlines() if line.startswith("\t")]
    shuffles = sum(word in ("vpermb", "vpshufb", "pshufb", "tbl") for word in words)
    assert shuffles == way.group // way.lanes
    assert not {"call", "callq", "bl"} & set(words)


def test_matrices_and_thresholds_that_no_window_reaches_find_nothing():
    nowhere = np.array([[-np.inf, 1], [-np.inf, 1], [-np.inf, 1], [-np.inf, 1]])
    plan = kernel.plan([nowhere, np.eye(4), np.eye(4)], [0.0, np.inf, 4.1])
    assert plan.counts.tolist() == [0, 0, 0]
    assert not together(kernel.find(plan, np.arange(4, dtype=np.uint8)))[0].size
    assert not together(kernel.find(kernel.plan([], []), np.zeros(9, np.uint8)))[0].size
    for matrices, bounds in (([np.ones((3, 4))], [0]), ([np.full((4, 2), np.nan)], [0]), ([np.eye(4)], [-np.inf])):
        with pytest.raises(ValueError, match="is not|are not"):
            kernel.plan(matrices, bounds)


def expected_hits(search, sequences, inside=None):
    """Every record by itself, by the definition."""
    found = []
    for name, sequence in sequences:
        tokens = dna.encode(sequence).numpy()
        if inside is not None:
            tokens = np.where(inside[name], tokens, 4)
        start, matrix, score = kernel.twin(search._plan, tokens)
        sides = search.thresholds.shape[1]
        strand = np.where(search._strands[matrix % sides] > 0, "+", "-")
        names = [search.names[one] for one in matrix // sides]
        found += zip(names, [name] * len(start), start.tolist(), strand.tolist(), score.tolist(), strict=True)
    return found


@st.composite
def records(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    lengths = draw(st.lists(st.integers(0, 90), min_size=1, max_size=12))
    return [
        (f"s{n}", "".join("ACGTN"[t] for t in np.minimum(letters(rng, size, 0.05), 4)))
        for n, size in enumerate(lengths)
    ]


@given(records(), st.integers(1, 40), st.sampled_from(["both", "+", "-"]), st.sampled_from([1, 3]))
def test_texts_of_any_length_and_any_number_of_threads_find_what_each_record_holds(found, text, strand, jobs):
    rng = np.random.default_rng(len(found) + text)
    motifs = [Motif(f"m{n}", "", rng.dirichlet([0.3] * 4, rng.integers(1, 12)).T * 20) for n in range(5)]
    search = scan.Search(motifs, threshold=2.0, strand=strand)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_texts, "LENGTH", text)
        told = []
        hits = [row for part in search.stream(found, jobs=jobs, told=lambda n, name: told.append(n)) for row in part]
    assert hits == expected_hits(search, found)
    assert sum(told) == sum(len(sequence) for _, sequence in found)
    whole = scan.hits(motifs, dict(found), threshold=2.0, strand=strand)
    assert list(whole) == hits
    assert list(whole.sequences) == [name for name, _ in found]


@given(
    records(), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 89), st.integers(1, 60)), min_size=1, max_size=8)
)
def test_hits_lie_within_the_union_of_the_regions(tmp_path_factory, found, places):
    sizes = [len(sequence) for _, sequence in found]
    places = [(n % len(found), start, start + size) for n, start, size in places]
    places = [(n, start, min(end, sizes[n])) for n, start, end in places if start < sizes[n]]
    if not places:
        return
    bed = tmp_path_factory.mktemp("regions") / "a.bed"
    bed.write_text("".join(f"s{n}\t{start}\t{end}\n" for n, start, end in places))
    inside = {name: np.zeros(len(sequence), bool) for name, sequence in found}
    for n, start, end in places:
        inside[f"s{n}"][start:end] = True
    motifs = [Motif("m", "", np.array([[5, 1, 1], [1, 5, 1], [1, 1, 5], [1, 1, 1]]))]
    search = scan.Search(motifs, threshold=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_texts, "LENGTH", 16)
        hits = [row for part in search.stream(found, regions=bed) for row in part]
    assert hits == expected_hits(search, found, inside)


def test_hits_of_all_of_jaspar_are_biopythons_on_both_strands(data_root):
    path = next((data_root / "jaspar").glob("*_jaspar.txt"))
    sequence = "".join("ACGT"[t] for t in np.random.default_rng(0).integers(0, 4, 1500))
    from Bio import motifs as bio

    search = scan.Search(path, pvalue=1e-3)
    found = {row[:4]: row[4] for part in search.stream({"one": sequence}) for row in part}
    with open(path) as file:
        theirs = list(bio.parse(file, "jaspar"))
    for motif, (least, _) in zip(theirs, search.thresholds.tolist(), strict=True):
        table = motif.counts.normalize(_scores.PSEUDOCOUNT).log_odds()
        for strand, one in (("+", table), ("-", table.reverse_complement())):
            for start, score in enumerate(np.asarray(one.calculate(sequence)).tolist()):
                ours = found.pop((motif.matrix_id, "one", start, strand), None)
                assert abs(score - least) < 1e-4 or (ours is not None) == (score >= least)
                assert ours is None or abs(ours - score) < 1e-4
    assert not found


def test_thresholds_differ_by_strand_where_the_background_does():
    motif = Motif("m", "", np.array([[9, 9, 9, 9, 9], [1, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 1, 1, 0]]))
    base = [0.4, 0.2, 0.2, 0.2]
    search = scan.Search([motif], pvalue=0.01, background=base)
    one = _scores.log_odds(motif, base)
    assert search.thresholds.tolist() == [[_scores.threshold(side, 0.01, base) for side in (one, one[::-1, ::-1])]]
    assert search.thresholds[0, 0] != search.thresholds[0, 1]


# The command

FASTA = ">one first\nTTACGTAACC\nNNACGT\n>two\nGGGACGTA\n"
JASPAR = ">MA1.1 first\nA [ 9 0 0 0 ]\nC [ 0 9 0 0 ]\nG [ 0 0 9 0 ]\nT [ 0 0 0 9 ]\n"
JASPAR += ">MA2.1 second\nA [ 9 9 0 ]\nC [ 0 0 9 ]\nG [ 0 0 0 ]\nT [ 0 0 0 ]\n"


@pytest.fixture
def made(tmp_path):
    (tmp_path / "m.jaspar").write_text(JASPAR)
    (tmp_path / "g.fa").write_text(FASTA)
    return tmp_path


def run(*words):
    return verb.main([str(word) for word in words])


def test_the_command_writes_hits_in_order_as_tsv_and_bed(made):
    done = command("scan", made / "m.jaspar", made / "g.fa", "--threshold", 5, "--pseudocount", 0, "--json")
    assert done.returncode == 0, done.stderr
    *lines, record = done.stdout.splitlines()
    assert [line.split("\t") for line in lines] == [
        ["motif", "sequence", "start", "strand", "score"],
        ["MA1.1", "one", "2", "+", "8.0000"],
        ["MA1.1", "one", "2", "-", "8.0000"],
        ["MA2.1", "one", "6", "+", "6.0000"],
        ["MA1.1", "one", "12", "+", "8.0000"],
        ["MA1.1", "one", "12", "-", "8.0000"],
        ["MA1.1", "two", "3", "+", "8.0000"],
        ["MA1.1", "two", "3", "-", "8.0000"],
    ]
    record = json.loads(record)
    assert {"motifs": 2, "idle": 0, "sequences": 2, "letters": 24, "hits": 7, "file": None}.items() <= record.items()
    assert (
        run(
            made / "m.jaspar", made / "g.fa", "--threshold", 5, "--format", "bed", "-o", made / "h.bed", "--strand", "+"
        )
        == 0
    )
    assert (made / "h.bed").read_text().splitlines()[1] == "one\t6\t9\tMA2.1\t5.6626\t+"
    assert len((made / "h.bed").read_text().splitlines()) == 4


def test_the_command_reads_what_is_packed_and_takes_every_option(made, capsys):
    with gzip.open(made / "g.fa.gz", "wt") as file:
        file.write(FASTA.lower())
    (made / "r.bed").write_text("two\t0\t8\none\t0\t7\n")
    (made / "b.txt").write_text("# order 0\nA 3.0e-01\nC 2.0e-01\nG 2.0e-01\nT 3.0e-01\n")
    options = ["--pvalue", 0.01, "--regions", made / "r.bed", "--background", made / "b.txt", "--pseudocount", 0.1]
    assert run(made / "m.jaspar", made / "g.fa.gz", *options, "--jobs", 2, "-o", made / "h.tsv", "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["hits"] == 4
    assert "1 of 2 motifs cannot reach --pvalue 0.01: no hits of MA2.1" in told.err
    rows = [line.split("\t") for line in (made / "h.tsv").read_text().splitlines()[1:]]
    assert [(row[1], row[2]) for row in rows] == [("one", "2"), ("one", "2"), ("two", "3"), ("two", "3")]
    assert float(rows[0][4]) == pytest.approx(2 * np.log2(9.1 / 9.4 / 0.3) + 2 * np.log2(9.1 / 9.4 / 0.2), abs=5e-5)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({"g.fa": ">p\nMKVLAAGI\n"}, [], ("g.fa", "line 2", "'L'")),
        ({"g.fa": ">p\n>q\nACGT\n"}, [], ("g.fa", "line 1", "empty")),
        ({"g.fa": ""}, [], ("g.fa", "no records")),
        ({"m.jaspar": ""}, [], ("m.jaspar", "no motifs")),
        ({"m.jaspar": ">m\nA [ ]\nC [ ]\nG [ ]\nT [ ]\n"}, [], ("m.jaspar",)),
        ({"m.jaspar": ">m\nA [ 1 0 ]\nC [ 1 0 ]\nG [ 1 0 ]\nT [ 1 0 ]\n"}, [], ("m.jaspar", "only zeros")),
        ({"r.bed": "three\t0\t5\n"}, ["--regions", "r.bed"], ("r.bed", "line 1", "'three'")),
        ({"r.bed": "one\t0\t5\ntwo\t0\t9\n"}, ["--regions", "r.bed"], ("r.bed", "line 2", "beyond")),
        ({"b": "A .2\nC .2\nG .2\nG .4\n"}, ["--background", "b"], ("'b' line 4",)),
        ({"b": "A .2\nC .2\nG .2\n"}, ["--background", "b"], ("'b'", "no line for T")),
        ({"b": "A .2\nC .2\nG .2\nT .2\n"}, ["--background", "b"], ("'b'", "sum to 1")),
        ({}, ["--background", "nowhere"], ("'nowhere'",)),
        ({}, ["--background", ".5,.5,.5,.5"], ("sum to 1",)),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line_and_nothing_is_left(made, monkeypatch, change, options, words):
    monkeypatch.chdir(made)
    for name, text in change.items():
        (made / name).write_text(text)
    before = sorted(made.iterdir())
    with pytest.raises((ValueError, OSError)) as caught:
        run("m.jaspar", "g.fa", "--threshold", 5, "-o", "out.tsv", *options)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)
    assert sorted(made.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--pvalue", "0"], "pvalue 0"),
        (["--pvalue", "1e-3", "--threshold", "5"], "not both"),
        (["--threshold", "inf"], "threshold inf"),
        (["--pseudocount", "-1"], "pseudocount -1"),
        (["--strand", "x"], "strand 'x'"),
        (["--format", "gff"], "--format 'gff'"),
        (["--jobs", "0"], "--jobs 0"),
        (["-o", "nowhere/x.tsv"], "no such folder"),
        (["more.fa"], "not 3 files"),
        (["--treshold", "5"], "did you mean --threshold"),
    ],
)
def test_what_cannot_be_meant_is_a_matter_of_usage(made, words, told):
    with pytest.raises(console.UsageError, match=told):
        run(made / "m.jaspar", made / "g.fa", *words)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-(10**15), 10**15), st.floats(-1e6, 1e6)), max_size=20),
    st.integers(1, 6),
)
def test_lines_are_what_plain_python_writes(values, digits):
    words, numbers, scores = ([row[n] for row in values] for n in range(3))
    columns = [rows.word(words), rows.decimal(scores, digits), rows.decimal(numbers, 0), rows.word(words)]
    table = rows.Words.of(["", "a", "Łukasz", "chr1"])
    found = rows.text(columns, table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "numba_at_hand", lambda: False)
        assert rows.text(columns, table) == found
    for line, number, score in zip(found.decode().splitlines(), numbers, scores, strict=True):
        assert line.split("\t")[2] == str(number)
        assert abs(float(line.split("\t")[1]) - score) <= 0.501 * 10.0**-digits + 1e-9 * abs(score)
