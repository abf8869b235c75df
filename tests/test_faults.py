"""What may go wrong with a run's folder, disk, data and configuration: each row of the fault matrix keeps its word."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import kills
import pytest
import torch
from conftest import ROOT
from torch import nn

from sigconv import console, files
from sigconv.datasets._parts import Arrays
from sigconv.train import Job, batches, checkpoint, fit, folders, guard, pace, run
from sigconv.train.options import parse
from sigconv.transforms import augment

CALLS = ("open", "fdopen", "fsync", "replace", "mkdir", "close", "chmod", "rename", "unlink", "rmdir")


class Counted:
    """Every call by which a save touches the disk: the n-th stops the process, or fails."""

    def __init__(self, at, act):
        self.at, self.act, self.calls = at, act, 0

    def tick(self, *words):
        self.calls += 1
        if self.calls == self.at:
            self.act()

    @contextlib.contextmanager
    def inside(self):
        before = {name: getattr(os, name) for name in CALLS}
        try:
            for name, real in before.items():
                setattr(os, name, self._counting(name, real))
            yield
        finally:
            for name, real in before.items():
                setattr(os, name, real)

    def _counting(self, name, real):
        def call(*args, **options):
            self.tick(name)
            found = real(*args, **options)
            return Writer(found, self) if name == "fdopen" else found

        return call


class Writer:
    """A file whose every write counts twice: before it, and with half of it written."""

    def __init__(self, file, counted):
        self.file, self.counted = file, counted

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, content):
        self.counted.tick("write")
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        self.counted.tick("write")
        return self.file.write(content[len(content) // 2 :])

    def __getattr__(self, name):
        return getattr(self.file, name)


def state(generation):
    return {"generation": generation, "weight": torch.full((50,), float(generation))}


def newest(folder):
    """What a resumed run would go on with."""
    checkpoint.sweep(folder)
    for path in checkpoint.numbered(folder, "m"):
        with contextlib.suppress(ValueError):
            return checkpoint.load(path)["generation"]
    return None


SAVES = {
    "the first": (lambda job: job.checkpoint("m", 1, state(2)), None),
    "the second": (lambda job: job.checkpoint("m", 2, state(2)), 1),
    "one that drops the oldest": (lambda job: job.checkpoint("m", 3, state(2)), 1),
    "one of the same step": (lambda job: job.checkpoint("m", 1, state(2)), 1),
}


def prepared(folder, which):
    job = Job(folder=folder)
    if which != "the first":
        for step in (0, 1) if which == "one that drops the oldest" else (1,):
            job.checkpoint("m", step, state(1))
    return job


def alone(what, *words):
    """Have a function of this file called in a process of one thread: a fork keeps the locks of all others."""
    line = [sys.executable, "-c", f"import sys, test_faults; test_faults.{what}(*sys.argv[1:])", *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        line, cwd=ROOT / "tests", env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("which", SAVES)
def test_f2_a_kill_at_any_call_of_a_save_leaves_the_old_or_the_new(tmp_path, which):
    alone("killed_saves", tmp_path, which)


def killed_saves(place, which):
    save, old = SAVES[which]
    for at in range(1, 200):
        folder = Path(place) / str(at)
        job = prepared(folder, which)
        child = os.fork()
        if not child:
            with Counted(at, lambda: os._exit(9)).inside():
                save(job)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = newest(folder / "checkpoints")
        assert found in (old, 2), (at, status, found)
        assert not list((folder / "checkpoints").glob(".*"))
        if status == 0:
            assert found == 2
            assert at > 20, "every call of a save was stopped at"
            return
    raise AssertionError("a save that never ends")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("which", SAVES)
def test_f5_r12_an_error_at_any_call_of_a_save_is_one_line_and_loses_nothing(tmp_path, which, number):
    def fail():
        raise OSError(number, os.strerror(number))

    save, old = SAVES[which]
    for at in range(1, 200):
        folder = tmp_path / str(at)
        job = prepared(folder, which)
        counted = Counted(at, fail)
        said = []
        try:
            with counted.inside():
                save(job)
        except OSError as error:
            said.append(str(error))
        found = newest(folder / "checkpoints")
        assert found in (old, 2)
        assert all(os.strerror(number) in line and "\n" not in line for line in said)
        if counted.calls < at:
            assert found == 2
            return
    pytest.fail("a save that never ends")


def command(*words, before=None, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "sigconv", *map(str, words)]
    return subprocess.run(
        line, capture_output=True, text=True, timeout=120, env=environment, check=False, preexec_fn=before, **options
    )


def test_f5_a_disk_that_fills_ends_the_run_in_one_line_with_the_bytes_needed(tmp_path):
    import resource

    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # a checkpoint is larger
    done = command("run", "mnist1d", "--epochs", 1, "--out", tmp_path, before=limit)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "error:" in last
    assert "bytes could not be written (File too large; bytes free: " in last
    assert "Traceback" not in done.stderr
    assert not [*tmp_path.glob("**/*.tmp")]


def test_f5_room_for_the_checkpoints_is_looked_for_before_training(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ValueError, match="has 1,000 bytes free, and its checkpoints will take up to .*: make room"):
        fit(kills.network(), kills.signals(50, 0), job=Job(folder=tmp_path))
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize("place", ["file/below", "/proc/nowhere"])
def test_f6_a_place_that_cannot_be_written_is_said_before_any_work(tmp_path, monkeypatch, place):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    worked = []

    def killed(job, *, epochs: int = 1):
        worked.append(job)
        return {}

    began = time.monotonic()
    with pytest.raises(ValueError, match=rf"--out '.*{place}' cannot hold run folders: .*: choose another"):
        run(killed, ["--out", place])
    assert time.monotonic() - began < 1
    assert not worked


def test_f6_a_folder_that_became_unwritable_is_named(tmp_path, monkeypatch):
    """Root may write anywhere: the refusal is made."""

    def refuse(path, *words, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ValueError, match="cannot hold run folders: Read-only file system"):
        run(kills.killed, ["--out", str(tmp_path / "runs")])


HOLD = """
import sys, time
from sigconv import files
with files.locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_f10_of_two_processes_on_one_folder_the_second_refuses_and_a_dead_ones_lock_is_none(tmp_path):
    done = run(kills.killed, ["--epochs", "1", "--out", str(tmp_path)])
    folder = done["run_folder"]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    assert files.held_by(folder).startswith(f"process {holder.pid} on ")
    began = time.monotonic()
    with pytest.raises(OSError, match=rf"is in use by process {holder.pid} on .*: let it end first"):
        run(kills.killed, ["--resume", folder])
    assert time.monotonic() - began < 1
    holder.kill()
    holder.communicate()
    assert files.held_by(folder) is None
    assert run(kills.killed, ["--resume", folder])["metrics"] == done["metrics"]


