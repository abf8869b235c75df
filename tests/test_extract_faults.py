"""What may go wrong while features are made of many files: the rows of the fault matrix that touch extraction."""

import contextlib
import errno
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import extraction_trees as made
import numpy as np
import pytest
from conftest import ROOT
from extraction_trees import BANK

import sigconv as sc
from sigconv import console, files
from sigconv.cli import extract as verb
from sigconv.extraction import _desk, _folder, _inputs, _names, _processes
from sigconv.readers import npy


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def main(*words):
    return console.guarded(lambda: verb.main([str(word) for word in words]))


def started(*words, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"} | options.pop("env", {})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", "sigconv", *map(str, words)], env=environment, **pipes, **options)


def test_f3_killed_at_any_instant_it_goes_on_to_the_same_bytes(tmp_path, request):
    kills = 200 if request.config.getoption("--thorough") else 20
    words = [sys.executable, str(ROOT / "tests" / "extraction_kills.py"), str(tmp_path), str(kills), "7"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=900, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] >= kills
    assert found["equal"] == found["runs"] > 0


class Full:
    """A disk that takes so many calls to write, and then is full."""

    def __init__(self, monkeypatch, good):
        self.left, self.whole = good, os.fdopen
        monkeypatch.setattr(os, "fdopen", self.opened)

    def opened(self, handle, mode="r", *rest, **named):
        file = self.whole(handle, mode, *rest, **named)
        if mode != "wb":
            return file
        disk = self

        class Filling(type(file)):
            def write(self, content):
                disk.left -= 1
                if disk.left < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return super().write(content)

        file.flush()
        return Filling(file.detach())


@pytest.mark.parametrize("good", [0, 5, 17, 33])
def test_f5_a_full_disk_ends_the_work_in_one_line_and_loses_nothing(tmp_path, monkeypatch, capsys, good):
    root = made.small(tmp_path / "in", 30, bad=False)
    monkeypatch.setattr(_desk, "MOST_WAITING", 4)
    with monkeypatch.context() as patched:
        Full(patched, good)
        assert main(BANK, root, "-o", tmp_path / "out") == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert str(tmp_path) in said[0]
    assert not [name for name in made.tree(tmp_path / "out") if name.endswith(".tmp")]
    before = set(made.tree(tmp_path / "out"))
    assert good < 20 or before - {".lock", "extraction.json", "journal.jsonl"}, "what was whole is kept"
    assert sc.extract(BANK, root, tmp_path / "out").code == 0
    sc.extract(BANK, root, tmp_path / "clean")
    assert made.tree(tmp_path / "out") == made.tree(tmp_path / "clean")


def test_f5_a_limit_on_the_size_of_files_is_such_a_disk(tmp_path, capsys):
    made.array(tmp_path / "in" / "a.npy", (300, 400))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        assert main(BANK, tmp_path / "in", "-o", tmp_path / "out") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    (said,) = capsys.readouterr().err.splitlines()
    assert "File too large" in said
    assert "a.npy" in said
    assert not [name for name in made.tree(tmp_path / "out") if name.endswith((".tmp", ".npy"))]


@pytest.mark.parametrize("place", ["/proc/nothing/here", "a-file/out"])
def test_f6_a_place_that_cannot_be_written_is_told_before_any_work(tmp_path, monkeypatch, capsys, place):
    monkeypatch.chdir(tmp_path)
    Path("a-file").write_text("")
    made.sound(tmp_path / "in" / "x.wav")
    for module, name in ((_processes, "run"), (_inputs, "found"), (_inputs, "digest"), (_folder, "Folder")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("work began"))
    before = made.tree(tmp_path)
    assert main(BANK, "in", "-o", place, "--jobs", 2) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert place.split("/")[0] in line or "proc" in line
    assert made.tree(tmp_path) == before


