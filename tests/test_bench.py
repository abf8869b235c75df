"""What the planner promises of memory, what the doctor finds, what a race reports."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sigconv import doctor, methods
from sigconv.benchmarks import _race
from sigconv.cli import main
from sigconv.methods import _calibrate

PEAKS = """
import json, sys, torch, sigconv as sc
torch.set_num_threads(2)
for dtype in (torch.float32, torch.float64):  # what is loaded and compiled once
    sc.conv(torch.randn(1, 1, 300_000, dtype=dtype), torch.randn(1, 1, 31, dtype=dtype))

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

def now():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmRSS"))

CASES = [
    ((1, 1, 3_000_000), (1, 1, 31), {}),
    ((1, 1, 3_000_000), (1, 1, 2001), {"padding": "same", "padding_mode": "reflect"}),
    ((4, 8, 100_000), (16, 8, 9), {"stride": 2}),
    ((1, 1, 1200, 1200), (2, 1, 25, 25), {"padding": "full"}),
    ((1, 4, 90, 90, 90), (8, 4, 3, 3, 3), {"padding": 1}),
    ((2, 8, 64, 64, 64), (8, 1, 5, 5, 5), {"groups": 8}),
    ((1, 2, 12, 24, 24, 24), (4, 2, 3, 3, 3, 3), {}),
]
answers = []
for dtype in (torch.float32, torch.float64):
    for size, kernel, options in CASES:
        x, weight = torch.randn(size, dtype=dtype), torch.randn(kernel, dtype=dtype)
        plan = sc.plan(x, weight, **options)
        for row in plan.candidates:
            if row.refused or row.seconds > 2 or row.memory > 3 << 30:
                continue
            method = row.method if row.method != plan.method else "auto"
            small = torch.randn(*size[:2], *[max(k + 2, 9) for k in kernel[2:]], dtype=dtype)
            sc.conv(small, weight, **options, method=method)  # what is loaded and compiled at the first call
            open("/proc/self/clear_refs", "w").write("5")
            before = now()
            sc.conv(x, weight, **options, method=method)
            answers.append([str(dtype), str(size), method, row.method, peak() - before, row.memory])
print(json.dumps(answers))
"""


def test_no_method_allocates_more_than_the_plan_said():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the system does not tell a process's peak memory")
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) > 20
    above = [row for row in answers if row[4] > row[5]]
    assert not above, "\n".join(f"{row[:4]}: {row[4] / 2**20:.0f} MiB, planned {row[5] / 2**20:.0f}" for row in above)


def test_every_promise_is_kept_on_this_machine(capsys):
    assert main_code(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["healthy"]
    assert found["cost_table"] == methods.table()[1]
    assert {row["method"] for row in found["checks"]} >= {"auto", "direct", "fft", "overlap"}
    assert "every promise is kept" in doctor.report(found)


def test_a_calibrated_table_is_written_and_taken(tmp_path, monkeypatch, capsys):
    from sigconv.methods import _prices

    monkeypatch.setattr(_calibrate, "GRID", ((1, 1, 1, 1, (500,), (5,), 1), (1, 2, 2, 1, (9, 9), (3, 3), 1)))
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    try:
        assert main_code(["doctor", "--calibrate", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert answer["cost_table"] == str(tmp_path / "costs.json")
        own, digest = _prices.table()
        assert own == answer["seconds"]
        assert digest != _prices._read(_prices.shipped())[1]
    finally:
        monkeypatch.undo()
        _prices.table.cache_clear()


def main_code(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def test_a_race_compares_answers_and_says_what_is_suspect():
    pause = lambda ms: lambda: time.sleep(ms / 1e3) or torch.ones(3)
    cases = [
        _race.Case("easy", {"ours": pause(8), "peer": pause(1)}, goal=2.0),
        _race.Case(
            "hard", {"ours": pause(1), "peer": pause(9), "wrong": lambda: torch.zeros(3)}, 1.5, harder_than="easy"
        ),
    ]
    easy, hard = _race.run(cases, 3, "cpu", lambda number, result: None)
    assert easy.record()["met"] is False
    assert "NOT MET" in _race.table([easy])
    assert easy.best == "peer"
    assert hard.record()["ratio"]["least"] <= hard.record()["ratio"]["median"] <= hard.record()["ratio"]["most"]
    assert any("wrong differs by 1.0" in warning for warning in hard.warnings)
    assert any("ours took longer for less work in 'easy'" in warning for warning in hard.warnings)


def test_bench_runs_one_case_and_writes_what_it_found(tmp_path, capsys):
    file = tmp_path / "bench.json"
    words = ["bench", "convolution", "--only", "tokens", "--repeats", "1", "--output", str(file), "--json"]
    assert main_code(words) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["results"][0]["case"].startswith("tokens")
    assert answer["results"][0]["differ"]["torch, one-hot"] < 1e-4
    assert json.loads(file.read_text())["results"] == answer["results"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["bench", "nothing"], "unknown argument 'nothing'"),
        (["bench", "--repeats", "x"], "--repeats 'x' is not a whole number"),
        (["bench", "--repeats", "0"], "--repeats 0 must be at least 1"),
        (["bench", "--device", "tpu"], "--device 'tpu' is neither cpu nor cuda"),
        (["bench", "methods", "--only", "qqq"], "matches no case"),
        (["bench", "--only"], "--only needs a value"),
        (["doctor", "--calibrat"], "did you mean --calibrate"),
        (["doctor", "--output", "x"], "add --calibrate"),
    ],
)
def test_a_command_that_cannot_be_meant_is_one_line(words, hint, capsys):
    assert main_code(words) == 2
    text = capsys.readouterr().err
    assert hint in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("verb", ["bench", "doctor"])
def test_help_teaches(verb, capsys):
    assert main_code([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"usage: sigconv {verb}" in text
    assert "--json" in text


@pytest.mark.parametrize("kept", [False, True])
def test_fit_and_the_bare_loop_it_is_raced_against_do_the_same_work(kept):
    from dataclasses import replace

    from sigconv.benchmarks import training

    for work in (training.WORKS[0], training.WORKS[2]):
        small = replace(work, items=40, batch_size=16, epochs=2)
        case = training._case(small, "cpu", kept)
        fitted, bare = (runner() for runner in case.runners.values())
        torch.testing.assert_close(fitted, bare)
        assert not torch.equal(fitted, training._weights(small.model()))


def test_the_race_of_items_that_take_time_is_of_equals_too(monkeypatch):
    from dataclasses import replace

    from sigconv.benchmarks import training

    monkeypatch.setattr(training, "SLOW", replace(training.SLOW, items=40, batch_size=20, epochs=2))
    fitted, bare = (runner() for runner in training._slow("cpu").runners.values())
    torch.testing.assert_close(fitted, bare)
