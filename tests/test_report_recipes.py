"""The report of every recipe, opened in a headless browser: no error, pictures shown, tables sorted, none too wide."""

import importlib
from pathlib import Path

import browser
import fmri_runs
import numpy as np
import pytest
import test_mnist
import test_sarcoma
import test_segmentation
import test_shapes
from made import speak
from made_speech import keywords, phones, recordings
from test_dna_recipes import root as bound
from test_ibsi2 import made as ibsi2
from test_text_classes import folder as texts
from test_textures import root as textures

from sigconv.cli import _discover
from sigconv.cli import run as verb
from sigconv.datasets import mnist
from sigconv.recipes import _kmers
from sigconv.train import run

DATA = (bound, ibsi2, texts, textures)  # made by fixtures of other tests; the rest by functions, here below


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """MNIST's files, of a few made images; 20 of them to choose by."""
    plainly = mnist.load
    monkeypatch.setattr(mnist, "load", lambda root=None, *, seed=0: plainly(root, valid=20))
    (tmp_path / "mnist").mkdir()
    for part, n, seed in (("train", 80, 0), ("t10k", 30, 1)):
        for kind, array in zip(("images-idx3", "labels-idx1"), test_mnist.digits(n, seed), strict=True):
            test_mnist.write(tmp_path / "mnist" / f"{part}-{kind}-ubyte.gz", array)
    return tmp_path


@pytest.fixture
def dna(bound, monkeypatch):
    """Compared with counts of words of two letters: those of six, 2,080 of them, take longer than all else."""
    monkeypatch.setattr(_kmers.ridge, "__defaults__", (2,))
    return bound


@pytest.fixture
def volumes(tmp_path):
    arrays = {}
    for part, n in (("train", 16), ("val", 8), ("test", 8)):
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = test_shapes.balls(n, 28, n)
    for name in ("adrenal", "nodule"):
        np.savez_compressed(tmp_path / f"{name}mnist3d.npz", **arrays)
    return tmp_path


@pytest.fixture
def films(tmp_path):
    pytest.importorskip("av")
    moving = importlib.import_module("test_action").moving
    for step, name in ((2, "right"), (-2, "left")):
        for number in range(12):
            moving(tmp_path / name / f"{number}.avi", step, number)
    return tmp_path


@pytest.fixture
def scans(tmp_path):
    return test_segmentation.study(tmp_path / "scans", [f"h{n}" for n in range(8)])


@pytest.fixture
def patients(tmp_path):
    return test_sarcoma.clinic(tmp_path / "clinic", ["p1", "p2", "p3"], kinds=("PET",))


@pytest.fixture
def fmri(tmp_path):
    return fmri_runs.made(tmp_path / "study")


@pytest.fixture
def spoken(tmp_path):
    speak(tmp_path / "fsdd" / "recordings", indices=range(4, 7))
    return tmp_path


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    keywords(tmp_path / "speech_commands", recordings(tmp_path), takes=1)
    return tmp_path


@pytest.fixture
def read(tmp_path):
    phones(tmp_path / "timit", {"TRAIN": [f"FTR{n}0" for n in range(4)], "TEST": ["MTE00"]}, utterances=1)
    return tmp_path


WAVES = "--wavelengths [4.0] --directions 3"
BALLS = "--size 8 --width 0.0625 --members 1 --epochs 2"
BOUND = "--epochs 2 --windows 40 --restarts 1 --members 1"

# What a recipe is run with, as cheaply as it leaves a whole report, and the fixture that makes its data.
SMALLEST = {
    "action": ("--size 32 --length 9 --stride 1 --batch-size 8 --clips 1 --epochs 2", "films"),
    "adrenal_shape": (BALLS, "volumes"),
    "dna_binding": (f"--factor GENE_cell --trials 1 {BOUND}", "dna"),
    "dna_table": (f"--factors OTHER_cell {BOUND}", "dna"),
    "front_end_study": ("--front-ends log_mel --sharings full --ways 1 --epochs 2", "spoken"),
    "hippocampus": ("--width 0.25 --batch-size 2 --epochs 2", "scans"),
    "ibsi2": ("--device cpu", "ibsi2"),
    "keyword_spotting": ("--epochs 2", "words"),
    "localize": ("--samples 60 --width 0.125 --epochs 2", None),
    "medmnist3d": (f"--set nodule {BALLS}", "volumes"),
    "mnist": ("--epochs 2", "digits"),
    "mnist1d": ("--epochs 2", None),
    "moving_direction": ("--samples 40 --epochs 2 --size 16 --frames 6 --digits strokes --tested 40", None),
    "nearest": ("--labels 1 --draws 1 --epochs 2", "digits"),
    "phone_states": ("--width 0.1 --epochs 2", "read"),
    "planted_motif": ("--samples 200 --epochs 2 --length 40", None),
    "pooling_study": ("--sizes 20,40 --seeds 2 --epochs 1 --variants none,max", None),
    "reconstruct": ("--labels 10 --repeats 2 --width 0.125 --pretraining 1 --epochs 2", None),
    "spoken_digits": ("--epochs 2", "spoken"),
    "text_classes": ("--epochs 2 --width 8 --length 32", "texts"),
    "texture_features": (WAVES, "textures"),
    "three_classes": ("--samples 30 --size 16 --epochs 2", None),
    "tumour_texture": ("--modality pet --drawn 50 --directions 2 --maps none", "patients"),
    "visual_category": ("--series tiny --members 1 --channels 4 --epochs 2", "fmri"),
}


def test_every_recipes_report_is_opened():
    assert sorted(SMALLEST) == sorted(_discover.files("recipes")), "say what the new recipe's smallest run is"


@browser.needed
@pytest.mark.parametrize("name", SMALLEST)
def test_the_report_opens_without_an_error_on_a_phone(name, request, tmp_path):
    words, data = SMALLEST[name]
    options = [*words.split(), "--out", str(tmp_path / "runs")]
    if data is not None:
        options += ["--data-root", str(request.getfixturevalue(data))]
    folder = Path(run(verb.find(name), options)["run_folder"])
    (found,) = browser.opened([(folder / "report.html").read_text()], tmp_path)
    assert browser.flaws(found) == []
    assert "Results on the test set" in found["text"]
    assert found["tables"], "of the classes, of the data, or of the figures"
    assert found["pictures"] == len(list(folder.glob("plots/*.png"))) > 0
