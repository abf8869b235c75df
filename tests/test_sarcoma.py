"""Patients with tumours: found by kind, turned to RAS, held against their masks, never split."""

import numpy as np
import pytest
import torch

from sigconv.datasets import sarcoma
from sigconv.readers import nifti
from sigconv.transforms import volume

PLACE = np.array([[-1.0, 0, 0, 40], [0, -1.0, 0, 30], [0, 0, 3.0, -20], [0, 0, 0, 1]])


def clinic(root, patients=("P one", "P-2", "ü3", "p4"), kinds=("MR_T1", "PET"), shape=(22, 20, 10), seed=0):
    """Patients whose tumours are no brighter than what is around, but striped."""
    rng = np.random.default_rng(seed)
    for name in patients:
        for kind in kinds:
            steps = np.array([1.0, 1.0, 3.0]) if kind == "MR_T1" else np.array([4.0, 4.0, 3.0])
            size = shape if kind == "MR_T1" else tuple(max(n // 2, 6) for n in shape)
            grid = np.stack(
                np.meshgrid(
                    *[s * (np.arange(n) - (n - 1) / 2) for n, s in zip(size, steps, strict=True)], indexing="ij"
                )
            )
            wide = 0.25 * steps * size
            mask = (((grid - rng.uniform(-1, 1, (3, 1, 1, 1))) / wide[:, None, None, None]) ** 2).sum(0) < 1
            wave = np.cos(2 * np.pi * (grid * rng.normal(size=(3, 1, 1, 1))).sum(0) / 9 / 1.7)
            x = 100 + 30 * mask * wave + 8 * rng.normal(size=size)
            place = PLACE @ np.diag([*(steps / [1, 1, 3]), 1])
            (root / name).mkdir(parents=True, exist_ok=True)
            nifti.write(root / name / f"{kind}_image.nii.gz", x.astype(np.float32), place)
            nifti.write(root / name / f"{kind}_mask.nii.gz", mask.astype(np.uint8), place)
    return root


@pytest.mark.parametrize("kind", ["t1", "pet", "PET"])
@pytest.mark.parametrize("inner", ["volumes/sts", "sts", "."])
def test_patients_are_found_by_kind_and_turned_to_ras(tmp_path, kind, inner):
    root = clinic(tmp_path / inner)
    patients, lost = sarcoma.everyone(tmp_path, kind)
    assert lost == []
    assert [patient.name for patient in patients] == sorted(["P one", "P-2", "ü3", "p4"])
    for patient in patients:
        scan = nifti.read(patient.image)
        assert patient.x.shape == patient.mask.shape
        assert nifti.orientation(patient.affine) == "RAS"
        np.testing.assert_allclose(patient.spacing, nifti.spacing(scan.affine))
        back, _ = volume.reorient(patient.x.numpy(), patient.affine, nifti.orientation(scan.affine))
        assert np.array_equal(back, scan.data)
        assert (
            int(patient.mask.sum())
            == nifti.read(root / patient.name / patient.image.name.replace("image", "mask")).data.sum()
        )


def test_parts_share_no_patient_and_the_seed_draws_them(tmp_path):
    clinic(tmp_path, [f"p{n}" for n in range(9)], kinds=("PET",))
    parts = sarcoma.load(tmp_path, modality="pet", seed=1)
    assert [len(part) for part in parts] == [6, 1, 2]
    assert sorted(name for part in parts for name in part.names) == [f"p{n}" for n in range(9)]
    assert sarcoma.load(tmp_path, modality="pet", seed=2).test.names != parts.test.names
    x, y = parts.train.item(0)
    assert (x.shape[1:], x.dtype, y.dtype) == (y.shape, torch.float32, torch.uint8)
    assert y.unique().tolist() == [0, 1]


def test_who_cannot_be_used_is_told_and_left_out(tmp_path):
    clinic(tmp_path, ["a", "b", "alone", "complex", "empty", "far", "larger", "nan", "torn"], kinds=("PET",))
    for part in ("image", "mask"):
        one = nifti.read(tmp_path / "far" / f"PET_{part}.nii.gz")
        nifti.write(tmp_path / "far" / f"PET_{part}.nii.gz", one.data, np.diag([4000.0, 4000, 3000, 1]))
    scan = nifti.read(tmp_path / "complex" / "PET_image.nii.gz")
    nifti.write(tmp_path / "complex" / "PET_image.nii.gz", scan.data * (1 + 1j), scan.affine)
    (tmp_path / "alone" / "PET_mask.nii.gz").unlink()
    mask = nifti.read(tmp_path / "empty" / "PET_mask.nii.gz")
    nifti.write(tmp_path / "empty" / "PET_mask.nii.gz", 0 * mask.data, mask.affine)
    nifti.write(tmp_path / "larger" / "PET_mask.nii.gz", np.pad(mask.data, 1), mask.affine)
    scan = nifti.read(tmp_path / "nan" / "PET_image.nii.gz")
    scan.data[0, 0, 0] = np.nan
    nifti.write(tmp_path / "nan" / "PET_image.nii.gz", scan.data, scan.affine)
    (tmp_path / "torn" / "PET_image.nii.gz").write_bytes(b"\x1f\x8b")
    patients, lost = sarcoma.everyone(tmp_path, "pet")
    assert [patient.name for patient in patients] == ["a", "b"]
    told = dict(lost)
    assert set(told) == {"alone", "complex", "empty", "far", "larger", "nan", "torn"}
    assert "is complex: write its magnitude" in told["complex"]
    assert "has voxels of 4e+03 x 4e+03 x 3e+03 mm, others of 4 x 4 x 3 mm" in told["far"]
    assert "has only one of PET_image.nii.gz" in told["alone"]
    assert "marks none of the voxels" in told["empty"]
    assert "PET_image.nii.gz' and its label map" in told["larger"]
    assert "NaN or infinite" in told["nan"]
    assert all("\n" not in why for why in told.values())


def test_where_nothing_is_found_one_line_says_what_was_expected(tmp_path, monkeypatch):
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="no scans of tumours at hand: give --data-root"):
        sarcoma.everyone()
    with pytest.raises(FileNotFoundError, match="expected volumes/sts/PATIENT"):
        sarcoma.everyone(tmp_path)
    clinic(tmp_path, ["a", "b"])
    with pytest.raises(FileNotFoundError, match="has no patient with CT_image.nii.gz"):
        sarcoma.everyone(tmp_path, "CT")
    with pytest.raises(ValueError, match="2 patients cannot be split"):
        sarcoma.load(tmp_path)


def test_the_real_set(data_root):
    for kind, finest in (("t1", 0.9), ("pet", 3.2)):
        patients, lost = sarcoma.everyone(data_root, kind)
        assert len(patients) == 12
        assert lost == []
        assert min(min(patient.spacing) for patient in patients) > finest
