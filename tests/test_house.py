"""The house stands: floors, wheel list, examples, and nothing heavy at the door."""

import ast
import contextlib
import doctest
import graphlib
import importlib
import json
import pkgutil
import random
import re
import subprocess
import sys
import tomllib

import pytest
from conftest import ROOT

FLOORS = [
    {"nd", "units", "words", "files", "console", "plot"},
    {"kernels", "readers"},
    {"methods"},
    {"convolution", "pooling"},
    {"filters"},
    {"blocks", "transforms"},
    {"models", "summary"},
    {"explain"},
    {"report", "tiles", "streaming"},
    {"datasets", "train"},
    {"extraction", "scan"},
    {"recipes", "benchmarks", "doctor"},
    {"cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FRONT = {"sigconv", "sigconv.__main__"}
BESIDE = ("datasets", "recipes", "benchmarks")


def sources():
    """Every file of the package by its module name, those beside the folder included."""
    for folder, prefix in [(ROOT / "sigconv", "sigconv"), *((ROOT / name, f"sigconv.{name}") for name in BESIDE)]:
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([prefix, *(part for part in parts if part != "__init__")]), path


MODULES = dict(sources())


def imports(path):
    """The sigconv modules a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "sigconv")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "sigconv":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES or node.module == "sigconv" else node.module


def room(module):
    return module.split(".")[1] if "." in module else ""


def climbs(module, target):
    """Whether an import looks up, or into another room of the same floor."""
    if room(target) not in FLOOR or module in FRONT or room(module) == room(target):
        return False
    return FLOOR[room(target)] >= FLOOR[room(module)]


def test_every_room_has_a_floor():
    assert {room(module) for module in MODULES if module not in FRONT} <= set(FLOOR)


@pytest.mark.parametrize("module", MODULES)
def test_imports_look_down_only(module):
    wrong = [target for target in imports(MODULES[module]) if climbs(module, target)]
    assert not wrong, f"{module} (floor {FLOOR[room(module)]}) imports {wrong}, which stand no lower"


def test_a_planted_upward_import_is_noticed(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("def f():\n    from sigconv.train import fit\n")
    assert [target for target in imports(planted) if climbs("sigconv.filters.auditory", target)]


def test_files_inside_a_room_import_without_cycles():
    graph = {name: set(imports(path)) & set(MODULES) - {name} for name, path in MODULES.items()}
    assert tuple(graphlib.TopologicalSorter(graph).static_order())


def test_the_wheel_list_is_complete():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert set(listed) == packages


@pytest.mark.parametrize("module", sorted(name for name in MODULES if not name.endswith("__main__")))
def test_docstring_examples_run(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def public(module):
    """The public functions and classes a module defines, with their public methods."""
    for name, thing in vars(module).items():
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__ and callable(thing):
            yield name, thing


@pytest.mark.parametrize("module", sorted(name for name in MODULES if not name.endswith("__main__")))
def test_public_names_say_what_they_are(module):
    found = importlib.import_module(module)
    assert found.__doc__, f"{module} has no docstring"
    bare = [name for name, thing in public(found) if not (thing.__doc__ or "").strip()]
    assert not bare, f"{module}: {bare} have no docstring"


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_no_module_bears_a_public_functions_name_whatever_the_order_of_imports():
    import sigconv

    names = {name: getattr(sigconv, name) for name in dir(sigconv)}
    modules = [name for name in MODULES if not name.endswith("__main__")]
    random.Random(0).shuffle(modules)
    code = f"import importlib\nfor m in {modules!r}: importlib.import_module(m)\nimport sigconv, types\n"
    code += f"kinds = {{n: isinstance(getattr(sigconv, n), types.ModuleType) for n in {sorted(names)!r}}}\n"
    code += "import json; print(json.dumps(kinds))"
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    for name, is_module in json.loads(done.stdout.splitlines()[-1]).items():
        assert is_module == (type(names[name]).__name__ == "module"), f"sc.{name} changed its kind"


HEAVY = {"torch", "numpy", "scipy", "librosa", "Bio", "nibabel", "soundfile", "lightning_fabric", "rich", "pooch"}
HEAVY |= {
    "jsonargparse",
    "safetensors",
    "zarr",
    "yaml",
    "matplotlib",
    "numba",
    "pywt",
    "sklearn",
    "av",
    "pyfaidx",
    "sympy",
}


def loaded(code):
    """The installed packages that this code loads."""
    done = run_python(f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])} & HEAVY


def test_importing_sigconv_loads_torch_and_numpy_at_most():
    assert loaded("import sigconv") <= {"torch", "numpy"}
    assert loaded("import sigconv; sigconv.conv; sigconv.MaxPool; sigconv.nd") == {"torch", "numpy"}
    assert loaded("import sigconv.train, sigconv.datasets.mnist1d, sigconv.transforms.speech") == {"torch", "numpy"}


def test_a_first_call_loads_no_more_than_it_needs():
    code = "import torch, sigconv as sc; x = torch.ones(2, 1, 9)\n"
    code += "sc.convolve(x, torch.ones(1, 3, 2), axes=-1); sc.Conv1d(1, 2, 3)(x); sc.MaxPool(1, 2)(x)"
    assert loaded(code) == {"torch", "numpy"}


def test_a_first_kernel_loads_neither_a_compiler_of_torchs_nor_triton():
    code = "import sys, torch, sigconv as sc\nfrom sigconv.filters import haar\n"
    code += "sc.conv(torch.ones(1, 1, 2**18), torch.ones(1, 1, 31))\n"
    code += "x = torch.ones(2, 2, 64, 64); sc.max_pool(x, 5, 1); sc.lp_pool(x, 3, 5); haar.dwt(x)\n"
    code += "sc.avg_pool(x.requires_grad_(), 5, dilation=2).sum().backward()\n"
    code += "print(sorted({'torch._dynamo', 'triton', 'sympy'} & set(sys.modules)))"
    done = run_python(code)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["list", "--json"]])
def test_help_and_version_load_no_torch(words):
    code = f"import contextlib\nfrom sigconv.cli import main\nwith contextlib.suppress(SystemExit): main({words!r})"
    assert not loaded(code)


def test_the_folders_beside_the_package_refuse_their_bare_names(monkeypatch):
    for name in ("benchmarks", "datasets", "recipes"):
        with pytest.raises(ImportError, match=f"is the package 'sigconv.{name}'"):
            exec(compile((ROOT / name / "__init__.py").read_text(), name, "exec"), {"__name__": name})


def test_versions_agree():
    import sigconv

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == sigconv.__version__


def test_no_committed_file_names_a_machine_or_a_registry():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    marks = re.compile("/" + r"(work|opt|root|tmp)/[a-z]|python" + r"hosted\.org|://" + r"pypi\.")
    for name in listed.stdout.splitlines():
        with contextlib.suppress(UnicodeDecodeError, FileNotFoundError):
            assert not marks.search((ROOT / name).read_text(encoding="utf-8")), name


def test_files_stay_small():
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 300, f"{module} has grown: make it a folder"


def test_every_found_file_is_public_in_its_room():
    from sigconv import methods

    found = {item.name for item in pkgutil.iter_modules(methods.__path__) if not item.name.startswith("_")}
    assert found == set(methods.METHODS)
    for name, method in methods.METHODS.items():
        assert callable(method.correlate), name
        assert callable(method.cost), name
        assert callable(method.memory), name
        assert isinstance(method.EXACT, bool), name
        assert isinstance(method.LOCAL, bool), name


NUMERICS = (
    1,
    2,
    5,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
    18,
    20,
    21,
    22,
    23,
    28,
)  # rows of silent failures, on a CPU


def test_every_silent_failure_is_named_by_a_test():
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    named = set(map(int, re.findall(r"(?:_|\b)n(\d+)(?=[_\W])", tests.lower())))
    assert not set(NUMERICS) - named
