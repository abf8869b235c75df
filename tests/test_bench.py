"""What the planner promises of memory, what the doctor finds, what a race reports."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.overrides import TorchFunctionMode

from sigconv import console, doctor, methods
from sigconv.benchmarks import _card, _ceilings, _race
from sigconv.cli import bench, main
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
        (["bench", "--keep", "--output", "x"], "--keep names the file itself, and --output 'x' another"),
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


FIELDS = {"bytes", "flops", "dtype", "gb_per_s", "tflop_per_s", "of_copy", "of_product", "share_goal", "share_met"}


def raced(**options):
    work = _ceilings.Work(traffic=2_000_000, flops=3e6)
    case = _race.Case("half", {"ours": lambda: torch.ones(3)}, work=work, **options)
    result = _race.race(case, 1, "cpu", _ceilings.Ceilings(copy=4e9, products={"float32": 2e10}))
    result.seconds["ours"] = [1e-3]
    return result


def test_a_case_that_tells_its_work_is_compared_with_the_ceilings():
    row = raced(share=0.4).record()
    assert {key: row[key] for key in FIELDS} == {
        "bytes": 2_000_000,
        "flops": 3e6,
        "dtype": "float32",
        "gb_per_s": pytest.approx(2.0),
        "tflop_per_s": pytest.approx(3e-3),
        "of_copy": pytest.approx(0.5),
        "of_product": pytest.approx(0.15),
        "share_goal": 0.4,
        "share_met": True,
    }
    assert "2 50%  40% of copy met" in _race.table([raced(share=0.4)])
    assert "60% of copy NOT MET" in _race.table([raced(share=0.6)])
    plain = _race.race(_race.Case("plain", {"ours": lambda: torch.ones(3)}), 1, "cpu").record()
    assert not FIELDS & set(plain)


def test_ceilings_are_of_a_copy_and_of_products(monkeypatch):
    """The clock is set: one second a call."""
    calls = []
    monkeypatch.setattr(_ceilings, "COPIED", {"cpu": 4000})
    monkeypatch.setattr(_ceilings._clock, "seconds", lambda work, number, device: calls.append(work()) or 1.0)
    found = _ceilings.measured("cpu")
    assert found.copy == 8000
    assert found.products == {"float32": 2.0 * 256**3, "bfloat16": 2.0 * 256**3}
    assert {t.dtype for t in calls} == {torch.float32, torch.bfloat16}
    assert found.record()["copy_gb_per_s"] == pytest.approx(8e-6)
    assert str(found).startswith("ceilings: copy 8e-06 GB/s, products float32 ")


def test_products_grow_until_they_last(monkeypatch):
    monkeypatch.setattr(_ceilings._clock, "seconds", lambda work, number, device: work().shape[0] / 51_200)
    assert _ceilings._product("cpu", torch.float32) == pytest.approx(2 * 1024**3 / 0.02)


def test_a_peer_that_fails_is_left_out_and_ours_is_told():
    def broken():
        raise RuntimeError("no kernel\nfor this")

    ones = lambda: torch.ones(2)
    result = _race.race(_race.Case("one", {"ours": ones, "bad": broken, "good": ones}), 1, "cpu")
    assert list(result.seconds) == ["ours", "good"]
    assert result.warnings == ["bad failed: no kernel for this"]
    cases, lost = [_race.Case("bad", {"ours": broken}), _race.Case("good", {"ours": ones})], []
    found = list(
        _race.run(cases, 1, "cpu", lambda *_: None, failed=lambda name, error: lost.append((name, str(error))))
    )
    assert [result.case for result in found] == ["good"]
    assert lost == [("bad", "no kernel\nfor this")]
    with pytest.raises(RuntimeError, match="no kernel"):
        list(_race.run(cases, 1, "cpu", lambda *_: None))


def test_answers_of_several_parts_are_compared_part_by_part():
    big, small = torch.full((3,), 1e6), torch.ones(3)
    case = _race.Case("two", {"ours": lambda: (big, small), "other": lambda: (big, 1.5 * small), "one": lambda: big})
    differ = _race.race(case, 1, "cpu").differ
    assert differ == {"ours": 0.0, "other": 0.5, "one": float("inf")}
    assert _race._numbers(torch.ones(2, dtype=torch.bfloat16))[0].dtype.name == "float32"


class Clock:
    """Marks in a made queue: each two lie 30 ms apart."""

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.recorded = True

    def elapsed_time(self, other):
        return 30.0 if self.recorded and other.recorded else 0.0


@pytest.fixture
def cuda(monkeypatch):
    """A GPU that is made up, as far as a race asks for one."""
    about = SimpleNamespace(name="Card 9", major=9, minor=0, total_memory=7 << 30, multi_processor_count=3, uuid="abc")
    made = {
        "is_available": lambda: True,
        "Event": Clock,
        "synchronize": lambda: None,
        "reset_peak_memory_stats": lambda: None,
        "memory_allocated": lambda: 100,
        "max_memory_allocated": lambda: 350,
        "get_device_name": lambda: "Card 9",
        "get_device_properties": lambda device: about,
        "current_device": lambda: 0,
    }
    for name, function in made.items():
        monkeypatch.setattr(torch.cuda, name, function)


def test_on_cuda_events_are_the_clock_and_torch_tells_the_peak(cuda):
    seen = []
    result = _race.race(_race.Case("one", {"ours": lambda: seen.append(1) or torch.ones(1)}), 2, "cuda")
    assert result.seconds["ours"] == [0.03, 0.03]
    assert result.peak == 250
    assert len(seen) == 1 + _race.WARM + 1 + 2 + 1  # compared, warm, timed once, timed twice, its peak


def test_the_record_of_a_gpu_tells_card_driver_and_versions(cuda, monkeypatch):
    asked = []

    def told(command, **options):
        asked.append(command)
        return SimpleNamespace(stdout="570.1, 1980, 1980, 3201, 700.00\n")

    monkeypatch.setattr(_card.subprocess, "run", told)
    record = bench._machine({"device": "cuda", "repeats": 3})
    assert record["device"] == "Card 9"
    assert record["tf32"] is False
    assert record["peers"]["numpy"]
    gpu = record["gpu"]
    assert (gpu["name"], gpu["capability"], gpu["memory_bytes"]) == ("Card 9", "9.0", 7 << 30)
    assert (gpu["driver_version"], gpu["clocks.max.sm"]) == ("570.1", "1980")
    assert {"cuda", "cudnn", "triton"} <= set(gpu)
    assert "--id=GPU-abc" in asked[0]
    monkeypatch.setattr(_card.subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    assert bench._machine({"device": "cuda", "repeats": 3})["gpu"]["driver_version"] is None


def test_sets_of_the_cpu_alone_are_left_out_on_cuda_in_one_line(cuda, monkeypatch, capsys):
    sets = importlib.import_module("sigconv.cli._discover").files("benchmarks")
    alone = [name for name in sets if hasattr(importlib.import_module(f"sigconv.benchmarks.{name}"), "CPU_ONLY")]
    assert {"extraction", "streaming", "tiles"} <= set(alone)
    for name in alone:
        assert bench._cases(name, {"device": "cuda", "only": ""}, lambda *_: None) == []
        told = capsys.readouterr().err
        assert told.startswith(f"{name} is left out, for it is of the CPU alone: ")
        assert told.count("\n") == 1


@pytest.fixture
def toy(monkeypatch):
    """The set of methods, made short: one case, and a second that fails."""
    from sigconv.benchmarks import methods as work

    def broken():
        raise ValueError("out of\nroom")

    ones = {"ours": lambda: torch.ones(3), "peer": lambda: torch.ones(3)}
    cases = [_race.Case("good", ones, work=_ceilings.Work(100)), _race.Case("bad", {"ours": broken})]
    monkeypatch.setattr(work, "cases", lambda device: cases)
    monkeypatch.setattr(_ceilings, "measured", lambda device: _ceilings.Ceilings(1e9, {"float32": 1e9}))
    return cases


def test_a_case_that_fails_is_told_and_recorded_and_the_others_go_on(toy, capsys, tmp_path):
    file = tmp_path / "all.json"
    assert main_code(["bench", "methods", "--repeats", "1", "--json", "--output", str(file)]) == 3
    out, err = capsys.readouterr()
    answer = json.loads(out.splitlines()[-1])
    assert [row["case"] for row in answer["results"]] == ["good"]
    assert answer["failures"] == [{"set": "methods", "case": "bad", "error": "out of room"}]
    assert answer["ceilings"] == {"copy_gb_per_s": 1.0, "product_tflop_per_s": {"float32": 1e-3}}
    assert "methods, bad failed: out of room\n" in err
    assert json.loads(file.read_text()) == answer
    del toy[1]
    assert main_code(["bench", "methods", "--repeats", "1"]) == 0
    assert "% of copy" in capsys.readouterr().out


def test_a_record_is_kept_by_its_sets_names_and_the_gpus(toy, capsys, tmp_path, monkeypatch):
    import sigconv.benchmarks

    del toy[1]
    monkeypatch.setattr(sigconv.benchmarks, "__path__", [str(tmp_path)])
    assert bench._plain("NVIDIA H200 (NVL)") == "nvidia-h200-nvl"
    with pytest.raises(console.UsageError, match="--keep: there is no folder .* or give --output"):
        bench._keeping([], "cpu")
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Card 9")
    assert bench._keeping([], "cuda") == str(tmp_path / "results" / "all-card-9.json")
    assert bench._keeping(["haar", "dna"], "cpu") == str(tmp_path / "results" / "haar-dna.json")


def test_keep_writes_the_record(toy, capsys, tmp_path, monkeypatch):
    del toy[1]
    monkeypatch.setattr(bench, "_keeping", lambda names, device: str(tmp_path / f"{names[0]}-{device}.json"))
    assert main_code(["bench", "methods", "--repeats", "1", "--keep"]) == 0
    assert json.loads((tmp_path / "methods-cpu.json").read_text())["results"][0]["set"] == "methods"


def test_float32_keeps_float32_while_a_race_is_run_and_cudnn_looks_for_its_best(monkeypatch):
    from sigconv.kernels import precise

    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    with _card.tuned("cpu"):
        assert not torch.backends.cudnn.benchmark
    with _card.tuned("cuda"):
        assert torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.benchmark
    seen = []
    monkeypatch.setattr(
        bench, "_raced", lambda *_: seen.append(precise.precision(torch.backends.cudnn.conv)) or ([], {"failures": [1]})
    )
    assert main_code(["bench", "methods"]) == 3
    assert seen == ["ieee"]


@pytest.mark.parametrize(
    "name", ["convolution", "filters", "haar", "pooling", "depthwise", "layers", "scattering", "dna"]
)
def test_kernels_cases_tell_their_work(name, monkeypatch):
    """No runner runs."""
    module = importlib.import_module(f"sigconv.benchmarks.{name}")
    for table, small in {"SHAPE": (1, 4, 12, 12, 12), "SMALL": (1, 4, 12, 12, 12), "BATCH": {"cpu": 1}}.items():
        monkeypatch.setattr(module, table, small, raising=False)
    cases = module.cases("cpu")
    told = [case for case in cases if case.work is not None]
    assert len(told) >= len(cases) - 1
    assert all(case.work.traffic > 0 for case in told)


@pytest.mark.parametrize("stride", [1, 3])
def test_the_banks_peers_on_cuda_answer_as_the_bank(stride):
    from sigconv.benchmarks import filters as work

    bank = work._round([2.0, 3.0], work.gabor.directions(2, 2), "cpu")
    x = torch.randn(1, 1, 40, 45)
    y = torch.as_tensor(bank(x, stride=stride))[0]
    for runner in work._gpus(x, bank, stride).values():
        torch.testing.assert_close(runner(), y, rtol=0, atol=1e-5 * float(y.abs().max()))


class Here(TorchFunctionMode):
    """What is asked of a GPU is done on the CPU, and 2 GB are a few samples: the branches of CUDA run where none is."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        here = lambda value: "cpu" if isinstance(value, str | torch.device) and str(value) == "cuda" else value
        if function is torch.randn and args[0] == 8 and len(args) == 5:
            args = (1, 2, 12, 12, 12)
        return function(*map(here, args), **{key: here(value) for key, value in (kwargs or {}).items()})


