"""A scan's place in mm: in whatever unit its header has it, by both its forms, on every grid made of its own."""

import nibabel
import numpy as np
import pytest
import torch

from sigconv.readers import nifti
from sigconv.transforms import volume

EPS = float(np.finfo(np.float32).eps)  # NIfTI-1 keeps its numbers in float32
ZOOMS, ORIGIN = (1.5, 2.0, 3.25), (-40, 21, 7)
FORMS = [(0, 1), (1, 1), (2, 0)]  # codes of sform and qform
PER = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}


def placed(seed, per=1.0):
    """An oblique affine, in units of so many mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0] * ZOOMS
    affine[:3, 3] = ORIGIN
    affine[:3] /= per
    return affine


def image(data, codes, unit="mm", time="sec"):
    """A scan whose two forms lead to two worlds."""
    made = nibabel.Nifti1Image(data, None)
    made.header.set_xyzt_units(unit, time)
    made.set_qform(placed(2, PER[unit]), codes[1])
    made.set_sform(placed(1, PER[unit]) if codes[0] else None, codes[0])
    return made


def indices(shape):
    """(*shape, 3): each voxel holds its own index, which linear interpolation leaves true."""
    return np.stack(np.indices(shape), -1).astype(np.float64)


def box(shape):
    mask = np.zeros(shape, bool)
    mask[2:9, 3:8, 1:7] = True
    return mask


def strided(scan):
    return nifti.Volume(scan.data[::2, ::3, ::2], nifti.strided(scan.affine, (2, 3, 2)), scan.meta)


MADE = {
    "resample": lambda scan: volume.resample(scan, spacing=(2.0, 1.1, 4.0)),
    "resample like": lambda scan: volume.resample(scan, like=((8, 8, 8), scan.affine @ np.diag([1.2, 1.2, 1.2, 1]))),
    "crop_pad": lambda scan: volume.crop_pad(scan, shape=(8, 14, 7), value=np.nan),
    "crop_to": lambda scan: volume.crop_to(scan, mask=box(scan.data.shape[:3]), margin=2.0),
    "reorient": lambda scan: volume.reorient(scan, codes="PIR"),
    "nifti.strided": strided,
}


@pytest.mark.parametrize("codes", FORMS)
@pytest.mark.parametrize("way", MADE)
def test_both_forms_lead_where_they_led_from_every_grid_made_of_a_scan(tmp_path, codes, way):
    """What a voxel holds tells which it was: each form of the new file must lead it to where the old one's led."""
    shape = (12, 11, 10)
    nibabel.save(image(indices(shape), codes), tmp_path / "in.nii")
    before, scan = nibabel.load(tmp_path / "in.nii"), nifti.read(tmp_path / "in.nii")
    made = MADE[way](scan)
    like = scan if way == "nifti.strided" else made
    nifti.write(tmp_path / "out.nii", made.data, made.affine, like=like)
    after = nibabel.load(tmp_path / "out.nii")
    was, now = np.asarray(after.dataobj).reshape(-1, 3), indices(after.shape[:3]).reshape(-1, 3)
    inside = ((was >= 2) & (was <= np.array(shape) - 3)).all(1)  # resampling bends the ramp at its ends
    assert inside.sum() > 8
    lead = lambda form, at: nibabel.affines.apply_affine(form, at[inside])
    size = float(np.abs(lead(before.affine, was)).max())
    np.testing.assert_allclose(lead(after.affine, now), lead(before.affine, was), rtol=0, atol=8 * EPS * size)
    assert (int(after.header["sform_code"]) or codes[1], int(after.header["qform_code"])) == (
        codes[0] or codes[1],
        codes[1],
    )
    if codes[1]:  # of the quaternion's a float32 leaves the root of what it leaves of 1 - b² - c² - d²
        turned = lead(before.get_qform(), was)
        np.testing.assert_allclose(lead(after.get_qform(), now), turned, rtol=0, atol=np.sqrt(3 * EPS) * size)
    np.testing.assert_allclose(after.header.get_zooms()[:3], nifti.spacing(made.affine), rtol=4 * EPS)
    np.testing.assert_allclose(made.meta["spacing"][:3], nifti.spacing(like.affine), rtol=4 * EPS)


@pytest.mark.parametrize("codes", [*FORMS, (0, 0)])
@pytest.mark.parametrize("unit", PER)
def test_places_are_in_mm_whatever_unit_the_header_has(tmp_path, unit, codes):
    theirs = image(np.zeros((4, 5, 6, 7), np.float32), codes, unit, "msec")
    theirs.header["pixdim"][1:5] = (*(np.array(ZOOMS) / PER[unit]), 700)
    theirs.header["toffset"] = 350
    nibabel.save(theirs, tmp_path / "a.nii")
    scan, loaded = nifti.read(tmp_path / "a.nii"), nibabel.load(tmp_path / "a.nii")
    wanted = loaded.affine.copy()
    wanted[:3] *= PER[unit]
    close = lambda found, right: np.testing.assert_allclose(found, right, rtol=0, atol=8 * EPS * 60)
    for found in (scan, nifti.header(tmp_path / "a.nii"), nifti.volume_of(loaded)):
        close(found.affine, wanted)
        assert found.meta["units"] == ("mm", "msec")
        np.testing.assert_allclose(found.meta["spacing"], (*ZOOMS, 700), rtol=4 * EPS)
        np.testing.assert_allclose(nifti.rates(found), 1 / np.array([*ZOOMS, 0.7]), rtol=4 * EPS)
        if codes[1]:
            close(np.array(found.meta["qform"])[:3], loaded.get_qform()[:3] * PER[unit])
    nifti.write(tmp_path / "b.nii", scan.data, scan.affine, like=scan)
    out = nibabel.load(tmp_path / "b.nii")
    assert out.header.get_xyzt_units() == ("mm", "msec"), "the file's affine and its unit agree"
    close(out.affine, wanted)
    np.testing.assert_allclose(out.header.get_zooms(), (*ZOOMS, 700), rtol=4 * EPS)
    assert (out.header["toffset"], nifti.read(tmp_path / "b.nii").meta["start"]) == (350, 350)