def test_f6_a_folder_that_is_read_only(tmp_path, monkeypatch):
    made.sound(tmp_path / "in" / "x.wav")

    def refused(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path))

    monkeypatch.setattr(_folder.tempfile, "TemporaryFile", refused)
    for module, name in ((_inputs, "found"), (_inputs, "digest"), (_folder, "Folder")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("work began"))
    with pytest.raises(OSError, match="Read-only"):
        sc.extract(BANK, tmp_path / "in", tmp_path / "out")
    assert set(made.tree(tmp_path / "out")) == {".lock"}


def test_what_fails_after_work_began_is_no_usage(tmp_path, monkeypatch, capsys):
    made.sound(tmp_path / "in" / "x.wav")

    def deep(*_):
        raise ValueError("deep inside")

    monkeypatch.setattr(_folder.Folder, "finish", deep)
    assert main(BANK, tmp_path / "in", "-o", tmp_path / "out") == 1
    assert "deep inside" in capsys.readouterr().err


KILLER = """import os, sys, time, importlib.abc, importlib.machinery

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "sigconv.readers.wav":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def run(module):
            load(module)
            read = module.read
            def killing(path):
                if "deadly" in str(path):
                    os.kill(os.getpid(), 11)
                if "endless" in str(path):
                    time.sleep(600)
                return read(path)
            module.read = killing
        spec.loader.exec_module = run
        return spec

import importlib.util
sys.meta_path.insert(0, Finder())
"""


