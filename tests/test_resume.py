"""A training that was stopped, however, and goes on: the bits of one never stopped (F1, F4, F11, R10)."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import kills
import pytest
import torch
from conftest import ROOT

from sigconv import console
from sigconv.train import Job, checkpoint, fit, pace, seeds
from sigconv.transforms import augment

OPTIONS = {"epochs": 3, "lr": 0.02, "batch_size": 25, "schedule": "cosine", "average": 0.9, "clip": 1.0}


@pytest.fixture(autouse=True)
def saving_after_every_step(monkeypatch):
    monkeypatch.setattr(pace, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(pace, "MOST_SAVING", math.inf)


class KilledError(Exception):
    """Stands in for a kill right after a checkpoint."""


def train(folder, *, stop_at=None, resuming=False, workers=0, monkeypatch=None, **options):
    """Weights and rows; stopped after the checkpoint of a step, if one is given."""
    seeds.everything(5)
    job, model = Job(seed=5, folder=folder, resuming=resuming, workers=workers), kills.network()
    if stop_at is not None:
        save = job.checkpoint

        def stopping(name, step, state):
            save(name, step, state)
            if step == stop_at:
                raise KilledError

        job.checkpoint = stopping
    data = augment.Augmented(kills.signals(100, 0), kills.noisy)
    rows = fit(model, data, kills.signals(50, 1), job=job, **(OPTIONS | options))
    return model.state_dict(), [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def same(one, other):
    return all(torch.equal(one[0][key], other[0][key]) for key in one[0]) and one[1] == other[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("stops", [[1], [4], [2, 3, 5, 6], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]])
def test_f1_f4_a_run_resumed_any_number_of_times_has_the_bits_of_one_never_stopped(tmp_path, whole, stops):
    for place, step in enumerate(stops):
        with pytest.raises(KilledError):
            train(tmp_path, stop_at=step, resuming=place > 0)
    again = train(tmp_path, resuming=True)
    assert same(again, whole)
    written = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in written] == [1, 2, 3]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["model-11", "model-12"]


@pytest.mark.parametrize("stop", [3, 8])
def test_a_resumed_run_may_have_other_workers_and_parts_stay_exact(tmp_path, stop, whole):
    with pytest.raises(KilledError):
        train(tmp_path, stop_at=stop, workers=1)
    assert same(train(tmp_path, resuming=True, workers=2), whole)


def test_a_stop_during_the_measurement_measures_anew(tmp_path, whole, monkeypatch):
    """The signal comes while an epoch is measured: nothing of that measurement is kept, and nothing trained is lost."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    asked = []
    plain = kills.network().__class__.forward

    def forward(model, x):
        if not model.training and isinstance(model[0], torch.nn.Module) and len(model) == 10:
            asked.append(1)
            if len(asked) == 2:
                signal.raise_signal(signal.SIGINT)
        return plain(model, x)

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Sequential, "forward", forward)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    signal.signal(signal.SIGINT, before)
    (newest, *_) = checkpoint.numbered(tmp_path / "checkpoints", "model")
    state = checkpoint.load(newest)
    assert (state["epoch"], state["batch"], len(state["rows"])) == (2, 4, 1)
    assert same(train(tmp_path, resuming=True), whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_f11_a_signal_waits_for_the_step_and_its_checkpoint(tmp_path, whole, number):
    def recipe():
        seen = []
        job = Job(seed=5, folder=tmp_path)

        def noisy(x, generators):
            seen.append(1)
            if len(seen) == 8 + 6:  # eight items are looked at first, to know the data again
                signal.raise_signal(number)
            return kills.noisy(x, generators)

        seeds.everything(5)
        fit(kills.network(), augment.Augmented(kills.signals(100, 0), noisy), kills.signals(50, 1), job=job, **OPTIONS)

    assert console.guarded(recipe) == 128 + number
    (newest, *_) = checkpoint.numbered(tmp_path / "checkpoints", "model")
    assert checkpoint.load(newest)["step"] >= 5
    assert same(train(tmp_path, resuming=True), whole)


def test_a_second_signal_stops_at_once_and_a_block_without_one_goes_on():
    def twice():
        with console.held() as arrived:
            signal.raise_signal(signal.SIGTERM)
            assert arrived == [signal.SIGTERM]
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("the second signal was held too")

    assert console.guarded(twice) == 143
    before = signal.getsignal(signal.SIGINT)
    with console.held() as arrived:
        assert not arrived
    assert signal.getsignal(signal.SIGINT) is before


STUCK = """
import sys, time
from sigconv import console
console.GRACE = 0.5
def work():
    with console.held():
        print("ready", flush=True)
        time.sleep(60)
        time.sleep(60)
sys.exit(console.guarded(work))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_f11_a_step_that_does_not_end_is_ended(number):
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + number
    assert "seconds were not enough to end in good order" in said
    assert "Traceback" not in said


def test_f11_workers_leave_the_signal_to_the_training(tmp_path):
    """SIGTERM to the whole group, as a cluster sends it: the workers go on until the checkpoint is written."""
    words = [sys.executable, "-m", "sigconv", "run", "mnist1d", "--best", "--epochs", "400", "--workers", "2"]
    process = subprocess.Popen(
        [*words, "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    assert any("epoch 1/" in line for line in process.stderr)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 143, said
    assert time.monotonic() - began < 10
    assert "go on with: sigconv run mnist1d --resume" in said
    (folder,) = (tmp_path / "mnist1d").iterdir()
    assert checkpoint.load(checkpoint.numbered(folder / "checkpoints", "model")[0])["step"] > 0
    assert not (folder / "result.json").exists()


def test_r10_kill_9_at_random_instants_loses_no_bit(tmp_path, request):
    """Training, checkpoint or report: wherever the kill comes, the weights are those of a run never stopped."""
    wanted = 200 if request.config.getoption("--thorough") else 30
    done = subprocess.run(
        [sys.executable, str(Path(kills.__file__)), str(tmp_path), str(wanted), "0"],
        capture_output=True,
        text=True,
        timeout=3000,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] >= wanted
    assert found["equal"] == found["runs"] > 0
    left = [path for path in tmp_path.glob("run-*/killed/**/.*") if path.name != ".lock"]
    assert not left, "nothing half-written is left"
