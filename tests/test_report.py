"""What a run leaves to read: figures are scikit-learn's, pictures show what they say, page and card hold all."""

import html.parser
import json
import math
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import browser
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from torch import nn

import sigconv as sc
from sigconv import plot
from sigconv.cli import _discover
from sigconv.cli import run as verb
from sigconv.filters import gabor, sinc
from sigconv.recipes import three_classes
from sigconv.report import Page, shown
from sigconv.train import Job, assessment, environment, intervals, metrics, page, pictures, results, run
from sigconv.train.assessment import assess


def guesses(n, classes, seed=0, sure=2.0):
    """Logits that are right more often than not, and what is true."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (n,), generator=generator)
    z = torch.randn(n, classes, generator=generator, dtype=torch.float64)
    z[torch.arange(n), y] += 1
    return sure * z, y


cases = st.tuples(st.integers(1, 80), st.integers(2, 14), st.integers(0, 1000))

# ---- figures


@given(cases)
@examples(50)
def test_figures_are_those_of_scikit_learn(case):
    import sklearn.metrics as theirs

    (z, y), classes = guesses(*case), case[1]
    shares, labels = z.softmax(1), z.argmax(1)
    found = assessment.figures(shares, labels, y)
    every = list(range(classes))
    assert found["accuracy"] == pytest.approx(theirs.accuracy_score(y, labels))
    assert found["log_loss"] == pytest.approx(theirs.log_loss(y, shares, labels=every))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted and not there
        assert found["balanced_accuracy"] == pytest.approx(theirs.balanced_accuracy_score(y, labels))
    if classes > 2:
        assert found["brier"] == pytest.approx(theirs.brier_score_loss(y, shares, labels=every))
    elif len(y.unique()) == 2:
        assert found["brier"] == pytest.approx(theirs.brier_score_loss(y, shares[:, 1]))
    if classes > 10:
        assert found["top_5_accuracy"] == pytest.approx(theirs.top_k_accuracy_score(y, shares, k=5, labels=every))
    else:
        assert "top_5_accuracy" not in found


@given(cases)
@examples(50)
def test_classes_are_scored_as_scikit_learn_does(case):
    from sklearn.metrics import precision_recall_fscore_support

    z, y = guesses(*case)
    rows = metrics.per_class(z, y, classes=case[1])
    wanted = precision_recall_fscore_support(y, z.argmax(1), labels=range(case[1]), zero_division=np.nan)
    for place, values in enumerate(wanted[:3]):
        np.testing.assert_allclose([row[place + 1] for row in rows], values)
    assert [row.items for row in rows] == wanted[3].tolist()
    counts = metrics.confusion(z, y, classes=case[1])
    for label, row in enumerate(rows):
        missed = counts[label].clone()
        missed[label] = 0
        assert (row.taken_for is None) == (missed.sum() == 0)
        assert row.taken_for is None or missed[row.taken_for] == missed.max()


@given(cases, st.integers(1, 20))
@examples(50)
def test_calibration_has_scikit_learns_bins_and_guos_error(case, bins):
    from sklearn.calibration import calibration_curve

    z, y = guesses(*case)
    found = metrics.calibration(z, y, bins=bins)
    sure, labels = z.softmax(1).max(1)
    right = labels == y
    there = found.counts > 0
    true, said = calibration_curve(right.numpy(), sure.numpy(), n_bins=bins, pos_label=True)
    np.testing.assert_allclose(found.accuracy[there], true)
    np.testing.assert_allclose(found.confidence[there], said)
    assert found.counts.sum() == len(y)
    assert found.accuracy[~there].isnan().all()
    by_hand = sum(
        abs(float(right[inside].double().sum() - sure[inside].sum())) / len(y)
        for m in range(bins)
        if (inside := (sure > m / bins) & (sure <= (m + 1) / bins)).any()
    )
    assert found.ece == pytest.approx(by_hand)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@examples(50)
def test_intervals_are_wilsons(pair):
    from scipy.stats import binomtest

    interval = binomtest(*pair).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(intervals.wilson(*pair), (interval.low, interval.high), atol=1e-12)
    assert 0 <= intervals.wilson(*pair)[0] <= pair[0] / pair[1] <= intervals.wilson(*pair)[1] <= 1


def test_a_model_that_is_as_often_right_as_it_is_sure_has_no_calibration_error():
    shares = torch.tensor([[0.75, 0.25]] * 8)
    assert metrics.calibration(shares, torch.tensor([0] * 6 + [1] * 2), probabilities=True).ece == 0
    assert metrics.calibration(shares, torch.tensor([1] * 8), probabilities=True).ece == pytest.approx(0.75)


# ---- assess


def test_one_logit_an_item_is_the_second_of_two_classes():
    z, y = guesses(60, 2)
    two, one, flat = Job(), Job(), Job()
    found = assess(two, z, y, ["no", "yes"])
    assert assess(one, z[:, 1:] - z[:, :1], y, ["no", "yes"]) == pytest.approx(found)
    assert assess(flat, (z[:, 1] - z[:, 0]).sigmoid(), y.double(), ["no", "yes"], probabilities=True) == pytest.approx(
        found
    )
    assert [row[0] for row in one.tables["test by class"][1]] == ["no", "yes"]


def test_assess_fills_the_job_with_pictures_and_tables():
    job = Job()
    z, y = guesses(50, 12)
    y[y == 3] = 4  # no item is of class 3
    found = assess(job, z, y, [f"c{n}" for n in range(12)], name="valid")
    assert set(job.pictures) == {"confusion_valid", "calibration_valid"}
    assert set(job.tables) == {"valid", "valid by class"}
    assert set(found) >= {"accuracy", "accuracy_low", "balanced_accuracy", "top_5_accuracy", "log_loss", "brier", "ece"}
    assert all(type(value) is float and math.isfinite(value) for value in found.values())
    header, rows = job.tables["valid by class"]
    assert header[:2] == ("class", "items")
    assert len(rows) == 12
    assert rows[3][1] == 0
    assert math.isnan(rows[3][3])
    overall = {row[0]: row for row in job.tables["valid"][1]}
    assert overall["accuracy"][1] == found["accuracy"]
    assert "Wilson, 50 items" in overall["accuracy"][2]


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_a_single_item_is_assessed(classes):
    job = Job()
    found = assess(job, torch.zeros(1, classes, dtype=torch.float16), torch.tensor([0]), range(classes))
    assert found["accuracy"] == 1.0
    assert found["log_loss"] == pytest.approx(math.log(classes))
    assert found["ece"] == pytest.approx(1 - 1 / classes)


@pytest.mark.parametrize(
    ("scores", "targets", "classes", "message"),
    [
        ([[0.0, math.nan], [0.0, 1.0]], [0, 1], 2, "1 of 2 items have NaN scores"),
        ([[0.0, math.inf]], [0], 2, "scores of 1 of 1 items are infinite"),
        ([[0.0, 1.0]], [0.5], 2, "not whole numbers: assess takes classes, not regression"),
        ([[0.0, 1.0]], [2], 2, "target 2 is not one of 2 classes"),
        ([[0.0, 1.0]], [-1], 2, "target -1 is not one of 2 classes"),
        ([[0.0, 1.0, 2.0]], [0], 2, r"scores of shape \(1, 3\) for 2 classes"),
        ([0.0], [0], 3, r"scores of shape \(1,\) for 3 classes"),
        ([[0.0]], [0], 1, "two classes or more"),
        ([[0, 1]], [0], 2, r"torch.int64\): expected"),
        ([[0.0, 1.0]], [0, 1], 2, "1 scores for 2 targets"),
        (np.zeros((0, 2)), [], 2, "0 scores for 0 targets"),
    ],
)
def test_what_is_no_classification_is_refused_in_one_line(scores, targets, classes, message):
    job = Job()
    with pytest.raises(ValueError, match=message) as caught:
        assess(job, scores, targets, range(classes))
    assert "\n" not in str(caught.value)
    assert not job.pictures


def test_logits_are_not_taken_for_probabilities():
    with pytest.raises(ValueError, match="scores of 1 of 2 items are no probabilities: give logits"):
        assess(Job(), [[0.5, 0.5], [2.0, 0.1]], [0, 1], "ab", probabilities=True)


# ---- pictures


@pytest.mark.parametrize("classes", [2, 10, 30, 31, 60, 1000])
def test_a_confusion_matrix_is_legible_with_any_number_of_classes(classes):
    counts = np.eye(classes, dtype=int) * 7
    counts[0] = 0  # a class without items
    figure, ax = plot.confusion(counts, [f"a class with a long name {n}" for n in range(classes)])
    assert len(ax.texts) == (classes - 1 if classes <= 30 else 0)
    assert len(ax.get_xticks()) <= 40
    assert max(figure.get_size_inches()) <= 12
    assert all(len(label.get_text()) <= 18 for label in ax.get_xticklabels())
    assert plot.png(figure, dpi=30).startswith(b"\x89PNG")


def test_a_reliability_diagram_shows_the_items_of_every_bin():
    z, y = guesses(200, 3)
    found = metrics.calibration(z, y)
    figure, (above, below) = plot.calibration(found.edges, found.counts, found.confidence, found.accuracy)
    assert [int(text.get_text()) for text in below.texts] == [int(n) for n in found.counts if n]
    assert f"{found.ece:.4f}" in above.get_title()
    assert plot.png(figure, dpi=30).startswith(b"\x89PNG")


def trained(name, losses, accuracies=None, **more):
    """Rows as fit measures them."""
    rows = []
    for n, loss in enumerate(losses):
        row = {"model": name, "epoch": n + 1, "step": 10 * n, "lr": 0.1, "train_loss": loss / 2, "valid_loss": loss}
        rows.append(row | ({"valid_accuracy": accuracies[n]} if accuracies else {}) | {"seconds": n * 1.0} | more)
    return rows


def test_curves_have_a_panel_a_kind_and_a_dot_at_the_best_epoch():
    rows = trained("net", [3, 2, 1, 0.5], [0.2, 0.9, 0.9, 0.3]) + trained("linear", [3, 1, 2])
    figure = pictures.curves(rows)
    assert [ax.get_title() for ax in figure.axes] == ["loss", "accuracy"]
    dots = [line.get_xydata()[0].tolist() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dots == [[3, 1], [2, 1]], "the first by accuracy and then loss, the second by loss alone"
    assert [text.get_text() for text in figure.legends[0].texts] == ["net", "linear", "train", "valid", "best on valid"]


def test_the_learning_rate_is_drawn_where_it_changes():
    rows = trained("net", [3, 2, 1])
    assert [ax.get_title() for ax in pictures.curves(rows).axes] == ["loss"]
    for row in rows:
        row["lr"] /= row["epoch"]
    assert [ax.get_title() for ax in pictures.curves(rows).axes if ax.get_visible()] == ["loss", "learning rate"]


def test_repeats_are_bands_and_too_many_models_are_left_out():
    repeats = [row for n in range(20) for row in trained(f"net-{n}", [3 + n, 1 + n])]
    figure = pictures.curves(repeats)
    (loss,) = figure.axes
    middle = next(line for line in loss.lines if line.get_linestyle() == "-")
    assert middle.get_ydata().tolist() == [12.5, 10.5]
    assert len(loss.collections) == 2
    members = [row for name in ("model", "model_1", "model_2") for row in trained(name, [3, 1])]
    assert len(pictures.curves(members).axes[0].collections) == 2, "as recipes name them"
    many = [row for n in range(13) for row in trained(f"net{'abcdefghijklm'[n]}", [2, 1])]
    assert pictures.curves(many) is None
    assert pictures.curves(many[:-2]) is not None


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"map": "1_a", "cpu_float64": 0.1}] * 3,
        trained("one", [1.0]),
        [{"model": f"max-100-{n}", "epoch": 40, "seconds": 1.0, "test_accuracy": 0.5} for n in range(9)],
        [{"model": "a", "epoch": n, "train_loss": math.nan} for n in (1, 2)],
    ],
)
def test_without_anything_measured_twice_there_are_no_curves(rows):
    assert pictures.curves(rows) is None


def test_other_parts_and_odd_rows_are_drawn_as_far_as_they_are_numbers():
    rows = trained("net", [2, 1, 0.5], far_away_loss=3.0, far_away_iou=0.5, note="words", flag=True)
    rows[1]["valid_loss"] = math.nan
    figure = pictures.curves(rows)
    assert [ax.get_title() for ax in figure.axes] == ["loss", "iou"]
    assert "far_away" in [text.get_text() for text in figure.legends[0].texts]


FIRST = {
    "1d": (nn.Conv1d(1, 15, 3), "15 filters of 3 taps"),
    "1d channels": (sc.Conv1d(4, 70, 9), "70 filters of 9 taps; 64 of them, channels downwards"),
    "2d": (sc.Conv2d(1, 5, (3, 4)), "5 filters of 3 x 4 taps"),
    "colour": (nn.Conv2d(3, 8, 5), "8 filters of 5 x 5 taps, in colour"),
    "grid": (nn.Conv2d(8, 8, 5, groups=2), "8 filters of 5 x 5 taps, channels to the right"),
    "long grid": (nn.Conv2d(5, 30, 5), "30 filters of 5 x 5 taps; 12 of them, channels to the right"),
    "3d": (nn.Conv3d(1, 4, (3, 5, 5)), "4 filters of 3 x 5 x 5 taps"),
    "4d": (sc.Conv(2, 3, (3, 3, 3, 2)), "3 filters of 3 x 3 x 3 x 2 taps, channels to the right"),
    "bank": (gabor.default(2), "filters of"),
    "complex bank": (gabor.default(3), "filters of"),
    "learned bank": (sinc.default(1), "filters of"),
    "half": (nn.Conv2d(1, 4, 3).bfloat16(), "4 filters of 3 x 3 taps"),
    "deep": (nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1)), nn.Conv2d(4, 5, 3)), "1: 5 filters of 3 x 3 taps"),
    "back and forth": (nn.Sequential(sc.ConvTranspose(1, 4, (3,)), nn.Conv1d(4, 5, 2)), "1: 5 filters of 2 taps"),
}


@pytest.mark.parametrize("name", FIRST)
def test_first_layers_are_drawn_in_any_number_of_axes(name):
    model, title = FIRST[name]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    figure = pictures.first_layer(model)
    (ax,) = figure.axes
    assert title in ax.get_title()
    assert plot.png(figure, dpi=30).startswith(b"\x89PNG")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_colours_are_weights_about_grey():
    layer = nn.Conv2d(3, 1, 2, bias=False)
    with torch.no_grad():
        layer.weight.zero_()[0, 0, 0, 1] = 2.0
    (image,) = pictures.first_layer(layer).axes[0].images
    assert image.get_array()[0, 1].tolist() == [1.0, 0.5, 0.5]
    assert (np.asarray(image.get_array())[1] == 0.5).all()


def test_models_without_a_convolution_have_no_first_layer():
    odd = nn.Conv1d(1, 2, 3)
    nn.init.constant_(odd.weight, math.nan)
    for model in (nn.Linear(3, 2), nn.Sequential(), nn.Conv2d(3, 4, 1), nn.LazyConv1d(4, 3), odd, sc.MaxPool(2)):
        assert pictures.first_layer(model) is None


# ---- page and card


class Outline(html.parser.HTMLParser):
    """Tags are closed in the order they were opened; what the page says."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.said = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)

    def text(self):
        return " ".join(" ".join(self.said).split())


