"""Filters as motifs and motifs as filters: sites against a search by hand, log-odds to rounding, files read back."""

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

import sigconv as sc
from sigconv import console, explain, models, plot
from sigconv.blocks import BothStrands, ReverseComplementBatchNorm, ReverseComplementConv
from sigconv.cli import motifs as verb
from sigconv.readers import motif as reader
from sigconv.readers.motif import Motif
from sigconv.transforms import dna
from sigconv.transforms.dna._scores import log_odds, match_scores

EXACT = {"trim": 0.0, "background": (0.25,) * 4}


def tokens(n, length, seed=0, most=4):
    rows = torch.randint(0, most, (n, length), generator=torch.Generator().manual_seed(seed))
    return rows.to(torch.uint8)


def drawn(layer, seed=0):
    """The layer with weights drawn anew by a seed."""
    generator = torch.Generator().manual_seed(seed)
    for p in layer.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return layer


def searched(layer, x, threshold, span, step, before):
    """What detectors counts, by loops: the best window of each sequence, letters beyond its ends unknown."""
    out = layer(x).relu()
    found = {}
    for number in range(out.shape[1]):
        best, place = out[:, number].max(-1)
        counts = np.zeros((4, span))
        sites = 0
        for row, (value, position) in enumerate(zip(best.tolist(), place.tolist(), strict=True)):
            if value <= 0 or value < threshold * best.max().item():
                continue
            sites += 1
            for column in range(span):
                at = position * step - before + column
                token = int(x[row, at]) if 0 <= at < x.shape[1] else 4
                counts[:, column] += 0.25 if token == 4 else np.eye(4)[token]
        if sites:
            found[number] = counts
    return found


@given(
    width=st.integers(1, 6),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.sampled_from(["valid", "same", "full", "causal", 2, (1, 3)]),
    threshold=st.sampled_from([0.0, 0.5, 0.9]),
    seed=st.integers(0, 1000),
)
@strategies.examples(40)
@torch.no_grad()
def test_motifs_are_the_letters_of_each_sequences_best_window(width, stride, dilation, padding, threshold, seed):
    options = {"stride": stride, "dilation": dilation, "padding": [padding] if isinstance(padding, tuple) else padding}
    layer = drawn(sc.Conv(4, 3, width, ndim=1, **options), seed)
    x = tokens(7, 20, seed, most=5)
    ((before, _),) = sc.nd.margins(layer.padding, layer.kernel_size, layer.dilation)
    expected = searched(layer, x, threshold, (width - 1) * dilation + 1, stride, before)
    found = explain.detectors(nn.Sequential(layer, nn.ReLU()), x, threshold=threshold, **EXACT)
    assert {one.number for one in found} == set(expected)
    for one in found:
        np.testing.assert_array_equal(one.motif.matrix, expected[one.number])
        np.testing.assert_array_equal(one.motif.matrix.sum(0), one.motif.sites)
    channels = explain.detectors(nn.Sequential(layer, nn.ReLU()), dna.one_hot(x), threshold=threshold, **EXACT)
    assert [one.motif.matrix.tolist() for one in channels] == [one.motif.matrix.tolist() for one in found]


def test_torchs_own_convolution_text_and_arrays_are_taken():
    layer = drawn(nn.Conv1d(4, 2, 3, padding="same"))
    x = tokens(6, 15)
    expected = explain.motifs(drawn(sc.Conv(4, 2, 3, padding="same", ndim=1)), x)
    for given_ in (dna.one_hot(x), dna.one_hot(x).numpy()):
        assert [m.matrix.tolist() for m in explain.motifs(layer, given_)] == [m.matrix.tolist() for m in expected]
    text = explain.motifs(drawn(sc.Conv(4, 2, 3, padding="same", ndim=1)), dna.decode(x))
    assert [m.matrix.tolist() for m in text] == [m.matrix.tolist() for m in expected]