def test_f10_of_many_that_start_at_once_one_holds_the_folder(tmp_path):
    alone("many_at_once", tmp_path)


def many_at_once(place):
    for turn in range(20):
        folder = Path(place) / str(turn)
        folder.mkdir()
        ready, go = os.pipe()
        children = []
        for _ in range(4):
            child = os.fork()
            if not child:
                os.close(go)
                os.read(ready, 1)  # returns for all at once, when the last writer closes
                try:
                    with files.locked(folder):
                        time.sleep(0.05)
                    os._exit(0)
                except OSError:
                    os._exit(1)
            children.append(child)
        os.close(go)
        os.close(ready)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert codes.count(0) >= 1, codes
        assert set(codes) <= {0, 1}, codes


def test_looking_at_who_holds_a_folder_keeps_no_one_out(tmp_path):
    script = "import sys\nfrom sigconv import files\nprint('up', flush=True)\nwhile True: files.held_by(sys.argv[1])"
    looker = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert looker.stdout is not None
    looker.stdout.readline()
    for _ in range(300):
        with files.locked(tmp_path):
            pass
    looker.kill()
    looker.communicate()


def test_a_lock_is_this_processs_own_and_not_its_childrens(tmp_path):
    alone("locked_and_forked", tmp_path)


def locked_and_forked(place):
    with files.locked(place):
        with pytest.raises(OSError, match="in use by this very process"), files.locked(place):
            pass
        assert files.held_by(place) == f"process {os.getpid()} on {os.uname().nodename}"
        ready, go = os.pipe()
        child = os.fork()
        if not child:
            os.read(ready, 1)
            os._exit(0)
    try:
        with files.locked(place):  # free, for all that the child has inherited
            pass
        other = subprocess.run(
            [sys.executable, "-c", HOLD, place], input="\n", capture_output=True, text=True, check=False
        )
        assert other.stdout == "held\n", other.stderr
    finally:
        os.write(go, b"x")
        os.waitpid(child, 0)