def asked():
    """A recipe of this file, whose docstring is asked for."""


RECORD = {
    "recipe": "asked",
    "config": {"lr": 0.002, "epochs": 3, "seed": 7},
    "metrics": {"accuracy": 0.5, "accuracy_pixels": 0.25, "parameters": 12345},
    "test_size": 4,
    "seconds": 75.0,
    "device": "cpu",
}


@pytest.fixture
def made(tmp_path):
    """A job that has done everything, in a folder with an odd name."""
    folder = tmp_path / "run & <folder>"
    job = Job("asked", RECORD["config"], 7, "cpu", folder)
    job.test_size = 4
    job.rows = trained("net", [2, 1], [0.1, 0.5])
    job.data = {"train": {"items": 3600, "sha256": "ab" * 32}, "valid": {"items": 400, "sha256": "cd" * 32}}
    job.note("a note with <b>marks</b>")
    job.picture("first_layer", pictures.first_layer(nn.Conv1d(1, 4, 3)))
    classes = ["<script>alert(1)</script>", "b|c", "d"]
    assess(job, torch.eye(3)[[0, 1, 0, 0]], torch.tensor([0, 1, 1, 1]), classes)
    (folder / "env.json").write_text(json.dumps(environment.environment()))
    (folder / "model.safetensors").write_bytes(b"")
    return job


