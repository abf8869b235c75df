"""Files no reader of text may trust: packed and cut, packed and damaged, bombs, other encodings, bytes at random."""

import gzip
import io
import os
import zlib

import pytest
from Bio import bgzf
from hypothesis import strategies as st


def bgzipped(content: bytes) -> bytes:
    """The bytes as bgzip packs them, in members of a few letters each."""
    file = io.BytesIO()
    writer = bgzf.BgzfWriter(fileobj=file)
    for at in range(0, len(content), 50):
        writer.write(content[at : at + 50])
        writer.flush()
    writer.flush()
    whole = file.getvalue()
    return whole if whole.endswith(bgzf._bgzf_eof) else whole + bgzf._bgzf_eof


def forms(content: bytes) -> list[bytes]:
    """The same text as machines write it: every reading of these is the same."""
    crlf, cr = content.replace(b"\n", b"\r\n"), content.replace(b"\n", b"\r")
    plain = [content, crlf, cr, b"\xef\xbb\xbf" + content, content.rstrip(b"\n")]
    two = gzip.compress(content[:9], mtime=0) + gzip.compress(content[9:], mtime=0)
    return [*plain, gzip.compress(crlf, mtime=0), two, bgzipped(content)]


def bomb(line: bytes, size: int = 1 << 27) -> bytes:
    """A line again and again, packed by gzip: far more text than bytes."""
    packer = zlib.compressobj(9, wbits=31)
    block = line * (len(line) and (1 << 20) // len(line))
    return b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()


def check_forms(read, path, content):
    """Every form of the text is read alike."""
    answers = []
    for form in forms(content):
        path.write_bytes(form)
        answers.append(read(path))
    assert all(answer == answers[0] for answer in answers)


def check_refused(read, path, content, line):
    """What is cut short, damaged, too large or no text ends in one line that names the file; line is a good one."""
    packed = gzip.compress(content, mtime=0)
    hostile = {
        "cut": packed[: len(packed) // 2],
        "without its sum": packed[:-8],
        "another sum": packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:],
        "another length": packed[:-1] + b"\x7f",
        "two, one cut": packed + packed[:-4],
        "rubbish after": packed + b"rubbish",
        "bgzip without its end": bgzipped(content)[: -len(bgzf._bgzf_eof)],
        "bomb": bomb(line),
        "bzip2": b"BZh91AY" + content,
        "xz": b"\xfd7zXZ\0" + content,
        "zip": b"PK\x03\x04" + content,
        "utf-16": content.decode().encode("utf-16"),
        "nothing": b"",
        "nothing packed": gzip.compress(b""),
        "zeros": bytes(1000),
    }
    for name, bad in hostile.items():
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=path.name) as caught:
            read(path)
        assert_one_line(str(caught.value), name)


def check_no_file(read, folder):
    """Folders, pipes and what is not there are no files."""
    os.mkfifo(folder / "pipe")
    for path in (folder, folder / "pipe", folder / "nowhere"):
        with pytest.raises(OSError, match=path.name):
            read(path)


def check_damaged(read, path, content, data):
    """Bytes changed, lost or doubled at random: the file is read, or refused in one line that names it."""
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        kind = data.draw(st.sampled_from(["change", "lose", "insert", "cut"]))
        if kind == "insert":
            damaged[at:at] = data.draw(
                st.binary(max_size=4) | st.sampled_from([b"\n", b"\t", b"\r", b"\xff", b">", b"-"])
            )
        elif kind == "lose":
            del damaged[at : at + data.draw(st.integers(1, 20))]
        elif kind == "cut":
            del damaged[at:]
        elif at < len(damaged):
            damaged[at] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(damaged))
    try:
        return read(path)
    except (ValueError, OSError) as error:
        said = str(error)
    assert path.name in said
    assert_one_line(said, "damaged")
    return None


def assert_one_line(said, name):
    """An error is one line of a length that can be read."""
    assert "\n" not in said, name
    assert len(said) < 500, name
