"""The guard around every verb: an exit code and one line, whatever happens inside."""

import os
import signal
import sys

import pytest

from sigconv import console


def swallowed():
    """A library that takes a signal in the middle of its import for an error of its own."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    except console.Stopped:
        raise AttributeError("module is half imported") from None


def usage():
    raise console.UsageError("no such option")


@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        (lambda: None, 0, ""),
        (lambda: 3, 3, ""),
        (usage, 2, "error: no such option\n"),
        (lambda: {}["key"], 1, "error: 'key'\n"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "stopped\n"),
        (swallowed, 130, "stopped\n"),
    ],
)
def test_an_exit_code_and_one_line(work, code, said, capsys):
    assert console.guarded(work) == code
    assert capsys.readouterr().err == said


def test_debug_shows_the_error_itself():
    with pytest.raises(KeyError):
        console.guarded(lambda: {}["key"], debug=True)


def test_a_closed_stdout_is_no_error_of_ours(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert console.guarded(lambda: console.show("to nobody")) == 0
    sys.stdout.close()


def test_f22_a_reader_who_leaves_early_ends_it_quietly():
    import subprocess

    code = "from sigconv.cli import main; main(['list', '--json'])"
    words = f'{sys.executable} -c "{code}" | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() in ("0", "1")