def written(job):
    record = RECORD | {"run_folder": str(job.folder)}
    page.write(asked, job, record)
    return (job.folder / "report.html").read_text(), (job.folder / "README.md").read_text()


def test_the_page_holds_all_of_a_run(made):
    whole, _ = written(made)
    outline = Outline(whole)
    said = outline.text()
    for words in (
        "accuracy_pixels",
        "pixels",
        "12345",
        "0.2500",
        "a note with <b>marks</b>",
        "ab" * 32,
        "3600",
        "0.002",
    ):
        assert words in said, words
    for words in ("Results on the test set", "Training", "Configuration", "Data", "Environment", "torch", "1 min 15 s"):
        assert words in said, words
    assert f"sigconv run asked --config '{made.folder}/config.yaml'" in said
    assert f"sigconv run asked --resume '{made.folder}'" in said
    assert set(made.pictures) == {"first_layer", "confusion", "calibration", "curves"}
    images = [attributes for tag, attributes in outline.tags if tag == "img"]
    assert {image["alt"] for image in images} == set(made.pictures)
    assert all(image["src"].startswith("data:image/png;base64,") for image in images)
    kinds = {tag for tag, _ in outline.tags}
    assert not kinds & {"link", "iframe"}, "the page needs nothing from outside"
    assert [attributes for tag, attributes in outline.tags if tag == "script"] == [{}], "it sorts tables, no more"
    assert {"main", "nav", "table", "thead", "caption", "figure", "figcaption", "details", "summary"} <= kinds
    assert (made.folder / "plots" / "curves.png").stat().st_size > 1000
    order = ["Results on the test set", "Training", "What the network looks at", "Configuration"]
    assert [said.rindex(heading) for heading in order] == sorted(said.rindex(heading) for heading in order)


