"""NIfTI files: volumes come back as they were written; files that lie are refused in one line that names them."""

import gzip
import os
import struct
import tracemalloc

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import _voxels, nifti

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 0, 3, -50], [0, 4, 0, 7], [0, 0, 0, 1]])


def nifti_bytes(shape=(4, 3, 2), dtype=np.int16, kind=nibabel.Nifti1Image, **changes):
    """A NIfTI file, honest unless told to lie: (where, format, *values) by name."""
    image = kind(np.arange(np.prod(shape)).reshape(shape).astype(dtype), AFFINE)
    content = bytearray(image.to_bytes())
    for where, layout, *values in changes.values():
        struct.pack_into(layout, content, where, *values)
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
    "bits of another type": (nifti_bytes(b=(72, "<h", 8)), "values of 8 bits cannot be: those of type int16 take 16"),
    "a pair": (nifti_bytes(m=(344, "<4s", b"ni1\0")), "its image .* is not beside it"),
    "no affine": (nifti_bytes(a=(280, "<f", float("inf"))), r"its affine \(of its sform\) holds values that are NaN"),
    "a flat affine": (nifti_bytes(a=(280, "<12f", *[0.0] * 12)), r"its affine \(of its sform\) is singular"),
    "axes in one plane": (
        nifti_bytes(a=(280, "<12f", *[1.0, 2, 3, 0, 1, 2, 3, 0, 0, 0, 1, 0])),
        r"its affine \(of its sform\) is singular",
    ),
    "a long quaternion": (nifti_bytes(s=(252, "<2h", 1, 0), q=(256, "<3f", 1.0, 1.0, 0.0)), "is longer than 1"),
    "a qform of nothing": (nifti_bytes(s=(252, "<2h", 1, 0), q=(256, "<f", float("nan"))), "is longer than 1"),
    "no spacing": (nifti_bytes(p=(84, "<f", float("nan"))), r"its spacings \[2.0, nan, 3.0\] are not finite"),
    "no intercept": (nifti_bytes(p=(112, "<2f", 2.0, float("inf"))), "its intercept inf beside a slope of 2"),
    "wide floats": (nifti_bytes(t=(70, "<2h", 1536, 128)), r"its datatype 1536 \(float128\) is none that is read"),
    "bits": (nifti_bytes(t=(70, "<2h", 1, 1)), r"its datatype 1 \(binary\) is none that is read"),
    "half a byte": (nifti_bytes(o=(108, "<f", 352.5)), "from byte 352.5 on cannot be"),
    "in its extensions": (nifti_bytes(o=(108, "<f", 348.0)), "the first they may have is 352"),
    "garbage after": (nifti_bytes() + b"garbage", "more follows its voxels"),
    "smaller than it is": (nifti_bytes(d=(42, "<h", 3)), "more follows its voxels"),
    "endless zeros": (gzip.compress(nifti_bytes() + bytes(2 << 20)), "more than 1048576 bytes follow"),
    "garbage after gzip": (gzip.compress(nifti_bytes()) + b"garbage", "cannot be unpacked"),
    "more voxels than there are": (
        nifti_bytes(kind=nibabel.Nifti2Image, d=(24, "<3q", 1 << 40, 1 << 40, 1 << 40)),
        "truncated: its header says 13292",
    ),
    "no mark": (nifti_bytes(m=(344, "<4s", b"abc\0")), r"its mark is b'abc\\x00' where NIfTI has n\+1 or ni1"),
    "no mark, 2": (nifti_bytes(kind=nibabel.Nifti2Image, m=(4, "<4s", b"abc\0")), r"where NIfTI has n\+2 or ni2"),
    "half packed": (gzip.compress(nifti_bytes())[:-20], "cannot be unpacked"),
    "damaged": (gzip.compress(nifti_bytes())[:-8] + b"12345678", "cannot be unpacked"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_refused_in_one_line_with_its_name(tmp_path, lie):
    content, message = LIES[lie]
    path = tmp_path / "bad one.nii.gz"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=message) as caught:
        nifti.read(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "bad one.nii.gz" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert most < 1032 * len(content) + (4 << 20), "room for what the header claims"
    with pytest.raises(ValueError, match=message):
        list(nifti.slices(path, 1))


@pytest.mark.parametrize("name", ["scan.dat", "scan.img", "scan.nii.gz", "scan.hdr", "scan"])
def test_a_file_is_what_it_holds_whatever_its_name(tmp_path, name):
    (tmp_path / name).write_bytes(nifti_bytes())
    if name == "scan.img":
        (tmp_path / "scan.hdr").write_text("the header of something else")
    assert nifti.read(tmp_path / name).data.shape == (4, 3, 2)


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii")
    with pytest.raises(OSError, match="not a regular file"):
        nifti.read(tmp_path / "pipe.nii")
    with pytest.raises(FileNotFoundError, match=r"none\.nii"):
        nifti.read(tmp_path / "none.nii")


WHOLE = {
    "nifti1": nifti_bytes(),
    "nifti2": nifti_bytes(kind=nibabel.Nifti2Image),
    "mgh": nibabel.MGHImage(np.zeros((4, 3, 2, 2), np.int16), AFFINE).to_bytes(),
    "pair": nifti_bytes(m=(344, "<4s", b"ni1\0"), o=(108, "<f", 0.0))[:352],
    "analyze": nifti_bytes(m=(344, "<4s", bytes(4)), o=(108, "<f", 0.0))[:348],
}


@examples(300)
@given(data=st.data(), kind=st.sampled_from(list(WHOLE)))
def test_any_damage_is_read_or_refused_never_worse(tmp_path_factory, data, kind):
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 544) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))]
    path = tmp_path_factory.getbasetemp() / f"damaged {kind}.hdr"
    path.write_bytes(content)
    path.with_suffix(".img").write_bytes(bytes(48))
    volume, said = None, f"damaged {kind}."
    try:
        volume = nifti.read(path)
    except ValueError as error:
        said = str(error)
    assert f"damaged {kind}." in said
    assert "\n" not in said
    if volume is not None:
        assert volume.data.size > 0
        assert np.isfinite(nifti.spacing(volume.affine)).all()


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8", "i8", "u2"])
def test_a_type_that_holds_the_values_can_be_asked_for(tmp_path, dtype):
    data = np.arange(24.0).reshape(4, 3, 2)
    nifti.write(tmp_path / "a.nii", data, AFFINE, dtype=dtype)
    assert nibabel.load(tmp_path / "a.nii").get_data_dtype() == np.dtype(dtype)
    np.testing.assert_array_equal(nifti.read(tmp_path / "a.nii").data, data)


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (float("nan"), "i2", "hold NaN or infinite values, which int16 does not have"),
        (float("inf"), "u1", "hold NaN or infinite values, which uint8 does not have"),
        (0.5, "i2", "are not all whole numbers of int16"),
        (-1.0, "u1", "-1.0 to 0.0, are not all whole numbers of uint8"),
        (256.0, "u1", "0.0 to 256.0, are not all whole numbers of uint8"),
        (2.0**63, "i8", "are not all whole numbers of int64"),
        (2.0**64, "u8", "are not all whole numbers of uint64"),
        (1j, "f4", "are complex128, which float32 does not hold"),
        (1.0, "f2", "is none of uint8, int16, int32, float32"),
    ],
)
def test_integers_that_would_not_be_the_values_are_refused(tmp_path, value, dtype, message):
    data = np.zeros((2, 2, 2), np.result_type(type(value), float))
    data[1, 1, 1] = value
    with pytest.raises(ValueError, match=rf"a\.nii.*{message}"):
        nifti.write(tmp_path / "a.nii", data, AFFINE, dtype=dtype)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "given", "dtype", "message"),
    [
        (1e300, "f8", "f4", r"reach 1e\+300: more than float32 holds"),
        (-1e39, "f8", "f4", r"reach 1e\+39: more than float32 holds"),
        (1e300, "f8", "c8", r"reach 1e\+300: more than complex64 holds"),
        (1e39j, "c16", "c8", r"reach 1e\+39: more than complex64 holds"),
    ],
)
def test_finite_values_are_not_written_as_infinite_ones(tmp_path, value, given, dtype, message):
    data = np.zeros((2, 2, 2), given)
    data[0, 0, 0] = value
    with pytest.raises(ValueError, match=rf"a\.nii.*{message}"):
        nifti.write(tmp_path / "a.nii", data, AFFINE, dtype=dtype)
    assert not list(tmp_path.iterdir())
    data[0, 0, 0] = np.inf
    nifti.write(tmp_path / "a.nii", data, AFFINE, dtype=dtype)
    np.testing.assert_array_equal(nifti.read(tmp_path / "a.nii").data, data)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f4", "?"])
