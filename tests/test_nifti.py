"""NIfTI files: volumes come back as they were written; files that lie are refused in one line that names them."""

import gzip
import os
import struct

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sigconv.readers import nifti

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 0, 3, -50], [0, 4, 0, 7], [0, 0, 0, 1]])


def nifti_bytes(shape=(4, 3, 2), dtype=np.int16, kind=nibabel.Nifti1Image, **changes):
    """A NIfTI file, honest unless told to lie: (where, format, value) by name."""
    image = kind(np.arange(np.prod(shape)).reshape(shape).astype(dtype), AFFINE)
    content = bytearray(image.to_bytes())
    for where, layout, value in changes.values():
        struct.pack_into(layout, content, where, value)
    return bytes(content)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8", "c8", "i8", "f2", "?"])
def test_what_is_written_is_read(tmp_path, dtype, ending):
    data = np.random.default_rng(0).uniform(0, 100, (5, 4, 3, 2)).astype(dtype)
    path = tmp_path / f"a{ending}"
    nifti.write(path, torch.from_numpy(data), AFFINE)
    volume = nifti.read(path)
    np.testing.assert_array_equal(volume.data, data)
    np.testing.assert_allclose(volume.affine, AFFINE)
    assert volume.meta["spacing"][:3] == (2, 4, 3)
    assert volume.data.dtype.isnative
    theirs = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(theirs.dataobj), data)
    assert sorted(os.listdir(tmp_path)) == [f"a{ending}"]


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_both_byte_orders_and_scaled_values(tmp_path, kind, order):
    data = np.linspace(-1, 1, 24).reshape(4, 3, 2)
    image = kind(data, AFFINE, kind.header_class(endianness=order))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "a.nii")
    volume = nifti.read(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.data, data, atol=1e-4)
    assert volume.meta["dtype"].endswith("i2") or volume.meta["dtype"] == "int16"
    assert volume.meta["version"] == (1 if kind is nibabel.Nifti1Image else 2)


def test_units_and_description_are_kept(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2, 5), np.float32), AFFINE)
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((2, 4, 3, 700))
    image.header["descrip"] = b"bold"
    nibabel.save(image, tmp_path / "a.nii.gz")
    first = nifti.read(tmp_path / "a.nii.gz")
    nifti.write(tmp_path / "b.nii.gz", first.data + 1, first.affine, like=first)
    again = nifti.read(tmp_path / "b.nii.gz")
    assert again.meta == first.meta
    assert again.meta["spacing"] == (2, 4, 3, 700)
    before = (tmp_path / "b.nii.gz").read_bytes()
    nifti.write(tmp_path / "b.nii.gz", first.data + 1, first.affine, like=first)
    assert (tmp_path / "b.nii.gz").read_bytes() == before, "the same bytes each time"


HUGE = {"d1": (42, "<h", 32767), "d2": (44, "<h", 32767), "d3": (46, "<h", 32767)}
LIES = {
    "empty": (b"", "it is empty"),
    "text": (b"this is no volume" * 50, "where a header's size, 348 or 540, should be"),
    "short": (nifti_bytes()[:200], "200 bytes of a header of 348"),
    "truncated": (nifti_bytes()[:-5], "truncated: its header says 400 bytes"),
    "huge": (nifti_bytes(**HUGE), "truncated: its header says"),
    "huge, packed": (gzip.compress(nifti_bytes(**HUGE)), "truncated: its header says"),
    "larger, packed": (
        gzip.compress(nifti_bytes(d=(42, "<h", 40))),
        "truncated: its header says 832 bytes, it has 400",
    ),
    "no axes": (nifti_bytes(d=(40, "<h", 0)), "its sizes"),
    "a negative size": (nifti_bytes(d=(44, "<h", -3)), "its sizes"),
    "eight axes": (nifti_bytes(d=(40, "<h", 8)), "its sizes"),
    "no bits": (nifti_bytes(b=(72, "<h", 0)), "values of 0 bits"),
    "inside its header": (nifti_bytes(o=(108, "<f", 4.0)), "from byte 4 on cannot be"),
    "nowhere": (nifti_bytes(o=(108, "<f", float("nan"))), "cannot be"),
    "unknown type": (nifti_bytes(t=(70, "<h", 77)), "is not a usable NIfTI file"),
    "bits of another type": (nifti_bytes(b=(72, "<h", 8)), "values of type int16 take others"),
    "a pair": (nifti_bytes(m=(344, "<4s", b"ni1\0")), "pairs of .hdr and .img are not read"),
    "half packed": (gzip.compress(nifti_bytes())[:-20], "cannot be unpacked"),
    "damaged": (gzip.compress(nifti_bytes())[:-8] + b"12345678", "cannot be unpacked"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_refused_in_one_line_with_its_name(tmp_path, lie):
    content, message = LIES[lie]
    path = tmp_path / "bad one.nii.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        nifti.read(path)
    assert "bad one.nii.gz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii")
    with pytest.raises(OSError, match="not a regular file"):
        nifti.read(tmp_path / "pipe.nii")
    with pytest.raises(FileNotFoundError, match=r"none\.nii"):
        nifti.read(tmp_path / "none.nii")


@given(data=st.data())
def test_any_damage_is_read_or_refused_never_worse(tmp_path_factory, data):
    content = bytearray(nifti_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    path = tmp_path_factory.getbasetemp() / "damaged.nii"
    path.write_bytes(content)
    try:
        volume = nifti.read(path)
    except ValueError as error:
        assert "damaged.nii" in str(error)  # noqa: PT017
    else:
        assert volume.data.size > 0


@pytest.mark.parametrize(
    ("data", "affine", "name", "message"),
    [
        (np.zeros((2, 2)), AFFINE, "a.img", "does not end in .nii"),
        (np.zeros((2, 0)), AFFINE, "a.nii", r"of shape \(2, 0\)"),
        (np.array(["x"]), AFFINE, "a.nii", "expected numbers"),
        (np.full((2, 2), 2**40), AFFINE, "a.nii", "more than 32 bits hold"),
        (np.zeros((2, 2)), np.eye(3), "a.nii", r"expected \(4, 4\) finite"),
        (np.zeros((2, 2)), AFFINE * np.nan, "a.nii", r"expected \(4, 4\) finite"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, data, affine, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        nifti.write(tmp_path / name, data, affine)
    assert name in str(caught.value)
    assert not list(tmp_path.iterdir())