def test_f8_f7_a_worker_that_dies_costs_the_file_it_died_of_and_no_other(tmp_path, monkeypatch):
    root = made.small(tmp_path / "in", 60)
    made.sound(root / "speech" / "s1" / "deadly.wav")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(KILLER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    result = sc.extract(BANK, root, tmp_path / "out", jobs=2)
    reasons = {Path(failure["path"]).name: failure["reason"] for failure in result.failures}
    assert set(reasons) == {"deadly.wav", "cut.wav", "torn.nii.gz"}
    assert "was ended by signal 11 (SIGSEGV)" in reasons["deadly.wav"]
    assert len([line for line in lines(result.manifest) if line["error"] is None]) == result.done == result.inputs - 3
    monkeypatch.delenv("PYTHONPATH")
    again = sc.extract(BANK, root, tmp_path / "out")
    assert again.failed == 2, "such a failure is tried anew"
    sc.extract(BANK, root, tmp_path / "clean")
    assert made.tree(tmp_path / "out") == made.tree(tmp_path / "clean"), "and jobs change no bit"


def test_f8_workers_that_cannot_begin_are_one_line(tmp_path, monkeypatch, capsys):
    made.sound(tmp_path / "in" / "x.wav")
    monkeypatch.setattr(_processes.sys, "executable", "/bin/false")
    assert main(BANK, tmp_path / "in", "-o", tmp_path / "out", "--jobs", 2) == 1
    assert "workers end as soon as they begin" in capsys.readouterr().err


def test_pipes_of_a_page_hold_no_one_up(tmp_path, monkeypatch):
    """A system short of room for pipes makes them as small: tasks must not wait for a worker that waits for us."""
    fcntl = pytest.importorskip("fcntl")
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        pytest.skip("the size of pipes can be set on Linux alone")
    plainly = subprocess.Popen

    def narrow(*words, **options):
        process = plainly(*words, **options)
        for pipe in (process.stdin, process.stdout):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        return process

    monkeypatch.setattr(_processes, "MOST_TOGETHER", 4)
    root = made.small(tmp_path.joinpath(*["deep" * 50] * 3, "in"), 40, bad=False)
    whole = sc.extract(BANK, root, tmp_path / "whole", jobs=1)
    monkeypatch.setattr(_processes.subprocess, "Popen", narrow)
    given, give = [], _processes.Worker.give

    def noted(self, batch):
        given.append(sum(len(json.dumps(task)) for task in (*self.waiting, *batch)) if self.waiting else 0)
        give(self, batch)

    monkeypatch.setattr(_processes.Worker, "give", noted)
    assert sc.extract(BANK, root, tmp_path / "out", jobs=2).inputs == whole.inputs
    assert max(given) <= 2048
    assert made.tree(tmp_path / "out") == made.tree(tmp_path / "whole")


def test_f9_where_memory_runs_out_for_a_file_the_others_go_on(tmp_path, monkeypatch):
    from sigconv.extraction import _work

    root, original = made.small(tmp_path / "in", 4, bad=False), _work.applied

    def failing(bank, signal, *rest):
        if signal.space == (20, 30):
            raise MemoryError("there is too little memory even for (4, 4) positions at a time")
        return original(bank, signal, *rest)

    monkeypatch.setattr(_work, "applied", failing)
    result = sc.extract(BANK, root, tmp_path / "out")
    assert [Path(failure["path"]).name for failure in result.failures] == ["a.npy"]
    assert "too little memory" in result.failures[0]["reason"]
    monkeypatch.undo()
    assert sc.extract(BANK, root, tmp_path / "out").code == 0, "with more memory it is done"


def test_f10_a_second_process_is_refused_at_once(tmp_path, capsys):
    made.sound(tmp_path / "in" / "x.wav")
    (tmp_path / "out").mkdir()
    code = (
        f"from sigconv import files\nwith files.locked({str(tmp_path / 'out')!r}):\n print('held', flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as other:
        assert other.stdout.readline() == "held\n"
        assert main(BANK, tmp_path / "in", "-o", tmp_path / "out") == 1
        assert f"in use by process {other.pid} on " in capsys.readouterr().err
        other.kill()
    assert main(BANK, tmp_path / "in", "-o", tmp_path / "out") == 0, "a dead one's lock is free"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_f11_a_signal_ends_it_in_good_order_and_it_goes_on_after(tmp_path, monkeypatch, capsys, number):
    root = made.small(tmp_path / "in", 40, bad=False)
    monkeypatch.setattr(_desk, "MOST_WAITING", 1000)
    original, count = _desk.Desk.take, []

    def take(self, *given):
        original(self, *given)
        count.append(1)
        if len(count) == 10:
            signal.raise_signal(number)

    with monkeypatch.context() as patched:
        patched.setattr(_desk.Desk, "take", take)
        assert main(BANK, root, "-o", tmp_path / "out") == 128 + number
    assert "stopped" in capsys.readouterr().err
    kept = [name for name in made.tree(tmp_path / "out") if name.endswith((".npy", ".npz", ".nii", ".gz"))]
    assert len(kept) == 10, "what was done is kept"
    result = sc.extract(BANK, root, tmp_path / "out")
    assert result.unchanged == 10
    sc.extract(BANK, root, tmp_path / "clean")
    assert made.tree(tmp_path / "out") == made.tree(tmp_path / "clean")


def test_f11_workers_leave_the_signal_to_their_parent_and_go_with_it(tmp_path):
    root = made.small(tmp_path / "in", 40, bad=False)
    made.sound(root / "speech" / "s1" / "endless.wav")  # whoever reads it is at work still when the signal comes
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(KILLER)
    words = ("extract", BANK, root, "-o", tmp_path / "out", "--jobs", 2)
    process = started(*words, start_new_session=True, env={"PYTHONPATH": str(tmp_path / "site")})
    journal = tmp_path / "out" / "journal.jsonl"
    while not (journal.exists() and journal.stat().st_size) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert time.monotonic() - began < 10
    assert "Traceback" not in said
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() - began < 20:  # until the last of the group is gone
            os.killpg(process.pid, 0)
            time.sleep(0.01)
    assert time.monotonic() - began < 20
    result = sc.extract(BANK, root, tmp_path / "out")
    assert result.unchanged > 0
    assert result.code == 0
    assert not [name for name in made.tree(tmp_path / "out") if name.endswith(".tmp")]


def test_f12_no_output_tells_a_time(tmp_path):
    root = made.small(tmp_path / "in", 6)
    sc.extract(BANK, root, tmp_path / "one")
    for path in root.rglob("*"):
        os.utime(path, (time.time() + 3e7, time.time() + 3e7))
    before = made.times(tmp_path / "one")
    sc.extract(BANK, root, tmp_path / "one")
    assert made.times(tmp_path / "one") == before
    time.sleep(1.1)
    sc.extract(BANK, root, tmp_path / "two")
    assert made.tree(tmp_path / "one") == made.tree(tmp_path / "two")


NAMES = ["ü π 漢字.wav", " blanks .wav", "new\nline.wav", "-x.wav", "tab\t.wav", "a" * 251 + ".wav", "é" * 125 + ".WAV"]
NAMES += ["b.wav", "b.npy", "b.wav.npy", "quote'\".wav", ".hidden.wav", "%s{}.wav", "\udcff\udc80.wav"]


def test_f20_every_name_has_one_output(tmp_path):
    root = tmp_path / "in"
    for seed, name in enumerate(NAMES):
        for folder in ("p", "q", "d.npy"):
            place = root / folder / name
            (made.array if name.endswith(".npy") else made.sound)(place, seed=seed)
    made.sound(root / "d.wav", seed=99)
    long = root / ("f" * 255) / ("g" * 255)
    made.sound(long / ("h" * 251 + ".wav"))
    result = sc.extract(BANK, root, tmp_path / "out", pool=None)
    assert not result.failures
    assert result.inputs == 3 * len(NAMES) + 2
    good = lines(result.manifest)
    assert len({line["output"] for line in good}) == result.inputs
    for line in good:
        y = npy.read(tmp_path / "out" / line["output"])
        assert list(y.shape) == line["shape"]
        if "é" not in line["output"] and "aaaa" not in line["output"] and "hhh" not in line["output"]:
            assert Path(line["output"]).name.startswith(Path(line["path"]).name.rpartition(".")[0])
    assert {line["output"] for line in good} >= {"p/b.wav.npy", "p/b.npy.npy", "p/b.wav.npy.npy", "d.wav.npy"}
    assert sc.extract(BANK, root, tmp_path / "out").unchanged == result.inputs
    pooled = sc.extract(BANK, root, tmp_path / "table", pool="mean")
    assert len((tmp_path / "table" / "features.tsv").read_text().splitlines()) == pooled.inputs + 1


def test_f20_from_the_command_line_with_leading_dashes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made.sound(Path("-x.wav"))
    assert main("-o", "out", "--", BANK, "-x.wav") == 0
    assert Path("out/-x.npy").is_file()


def test_names_of_many_trees_never_meet():
    rng = random.Random(0)
    for _ in range(300):
        words = [rng.choice(["a", "b", "a.wav", "a.npy", "x"]) for _ in range(3)]
        places = {
            (
                rng.choice(["t", "u", "v/t"]),
                "/".join(rng.sample(words, rng.randint(1, 3))) + rng.choice([".wav", ".npy"]),
            )
            for _ in range(rng.randint(1, 12))
        }
        ordered = sorted(places)
        found = _names.outputs([_names.Place(top, f"{top}/{name}", "sound", "") for top, name in ordered], "auto")
        outputs = [output for _, output in found]
        assert len(set(outputs)) == len(outputs) == len({name for name, _ in found})
        folders = {str(folder) for output in outputs for folder in Path(output).parents}
        assert not folders & set(outputs), "no name is a file's and a folder's"


def test_f21_few_open_files_are_enough(tmp_path):
    root = made.small(tmp_path / "in", 100, bad=False)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 16, before[1]))
    try:
        assert sc.extract(BANK, root, tmp_path / "out", format="npz").code == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_f22_without_an_environment_or_anyone_who_listens(tmp_path):
    made.sound(tmp_path / "in" / "ü.wav")
    words = [sys.executable, "-m", "sigconv", "extract", BANK, str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    options = {"env": {}, "cwd": ROOT, "capture_output": True, "timeout": 120, "check": False}
    done = subprocess.run(["bash", "-c", '"$@" >&-', "bash", *words], **options)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "out" / "ü.npy").is_file()


