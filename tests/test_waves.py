"""Changes of sounds: what each promises of frequency, duration, moment, loudness and noise."""

import math

import numpy as np
import pytest
import torch

from sigconv.train import seeds
from sigconv.transforms import augment
from sigconv.transforms.augment import equalize, loudness, noisy, sampled, voice

FS = 8000
ONE = torch.ones(1)


def burst(frequency, first=3000, last=5000, n=8000):
    """A tone with soft ends, amid silence."""
    t = torch.arange(n, dtype=torch.float64)
    inside = (t >= first) & (t < last)
    window = torch.where(inside, torch.sin(math.pi * (t - first) / (last - first)).square(), 0.0)
    return (window * torch.sin(2 * math.pi * frequency * t / FS)).reshape(1, 1, -1)


def pitch_of(x):
    power = torch.fft.rfft(x[0, 0]).abs().square()
    return (power * torch.linspace(0, FS / 2, len(power), dtype=x.dtype)).sum().item() / power.sum().item()


def spread_of(x):
    """Where the sound is, and how long it is, in samples."""
    power = x[0, 0].square()
    place = torch.arange(len(power), dtype=x.dtype)
    middle = (power * place).sum() / power.sum()
    return middle.item(), ((power * (place - middle).square()).sum() / power.sum()).sqrt().item()