def test_f12_which_run_goes_on_is_asked_of_its_steps_and_not_of_a_clock(tmp_path):
    def made(name, steps, finished):
        folder = tmp_path / name
        for step in steps:
            (folder / "checkpoints" / f"model-{step}").mkdir(parents=True)
        folder.mkdir(exist_ok=True)
        (folder / "config.yaml").touch()
        if finished:
            (folder / "result.json").touch()
        return folder

    made("20300101T000000-cafe", [500], finished=True)
    wanted = made("20200101T000000-cafe", [9, 10], finished=False)
    late = made("20400101T000000-cafe", [9], finished=False)
    os.utime(late, (2**31, 2**31))
    made("20500101T000000-beef", [10**6], finished=False)
    assert folders.furthest(tmp_path, "cafe") == wanted
    shutil.rmtree(wanted)
    shutil.rmtree(late)
    assert folders.furthest(tmp_path, "cafe").name == "20300101T000000-cafe"
    assert folders.furthest(tmp_path, "dead") is None


# ---- damaged checkpoints


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with two checkpoints, and what it came to."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "SAVE_EVERY", 0.0)
        patch.setattr(pace, "MOST_SAVING", 1e9)
        done = run(kills.killed, ["--epochs", "1", "--batch-size", "100", "--out", str(folder)])
    return Path(done["run_folder"]), done["metrics"]


def zeroed(content):
    return bytes(len(content))


def flipped(content, part):
    at = part * len(content) // 16
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


