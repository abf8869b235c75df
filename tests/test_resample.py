"""Resampling: SciPy's polyphase filter with the same taps, tones, and what its docstring promises."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from strategies import examples

from sigconv.transforms.speech import Resample, resample

ZEROS, ROLLOFF, BETA = 48, 0.94, 9.0
RATES = [(44100, 16000), (48000, 16000), (16000, 8000), (8000, 16000), (8000, 11025), (3, 2), (96000, 8000), (2, 301)]


def prototype(up, down, zeros=ZEROS):
    """The windowed sinc at up times the rate, every phase of sum 1, as resample_poly takes it."""
    wide = max(up, down) / ROLLOFF
    half = int(zeros * wide)
    k = np.arange(-half, half + 1)
    taps = np.sinc(k / wide) * np.i0(BETA * np.sqrt(np.maximum(1 - (k / wide / zeros) ** 2, 0))) / np.i0(BETA)
    return taps / np.bincount(k % up, taps)[k % up] / up


def ratio(fs_in, fs_out):
    common = math.gcd(fs_in, fs_out)
    return fs_out // common, fs_in // common


@pytest.mark.parametrize(("fs_in", "fs_out"), RATES)
def test_it_is_scipys_polyphase_filter(fs_in, fs_out):
    up, down = ratio(fs_in, fs_out)
    for n in (1, 7, 1500):
        x = np.random.default_rng(n).normal(size=(2, 3, n))
        theirs = signal.resample_poly(x, up, down, axis=-1, window=prototype(up, down))
        ours = resample(x, fs_in, fs_out)
        assert ours.shape[-1] == math.ceil(n * up / down)
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
        layer = Resample(fs_in, fs_out)(torch.from_numpy(x).float())
        np.testing.assert_allclose(layer, theirs, atol=2e-5)


@examples(60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 200), st.integers(1, 8))
def test_any_ratio_is_scipys(fs_in, fs_out, n, zeros):
    up, down = ratio(fs_in, fs_out)
    x = np.random.default_rng(n).normal(size=n)
    ours = resample(x, fs_in, fs_out, zeros=zeros)
    theirs = x if up == down else signal.resample_poly(x, up, down, window=prototype(up, down, zeros))
    np.testing.assert_allclose(ours, theirs, atol=1e-11)


@pytest.mark.parametrize(("fs_in", "fs_out"), [(44100, 16000), (48000, 16000), (16000, 8000), (8000, 16000)])
def test_tones_pass_where_they_should_and_nothing_else_does(fs_in, fs_out):
    t, low = np.arange(fs_in // 2) / fs_in, min(fs_in, fs_out) / 2
    tones = lambda frequencies, t: np.cos(2 * np.pi * np.array(frequencies)[:, None] * t + 0.3)
    inner = slice(fs_out // 8, 3 * fs_out // 8)  # beside it, the ends of the tones are heard
    passing = np.linspace(0, 0.88, 12) * low
    found = resample(tones(passing, t), fs_in, fs_out)
    expected = tones(passing, np.arange(found.shape[-1]) / fs_out)  # no delay, no loss
    assert np.abs(found - expected)[:, inner].max() < 1e-3
    if fs_in > fs_out:
        found = resample(tones(np.linspace(1, fs_in / fs_out, 40) * low, t), fs_in, fs_out)
        assert np.abs(found[:, inner]).max() < 1e-4
    else:  # images of what passes would lie above the old rate's half
        spectrum = np.abs(np.fft.rfft(found[:, inner] * np.blackman(inner.stop - inner.start)))
        edge = int(len(spectrum[0]) * fs_in / fs_out * 1.01)
        assert spectrum[:, edge:].max() < 1e-4 * spectrum.max()


def test_constants_stay_and_equal_rates_give_the_sound_itself():
    ones = torch.ones(1, 1000, dtype=torch.float64)
    found = resample(ones, 44100, 16000, padding_mode="replicate")
    torch.testing.assert_close(found, torch.ones_like(found), rtol=1e-12, atol=1e-12)
    x = torch.randn(2, 50)
    assert torch.equal(resample(x, 8000, 8000.0), x)
    assert torch.equal(Resample(Fraction(1, 3), Fraction(2, 6))(x), x)
    assert not resample(torch.zeros(2, 50), 3, 2).any()
    torch.testing.assert_close(resample(x, Fraction(3, 7), Fraction(2, 7)), resample(x, 3, 2))


def test_coprime_rates_need_memory_for_what_is_asked_alone():
    up, down = 8000, 44101
    x = np.random.default_rng(0).normal(size=300)
    np.testing.assert_allclose(resample(x, down, up), signal.resample_poly(x, up, down, window=prototype(up, down)))
    layer = Resample(down, up)
    assert sum(buffer.numel() for buffer in layer.buffers()) == 0
    half = int(ZEROS * down / ROLLOFF)  # taps on one side, 8000 to an input
    assert layer.reach == (down, half // up, ((up - 1) * down + half) // up, up)


@pytest.mark.parametrize(("fs_in", "fs_out"), [(44100, 16000), (3, 2), (2, 3), (8000, 11025), (1, 5), (6, 1)])
def test_reach_is_what_a_group_of_outputs_sees(fs_in, fs_out):
    layer = Resample(fs_in, fs_out, zeros=5).double()
    reach = layer.reach
    n = 12 * reach.stride + reach.size
    x = torch.randn(n, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    group = reach.before // reach.stride + 1
    seen = [
        torch.autograd.grad(y[group * reach.each + i], x, retain_graph=True)[0].nonzero().flatten()
        for i in range(reach.each)
    ]
    first, last = min(int(s.min()) for s in seen), max(int(s.max()) for s in seen)
    middle = group * reach.stride
    assert middle - reach.before <= first <= middle - reach.before + 1  # a tap may be 0 at the window's very end
    assert middle + reach.after - 1 <= last <= middle + reach.after


def test_n28_blocks_of_a_long_sound_are_the_whole(monkeypatch):
    module = __import__("sigconv.transforms.speech._resample", fromlist=["x"])
    x = torch.randn(2, 5000, dtype=torch.float64)
    whole = resample(x, 44100, 16000)
    monkeypatch.setattr(module, "BLOCK", 1000)
    torch.testing.assert_close(resample(x, 44100, 16000), whole, rtol=1e-12, atol=1e-12)


def test_derivatives_types_and_kinds():
    x = torch.randn(1, 2, 30, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resample(x, 3, 2, zeros=4), x)
    assert torch.autograd.gradgradcheck(lambda x: resample(x, 2, 3, zeros=4).square(), x)
    half = torch.randn(1, 300).half()
    assert torch.equal(resample(half, 3, 2), resample(half.float(), 3, 2).half())
    assert isinstance(resample(np.ones(30, np.float32), 3, 2), np.ndarray)
    assert resample(np.ones(30, np.float32), 3, 2).dtype == np.float32
    assert Resample(3, 2).state_dict() == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
def test_n3_what_is_not_finite_stays_where_taps_meet_it(bad, padding_mode):
    for place in (5, 250):
        x = torch.randn(2, 500, dtype=torch.float64)
        clean = resample(x, 3, 2, padding_mode=padding_mode)
        x[0, place] = bad
        y = resample(x, 3, 2, padding_mode=padding_mode)
        first, last = place * 2 / 3 - ZEROS / ROLLOFF, place * 2 / 3 + ZEROS / ROLLOFF
        hit = torch.zeros_like(y, dtype=torch.bool)
        hit[0, max(math.ceil(first), 0) : math.floor(last) + 1] = True
        assert torch.equal(~y.isfinite(), hit)
        torch.testing.assert_close(y[~hit], clean[~hit])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((44100.5, 16000), {}, r"fs_in 44100\.5 must be above 0 and whole"),
        ((0, 16000), {}, "fs_in 0 must be above 0"),
        ((8000, -1), {}, "fs_out -1 must be above 0"),
        ((8000, math.nan), {}, "fs_out nan must be a whole number"),
        ((8000, math.inf), {}, "fs_out inf must be a whole number"),
        ((8000, "fast"), {}, "fs_out 'fast' must be a whole number"),
        ((192000, 100), {}, "fs_in=192000, fs_out=100: rates more than 256 times apart"),
        ((1000003, 1000000), {}, "are as 1000003:1000000, which takes 1000000 filters"),
        ((3, 2), {"zeros": 0}, "zeros 0 must be at least 1"),
        ((3, 2), {"rolloff": 1.5}, "rolloff=1.5"),
        ((3, 2), {"beta": -1}, "beta=-1"),
        ((3, 2), {"padding_mode": "edge"}, "padding_mode 'edge' is not one of"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        resample(torch.zeros(10), *arguments, **options)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=message):
        Resample(*arguments, **options)(torch.zeros(10))


def test_n23_no_samples_and_whole_numbers_are_refused():
    for shape in ((0,), (2, 0), ()):
        with pytest.raises(ValueError, match=r"expected \(…, samples\), one sample at least"):
            resample(torch.zeros(shape), 3, 2)
    with pytest.raises(TypeError, match=r"x is torch\.int16"):
        resample(torch.zeros(9, dtype=torch.int16), 3, 2)
