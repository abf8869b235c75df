"""What the doctor finds: golden values, the state of torch, known-bad versions, places, and how it tells them."""

import copy
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import by_hand
import pytest
import torch

from sigconv import doctor
from sigconv.cli import main
from sigconv.doctor import _complaints, _golden, _known, _machine, _numbers, _packages, _places, _promises, _torch
from sigconv.kernels import precise

CONV = _golden.conv


@pytest.fixture(scope="module")
def found():
    """One examination for all that only look at it; a warning would be an error."""
    return doctor.examine()


@pytest.fixture
def found_anew(found, monkeypatch):
    """A copy to be changed, which the command finds too."""
    mine = copy.deepcopy(found)
    monkeypatch.setattr(doctor, "examine", lambda progress=None: mine)
    return mine


def code(*words):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *words])
    return ended.value.code


# Golden values


@pytest.mark.parametrize("bits", [8, 24])
def test_golden_numbers_follow_from_their_definitions(bits):
    for name, pairs in by_hand.golden(_golden, bits).items():
        for (value, scale), (written, around) in zip(pairs, _numbers.GOLDEN[name][bits], strict=True):
            assert abs(value - written) <= 1e-15 * scale, name
            assert around == pytest.approx(scale, rel=1e-3), name
    assert set(by_hand.golden(_golden, 8)) == set(_numbers.GOLDEN)


@pytest.mark.parametrize("bits", [8, 24])
def test_inputs_are_the_same_in_every_precision_that_reads_them(bits):
    x = _golden.made((3, 50), bits, 1)
    assert x.flatten().tolist() == list(by_hand.made((3, 50), bits, 1).values())
    for dtype in (torch.bfloat16, torch.float16) if bits == 8 else (torch.float32,):
        assert torch.equal(x.to(dtype).double(), x)
    assert x.unique().numel() > 100


@pytest.mark.parametrize("dtype", _promises.DTYPES, ids=str)
def test_golden_values_are_met_here(dtype):
    rows = list(doctor.golden("cpu", dtype))
    assert {row["kind"] for row in rows} == {"conv", "bank"}
    assert len({row["case"] for row in rows}) == len(rows) >= 15
    assert all(row["kept"] and not row["error"] for row in rows), rows
    assert 0 < max(row["worst_error"] for row in rows) <= 1


def broken(rows):
    return {row["case"] for row in rows if not row["kept"]}


