"""What variants do: windows against chromosomes changed by hand, genomes that disagree, files large and odd."""

import gzip
import json
import math

import numpy as np
import pytest
import strategies
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_recipes import command
from torch import nn

from sigconv import console, explain, models
from sigconv.cli import variants as verb
from sigconv.readers.fasta import Genome
from sigconv.readers.vcf import Variant
from sigconv.transforms import dna

CHROM = "".join(np.random.default_rng(0).choice(list("ACGT"), 200))


class Remembers(nn.Module):
    """Answers with a number that tells sequences apart, and keeps them."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale, self.seen = scale, []

    def forward(self, x):
        self.seen += dna.decode(x)
        return self.scale * (x.double() * torch.arange(1, x.shape[1] + 1)).sum(1, keepdim=True)


def by_hand(variant, length):
    """Both windows, cut out of the chromosome and of the changed one, with unknown letters far beyond its ends."""
    _, start, _, ref, alt = variant
    before = (length - max(len(ref), len(alt))) // 2
    far = "N" * length
    changed = CHROM[:start] + alt + CHROM[start + len(ref) :]
    first = length + start - before
    return [(far + text + far)[first : first + length] for text in (CHROM, changed)]


@given(
    start=st.integers(0, 199),
    lost=st.integers(1, 6),
    alt=st.text("ACGTN", min_size=1, max_size=8),
    length=st.integers(8, 31),
)
@strategies.examples(60)
def test_windows_are_those_of_the_chromosome_and_of_the_changed_one(start, lost, alt, length):
    ref = CHROM[start : start + lost]
    variant, model = Variant("chr1", start, "", ref, alt), Remembers()
    (effect,) = explain.effects(model, [variant], {"chr1": CHROM}, length=length)
    assert model.seen == by_hand(variant, length)
    one, other = (float(Remembers()(dna.encode([text]))) for text in by_hand(variant, length))
    assert (effect.reference, effect.alternate, effect.difference) == (one, other, other - one)
    assert not effect.note
    assert not effect.failed


def test_variants_without_answers_say_why_in_their_order():
    variants = [
        Variant("chr1", 5, "a", CHROM[5], "A"),
        Variant("chr1", 5, "b", "A" if CHROM[5] != "A" else "C", "G"),
        Variant("chr9", 5, "c", "A", "G"),
        Variant("chr1", 199, "d", CHROM[199] + "A", "G"),
        Variant("chr1", 5, "e", CHROM[5], "<DEL>"),
        Variant("chr1", 5, "f", CHROM[5:40], "A"),
        Variant("chr1", 10**12, "g", "A", "G"),
        Variant("1", 5, "h", CHROM[5], "A"),
    ]
    found = list(explain.effects(Remembers(), variants, {"chr1": CHROM}, length=21, batch_size=3))
    assert [effect.variant for effect in found] == variants
    assert [effect.failed for effect in found] == [False, True, True, True, False, True, True, False]
    assert [math.isnan(effect.difference) for effect in found] == [False, *[True] * 6, False]
    notes = [
        "",
        "as the genome has it",
        "no such chromosome",
        "ends beyond chr1",
        "is no sequence",
        "longer than",
        "beyond",
        "",
    ]
    for effect, note in zip(found, notes, strict=True):
        assert note in effect.note
        assert bool(note) == bool(effect.note)
    assert found[0].difference == found[-1].difference, "chr1 and 1 are one chromosome"


def test_letters_that_the_genome_does_not_know_contradict_no_one():
    genome = {"chr1": CHROM[:50].lower() + "NNRN" + CHROM[54:]}
    good = Variant("chr1", 50, "", "ACGT", "A")
    bad = Variant("chr1", 49, "", ("A" if CHROM[49] != "A" else "C") + "CGT", "A")
    model = Remembers()
    found = list(explain.effects(model, [good, bad], genome, length=20))
    assert [effect.failed for effect in found] == [False, True]
    assert model.seen[0] == CHROM[42:50] + "ACGT" + CHROM[54:62], "the window has the variant's own letters"


def test_several_models_answer_in_the_mean_in_parts_of_any_size():
    variants = [Variant("chr1", i, "", CHROM[i], "ACGT"[i % 4]) for i in range(0, 200, 7)]
    alone = [list(explain.effects(Remembers(s), variants, {"chr1": CHROM}, length=15)) for s in (1.0, 3.0)]
    both = list(
        explain.effects([Remembers(1.0), Remembers(3.0)], iter(variants), {"chr1": CHROM}, length=15, batch_size=4)
    )
    for a, b, mean in zip(*alone, both, strict=True):
        assert mean.difference == pytest.approx((a.difference + b.difference) / 2)
    with pytest.raises(ValueError, match="there is no model"):
        list(explain.effects([], variants, {"chr1": CHROM}, length=15))
    with pytest.raises(ValueError, match="length 100000000 of a window is more than"):
        list(explain.effects(Remembers(), variants, {"chr1": CHROM}, length=10**8))
    with pytest.raises(ValueError, match="length 0 must be at least 1"):
        list(explain.effects(Remembers(), variants, {"chr1": CHROM}, length=0))


def test_answers_do_not_wait_for_the_last_variant():
    def endless():
        while True:
            yield Variant("chr1", 5, "", CHROM[5], "A")

    found = explain.effects(Remembers(), endless(), {"chr1": CHROM}, length=15)
    assert [next(found).note for _ in range(1000)] == [""] * 1000


# the command


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A genome, variants of it, and a run's two networks."""
    folder = tmp_path_factory.mktemp("variants")
    (folder / "g.fa").write_text(f">chr1\n{CHROM}\n")
    other = "A" if CHROM[29] != "A" else "C"
    rows = [
        ("1", 20, "rs1", CHROM[19], "ACGT"["ACGT".index(CHROM[19]) - 1]),
        ("chr1", 1, ".", CHROM[0], f"{CHROM[0]}TT,<DEL>"),
        ("chr1", 30, ".", other, "G"),
    ]
    text = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n" + "".join(
        "\t".join(map(str, row)) + "\n" for row in rows
    )
    (folder / "v.vcf").write_text(text)
    (folder / "good.vcf.gz").write_bytes(gzip.compress("".join(text.splitlines(keepends=True)[:3]).encode()))
    for seed, name in enumerate(("network", "network_1")):
        torch.manual_seed(seed)
        models.save_pretrained(models.build("dna:zeng", classes=1, hidden=0), folder / "run" / name)
    return folder


