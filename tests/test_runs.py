"""sigconv runs: run folders listed and compared, broken ones told as such, thousands of them without torch."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from sigconv import console, files
from sigconv.cli import _runs, runs
from sigconv.cli.runs import main

ENVIRONMENT = {"sigconv": "0.1.0", "torch": "2.13.0", "packages": {"numpy": "2.4.6"}, "command": ["sigconv", "run"]}


def made(root, name, recipe="digits", *, metrics=None, rows=(), environment=None, seconds=12.5, **config):
    """A run folder as a run leaves it: whole with metrics, else stopped after its rows."""
    folder = root / recipe / name
    folder.mkdir(parents=True)
    config = {"lr": 0.1, "seed": 0} | config
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "env.json").write_text(json.dumps(ENVIRONMENT | (environment or {})))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if metrics is not None:
        record = {"recipe": recipe, "config": config, "metrics": metrics, "test_size": 10, "seconds": seconds}
        (folder / "result.json").write_text(json.dumps(record | {"device": "cpu", "run_folder": str(folder)}))
    return folder


@pytest.fixture
def root(tmp_path):
    made(tmp_path, "20260102T000000-aaaaaaaa", metrics={"parameters": 2050, "accuracy": 0.9}, seed=1)
    made(tmp_path, "20260101T235959-bbbbbbbb", metrics={"parameters": 2050, "accuracy": 0.8}, seed=2)
    made(tmp_path, "20260101T235959-bbbbbbbb_2", metrics={"loss": 3.5}, recipe="other")
    rows = [{"model": "net", "epoch": n, "valid_accuracy": n / 10, "seconds": 60.0} for n in (1, 2)]
    made(tmp_path, "20260103T120000-cccccccc", rows=rows)
    made(tmp_path, "20260104T120000-dddddddd")
    return tmp_path


def listed(capsys, *words):
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["runs"]


def names(found):
    return [os.path.basename(run["folder"])[:17] for run in found]


def test_the_newest_is_last_whatever_the_clock_of_the_files(root, capsys):
    os.utime(root / "digits" / "20260102T000000-aaaaaaaa", (4e9, 4e9))
    found = listed(capsys, root)
    assert names(found) == ["20260101T235959-b"] * 2 + ["20260102T000000-a", "20260103T120000-c", "20260104T120000-d"]
    assert [run["recipe"] for run in found] == ["digits", "other", "digits", "digits", "digits"]
    assert found[2] | {"folder": ""} == {
        "folder": "",
        "recipe": "digits",
        "started": "2026-01-02 00:00:00",
        "state": "finished",
        "detail": "",
        "config": {"lr": 0.1, "seed": 1},
        "metrics": {"parameters": 2050, "accuracy": 0.9},
        "seconds": 12.5,
        "device": "cpu",
        "seed": 1,
        "main_metric": "accuracy",
    }
    assert found[1]["main_metric"] == "loss"


def test_a_run_without_result_was_stopped_or_is_running(root, capsys):
    *_, stopped, early = listed(capsys, root)
    assert (stopped["state"], stopped["detail"]) == ("stopped", "at epoch 2")
    assert (stopped["metrics"], stopped["main_metric"], stopped["seconds"]) == (
        {"valid_accuracy": 0.2},
        "valid_accuracy",
        60,
    )
    assert (early["state"], early["detail"]) == ("stopped", "before epoch 1 was done")
    with open(root / "digits" / "20260103T120000-cccccccc" / "metrics.jsonl", "a") as file:
        file.write('{"model": "net", "epoch": 3, "valid_acc')  # cut in the middle of a write
    assert listed(capsys, root)[-2]["detail"] == "at epoch 2"
    with files.locked(early["folder"]):
        running = listed(capsys, root)[-1]
    assert (running["state"], running["detail"].split(" on ")[0]) == ("running", f"by process {os.getpid()}")


def test_a_recipes_folder_and_a_runs_own_are_listed_too(root, capsys, monkeypatch):
    assert len(listed(capsys, root / "digits")) == 4
    one = root / "digits" / "20260102T000000-aaaaaaaa"
    assert len(listed(capsys, one)) == 1
    monkeypatch.chdir(one)
    assert listed(capsys, ".")[0]["started"] == "2026-01-02 00:00:00"
    monkeypatch.chdir(root)
    assert main([]) == 0
    assert "there are no runs under 'runs'" in capsys.readouterr().out


def test_the_table_is_a_line_a_run(root, capsys):
    assert main([str(root), "--recipe", "digits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["recipe", "started"]
    assert len(lines) == 5
    for part in ("2026-01-02 00:00:00", "finished", "accuracy 0.9000", "12.5 s", "cpu"):
        assert part in lines[2]
    assert "stopped at epoch 2" in lines[3]


def test_a_list_by_recipe_and_by_metric(root, capsys):
    assert [run["recipe"] for run in listed(capsys, root, "--recipe", "other")] == ["other"]
    found = listed(capsys, root, "--sort", "accuracy")
    assert [run["metrics"].get("accuracy") for run in found] == [None, None, None, 0.8, 0.9]
    with pytest.raises(console.UsageError, match=r"--recipe 'digit' has no run .* did you mean digits\?"):
        main([str(root), "--recipe", "digit"])
    with pytest.raises(console.UsageError, match=r"--sort 'acuracy' is no metric .* did you mean accuracy\?"):
        main([str(root), "--sort", "acuracy"])
    with pytest.raises(console.UsageError, match="is not a folder"):
        main([str(root / "nothing")])


DAMAGE = {
    "result.json is cut": ("result.json", b'{"recipe": "digits", "met', "result.json"),
    "result.json is a list": ("result.json", b"[1]", "holds a list"),
    "result.json has no metrics": ("result.json", b'{"config": {}}', "has no metrics"),
    "result.json is deep": ("result.json", b"[" * 100_000, "result.json"),
    "result.json is zeros": ("result.json", bytes(100), "result.json"),
    "config.yaml is gone": ("config.yaml", None, "no config.yaml"),
    "config.yaml is no YAML": ("config.yaml", b"a: [", "config.yaml"),
    "config.yaml runs code": ("config.yaml", b"a: !!python/object/apply:os.mkdir ['planted']", "config.yaml"),
    "config.yaml is huge": ("config.yaml", b"a: " + b"b" * (1 << 17), "more than"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_broken_folder_is_listed_as_broken_and_nothing_in_it_runs(root, capsys, monkeypatch, kind):
    monkeypatch.chdir(root)
    name, content, reason = DAMAGE[kind]
    whole = "20260103T120000-cccccccc" if name == "config.yaml" else "20260102T000000-aaaaaaaa"
    path = root / "digits" / whole / name
    path.unlink() if content is None else path.write_bytes(content)
    found = listed(capsys, root)
    assert len(found) == 5
    (broken,) = (run for run in found if run["state"] == "broken")
    assert broken["folder"] == str(path.parent)
    assert reason in broken["detail"]
    assert "\n" not in broken["detail"]
    assert main([str(root)]) == 0
    assert "broken: " in capsys.readouterr().out
    with pytest.raises(ValueError, match=rf"{whole}' is broken: "):
        main([str(path.parent), found[0]["folder"]])
    assert not (root / "planted").exists()


def test_aliases_that_multiply_and_letters_a_terminal_would_obey_do_no_harm(root, capsys):
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    for name in ("20260105T000000-eeeeeeee", "20260106T000000-eeeeeeee"):
        folder = made(root, name)
        (folder / "config.yaml").write_text(bomb + '"\\e[31mred": 1\nseed: "\\e[31m"\n')
    found = listed(capsys, root)[-2:]
    assert all(len(json.dumps(run)) < 10_000 for run in found)
    assert main([run["folder"] for run in found]) == 0
    assert main([str(root)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def compared(capsys, *folders):
    assert main([*map(str, folders), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_runs_that_differ_in_their_seed_have_a_mean_and_a_deviation(tmp_path, capsys):
    scores = [0.9, 0.8, 0.7]
    folders = [
        made(
            tmp_path,
            f"2026010{i}T000000-aaaaaaa{i}",
            metrics={"accuracy": s, "auroc": 0.5},
            seed=i,
            data_root=f"at {i}",
        )
        for i, s in enumerate(scores)
    ]
    found = compared(capsys, *folders)
    assert found["config"] == {"seed": [0, 1, 2], "data_root": ["at 0", "at 1", "at 2"]}
    assert found["environment"] == {}
    assert found["metrics"] == {"accuracy": scores, "auroc": [0.5] * 3}
    assert found["mean"] == {"accuracy": pytest.approx(0.8), "auroc": 0.5}
    assert found["deviation"] == {"accuracy": pytest.approx(0.1), "auroc": 0}
    assert main([*map(str, folders)]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "accuracy" in line)
    assert line.split() == ["accuracy", "0.9000", "0.8000", "0.7000", "0.8000", "0.1000"]


def test_runs_that_differ_otherwise_are_told_side_by_side_without_a_mean(tmp_path, capsys):
    newer = {"torch": "2.14.0", "packages": {"numpy": "2.5"}, "command": ["x"]}
    a = made(tmp_path, "20260101T000000-aaaaaaaa", metrics={"accuracy": 0.9}, lr=0.1)
    b = made(tmp_path, "20260102T000000-bbbbbbbb", metrics={"accuracy": 0.8, "f1": 0.7}, lr=0.2, environment=newer)
    found = compared(capsys, a, b)
    assert found["config"] == {"lr": [0.1, 0.2]}
    assert found["environment"] == {"torch": ["2.13.0", "2.14.0"], "packages.numpy": ["2.4.6", "2.5"]}
    assert found["metrics"] == {"accuracy": [0.9, 0.8], "f1": [None, 0.7]}
    assert "mean" not in found
    other = made(tmp_path, "20260103T000000-aaaaaaaa", metrics={"accuracy": 0.5}, recipe="other")
    assert "mean" not in compared(capsys, a, other)
    assert main([str(a), str(b)]) == 0
    assert "packages.numpy" in capsys.readouterr().out
    with pytest.raises(console.UsageError, match="is not a run folder"):
        main([str(a), str(tmp_path)])
    with pytest.raises(console.UsageError, match="are for a list"):
        main([str(a), str(b), "--sort", "accuracy"])


def test_a_thousand_runs_are_read_without_torch(tmp_path):
    for i in range(1000):
        made(tmp_path, f"20260101T000000-{i:08x}", metrics={"accuracy": i / 1000})
    code = f"import sys\nfrom sigconv.cli.runs import main\nassert main([{str(tmp_path)!r}]) == 0\n"
    code += "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1001


def test_help_and_words_that_cannot_be_meant(capsys):
    assert main(["--help"]) == 0
    assert "usage: sigconv runs" in capsys.readouterr().out
    with pytest.raises(console.UsageError, match="unknown argument '--sorted': did you mean --sort"):
        main(["--sorted"])


def test_columns_line_up():
    assert runs.table([("a", None), ("bcd", 1.5)]) == "a    -\nbcd  1.5"
    assert _runs.plain({"a": 1}) == "a dict"