def test_pipes_devices_links_and_what_is_gone(tmp_path):
    root = tmp_path / "in"
    made.sound(root / "good.wav")
    os.mkfifo(root / "pipe.wav")
    (root / "broken.wav").symlink_to("nowhere.wav")
    (root / "linked.wav").symlink_to("good.wav")
    (root / "null.npy").symlink_to("/dev/zero")
    (root / "round").symlink_to(root)
    began = time.monotonic()
    result = sc.extract(BANK, root, root / "out")
    assert time.monotonic() - began < 30
    reasons = {Path(failure["path"]).name: failure["reason"] for failure in result.failures}
    assert set(reasons) == {"pipe.wav", "broken.wav", "null.npy"}
    assert "is not a regular file" in reasons["pipe.wav"]
    assert {line["output"] for line in lines(result.manifest) if line["output"]} == {"good.npy", "linked.npy"}
    assert sc.extract(BANK, root, root / "out").inputs == result.inputs, "what was written is no input"
    assert sc.extract(BANK, root, tmp_path / "second").inputs == result.inputs, "of whichever extraction"


def test_a_cut_line_of_the_journal_is_passed_over(tmp_path):
    root = made.small(tmp_path / "in", 6, bad=False)
    sc.extract(BANK, root, tmp_path / "out")
    text = (tmp_path / "out" / "manifest.jsonl").read_bytes()
    (tmp_path / "out" / "manifest.jsonl").unlink()
    (tmp_path / "out" / "journal.jsonl").write_bytes(text[:-40])
    result = sc.extract(BANK, root, tmp_path / "out")
    assert result.unchanged == result.inputs - 1
    assert (tmp_path / "out" / "manifest.jsonl").read_bytes() == text
    assert not (tmp_path / "out" / "journal.jsonl").exists()