def test_a_page_of_a_run_that_measured_nothing_stands_all_the_same(tmp_path):
    job = Job("asked", {}, 0, "cpu", tmp_path)
    page.write(asked, job, RECORD | {"metrics": {}, "run_folder": str(tmp_path)})
    said = Outline((tmp_path / "report.html").read_text()).text()
    assert "No data set was handed to training" in said
    assert "This run trained no weights" in (tmp_path / "README.md").read_text()
    page.write(asked, Job(), RECORD | {"run_folder": ""})  # and without a folder nothing is written


def test_a_resumed_run_says_what_had_changed_since_it_began(made):
    since = json.loads((made.folder / "env.json").read_text())
    since["packages"]["numpy"] = "1.0"
    (made.folder / "env.json").write_text(json.dumps(since))
    assert "had changed" not in written(made)[0]
    made.resuming = True
    assert "packages numpy 1.0, now 2" in Outline(written(made)[0]).text()
    (made.folder / "env.json").write_text("not json")
    assert "had changed" not in written(made)[0]


def test_the_card_is_a_hubs_and_a_persons(made):
    card = written(made)[1]
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "library_name": "sigconv",
        "tags": ["sigconv", "convolution", "asked"],
        "metrics": ["accuracy"],
    }
    for words in ("| accuracy | 0.5000 | 0.2500 |", "ab" * 32, 'load_file("model.safetensors")', "| ece |"):
        assert words in body, words
    assert "(Wilson, 4 items)" in body
    assert "less than half of the items are found: b\\|c" in body or "are found: b|c" in body
    assert "1 classes have no test item" in body
    headings = re.findall(r"^## (.*)$", body, re.M)
    assert headings == ["Results", "Calibration", "Data", "Limits", "Weights", "To do it again"]