WRONGS = {
    "one tap shifted": lambda x, weight, **o: CONV(x, weight.roll(1, -1), **o),
    "a border of zeros": lambda x, weight, **o: CONV(x, weight, **o | {"padding_mode": "zeros"}),
    "flipped": lambda x, weight, **o: CONV(x, weight, **o | {"flip": not o.get("flip", False)}),
    "a little too much": lambda x, weight, **o: CONV(x, weight, **o) * (1 + 1e-5),
    "one value": lambda x, weight, **o: CONV(x, weight, **o).index_fill(-1, torch.tensor([0]), 0.25),
    "garbage": lambda x, weight, **o: CONV(x, weight, **o) * torch.nan,
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_a_wrong_convolution_is_noticed(wrong, monkeypatch):
    monkeypatch.setattr(_golden, "conv", WRONGS[wrong])
    assert broken(doctor.golden("cpu", torch.float32))


def test_n6_sums_in_tf32_are_noticed_and_keep_a_gate_of_their_own(monkeypatch):
    def rounded(x):
        """To the ten bits of TF32."""
        return ((x.view(torch.int32) + (1 << 12)) & ~((1 << 13) - 1)).view(torch.float32)

    monkeypatch.setattr(_golden, "conv", lambda x, weight, **o: CONV(rounded(x), rounded(weight), **o))
    made = {case.name for case in _golden.CONVOLUTIONS}
    assert broken(doctor.golden("cpu", torch.float32)) == made
    rows = list(doctor.golden("cpu", torch.float32, doctor.TF32))
    assert not broken(rows)
    assert {row["dtype"] for row in rows} == {"tf32"}


def test_n5_half_precision_summed_in_half_precision_is_noticed(monkeypatch):
    def poor(x, weight, **options):
        """A running sum, rounded after every tap."""
        if weight.numel() != 3000:
            return CONV(x, weight, **options)
        total = torch.zeros_like(x[..., :11])
        for tap in range(3000):
            total = total + x[..., tap : tap + 11] * weight[..., tap]
        return total

    monkeypatch.setattr(_golden, "conv", poor)
    assert broken(doctor.golden("cpu", torch.bfloat16)) == {"3000 ones"}
    assert broken(doctor.golden("cpu", torch.float16)) == {"3000 ones"}


def test_a_wrong_bank_is_noticed(monkeypatch):
    from sigconv.filters import masks

    dense = lambda bank: masks.bank(bank.kernels * (1 + 1e-5))
    banks = [case._replace(build=lambda case=case: dense(case.build())) for case in _golden.BANKS]
    monkeypatch.setattr(_golden, "BANKS", banks)
    assert len(broken(doctor.golden("cpu", torch.float32))) >= 6


def test_a_device_that_fails_is_a_row_and_a_problem(monkeypatch, found):
    def fails(*arguments, **options):
        raise RuntimeError("CUDA error: no kernel image\nis available")

    monkeypatch.setattr(_golden, "conv", fails)
    rows = list(doctor.golden("cpu", torch.float32))
    assert rows[0]["error"] == "CUDA error: no kernel image is available"
    monkeypatch.setattr(_promises, "conv", lambda *a, **o: fails() if o["method"] == "fft" else CONV(*a, **o))
    checks = list(doctor.promises("cpu"))
    assert {row["method"] for row in checks if not row["kept"]} == {"fft"}
    lines = _complaints.problems(found | {"golden": rows, "checks": checks})
    assert any("cpu float32: 11 of 11 golden values of convs wrong" in line["what"] for line in lines)
    assert all(line["remedy"] for line in lines)


def test_a_nan_that_spreads_is_a_problem(monkeypatch, found):
    spread = lambda *a, **o: CONV(*a, **o) + 0 * CONV(*a, **o).sum()
    monkeypatch.setattr(_promises, "conv", lambda *a, **o: spread(*a, **o) if o["method"] == "fft" else CONV(*a, **o))
    checks = list(doctor.promises("cpu"))
    lines = _complaints.problems(found | {"golden": [], "checks": checks})
    assert "fft spreads a NaN beyond its windows" in lines[0]["what"]


# The state of torch


def verdict(name):
    return next(row for row in doctor.state() if row["name"] == name)


def told():
    """All that torch says of its precision of float32, by the newer way and by the older, which may refuse."""
    found = [precise.precision(holder) for holder in (*precise.holders().values(), torch.backends)]
    ways = (lambda: torch.backends.cudnn.allow_tf32, lambda: torch.backends.cuda.matmul.allow_tf32)
    for way in (*ways, torch.get_float32_matmul_precision):
        try:
            found.append(way())
        except RuntimeError:
            found.append("mixed")
    return found


@pytest.fixture
def precision():
    """torch's precisions of float32, put back as they were."""
    holders = {name: (holder, precise.precision(holder)) for name, holder in precise.holders().items()}
    before = told()
    yield
    torch.backends.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    for holder, was in holders.values():
        holder.fp32_precision = was
    torch.backends.cudnn.allow_tf32 = True  # of recurrent layers too, or torch will not say any more
    assert told() == before


SETTINGS = {
    "old and new": lambda: (
        setattr(torch.backends.cudnn, "allow_tf32", False),
        setattr(torch.backends.cudnn.conv, "fp32_precision", "tf32"),
    ),
    "matmul": lambda: (
        torch.set_float32_matmul_precision("medium"),
        setattr(torch.backends.cuda.matmul, "allow_tf32", False),
    ),
    "generic": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "torch's own": lambda: None,
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_n6_the_state_is_told_however_precision_was_set(setting, precision):
    SETTINGS[setting]()
    before = told()
    rows = {row["name"]: row for row in doctor.state()}
    assert _torch.tf32_in_convolutions()
    assert rows["float32 convolutions on CUDA"]["value"] == "tf32"
    with _torch.full_precision():
        inside = {precise.precision(holder) for holder in precise.holders().values()}
    assert inside <= {"ieee", "none"}
    assert told() == before


INHERITS = """
import torch
from sigconv.doctor import _torch
with _torch.full_precision():
    print(_torch.tf32_in_convolutions())
print(_torch.tf32_in_convolutions(), torch.backends.cudnn.allow_tf32)
torch.backends.fp32_precision = "ieee"
print(_torch.tf32_in_convolutions())
"""


def test_what_inherits_its_precision_still_does_after_the_checks():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INHERITS], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["False", "True", "True", "False"], done.stderr


def test_half_precision_products_on_the_cpu_differ_from_the_promise(precision):
    torch.set_float32_matmul_precision("medium")
    row = verdict("float32 products on CPU")
    assert (row["value"], row["verdict"]) == ("bf16", "differs")
    assert 'torch.backends.mkldnn.matmul.fp32_precision = "ieee"' in row["remedy"]


def test_tf32_matters_where_there_is_a_gpu(monkeypatch, precision):
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    assert verdict("float32 convolutions on CUDA")["verdict"] == "idle"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    row = verdict("float32 convolutions on CUDA")
    assert row["verdict"] == "note"
    assert row["remedy"].endswith('torch.backends.cudnn.conv.fp32_precision = "ieee"')
    assert verdict("deterministic algorithms")["verdict"] == "note"


def test_n19_determinism_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert verdict("cudnn.benchmark")["verdict"] == "differs"
    torch.use_deterministic_algorithms(True)
    try:
        assert verdict("deterministic algorithms")["value"] == "on"
        assert ":4096:8" in verdict("cuBLAS workspace")["remedy"]
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        assert verdict("cuBLAS workspace")["verdict"] == "fine"
    finally:
        torch.use_deterministic_algorithms(False)


def test_arithmetic_and_threads_are_told(monkeypatch):
    assert verdict("denormal numbers")["verdict"] == "fine"
    if torch.set_flush_denormal(True):
        try:
            assert verdict("denormal numbers")["verdict"] == "differs"
        finally:
            torch.set_flush_denormal(False)
    torch.set_default_dtype(torch.float64)
    try:
        assert verdict("default dtype")["remedy"] == "layers are made in it: torch.set_default_dtype(torch.float32)"
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.autocast("cpu"):
        assert verdict("autocast")["verdict"] == "note"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    assert verdict("threads")["verdict"] == "differs"
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    assert verdict("TF32 forced by the environment")["verdict"] == "idle"


def test_an_examination_is_not_disturbed_by_the_process_it_runs_in(monkeypatch, precision):
    monkeypatch.setattr(_promises, "CASES", _promises.CASES[:1])
    state = torch.get_rng_state()
    torch.set_float32_matmul_precision("medium")
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.autocast("cpu"):
            assert doctor.examine()["healthy"]
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_float32_matmul_precision() == "medium"


# Versions


HERE = {"torch": "2.13.0+cpu", "numpy": "2.4.6", "scipy": "1.17.1", "python": "3.11.7", "librosa": "1.0.0"}
BAD = {
    "CVE-2025-32434": {"torch": "2.5.1"},
    "CVE-2026-24747": {"torch": "2.9.1+cu128"},
    "CVE-2026-37555": {"libsndfile": "1.2.2"},
    "numpy 2.5 and later": {"numpy": "2.5.2"},
    "scipy 1.18 and later": {"scipy": "1.18.0"},
    "3.11 to 3.13": {"python": "3.14.0"},
    "to_zarr": {"dask": "2026.8.0", "zarr": "3.1.6"},
    "CVE-2026-58659": {"lightning": "2.6.1"},
    "first mel": {"librosa": "0.11.0"},
}


def test_every_row_of_the_known_bad_table_is_whole_and_detected(monkeypatch):
    assert len(_known.KNOWN) == len(BAD)
    monkeypatch.setattr(_packages, "version", HERE.get)
    assert doctor.known_bad() == []
    for row, (word, changed) in zip(_known.KNOWN, BAD.items(), strict=True):
        assert all((row.wrong, row.remedy, row.source, row.level in ("warning", "note"))), row
        monkeypatch.setattr(_packages, "version", (HERE | changed).get)
        assert any(word in line["what"] and line["remedy"] for line in doctor.known_bad()), word


def test_pairs_are_bad_only_together(monkeypatch):
    monkeypatch.setattr(_packages, "version", (HERE | {"numpy": "2.5.2", "python": "3.12.1", "dask": "1"}).get)
    assert doctor.known_bad() == []


def asks(monkeypatch, *lines):
    monkeypatch.setattr(_packages.importlib.metadata, "requires", lambda name: list(lines))


def test_what_is_missing_or_too_old_is_a_warning_with_its_pip_line(monkeypatch):
    asks(monkeypatch, "torch<3,>=2.10", "numpy (>=2)", "scipy>=1.15", 'tomli>=1; python_version < "3.11"')
    monkeypatch.setattr(_packages, "version", {"torch": "2.9.0", "numpy": "2.4"}.get)
    old, missing = _packages.outside()
    assert old["what"] == "torch 2.9.0: sigconv asks for torch<3,>=2.10"
    assert missing["remedy"] == 'pip install "scipy>=1.15"'


def test_extras_name_what_they_lack(monkeypatch):
    lines = ["torch", 'av>=12; extra == "video"', "sigconv[video]; extra == 'all'", "onnx; extra == 'all'"]
    asks(monkeypatch, *lines)
    monkeypatch.setattr(_packages, "version", {"torch": "2.13", "onnx": "1"}.get)
    video, every = _packages.extras()
    assert video == {
        "extra": "video",
        "complete": False,
        "missing": ["av"],
        "remedy": 'pip install "sigconv[video]"',
    }
    assert every["missing"] == ["av"]
    asks(monkeypatch, 'av; extra == "a"', 'sigconv[b]; extra == "a"', 'sigconv[a]; extra == "b"')
    assert [row["missing"] for row in _packages.extras()] == [["av"], ["av"]]  # round in a circle, and back


def test_it_works_where_only_torch_and_numpy_are_installed(monkeypatch, found):
    def nothing(name):
        raise _packages.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_packages.importlib.metadata, "requires", nothing)
    monkeypatch.setattr(_packages.importlib.metadata, "version", nothing)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    monkeypatch.setattr(_machine.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(_promises, "CASES", _promises.CASES[:1])
    bare = doctor.examine()
    assert bare["healthy"]
    assert bare["versions"]["torch"] == torch.__version__
    assert bare["versions"]["scipy"] is bare["versions"]["libsndfile"] is bare["distributed"]["fabric"] is None
    assert bare["extras"] == bare["outside"] == bare["known_bad"] == []
    assert "scipy (missing)" in doctor.report(bare)


# Devices and processes


GPU = {"usable": True, "said": [], "built_for": "13.0", "driver_seen": True, "each": []}
ONE = {"device": "cuda:0", "name": "Tesla K80", "capability": "3.7", "memory_bytes": 1 << 33, "supported": False}
ALONE = {"available": True, "backends": ["gloo", "nccl"], "fabric": None, "variables": {}}


@pytest.mark.parametrize(
    ("gpu", "together", "word"),
    [
        ({"built_for": None, "usable": False}, {}, "built for CPUs"),
        ({"usable": False}, {}, "torch sees no GPU"),
        ({"usable": False, "said": ["the driver is too old"]}, {}, "torch says of CUDA: the driver is too old"),
        ({"each": [ONE]}, {}, "not built for"),
        ({}, {"variables": {"RANK": "0", "SLURM_JOB_ID": "7"}}, "a launcher set RANK and not LOCAL_RANK, WORLD_SIZE"),
        ({"each": [ONE | {"supported": True}] * 2}, {"backends": ["gloo"]}, "2 GPUs and no nccl"),
    ],
)
def test_what_a_machine_lacks_is_a_warning(gpu, together, word):
    lines = list(_machine.complaints(GPU | gpu, ALONE | together))
    assert any(word in line["what"] and line["remedy"] for line in lines)
    assert not list(_machine.complaints(GPU | {"each": [ONE | {"supported": True}]}, ALONE))


def test_torchruns_variables_are_told(monkeypatch):
    told = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "node1", "MASTER_PORT": "29500"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    together = _machine.distributed()
    assert told.items() <= together["variables"].items()
    assert "gloo" in together["backends"]
    assert not list(_machine.complaints(GPU, together))


def test_what_torch_warns_of_when_asked_for_gpus_is_told_and_not_a_warning(monkeypatch):
    def asked():
        warnings.warn("CUDA initialization: the driver is too old", stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", asked)
    assert _machine.gpus()["said"] == ["CUDA initialization: the driver is too old"]
    assert list(doctor.devices()) == ["cpu"]


# Places


def test_places_tell_room_and_whether_they_can_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path / "not" / "yet"))
    rows = {row["place"]: row for row in _places.places()}
    assert rows["runs"]["path"].endswith(tmp_path.name)
    assert not rows["cache"]["there"]
    assert rows["cache"]["writable"]
    assert rows["runs"]["free_bytes"] > 0
    (tmp_path / "runs").mkdir()
    assert _places.places()[0]["path"].endswith("runs")
    assert os.listdir(tmp_path) == ["runs"]  # looked at, and nothing left behind