@pytest.mark.parametrize("strand", [1, -1])
def test_sites_on_either_strand_are_counted_as_the_filter_reads_them(strand):
    weight, _ = explain.filter_of(Motif("M", "", 9 * np.eye(4)[:, [0, 0, 1, 2, 0]]))  # AACGA
    layer = sc.Conv(4, 1, 5, bias=False, ndim=1)
    layer.weight.data = torch.tensor(weight[None], dtype=torch.float32)
    site = "AACGA" if strand > 0 else "TCGTT"
    for model in (BothStrands(layer), BothStrands(nn.Sequential(layer, nn.ReLU()), reduce=None)):
        (found,) = explain.motifs(model, ["TTTT" + site + "TTTTT", "CC" + site + "CCCCCCC"], trim=0)
        assert (found.consensus, found.sites) == ("AACGA", 2)
        np.testing.assert_array_equal(found.matrix, 2 * np.eye(4)[:, [0, 0, 1, 2, 0]])


def test_channels_in_pairs_are_filters_on_both_strands():
    tied, x = drawn(ReverseComplementConv(4, 6, 5)).eval(), tokens(30, 40)
    plain = sc.Conv(4, 3, 5, ndim=1)
    plain.load_state_dict(tied.conv.state_dict())
    expected = explain.detectors(BothStrands(plain), x, **EXACT)
    for rest in ([], [nn.ReLU()], [ReverseComplementBatchNorm(6), nn.ReLU()]):
        found = explain.detectors(nn.Sequential(tied, *rest).eval(), x, **EXACT)
        assert [one.number for one in found] == [one.number for one in expected]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.motif.matrix, other.motif.matrix)


def test_an_answer_is_what_follows_channel_by_channel_makes_of_it():
    x, layer = tokens(40, 30), drawn(sc.Conv(4, 2, 6, ndim=1))
    turned = nn.BatchNorm1d(2)
    turned.weight.data = torch.tensor([1.0, -1.0])
    model = nn.Sequential(layer, turned, nn.ReLU()).eval()
    expected = searched(lambda x: torch.stack([layer(x)[:, 0], -layer(x)[:, 1]], 1), x, 0.5, 6, 1, 0)
    found = {one.number: one.motif.matrix for one in explain.detectors(model, x, **EXACT)}
    scale = 1 / math.sqrt(1 + turned.eps)
    assert scale < 1
    for number, counts in expected.items():
        np.testing.assert_array_equal(found[number], counts)
    silent = nn.Sequential(sc.blocks.BatchNorm(2), nn.ReLU()).eval()
    silent[0].bias.data = torch.tensor([0.0, -1e6])
    assert [one.number for one in explain.detectors(nn.Sequential(layer, silent), x)] == [0]


class Weighed(nn.Module):
    """A weighted sum of each filter's best answer."""

    def __init__(self, weights):
        super().__init__()
        self.conv, self.relu = drawn(sc.Conv(4, len(weights), 5, ndim=1)), nn.ReLU(inplace=True)
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, x):
        return (self.relu(self.conv(x)).amax(-1) * self.weights).sum(1)


def test_filters_come_by_what_they_add_to_the_answer_beyond_what_shuffled_sequences_get():
    model, x = Weighed([0.5, -2.0, 3.0]), tokens(50, 40)
    found = explain.detectors(model, x)
    shuffled = dna.dinucleotide_shuffle(x, torch.Generator().manual_seed(0))
    with torch.no_grad():
        best = [model.relu(model.conv(part)).amax(-1).double().mean(0) for part in (x, shuffled)]
    use = (best[0] - best[1]) * model.weights
    for one in found:
        assert one.use == pytest.approx(float(use[one.number]), abs=1e-5)
    assert [one.use for one in found] == sorted((one.use for one in found), reverse=True)
    assert [one.motif.name for one in found] == [f"filter_{one.number}" for one in found]
    assert explain.motifs(model, x, top=1)[0].name == found[0].motif.name
    both = explain.detectors([model, Weighed([1.0])], x)
    assert {one.motif.name for one in both} == {f"network_0_filter_{n}" for n in range(3)} | {"network_1_filter_0"}


