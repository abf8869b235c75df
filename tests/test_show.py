"""sigconv show: pictures of banks from the command line, on real files of every kind it reads."""

import json
import wave

import numpy as np
import pytest
from test_recipes import command

from sigconv import console
from sigconv.cli import show
from sigconv.readers import image, nifti, npy

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    """A recording, an array, a picture and a scan."""
    import nibabel
    from PIL import Image

    folder, rng = tmp_path_factory.mktemp("signals"), np.random.default_rng(0)
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((8000 * np.sin(np.arange(4000))).astype("<i2").tobytes())
    np.save(folder / "a.npy", rng.normal(size=(24, 20)))
    Image.fromarray(rng.integers(0, 255, (30, 40), dtype=np.uint8)).save(folder / "a.png")
    nifti.write(folder / "a.nii.gz", rng.normal(size=(12, 14, 10)).astype("float32"), np.diag([2.0, 2.0, 3.0, 1.0]))
    nibabel.MGHImage(rng.normal(size=(9, 10, 11)).astype("float32"), np.diag([2.0, 2.0, 3.0, 1.0])).to_filename(
        folder / "a.mgz"
    )
    return folder


def test_fb3_a_bank_becomes_a_picture_and_a_page(tmp_path):
    done = command(
        "show", "gabor.pyramid:wavelengths=4,8:directions=6", "--ndim", 3, "-o", tmp_path / "g.png", "--json"
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.splitlines()[-1])
    assert record["filters"] == 12
    assert record["table"][0]["name"] == "4_d0"
    assert (tmp_path / "g.png").read_bytes().startswith(PNG)
    done = command("show", "laws", "-o", tmp_path / "g.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "g.html").read_text()
    assert page.count("<img ") == 2
    assert "E5L5" in page


@pytest.mark.parametrize(
    ("bank", "name"),
    [("auditory", "a.wav"), ("haar", "a.npy"), ("gabor", "a.png"), ("gaussian", "a.nii.gz"), ("gaussian", "a.mgz")],
)
def test_fb3_fb5_feature_maps_are_drawn_on_a_recording_an_array_a_picture_and_a_scan(signals, tmp_path, bank, name):
    for suffix in ("png", "html"):
        assert show.main([bank, "--on", str(signals / name), "-o", str(tmp_path / f"x.{suffix}")]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)
    assert (tmp_path / "x.html").read_text().count("<img ") == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gabour", "-o", "x.png"], "bank 'gabour' is not one of"),
        (["gabor"], "where to\\? -o FILE.png"),
        (["gabor", "-o", "x.gif"], "'x.gif' does not end in .png or .html"),
        (["gabor", "-o", "nowhere/x.png"], "there is no such folder"),
        (["gabor", "-o", "x.png", "--on", "a.xyz"], "expected a .wav, .nii"),
        (["gabor", "-o", "x.png", "--ndim", "two"], "--ndim 'two' is not a whole number"),
        (["gabor", "-o", "x.png", "--ndim", "0"], "--ndim 0 must be at least 1"),
        (["gabor", "-o", "x.png", "--fs", "0"], "fs 0.* must be above 0"),
        (["gabor", "-o", "x.png", "--what", "responses"], "--what responses needs a signal"),
        (["gabor", "-o", "x.png", "--what", "nothing"], "--what 'nothing' is not one of"),
        (["gabor", "haar", "-o", "x.png"], "show takes one BANK, not 2"),
        (["gabor", "-o", "x.png", "--size", "3"], "unknown argument '--size'"),
        (["gabor", "-o"], "-o needs a value"),
        (["auditory", "-o", "x.png", "--ndim", "4"], "auditory has banks for"),
    ],
)
def test_what_cannot_be_meant_is_one_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(console.UsageError, match=message) as caught:
        show.main(words)
    assert "\n" not in str(caught.value)


def test_what_is_not_finite_is_drawn_as_zeros_and_told_and_nothing_else_is_refused(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(24, 20)).astype("float32")
    hole, plain, never = x.copy(), x.copy(), np.full_like(x, np.nan)
    hole, plain[3, 4:6] = hole.astype("float64"), 0
    hole[3, 4:6] = np.nan, 1e300
    for name, array in (("hole", hole), ("plain", plain), ("never", never)):
        np.save(tmp_path / f"{name}.npy", array)
    for name in ("hole", "plain"):
        assert show.main(["gabor", "--on", str(tmp_path / f"{name}.npy"), "-o", str(tmp_path / f"{name}.png")]) == 0
    assert "hole.npy' has 2 numbers that are not finite: zeros are drawn" in capsys.readouterr().err
    assert (tmp_path / "hole.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    with pytest.raises(console.UsageError, match="never.npy' holds no finite numbers"):
        show.main(["gabor", "--on", str(tmp_path / "never.npy"), "-o", str(tmp_path / "never.png")])


def test_a_signal_of_other_dimensions_is_refused(signals, tmp_path):
    with pytest.raises(console.UsageError, match="auditory has banks for|3 axes of space"):
        show.main(["auditory", "--on", str(signals / "a.nii.gz"), "-o", str(tmp_path / "x.png")])


def test_arrays_are_read_as_they_are_and_never_unpickled(tmp_path):
    for array in (
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.ones((3, 2), ">i2")),
        np.zeros((0, 4)),
        np.float32(3),
    ):
        np.save(tmp_path / "a.npy", array)
        for mmap in (False, True):
            found = npy.read(tmp_path / "a.npy", mmap=mmap)
            np.testing.assert_array_equal(found, array)
            assert found.dtype == array.dtype
    np.save(tmp_path / "a.npy", np.array([{}, None], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds Python objects"):
        npy.read(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros(1000))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="promises 8000 bytes .* and has 7992"):
        npy.read(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(whole.replace(b"(1000,)", b"(9**9,)"))
    with pytest.raises(ValueError, match="is not a .npy file|promises"):
        npy.read(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(b"hello")
    with pytest.raises(ValueError, match="is not a .npy file"):
        npy.read(tmp_path / "a.npy")


def test_pictures_are_read_as_grey_values(tmp_path):
    from PIL import Image

    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_allclose(image.read(tmp_path / "a.png"), grey / 255, atol=1e-6)
    deep = grey.astype(np.uint16) * 200
    Image.fromarray(deep).save(tmp_path / "a.png")
    np.testing.assert_allclose(image.read(tmp_path / "a.png"), deep / 65535, atol=1e-6)
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is no picture that can be read"):
        image.read(tmp_path / "a.png")
    with pytest.raises(OSError, match=r"No such file|a\.jpg"):
        image.read(tmp_path / "a.jpg")
