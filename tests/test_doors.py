"""What every reader holds against files from anywhere: bombs, links, lists without end, programs inside of pictures."""

import bz2
import gc
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import seeds
from conftest import ROOT

from sigconv.readers import archive, fasta, image, npy, npz

ZEROS = bytes(1 << 20)


def tarred(names, content=b"", mode="w"):
    """A tar of such members."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as made:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_members_that_are_passed_over_count_too(tmp_path, monkeypatch, pack):
    """A packed tar must be unpacked to be passed over: so much of it, and no more."""
    monkeypatch.setattr(archive, "ALWAYS", 4 << 20)
    content = tarred([f"{n}.bin" for n in range(8)], ZEROS)
    (tmp_path / "a.tar.xx").write_bytes(pack(content))
    with pytest.raises(ValueError, match=r"a\.tar\.xx.* unpacks to more than 4194304 bytes"):
        list(archive.members(tmp_path / "a.tar.xx", ".wav"))
    (tmp_path / "a.tar").write_bytes(content)
    assert list(archive.members(tmp_path / "a.tar", ".wav")) == []
    monkeypatch.setattr(archive, "ALWAYS", 16 << 20)
    assert list(archive.members(tmp_path / "a.tar.xx", ".wav")) == []
    assert len(list(archive.members(tmp_path / "a.tar.xx"))) == 8


def test_a_zip_holds_no_more_than_its_bytes_may(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for n in range(8):
            made.writestr(f"{n}.bin", ZEROS)
    assert len(list(archive.members(tmp_path / "a.zip"))) == 8
    monkeypatch.setattr(archive, "ALWAYS", 4 << 20)
    with pytest.raises(ValueError, match="unpacks to more than 4194304 bytes"):
        list(archive.members(tmp_path / "a.zip"))


def test_members_without_end_are_not_counted_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_MEMBERS", 50)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tarred(map(str, range(60)))))
    with pytest.raises(ValueError, match="more than 50 members"):
        list(archive.members(tmp_path / "a.tar.gz", ".wav"))


def test_members_that_were_seen_are_forgotten(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tarred([*map(str, range(500)), "last.wav"])))
    members = archive.members(tmp_path / "a.tar.gz", ".wav")
    assert next(members)[0] == "last.wav"
    gc.collect()
    kept = sum(type(thing) is tarfile.TarInfo for thing in gc.get_objects())
    members.close()
    assert kept < 10


@pytest.mark.parametrize("large", [False, True])
def test_a_list_of_members_is_measured_before_it_is_read(tmp_path, monkeypatch, large):
    if large:
        monkeypatch.setattr(
            zipfile, "ZIP_FILECOUNT_LIMIT", 10
        )  # from where on the numbers stand in a record of 64 bits
    for kind in ("zip", "npz"):
        with zipfile.ZipFile(tmp_path / f"a.{kind}", "w") as made:
            for n in range(40):
                made.writestr(f"{n:040}.npy", seeds.array())
    assert (b"PK\6\6" in (tmp_path / "a.zip").read_bytes()) == large
    assert len(list(archive.members(tmp_path / "a.zip"))) == len(npz.read(tmp_path / "a.npz")) == 40
    monkeypatch.setattr(archive, "MOST_LIST", 1000)
    for read, name in ((lambda path: list(archive.members(path)), "a.zip"), (npz.read, "a.npz")):
        with pytest.raises(ValueError, match=rf"{name}.*list of members takes [0-9]+ bytes, more than the 1000"):
            read(tmp_path / name)


def test_an_index_is_not_written_through_a_link(tmp_path):
    """A folder from elsewhere may hold a.fa.fai -> something of the user's."""
    (tmp_path / "kept").write_text("precious")
    os.utime(tmp_path / "kept", (1, 1))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.fa").write_text(">one\nACGT\n")
    (tmp_path / "in" / "a.fa.fai").symlink_to("../kept")
    with fasta.Genome(tmp_path / "in" / "a.fa") as genome:
        assert genome.fetch("one") == "ACGT"
    assert (tmp_path / "kept").read_text() == "precious"
    (tmp_path / "in" / "a.fa.fai").unlink()
    with fasta.Genome(tmp_path / "in" / "a.fa"):
        assert (tmp_path / "in" / "a.fa.fai").read_text().startswith("one\t4\t")


def test_a_picture_starts_no_program_and_is_no_bomb(tmp_path, monkeypatch):
    from PIL import Image

    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(ValueError, match=r"a\.png' is no picture that can be read"):
        image.read(tmp_path / "a.png")
    Image.fromarray(np.full((3000, 3000), 255, "uint8")).save(tmp_path / "blank.png")
    assert image.read(tmp_path / "blank.png").shape == (3000, 3000)
    monkeypatch.setattr(image, "ALWAYS", 1 << 20)
    monkeypatch.setattr(image, "MOST_RATIO", 100)
    with pytest.raises(ValueError, match=r"blank\.png' is no picture .*3000 x 3000 pixels are more than"):
        image.read(tmp_path / "blank.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP"])
def test_pictures_of_every_format_are_read(tmp_path, kind):
    (tmp_path / "a").write_bytes(seeds.picture(kind))
    assert image.read(tmp_path / "a").shape == (20, 24)


def test_an_array_that_does_not_fit_is_mapped(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.arange(100.0))
    monkeypatch.setattr(npy, "MOST_READ", 100)
    with pytest.raises(ValueError, match=r"a\.npy' takes 800 bytes, and 100 are read at once: mmap=True"):
        npy.read(tmp_path / "a.npy")
    assert npy.read(tmp_path / "a.npy", mmap=True)[7] == 7


def test_a_hole_of_terabytes_is_not_read_into_memory(tmp_path):
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (137438953000,), }".ljust(117) + b"\n"
    with open(tmp_path / "a.npy", "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head)
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="mmap=True"):
        npy.read(tmp_path / "a.npy")


def test_every_reader_is_fuzzed():
    """A new format needs a good file of it in tests/seeds.py."""
    text = (ROOT / "tests" / "seeds.py").read_text(encoding="utf-8")
    assert [kind for kind in seeds.kinds() if f'"{kind}": ' not in text and f'"{kind}": archives' not in text] == []
    with pytest.raises(KeyError):
        seeds.made("unheard of", ROOT)