def test_without_one_answer_filters_come_by_their_sites():
    found = explain.detectors(drawn(sc.Conv(4, 4, 5, ndim=1)), tokens(50, 40))
    assert [one.motif.sites for one in found] == sorted((one.motif.sites for one in found), reverse=True)
    assert all(math.isnan(one.use) for one in found)
    several = models.build("dna:zeng", classes=5, hidden=0)
    assert math.isnan(explain.detectors(several, tokens(20, 40))[0].use)
    assert not math.isnan(explain.detectors(several, tokens(20, 40), target=3)[0].use)


@pytest.mark.parametrize(
    "name", ["dna:zeng", "dna:zeng:layers=2", "dna:deepbind", "dna:deepbind:mean=true", "dna:bpnet"]
)
def test_every_dna_model_tells_its_motifs_and_is_left_as_it_was(name):
    torch.manual_seed(0)
    model = models.build(name, output="counts", classes=1) if "bpnet" in name else models.build(name, classes=1)
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = explain.motifs(model, tokens(30, 101))
    assert found
    assert all(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("layer", "sequences", "options", "message"),
    [
        (nn.Linear(4, 2), torch.zeros(1, 4, 4), {}, "a Linear calls no convolution layer"),
        (
            nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Conv2d(2, 2, 2)),
            torch.zeros(1, 4, 9),
            {},
            r"weights \(2, 2, 2, 2\): expected \(filters, 4, width\)",
        ),
        (
            nn.Conv1d(4, 2, 3),
            torch.zeros(1, 4, 9),
            {},
            "first convolution of a Conv1d is given no letter that is known",
        ),
        (nn.Conv1d(4, 2, 3), torch.zeros(1, 3, 9), {}, r"sequences are float32 \(1, 3, 9\): expected text"),
        (nn.Conv1d(4, 2, 3), "ACGT", {}, "'ACGT' is one sequence"),
        (nn.Conv1d(4, 2, 3), torch.zeros(0, 4, 9), {}, "there are no sequences"),
        (nn.Conv1d(4, 2, 3), torch.zeros(1, 4, 9), {"threshold": 2}, "threshold 2 must be from 0 to 1"),
        (nn.Conv1d(4, 2, 3), torch.zeros(1, 4, 9), {"top": 0}, "top 0 must be at least 1"),
        (nn.Conv1d(4, 2, 3), torch.zeros(1, 4, 9), {"background": (1, 0, 0, 0)}, "is not four probabilities"),
    ],
)
def test_what_has_no_motifs_is_one_line(layer, sequences, options, message):
    with pytest.raises(ValueError, match=message) as error:
        explain.motifs(layer, sequences, **options)
    assert "\n" not in str(error.value)


# a motif as a filter


@given(seed=st.integers(0, 10**6), width=st.integers(1, 30))
@strategies.examples(50)
def test_a_motif_comes_back_from_its_filter_and_a_filter_from_its_motif(seed, width):
    rng = np.random.default_rng(seed)
    base = rng.dirichlet([5] * 4)
    motif = Motif("M", "", rng.integers(0, 30, (4, width)) + np.eye(4)[:, rng.integers(0, 4, width)], background=base)
    weight, bias = explain.filter_of(motif, threshold=2.5)
    assert bias == -2.5
    back = explain.motif_of(weight, background=base)
    np.testing.assert_allclose(back.matrix, motif.probabilities(0.25), rtol=0, atol=1e-12)
    np.testing.assert_allclose(explain.filter_of(back)[0], weight, rtol=0, atol=1e-12)
    other = rng.normal(size=(4, width)) * 5
    again, _ = explain.filter_of(explain.motif_of(torch.tensor(other), background=base))
    constants = np.log2((base[:, None] * np.exp2(other)).sum(0))
    np.testing.assert_allclose(again + constants, other, rtol=0, atol=1e-11)


def test_a_filter_of_a_motif_answers_with_its_score():
    motif = Motif("M", "", np.random.default_rng(0).integers(0, 50, (4, 9)))
    weight, bias = explain.filter_of(motif, threshold=1.5)
    x = tokens(5, 60)
    out = sc.conv(x, torch.tensor(weight[None]), torch.tensor([bias], dtype=torch.float64))[:, 0]
    np.testing.assert_allclose(out.numpy() + 1.5, match_scores(x.numpy(), log_odds(motif)), rtol=0, atol=1e-12)


