"""The DNA recipes on made data: figures that hang together, files others can read, runs that go on."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sigconv import models
from sigconv.cli import motifs as motifs_verb
from sigconv.cli import variants as variants_verb
from sigconv.datasets import planted_motif as planted
from sigconv.readers import motif as motif_file
from sigconv.readers.motif import Motif
from sigconv.recipes import _banks, _binding, _kmers
from sigconv.recipes.dna_binding import dna_binding
from sigconv.recipes.dna_table import dna_table
from sigconv.recipes.planted_motif import likeness, motif_layer, planted_motif
from sigconv.train import auroc, run
from sigconv.transforms import dna

SURE = planted.consensus("CACGTGACCA", 0.97, "MA1.1")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two factors that bind one strong motif, in DeepBind's files, and motifs to compare with."""
    place = tmp_path_factory.mktemp("data")
    folder = place / "tfbs" / "lab"
    folder.mkdir(parents=True)
    for seed, name in enumerate(("GENE_cell", "OTHER_cell")):
        x, y = planted.generate(1200, motif=SURE, length=40, seed=seed)
        bound = dna.decode(x[y == 1])
        free = dna.decode(dna.dinucleotide_shuffle(x[y == 1][400:], torch.Generator().manual_seed(seed)))
        for part, rows in (
            ("AC", [(t, 1) for t in bound[:400]]),
            ("B", [(t, 1) for t in bound[400:]] + [(t, 0) for t in free]),
        ):
            with gzip.open(folder / f"{name}_lab_{part}.seq.gz", "wt") as file:
                file.write("FoldID\tEventID\tseq\tBound\n")
                file.writelines(f"A\tseq_{i}\t{text}\t{bound}\n" for i, (text, bound) in enumerate(rows))
    (place / "jaspar").mkdir()
    rng = np.random.default_rng(0)
    known = [Motif("MA1.1", "GENE", SURE.matrix * 100)]
    known += [
        Motif(f"MA{n}.1", f"X{n}", np.rint(100 * rng.dirichlet([0.3] * 4, 10).T) + [[1]] * 4) for n in range(2, 60)
    ]
    motif_file.write(place / "jaspar" / "made_jaspar.txt", known, format="jaspar")
    return place


SHORT = ["--epochs", "6", "--windows", "400", "--batch-size", "64"]


@pytest.fixture(scope="module")
def record(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    small = [*SHORT, "--restarts", "2", "--members", "2", "--data-root", str(root), "--out", str(out)]
    return run(dna_binding, ["--factor", "GENE_cell", *small])


def test_ap2_binding_is_learned_and_its_motif_is_the_factors_own(record):
    metrics = record["metrics"]
    assert record["test_size"] == 400
    assert metrics["auroc"] > 0.95
    assert metrics["auroc_low"] < metrics["auroc"] <= metrics["auroc_high"]
    assert metrics["auroc_ridge"] > 0.6
    assert "CACGTGACCA" in metrics["motif"] or "TGGTCACGTG" in metrics["motif"]
    assert metrics["motif_match"] == "GENE MA1.1"
    assert metrics["motif_own_qvalue"] < 1e-3


def test_ap2_a_run_leaves_networks_and_motifs_that_others_read(record, root, tmp_path, capfd):

    from Bio import motifs as theirs

    folder = Path(record["run_folder"])
    written = folder / "motifs.meme"
    with open(written) as file:
        assert len(theirs.parse(file, "minimal")) == len(motif_file.read(written))
    nets = [models.from_pretrained(folder / name) for name in ("network", "network_1")]
    x, y = planted.generate(50, motif=SURE, length=40, seed=9)
    answers = torch.stack([net(x).squeeze(1) for net in nets]).mean(0)
    assert auroc(answers, y) > 0.9
    again = tmp_path / "again.meme"
    assert motifs_verb.main([str(folder), "-o", str(again), "--data-root", str(root), "--json"]) == 0
    told = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert told["networks"] == 2
    assert again.read_bytes() == written.read_bytes()


def test_ap2_a_run_says_what_variants_do(record, tmp_path, capfd):
    site = "".join(dna.LETTERS[i] for i in SURE.matrix.argmax(0))
    genome, variants = tmp_path / "g.fa", tmp_path / "v.vcf"
    genome.write_text(f">chr1\n{'ACTTGATTCAGG' * 3}{site}{'ACTTGATTCAGG' * 3}\n")
    at = 36 + 3
    variants.write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"chr1\t{at + 1}\tbreaks\t{site[3]}\tA\t.\t.\t.\nchr1\t3\tfar\tT\tG\t.\t.\t.\n"
    )
    out = tmp_path / "v.tsv"
    assert variants_verb.main([str(variants), str(genome), record["run_folder"], "-o", str(out)]) == 0
    header, *rows = (line.split("\t") for line in out.read_text().splitlines())
    change = {row[header.index("id")]: float(row[header.index("difference")]) for row in rows}
    assert change["breaks"] < -0.3
    assert change["breaks"] < change["far"]


