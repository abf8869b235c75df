"""What every feature of speech keeps: finite values, NaN in its place, types, derivatives; modulations, and blocks."""

import numpy as np
import pytest
import torch

from sigconv import nd
from sigconv.filters import auditory
from sigconv.transforms import speech
from sigconv.transforms.speech import LogMel, log_mel


def test_fb8_spectro_temporal_features_are_bands_of_the_banks_energies():
    x = torch.randn(2, 1, 4000)
    layer = speech.SpectroTemporal(8000, n_mels=23)
    every = speech.SpectroTemporal(8000, n_mels=23, subsample=False)
    found, dense = layer(x), every(x)
    filters = len(layer.filters.names)
    assert dense.shape == (2, 1, 23 * filters, 51)
    assert found.shape == (2, 1, len(layer.names), 51)
    assert found.shape[2] < dense.shape[2] / 2
    at = [every.names.index(name) for name in layer.names]
    torch.testing.assert_close(found, dense[:, :, at])
    bands = log_mel(x, 8000, n_mels=23)
    image = layer.filters(bands, output="energy", padding_mode="replicate")
    torch.testing.assert_close(dense[:, 0].unflatten(1, (filters, 23)), image)
    kept = {
        name: [int(n.split("/")[1]) for n in layer.names if n.startswith(name + "/")] for name in layer.filters.names
    }
    assert all(11 in bands for bands in kept.values())  # the middle band is everybody's
    assert len(kept["6.2Hz_0.25_up"]) > len(kept["6.2Hz_0.03_up"])  # the wider, the fewer


def test_fb8_a_modulation_is_found_where_it_was_put():
    t = torch.arange(16000) / 8000
    noise = torch.randn(16000, generator=torch.Generator().manual_seed(0))
    layer = speech.SpectroTemporal(8000, temporal=[4, 16], spectral=[0])
    for rate, strong in ((4, 0), (16, 1)):
        level = layer((1 + 0.9 * torch.cos(2 * torch.pi * rate * t)) * noise).mean(-1)
        energy = [level[[n.startswith(name) for n in layer.names]].mean() for name in layer.filters.names]
        assert energy[strong] > 2 * energy[1 - strong]


LAYERS = {
    "spectrogram": lambda: speech.Spectrogram(256, 80),
    "mel": lambda: speech.MelSpectrogram(8000),
    "log_mel": lambda: LogMel(8000),
    "mfcc": lambda: speech.MFCC(8000),
    "spectro_temporal": lambda: speech.SpectroTemporal(8000),
}


@pytest.mark.parametrize("name", LAYERS)
def test_n23_silence_constants_and_single_samples_have_finite_features(name):
    layer = LAYERS[name]()
    for x in (torch.zeros(1, 500), torch.ones(1, 500), torch.zeros(2, 1, 1), torch.eye(500)[250:251]):
        x.requires_grad_()
        found = layer(x)
        assert found.isfinite().all()
        assert found.shape[-1] == 1 + x.shape[-1] // 80
        found.sum().backward()
        assert x.grad.isfinite().all()
    for shape in ((0,), (2, 0), ()):
        with pytest.raises(ValueError, match="expected \\(…, samples\\), one sample at least"):
            layer(torch.zeros(shape))
    with pytest.raises(TypeError, match=r"x is torch\.int16"):
        layer(torch.zeros(500, dtype=torch.int16))


@pytest.mark.parametrize("name", ["spectrogram", "mel", "log_mel", "mfcc"])
def test_n23_a_nan_stays_in_the_frames_that_hold_it(name):
    layer = LAYERS[name]()
    x = torch.randn(2, 2000)
    clean = layer(x)
    x[0, 1000] = torch.nan
    found = layer(x)
    hit = torch.zeros(2, 26, dtype=torch.bool)
    hit[0, [i for i in range(26) if i * 80 - 128 <= 1000 < i * 80 + 128]] = True
    assert torch.equal(found.isnan().all(1), hit)
    assert torch.equal(found.isnan().any(1), hit)
    torch.testing.assert_close(found[1], clean[1])


@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_is_computed_in_float32_and_numpy_gives_numpy(name):
    layer = LAYERS[name]()
    x = torch.randn(1, 800).half()
    found = layer(x)
    assert found.dtype == torch.float16
    assert torch.equal(found, layer(x.float()).half())
    function = {"mel": "mel_spectrogram"}.get(name, name)
    options = {"n_fft": 256, "hop_length": 80} if name == "spectrogram" else {"fs": 8000}
    ours = getattr(speech, function)(x.double().numpy(), **options)
    assert isinstance(ours, np.ndarray)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, layer(x.double()))


@pytest.mark.parametrize("name", ["mel", "mfcc", "spectro_temporal"])
def test_features_have_derivatives(name):
    options = {"n_fft": 32, "hop_length": 20, "n_mels": 6, "fmin": 0.0}
    layer = {
        "mel": lambda: speech.MelSpectrogram(8000, **options),
        "mfcc": lambda: speech.MFCC(8000, n_mfcc=4, top_db=None, **options),
        "spectro_temporal": lambda: speech.SpectroTemporal(8000, temporal=[50], spectral=[0.2], **options),
    }[name]()
    x = torch.randn(1, 1, 90, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)


def test_the_way_back_and_deltas_have_derivatives():
    x = torch.randn(1, 90, dtype=torch.float64, requires_grad=True)
    there = lambda x: auditory.istft(2 * auditory.stft(x, 32, 8), 32, 8, length=90)
    assert torch.autograd.gradcheck(there, x)
    assert torch.autograd.gradgradcheck(lambda x: speech.deltas(x, order=2).square(), x)


@pytest.mark.parametrize("mode", nd.PADDING_MODES)
def test_n28_a_section_is_the_padded_signals(mode):
    x = torch.arange(10.0).reshape(2, 5)
    padded = nd.pad(x, ((20, 20),), mode)
    for start in range(-12, 12):
        for stop in range(start, 13):
            assert torch.equal(nd.section(x, start, stop, mode), padded[:, start + 20 : stop + 20])
