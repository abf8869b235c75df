"""The data sets: what is in their parts, and what is said when they are not there."""

import shutil
import zipfile

import numpy as np
import pytest
import torch
from made import speak

from sigconv.datasets import _roots, mnist1d, spoken_digits
from sigconv.train import seeds


def test_d1_mnist1d_is_the_published_set(data_root):
    with np.load(data_root / "mnist1d" / "mnist1d.npz", allow_pickle=False) as published:
        made = mnist1d.generate()
        np.testing.assert_allclose(made.x_train, published["x"], atol=1e-12, rtol=0)
        np.testing.assert_allclose(made.x_test, published["x_test"], atol=1e-12, rtol=0)
        assert np.array_equal(made.y_train, published["y"])
        assert np.array_equal(made.y_test, published["y_test"])


def test_d1_the_golden_numbers_of_mnist1d():
    made = mnist1d.generate()
    np.testing.assert_allclose(made.x_train[0, :3], [-0.33201, -0.47191, -0.77870], atol=5e-6)
    assert made.y_train[:10].tolist() == [2, 6, 4, 5, 6, 6, 6, 0, 3, 1]
    assert np.bincount(made.y_train).tolist() == [398, 396, 411, 394, 394, 402, 401, 404, 402, 398]
    assert np.bincount(made.y_test).tolist() == [102, 104, 89, 106, 106, 98, 99, 96, 98, 102]


def test_any_set_of_its_kind_is_made():
    made = mnist1d.generate(200, length=72, correlated_noise=0, white_noise=0, train_share=0.5, seed=1)
    assert made.x_train.shape == made.x_test.shape == (100, 72)
    shuffled = mnist1d.generate(200, shuffle=True)
    plain = mnist1d.generate(200)
    assert not np.array_equal(shuffled.x_train, plain.x_train)
    np.testing.assert_array_equal(np.sort(shuffled.x_train), np.sort(plain.x_train))
    with pytest.raises(ValueError, match="samples 25 must be a multiple of 10"):
        mnist1d.generate(25)
    with pytest.raises(ValueError, match="noise nan must be a finite number"):
        mnist1d.generate(20, white_noise=float("nan"))
    with pytest.raises(ValueError, match="length 1 at least 2"):
        mnist1d.Unlimited(5, length=1)
    with pytest.raises(IndexError, match="item 5 of 5"):
        mnist1d.Unlimited(5).item(5)


def test_mnist1d_holds_back_a_tenth_to_choose_by():
    train, valid, test = mnist1d.load(seed=3)
    assert (len(train), len(valid), len(test)) == (3600, 400, 1000)
    rows = {tuple(x.flatten().tolist()) for part in (train, valid) for x in part.x}
    assert len(rows) == 4000
    x, y = train.item(0, torch.Generator())
    assert x.shape == (1, 40)
    assert x.dtype == torch.float32
    assert 0 <= int(y) < len(train.classes)
    assert not torch.equal(mnist1d.load(seed=4).train.x, train.x)


def test_unlimited_samples_are_a_function_of_their_generator_and_like_the_published():
    stream = mnist1d.Unlimited(5000)
    one = stream.item(13, seeds.generator(0, 1, 13))
    x, y = stream.batch(torch.tensor([12, 13]), seeds.Generators(0, 1, [12, 13]))
    torch.testing.assert_close(x[1], one[0])
    assert y.tolist() == [2, 3]
    many, published = stream.fixed(seed=0), mnist1d.load()
    torch.testing.assert_close(many.x.mean(0), published.train.x.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(many.x.std(0), published.train.x.std(0), atol=0.1, rtol=0)


@pytest.fixture
def made_root(tmp_path):
    speak(tmp_path / "fsdd" / "recordings", speakers=("ann_b", "Zoë"), indices=range(3, 8))
    return tmp_path


def test_spoken_digits_official_split_and_speaker_left_out(made_root):
    train, valid, test = spoken_digits.load(made_root)
    assert len(test) == 2 * 10 * 2
    assert len(train) + len(valid) == 2 * 10 * 3
    assert train.item(0, None)[0].shape == (1, 8000)
    train, valid, test = spoken_digits.load(made_root, test_speaker="Zoë")
    assert set(test.speakers) == {"Zoë"}
    assert set(train.speakers) | set(valid.speakers) == {"ann_b"}
    assert len(test) == 50


def test_spoken_digits_from_a_zip_are_those_from_a_folder(made_root, tmp_path):
    folder = spoken_digits.load(made_root)
    packed = tmp_path / "packed" / "fsdd"
    packed.mkdir(parents=True)
    with zipfile.ZipFile(packed / "recordings.zip", "w") as file:
        for path in (made_root / "fsdd" / "recordings").iterdir():
            file.write(path, f"recordings/{path.name}")
        file.writestr("recordings/._hidden.wav", b"")
    assert torch.equal(spoken_digits.load(packed.parent).test.x, folder.test.x)


def test_the_recordings_at_hand(data_root):
    train, valid, test = spoken_digits.load(data_root)
    assert (len(train), len(valid), len(test)) == (2025, 225, 250)
    assert train.fs == 8000
    assert len(set(train.speakers)) == 5


def test_what_is_wrong_with_the_recordings_is_said_in_one_line(made_root):
    with pytest.raises(ValueError, match="seconds 0 must be a finite number above 0"):
        spoken_digits.load(made_root, seconds=0)
    with pytest.raises(ValueError, match=r"test speaker 'bob' is not one of \['Zoë', 'ann_b'\]"):
        spoken_digits.load(made_root, test_speaker="bob")
    folder = made_root / "fsdd" / "recordings"
    good = (folder / "0_Zoë_3.wav").read_bytes()
    (folder / "0_Zoë_3.wav").write_bytes(good[:-10])
    with pytest.raises(ValueError, match=r"0_Zoë_3\.wav' is not a usable WAV file: truncated"):
        spoken_digits.load(made_root)
    (folder / "0_Zoë_3.wav").rename(folder / "zero.wav")
    with pytest.raises(ValueError, match=r"zero\.wav' is not named"):
        spoken_digits.load(made_root)
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="no recordings"):
        spoken_digits.load(made_root)


def test_missing_data_say_everywhere_that_was_looked(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=f"no data set 'fsdd' under '{tmp_path}'"):
        spoken_digits.load(tmp_path)
    monkeypatch.delenv("SIGCONV_DATA", raising=False)
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path))
    monkeypatch.setattr("pooch.retrieve", lambda *a, **k: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(
        FileNotFoundError, match=r"--data-root.*SIGCONV_DATA.*cache.*v1\.0\.9\.tar\.gz could not"
    ) as caught:
        spoken_digits.load()
    assert "\n" not in str(caught.value)


def test_f15_a_download_with_a_wrong_checksum_is_never_opened(tmp_path, monkeypatch):
    manifest = tmp_path / "set.toml"
    source = tmp_path / "official.bin"
    source.write_bytes(b"an error page")
    manifest.write_text(f'url = "{source.as_uri()}"\nsha256 = "{"0" * 64}"\nfile = "set.bin"\nlicence = "none"\n')
    monkeypatch.setattr(_roots, "__file__", str(tmp_path / "x.py"))
    monkeypatch.setenv("SIGCONV_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match="could not be fetched"):
        _roots.fetch("set", "set.toml")
    assert not list((tmp_path / "cache").rglob("set.bin"))