def test_filters_that_are_none_are_one_line():
    with pytest.raises(ValueError, match="motif M never has some letter at place 2: give pseudocount="):
        explain.filter_of(Motif("M", "", [[0.25, 1], [0.25, 0], [0.25, 0], [0.25, 0]], counts=False))
    for weight in (np.zeros((3, 5)), np.zeros((4, 0)), np.full((4, 2), np.nan)):
        with pytest.raises(ValueError, match=r"is not \(4, width\), finite"):
            explain.motif_of(weight)


# pictures


def test_letters_of_a_logo_are_as_high_as_their_information():
    motif = np.array([[8.0, 2, 2], [0, 2, 0], [0, 2, 4], [0, 2, 2]])
    figure, (ax,) = plot.logo([motif], ["M1"])
    extents = [patch.get_path().get_extents() for patch in ax.patches]
    information = 2 + 0.25 * np.log2(0.25) * 2 + 0.5 * np.log2(0.5)
    assert extents[0].y1 == pytest.approx(2)  # A alone, in the first column
    assert extents[2].y1 == pytest.approx(information)  # G above A and T, in the last
    assert ax.get_title("left") == "M1"
    assert plot.png(figure).startswith(b"\x89PNG")
    _, axes = plot.logo([motif, -motif], bits=False)
    assert min(p.get_path().get_extents().y0 for p in axes[1].patches if len(p.get_path())) == pytest.approx(-8)


