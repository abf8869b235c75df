"""Features by dask's workers: the same bytes, whoever dies."""

import json
import os
import signal
from pathlib import Path

import extraction_trees as made
import pytest
from extraction_trees import BANK

import sigconv as sc
from sigconv import console
from sigconv.cli import extract as verb
from sigconv.extraction import _cluster

distributed = pytest.importorskip("dask.distributed")


@pytest.fixture(scope="module")
def client():
    import dask

    dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.comm.timeouts.connect": "30s"})
    with _cluster.connected("local:2") as client:
        yield client


def test_two_workers_one_killed_in_the_middle_leave_the_same_bytes(client, tmp_path, monkeypatch):
    root = made.small(tmp_path / "in", 16)
    monkeypatch.setattr(_cluster._processes, "MOST_TOGETHER", 4)
    victim, *_ = client.run(os.getpid).values()
    killed = []

    def report(now):
        if not killed and now.done >= 4:
            killed.append(victim)
            os.kill(victim, signal.SIGKILL)

    result = sc.extract(BANK, root, tmp_path / "out", client=client, report=report)
    assert killed
    assert {Path(failure["path"]).name for failure in result.failures} == {"cut.wav", "torn.nii.gz"}
    sc.extract(BANK, root, tmp_path / "here")
    assert made.tree(tmp_path / "out") == made.tree(tmp_path / "here")
    assert sc.extract(BANK, root, tmp_path / "out", client=client).unchanged == result.inputs


def test_a_bank_that_there_is_not_is_one_line(client, tmp_path):
    made.sound(tmp_path / "in" / "x.wav")
    with pytest.raises(ValueError, match="bank 'gabr' is not one of"):
        sc.extract("gabr", tmp_path / "in", tmp_path / "out", client=client)


def test_the_command_takes_an_address(client, tmp_path, capsys):
    made.sound(tmp_path / "in" / "x.wav")
    words = [BANK, str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--dask", client.scheduler.address, "--json"]
    assert console.guarded(lambda: verb.main(words)) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 1


@pytest.mark.parametrize("word", ["local:0", "local", "http://host", "slurm:3"])
def test_other_words_are_refused(word):
    with pytest.raises(ValueError, match="is neither local:N"), _cluster.connected(word):
        pass