DAMAGE = {"empty": lambda c: b"", "zeroed": zeroed, "cut by one": lambda c: c[:-1]}
DAMAGE |= {"cut by half": lambda c: c[: len(c) // 2], "longer": lambda c: c + b"\0", "gone": None}
DAMAGE |= {f"a bit of part {n} of 16": lambda c, n=n: flipped(c, n) for n in range(16)}


@pytest.mark.parametrize("name", ["state.safetensors", "commit.json"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_f13_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(tmp_path, capsys, trained, name, damage):
    before, metrics = trained
    folder = tmp_path / "run"
    shutil.copytree(before, folder)
    file = checkpoint.numbered(folder / "checkpoints", "model")[0] / name
    if DAMAGE[damage] is None:
        file.unlink()
    else:
        file.write_bytes(DAMAGE[damage](file.read_bytes()))
    assert run(kills.killed, ["--resume", str(folder)])["metrics"] == metrics
    said = capsys.readouterr().err
    assert said.count("warning: checkpoint") == 1
    assert "going back to the one before" in said
    assert "model: going on after step 3, in epoch 1" in said


def test_f13_all_damaged_is_an_error_and_never_a_fresh_start(tmp_path, trained):
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    for path in folder.glob("checkpoints/model-*/commit.json"):
        path.write_text("{}")
    weights = (folder / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="none of the 2 checkpoints of model under .* can be used"):
        run(kills.killed, ["--resume", str(folder)])
    assert (folder / "model.safetensors").read_bytes() == weights
    assert (folder / "config.yaml").exists()


# ---- numbers that are none


def poisoned(at, value=float("nan")):
    data = kills.signals(100, 0)
    data.x[at] = value
    return data


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_f16_a_bad_step_stops_the_run_names_its_items_and_keeps_the_weights_before_it(tmp_path, value):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(40, 3))
    steps, weights = [], []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            weights.append([p.detach().clone() for p in model.parameters()])

    optimizer = lambda parameters: Watched(parameters, lr=0.01)
    with pytest.raises(ValueError, match="became nan|became inf|no numbers") as caught:
        fit(model, poisoned(77, value), epochs=2, batch_size=20, optimizer=optimizer, job=Job(folder=tmp_path))
    message = str(caught.value)
    assert "\n" not in message
    assert "77" in message.partition("of items ")[2].partition(":")[0].split(", ")
    step = int(message.partition(", step ")[2].partition(",")[0])
    assert step == len(weights) + 1
    (newest,) = checkpoint.numbered(tmp_path / "checkpoints", "model")
    kept = checkpoint.load(newest)["model"]
    assert all(torch.isfinite(value).all() for value in kept.values())
    if weights:
        assert all(torch.equal(kept[k], w) for k, w in zip(("1.weight", "1.bias"), weights[-1], strict=True))
    del steps


def test_f16_bad_steps_may_be_skipped_so_many_times():
    model = nn.Sequential(nn.Flatten(), nn.Linear(40, 3))
    rows = fit(model, poisoned(77), epochs=2, batch_size=20, bad_steps=2)
    assert len(rows) == 2
    assert all(torch.isfinite(p).all() for p in model.parameters())
    with pytest.raises(ValueError, match="epoch 2"):
        fit(model, poisoned(77), epochs=2, batch_size=20, bad_steps=1)


def test_f16_a_skipped_step_leaves_running_means_and_the_mean_loss_as_they_were(tmp_path, capsys):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(40), nn.Linear(40, 3))
    rows = fit(model, poisoned(77), epochs=1, batch_size=20, bad_steps=1, job=Job(folder=tmp_path))
    assert torch.isfinite(model[1].running_mean).all()
    assert 0.5 < rows[0]["train_loss"] < 3, "the mean of the four steps that were taken"
    said = capsys.readouterr().err
    assert "of model skipped, of items " in said
    assert "77" in said
    with pytest.raises(ValueError, match="or its gradients no numbers, in epoch 1, step"):
        fit(model, poisoned(77), epochs=1, batch_size=20, job=Job(folder=tmp_path / "other"))
    (path,) = checkpoint.numbered(tmp_path / "other" / "checkpoints", "model")
    assert all(torch.isfinite(value).all() for value in checkpoint.load(path)["model"].values())


def test_f16_a_loss_that_is_no_number_though_its_gradients_are_names_its_own_items():
    data = kills.signals(100, 0)
    loss = lambda outputs, y: nn.functional.cross_entropy(outputs, y, ignore_index=0)
    data.y[:] = 1
    order = batches.Batches(data, 20, shuffle=True).steps(1)
    data.y[order[2]] = 0  # a mean over none
    with pytest.raises(ValueError, match=rf"became nan.* in epoch 1, step 3, of items {order[2][0]}, {order[2][1]},"):
        fit(nn.Sequential(nn.Flatten(), nn.Linear(40, 3)), data, epochs=1, batch_size=20, loss=loss)


def test_a_fused_optimizer_goes_on_in_its_parameters_layout(tmp_path):
    def weights(folder, resuming):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3)
        model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        data = Arrays(torch.randn(40, 3, 8, 8), torch.arange(40) % 3, "abc")
        fused = lambda parameters: torch.optim.AdamW(parameters, lr=1e-2, fused=True)
        job = Job(folder=folder, resuming=resuming)
        fit(model, data, data, epochs=3, batch_size=20, optimizer=fused, job=job, select="loss")
        return model[0].weight

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "SAVE_EVERY", 0.0)
        patch.setattr(pace, "MOST_SAVING", 1e9)
        whole = weights(tmp_path / "whole", False)
        weights(tmp_path / "cut", False)
        checkpoint.remove(checkpoint.numbered(tmp_path / "cut" / "checkpoints", "model")[0])
        assert torch.equal(weights(tmp_path / "cut", True), whole)


def test_f16_an_optimizer_that_can_leaves_the_weights_by_itself(monkeypatch):
    """The way of GPUs, on the CPU: the flag stays on the device, and fused optimizers heed it."""
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    watch = guard.Guard(model, optimizer, clip=0.0, allowed=0)
    watch.later = True
    monkeypatch.setattr(guard, "LOOK_EVERY", 3)
    for step in range(1, 4):
        x = torch.full((1, 2), float("nan") if step == 2 else 1.0)
        optimizer.zero_grad()
        model(x).sum().backward()
        passed = watch.passes(torch.zeros(()))
        before = [p.detach().clone() for p in model.parameters()]
        if passed:
            optimizer.step()
        same = all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
        assert same is (step > 1), "from the bad step on the weights stay"
    assert not passed
    assert watch.broken()


