"""Checkpoints that mean harm, and a process that loads them all, watched: python hostile_checkpoints.py FOLDER

Each is a good checkpoint with one thing changed and every digest made right again: an attacker can compute those too.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import struct
import sys
import time
from pathlib import Path

PICKLE = b"cposix\nsystem\n(S'touch pwned'\ntR."  # run by whoever unpickles it
SECONDS = 5
ROOM = 3 << 30


class Hang(BaseException):
    """A load that took too long."""


def rewritten(path, change=lambda commit: None, content=None):
    """Change a good checkpoint's commit and its tensors' file, and seal it again."""
    from sigconv.train import checkpoint

    if content is not None:
        (path / "state.safetensors").write_bytes(content)
    commit = json.loads((path / "commit.json").read_text())
    commit.pop("digest")
    commit["bytes"] = (path / "state.safetensors").stat().st_size
    change(commit)
    commit["digest"] = checkpoint._seal(commit)
    (path / "commit.json").write_text(json.dumps(commit))


def tree(value):
    """A checkpoint whose tree of values is this."""
    return lambda path: rewritten(path, lambda commit: commit.update(tree=value))


def field(name, value):
    """A checkpoint with a field of its commit changed."""
    return lambda path: rewritten(path, lambda commit: commit.update({name: value}))


def raw(text):
    """A checkpoint whose commit.json is this text."""
    return lambda path: (path / "commit.json").write_text(text)


def state(content):
    """A checkpoint whose tensors' file is these bytes."""
    return lambda path: rewritten(path, content=content)


def header(entries, data=bytes(16), length=None):
    """A safetensors file with a header of one's own, whose length may lie."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return state(struct.pack("<Q", len(text) if length is None else length) + text + data)


def entry(start=0, end=16, shape=(4,), dtype="F32"):
    """A tensor in such a header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def renamed(name):
    """A good checkpoint whose one tensor bears another name, wherever it is named."""

    def make(path):
        from safetensors.torch import save

        from sigconv.train import checkpoint

        tensor = checkpoint.load(path)["weight"]

        def change(commit):
            text = json.dumps(commit)
            commit.clear()
            commit.update(json.loads(text.replace('"t0"', json.dumps(name))))

        rewritten(path, change, save({name: tensor}))

    return make


def instead(name, make):
    """A checkpoint with something else in the place of a file."""

    def change(path):
        (path / name).unlink()
        make(path / name)

    return change


def sparse(size):
    """A tensors' file of so many bytes that takes no room on the disk, and a commit that says so."""

    def make(path):
        with open(path / "state.safetensors", "r+b") as file:
            file.truncate(size)
        rewritten(path)

    return make


def sparse_commit(path):
    """A commit.json of 10 GB."""
    with open(path / "commit.json", "r+b") as file:
        file.truncate(10 << 30)