def test_figures_stand_beside_what_they_are_compared_with():
    found = {"f1": 0.8, "f1_any_class": 0.9, "f1_any_class_blobs": 0.2, "f10": 0.1, "threshold": 0.5}
    header, rows = results.beside(found)
    assert header == ["", "this model", "any class", "any class blobs"]
    assert rows == [["f1", 0.8, 0.9, 0.2], ["f10", 0.1, None, None], ["threshold", 0.5, None, None]]
    assert results.beside({f"a{'_' * (n > 0)}{n or ''}": n for n in range(9)})[0] == ["", "this model"]
    assert results.beside({}) == (["", "this model"], [])


@pytest.mark.parametrize("name", _discover.files("recipes"))
def test_every_recipes_question_is_understood(name):
    found = results.question(verb.find(name))
    assert {"Question", "Data", "Source"} <= set(found.fields)
    assert "Question" not in found.rest
    assert "  " not in found.fields["Data"]


def test_tables_line_numbers_up_and_head_their_rows():
    text = Page("t").table([("a", 0.5, "x"), ("b", None, 1)], ["", "n", "mixed"], caption="c").html()
    outline = Outline(text)
    assert '<th scope="row">a</th><td class="n">0.5000</td><td>x</td>' in text
    assert '<th class="n" scope="col">n</th>' in text
    assert "nav" not in {tag for tag, _ in outline.tags}, "a short page needs no contents"
    assert Outline(Page("t").table([]).facts({}).html())
    assert shown(-3e-7) == "-3e-07"
    assert shown(float("inf")) == "inf"


