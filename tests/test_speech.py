"""Spectrograms against librosa, and augmentation as pure functions."""

import warnings

import numpy as np
import pytest
import torch

from sigconv import units
from sigconv.filters import auditory
from sigconv.train import seeds
from sigconv.transforms import augment, speech
from sigconv.transforms.speech import LogMel, log_mel


@pytest.fixture(scope="module")
def librosa():
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


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(
    ("n_fft", "hop", "win", "window"),
    [(256, 80, None, "hann"), (400, 100, 300, "hamming"), (255, 64, 200, "blackman"), (256, 64, None, ("kaiser", 8.0))],
)
@pytest.mark.filterwarnings("ignore")
def test_windows_and_the_way_back_are_librosas(librosa, n_fft, hop, win, window, center):
    options = {"hop_length": hop, "win_length": win, "window": window, "center": center}
    theirs = librosa.stft(SOUND, n_fft=n_fft, pad_mode="constant", **options)
    ours = auditory.stft(SOUND, n_fft, **options)
    np.testing.assert_allclose(ours, theirs, atol=1e-10)
    power = speech.spectrogram(SOUND, n_fft=n_fft, **options)
    np.testing.assert_allclose(power, np.abs(theirs) ** 2, rtol=1e-5, atol=1e-5)  # the layer's window is float32
    magnitude = speech.spectrogram(SOUND.astype(np.float32), n_fft=n_fft, power=1, **options)
    np.testing.assert_allclose(magnitude, np.abs(theirs), atol=1e-4)
    inner = slice(n_fft, len(SOUND) - n_fft)  # beside it, some samples stand under no window worth the name
    for length in (None, 3000, len(SOUND), 4200):
        back = auditory.istft(ours, n_fft, length=length, **options)
        assert back.shape == librosa.istft(theirs, n_fft=n_fft, length=length, **options).shape
        kept = min(len(back), inner.stop)
        np.testing.assert_allclose(back[inner.start : kept], SOUND[inner.start : kept], atol=1e-10)
    if center:
        back, start = auditory.istft(ours, n_fft, length=4000, **options), slice(0, 4 * hop)
        np.testing.assert_allclose(back[start], SOUND[start], atol=1e-10)


@pytest.mark.filterwarnings("ignore")
def test_mel_decibels_and_cepstra_are_librosas(librosa):
    basis = {"sr": 8000, "n_fft": 256, "hop_length": 80, "n_mels": 40, "fmin": 20, "pad_mode": "constant"}
    for htk in (False, True):
        theirs = librosa.feature.melspectrogram(y=SOUND, htk=htk, **basis)
        np.testing.assert_allclose(speech.mel_spectrogram(SOUND, 8000, htk=htk), theirs, rtol=1e-4, atol=1e-7)
    for options in ({}, {"top_db": None}, {"amin": 1e-3, "ref": 7.0}, {"top_db": 3.0}):
        np.testing.assert_allclose(speech.power_to_db(theirs, **options), librosa.power_to_db(theirs, **options))
        ours, same = speech.amplitude_to_db(theirs, **options), librosa.amplitude_to_db(theirs, **options)
        np.testing.assert_allclose(ours, same, atol=1e-10)
    np.testing.assert_allclose(speech.power_to_db(theirs, ref="max"), librosa.power_to_db(theirs, ref=np.max))
    for lifter in (0, 22):
        theirs = librosa.feature.mfcc(y=SOUND, n_mfcc=13, lifter=lifter, **basis)
        np.testing.assert_allclose(speech.mfcc(SOUND, 8000, lifter=lifter), theirs, rtol=1e-4, atol=1e-3)


MODES = {"interp": "interp", "replicate": "nearest", "reflect": "mirror", "circular": "wrap", "zeros": "constant"}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("width", [3, 9, 11])
@pytest.mark.filterwarnings("ignore")
def test_deltas_are_librosas(librosa, width, order):
    x = np.random.default_rng(width).normal(size=(2, 5, 30))
    for mode, theirs in MODES.items():
        ours = speech.deltas(x, width=width, order=order, padding_mode=mode)
        np.testing.assert_allclose(ours, librosa.feature.delta(x, width=width, order=order, mode=theirs), atol=1e-10)


