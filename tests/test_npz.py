"""npz archives: what NumPy reads of good ones, one line for bad ones, nothing taken that is not there."""

import io
import resource
import struct
import zipfile

import numpy as np
import pytest

from sigconv.readers import _voxels, npz


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    found = {
        "a": rng.integers(0, 255, (3, 4, 5)).astype(np.uint8),
        "b": rng.normal(size=(2, 3)),
        "empty": np.zeros((0, 3)),
    }
    return found | {
        "turned": np.asfortranarray(rng.normal(size=(4, 3))),
        "one": np.float32(2.5),
        "big": np.arange(3, dtype=">i2"),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read_bit_for_bit(tmp_path, arrays, save):
    save(tmp_path / "x.npz", **arrays)
    found = npz.read(tmp_path / "x.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(found[name], array)
    assert list(npz.read(tmp_path / "x.npz", ["b"])) == ["b"]


def member(content, name="x.npy", **lies):
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name, content)
    return room.getvalue()


def header(shape, dtype="<f8"):
    room = io.BytesIO()
    np.lib.format.write_array_header_1_0(room, {"shape": shape, "fortran_order": False, "descr": dtype})
    return room.getvalue()


def lying(shape, method=zipfile.ZIP_DEFLATED, packed=None):
    """An archive whose only member says that it holds all of a shape's bytes, and holds a thousand."""
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", method) as archive:
        archive.writestr("x.npy", header(shape, "|u1") + bytes(1000))
    content = bytearray(room.getvalue())
    at = content.rfind(b"PK\x01\x02")  # the directory's word: bytes packed, bytes unpacked
    struct.pack_into("<I", content, at + 24, shape[0] + 128)
    if packed:
        struct.pack_into("<I", content, at + 20, packed)
    return bytes(content)


BAD = {
    "no zip": (b"PK\x03\x04 but no more", "not a usable .npz file"),
    "text": (b"hello", "not a usable .npz file"),
    "empty": (b"", "not a usable .npz file"),
    "no header": (member(b"12345"), "array 'x' is not a .npy file"),
    "cut": (member(header((3,)) + b"12345678"), "array 'x' promises 24 bytes"),
    "vast": (member(header((2**40,))), "array 'x' promises"),
    "objects": (member(header((1,), "|O") + b"anything"), "holds Python objects"),
    "more than deflate holds": (lying((1200 << 20,)), "claims 1258291328 bytes, and .. packed ones hold 8.... at most"),
    "more than is stored": (lying((1 << 20,), zipfile.ZIP_STORED), "claims 1048704 bytes, and 1128 packed ones"),
    "a lie of both sizes": (lying((1200 << 20,), packed=4 << 20), "claims 1258291328 bytes, and 1.. packed ones"),
    "text inside": (member(header((1,), "<U3") + b"0" * 12), "not plain numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_n_bad_archives_end_in_one_line(tmp_path, case):
    content, message = BAD[case]
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        npz.read(tmp_path / "x.npz")
    assert "x.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_n_memory_is_filled_as_bytes_come_whatever_a_member_claims(tmp_path):
    """bzip2 has no bound that a claim could be held against."""
    (tmp_path / "x.npz").write_bytes(lying((1200 << 20,), zipfile.ZIP_BZIP2))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"x\.npz.*array 'x' promises 1258291200 bytes and has 1000: cut short"):
        npz.read(tmp_path / "x.npz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10, "kilobytes"


def test_a_member_that_there_is_no_room_for_is_told(tmp_path, monkeypatch):
    def full(*arguments):
        raise MemoryError

    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(1000))
    monkeypatch.setattr(_voxels, "taken", full)
    with pytest.raises(ValueError, match=r"x\.npz.*array 'x' takes 8000 bytes, more than there is room for"):
        npz.read(tmp_path / "x.npz")


def test_zeros_pack_as_well_as_deflate_can_and_are_read(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(1 << 24, np.uint8), empty=np.zeros(0))
    found = npz.read(tmp_path / "x.npz")
    assert found["x"].shape == (1 << 24,)
    assert not found["x"].any()
    found["x"][0] = 1  # writable, as an array of one's own


def test_a_wrong_checksum_is_seen(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.arange(50.0))
    whole = bytearray((tmp_path / "x.npz").read_bytes())
    whole[200] ^= 1
    (tmp_path / "x.npz").write_bytes(whole)
    with pytest.raises(ValueError, match="CRC"):
        npz.read(tmp_path / "x.npz")


def test_a_name_that_is_not_there_is_said_with_those_that_are(tmp_path, arrays):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match="no array 'labels', but a, b, big"):
        npz.read(tmp_path / "x.npz", ["a", "labels"])


def test_arrays_that_are_more_than_may_be_read_are_refused_before_any_is(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(10_000))
    monkeypatch.setattr(npz, "MOST_BYTES", 10_000)
    with pytest.raises(ValueError, match="its arrays take 80128 bytes"):
        npz.read(tmp_path / "x.npz")
