"""Many processes, started by torchrun, talking by gloo: what one process comes to, and files from the first alone."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import many
import numpy as np
import pytest
import yaml
from conftest import ROOT

from sigconv.train import checkpoint, processes, run


def torchrun(*words, count=2, timeout=240):
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    line += [str(Path(many.__file__)), *map(str, words), "--json"]
    return subprocess.run(line, capture_output=True, text=True, timeout=timeout, env=environment, cwd=ROOT, check=False)


def record(done):
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    return json.loads(line)


def curve(found):
    return np.array(json.loads(found["metrics"]["losses"]))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run(many.plain, ["--out", str(tmp_path_factory.mktemp("alone"))])


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_have_the_losses_of_one_and_the_first_alone_writes(tmp_path, alone, strategy):
    done = torchrun("plain", "--out", tmp_path, "--strategy", strategy)
    found = record(done)
    assert found["metrics"]["processes"] == 2
    assert found["metrics"]["shared"] == (4 if strategy == "fsdp" else 0)
    assert found["metrics"]["folder"] is True
    np.testing.assert_allclose(curve(found), curve(alone), rtol=1e-12)
    assert found["metrics"]["scores"] == pytest.approx(alone["metrics"]["scores"], rel=1e-6)
    (folder,) = (tmp_path / "plain").iterdir()
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3
    assert (folder / "report.html").exists()
    assert done.stderr.count("epoch 1/3") == 1, "one process speaks for all"
    assert "Traceback" not in done.stderr


def test_processes_that_were_stopped_go_on_and_one_may_take_over_from_two(tmp_path):
    done = torchrun("plain", "--out", tmp_path, "--fail", "SIGTERM", "--epochs", 40)
    assert done.returncode != 0
    (folder,) = (tmp_path / "plain").iterdir()
    state = checkpoint.load(checkpoint.numbered(folder / "checkpoints", "model")[0])
    assert 0 < state["step"] < 40 * 5
    assert len(state["generators"]) == 2
    assert "go on with: sigconv run plain --resume" in done.stderr
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"fail": ""}))
    found = run(many.plain, ["--resume", str(folder)])
    whole = run(many.plain, ["--out", str(tmp_path / "whole"), "--epochs", "40"])
    np.testing.assert_allclose(curve(found), curve(whole), rtol=1e-11)


def test_a_process_that_fails_ends_all_and_is_named(tmp_path):
    done = torchrun("plain", "--out", tmp_path, "--fail", "1", timeout=120)
    assert done.returncode != 0
    assert "process 1: error: a file of this process cannot be read" in done.stderr


def test_what_draws_comes_to_the_same_in_the_mean(tmp_path):
    """Within two standard errors of the difference over five seeds, each."""
    one = json.loads(run(many.drawing, ["--out", str(tmp_path / "one")])["metrics"]["losses"])
    two = json.loads(record(torchrun("drawing", "--out", tmp_path / "two"))["metrics"]["losses"])
    error = (statistics.variance(one) / 5 + statistics.variance(two) / 5) ** 0.5
    assert one != two
    assert abs(statistics.mean(one) - statistics.mean(two)) <= 2 * error


def test_alone_nothing_is_asked_of_anyone():
    assert (processes.started(), processes.count(), processes.number()) == (1, 1, 0)
    assert processes.greatest(1.0, 2) == [1.0, 2]
    nest = {"a": [1]}
    assert processes.told(nest) is nest