TABLES = {
    "rounded": ([0.50004, 0.50001, 0.50003], [1, 2, 0]),
    "as written": (["1,234", "0.96 \u00b1 0.01", "87 %", "43.3 (40.0)"], [1, 3, 2, 0]),
    "from and to": (["9.5-12.5", "10.5-11.5", "0.488-0.601"], [2, 0, 1]),
    "no numbers": (["2026-10-01", "2026-09-30", "1.2.3"], [2, 1, 0]),
    "times": (["2 h 01 min", "0.4 s", "1 min 15 s"], [1, 2, 0]),
    "nothing last": ([math.nan, 3, None, -1], [3, 1, 0, 2]),
    "whole numbers": ([10, 9, 10_000], [1, 0, 2]),
    "tiny and endless": ([math.inf, 4e-9, -math.inf, 1e-8], [2, 1, 3, 0]),
    "numbers before words": (["b", "2", "Z", "\u00e4", "10", "", "a"], [1, 4, 2, 6, 0, 3, 5]),
}


@browser.needed
def test_a_click_on_a_heading_sorts_and_another_one_reverses(tmp_path):
    pages = []
    for kind, (values, _) in TABLES.items():
        pages.append(Page(kind).table([(f"row {n}", value) for n, value in enumerate(values)], ["", kind]).html())
    for found in browser.opened(pages, tmp_path, column=1):
        kind = found["title"]
        values, order = TABLES[kind]
        assert browser.flaws(found) == [], kind
        (_, after), (_, before) = found["tables"][0]["clicks"]
        assert [text for text, _ in after] == [shown(values[n]) for n in order], kind
        there = [shown(values[n]) for n in order if shown(values[n]) not in browser.BLANK]
        assert [text for text, _ in before][: len(there)] == there[::-1], kind


def test_a_page_has_one_script_and_only_where_a_table_is_sorted():
    three = [(name, n) for n, name in enumerate("abc")]
    for plain in (Page("t").table(three), Page("t").table(three[:2], ["", "n"]), Page("t").facts(dict(three))):
        assert "<script" not in plain.html()
        assert "sortable" not in plain.html().partition("</head>")[2]
    whole = Page("t").table(three, ["", "n"]).table(three, ["", "n"]).html()
    outline = Outline(whole)
    assert [attributes for tag, attributes in outline.tags if tag == "script"] == [{}]
    assert "button" not in {tag for tag, _ in outline.tags}, "without the script the table reads as it is"
    assert whole.partition("<script>")[2].partition("</script>")[0].strip().count("\n") < 40
    assert all(heading in whole for heading in ('<th scope="col"></th>', '<th class="n" scope="col">n</th>'))