def test_a_full_or_closed_place_is_a_warning(tmp_path, monkeypatch, found):
    monkeypatch.chdir(tmp_path)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_places.tempfile, "TemporaryFile", full)
    rows = _places.places()
    assert rows[0]["wrong"] == "cannot be written (No space left on device)"
    lines = _complaints.warned(found | {"places": rows})
    assert any("runs (" in line["what"] and "--out" in line["remedy"] for line in lines)
    monkeypatch.undo()
    little = _places.shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(_places.shutil, "disk_usage", lambda path: little)
    assert {row["wrong"] for row in _places.places()} == {"has 1.0 MB free"}
    monkeypatch.undo()
    monkeypatch.setattr(_places, "_files_left", lambda path: 3)
    assert {row["wrong"] for row in _places.places()} == {"has room for 3 files"}


def test_few_open_files_are_a_warning(found):
    lines = _complaints.warned(found | {"limits": found["limits"] | {"open_files": 64}})
    assert any("may open 64 files" in line["what"] and "ulimit -n" in line["remedy"] for line in lines)


def test_caches_are_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "loops"))
    (tmp_path / "fsdd").mkdir()
    (tmp_path / "fsdd" / "a.wav").write_bytes(bytes(1000))
    (tmp_path / "loops").mkdir()
    (tmp_path / "loops" / "x.nbc").write_bytes(bytes(500))
    rows = {(row["cache"], row["bytes"]) for row in _places.caches()}
    assert {("fsdd", 1000), ("numba", 500)} <= rows