# the command


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A root with one factor, whose windows hold TGACTCA, and a run folder of a network that looks for it."""
    folder = tmp_path_factory.mktemp("motifs")
    rng = np.random.default_rng(0)
    rows = ["".join(rng.choice(list("ACGT"), 40)) for _ in range(60)]
    bound = [row[:10] + "TGACTCA" + row[17:] for row in rows[:40]]
    place = folder / "root" / "tfbs" / "x"
    place.mkdir(parents=True)
    for suffix, lines in (
        ("AC", [(r, 1) for r in bound]),
        ("B", [*((r, 1) for r in bound), *((r, 0) for r in rows[40:])]),
    ):
        text = "FoldID\tEventID\tseq\tBound\n" + "".join(f"A\ts{i}\t{r}\t{y}\n" for i, (r, y) in enumerate(lines))
        (place / f"JUN_K562_x_{suffix}.seq.gz").write_bytes(gzip.compress(text.encode()))
    run = folder / "run"
    run.mkdir()
    (run / "config.yaml").write_text("factor: JUN_K562\nseed: 1\n")
    weight, bias = explain.filter_of(Motif("M", "", 9 * np.eye(4)[:, [3, 2, 0, 1, 3, 1, 0]]), threshold=4)
    for name in ("network", "network_1"):
        net = models.build("dna:zeng", classes=1, hidden=0, kernels=2, kernel_size=7, dropout=0.0)
        net[0].weight.data = torch.stack([torch.tensor(weight), torch.zeros(4, 7)]).float()
        net[0].bias.data = torch.tensor([bias, 0.0])
        net[-1].weight.data = torch.tensor([[1.0, 0.0]])
        models.save_pretrained(net, run / name)
    (folder / "known.jaspar").write_text(_jaspar())
    (folder / "windows.fa").write_text("".join(f">{i}\n{row}\n" for i, row in enumerate(bound)))
    return folder


def _jaspar():
    rng = np.random.default_rng(1)
    tables = [(f"MA{i}.1 R{i}", rng.dirichlet([0.3] * 4, 8).T * 40) for i in range(60)]
    tables.append(("MA99.1 JUN", 40 * np.eye(4)[:, [3, 2, 0, 1, 3, 1, 0]]))
    rows = lambda counts: "".join(
        f"{c} [ {' '.join(map(str, row.round().astype(int) + 1))} ]\n" for c, row in zip("ACGT", counts, strict=True)
    )
    return "".join(f">{name}\n{rows(counts)}" for name, counts in tables)


def test_motifs_of_a_run_are_written_matched_and_drawn(made, tmp_path):
    from Bio import motifs as peer

    words = ["motifs", made / "run", "--data-root", made / "root", "--match", made / "known.jaspar"]
    done = command(*words, "--of", "filters", "-o", tmp_path / "m.meme", "--logo", tmp_path / "m.png", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.splitlines()[-1])
    assert (record["networks"], record["sequences"], record["motifs"]) == (2, 35, 2)
    best = record["table"][0]
    assert best["motif"] == "network_0_filter_0"
    assert best["consensus"] == "TGACTCA"
    assert best["match_name"] == "JUN"
    assert best["qvalue"] < 0.01
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    with open(tmp_path / "m.meme") as file:
        assert str(peer.parse(file, "minimal")[0].consensus) == "TGACTCA"


def test_patterns_of_a_run_are_what_its_networks_look_at_together(made, tmp_path, capsys):
    words = [str(made / "run"), "--data-root", str(made / "root"), "--match", str(made / "known.jaspar")]
    assert verb.main([*words, "-o", str(tmp_path / "m.jaspar"), "--top", "1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    (best,) = record["table"]
    assert (best["motif"], best["consensus"], best["match_name"]) == ("pattern_0", "TGACTCA", "JUN")
    assert best["sites"] >= 30
    assert 0.5 < best["use"] <= 1
    (written,) = reader.read(tmp_path / "m.jaspar")
    assert written.name == "pattern_0"
    assert round(written.sites) == best["sites"]


def test_motifs_of_a_network_alone_need_sequences(made, tmp_path, capsys):
    out = tmp_path / "m.jaspar"
    words = [str(made / "run" / "network_1"), "-o", str(out), "--of", "filters"]
    assert verb.main([*words, "--sequences", str(made / "windows.fa")]) == 0
    assert reader.read(out)[0].sites == 40
    packed = made / "root" / "tfbs" / "x" / "JUN_K562_x_B.seq.gz"
    assert verb.main([*words, "--sequences", str(packed)]) == 0
    assert reader.read(out)[0].sites == 40, "those that are not bound are left out"
    assert "TGACTCA" in capsys.readouterr().out
    with pytest.raises(console.UsageError, match="does not say which windows it was trained with"):
        verb.main(words)
    (tmp_path / "long.fa").write_text(">chr1\n" + "ACGT" * (1 << 18) + "A\n")
    with pytest.raises(ValueError, match="expected windows, not genomes"):
        verb.main([*words, "--sequences", str(tmp_path / "long.fa")])


def test_long_sequences_are_answered_few_at_a_time():
    class Longest(nn.Module):
        seen = 0

        def __init__(self):
            super().__init__()
            self.conv = sc.Conv(4, 2, 5, ndim=1)

        def forward(self, x):
            self.seen = max(self.seen, x.numel())
            return self.conv(x).amax(2).sum(1)

    explain.detectors(model := Longest(), tokens(9, 100_000))
    assert model.seen == 200_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "where to"),
        (["run", "-o", "m.txt"], "-o 'm.txt' does not end in .meme or .jaspar"),
        (["run", "-o", "m.meme", "--logo", "m.gif"], "--logo 'm.gif' does not end in .png"),
        (["run", "-o", "nowhere/m.meme"], "there is no such folder"),
        (["run", "more", "-o", "m.meme"], "motifs takes one RUN, not 2"),
        (["run", "-o", "m.meme", "--top", "0"], "--top 0 must be at least 1"),
        (["run", "-o", "m.meme", "--of", "all"], "--of 'all' is not one of patterns, filters"),
    ],
)
def test_a_command_that_cannot_be_meant_is_one_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(console.UsageError, match=message):
        verb.main(words)


def test_folders_without_networks_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="holds no network/"):
        verb.main([str(tmp_path), "-o", str(tmp_path / "m.meme")])
    with pytest.raises(FileNotFoundError, match="is no folder"):
        verb.main([str(tmp_path / "none"), "-o", str(tmp_path / "m.meme")])
    (tmp_path / "network").mkdir()
    with pytest.raises(ValueError, match="cannot be used: it has no config.json"):
        verb.main([str(tmp_path), "-o", str(tmp_path / "m.meme")])