def test_a_voice_unchanged_is_itself():
    x = torch.randn(3, 1, 4000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(voice(x, torch.ones(3), torch.ones(3)), x, atol=1e-10, rtol=0)
    torch.testing.assert_close(voice(x.float(), torch.ones(3), torch.ones(3)), x.float(), atol=2e-4, rtol=0)


@pytest.mark.parametrize("throat", [0.8, 0.95, 1.1, 1.3])
def test_b1_another_throat_multiplies_frequencies_and_leaves_durations(throat):
    x = burst(1000)
    y = voice(x, throat * ONE, ONE)
    assert pitch_of(y) == pytest.approx(1000 * throat, rel=0.01)
    assert spread_of(y)[0] == pytest.approx(spread_of(x)[0], abs=64)  # a hop
    assert spread_of(y)[1] == pytest.approx(spread_of(x)[1], rel=0.1)


@pytest.mark.parametrize("tempo", [0.7, 1.4])
def test_another_tempo_multiplies_durations_and_leaves_frequencies(tempo):
    x = burst(1000)
    y = voice(x, ONE, tempo * ONE)
    assert pitch_of(y) == pytest.approx(1000, rel=0.01)
    assert spread_of(y)[1] == pytest.approx(tempo * spread_of(x)[1], rel=0.1)


@pytest.mark.parametrize("shift", [-640, 100, 1500])
def test_a_shift_moves_the_sound(shift):
    x = burst(700)
    assert spread_of(voice(x, ONE, ONE, shift * ONE))[0] == pytest.approx(spread_of(x)[0] + shift, abs=1)


def test_throats_of_another_shape_move_low_and_high_formants_apart():
    x = burst(500) + burst(3000)
    y = voice(x, torch.tensor([[1.1, 1.0, 0.9]], dtype=x.dtype), ONE)
    low = torch.fft.rfft(y[0, 0]).abs()
    assert low[:2000].argmax().item() == pytest.approx(500 * 1.075, abs=12)
    assert 2000 + low[2000:].argmax().item() == pytest.approx(3000 * 0.95, abs=20)


def test_each_item_is_changed_by_its_own_numbers():
    x = torch.cat([burst(1000), burst(1000)])
    y = voice(x, torch.tensor([0.9, 1.2]), torch.ones(2))
    torch.testing.assert_close(y[1:], voice(x[1:], 1.2 * ONE, ONE))
    assert pitch_of(y[:1]) < pitch_of(y[1:])


@pytest.mark.parametrize("x", [torch.zeros(1, 1, 800), torch.zeros(1, 1, 1), torch.ones(1, 1, 300)])
def test_n23_silence_and_short_sounds_stay_finite(x):
    assert torch.isfinite(voice(x, 1.2 * ONE, 0.8 * ONE)).all()
    assert torch.isfinite(noisy(x, torch.zeros_like(x), 20 * ONE)).all()
    assert torch.isfinite(x / loudness(x)).all()


def test_voice_is_differentiable():
    x = torch.randn(1, 1, 512, dtype=torch.float64, requires_grad=True)
    voice(x, 1.1 * ONE, 0.9 * ONE).square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0


def test_equalize_is_flat_where_asked_and_leaves_out_a_band():
    x = torch.randn(1, 1, 4000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(equalize(x, torch.zeros(1, 5)), x, atol=1e-10, rtol=0)
    torch.testing.assert_close(equalize(x, torch.full((1, 5), 20.0)), 10 * x, atol=1e-9, rtol=0)
    curve = torch.zeros(1, 41)
    curve[0, 20] = -60.0
    middle = 700 * (math.exp(0.5 * math.log1p(4000 / 700)) - 1)
    passed = lambda f: equalize(burst(f), curve).square().sum().item() / burst(f).square().sum().item()
    assert passed(middle) < 0.3
    assert passed(3 * middle) == pytest.approx(1, abs=0.01)


def test_noise_is_so_many_decibels_below_the_loudest_frame():
    x = burst(1000).float()
    noise = torch.randn(1, 1, 8000, generator=torch.Generator().manual_seed(2))
    added = noisy(x, noise, 26 * ONE) - x
    ratio = 20 * torch.log10(loudness(x).squeeze() / added.square().mean().sqrt())
    assert ratio.item() == pytest.approx(26, abs=0.01)


def test_loudness_is_that_of_the_loudest_frame():
    x = torch.zeros(2, 1, 1000)
    x[0, 0, 256:512] = 3.0
    assert loudness(x).flatten().tolist() == pytest.approx([3.0, 1e-6])


def test_sampled_is_numpys_interpolation():
    x = torch.randn(2, 3, 20, dtype=torch.float64)
    places = 19 * torch.rand(2, 7, dtype=torch.float64)
    found = sampled(x, places, axis=-1)
    for item in range(2):
        for row in range(3):
            wanted = np.interp(places[item], np.arange(20), x[item, row])
            np.testing.assert_allclose(found[item, row], wanted, atol=1e-12)


def test_r_each_variant_is_a_function_of_its_generator_alone():
    from sigconv.recipes import _speech

    x = torch.cat([burst(f) for f in (400, 900, 1500)]).float()
    three = _speech.varied(x, [seeds.generator(0, 1, i) for i in range(3)], FS)
    one = _speech.varied(x[1:2], [seeds.generator(0, 1, 1)], FS)
    torch.testing.assert_close(three[1:2], one, atol=1e-5, rtol=1e-4)
    other = _speech.varied(x[1:2], [seeds.generator(0, 2, 1)], FS)
    assert (other - one).abs().max() > 0.01


@pytest.mark.parametrize("shape", [(8000,), (1, 8000), (2, 2, 8000)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(batch, 1, samples\)"):
        augment.voice(torch.zeros(shape), ONE, ONE)


def vowel(pitch, formant, n=8000):
    """Harmonics of a pitch under one resonance, 200 Hz wide."""
    t = torch.arange(n, dtype=torch.float64) / FS
    k = torch.arange(1, int(FS / 2 / pitch))[:, None]
    strength = 1 / (1 + ((k * pitch - formant) / 200.0).square())
    return (strength * torch.sin(2 * math.pi * pitch * k * t)).sum(0).reshape(1, 1, -1)


def spacing_and_peak(x):
    """The pitch by the autocorrelation, the formant as the centre of power around the strongest harmonic."""
    power = torch.fft.rfft(x[0, 0, 1000:-1000] * torch.hann_window(6000, dtype=x.dtype)).abs().square()
    correlation = torch.fft.irfft(power)
    lag = 30 + correlation[30:100].argmax().item()
    frequency = torch.linspace(0, FS / 2, len(power), dtype=x.dtype)
    return FS / lag, ((power * frequency).sum() / power.sum()).item()


def test_pitch_and_throat_move_apart():
    x = vowel(120.0, 1500.0)
    pitch, formant = spacing_and_peak(x)
    high = voice(x, ONE, ONE, pitch=1.25 * ONE)
    found = spacing_and_peak(high)
    assert found[0] == pytest.approx(1.25 * pitch, rel=0.03)
    assert found[1] == pytest.approx(formant, rel=0.08)  # harmonics stand elsewhere under it
    long = voice(x, 0.85 * ONE, ONE, pitch=ONE)
    found = spacing_and_peak(long)
    assert found[0] == pytest.approx(pitch, rel=0.03)
    assert found[1] == pytest.approx(0.85 * formant, rel=0.05)
    same = voice(x, 1.1 * ONE, ONE, pitch=1.1 * ONE)
    wanted = voice(x, 1.1 * ONE, ONE)
    assert spacing_and_peak(same) == pytest.approx(spacing_and_peak(wanted), rel=0.02)