@pytest.mark.parametrize("unit", PER)
def test_a_spacing_in_mm_is_one_whatever_unit_the_header_has(tmp_path, unit):
    nibabel.save(image(np.ones((4, 5, 6), np.float32), (1, 0), unit), tmp_path / "a.nii")
    scan, loaded = nifti.read(tmp_path / "a.nii"), nibabel.load(tmp_path / "a.nii")
    for given in (scan, loaded):
        assert volume.resample(given, spacing=tuple(z / 2 for z in ZOOMS)).data.shape == (8, 10, 12)
    for like in (scan, loaded, tmp_path / "a.nii", nifti.header(tmp_path / "a.nii")):
        y, place = volume.resample(np.ones((4, 5, 6)), scan.affine, like=like, value=np.nan)
        assert y.shape == (4, 5, 6)
        assert (y == 1).all(), "the same grid, no voxel outside"
        np.testing.assert_allclose(place, scan.affine, rtol=1e-12)


def test_a_volume_made_by_hand_is_in_mm_whatever_its_units_say(tmp_path):
    made = nifti.Volume(np.zeros((2, 2, 2)), np.diag([2.0, 2, 2, 1]), {"spacing": (2, 2, 2), "units": ("meter", "sec")})
    assert nifti.rates(made) == (0.5, 0.5, 0.5)
    nifti.write(tmp_path / "a.nii", made.data, made.affine, like=made)
    assert nibabel.load(tmp_path / "a.nii").header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_array_equal(nifti.read(tmp_path / "a.nii").affine, made.affine)


@pytest.mark.parametrize("shape", [(5,), (5, 6), (5, 6, 7), (5, 6, 7, 3)])
def test_a_volume_of_nothing_but_its_affine_has_rates_and_is_written(tmp_path, shape):
    bare = nifti.Volume(np.zeros(shape), np.diag([2.0, 2.0, 4.0, 1.0]), {})
    assert nifti.rates(bare) == (0.5, 0.5, 0.25, 1.0)[: len(shape)]
    head = nifti.Header(shape, np.dtype(float), bare.affine, {}, 0)
    assert nifti.rates(head) == nifti.rates(bare)
    nifti.write(tmp_path / "a.nii", bare.data, bare.affine, like=bare)
    np.testing.assert_array_equal(nibabel.load(tmp_path / "a.nii").header.get_zooms(), (2, 2, 4, 1)[: len(shape)])
    colours = nifti.Volume(np.zeros((5, 6, 3), np.uint8), bare.affine, {"channels": "RGB"})
    assert nifti.rates(colours) == (0.5, 0.5)
    nifti.write(tmp_path / "c.nii", colours.data, colours.affine, like=colours)
    assert nifti.header(tmp_path / "c.nii").meta["channels"] == "RGB"


@pytest.mark.parametrize("shape", [(5,), (5, 6)])
def test_axes_that_a_file_leaves_out_are_of_length_one(tmp_path, shape):
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    full = (*shape, 1, 1)[:3]
    nibabel.save(nibabel.Nifti1Image(data, placed(3)), tmp_path / "a.nii")
    nibabel.save(nibabel.Nifti1Image(data.reshape(full), placed(3)), tmp_path / "b.nii")
    flat, whole = nifti.read(tmp_path / "a.nii"), nifti.read(tmp_path / "b.nii")
    assert flat.data.shape == shape
    for call in (
        lambda scan: volume.resample(scan, spacing=1.0),
        lambda scan: volume.resample(scan, like=scan),
        lambda scan: volume.resample(whole, like=scan),
        lambda scan: volume.reorient(scan, codes="PIR"),
        lambda scan: volume.crop_pad(scan, shape=4),
        lambda scan: volume.crop_to(scan, mask=scan.data > 0),
    ):
        ours, theirs = call(flat), call(whole)
        np.testing.assert_array_equal(ours.data, theirs.data)
        np.testing.assert_array_equal(ours.affine, theirs.affine)
        assert ours.meta["spacing"] == theirs.meta["spacing"]
        assert len(ours.meta["spacing"]) == 3
        nifti.write(tmp_path / "c.nii", ours.data, ours.affine, like=ours)
        np.testing.assert_allclose(nibabel.load(tmp_path / "c.nii").affine, theirs.affine, rtol=0, atol=8 * EPS * 60)


def test_colours_of_a_picture_are_no_axis_of_space():
    picture = nifti.Volume(np.zeros((5, 6, 3), np.uint8), np.eye(4), {"spacing": (1.0, 1.0), "channels": "RGB"})
    turned = volume.reorient(picture, codes="ARS")
    assert turned.data.shape == (6, 5, 1, 3)
    assert turned.meta["spacing"] == (1, 1, 1)
    assert volume.resample(picture, like=picture, order=0).data.shape == (5, 6, 1, 3)


def test_a_grid_of_channels_first_is_its_space():
    class Image:
        """What keeps a tensor with its channels first, as TorchIO's images do."""

        data, affine = torch.zeros(2, 4, 5, 6), np.eye(4)

    assert volume.resample(np.ones((3, 3, 3)), np.eye(4), like=Image())[0].shape == (4, 5, 6)