@pytest.mark.parametrize("look_every", [3, 100])
def test_f16_what_is_noticed_later_keeps_the_checkpoint_before_it_and_names_the_step(tmp_path, monkeypatch, look_every):
    """The way of GPUs through fit: a bad step is seen at the next look, a save or the end of an epoch."""
    plainly = guard.Guard.__init__

    def later(self, *words, **options):
        plainly(self, *words, **options)
        self.later = True

    monkeypatch.setattr(guard.Guard, "__init__", later)
    monkeypatch.setattr(guard, "LOOK_EVERY", look_every)
    data = kills.signals(100, 0)
    bad = next(i for i, step in enumerate(batches.Batches(data, 10, shuffle=True).steps(2)) if 77 in step.tolist())
    seen = []

    def poisoning(x, generators):
        seen.append(len(x))
        at_seventy_seven = (x == data.x[77]).flatten(1).all(1)
        return torch.where(at_seventy_seven[:, None, None] & (len(seen) > 8 + 10), torch.nan, x)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(40), nn.Linear(40, 3))
    fused = lambda parameters: torch.optim.SGD(parameters, lr=0.01, fused=True)
    varied = augment.Augmented(data, poisoning)
    named = rf"in epoch 2, step {10 + bad + 1}, of items .*\b77\b.*; the checkpoint before"
    with pytest.raises(ValueError, match=named):
        fit(model, varied, epochs=3, batch_size=10, optimizer=fused, job=Job(folder=tmp_path))
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


# ---- changed between stop and resume


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lr": 0.5}, "lr was 0.01, now 0.5"),
        ({"epochs": 9}, "epochs was 2, now 9"),
        ({"batch_size": 7}, "batch_size was 20, now 7"),
        ({"schedule": "cosine"}, "schedule was 'constant', now 'cosine'"),
        ({"average": 0.5}, "average was 0.0, now 0.5"),
        ({"weight_decay": 0.5}, "weight_decay was 0.0, now 0.5"),
        ({"optimizer": "sgd", "clip": 1.0}, "clip was 0.0, now 1.0, optimizer was 'adamw', now 'sgd'"),
        ({"seed": 8}, "seed was 0, now 8"),
        ({"data": 9}, "train data was '.*', now '.*'"),
        ({"accumulate": 2}, "accumulate was 1, now 2"),
    ],
)
def test_f17_f19_a_training_goes_on_as_it_began_or_names_what_was_changed(tmp_path, change, named):
    def train(resuming, data=0, seed=0, **options):
        job = Job(folder=tmp_path, resuming=resuming, seed=seed)
        fit(nn.Sequential(nn.Flatten(), nn.Linear(40, 3)), kills.signals(100, data), job=job, **options)

    options = {"epochs": 2, "lr": 0.01, "batch_size": 20}
    train(False, **options)
    with pytest.raises(ValueError, match=f"was made otherwise: {named}$"):
        train(True, **(options | change))
    train(True, **options)


def test_f17_a_configuration_edited_by_hand_is_refused_by_the_checkpoints(tmp_path, trained):
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace('"lr": 0.01', '"lr": 0.07'))
    with pytest.raises(ValueError, match=r"was made otherwise: lr was 0\.01, now 0\.07"):
        run(kills.killed, ["--resume", str(folder)])
    with pytest.raises(ValueError, match="another configuration: seed was 0, now 3"):
        run(kills.killed, ["--resume", str(trained[0]), "--seed", "3"])


def test_f17_another_machine_goes_on_with_a_warning(tmp_path, capsys):
    def train(resuming):
        job = Job(folder=tmp_path, resuming=resuming)
        fit(nn.Sequential(nn.Flatten(), nn.Linear(40, 3)), kills.signals(100, 0), epochs=1, job=job)

    train(False)
    (path, *_) = checkpoint.numbered(tmp_path / "checkpoints", "model")
    state = checkpoint.load(path)
    state["made_by"] |= {"device": "cuda", "torch": "2.10.0"}
    checkpoint.save(path, state)
    train(True)
    assert "torch was 2.10.0, now" in capsys.readouterr().err


def test_job_options_are_no_part_of_what_was_computed():
    words = ["--workers", "2", "--compile", "--profile", "--precision", "32", "--strategy", "ddp", "--export", "pt2"]
    config, options = parse(kills.killed, words)
    assert config == parse(kills.killed, [])[0]
    assert options["workers"] == 2
    assert options["compile"] is options["profile"] is True
    assert json.loads(json.dumps(config)) == config
    with pytest.raises(console.UsageError, match="--workers 'two' is not a whole number"):
        parse(kills.killed, ["--workers", "two"])


def test_arrays_know_their_size():
    assert Arrays(torch.zeros(2, 3), torch.zeros(2), "ab").nbytes == 32