def test_ap2_a_search_tries_settings_by_lot_and_takes_the_best(root, tmp_path):
    small = ["--epochs", "4", "--windows", "100", "--restarts", "1", "--members", "1", "--trials", "2"]
    found = run(dna_binding, ["--factor", "OTHER_cell", *small, "--data-root", str(root), "--out", str(tmp_path)])
    assert 0.5 <= found["metrics"]["auroc"] <= 1
    first, again = (_binding.drawn(torch.Generator().manual_seed(3), 300.0) for _ in range(2))
    assert first == again
    assert _binding.ENDS["lr"][0] <= first.train["lr"] <= _binding.ENDS["lr"][1]
    with pytest.raises(ValueError, match="members 3 must be 1 to 2"):
        run(dna_binding, ["--restarts", "2", "--members", "3", "--out", str(tmp_path)])
    with pytest.raises(ValueError, match="factor 'NONE' is not one of"):
        run(dna_binding, ["--factor", "NONE", "--data-root", str(root), "--out", str(tmp_path)])


def test_ap2_the_table_goes_on_where_it_stopped(root, tmp_path, capfd):
    small = ["--epochs", "2", "--windows", "50", "--restarts", "1", "--members", "1", "--data-root", str(root)]
    first = run(dna_table, [*small, "--out", str(tmp_path)])
    assert first["metrics"]["factors"] == 2
    assert first["metrics"]["with_known_motif"] == 1
    assert first["test_size"] == 800
    capfd.readouterr()
    again = run(dna_table, ["--resume", first["run_folder"]])
    assert again["metrics"] == first["metrics"]
    assert "going on after 2 trainings" in capfd.readouterr().err

    assert (Path(first["run_folder"]) / "factors" / "GENE_cell" / "motifs.meme").is_file()


def test_the_ridge_on_words_is_scikit_learns(root):
    from sklearn.linear_model import Ridge

    from sigconv.datasets import chip_seq

    parts = chip_seq.load(root, factor="GENE_cell")
    found = _kmers.ridge(parts, k=4)
    counts = [dna.kmer_counts(part.x, 4).numpy() for part in parts]
    theirs = Ridge(alpha=found.strength).fit(counts[0], parts.train.y.numpy())
    expected = theirs.predict(counts[2])
    np.testing.assert_allclose(found.scores.numpy() + float(parts.train.y.mean()), expected, atol=1e-5)


def test_a_planted_motif_is_read_as_well_as_can_be(tmp_path):
    found = run(planted_motif, ["--samples", "4000", "--epochs", "6", "--lr", "5e-3", "--out", str(tmp_path)])[
        "metrics"
    ]
    assert found["auroc_oracle"] - 0.02 < found["auroc"] <= found["auroc_oracle"] + 0.003
    assert found["motif_correlation"] > 0.95


@pytest.mark.parametrize("front_end", ["gabor", "haar", "pwm"])
@pytest.mark.parametrize("learned", [[], ["--learned"]])
def test_front_ends_stand_before_the_detectors_and_beside_none(front_end, learned, tmp_path):
    small = ["--samples", "1500", "--epochs", "3", "--length", "40", "--out", str(tmp_path)]
    found = run(planted_motif, ["--front-end", front_end, *learned, *small])["metrics"]
    assert 0.55 < found["auroc"] <= 1
    assert 0.55 < found["auroc_without_front_end"] <= 1


