"""Peaks of ChIP-seq: DeepBind's files and Zeng's folders, any factor of them, shuffles for what is not bound."""

import gzip
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from sigconv.datasets import chip_seq
from sigconv.train.fingerprint import fingerprint
from sigconv.transforms import dna

RNG = np.random.default_rng(5)


def windows(n, letters=40):
    return ["".join(RNG.choice(list("ACGT"), letters)) for _ in range(n)]


def deepbind(path, bound, free=()):
    rows = ["FoldID\tEventID\tseq\tBound"]
    rows += [f"A\tseq_{i:05}_peak\t{text}\t1" for i, text in enumerate(bound)]
    rows += [f"A\tseq_{i:05}_shuf\t{text}\t0" for i, text in enumerate(free)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.write("\n".join(rows) + "\n")


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "tfbs" / "some_lab"
    deepbind(place / "ABC1_cell_(x-1)_Lab_AC.seq.gz", windows(50))
    deepbind(place / "ABC1_cell_(x-1)_Lab_B.seq.gz", windows(8), windows(8))
    for name in ("XYZ_cell_one", "XYZ_cell_two"):
        deepbind(place / f"{name}_AC.seq.gz", windows(30))
        deepbind(place / f"{name}_B.seq.gz", windows(4), windows(4))
    deepbind(place / "LONE_cell_AC.seq.gz", windows(30))
    zeng = tmp_path / "tfbs" / "wgEncodeX"
    zeng.mkdir()
    for name, n in (("train.data", 40), ("test.data", 10)):
        lines = [f">chr1:{i} {text} {i % 2}" for i, text in enumerate(windows(n))]
        (zeng / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_every_factor_under_the_root_is_found_by_its_short_name_or_the_whole(root):
    assert set(chip_seq.factors(root)) == {"ABC1_cell", "XYZ_cell_one", "XYZ_cell_two", "wgEncodeX"}
    assert chip_seq.factors(root / "tfbs" / "some_lab").keys() == {"ABC1_cell", "XYZ_cell_one", "XYZ_cell_two"}
    assert chip_seq.found(root, "ABC1_cell").ranked
    assert chip_seq.found(root, "ABC1_cell_(x-1)_Lab") == chip_seq.found(root, "ABC1_cell")
    with pytest.raises(ValueError, match=r"factor 'NO_cell' is not one of those under .*: ABC1_cell, XYZ_cell_one"):
        chip_seq.load(root, factor="NO_cell")
    with pytest.raises(FileNotFoundError, match=r"factor 'LONE_cell' has nothing to be tested on: no .*_cell_B\.seq"):
        chip_seq.load(root, factor="LONE_cell")


def test_what_is_not_bound_is_a_shuffle_of_what_is(root):
    train, valid, test = chip_seq.load(root, factor="ABC1_cell", seed=3)
    assert (len(train), len(valid), len(test)) == (88, 30, 16)
    assert train.x.dtype == torch.uint8
    pairs = lambda row: Counter(zip(row.tolist(), row.tolist()[1:], strict=False))
    for part in (train, valid):
        many = int(part.y.sum())
        assert part.y.tolist() == [1.0] * many + [0.0] * (len(part) - many)
        assert all(pairs(part.x[i % many]) == pairs(x) for i, x in enumerate(part.x))
    together = torch.cat([train.x[:44], valid.x[:6]])
    assert len(together.unique(dim=0)) == 50  # nothing is in both


def test_shuffles_are_new_each_time_and_their_own_generators_function(root):
    train, valid, _ = chip_seq.load(root, factor="ABC1_cell")
    rows = torch.tensor([0, 60, 70])
    made = [train.batch(rows, [torch.Generator().manual_seed(s) for s in seeds])[0] for seeds in ((1, 2, 3), (1, 9, 3))]
    assert torch.equal(made[0][[0, 2]], made[1][[0, 2]])
    assert not torch.equal(made[0][1], made[1][1])
    assert torch.equal(train.item(60, torch.Generator().manual_seed(2))[0], made[0][1])
    assert torch.equal(valid.batch(torch.tensor([7]), [torch.Generator()])[0], valid.x[[7]])
    assert not train.ready
    assert valid.ready


def test_the_strongest_are_drawn_most_often_and_each_item_is_its_generators():
    bound = torch.arange(64)[:, None].div(torch.tensor([1, 4, 16]), rounding_mode="floor").remainder(4).to(torch.uint8)
    bound = torch.cat([bound, torch.zeros(64, 6, dtype=torch.uint8)], 1)  # letters say which window it is
    data = chip_seq.Drawn(bound, windows=4000, tilt=20)
    rows = torch.arange(8000)
    generators = lambda: [torch.Generator().manual_seed(int(i)) for i in rows]
    x, y = data.batch(rows, generators())
    assert torch.equal(x, data.batch(rows, generators())[0])
    assert y.tolist() == [1.0] * 4000 + [0.0] * 4000
    places = (x[:4000, :3].long() * torch.tensor([1, 4, 16])).sum(1)
    seen = torch.bincount(places, minlength=64).double()
    wanted = 1 / (1 + torch.arange(64) / 20)
    expected = 4000 * wanted / wanted.sum()
    assert stats.chisquare(seen.numpy(), expected.numpy() / expected.sum().item() * 4000).pvalue > 1e-3
    assert torch.equal(data.item(4100, torch.Generator().manual_seed(4100))[0], x[4100])
    assert len({tuple(row) for row in chip_seq.Drawn(bound, 9, tilt=0).batch(rows[:9], generators())[0].tolist()}) > 5
    with pytest.raises(ValueError, match="tilt -1 must be 0 .all alike. or more"):
        chip_seq.Drawn(bound, 1, -1)


def test_the_strongest_stand_first_in_the_file(root):
    everything = chip_seq.load(root, factor="ABC1_cell", seed=1).train
    few = chip_seq.load(root, factor="ABC1_cell", seed=1, strongest=10).train
    rows = dna.decode(chip_seq._read(chip_seq.found(root, "ABC1_cell").train).x)
    places = [rows.index(text) for text in dna.decode(few.x[:10])]
    assert places == sorted(places)
    assert places == [rows.index(text) for text in dna.decode(everything.x[:44])][:10]


def test_occupancy_takes_the_files_own_unbound_windows(root):
    train, valid, test = chip_seq.load(root, factor="wgEncodeX", task="occupancy")
    assert (len(train), len(valid), len(test)) == (36, 4, 10)
    assert valid.y.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert 0 < train.y.mean() < 1
    assert train.ready
    assert (
        len(chip_seq.load(root, factor="wgEncodeX").train) == 36
    )  # eighteen of the twenty bound ones, and their shuffles
    with pytest.raises(ValueError, match="has fewer than 8 unbound windows: take the task discovery"):
        chip_seq.load(root, factor="ABC1_cell", task="occupancy")
    with pytest.raises(ValueError, match="task 'binding' is not one of"):
        chip_seq.load(root, factor="ABC1_cell", task="binding")


def test_what_is_chosen_by_is_like_what_is_tested_on(tmp_path):
    place = tmp_path / "tfbs"
    deepbind(place / "LONG_cell_AC.seq.gz", rows := windows(1400))
    deepbind(place / "LONG_cell_B.seq.gz", windows(8), windows(8))
    _, valid, _ = chip_seq.load(tmp_path, factor="LONG_cell", seed=4)
    places = [rows.index(text) for text in dna.decode(valid.x[:125])]
    assert max(places) < 1000
    assert places == sorted(places)
    assert int(valid.y.sum()) == 125
    deepbind(place / "FEW_cell_AC.seq.gz", windows(7))
    deepbind(place / "FEW_cell_B.seq.gz", windows(8), windows(8))
    with pytest.raises(ValueError, match="FEW_cell_AC.seq.gz' has 7 bound windows: expected 8 or more"):
        chip_seq.load(tmp_path, factor="FEW_cell")


def test_zengs_windows_are_of_no_order_and_all_may_be_held_back(tmp_path):
    lines = [f">chr1:{i} {text} 1" for i, text in enumerate(windows(4000))]
    place = tmp_path / "tfbs" / "zeng"
    place.mkdir(parents=True)
    for name in ("train.data", "test.data"):
        (place / name).write_text("\n".join([*lines, f">chr2:1 {windows(1)[0]} 0"]) + "\n")
    assert not chip_seq.found(tmp_path, "zeng").ranked
    whole = dna.encode([line.split()[1] for line in lines]).numpy()
    place_of = {row.tobytes(): i for i, row in enumerate(whole)}
    parts = chip_seq.load(tmp_path, factor="zeng", strongest=300, seed=1)
    for part, most in ((parts.train, 300), (parts.valid, 500)):
        bound = part.x[part.y == 1]
        rows = [place_of[row.tobytes()] for row in bound.numpy()]
        assert len(rows) == most
        assert abs(np.mean(rows) / 4000 - 0.5) < 4 / np.sqrt(12 * most)  # four standard errors
    assert torch.equal(parts.train.x, chip_seq.load(tmp_path, factor="zeng", strongest=300, seed=1).train.x)


def test_files_that_tell_nothing_apart_are_said(root):
    deepbind(root / "tfbs" / "some_lab" / "ABC1_cell_(x-1)_Lab_B.seq.gz", windows(8))
    with pytest.raises(ValueError, match="has windows of one kind only"):
        chip_seq.load(root, factor="ABC1_cell")
    with pytest.raises(FileNotFoundError, match="is no folder"):
        chip_seq.load(root / "elsewhere", factor="ABC1_cell")


def test_the_eighteen_factors_at_hand(data_root):
    known = chip_seq.factors(data_root)
    assert len(known) == 18
    train, valid, test = chip_seq.load(data_root, factor="USF1_HepG2")
    assert (len(train), len(valid), len(test)) == (2 * (21390 - 125), 5 * 125, 1000)
    assert test.x.shape == (1000, 101)
    assert chip_seq.load(data_root, factor="SUZ12_H1-hESC").train.x.max() == 4  # one letter is none of A C G T


def test_windows_shorter_than_others_are_shuffled_between_their_flanks(tmp_path):
    place = tmp_path / "tfbs"
    lengths = RNG.integers(20, 40, 60)
    deepbind(place / "SOME_cell_AC.seq.gz", [windows(1, n)[0] for n in lengths])
    deepbind(place / "SOME_cell_B.seq.gz", windows(8), windows(8))
    train, valid, _ = chip_seq.load(tmp_path, factor="SOME_cell")
    rows = torch.arange(len(train))
    drawn = train.batch(rows, [torch.Generator().manual_seed(i) for i in range(len(train))])[0]
    bound = train.x[train.y == 1]
    again = chip_seq.Drawn(bound, 50).batch(torch.arange(100), [torch.Generator().manual_seed(i) for i in range(100)])[
        0
    ]
    for x in (train.x, valid.x, drawn, again):
        flanks = (x == 4).int()
        before, after = (flanks.cumprod(1).sum(1), flanks.flip(1).cumprod(1).sum(1))
        assert (x == 4).sum(1).equal(before + after)
        assert (before - after).abs().max() <= 1
    letters = dna.between_flanks(bound, torch.Generator().manual_seed(0))
    assert not torch.equal(letters, bound)


def test_factors_of_one_name_go_by_longer_ones(root):
    for collection in ("motif_discovery", "motif_occupancy"):
        folder = root / "tfbs" / collection / "NAME"
        folder.mkdir(parents=True)
        for name in ("train.data", "test.data"):
            (folder / name).write_text("".join(f">w{i} {text} {i % 2}\n" for i, text in enumerate(windows(20))))
    names = set(chip_seq.factors(root))
    assert {"motif_discovery/NAME", "motif_occupancy/NAME"} < names
    assert chip_seq.found(root, "motif_occupancy/NAME").train.parent.parent.name == "motif_occupancy"
    with pytest.raises(
        ValueError, match="factor 'NAME' is borne by several: motif_discovery/NAME, motif_occupancy/NAME"
    ):
        chip_seq.found(root, "NAME")
    with pytest.raises(ValueError, match=r"factor 'train\.data' is not one of"):
        chip_seq.found(root, "train.data")


def test_f17_other_windows_are_told_apart():
    bound = torch.randint(0, 4, (500, 30), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    other = bound.clone()
    other[400] = 3
    marks = [fingerprint(chip_seq.Drawn(x, 100))["sha256"] for x in (bound, bound.clone(), other)]
    assert marks[0] == marks[1] != marks[2]


def test_what_is_not_at_hand_is_fetched_by_name_and_checked(monkeypatch, tmp_path):
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    asked = []

    def retrieve(url, known_hash, fname, **options):
        asked.append((url, known_hash, fname))
        raise OSError("no network")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    with pytest.raises(FileNotFoundError, match=r"data set 'tfbs' is not at hand: .*Stanford_AC\.seq\.gz could not"):
        chip_seq.load(factor="ARID3A_K562")
    ((url, digest, name),) = asked
    assert url.endswith("/data/encode/ARID3A_K562_ARID3A_%28sc-8821%29_Stanford_AC.seq.gz")
    assert digest.startswith("sha256:928d75f3")
    assert name == "ARID3A_K562_ARID3A_(sc-8821)_Stanford_AC.seq.gz"
    with pytest.raises(ValueError, match="factor 'ABC' is not one of those under .SIGCONV_DATA, which has no folder"):
        chip_seq.load(factor="ABC")