def test_deltas_of_a_polynomial_are_its_derivatives_and_stand_as_channels():
    t = torch.arange(20, dtype=torch.float64)
    torch.testing.assert_close(speech.deltas(3 * t + 2), torch.full_like(t, 3))
    torch.testing.assert_close(speech.deltas(t**2 - t, order=2), torch.full_like(t, 2))
    x = torch.randn(2, 4, 20)
    found = speech.Deltas()(x)
    assert found.shape == (2, 3, 4, 20)
    for k, expected in enumerate((x, speech.deltas(x), speech.deltas(x, order=2))):
        assert torch.equal(found[:, k], expected)


@pytest.mark.parametrize("kind", auditory.KINDS)
def test_bands_of_every_scale_are_their_weights_times_power(kind):
    x = torch.randn(2, 1, 3000, dtype=torch.float64)
    options = {"fmin": 50.0, "fmax": 3500.0}
    weights = auditory.weights(kind, 8000, 512, 20, **options).double()
    power = auditory.stft(x, 512, 100).abs().square()
    ours = speech.mel_spectrogram(x, 8000, kind=kind, n_mels=20, n_fft=512, hop_length=100, **options)
    torch.testing.assert_close(ours, weights @ power, rtol=1e-5, atol=1e-7)


def test_n28_blocks_of_a_long_sound_are_its_frames(monkeypatch):
    module = __import__("sigconv.filters.auditory._spectrogram", fromlist=["x"])
    x = torch.randn(3, 4001, dtype=torch.float64, requires_grad=True)
    for mode in ("zeros", "reflect", "circular"):
        for center in (True, False):
            whole = auditory.stft(x, 200, 70, center=center, padding_mode=mode), LogMel(8000, n_fft=200)(x)
            (slope,) = torch.autograd.grad(whole[1].sum(), x)
            with monkeypatch.context() as patch:
                patch.setattr(module, "BLOCK", 2000)  # 3 frames at a time
                parts = auditory.stft(x, 200, 70, center=center, padding_mode=mode), LogMel(8000, n_fft=200)(x)
            for one, other in zip(whole, parts, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(torch.autograd.grad(parts[1].sum(), x)[0], slope)


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
        (lambda: auditory.stft(torch.zeros(100), 256, 0), "hop_length 0 must be at least 1"),
        (lambda: auditory.stft(torch.zeros(100), 256, window="hanning?"), r"window 'hanning\?' is not one of bartlett"),
        (
            lambda: auditory.stft(torch.zeros(100), 256, window=torch.ones(9)),
            r"window has shape \(9,\): expected \(256",
        ),
        (lambda: auditory.stft(torch.zeros(100), 256, win_length=300), "window of 300 samples does not fit n_fft=256"),
        (lambda: auditory.istft(torch.zeros(9, 4)), r"spectrum is torch.float32 \(9, 4\): expected complex"),
        (lambda: auditory.istft(torch.zeros(9, 4) + 0j, 20), "9 bins are not those of n_fft=20: expected 11"),
        (lambda: speech.Spectrogram(power=0), "power 0 must be above 0"),
        (lambda: speech.Spectrogram(padding_mode="edge"), "padding_mode 'edge' is not one of"),
        (lambda: LogMel(8000, floor=0), "floor 0 must be above 0"),
        (lambda: speech.MFCC(8000, n_mfcc=41), "n_mfcc 41 is more than the 40 bands"),
        (lambda: speech.MFCC(8000, lifter=-1), "lifter -1 must be at least 0"),
        (lambda: speech.power_to_db(torch.ones(3), amin=0), "amin=0, top_db=80.0: expected amin above 0"),
        (lambda: speech.power_to_db(torch.ones(3), ref="min"), "ref 'min' is not one of"),
        (lambda: speech.deltas(torch.ones(5)), "5 frames are fewer than width=9"),
        (lambda: speech.deltas(torch.ones(50), width=4), "width 4 must be odd"),
        (lambda: speech.deltas(torch.ones(50), width=3, order=3), "width 3 must be odd and above order=3"),
        (lambda: speech.deltas(torch.ones(0)), r"expected floating \(…, frames\)"),
        (lambda: speech.Deltas(padding_mode="edge"), "padding_mode 'edge' is not one of"),
        (lambda: speech.SpectroTemporal(8000, temporal=[60]), "60"),
        (lambda: speech.SpectroTemporal(8000, output="power"), "output 'power' is not one of"),
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