REFUSED = {
    "a pickle for tensors": state(PICKLE),
    "a pickle for a commit": lambda path: (path / "commit.json").write_bytes(PICKLE),
    "a header of 2^63 bytes": header({"t0": entry()}, length=2**63),
    "a header of 2^64 - 1 bytes": header({"t0": entry()}, length=2**64 - 1),
    "a header of 99 MB that is not there": header({"t0": entry()}, length=99_000_000),
    "a header of no bytes": header(b"", length=0),
    "a header that is no JSON": header(b"{'t0'"),
    "a header 100,000 deep": header(b"[" * 100_000 + b"]" * 100_000),
    "a header cut short": state(struct.pack("<Q", 9)[:5]),
    "an empty file": state(b""),
    "offsets beyond the end": header({"t0": entry(end=1 << 40)}),
    "offsets below zero": header({"t0": entry(start=-16)}),
    "offsets the wrong way round": header({"t0": entry(16, 0)}),
    "offsets of more than 64 bits": header({"t0": entry(2**65, 2**65 + 16)}),
    "overlapping tensors": header({"t0": entry(), "t1": entry(8, 24)}, bytes(24)),
    "two tensors in one place": header({"t0": entry(), "t1": entry()}),
    "a hole between tensors": header({"t0": entry(8, 24)}, bytes(24)),
    "a shape larger than its bytes": header({"t0": entry(shape=(1 << 40,))}),
    "a shape that overflows": header({"t0": entry(shape=(2**62, 2**62, 16))}),
    "an unknown dtype": header({"t0": entry(dtype="OBJECT")}),
    "other tensors than committed": header({"__reduce__": entry()}),
    "values changed": header({"t0": entry()}, b"\x01" * 16),
    "data behind the tensors": header({"t0": entry()}, bytes(64)),
    "a commit 100,000 deep": raw("[" * 100_000 + "]" * 100_000),
    "a commit 100,000 objects deep": raw('{"a":' * 100_000 + "1" + "}" * 100_000),
    "a commit that is a list": raw("[1, 2]"),
    "a commit that is a number": raw("1e999"),
    "a commit that is no text": lambda path: (path / "commit.json").write_bytes(b"\xff\xfe\x00"),
    "a commit of 100 MB of lists": lambda path: (path / "commit.json").write_text("[" + "[],[]," * (17 << 20) + "1]"),
    "a number of 5,000 digits": raw('{"bytes": ' + "9" * 5000 + "}"),
    "bytes NaN": field("bytes", float("nan")),
    "bytes infinite": field("bytes", float("inf")),
    "bytes 10^400": field("bytes", 10**400),
    "bytes below zero": field("bytes", -1),
    "bytes as text": field("bytes", "76"),
    "bytes as a list": field("bytes", [76]),
    "tensors as a list": field("tensors", ["t0"]),
    "no tree": lambda path: rewritten(path, lambda commit: commit.pop("tree")),
    "a kind that imports": tree(["import", "os.system"]),
    "a kind that calls": tree(["call", ["import", "os.system"], ["list", "touch pwned"]]),
    "a target": tree(["dict", ["state", ["_target_", "os.system"]]]),
    "a kind that is a list": tree([["dict"], 1]),
    "a kind of none": tree([]),
    "a tensor not there": tree(["tensor", "t9"]),
    "a tensor named by a list": tree(["tensor", ["t0"]]),
    "a tensor of two names": tree(["tensor", "t0", "t0"]),
    "a key without a value": tree(["dict", ["a"]]),
    "a key that is a list": tree(["dict", [["list", 1], 2]]),
    "a dict of no pairs": tree(["dict", 1]),
    "a pipe for a commit": instead("commit.json", os.mkfifo),
    "a pipe for tensors": instead("state.safetensors", os.mkfifo),
    "zeros without end for a commit": instead("commit.json", lambda path: path.symlink_to("/dev/zero")),
    "zeros without end for tensors": instead("state.safetensors", lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": instead("commit.json", lambda path: path.symlink_to(path)),
    "a folder for a commit": instead("commit.json", os.mkdir),
    "a folder for tensors": instead("state.safetensors", os.mkdir),
    "no tensors": instead("state.safetensors", lambda path: None),
    "tensors of 10 GB without a byte": sparse(10 << 30),
    "tensors of 2 GB without a byte": sparse(2 << 30),
    "a commit of 10 GB without a byte": sparse_commit,
}

PLAIN = {  # what these hold are names and numbers like any other: to be refused, or given back as such
    "a tensor named __reduce__": renamed("__reduce__"),
    "a tensor named ../../x": renamed("../../x"),
    "a tensor named /etc/passwd": renamed("/etc/passwd"),
    "one name twice": header(f'{{"t0": {json.dumps(entry())}, "t0": {json.dumps(entry())}}}'.encode()),
    "keys that look like code": tree(["dict", ["__class__", "os.system"], ["__reduce__", ["tensor", "t0"]]]),
    "numbers that are none": tree(["list", float("nan"), float("inf"), 10**4000]),
    "an object in the tree": tree(["list", {"__class__": "os.system"}]),
    "a field more": field("__import__", "os"),
    "another format": field("format", float("nan")),
}


def plain(value):
    """Whether a value is made of the few kinds that a checkpoint is for."""
    import torch

    if type(value) in (dict, list):
        return all(map(plain, [*value, *value.values()] if type(value) is dict else value))
    return value is None or type(value) in (bool, int, float, str, torch.Tensor)


class Watch:
    """What the interpreter is asked to do while armed. An audit hook cannot be taken away: it lives as long as we."""

    RUNS = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.", "socket.", "pickle.", "marshal.loads")
    CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.chmod", "os.truncate", "shutil.")

    def __init__(self):
        self.path, self.seen = None, []
        sys.addaudithook(self.hear)

    def hear(self, event, details):
        """Note what loading a checkpoint has no business with."""
        if self.path is None:
            return
        if event.startswith((*self.RUNS, *self.CHANGES)) or event in ("import", "exec", "compile", "ctypes.dlopen"):
            self.seen.append(f"{event} {details[:1]}"[:200])
        if event == "open" and not self._reads(*details):
            self.seen.append(f"open {details}"[:200])

    def _reads(self, name, mode, flags):
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(flags, int) else False
        return not writes and isinstance(name, str | os.PathLike) and Path(name).parent == self.path


def memory(mark):
    """A line of the process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(mark))


def loaded(path, watch):
    """What became of loading one: an error or a value, the time, the memory, and what was seen."""
    from sigconv.train import checkpoint

    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the highest mark begins anew
    before, began = memory("VmRSS"), time.monotonic()
    watch.path, watch.seen = path, []
    try:
        signal.alarm(SECONDS)
        try:
            value = checkpoint.load(path)
        finally:
            signal.alarm(0)
    except BaseException as error:
        kind, text, fine = type(error).__name__, str(error), isinstance(error, ValueError | OSError)
    else:
        kind, text, fine = "loaded", "", plain(value)
    watch.path = None
    taken = {"seconds": time.monotonic() - began, "bytes": memory("VmHWM") - before}
    return {"kind": kind, "text": text, "fine": fine, "seen": watch.seen} | taken


def stop(number, frame):
    """The alarm."""
    raise Hang(f"still loading after {SECONDS} s")


def run(folder):
    """Make and load every one of them; one line of JSON each."""
    import torch

    from sigconv.train import checkpoint

    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, stop)
    most = memory("VmSize") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))  # what believes a size is to fail, not to fill the machine
    good = {"weight": torch.zeros(4), "step": 3, "rows": [{"loss": 0.5}]}
    watch = Watch()
    for number, (name, make) in enumerate(({"none": lambda path: None} | REFUSED | PLAIN).items()):
        path = checkpoint.save(folder / f"model-{number}", good)
        if number == 0:
            checkpoint.load(path)  # what is imported at the first call
        make(path)
        sys.stdout.write(json.dumps({"name": name} | loaded(path, watch)) + "\n")
        sys.stdout.flush()
        for file in path.iterdir():
            file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()


if __name__ == "__main__":
    run(Path(sys.argv[1]).resolve())