def test_a_calibrated_table_of_an_older_sigconv_or_a_broken_one_is_a_warning(tmp_path, monkeypatch, found):
    from sigconv import methods
    from sigconv.methods import _prices

    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    own = json.loads(methods.shipped().read_text())
    try:
        methods.save(own, methods.local())
        assert _places.cost_table()["of_this_machine"]
        assert not _places.cost_table()["wrong"]
        del own["seconds"]["cpu"]["float32"]["direct"]
        methods.save(own, methods.local())
        assert "older sigconv: it has no price of cpu.float32.direct" in _places.cost_table()["wrong"]
        methods.local().write_text("{")
        _prices.table.cache_clear()
        lines = _complaints.warned(found | {"table": _places.cost_table()})
        assert any("cannot be read" in line["what"] and "--calibrate" in line["remedy"] for line in lines)
    finally:
        monkeypatch.undo()
        _prices.table.cache_clear()


# The page and the command


def test_an_examination_is_plain_whole_and_healthy_here(found):
    assert json.loads(json.dumps(found)) == found
    assert found["healthy"]
    assert not found["problems"]
    shape = {"device", "dtype", "worst_error", "kept", "error"}
    assert {frozenset(row) for row in found["golden"]} == {frozenset(shape | {"case", "kind"})}
    assert {frozenset(row) for row in found["checks"]} == {frozenset(shape | {"method", "nan_contained"})}
    assert {row["device"] for row in found["golden"]} == {name.split()[0] for name in doctor.devices()}
    on_cpu = {row["dtype"] for row in found["golden"] if row["device"] == "cpu"}
    assert on_cpu == {"float32", "float64", "float16", "bfloat16"}
    assert {row["verdict"] for row in found["state"]} <= {"fine", "idle", "note", "differs"}
    assert all(row["remedy"] for row in found["state"] if row["verdict"] in ("note", "differs"))
    assert {row["place"] for row in found["places"]} >= {"runs", "cache", "temporary"}


