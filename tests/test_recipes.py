"""Recipes and the command line: run as a user runs them, small; wrong words end in one line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT
from made import speak

from sigconv import console
from sigconv.cli import run as verb
from sigconv.recipes import mnist1d as lecture
from sigconv.recipes import spoken_digits as digits
from sigconv.train import folders, options, run
from sigconv.train import recipe as running


def command(*words, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    words = [sys.executable, "-m", "sigconv", *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, timeout=240, env=environment, check=False, **options)


@pytest.fixture(scope="module")
def made_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    speak(root / "fsdd" / "recordings", speakers=("O'Neil", "Łukasz"), indices=range(4, 8))
    return root


FOLDER = {"config.yaml", "env.json", "log.txt", "metrics.csv", "metrics.jsonl", "checkpoints", "report.html"}
FOLDER |= {"model.safetensors", "plots", "result.json", "README.md", ".lock"}


def test_mnist1d_from_the_command_line_leaves_a_whole_run_folder(tmp_path):
    done = command("run", "mnist1d", "--epochs", 2, "--out", tmp_path, "--json", "--seed", 3)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    record = json.loads(lines[-1])
    assert len(lines) == 1, "messages go to stderr"
    assert {"recipe", "config", "metrics", "test_size", "seconds", "device", "run_folder"} <= set(record)
    assert record["test_size"] == 1000
    assert record["metrics"]["parameters"] == 2050
    assert record["metrics"]["parameters_fully_connected"] == 59065
    folder = tmp_path / "mnist1d" / os.path.basename(record["run_folder"])
    assert set(os.listdir(folder)) - {"dense.safetensors", "shuffled.safetensors"} == FOLDER
    assert "100,000 steps" in done.stderr, "the default says what it skipped"
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["seed"] == 3
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == 8
    assert 'src="http' not in page, "the report needs nothing from outside"
    header, *rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3
    assert {"model", "epoch", "step", "valid_accuracy", "test_accuracy"} <= set(header.split(","))


def test_the_record_of_a_run_makes_the_same_run_again(tmp_path):
    first = run(lecture.mnist1d, ["--best", "--epochs", "1", "--batch-size", "600", "--out", str(tmp_path)])
    again = run(lecture.mnist1d, ["--config", f"{first['run_folder']}/config.yaml", "--out", str(tmp_path)])
    assert again["metrics"] == first["metrics"]
    assert again["config"] == first["config"]
    assert again["run_folder"] != first["run_folder"]


@pytest.mark.parametrize("option", ["--best", "--unlimited"])
def test_the_strongest_nets_run(tmp_path, option, monkeypatch):
    monkeypatch.setattr(lecture, "FRESH", 100)
    monkeypatch.setattr(lecture.data.Unlimited, "__len__", lambda self: 200)
    record = run(lecture.mnist1d, [option, "--epochs", "1", "--out", str(tmp_path)])
    assert record["metrics"]["parameters"] == 32042 <= 50_000
    assert 0 <= record["metrics"]["accuracy_fresh"] <= 1


def test_pc13_pc14_the_lectures_nets_have_the_lectures_parameters():
    sizes = lambda model: [sum(p.numel() for p in layer.parameters()) for layer in model if list(layer.parameters())]
    assert sizes(lecture.cnn()) == [60, 690, 690, 610]
    assert sum(sizes(lecture.dense())) == 59065
    assert lecture.cnn()(torch.zeros(5, 1, 40)).shape == lecture.dense()(torch.zeros(5, 1, 40)).shape == (5, 10)


def test_full_follows_the_lecture_on_all_four_thousand(tmp_path):
    record = run(lecture.mnist1d, ["--full", "--epochs", "1", "--out", str(tmp_path)])
    rows = [json.loads(line) for line in Path(record["run_folder"], "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [40, 40, 40]
    assert all("valid_loss" not in row for row in rows)
    assert [row["lr"] for row in rows] == [0.01] * 3


def test_a_signal_stops_a_run_at_once_and_says_how_to_go_on(tmp_path):
    words = [sys.executable, "-m", "sigconv", "run", "mnist1d", "--epochs", "4000", "--out", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    running_process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
    assert running_process.stderr is not None
    assert any("epoch 5/" in line for line in running_process.stderr)
    began = time.monotonic()
    running_process.send_signal(signal.SIGTERM)
    rest = running_process.communicate(timeout=60)[1]
    assert running_process.returncode == 143
    assert time.monotonic() - began < 10
    assert "go on with: sigconv run mnist1d --resume" in rest
    assert "Traceback" not in rest


@pytest.mark.parametrize("stop", ["before any checkpoint", "after some"])
def test_a_run_stopped_and_resumed_has_the_bits_of_one_never_stopped(tmp_path, monkeypatch, stop):
    words = ["--best", "--epochs", "3", "--batch-size", "600", "--seed", "4"]
    whole = run(lecture.mnist1d, [*words, "--out", str(tmp_path / "whole")])
    monkeypatch.setattr("sigconv.train.pace.SAVE_EVERY", 1e9 if stop == "before any checkpoint" else 0.0)
    plainly = running.Job.record

    def stopping(self, row, epochs):
        plainly(self, row, epochs)
        if row["epoch"] == 2:
            raise console.Stopped(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(running.Job, "record", stopping)
        with pytest.raises(console.Stopped):
            run(lecture.mnist1d, [*words, "--out", str(tmp_path / "cut")])
    (cut,) = (tmp_path / "cut" / "mnist1d").iterdir()
    again = run(lecture.mnist1d, ["--resume", str(cut)])
    assert again["metrics"] == whole["metrics"]
    weights = [Path(record["run_folder"], "model.safetensors").read_bytes() for record in (whole, again)]
    assert weights[0] == weights[1]
    written = [json.loads(line)["epoch"] for line in (cut / "metrics.jsonl").read_text().splitlines()]
    assert written == [1, 2, 3]


@pytest.mark.parametrize("speaker", ["null", "~", "#a", "1e3", "no", "007", "true"])
def test_a_speaker_may_be_called_anything(speaker):
    config, _ = options.parse(digits.spoken_digits, ["--test-speaker", speaker])
    assert config["test_speaker"] == speaker
    written = yaml.dump(config, Dumper=folders._quoting())
    assert yaml.safe_load(written)["test_speaker"] == speaker


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 1\nbatch-size: 50\n", None),
        ("", None),
        ("epcohs: 1\n", "unknown option 'epcohs': did you mean epochs"),
        ("- 1\n- 2\n", "holds a list"),
        ("epochs: [1", "cannot be read"),
        ("lr: !!python/object/apply:os.system ['true']\n", "cannot be read"),
        ("epochs: {a: 1}\n", "epochs is a dict"),
    ],
)
def test_a_configuration_file_is_read_or_refused_by_name(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    words = ["--config", str(tmp_path / "c.yaml"), "--epochs", "3"]
    if message is None:
        config, _ = options.parse(lecture.mnist1d, words)
        assert config["epochs"] == 3, "the command line wins"
        assert config["batch_size"] == (50 if text else None)
        return
    with pytest.raises(console.UsageError, match=message) as caught:
        options.parse(lecture.mnist1d, words)
    assert "c.yaml" in str(caught.value)


def test_a_refused_run_leaves_nothing_behind(tmp_path):
    with pytest.raises(console.UsageError, match="choose one"):
        run(lecture.mnist1d, ["--full", "--best", "--out", str(tmp_path / "runs")])
    assert not list((tmp_path / "runs").iterdir())


def test_resume_takes_up_the_folder_and_refuses_another_configuration(tmp_path):
    first = run(lecture.mnist1d, ["--epochs", "1", "--out", str(tmp_path)])
    again = run(lecture.mnist1d, ["--epochs", "1", "--out", str(tmp_path), "--resume", "auto"])
    assert again["run_folder"] == first["run_folder"]
    assert again["metrics"] == first["metrics"]
    again = run(lecture.mnist1d, [f"--resume={first['run_folder']}"])
    assert again["config"] == first["config"], "a run goes on as it began"
    with pytest.raises(ValueError, match="another configuration: epochs was 1, now 2"):
        run(lecture.mnist1d, ["--epochs", "2", "--resume", first["run_folder"]])
    with pytest.raises(ValueError, match="is not a run folder"):
        run(lecture.mnist1d, ["--resume", str(tmp_path)])


WRONG = [
    (["run", "mnits"], 2, r"unknown recipe 'mnits': did you mean mnist\?"),
    (["runn"], 2, r"unknown verb 'runn': did you mean run\?"),
    (["--versoin"], 2, "unknown option '--versoin'"),
    (["run", "mnist1d", "--epcohs", "3"], 2, r"unknown option --epcohs: did you mean --epochs\?"),
    (["run", "mnist1d", "--epochs", "many"], 2, "--epochs 'many' is not a whole number"),
    (["run", "mnist1d", "--full", "--best"], 2, "are three experiments: choose one"),
    (["run", "mnist1d", "--device", "tpu"], 1, "device 'tpu' is not one of"),
    (["run", "mnist1d", "--batch-size", "0"], 2, "--batch-size 0 must be at least 1"),
    (["run", "mnist1d", "--config", "nowhere.yaml"], 2, "nowhere.yaml"),
    (["run", "spoken_digits", "--data-root", "nowhere"], 1, "no data set 'fsdd' under 'nowhere'"),
    (["run", "mnist1d", "--epochs", "-5"], 2, "--epochs -5 must be at least 0"),
    (["run", "mnist1d", "--lr", "-1"], 2, "--lr -1.0 must be at least 0"),
    (["run", "mnist1d", "--seed", "null"], 2, "--seed .*None.* is not a whole number"),
    (["run", "mnist1d", "--out", ""], 2, "--resume and --out take the name of a folder"),
    (["run", "mnist1d", "--out", "/dev/null/x"], 1, "--out '/dev/null/x' cannot hold run folders"),
    (["run", "mnist1d", "--seed", "9" * 30], 2, "--seed 9+ is not between 0 and"),
    (["list", "--jsn"], 2, "unknown argument '--jsn'"),
]


@pytest.mark.parametrize(("words", "code", "message"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_a_wrong_command_ends_in_one_line(tmp_path, words, code, message):
    done = command(*words, cwd=tmp_path)
    assert done.returncode == code
    (line,) = done.stderr.strip().splitlines()
    assert "Traceback" not in done.stderr
    assert re.search(message, line), line


def test_every_recipe_takes_the_options_of_the_contract():
    for name in verb._discover.files("recipes"):
        recipe = verb.find(name.replace("_", "-"))
        text = options.parser(recipe).format_help()
        for option in ("seed", "epochs", "batch_size", "lr", "device", "out", "resume", "json", "debug", "config"):
            assert f"--{option}" in text, f"{name} takes no --{option}"
        assert "Question" in text


def test_list_names_what_there_is():
    done = command("list", "--json")
    found = json.loads(done.stdout)
    assert {"mnist1d", "spoken_digits"} <= set(found["recipes"]) & set(found["datasets"])
    assert set(found) == {"recipes", "banks", "models", "datasets", "methods"}


def test_a_recipe_file_run_by_itself_is_the_recipe(tmp_path):
    words = [
        sys.executable,
        str(ROOT / "recipes" / "mnist1d.py"),
        "--best",
        "--epochs",
        "0",
        "--json",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recipe"] == "mnist1d"
