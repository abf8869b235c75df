"""The pooling study, small: every variant, its statistics against SciPy's, stopped and gone on with."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import sigconv as sc
from sigconv import console
from sigconv.recipes import pooling_study as study
from sigconv.train import run

SMALL = ["--sizes", "200,400", "--seeds", "2", "--epochs", "1", "--batch-size", "100"]


def start(out, *words):
    return run(study.pooling_study, [*map(str, words), "--out", str(out)])


@pytest.fixture(scope="module", autouse=True)
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "CHOSEN_BY", 20)
        yield


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return start(tmp_path_factory.mktemp("runs"), *SMALL)


def rows_of(record):
    return [json.loads(line) for line in Path(record["run_folder"], "metrics.jsonl").read_text().splitlines()]


def test_pl_every_pooling_is_trained_on_every_size_with_every_seed(record):
    rows = rows_of(record)
    assert [(row["size"], row["seed"], row["variant"]) for row in rows] == [
        (size, seed, name) for size in (200, 400) for seed in (0, 1) for name in study.POOLINGS
    ]
    assert set(study.POOLINGS) == {"none", "stride", "max", "average", "l2", "lse", "stochastic", "blur"}
    assert all(0 <= row[f"{part}_accuracy"] <= 1 for row in rows for part in ("train", "valid", "test"))
    assert record["test_size"] == 1000


def test_the_figures_are_scipys(record):
    rows, metrics = rows_of(record), record["metrics"]
    of = lambda name, part: np.array([r[f"{part}_accuracy"] for r in rows if (r["variant"], r["size"]) == (name, 400)])
    for name in study.POOLINGS:
        tested = of(name, "test")
        low, high = stats.t.interval(0.95, 1, tested.mean(), stats.sem(tested))
        assert metrics[f"{name}_400"] == pytest.approx(tested.mean())
        assert metrics[f"{name}_400_ci95"] == pytest.approx((high - low) / 2)
        assert metrics[f"{name}_400_train"] == pytest.approx(of(name, "train").mean())
    assert metrics["gain_400"] == pytest.approx(of("max", "test").mean() - of("none", "test").mean())
    for part in ("test", "train"):
        less = of("stochastic", part).mean() - of("max", part).mean()
        assert metrics[f"stochastic_less_max_400_{part}"] == pytest.approx(less)
    p = stats.ttest_1samp(of("stochastic", "test") - of("max", "test"), 0).pvalue
    assert metrics["stochastic_less_max_400_p"] == pytest.approx(p)


def test_table_and_picture_are_in_the_report(record):
    folder = Path(record["run_folder"])
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == 1
    assert "stochastic       400" in page
    assert "95 % confidence interval of the mean over 2 seeds" in page
    assert (folder / "plots" / "test_accuracy.png").stat().st_size > 5000


def test_stopped_it_goes_on_with_what_is_missing(record, tmp_path, monkeypatch):
    plainly, made = study.cell, []

    def stopping(job, name, *rest):
        if len(made) == 5:
            raise console.Stopped(15)
        made.append(name)
        return plainly(job, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(study, "cell", stopping)
        with pytest.raises(console.Stopped):
            start(tmp_path, *SMALL)
    (cut,) = (tmp_path / "pooling_study").iterdir()
    with open(cut / "metrics.jsonl", "a") as file:
        file.write('{"model": "cut sho')
    made.clear()
    monkeypatch.setattr(study, "cell", lambda job, name, *rest: made.append(name) or plainly(job, name, *rest))
    again = run(study.pooling_study, ["--resume", str(cut)])
    assert len(made) == 32 - 5
    assert again["metrics"] == record["metrics"], "each training depends on its own seed alone"
    assert len(rows_of(again)) == 32


@pytest.mark.parametrize("name", study.POOLINGS)
def test_pl_the_nets_are_alike_but_for_the_pooling(name):
    torch.manual_seed(0)
    net = study.network(name).eval()
    reference = study.network("max")
    shapes = [tuple(p.shape) for p in net.parameters()]
    assert shapes[:-2] == [tuple(p.shape) for p in reference.parameters()][:-2]
    positions = {"none": 40, "stride": 5}.get(name, 4)
    assert shapes[-2:] == [(10, 25 * positions), (10,)]
    assert net(torch.randn(3, 1, 40)).shape == (3, 10)
    assert [type(layer) for layer in net if isinstance(layer, nn.ReLU)] == [nn.ReLU] * 3


def test_all_variants_of_a_seed_get_the_same_samples_and_other_seeds_others():
    whole = study.data.load()
    pool = study.both(*whole[:2])
    assert len(pool) == 4000
    first, again, other = (study.drawn(pool, 1000, seed) for seed in (0, 0, 1))
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    assert len(study.drawn(pool, 4000, 0).x.unique(dim=0)) == 4000


def test_ac1_another_activation_and_some_of_the_variants(tmp_path):
    words = ["--sizes", "20", "--seeds", 1, "--epochs", 0, "--variants", "blur, max", "--activation", "selu"]
    metrics = start(tmp_path, *words)["metrics"]
    assert {"blur_20", "max_20"} <= set(metrics)
    assert not any("none" in name or "less" in name or "gain" in name for name in metrics)
    assert sum(isinstance(layer, nn.SELU) for layer in study.network("lse", "selu")) == 3
    assert isinstance(study.network("blur")[2], sc.MaxBlurPool)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--variants", "max,median"], "variant 'median' is not one of"),
        (["--sizes", "5000"], "--sizes '5000' is not a number of training samples between 10 and 4000"),
        (["--sizes", "many"], "--sizes 'many'"),
        (["--seeds", "0"], "--seeds 0 must be at least 1"),
        (["--activation", "rlu"], "activation 'rlu' is not one of"),
        (["--epochs", "-2"], "epochs -2 must be at least 0"),
    ],
)
def test_wrong_words_end_in_one_line_and_leave_nothing(tmp_path, words, message):
    with pytest.raises((console.UsageError, ValueError), match=message):
        start(tmp_path, *words)
    assert not list(tmp_path.glob("pooling_study/*"))