def test_a_label_map_made_from_a_scan_says_that_it_is_one(tmp_path, dtype):
    image = nibabel.Nifti1Image(np.zeros((4, 3, 2), np.float32), AFFINE)
    image.header.set_intent("z score", (), "activation")
    image.header["descrip"] = b"contrast 1"
    image.header["cal_max"] = 7
    nibabel.save(image, tmp_path / "scan.nii")
    scan = nifti.read(tmp_path / "scan.nii")
    labels = (np.arange(24).reshape(4, 3, 2) % 2).astype(dtype)
    for like, described in ((scan, b"contrast 1"), (None, b"")):
        nifti.write(tmp_path / "a.nii", labels, AFFINE, like=like, intent="label")
        header = nibabel.load(tmp_path / "a.nii").header
        assert header.get_intent() == ("label", (), "")
        assert (int(header["intent_code"]), header["descrip"]) == (1002, described)
        assert header["cal_max"] == 0, "the range of another scan's values"
        np.testing.assert_array_equal(nifti.read(tmp_path / "a.nii").data, labels)
    nifti.write(tmp_path / "a.nii", labels, AFFINE, like=scan, intent="none")
    assert nibabel.load(tmp_path / "a.nii").header.get_intent() == ("none", (), "")
    nifti.write(tmp_path / "a.nii", labels, AFFINE, like=scan)
    assert nibabel.load(tmp_path / "a.nii").header.get_intent() == ("z score", (), "activation")


