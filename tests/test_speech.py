"""Spectrograms against librosa, and augmentation as pure functions."""

import numpy as np
import pytest
import torch

from sigconv import units
from sigconv.filters import auditory
from sigconv.train import seeds
from sigconv.transforms import augment
from sigconv.transforms.speech import LogMel, log_mel


@pytest.fixture(scope="module")
def librosa():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("librosa")


SOUND = np.random.default_rng(0).normal(size=4000) * np.hanning(4000)


@pytest.mark.parametrize(("n_fft", "hop"), [(256, 80), (400, 160), (255, 64)])
@pytest.mark.filterwarnings("ignore")
def test_the_short_time_transform_is_librosas(librosa, n_fft, hop):
    theirs = librosa.stft(SOUND, n_fft=n_fft, hop_length=hop, pad_mode="constant")
    np.testing.assert_allclose(auditory.stft(SOUND, n_fft, hop), theirs, atol=1e-10)
    theirs = librosa.stft(SOUND, n_fft=n_fft, hop_length=hop, center=False)
    np.testing.assert_allclose(auditory.stft(SOUND, n_fft, hop, center=False), theirs, atol=1e-10)
    theirs = librosa.stft(SOUND, n_fft=n_fft, hop_length=hop, pad_mode="reflect")
    np.testing.assert_allclose(auditory.stft(SOUND, n_fft, hop, padding_mode="reflect"), theirs, atol=1e-10)


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("norm", ["slaney", None])
@pytest.mark.parametrize(
    ("fs", "n_fft", "n_mels", "fmin", "fmax"), [(8000, 512, 40, 20, None), (16000, 512, 64, 0, 7600)]
)
@pytest.mark.filterwarnings("ignore")
def test_c2_mel_weights_are_librosas(librosa, fs, n_fft, n_mels, fmin, fmax, htk, norm):
    theirs = librosa.filters.mel(sr=fs, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm)
    ours = auditory.mel_weights(fs, n_fft, n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_log_mel_is_librosas_within_the_promise(librosa):
    power = librosa.feature.melspectrogram(
        y=SOUND, sr=8000, n_fft=256, hop_length=80, n_mels=32, fmin=20, pad_mode="constant"
    )
    np.testing.assert_allclose(
        log_mel(SOUND, 8000, n_mels=32, floor=1e-7), np.log10(np.maximum(power, 1e-7)), atol=1e-4
    )
    batch = LogMel(8000, n_mels=32)(torch.from_numpy(np.stack([SOUND, 2 * SOUND])[:, None]).float())
    assert batch.shape == (2, 1, 32, 51)


@pytest.mark.parametrize("htk", [False, True])
def test_mel_there_and_back(htk):
    f = np.linspace(0, 8000, 50)
    np.testing.assert_allclose(units.mel_to_hz(units.hz_to_mel(f, htk), htk), f, atol=1e-8)
    assert units.hz_to_mel(1000.0, True) == pytest.approx(999.9855)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: auditory.mel_weights(8000, 256, 40, fmax=5000),
            r"fmax 5000 is above half the sampling rate \(fs=8000 -> 4000",
        ),
        (lambda: auditory.mel_weights(8000, 256, 40, fmin=-1), "fmin -1 is negative"),
        (lambda: auditory.mel_weights(8000, 64, 80), "meets no bin of n_fft=64"),
        (lambda: auditory.mel_weights(8000, 256, 40, norm="l2"), "norm 'l2' is not one of"),
        (lambda: auditory.stft(torch.zeros(100), 256, 80, center=False), "100 samples are fewer than n_fft=256"),
    ],
)
def test_errors_carry_the_number_and_the_limit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_spectrogram_is_differentiable():
    x = torch.randn(1, 300, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LogMel(8000, n_mels=8, n_fft=64, hop_length=40, floor=1e-12), x)


def test_warp_moves_and_stretches_what_it_should():
    x = torch.arange(9.0)[None, None]
    one = torch.ones(1)
    assert torch.equal(augment.warp(x, one, 0 * one), x)
    assert augment.warp(x, one, 2 * one, padding_mode="zeros")[0, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6]
    torch.testing.assert_close(augment.warp(x, 2 * one, 0 * one)[0, 0], torch.arange(2, 6.5, 0.5))
    columns = x.mT.expand(1, 9, 3)
    assert torch.equal(
        augment.warp(columns, one, one, axis=1, padding_mode="replicate")[0, :, 2], torch.tensor([0.0, *range(8)])
    )


def test_each_items_variant_is_its_generators_alone():
    x = torch.randn(3, 1, 20)
    gens = [seeds.generator(0, 1, i) for i in range(3)]
    together = augment.normals(gens, x), augment.uniforms([seeds.generator(0, 1, i) for i in range(3)], 4, x)
    alone = augment.normals([seeds.generator(0, 1, 2)], x[2:])
    assert torch.equal(together[0][2:], alone)
    assert together[1].abs().max() <= 1
    kept = augment.mask(torch.ones(1, 2, 10), torch.tensor([-0.1]), torch.tensor([0.0]), axis=-1, widest=5)
    assert torch.equal(kept, torch.ones(1, 2, 10)), "half of all items are left whole"
