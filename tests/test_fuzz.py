"""Files that went wrong at random: every format is read, or refused in one line that names it; never more than that."""

import contextlib
import importlib.util
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import seeds
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers.child import Decoder

SECONDS = 10
MEMORY = 1 << 30


class Hang(BaseException):
    """A reader that takes longer than any file may."""


@contextlib.contextmanager
def watched():
    """Hang, where what is inside takes too long."""

    def stop(*_):
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refusal(read, path):
    """Why a file is not read; nothing where it is."""
    with watched():
        try:
            read(path)
        except (ValueError, OSError) as error:
            return str(error)
    return None


@pytest.fixture(scope="module")
def decoder():
    """A process for what is decoded by libraries of C."""
    with Decoder(MEMORY, SECONDS) as one:
        yield one


@pytest.fixture(params=seeds.kinds())
def format_read(request, tmp_path, decoder):
    """A kind, its good files, a folder, and how one is read."""
    kind = request.param
    (tmp_path / "good").mkdir()
    good = seeds.made(kind, tmp_path / "good")
    read = (lambda path: decoder.read(kind, path)) if kind in seeds.NATIVE else (lambda path: seeds.read(kind, path))
    return kind, good, tmp_path, read


def placed(kind, folder, good, name, content):
    """The file with other content, and what is read: itself, or the folder it lies in."""
    if kind == "bids":
        (folder / name).write_bytes(content)
        return folder
    if kind not in seeds.FOLDERS:
        path = folder / f"fuzzed {name}"
        path.write_bytes(content)
        return path
    first = Path(name).parts[0]
    shutil.rmtree(folder / "fuzzed", ignore_errors=True)
    for other, whole in good.items():
        if Path(other).parts[0] == first:
            path = folder / "fuzzed" / Path(other).relative_to(first)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if other == name else whole)
    return folder / "fuzzed"


def test_good_files_of_every_format_are_read(format_read):
    """A new reader has no seeds yet: KeyError says so here."""
    kind, good, folder, read = format_read
    for name, content in good.items():
        assert refusal(read, placed(kind, folder, good, name, content)) is None, name


@given(data=st.data())
@settings(examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_damaged_files_are_read_or_refused_in_one_line_f7(format_read, data):
    kind, good, folder, read = format_read
    name = data.draw(st.sampled_from(sorted(good)))
    path = placed(kind, folder, good, name, data.draw(seeds.damaged(good[name])))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = refusal(read, path)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < MEMORY, "it took more memory than a small file may"
    if said is not None:
        assert "\n" not in said
        assert len(said) < 1000
        assert path.name in said


def test_every_reader_refuses_what_is_no_file(format_read):
    """Pipes are not waited for."""
    kind, _, folder, read = format_read
    os.mkfifo(folder / "pipe")
    (folder / "empty").write_bytes(b"")
    for name in ("pipe", "empty", "nowhere"):
        if kind == "bids" and name != "empty":
            continue  # it describes a folder, which it makes
        assert name in (refusal(read, folder / name) or ""), name


def test_coverage_leads_to_no_other_end(request, tmp_path):
    """Guided by the lines that were reached, for a minute each; with --thorough and where atheris is installed."""
    if not request.config.getoption("--thorough"):
        pytest.skip("takes minutes: --thorough")
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    for kind in sorted(set(seeds.kinds()) - seeds.NATIVE - seeds.FOLDERS):
        corpus = tmp_path / kind
        corpus.mkdir()
        command = [sys.executable, str(ROOT / "tests" / "guided.py"), kind, str(corpus), "60"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