def test_variants_become_a_table_and_those_that_do_not_fit_are_listed(files, tmp_path):
    words = ["variants", files / "v.vcf", files / "g.fa", files / "run"]
    done = command(*words, "-o", tmp_path / "o.tsv", "--json")
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("\n") == 1
    assert "chr1:30 REF" in done.stderr
    record = json.loads(done.stdout.splitlines()[-1])
    assert [record[key] for key in ("variants", "scored", "symbolic", "failed")] == [4, 2, 1, 1]
    header, *rows = [line.split("\t") for line in (tmp_path / "o.tsv").read_text().splitlines()]
    assert header == ["chrom", "pos", "id", "ref", "alt", "ref_score", "alt_score", "difference", "note"]
    assert [row[:3] for row in rows] == [["1", "20", "rs1"], *[["chr1", "1", "."]] * 2, ["chr1", "30", "."]]
    assert [row[5] == "NA" for row in rows] == [False, False, True, True]
    assert all(len(row) == 9 for row in rows)
    nets = [models.from_pretrained(files / "run" / name) for name in ("network", "network_1")]
    window = "N" * 31 + CHROM[:70]  # 101 letters, place 19 in their middle
    changed = window[:50] + rows[0][4] + window[51:]
    with torch.no_grad():
        one, other = (np.mean([float(net(dna.encode([text]))) for net in nets]) for text in (window, changed))
    assert [float(number) for number in rows[0][5:8]] == pytest.approx([one, other, other - one], abs=1e-5)
    done = command("variants", files / "v.vcf", files / "g.fa", files / "run")
    assert done.stdout == (tmp_path / "o.tsv").read_text()


def test_variants_that_all_fit_end_well_and_a_genome_may_be_an_index(files, tmp_path, capsys):
    out = tmp_path / "o.tsv"
    assert (
        verb.main([str(files / p) for p in ("good.vcf.gz", "g.fa", "run/network")] + ["-o", str(out), "--length", "51"])
        == 0
    )
    assert "variants 1  scored 1" in capsys.readouterr().out
    with Genome(files / "g.fa") as genome:
        net, variant = models.from_pretrained(files / "run/network"), Variant("chr1", 19, "", CHROM[19], "A")
        by_index, by_text = (list(explain.effects(net, [variant], g, length=51)) for g in (genome, {"chr1": CHROM}))
    assert by_index == by_text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["v", "g"], "variants takes VCF, FASTA and RUN, not 2"),
        (["v", "g", "r", "--length", "0"], "--length 0 must be 1 to"),
        (["v", "g", "r", "--length", "99999999999"], "--length 99999999999 must be 1 to"),
        (["v", "g", "r", "--target", "-1"], "--target -1 must be 0 to"),
        (["v", "g", "r", "-o", "nowhere/o.tsv"], "there is no such folder"),
    ],
)
def test_a_command_that_cannot_be_meant_is_one_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(console.UsageError, match=message):
        verb.main(words)


def test_a_file_that_breaks_off_leaves_no_table(files, tmp_path):
    (tmp_path / "bad.vcf").write_text((files / "v.vcf").read_text() + "chr1\tx\t.\tA\tG\n")
    with pytest.raises(ValueError, match="line 6: POS 'x' is not a place"):
        verb.main([str(tmp_path / "bad.vcf"), str(files / "g.fa"), str(files / "run"), "-o", str(tmp_path / "o.tsv")])
    assert [path.name for path in tmp_path.iterdir()] == ["bad.vcf"]