def test_labels_are_whole_numbers_and_intents_are_known(tmp_path):
    for wrong in (np.full((2, 2), value) for value in (0.5, np.nan, np.inf, 1j)):
        with pytest.raises(ValueError, match=r"a\.nii' are not all whole numbers, which labels are"):
            nifti.write(tmp_path / "a.nii", wrong, AFFINE, intent="label")
    with pytest.raises(ValueError, match=r"intent 'labels' for .*a\.nii' is not one of none, label"):
        nifti.write(tmp_path / "a.nii", np.zeros((2, 2)), AFFINE, intent="labels")
    assert not list(tmp_path.iterdir())


def test_nan_stays_nan_and_every_layout_is_written_right(tmp_path):
    data = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(">f4")[:, ::2, ::-1]
    data[0, 0, 0] = np.nan
    nifti.write(tmp_path / "a.nii.gz", data, AFFINE)
    np.testing.assert_array_equal(nifti.read(tmp_path / "a.nii.gz").data, data)
    nifti.write(tmp_path / "b.nii", torch.ones(2, 2, 2, dtype=torch.bfloat16, requires_grad=True), AFFINE)
    assert nifti.read(tmp_path / "b.nii").data.dtype == np.float32
    nifti.write(tmp_path / "c.nii", np.arange(40000, dtype="i4").reshape(1, 40000), AFFINE)
    assert nifti.read(tmp_path / "c.nii").meta["format"] == "nifti2"
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "c.nii").dataobj)[0], np.arange(40000))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_writing_takes_the_room_of_a_block(tmp_path, ending):
    data = np.zeros((128, 128, 1024), np.float32)
    tracemalloc.start()
    nifti.write(tmp_path / f"a{ending}", data, AFFINE)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3 * (16 << 20), "a block in the file's order and its bytes"


def test_what_is_more_than_can_be_read_at_once_is_told_and_comes_in_slices(tmp_path, monkeypatch):
    nifti.write(tmp_path / "a.nii", np.ones((4, 4, 4), np.float64), AFFINE)
    monkeypatch.setattr("sigconv.readers._voxels.MOST_BYTES", 511)
    with pytest.raises(ValueError, match=r"a\.nii.* take 512 bytes, and the most read at once is 511: take slices"):
        nifti.read(tmp_path / "a.nii")
    assert sum(block.sum() for block in nifti.slices(tmp_path / "a.nii", 3)) == 64


@pytest.mark.parametrize("scaled", [False, True])
def test_a_slice_that_there_is_no_room_for_ends_the_slices_in_one_line(tmp_path, monkeypatch, scaled):
    """N1: memory is that of one slice, so the file may ask for more than there is."""
    image = nibabel.Nifti1Image(np.ones((40, 50, 2), np.int16), AFFINE)
    image.header.set_slope_inter(2, 1) if scaled else None
    nibabel.save(image, tmp_path / "a.nii.gz")
    before = _voxels.decoded if scaled else _voxels.taken

    def full(*arguments):
        raise MemoryError

    monkeypatch.setattr(_voxels, before.__name__, full)
    for call in (lambda path: next(nifti.slices(path, 1)), nifti.read):
        with pytest.raises(ValueError, match=r"a\.nii\.gz.* of its slices take \d+ bytes, more than there is room for"):
            call(tmp_path / "a.nii.gz")
    assert nifti.header(tmp_path / "a.nii.gz").shape == (40, 50, 2)


@pytest.mark.parametrize(
    ("data", "affine", "name", "message"),
    [
        (np.zeros((2, 2), np.longdouble), AFFINE, "a.nii", "which NIfTI files do not share: convert to float64"),
        (np.zeros((2, 2)), np.diag([1, 1, 0, 1]), "a.nii", "is singular"),
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