def test_what_is_wrong_with_an_opened_page_is_found():
    cell = lambda text: [text, None]
    table = {"before": [cell("2"), cell("1"), cell("")], "focus": False}
    table["clicks"] = [["ascending", [cell("1"), cell("2"), cell("")]], ["none", [cell(""), cell("2"), cell("1")]]]
    found = {"wrong": ["x is not defined"], "missing": ["curves"], "wide": [0, 7], "tables": [table]}
    lines = browser.flaws(found)
    for line, says in zip(lines, ("x is not", "'curves'", "unfolded, 7 px", "by keys", "descending"), strict=True):
        assert says in line


@browser.needed
def test_the_page_opens_on_a_phone_without_an_error_and_a_broken_one_does_not(made, tmp_path):
    whole = written(made)[0]
    assert "<script>alert" not in whole
    broken = whole.replace("<main>", '<main><script>nothing.there()</script><img alt="gone" src="data:image/png,x">')
    broken = broken.replace("overflow-x: auto", "width: 400px").replace("body.append(...rows", "void (")
    good, bad = browser.opened([whole, broken], tmp_path)
    assert browser.flaws(good) == []
    assert good["pictures"] == len(made.pictures)
    assert len(good["tables"]) == whole.count('class="sortable"') > 1
    said = "\n".join(browser.flaws(bad))
    for words in ("nothing is not defined", "'gone' is not shown", "px too wide", "descending"):
        assert words in said, words


# ---- environment


def test_the_environment_says_what_is_needed_and_no_more(monkeypatch):
    monkeypatch.setenv("MY_SECRET_TOKEN", "hush-hush")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    found = environment.environment()
    text = json.dumps(found)
    assert "hush-hush" not in text
    assert found["slurm_job"] == "4711"
    assert found["packages"]["torch"] == torch.__version__
    assert {"safetensors", "numba", "PyWavelets"} <= set(found["packages"])
    assert set(found["deterministic"]) == {"algorithms", "cudnn", "cudnn_benchmark"}
    assert set(found["tf32"]) == {"matmul", "cudnn"}
    assert isinstance(found["gpus"], list)


def checkout(folder):
    """A repository with a copy of the module in it."""
    git = lambda *words: subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)
    shutil.copy(environment.__file__, folder / "environment.py")
    git("init", "-q", "-b", "trunk")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    return git


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_git_tells_commit_branch_and_change(tmp_path, monkeypatch):
    git = checkout(tmp_path)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    clean = environment.git()
    assert clean["branch"] == "trunk"
    assert re.fullmatch(r"[0-9a-f]{40}", clean["commit"])
    assert clean["changed"] is False
    assert clean["diff_sha256"] is None
    (tmp_path / "new.txt").write_text("new")
    assert environment.git() == clean | {"changed": True}
    (tmp_path / "environment.py").write_text("# otherwise")
    changed = environment.git()["diff_sha256"]
    assert re.fullmatch(r"[0-9a-f]{64}", changed)
    git("rm", "-q", "--cached", "environment.py")
    assert environment.git() is None, "installed inside a repository of something else"


def test_without_git_or_metadata_the_environment_is_told_as_far_as_known(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment.git() is None
    missing = environment.importlib.metadata.PackageNotFoundError

    def nothing(name):
        raise missing(name)

    monkeypatch.setattr(environment.importlib.metadata, "requires", nothing)
    monkeypatch.setattr(environment.importlib.metadata, "version", nothing)
    assert environment.packages() == dict.fromkeys(environment.WITHOUT_METADATA)


# ---- a recipe


def test_a_recipe_leaves_a_page_and_a_card(tmp_path):
    words = ["--samples", "30", "--size", "16", "--epochs", "2", "--out", str(tmp_path)]
    folder = Path(run(three_classes.three_classes, words)["run_folder"])
    drawn = {path.stem for path in (folder / "plots").iterdir()}
    assert drawn == {"confusion", "calibration", "curves", "test_images"} | set(page.LOOKS)
    said = Outline((folder / "report.html").read_text()).text()
    assert "most often taken for" in said
    assert "tell silhouettes apart" in said
    card = (folder / "README.md").read_text()
    assert "| accuracy | " in card
    assert "linear.safetensors" in card