SHORT = {
    "pooling": {},
    "haar": {"SHAPES": {"2-D": (32, 32)}, "STATIONARY": {"2-D": ((16, 16), 2)}},
    "depthwise": {"SHAPE": (1, 2, 9, 9, 9)},
    "scattering": {"BATCH": {"cuda": 1}, "ROWS": (("2-D", (32, 32), {"J": 2, "L": 4}),)},
    "layers": {"BATCH": {"cuda": 1}},
}


@pytest.mark.parametrize("name", SHORT)
def test_every_runner_of_a_case_for_cuda_does_the_same_work(name, monkeypatch):
    module = importlib.import_module(f"sigconv.benchmarks.{name}")
    for table, small in SHORT[name].items():
        monkeypatch.setattr(module, table, small)
    if name == "layers":  # torch has no means of bfloat16 over volumes on a CPU
        monkeypatch.setattr(module, "ROWS", [row for row in module.ROWS if row[0] != "AvgPool 3-D, 2"])
    with Here():
        cases = [case for case in module.cases("cuda") if "stochastic" not in case.name]
        for case in cases:
            answers = {runner: _race._numbers(work()) for runner, work in case.runners.items()}
            assert all(d <= case.tolerance for d in _race._differ(answers).values()), case.name
    told = [case for case in cases if case.work]
    assert len(told) >= len(cases) - 1
    assert any(case.goal or case.share for case in cases) or name == "scattering"