def test_a_detector_made_from_a_motif_scores_as_the_motif_does():
    motif = planted.consensus("TGACTCA", 0.8)
    conv = motif_layer([motif], learned=False)
    x = torch.randint(0, 4, (3, 30), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    scores = dna.match_scores(x, dna.log_odds(motif, pseudocount=0.05))
    answers = conv(x)[:, 0, 6:-6]
    assert np.corrcoef(answers.numpy().ravel(), scores.ravel())[0, 1] > 1 - 1e-6
    assert not conv.weight.requires_grad
    never = motif_file.Motif("M", "", np.eye(4), counts=False, sites=20)  # as MEME files often have it
    assert torch.isfinite(motif_layer([never], learned=False).weight).all()


def test_what_would_be_ignored_is_refused(tmp_path, root):
    with pytest.raises(ValueError, match="motif 'USF1' is one of a file: give --motifs FILE too"):
        run(planted_motif, ["--motif", "USF1", "--out", str(tmp_path)])
    with pytest.raises(ValueError, match="learned is for a front end"):
        run(planted_motif, ["--learned", "--out", str(tmp_path)])
    assert not list(tmp_path.glob("*/*"))


def test_f17_the_table_does_not_go_on_with_other_motifs(root, tmp_path):
    small = ["--epochs", "1", "--windows", "20", "--restarts", "1", "--members", "1", "--factors", "OTHER_cell"]
    shutil.copytree(root, tmp_path / "data")
    first = run(dna_table, [*small, "--data-root", str(tmp_path / "data"), "--out", str(tmp_path / "runs")])
    other = tmp_path / "data" / "jaspar" / "made_jaspar.txt"
    motif_file.write(other, [Motif("MA1.1", "GENE", SURE.matrix * 100)], format="jaspar")
    with pytest.raises(ValueError, match="has trainings on other data"):
        run(dna_table, ["--resume", first["run_folder"]])


def test_the_table_leaves_out_a_factor_whose_files_cannot_be_used_and_keeps_the_others(root, tmp_path, capfd):
    small = ["--epochs", "1", "--windows", "20", "--restarts", "1", "--members", "1"]
    shutil.copytree(root, tmp_path / "data")
    (bad,) = (tmp_path / "data").rglob("OTHER_cell*_AC.seq.gz")
    bad.write_bytes(bad.read_bytes()[:-40])
    place = ["--data-root", str(tmp_path / "data"), "--out", str(tmp_path / "runs")]
    found = run(dna_table, [*small, *place, "--factors", "GENE_cell,OTHER_cell,GENE_cell"])["metrics"]
    assert (found["factors"], found["left_out"]) == (1, 1)
    assert "OTHER_cell is left out: " in capfd.readouterr().err
    with pytest.raises(ValueError, match="none of the 1 factors can be used: OTHER_cell"):
        run(dna_table, [*small, *place, "--factors", "OTHER_cell"])


def test_likeness_is_one_of_a_motif_with_itself_on_either_strand_anywhere():
    motif = planted.consensus("TGACTCA", 0.8)
    wide = Motif("w", "", np.concatenate([np.full((4, 3), 0.25), motif.matrix], 1), counts=False)
    assert likeness(wide, motif) == pytest.approx(1)
    assert likeness(wide.reversed(), motif) == pytest.approx(1)
    assert likeness(planted.consensus("GGGGGGG", 0.8), motif) < 0.6


@pytest.mark.parametrize("kind", _banks.STILL)
@pytest.mark.parametrize("ndim", [1, 2])
def test_banks_answer_every_channel_in_real_numbers(kind, ndim):
    x = torch.rand(2, 3, *(24,) * ndim)
    fixed, learned = _banks.Responses(kind, ndim), _banks.Responses(kind, ndim, learnable=True)
    y = fixed(x)
    assert y.shape == (2, 3 * fixed.filters, *(24,) * ndim)
    torch.testing.assert_close(y[:, : fixed.filters], fixed(x[:, :1]))
    torch.testing.assert_close(learned(x)[..., 8:-8], y[..., 8:-8], atol=1e-4, rtol=1e-4)
    learned(x).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in learned.parameters())
    assert not any(p.requires_grad for p in fixed.parameters())