def test_progress_is_told_to_its_end(monkeypatch):
    monkeypatch.setattr(_promises, "CASES", _promises.CASES[:1])
    steps = []
    doctor.examine(lambda done, of: steps.append(done / of))
    assert steps == sorted(steps)
    assert steps[-1] == 1


def test_the_page_is_narrow_and_ends_with_what_is_wrong(found):
    page = doctor.report(found)
    assert max(map(len, page.splitlines())) <= 120
    assert "every promise is kept" in page.splitlines()[-1]
    row = found["golden"][0] | {"kept": False, "worst_error": 40.0}
    sick = found | {"golden": [row], "healthy": False, "warnings": [{"what": "w", "remedy": "r", "source": "s"}]}
    page = doctor.report(sick | {"problems": _complaints.problems(sick)})
    assert "40!" in page
    end = page[page.index("warnings") :]
    assert end.index("1. w [s]") < end.index("problems") < end.index("is off by 40 times what rounding allows")
    assert end.splitlines()[-1] == "some promises are not kept on this machine"


def test_the_home_directory_does_not_leak(tmp_path, monkeypatch):
    home = tmp_path / "ann"
    (home / "runs").mkdir(parents=True)
    (tmp_path / "anna").mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SIGCONV_CACHE", str(home / "cache"))
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setattr(_places.tempfile, "tempdir", None)
    monkeypatch.chdir(home)
    monkeypatch.setattr(_promises, "CASES", _promises.CASES[:1])
    mine = doctor.examine()
    assert str(home) not in json.dumps(mine)
    assert "~/runs" in doctor.report(mine)
    assert _places.tidy(tmp_path / "anna" / "x") == str(tmp_path / "anna" / "x")
    assert _places.tidy(f"'{home}': {home}/x") == "'~': ~/x"
    assert Path(mine["places"][0]["path"]) == Path("~/runs")


def test_strict_makes_a_warning_count(found_anew, capsys):
    found_anew["warnings"] = []
    assert code() == code("--strict") == 0
    found_anew["warnings"] = [{"what": "torch 2.9", "remedy": "take 2.10", "source": ""}]
    assert code() == 0
    assert code("--strict") == 1
    found_anew["healthy"] = False
    assert code() == code("--strict", "--json") == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["warnings"][0]["remedy"] == "take 2.10"


def test_a_number_that_is_not_finite_is_null_in_json(found_anew, capsys):
    found_anew["golden"][0]["worst_error"] = float("inf")
    assert code("--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["golden"][0]["worst_error"] is None


def test_a_wrong_convolution_fails_the_command(monkeypatch, capsys):
    monkeypatch.setattr(_promises, "CASES", _promises.CASES[:1])
    monkeypatch.setattr(_golden, "conv", WRONGS["one tap shifted"])
    assert code() == 1
    page = capsys.readouterr().out
    assert "golden values of convs wrong" in page
    assert "results of this one are not to be trusted" in page


def test_strict_and_calibrate_do_not_go_together(capsys):
    assert code("--strict", "--calibrate") == 2
    assert "leave out --calibrate" in capsys.readouterr().err