def test_a_manifest_that_names_files_elsewhere_is_not_believed(tmp_path):
    made.sound(tmp_path / "in" / "x.wav")
    sc.extract(BANK, tmp_path / "in", tmp_path / "out")
    victim = tmp_path / "victim.npy"
    victim.write_text("precious")
    (line,) = lines(tmp_path / "out" / "manifest.jsonl")
    planted = line | {"output": "../victim.npy", "name": "../victim.wav"}
    (tmp_path / "out" / "manifest.jsonl").write_text(json.dumps(planted) + "\nnull\n[]\n{}\n")
    sc.extract(BANK, tmp_path / "in", tmp_path / "out")
    assert victim.read_text() == "precious"
    assert len(lines(tmp_path / "out" / "manifest.jsonl")) == 1


def test_groups_are_committed_whole_and_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "_syncfs", lambda: lambda handle: synced.append(handle) or 0)
    with files.Group() as group:
        for name in "abc":
            files.write_text(tmp_path / f"{name}.txt", name)
    assert len(list(tmp_path.glob(".*.tmp"))) == 3
    group.commit()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt", "c.txt"]
    assert len(synced) == 1, "one call for all files"
    monkeypatch.setattr(files, "_syncfs", lambda: None)
    with group:
        files.write_text(tmp_path / "d.txt", "d")
        other = threading.Thread(target=files.write_text, args=(tmp_path / "e.txt", "e"))
        other.start()
        other.join()
    group.discard()
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_group_that_cannot_be_synced_names_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_syncfs", lambda: lambda handle: -1)
    monkeypatch.setattr(files.ctypes, "get_errno", lambda: errno.EIO)
    with files.Group() as group:
        for name in "abc":
            files.write_text(tmp_path / f"{name}.txt", name)
    with pytest.raises(OSError, match="Input/output error"):
        group.commit()
    assert not list(tmp_path.glob("*.txt"))


def test_batches_are_small_and_whole(tmp_path):
    tasks = [{"path": str(tmp_path / f"{n}"), "name": f"{n}"} for n in range(100)]
    for n in range(100):
        (tmp_path / f"{n}").write_bytes(bytes(n * 20_000))
    found = list(_processes.batches(tasks))
    assert [task for batch in found for task in batch] == tasks
    assert max(map(len, found)) <= _processes.MOST_TOGETHER
    sizes = [[(tmp_path / task["name"]).stat().st_size for task in batch] for batch in found]
    assert all(len(batch) == 1 or sum(batch) <= _processes.MOST_BYTES for batch in sizes)
    assert np.sum([len(batch) for batch in found]) == 100
