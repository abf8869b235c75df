"""Nothing that is read is ever run: no way to do so stands in any file, and checkpoints that mean harm do none."""

import ast
import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import hostile_checkpoints
import pytest
from conftest import ROOT

from sigconv import files
from sigconv.cli import _outputs
from sigconv.console import UsageError

FOLDERS = ("sigconv", "recipes", "datasets", "benchmarks", "tests")
FILES = {str(path.relative_to(ROOT)): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}
PICKLES = {"pickle", "_pickle", "cPickle", "pickletools", "joblib", "dill", "cloudpickle", "marshal", "shelve", "dbm"}
TAKE_A_NAME = {"importlib.import_module", "__import__", "pytest.importorskip", "importlib.util.find_spec"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
SHELLS |= {"asyncio.create_subprocess_shell", "commands.getoutput"}
COLLECTIVES = {"broadcast_object_list", "all_gather_object", "gather_object", "scatter_object_list"}
COLLECTIVES |= {"send_object_list", "recv_object_list", "all_gather_object_list"}


class Names(ast.NodeVisitor):
    """What the names in a file stand for: np is numpy, load may be torch.load."""

    def __init__(self, tree):
        self.stand_for = {}
        self.visit(tree)

    def visit_Import(self, node):
        for alias in node.names:
            self.stand_for[alias.asname or alias.name.split(".")[0]] = (
                alias.name if alias.asname else alias.name.split(".")[0]
            )

    def visit_ImportFrom(self, node):
        for alias in node.names:
            self.stand_for[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def whole(self, node):
        """The dotted name of an expression, whatever it was imported as; what is computed is a dot alone."""
        if isinstance(node, ast.Attribute):
            return f"{self.whole(node.value)}.{node.attr}"
        return self.stand_for.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def keyword(call, name):
    """What a call is given by that name: a constant's value, ... for what is computed, None where it is not given."""
    for given in call.keywords:
        if given.arg == name:
            return given.value.value if isinstance(given.value, ast.Constant) else ...
    return None


def imported(node, names):
    """The modules that a statement or a call imports by a name that stands there."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    if isinstance(node, ast.Call) and names.whole(node.func) in TAKE_A_NAME and node.args:
        return {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
    return set()


def mentions(*wanted):
    """Whether an expression is one of these dotted names; one that ends in a dot stands for all below it."""
    below = tuple(name for name in wanted if name.endswith("."))

    def found(node, names):
        whole = names.whole(node) if isinstance(node, ast.Attribute | ast.Name) else ""
        return whole in wanted or bool(below and whole.startswith(below))

    return found


def calls(*wanted):
    """Whether a call is of one of these: a name without a dot is a method of anything, or a function."""

    def found(node, names):
        if not isinstance(node, ast.Call):
            return False
        whole = names.whole(node.func)
        return whole in wanted or whole.rpartition(".")[2] in wanted

    return found


def built_in(*wanted):
    """Whether a call is of one of Python's own functions, not of a method or of a torch.compile imported by name."""
    return lambda node, names: isinstance(node, ast.Call) and names.whole(node.func) in wanted


def either(*rules):
    """Whether any of them holds."""
    return lambda node, names: any(rule(node, names) for rule in rules)


def unpickles(node, names):
    """A module of pickles, by whatever road it is imported."""
    return any(module.split(".")[0] in PICKLES for module in imported(node, names) if isinstance(module, str))


def loads_arrays(node, names):
    """np.load that does not say allow_pickle=False, and whatever says allow_pickle otherwise."""
    if not isinstance(node, ast.Call):
        return False
    said = keyword(node, "allow_pickle")
    return said not in (None, False) or (names.whole(node.func) == "numpy.load" and said is not False)


def opens_a_shell(node, names):
    """A command line given to a shell."""
    shell = isinstance(node, ast.Call) and keyword(node, "shell") not in (None, False)
    return shell or mentions(*SHELLS)(node, names)


def loads_yaml(node, names):
    """yaml by anything but safe_load, safe_dump and their errors."""
    whole = names.whole(node) if isinstance(node, ast.Attribute) else ""
    return whole.startswith("yaml.") and "load" in whole.lower() and "safe_load" not in whole


@dataclass(frozen=True)
class Rule:
    """What must not stand in a file: why, how it is found, one line that must be found and one that must not."""

    reason: str
    forbids: object
    caught: str
    passes: str


RULES = {
    "pickles": Rule("unpickling runs what the file says", unpickles, "import pickle", "from pickled import onions"),
    "pickles, from": Rule("as above", unpickles, "from joblib import load", "from safetensors.torch import load"),
    "pickles by name": Rule(
        "as above",
        unpickles,
        "import importlib\nimportlib.import_module('dill')",
        "import importlib\nimportlib.import_module(f'sigconv.recipes.{name}')",
    ),
    "pickles by __import__": Rule("as above", unpickles, "__import__('marshal')", "__import__('torch')"),
    "read_pickle": Rule(
        "pandas unpickles", calls("read_pickle", "to_pickle"), "pd.read_pickle(path)", "pd.read_csv(path)"
    ),
    "torch.load": Rule(
        "unpickles; weights_only has had holes too (CVE-2025-32434, CVE-2026-24747)",
        mentions("torch.load", "torch.serialization.", "torch.jit.load", "torch.package."),
        "from torch import load as read\nread(path)",
        "import safetensors.torch\nsafetensors.torch.load(content)",
    ),
    "torch.save": Rule("pickles", mentions("torch.save"), "import torch as t\nt.save(x, path)", "figure.save(path)"),
    "hub": Rule(
        "runs code from elsewhere",
        mentions("torch.hub."),
        "import torch\ntorch.hub.load('a/b', 'c')",
        "hub.push(model)",
    ),
    "arrays": Rule(
        "an array of objects is a pickle, and the default has changed before (CVE-2019-6446)",
        loads_arrays,
        "import numpy as np\nnp.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=False)",
    ),
    "allow_pickle": Rule("as above", loads_arrays, "reader(path, allow_pickle=True)", "reader(path)"),
    "yaml": Rule(
        "tags of YAML make objects",
        loads_yaml,
        "import yaml\nyaml.load(text, Loader)",
        "import yaml\nyaml.safe_load(text)",
    ),
    "objects between processes": Rule(
        "they are pickled on their way",
        calls(*COLLECTIVES),
        "dist.broadcast_object_list(found)",
        "dist.broadcast(x, 0)",
    ),
    "archives": Rule(
        "a member's name may lead anywhere (CVE-2007-4559, CVE-2025-4517)",
        calls("extractall", "unpack_archive", "_unpack_tarfile"),
        "archive.extractall(folder)",
        "archive.extractfile(member)",
    ),
    "text that is run": Rule(
        "text is not code",
        built_in("eval", "exec", "compile"),
        "eval(text)",
        "import re\nmodel.eval(), re.compile(text)",
    ),
    "shells": Rule(
        "a file's name may hold a command",
        opens_a_shell,
        "import subprocess\nsubprocess.run(text, shell=True)",
        "import subprocess\nsubprocess.run(['git', 'status'])",
    ),
    "os.system": Rule("as above", opens_a_shell, "from os import system\nsystem(text)", "import os\nos.getpid()"),
    "names of files": Rule(
        "another may take the name before it is opened",
        mentions("tempfile.mktemp"),
        "import tempfile\ntempfile.mktemp()",
        "import tempfile\ntempfile.mkstemp()",
    ),
}
FINDERS = {rule.forbids: name for name, rule in reversed(RULES.items())}  # each asked once, whatever shares it


def broken(text):
    """(rule, line) of every rule that a text breaks."""
    tree = ast.parse(text)
    names = Names(tree)
    nodes = [node for node in ast.walk(tree) if concerns(node, names)]
    return {(name, node.lineno) for node in nodes for finds, name in FINDERS.items() if finds(node, names)}


def concerns(node, names):
    """Whether a rule may have something to say of a node: imports, calls, and what imported names stand for."""
    if isinstance(node, ast.Name):
        return node.id in names.stand_for
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Call | ast.Attribute)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_catches_what_it_is_for_and_lets_the_rest_pass(rule):
    assert FINDERS[RULES[rule].forbids] in {name for name, _ in broken(RULES[rule].caught)}, RULES[rule].reason
    assert not broken(RULES[rule].passes)


@pytest.mark.parametrize("word", sorted(COLLECTIVES))
def test_no_road_between_processes_takes_objects(word):
    assert broken(f"import torch.distributed as dist\ndist.{word}(found)")
    assert broken(f"from torch.distributed import {word} as send\nsend(found)")


ALLOWED = {
    ("tests/test_house.py", "text that is run"),  # our own two-line guards, under the names they refuse
    ("tests/test_readme.py", "text that is run"),  # our own README's examples
    ("tests/test_show.py", "arrays"),  # writes an array of objects, which must be refused
}


@pytest.mark.parametrize("file", FILES)
def test_no_file_runs_what_it_reads(file):
    found = sorted(broken(FILES[file].read_text(encoding="utf-8")))
    wrong = [f"line {line}: {name} ({RULES[name].reason})" for name, line in found if (file, name) not in ALLOWED]
    assert not wrong, f"{file}: {'; '.join(wrong)}"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """What became of each hostile checkpoint, in a process of its own, and what was there before and after."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not tell a process's memory")
    home = tmp_path_factory.mktemp("hostile")
    (home / "folder" / "run").mkdir(parents=True)
    script = str(ROOT / "tests" / "hostile_checkpoints.py")
    options = {"cwd": home, "capture_output": True, "text": True, "timeout": 240, "check": False}
    done = subprocess.run([sys.executable, script, str(home / "folder" / "run")], **options)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    left = {str(path.relative_to(home)) for path in home.rglob("*")} - {"folder", "folder/run"}
    return {row["name"]: row for row in rows}, left


def test_a_good_checkpoint_loads_and_the_watch_sees_nothing(hostile):
    assert hostile[0]["none"] | {"seconds": 0, "bytes": 0} == {
        "name": "none", "kind": "loaded", "text": "", "fine": True, "seen": [], "seconds": 0, "bytes": 0
    }  # fmt: skip
    assert set(hostile[0]) == {"none"} | set(hostile_checkpoints.REFUSED) | set(hostile_checkpoints.PLAIN)


def test_nothing_is_left_behind_but_the_folders_of_the_checkpoints(hostile):
    assert hostile[1] == {f"folder/run/model-{number}" for number in range(len(hostile[0]))}


@pytest.mark.parametrize("name", hostile_checkpoints.REFUSED)
def test_a_hostile_checkpoint_is_refused_in_one_line(hostile, name):
    found = hostile[0][name]
    assert found["kind"] in ("ValueError", "OSError"), found
    assert found["text"].startswith("checkpoint ")
    assert "\n" not in found["text"]
    assert len(found["text"]) < 1000
    assert not found["text"].endswith("used: "), "no reason is given: memory or recursion ran out"


@pytest.mark.parametrize("name", [*hostile_checkpoints.REFUSED, *hostile_checkpoints.PLAIN])
def test_a_hostile_checkpoint_runs_nothing_and_takes_little(hostile, name):
    found = hostile[0][name]
    assert found["fine"], found
    assert not found["seen"]
    assert found["seconds"] < hostile_checkpoints.SECONDS
    assert found["bytes"] < 1 << 30


WATCHED = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from hostile_checkpoints import Watch
watch = Watch()
watch.path = Path("here").resolve()
for work in (lambda: os.system("true"), lambda: open("written", "w"), lambda: open(os.devnull), lambda: os.mkdir("new"),
             lambda: __import__("wave"), lambda: eval("1 + 1"), lambda: __import__("subprocess").run(["true"])):
    before = len(watch.seen)
    work()
    assert len(watch.seen) > before, work.__code__.co_firstlineno
"""


def test_the_watch_sees_what_harm_would_do(tmp_path):
    script = WATCHED.format(tests=str(ROOT / "tests"))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_nothing_but_a_file_is_written_over(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, kind in (("pipe", "a device or a pipe"), ("folder", "a folder")):
        with pytest.raises(OSError, match=f"{name}' is {kind}: name a file"), files.writing(tmp_path / name) as file:
            file.write(b"lost")
        with pytest.raises(UsageError, match=f"{name}' is no file that could be written over"):
            _outputs.place(tmp_path / name)
    (tmp_path / "kept").write_text("before")
    (tmp_path / "link").symlink_to("kept")
    files.write_text(tmp_path / "link", "after")
    assert (tmp_path / "kept").read_text() == "after"
    assert (tmp_path / "link").is_symlink()


def test_what_is_read_is_not_written_over(tmp_path):
    (tmp_path / "genome.fa").write_text(">a\nACGT\n")
    (tmp_path / "again.fa").symlink_to("genome.fa")
    with pytest.raises(UsageError, match=r"-o '.*genome\.fa' is a file that is read: name another"):
        _outputs.place(tmp_path / "genome.fa", inputs=[None, str(tmp_path / "again.fa")])
    with pytest.raises(UsageError, match="-o needs the name of a file"):
        _outputs.place("")
    _outputs.place(tmp_path / "new.tsv", inputs=[str(tmp_path / "genome.fa")])
    _outputs.place(None)


def test_a_full_disk_is_told_with_the_file_that_found_it_full(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*table\.tsv"):
        files.write_text(tmp_path / "table.tsv", "rows")
    assert not list(tmp_path.iterdir())
